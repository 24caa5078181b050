//! mbox files: many messages in one file, each after a postmark (RFC 4155).
//!
//! Memory is one item of at most [`Limits::max_item_bytes`] and one line of at most 64 KiB. A postmark is a line `From `
//! with a time of day and a year in it, at the file's start or after an empty line, and followed by a header field: so
//! that a sentence that starts with "From " stays in its body. `Content-Length` is ignored; it is wrong more often than
//! useful. Quoted lines `>From `, `>>From ` lose one `>` (mboxrd); in an mboxo file the same restores what was quoted.

use std::fs::File;
use std::io::{BufRead, BufReader};

use rejoinder_domain::{Provenance, Skipped};

use crate::discover::{Found, mailbox_info};
use crate::limits::Limits;
use crate::rfc5322::parse_rfc5322;
use crate::source::{MailSource, MailboxInfo, SourceError, SourceItem, is_sent_folder};

/// Longest piece of a line that is looked at as one.
const MAX_LINE_BYTES: usize = 64 << 10;

/// The items of an mbox file.
pub(crate) struct MboxSource {
    info: MailboxInfo,
    limits: Limits,
    items: RawItems<BufReader<File>>,
    total: u64,
    position: u64,
    in_sent_folder: bool,
}

impl MboxSource {
    pub(crate) fn open(found: &Found, limits: &Limits) -> Result<Self, SourceError> {
        let info = mailbox_info(found)?;
        let file = File::open(&found.path).map_err(|source| SourceError::io(&found.path, source))?;
        let total = file.metadata().map_err(|source| SourceError::io(&found.path, source))?.len();
        let stem = found.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            in_sent_folder: is_sent_folder(&stem),
            items: RawItems::new(BufReader::with_capacity(256 << 10, file), limits.max_item_bytes),
            limits: limits.clone(),
            total,
            position: 0,
            info,
        })
    }

    fn item(&self, raw: &RawItem) -> SourceItem {
        let place = raw.offset.to_string();
        let where_it_is =
            |skipped: Skipped| Skipped { place: format!("{} at byte {place}", self.info.name), reason: skipped.reason };
        let parsed = if let Some(reason) = &raw.problem {
            Err(Skipped { place: String::new(), reason: reason.clone() })
        } else if raw.length > self.limits.max_item_bytes {
            let reason = format!("{} bytes are over the limit of {}", raw.length, self.limits.max_item_bytes);
            Err(Skipped { place: String::new(), reason })
        } else {
            parse_rfc5322(&raw.bytes, &self.limits)
        };
        let (outcome, losses) = match parsed {
            Ok((message, losses)) => (Ok(message), losses.into_iter().map(where_it_is).collect()),
            Err(skipped) => (Err(where_it_is(skipped)), Vec::new()),
        };
        SourceItem {
            provenance: Provenance { mailbox: self.info.id.clone(), folder: String::new(), place },
            position: self.position,
            in_sent_folder: self.in_sent_folder,
            outcome,
            losses,
        }
    }
}

impl Iterator for MboxSource {
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        let raw = self.items.next()?;
        let item = self.item(&raw);
        self.position += 1;
        Some(item)
    }
}

impl MailSource for MboxSource {
    fn mailbox(&self) -> &MailboxInfo {
        &self.info
    }

    fn skip_to(&mut self, position: u64) -> Result<(), SourceError> {
        if position < self.position {
            return Err(SourceError::Backwards { wanted: position, reached: self.position });
        }
        while self.position < position && self.items.next().is_some() {
            self.position += 1;
        }
        Ok(())
    }

    fn size_hint_bytes(&self) -> (u64, u64) {
        (self.items.offset.min(self.total), self.total)
    }
}

/// One item as it lies in the file, unquoted, without its postmark.
#[derive(Debug, Default, PartialEq, Eq)]
struct RawItem {
    /// Where its postmark starts.
    offset: u64,
    /// How long it is; `bytes` is empty where that is over the limit.
    length: u64,
    bytes: Vec<u8>,
    /// The file could not be read on; this is the last item.
    problem: Option<String>,
}

