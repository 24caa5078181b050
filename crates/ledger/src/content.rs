//! How a message is kept: JSON, compressed by zstd, then sealed.

use std::io::Read as _;

use rejoinder_domain::{Direction, Message, MessageId, TenantId};

use crate::sealing::place;
use crate::{Ledger, LedgerError};

/// Level 1 takes a few microseconds per kilobyte and text still shrinks to a third.
const LEVEL: i32 = 1;

/// No message that an ingest let through comes near this; a damaged blob must not fill the memory.
const MAX_BYTES: u64 = 1 << 30;

impl Ledger {
    /// The message as it is written to the file.
    pub(crate) fn seal_message(&self, tenant: &TenantId, message: &Message) -> Result<Vec<u8>, LedgerError> {
        let place = place("content.content", &[message.id.as_str()]);
        Ok(self.sealer.seal(tenant, &place, &pack(message)?)?.into_owned())
    }

    /// The message of this id that [`Ledger::seal_message`] gave.
    pub(crate) fn open_message(
        &self,
        tenant: &TenantId,
        id: &str,
        stored: Vec<u8>,
        direction: &str,
    ) -> Result<Message, LedgerError> {
        unpack(&self.sealer.open(tenant, &place("content.content", &[id]), stored)?, direction)
    }

    /// A thread entry as it is written to the file.
    pub(crate) fn seal_entry(
        &self,
        tenant: &TenantId,
        message: &MessageId,
        entry: &[u8],
    ) -> Result<Vec<u8>, LedgerError> {
        let place = place("content.thread_entry", &[message.as_str()]);
        Ok(self.sealer.seal(tenant, &place, entry)?.into_owned())
    }

    /// The thread entry that [`Ledger::seal_entry`] gave.
    pub(crate) fn open_entry(
        &self,
        tenant: &TenantId,
        message: &MessageId,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, LedgerError> {
        Ok(self.sealer.open(tenant, &place("content.thread_entry", &[message.as_str()]), stored)?)
    }
}

fn pack(message: &Message) -> Result<Vec<u8>, LedgerError> {
    let json = serde_json::to_vec(message).map_err(|_| LedgerError::Corrupt("message that was to be stored"))?;
    Ok(zstd::bulk::compress(&json, LEVEL)?)
}

fn unpack(content: &[u8], direction: &str) -> Result<Message, LedgerError> {
    let damaged = || LedgerError::Corrupt("message");
    let mut json = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(content).map_err(|_| damaged())?;
    decoder.take(MAX_BYTES).read_to_end(&mut json).map_err(|_| damaged())?;
    let mut message: Message = serde_json::from_slice(&json).map_err(|_| damaged())?;
    message.direction = direction_of(direction)?;
    Ok(message)
}

pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Internal => "internal",
        Direction::Unknown => "unknown",
    }
}

pub(crate) fn direction_of(name: &str) -> Result<Direction, LedgerError> {
    Ok(match name {
        "inbound" => Direction::Inbound,
        "outbound" => Direction::Outbound,
        "internal" => Direction::Internal,
        "unknown" => Direction::Unknown,
        _ => return Err(LedgerError::Corrupt("direction")),
    })
}
