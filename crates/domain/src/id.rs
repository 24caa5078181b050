//! Identifiers: each a prefix and a hash, made from content so that a second run makes the same ones.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The first 128 bits of SHA-256 over `parts`, as 32 hexadecimal digits. Each part is preceded by its length, so that
/// `["ab", "c"]` and `["a", "bc"]` differ.
fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let mut text = String::with_capacity(32);
    for byte in hash.iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Makes the id of the content that `parts` describe.
            pub fn from_content(parts: &[&[u8]]) -> Self {
                Self(format!(concat!($prefix, "_{}"), digest(parts)))
            }

            /// Wraps an id that was made by [`Self::from_content`] and stored, or that a caller sent; an unknown id
            /// finds nothing.
            pub fn from_stored(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id as text, with its prefix.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_type!(
    /// One message, however many mailboxes hold a copy of it (`msg_...`). Made by [`crate::Message::key`].
    MessageId, "msg"
);
id_type!(
    /// One mailbox: a PST file, an mbox file, a Maildir, or a folder of EML files (`box_...`).
    MailboxId, "box"
);
id_type!(
    /// One conversation (`thr_...`). It can change when mail that joins two conversations arrives.
    ThreadId, "thr"
);
id_type!(
    /// One record of the store: a passage of a message or a reply pair (`rec_...`).
    RecordId, "rec"
);

#[cfg(test)]
mod tests {
    use super::MessageId;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(MessageId::from_content(&[b"ab", b"c"]), MessageId::from_content(&[b"a", b"bc"]));
        assert_eq!(MessageId::from_content(&[b"ab", b"c"]), MessageId::from_content(&[b"ab", b"c"]));
        assert_eq!(MessageId::from_content(&[]).as_str().len(), 4 + 32);
    }
}