/// Splits a stream into items.
struct RawItems<R> {
    reader: R,
    limit: u64,
    /// Where the next line starts.
    offset: u64,
    /// The postmark that ended the item before, if the next item is to start.
    started_at: Option<u64>,
    line: Vec<u8>,
    /// A line that was read ahead.
    ahead: Option<(Vec<u8>, u64)>,
    done: bool,
}

impl<R: BufRead> RawItems<R> {
    fn new(reader: R, limit: u64) -> Self {
        Self { reader, limit, offset: 0, started_at: None, line: Vec::new(), ahead: None, done: false }
    }

    /// Reads a line, or its next piece, into `self.line` and returns where it starts; `None` at the end.
    fn read_line(&mut self) -> std::io::Result<Option<u64>> {
        if let Some((line, at)) = self.ahead.take() {
            self.line = line;
            return Ok(Some(at));
        }
        self.line.clear();
        let start = self.offset;
        while self.line.len() < MAX_LINE_BYTES {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            let room = available.len().min(MAX_LINE_BYTES - self.line.len());
            let window = available.get(..room).unwrap_or_default();
            let end = memchr::memchr(b'\n', window);
            let take = end.map_or(window.len(), |at| at + 1);
            self.line.extend_from_slice(window.get(..take).unwrap_or_default());
            self.reader.consume(take);
            self.offset += take as u64;
            if end.is_some() {
                break;
            }
        }
        Ok((!self.line.is_empty()).then_some(start))
    }

    /// Whether the line that was just read, which looks like a postmark, is followed by a header field or nothing.
    fn header_follows(&mut self) -> std::io::Result<bool> {
        let current = std::mem::take(&mut self.line);
        let next = self.read_line()?;
        let follows = next.is_none() || starts_header(&self.line);
        if let Some(at) = next {
            self.ahead = Some((std::mem::take(&mut self.line), at));
        }
        self.line = current;
        Ok(follows)
    }

    fn read_item(&mut self) -> std::io::Result<Option<RawItem>> {
        let mut item = RawItem { offset: self.started_at.unwrap_or(self.offset), ..RawItem::default() };
        let mut started = self.started_at.take().is_some();
        let mut after_blank = true;
        let mut at_line_start = true;
        while let Some(at) = self.read_line()? {
            let ended = self.line.ends_with(b"\n");
            if at_line_start && (after_blank || !started) && is_postmark(&self.line) && self.header_follows()? {
                if started {
                    self.started_at = Some(at);
                    return Ok(Some(item));
                }
                item.offset = at;
                started = true;
            } else {
                let blank = self.line.trim_ascii().is_empty();
                if !started && !blank {
                    // No postmark at the file's start: the text before the first one is an item too, never dropped.
                    started = true;
                    item.offset = at;
                }
                if started {
                    self.push(&mut item, at_line_start);
                }
                after_blank = at_line_start && ended && blank;
            }
            at_line_start = ended;
        }
        self.done = true;
        Ok(started.then_some(item))
    }

    fn push(&mut self, item: &mut RawItem, at_line_start: bool) {
        let marks = self.line.iter().take_while(|&&byte| byte == b'>').count();
        let quoted =
            at_line_start && marks > 0 && self.line.get(marks..).is_some_and(|rest| rest.starts_with(b"From "));
        let line = self.line.get(usize::from(quoted)..).unwrap_or_default();
        item.length += line.len() as u64;
        if item.length > self.limit {
            item.bytes = Vec::new();
        } else {
            item.bytes.extend_from_slice(line);
        }
    }
}

impl<R: BufRead> Iterator for RawItems<R> {
    type Item = RawItem;

    fn next(&mut self) -> Option<RawItem> {
        if self.done {
            return None;
        }
        match self.read_item() {
            Ok(item) => item,
            Err(error) => {
                self.done = true;
                let problem = Some(format!("the file could not be read on: {}", error.kind()));
                Some(RawItem { offset: self.offset, problem, ..RawItem::default() })
            }
        }
    }
}

