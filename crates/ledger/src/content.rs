//! How a message is kept: JSON, compressed by zstd.

use std::io::Read as _;

use rejoinder_domain::{Direction, Message};

use crate::LedgerError;

/// Level 1 takes a few microseconds per kilobyte and text still shrinks to a third.
const LEVEL: i32 = 1;

/// No message that an ingest let through comes near this; a damaged blob must not fill the memory.
const MAX_BYTES: u64 = 1 << 30;

pub(crate) fn pack(message: &Message) -> Result<Vec<u8>, LedgerError> {
    let json = serde_json::to_vec(message).map_err(|_| LedgerError::Corrupt("message that was to be stored"))?;
    Ok(zstd::bulk::compress(&json, LEVEL)?)
}

pub(crate) fn unpack(content: &[u8], direction: &str) -> Result<Message, LedgerError> {
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
