//! What a client invents for a letter, made here from the thread's key so that every run makes the same.

use jiff::Zoned;
use sha2::{Digest, Sha256};

use crate::letter::Letter;
use crate::source::{Kind, Person, Style};

/// The first `length` hexadecimal digits (64 at most) of a hash of `parts`.
pub(crate) fn mark(parts: &[&str], length: usize) -> String {
    let nibbles = hash(parts).into_iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    nibbles.take(length).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

/// A `Message-ID` in the manner of the author's client, without angle brackets.
pub(crate) fn message_id(author: &Person, thread: &str, index: usize, kind: Kind) -> String {
    let position = index.to_string();
    let parts = [thread, position.as_str(), author.email.as_str()];
    let domain = author.email.rsplit_once('@').map_or("", |(_, domain)| domain);
    match (kind, author.style) {
        (Kind::Webform, _) => format!("form-{}@portal.haldenmarsh.example", mark(&parts, 16)),
        (_, Style::Gmail) => format!("CA+{}@mail.{domain}", mark(&parts, 24)),
        (_, Style::Outlook | Style::OutlookHtml) => format!("{}@{domain}", mark(&parts, 32).to_uppercase()),
        (_, Style::Iphone | Style::Apple) => {
            let digits = mark(&parts, 32).to_uppercase();
            let (a, b, c) = (digits.get(..8), digits.get(8..12), digits.get(12..24));
            format!("{}-{}-4A1C-9D02-{}@{domain}", a.unwrap_or_default(), b.unwrap_or_default(), c.unwrap_or_default())
        }
        (_, Style::Thunderbird | Style::Plain) => format!("{}@{domain}", mark(&parts, 20)),
    }
}

/// A `Date` value (RFC 5322 section 3.3).
pub(crate) fn date(sent: &Zoned) -> String {
    sent.strftime("%a, %d %b %Y %H:%M:%S %z").to_string()
}

/// Outlook's position in a conversation: 22 bytes for its first letter, 5 more for each answer ([MS-OXOMSG] 2.2.1.3).
pub(crate) fn conversation_index(answered: Option<&Letter>, sent: &Zoned, thread: &str) -> Vec<u8> {
    let time = file_time(sent);
    let Some(answered) = answered else {
        // The first six bytes are the time without its last two; the reserved first one is the time's own 0x01.
        let mut index: Vec<u8> = time.to_be_bytes().into_iter().take(6).collect();
        index.extend(hash(&[thread, &time.to_string()]).into_iter().take(16));
        return index;
    };
    let mut index = answered.conversation_index.clone();
    let started = index.iter().take(6).fold(0_u64, |value, byte| value << 8 | u64::from(*byte)) << 16;
    let difference = (time.saturating_sub(started) >> 18) as u32 & 0x7FFF_FFFF;
    index.extend(difference.to_be_bytes());
    index.push(0x10);
    index
}

/// 100-nanosecond steps since 1601.
fn file_time(at: &Zoned) -> u64 {
    rejoinder_pst_writer::FileTime::from_unix_seconds(at.timestamp().as_second()).0
}

fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}
