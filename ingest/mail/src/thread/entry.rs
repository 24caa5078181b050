//! The digest of a message that threading works on.

use rejoinder_domain::{Direction, Message, SegmentKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::subject::{self, Prefix};

/// Most references that are kept: the oldest, which is the thread's root, and the newest.
const MAX_REFERENCES: usize = 24;

/// Most people that are kept.
const MAX_PEOPLE: usize = 12;

/// Most fingerprints of a text that are kept.
const MAX_PRINTS: usize = 24;

/// Words of one fingerprint, and how many neighbours it is the smallest of.
const WORDS_PER_PRINT: usize = 6;
const WINDOW: usize = 4;

/// What threading knows of a message. Ids, people and texts are 64-bit hashes: an entry takes 300 to 700 bytes in memory and
/// in a binary format (about 1.1 KB as JSON), and holds nothing that can be read back. Two ids in a mailbox of a million messages collide
/// with a probability below 1 in 30 million.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadEntry {
    /// Hash of the content key; breaks ties and names a message that has no id.
    pub(crate) key: u64,
    /// Hash of `Message-ID`; 0 where there is none.
    pub(crate) id: u64,
    /// `References`, oldest first.
    pub(crate) references: Vec<u64>,
    /// `In-Reply-To`.
    pub(crate) in_reply_to: Vec<u64>,
    /// Hashes of the conversation index, of it without its last reply, and of its first 22 bytes; 0 where there is none.
    pub(crate) conversation: [u64; 3],
    /// Hash of the subject without prefixes, folded; 0 where nothing is left of it.
    pub(crate) subject: u64,
    /// How many words that subject has.
    pub(crate) subject_words: u16,
    /// Whether the subject starts with a reply's prefix.
    pub(crate) is_reply: bool,
    /// Whether the subject starts with a forward's prefix only.
    pub(crate) is_forward: bool,
    /// Seconds since 1970.
    pub(crate) sent_at: Option<i64>,
    /// Which way it went.
    pub(crate) direction: Direction,
    /// Hash of the author's address; 0 where it is not known.
    pub(crate) author: u64,
    /// Hashes of the recipients' addresses.
    pub(crate) recipients: Vec<u64>,
    /// Sent by a machine.
    pub(crate) automatic: bool,
    /// Letters and digits of the new text.
    pub(crate) new_text_letters: u32,
    /// Fingerprints of the new text.
    pub(crate) own_prints: Vec<u64>,
    /// Fingerprints of the text that is quoted.
    pub(crate) quoted_prints: Vec<u64>,
}

impl ThreadEntry {
    /// The digest of `message`. Its direction is the one that is set at this moment; see [`ThreadEntry::set_direction`].
    pub fn of(message: &Message) -> Self {
        let (base, prefix) = subject::base(&message.subject);
        let folded = fold(base);
        let new_text = message.body.text_of(SegmentKind::New);
        let mut quoted = message.body.text_of(SegmentKind::Quoted);
        if quoted.is_empty() {
            quoted = message.body.text_of(SegmentKind::Forwarded);
        }
        let people = message.to.iter().chain(&message.cc).chain(&message.bcc);
        Self {
            key: hash(message.id.as_str().as_bytes()),
            id: message.rfc_message_id.as_deref().map_or(0, id_hash),
            references: capped(message.references.iter().map(|id| id_hash(id)).collect()),
            in_reply_to: message.in_reply_to.iter().take(4).map(|id| id_hash(id)).collect(),
            conversation: message.conversation_index.as_deref().map_or([0; 3], conversation),
            subject: if folded.is_empty() { 0 } else { hash(folded.as_bytes()) },
            subject_words: u16::try_from(folded.split(' ').filter(|word| word.chars().count() > 2).count())
                .unwrap_or(u16::MAX),
            is_reply: prefix == Prefix::Reply,
            is_forward: prefix == Prefix::Forward,
            sent_at: message.sent_at.or(message.received_at).map(jiff::Timestamp::as_second),
            direction: message.direction,
            author: message
                .from
                .as_ref()
                .filter(|from| !from.email.is_empty())
                .map_or(0, |from| hash(from.email.as_bytes())),
            recipients: people
                .filter(|to| !to.email.is_empty())
                .take(MAX_PEOPLE)
                .map(|to| hash(to.email.as_bytes()))
                .collect(),
            automatic: message.automatic,
            new_text_letters: new_text.chars().filter(|c| c.is_alphanumeric()).count().try_into().unwrap_or(u32::MAX),
            own_prints: prints(&new_text),
            quoted_prints: prints(&quoted),
        }
    }

