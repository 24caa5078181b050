//! How texts other than messages are kept: suggestions, reasons, stored answers, terms of questions.
//!
//! All of them pass through these two functions, which compress and seal them, bound to the place where they are kept.

use std::io::Read as _;

use rejoinder_domain::TenantId;

use crate::{Ledger, LedgerError};

/// As for messages: a few microseconds per kilobyte.
const LEVEL: i32 = 1;

/// Nothing that is packed comes near this; a damaged blob must not fill the memory.
const MAX_BYTES: u64 = 1 << 28;

impl Ledger {
    /// A text of the tenant as it is written to the file.
    pub(crate) fn pack_text(&self, tenant: &TenantId, place: &str, text: &[u8]) -> Result<Vec<u8>, LedgerError> {
        let packed = zstd::bulk::compress(text, LEVEL)?;
        Ok(self.sealer.seal(tenant, place, &packed)?.into_owned())
    }

    /// The text of the tenant that [`Ledger::pack_text`] packed.
    pub(crate) fn unpack_text(&self, tenant: &TenantId, place: &str, stored: Vec<u8>) -> Result<Vec<u8>, LedgerError> {
        let damaged = || LedgerError::Corrupt("text");
        let packed = self.sealer.open(tenant, place, stored)?;
        let mut text = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(packed.as_slice()).map_err(|_| damaged())?;
        decoder.take(MAX_BYTES).read_to_end(&mut text).map_err(|_| damaged())?;
        Ok(text)
    }

    /// The same where the text is JSON.
    pub(crate) fn pack_json<T: serde::Serialize>(
        &self,
        tenant: &TenantId,
        place: &str,
        value: &T,
    ) -> Result<Vec<u8>, LedgerError> {
        let json = serde_json::to_vec(value).map_err(|_| LedgerError::Corrupt("value that was to be stored"))?;
        self.pack_text(tenant, place, &json)
    }

    /// The value that [`Ledger::pack_json`] packed.
    pub(crate) fn unpack_json<T: serde::de::DeserializeOwned>(
        &self,
        tenant: &TenantId,
        place: &str,
        stored: Vec<u8>,
    ) -> Result<T, LedgerError> {
        serde_json::from_slice(&self.unpack_text(tenant, place, stored)?).map_err(|_| LedgerError::Corrupt("text"))
    }
}
