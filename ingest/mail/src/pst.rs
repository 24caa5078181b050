//! Outlook stores.

use crate::discover::Found;
use crate::limits::Limits;
use crate::source::{MailSource, MailboxInfo, SourceError, SourceItem};

/// The items of a PST or OST file.
pub(crate) struct PstSource {
    info: MailboxInfo,
}

impl PstSource {
    pub(crate) fn open(found: &Found, _limits: &Limits) -> Result<Self, SourceError> {
        Err(SourceError::Unsupported {
            path: found.path.clone(),
            reason: "Outlook stores are not wired yet".to_owned(),
        })
    }
}

impl Iterator for PstSource {
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        None
    }
}

impl MailSource for PstSource {
    fn mailbox(&self) -> &MailboxInfo {
        &self.info
    }

    fn skip_to(&mut self, _position: u64) -> Result<(), SourceError> {
        Ok(())
    }

    fn size_hint_bytes(&self) -> (u64, u64) {
        (0, 0)
    }
}
