//! How much of one item is read: hostile mail must not decide over memory or time.

use serde::{Deserialize, Serialize};

/// Caps per item. What goes over one is reported ([`crate::SourceItem::losses`] or a skipped item), never dropped silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest item in bytes as it lies in the source; a larger one is skipped with its size.
    pub max_item_bytes: u64,
    /// Most bytes of readable text that are kept of one attachment.
    pub max_attachment_text_bytes: usize,
    /// Most bytes of one body's readable text.
    pub max_body_bytes: usize,
    /// How deep multiparts and messages inside messages are followed; what is deeper is listed as an opaque attachment.
    pub max_nesting: u32,
    /// Most MIME parts of one message; the rest is reported as lost.
    pub max_parts: usize,
    /// Most bytes of one header block; the rest of it is reported as lost.
    pub max_header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_item_bytes: 64 << 20,
            max_attachment_text_bytes: 1 << 20,
            max_body_bytes: 4 << 20,
            max_nesting: 24,
            max_parts: 2000,
            max_header_bytes: 1 << 20,
        }
    }
}