    /// Sets the direction, where it became known only after the whole mailbox was seen.
    pub fn set_direction(&mut self, direction: Direction) {
        self.direction = direction;
    }

    /// Ties the message to others by its headers only: for one that repeats a text which has its place already.
    pub fn keep_headers_only(&mut self) {
        self.conversation = [0; 3];
        self.subject = 0;
        self.own_prints.clear();
        self.quoted_prints.clear();
    }

    /// Which way the message went.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// What orders entries: time, then content.
    pub(crate) fn order(&self) -> (i64, u64, u64) {
        (self.sent_at.unwrap_or(i64::MAX), self.key, self.id)
    }

    /// The name of this message among the nodes of a forest.
    pub(crate) fn node_id(&self) -> u64 {
        if self.id == 0 { self.key } else { self.id }
    }
}

/// The first 64 bits of SHA-256, never 0.
fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let first = digest.first_chunk::<8>().map_or(1, |bytes| u64::from_le_bytes(*bytes));
    first.max(1)
}

/// Message ids are compared without white space; some programs fold inside them.
fn id_hash(id: &str) -> u64 {
    let id: String = id.chars().filter(|c| !c.is_whitespace()).collect();
    hash(id.as_bytes())
}

/// The root and the newest references.
fn capped(mut references: Vec<u64>) -> Vec<u64> {
    if references.len() > MAX_REFERENCES {
        let newest = references.len() - (MAX_REFERENCES - 1);
        references.drain(1..newest);
    }
    references
}

/// [MS-OXOMSG] 2.2.1.3: a header of 22 bytes, then 5 bytes for each reply; two hexadecimal digits each.
fn conversation(index: &str) -> [u64; 3] {
    const HEADER: usize = 44;
    const REPLY: usize = 10;
    let Some(header) = index.get(..HEADER) else { return [0; 3] };
    // The first 6 bytes are a time that a reply may change; the GUID after them does not.
    let root = hash(header.get(12..).unwrap_or(header).as_bytes());
    let parent =
        index.len().checked_sub(REPLY).and_then(|end| index.get(..end)).filter(|parent| parent.len() >= HEADER);
    [hash(index.as_bytes()), parent.map_or(0, |parent| hash(parent.as_bytes())), root]
}

/// Lower case, one blank between words.
fn fold(subject: &str) -> String {
    subject.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fingerprints of a text by winnowing: of every [`WINDOW`] neighbouring runs of [`WORDS_PER_PRINT`] words the smallest hash
/// is kept, so that two texts that share [`WORDS_PER_PRINT`] + [`WINDOW`] - 1 words share a fingerprint, however their lines
/// are broken or quoted.
fn prints(text: &str) -> Vec<u64> {
    // A cap on words: what is quoted directly comes first.
    let words: Vec<u64> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(600)
        .map(|word| fnv(word.to_lowercase().as_bytes()))
        .collect();
    let runs: Vec<u64> =
        words.windows(WORDS_PER_PRINT).map(|run| mix(run.iter().fold(7, |hash, word| mix(hash ^ word)))).collect();
    let mut found: Vec<u64> = Vec::new();
    for window in runs.windows(WINDOW.min(runs.len().max(1))) {
        if let Some(&smallest) = window.iter().min()
            && found.last() != Some(&smallest)
            && !found.contains(&smallest)
        {
            found.push(smallest);
            if found.len() == MAX_PRINTS {
                break;
            }
        }
    }
    found
}

/// FNV-1a, enough for words.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The finaliser of `SplitMix64`.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_keeps_fingerprints() {
        let original = "Could you tell me when the invoice for the second quarter was paid, and by whom exactly?";
        let quoted = "> Could you tell me when the\n> invoice for the second quarter\n> was paid, and by whom exactly?";
        let (a, b) = (prints(original), prints(quoted));
        assert!(!a.is_empty());
        assert_eq!(a, b);
        assert!(prints("Too short for that").is_empty());
    }

    #[test]
    fn the_conversation_index_names_its_parent() {
        let root = "01".repeat(22);
        let reply = format!("{root}aabbccddee");
        assert_eq!(conversation(&reply)[1], conversation(&root)[0]);
        assert_eq!(conversation(&reply)[2], conversation(&root)[2]);
        assert_eq!(conversation("0102"), [0; 3]);
    }
}
