//! The MIME structure of a message: where each part's header and body are, in one pass over the bytes.
//!
//! The pass is our own and not mail-parser's because it has to be linear in time and flat in memory whatever the message
//! says: boundaries count at line starts only, an outer boundary closes what is inside it, and depth and number of parts
//! have caps. Header fields of every part are parsed by mail-parser.

use std::ops::Range;

use crate::header::HeaderBlock;
use crate::limits::Limits;
use crate::transfer::Transfer;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Has a body of its own.
    Leaf,
    /// Has parts.
    Multipart,
    /// Is a message; its only child is that message's root.
    Message,
}

/// One part. Parts are in document order; a parent precedes its children.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) parent: Option<usize>,
    pub(crate) kind: PartKind,
    pub(crate) headers: HeaderBlock,
    /// Media type, lower-cased: the declared one, or the default of the place.
    pub(crate) media_type: String,
    pub(crate) transfer: Transfer,
    /// Where the body is, still encoded; the line end before a boundary belongs to the boundary.
    pub(crate) body: Range<usize>,
}

/// The structure and what could not be followed.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    pub(crate) parts: Vec<Part>,
    /// Sentences without any text of the message.
    pub(crate) problems: Vec<String>,
}

impl Structure {
    /// The children of `parent`, in order.
    pub(crate) fn children(&self, parent: usize) -> impl Iterator<Item = usize> + '_ {
        self.parts
            .iter()
            .enumerate()
            .skip(parent + 1)
            .filter(move |(_, part)| part.parent == Some(parent))
            .map(|(index, _)| index)
    }
}

/// A multipart that is open, by its delimiter without the two hyphens.
struct Open {
    part: usize,
    boundary: Vec<u8>,
    /// Content type of parts that declare none.
    default_type: &'static str,
}

struct Walk<'a> {
    raw: &'a [u8],
    limits: &'a Limits,
    position: usize,
    open: Vec<Open>,
    found: Structure,
    /// Children of each part so far; an empty multipart keeps its text.
    child_count: Vec<usize>,
}

/// A line that is the delimiter of an open multipart.
struct Delimiter {
    level: usize,
    closing: bool,
    /// End of the content before it, and start of what follows it.
    before: usize,
    after: usize,
}

/// Finds the parts of the message `raw`, whose first line is the first line of its header.
pub(crate) fn structure(raw: &[u8], limits: &Limits) -> Structure {
    let mut walk =
        Walk { raw, limits, position: 0, open: Vec::new(), found: Structure::default(), child_count: Vec::new() };
    walk.run();
    walk.found
}