/// Whether `line` looks like a postmark: `From `, a sender, a date with a time of day and a year.
pub(crate) fn is_postmark(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if !line.starts_with(b"From ") || line.len() > 1000 {
        return false;
    }
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_whitespace().skip(1).map(|word| word.trim_matches(','));
    let is_digit_string = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_clock = |word: &str| {
        let mut parts = word.split(':');
        let hour = parts.next().is_some_and(|hour| hour.len() <= 2 && is_digit_string(hour));
        hour && parts.next().is_some_and(|minute| minute.len() == 2 && is_digit_string(minute))
    };
    let is_month = |word: &str| {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        MONTHS.iter().any(|month| word.eq_ignore_ascii_case(month))
    };
    let is_year = |word: &str| matches!(word.len(), 4) && is_digit_string(word);
    let (mut clock, mut month, mut year) = (false, false, false);
    for word in words.by_ref() {
        clock |= is_clock(word);
        month |= is_month(word);
        year |= is_year(word);
    }
    clock && month && year
}

/// Whether `line` can be the first line after a postmark: a header field, a quoted postmark, or an empty line.
fn starts_header(line: &[u8]) -> bool {
    crate::mime::is_field(line) || line.trim_ascii().is_empty() || line.starts_with(b">From ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "From a@b.example Thu Jan  1 00:00:00 1970\n";

    fn split(text: &str, limit: u64) -> Vec<RawItem> {
        // A tiny buffer, so that lines cross its borders.
        RawItems::new(BufReader::with_capacity(7, text.as_bytes()), limit).collect()
    }

    fn bodies(text: &str) -> Vec<String> {
        split(text, 1 << 20).into_iter().map(|item| String::from_utf8(item.bytes).unwrap()).collect()
    }

    #[test]
    fn items_and_quoted_lines() {
        let text = format!("{MARK}Subject: 1\n\nx\n>From me\n>>From you\n\n{MARK}Subject: 2\n\ny\n");
        assert_eq!(bodies(&text), ["Subject: 1\n\nx\nFrom me\n>From you\n\n", "Subject: 2\n\ny\n"]);
        let offsets: Vec<u64> = split(&text, 1 << 20).iter().map(|item| item.offset).collect();
        assert_eq!(offsets, [0, text.rfind("From a@b").unwrap() as u64]);
    }

    #[test]
    fn a_sentence_that_starts_with_from_is_body() {
        let text = format!(
            "{MARK}Subject: 1\n\nFrom here on it rains.\n\nFrom Monday at 10:30 in 2024, always\n\nx\n{MARK}not: after a blank line\n\n\
             {MARK}this is no header\n"
        );
        assert_eq!(bodies(&text).len(), 1);
    }

    #[test]
    fn an_item_over_the_limit_does_not_end_the_file() {
        let text = format!("{MARK}Subject: 1\n\n{}\n\n{MARK}Subject: 2\n\ny\n", "x".repeat(500));
        let items = split(&text, 100);
        assert_eq!(items.len(), 2);
        assert!(items[0].length > 500 && items[0].bytes.is_empty());
        assert_eq!(items[1].bytes, b"Subject: 2\n\ny\n");
    }

    #[test]
    fn odd_starts_and_ends() {
        assert!(bodies("").is_empty());
        assert!(bodies("\n\n").is_empty());
        assert_eq!(bodies(&format!("\u{feff}{MARK}Subject: 1\n")), ["Subject: 1\n"]);
        assert_eq!(bodies(&format!("garbage\n\n{MARK}Subject: 1\n\ncut of")), ["garbage\n\n", "Subject: 1\n\ncut of"]);
        assert_eq!(bodies(MARK).len(), 1, "a postmark alone is an item, which cannot be read");
    }

    #[test]
    fn postmarks_of_several_programs() {
        for line in [
            "From MAILER-DAEMON Thu Jan  1 00:00:00 1970",
            "From - Mon Mar 04 10:00:00 2024",
            "From ???@??? Mon Mar 04 10:00:00 2024",
            "From a@b.example Mon Mar  4 10:00 CET 2024",
            "From 123@xxx Mon, 04 Mar 2024 10:00:00 +0000",
            "From a b@c Mon Mar  4 10:00:00 2024 remote from d",
        ] {
            assert!(is_postmark(line.as_bytes()), "{line}");
        }
        assert!(!is_postmark(b"From 10:00 to 12:00 in March 2024"));
        assert!(!is_postmark(b">From a Thu Jan  1 00:00:00 1970"));
    }
}