impl Walk<'_> {
    fn run(&mut self) {
        let mut parent = None;
        let mut default_type = "text/plain";
        loop {
            if self.found.parts.len() >= self.limits.max_parts {
                self.problem(format!("more than {} parts; the rest was not read", self.limits.max_parts));
                self.finish(self.raw.len());
                return;
            }
            let index = self.read_header(parent, default_type);
            match self.found.parts.get(index).map(|part| part.kind) {
                Some(PartKind::Message) => {
                    parent = Some(index);
                    default_type = "text/plain";
                    continue;
                }
                Some(PartKind::Multipart | PartKind::Leaf) | None => {}
            }
            let Some(level) = self.skip_to_next_part() else { return };
            let Some(open) = self.open.get(level) else { return };
            parent = Some(open.part);
            default_type = open.default_type;
        }
    }

    /// Reads a part's header at the current position, and opens the part.
    fn read_header(&mut self, parent: Option<usize>, default_type: &'static str) -> usize {
        let start = self.position;
        let (header_end, body_start) = self.header_end(start);
        let mut block = self.raw.get(start..header_end).unwrap_or_default();
        if block.len() > self.limits.max_header_bytes {
            self.problem(format!("a header of {} bytes was cut", block.len()));
            block = block.get(..self.limits.max_header_bytes).unwrap_or_default();
        }
        self.position = body_start;
        let headers = HeaderBlock::parse(block);
        let media_type = headers.media_type().unwrap_or_else(|| default_type.to_owned());
        let transfer =
            headers.text("content-transfer-encoding").map_or(Transfer::Identity, |value| Transfer::of(&value));
        let index = self.found.parts.len();
        let depth = self.depth_of(parent);
        let mut kind = PartKind::Leaf;
        if media_type.starts_with("multipart/") {
            if let Some(boundary) = headers.content_type_parameter("boundary").filter(|boundary| !boundary.is_empty()) {
                if depth < self.limits.max_nesting {
                    kind = PartKind::Multipart;
                    self.open.push(Open {
                        part: index,
                        boundary: boundary.trim_end().as_bytes().to_vec(),
                        default_type: if media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" },
                    });
                } else {
                    self.problem(format!("parts nested more than {} deep were not followed", self.limits.max_nesting));
                }
            }
        } else if is_message(&media_type) && transfer == Transfer::Identity {
            if depth < self.limits.max_nesting {
                kind = PartKind::Message;
            } else {
                self.problem(format!("messages nested more than {} deep were not followed", self.limits.max_nesting));
            }
        }
        if let Some(count) = parent.and_then(|parent| self.child_count.get_mut(parent)) {
            *count += 1;
        }
        self.child_count.push(0);
        // The body ends where the next delimiter is found; until then it reaches to the end.
        self.found.parts.push(Part { parent, kind, headers, media_type, transfer, body: body_start..usize::MAX });
        index
    }

    /// How many parts are above a child of `parent`.
    fn depth_of(&self, parent: Option<usize>) -> u32 {
        let mut depth = 0;
        let mut above = parent;
        while let Some(index) = above {
            depth += 1;
            above = self.found.parts.get(index).and_then(|part| part.parent);
        }
        depth
    }

    /// Where the header that starts at `start` ends, and where its body starts. A line that is neither a field nor its
    /// continuation ends the header as an empty line does, and belongs to the body.
    fn header_end(&self, start: usize) -> (usize, usize) {
        let mut at = start;
        while at < self.raw.len() {
            let end = line_end(self.raw, at);
            let line = self.raw.get(at..end).unwrap_or_default();
            if line.trim_ascii_end().is_empty() && !line.starts_with(b" ") && !line.starts_with(b"\t") {
                return (at, end);
            }
            if self.delimiter_at(at, end).is_some() || !(is_field(line) || (at > start && is_continuation(line))) {
                return (at, at);
            }
            at = end;
        }
        (self.raw.len(), self.raw.len())
    }

    /// Moves over the bodies up to the header of the next part and returns the level of the multipart it belongs to.
    fn skip_to_next_part(&mut self) -> Option<usize> {
        while self.position < self.raw.len() && !self.open.is_empty() {
            let start = self.position;
            let end = line_end(self.raw, start);
            self.position = end;
            let Some(delimiter) = self.delimiter_at(start, end) else { continue };
            self.close_inside(delimiter.level, delimiter.before);
            self.position = delimiter.after;
            if !delimiter.closing {
                self.open.truncate(delimiter.level + 1);
                return Some(delimiter.level);
            }
            if let Some(part) = self.open.get(delimiter.level).and_then(|open| self.found.parts.get_mut(open.part)) {
                part.body.end = delimiter.before;
            }
            self.open.truncate(delimiter.level);
        }
        self.finish(self.raw.len());
        None
    }

    /// Ends every part that is open inside the multipart of `level`.
    fn close_inside(&mut self, level: usize, end: usize) {
        let Some(multipart) = self.open.get(level).map(|open| open.part) else { return };
        for part in self.found.parts.iter_mut().skip(multipart + 1).filter(|part| part.body.end == usize::MAX) {
            part.body.end = end.max(part.body.start);
        }
    }

    /// Ends what is still open at the end of the message. A multipart in which no part was found becomes a leaf: its text
    /// is all there is.
    fn finish(&mut self, end: usize) {
        for part in self.found.parts.iter_mut().rev() {
            if part.body.end == usize::MAX {
                part.body.end = end.max(part.body.start);
            }
        }
        let mut undelimited = 0;
        for (part, children) in self.found.parts.iter_mut().zip(&self.child_count) {
            if part.kind == PartKind::Multipart && *children == 0 {
                part.kind = PartKind::Leaf;
                "text/plain".clone_into(&mut part.media_type);
                undelimited += 1;
            }
        }
        if undelimited > 0 {
            self.problem(format!("{undelimited} multiparts without their boundary were read as text"));
        }
    }

    fn delimiter_at(&self, start: usize, end: usize) -> Option<Delimiter> {
        let line = self.raw.get(start..end)?;
        let rest = line.strip_prefix(b"--")?.trim_ascii_end();
        for (level, open) in self.open.iter().enumerate().rev() {
            let Some(tail) = rest.strip_prefix(open.boundary.as_slice()) else { continue };
            let closing = match tail {
                b"" => false,
                _ if tail.starts_with(b"--") => true,
                _ if tail.trim_ascii_start().is_empty() => false,
                _ => continue,
            };
            let mut before = start;
            if before > 0 && self.raw.get(before - 1) == Some(&b'\n') {
                before -= 1;
                if before > 0 && self.raw.get(before - 1) == Some(&b'\r') {
                    before -= 1;
                }
            }
            return Some(Delimiter { level, closing, before, after: end });
        }
        None
    }

    fn problem(&mut self, sentence: String) {
        if !self.found.problems.contains(&sentence) {
            self.found.problems.push(sentence);
        }
    }
}

fn is_message(media_type: &str) -> bool {
    matches!(media_type, "message/rfc822" | "message/global" | "message/news")
}

/// One past the line end of the line that starts at `start`.
fn line_end(raw: &[u8], start: usize) -> usize {
    let rest = raw.get(start..).unwrap_or_default();
    memchr::memchr(b'\n', rest).map_or(raw.len(), |at| start + at + 1)
}

/// Whether the line is `name: value` (RFC 5322 section 2.2), blanks before the colon allowed as in its section 4.
pub(crate) fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(|byte| (33..=126).contains(byte))
}

fn is_continuation(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}
