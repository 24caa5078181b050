//! Divides a body's text into what is new, quoted, forwarded, signature and legal text. Nothing is lost: the segments cover
//! the text whole.
//!
//! Works line by line on any client's text: `>` quotes with answers between them, attribution lines in thirteen languages,
//! Outlook's header blocks, forwards, signatures, list footers, confidentiality notices.
//!
//! The sign-off belongs to the new text: the closing phrase ("Best regards,") and the name line after it stay in
//! [`SegmentKind::New`], because a draft made from a reply wants salutation and sign-off. What follows them, the block of
//! title, company and numbers, is [`SegmentKind::Signature`], and so is everything from a line `-- ` on.

mod attribution;
mod footer;
mod line;
mod origin;
mod signature;

use rejoinder_domain::{Message, Segment, SegmentKind, Span};

use crate::subject::{self, Prefix};
use line::Line;

/// What is known of a message besides its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// Its subject: a forward's prefix says that an unmarked earlier message below is forwarded, not quoted.
    pub subject: &'a str,
}

/// Divides `text` without knowing anything else of the message.
pub fn segments(text: &str) -> Vec<Segment> {
    segments_with(text, &Hints::default())
}

/// Divides `text`. The segments follow each other without gap or overlap, cover the text whole, and split no line.
pub fn segments_with(text: &str, hints: &Hints<'_>) -> Vec<Segment> {
    let lines = line::split(text);
    let mut kinds = vec![SegmentKind::New; lines.len()];
    let end = footer::list_footers(&lines, &mut kinds);
    let is_forward = subject::base(hints.subject).1 == Prefix::Forward;
    earlier_messages(lines.get(..end).unwrap_or_default(), &mut kinds, is_forward);
    footer::banners(&lines, &mut kinds);
    for (from, to, last) in new_regions(&lines, &kinds) {
        footer::notices(&lines, &mut kinds, from, to, last);
        signature::mark(&lines, &mut kinds, from, to, last);
    }
    attach_blank_lines(&lines, &mut kinds);
    merge(&lines, &kinds)
}

/// The new text of a reply, from the salutation to the sign-off, without quotes, signature and footers.
pub fn reply_text(message: &Message) -> String {
    message.body.text_of(SegmentKind::New)
}

/// Marks quotes and forwards.
fn earlier_messages(lines: &[Line<'_>], kinds: &mut [SegmentKind], is_forward: bool) {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if line.depth > 0 && origin::is_quoted_forward(line.text) && !is_quoted_before(lines, at) {
            let end = end_of_quote(lines, at);
            set(kinds, at, end, SegmentKind::Forwarded);
            at = end;
            continue;
        }
        if line.depth > 0 || is_orphan(lines, at) {
            set(kinds, at, at + 1, SegmentKind::Quoted);
            at += 1;
            continue;
        }
        if let Some(count) = origin::forward_marker(lines, at) {
            if quote_follows(lines, at + count) {
                let end = end_of_quote(lines, at + count);
                set(kinds, at, end, SegmentKind::Forwarded);
                at = end;
                continue;
            }
            set(kinds, at, lines.len(), SegmentKind::Forwarded);
            return;
        }
        let introduction = origin::original_message(lines, at)
            .map(|count| (count, is_forward))
            .or_else(|| attribution::at(lines, at).map(|count| (count, false)));
        if let Some((count, forwarded)) = introduction {
            let kind = if forwarded { SegmentKind::Forwarded } else { SegmentKind::Quoted };
            if quote_follows(lines, at + count) {
                set(kinds, at, at + count, kind);
                at += count;
                continue;
            }
            set(kinds, at, lines.len(), kind);
            return;
        }
        at += 1;
    }
}

/// Whether the next line with text is quoted with `>`.
fn quote_follows(lines: &[Line<'_>], from: usize) -> bool {
    lines.iter().skip(from).find(|line| !line.is_blank()).is_some_and(|line| line.depth > 0)
}

/// Whether the line with text before `at` is quoted.
fn is_quoted_before(lines: &[Line<'_>], at: usize) -> bool {
    let before = lines.get(..at).unwrap_or_default();
    before.iter().rev().find(|line| !line.is_blank()).is_some_and(|line| line.depth > 0)
}

/// Where the lines with `>` from `from` on end; blank lines between them belong to them.
fn end_of_quote(lines: &[Line<'_>], from: usize) -> usize {
    let mut end = from;
    for (at, line) in lines.iter().enumerate().skip(from) {
        if line.depth > 0 {
            end = at + 1;
        } else if !line.is_blank() {
            break;
        }
    }
    end
}

/// The end of a quoted line that a client broke off without marking it: a few words between two quoted lines.
fn is_orphan(lines: &[Line<'_>], at: usize) -> bool {
    let (Some(before), Some(line), Some(after)) =
        (at.checked_sub(1).and_then(|at| lines.get(at)), lines.get(at), lines.get(at + 1))
    else {
        return false;
    };
    let open_ended = !before.text.ends_with(['.', '!', '?', ':', '>']);
    before.depth > 0
        && after.depth > 0
        && !line.is_blank()
        && open_ended
        && before.text.chars().count() >= 50
        && line.chars() <= 60
        && line.text.starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit())
}

/// Runs of new lines with text in them: first line, one past the last, and whether no new text follows.
fn new_regions(lines: &[Line<'_>], kinds: &[SegmentKind]) -> Vec<(usize, usize, bool)> {
    let mut regions: Vec<(usize, usize, bool)> = Vec::new();
    let mut start = None;
    for at in 0..=lines.len() {
        let is_new = kinds.get(at) == Some(&SegmentKind::New);
        match (start, is_new) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                if lines.get(from..at).unwrap_or_default().iter().any(|line| !line.is_blank()) {
                    regions.push((from, at, false));
                }
                start = None;
            }
            _ => {}
        }
    }
    if let Some(last) = regions.last_mut() {
        last.2 = true;
    }
    regions
}

/// Blank lines belong to what is before them, at the start to what follows.
fn attach_blank_lines(lines: &[Line<'_>], kinds: &mut [SegmentKind]) {
    let mut previous = lines.iter().zip(kinds.iter()).find(|(line, _)| !line.is_blank()).map(|(_, &kind)| kind);
    for (line, kind) in lines.iter().zip(kinds.iter_mut()) {
        if line.is_blank() {
            *kind = previous.unwrap_or(SegmentKind::New);
        } else {
            previous = Some(*kind);
        }
    }
}

fn merge(lines: &[Line<'_>], kinds: &[SegmentKind]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (line, &kind) in lines.iter().zip(kinds) {
        match segments.last_mut() {
            Some(last) if last.kind == kind => {
                if let Some(span) = Span::new(last.span.start(), line.end) {
                    last.span = span;
                }
            }
            _ => segments.extend(Span::new(line.start, line.end).map(|span| Segment { kind, span })),
        }
    }
    segments
}

/// Sets the kind of lines `from..to`.
fn set(kinds: &mut [SegmentKind], from: usize, to: usize, kind: SegmentKind) {
    if let Some(range) = kinds.get_mut(from..to) {
        range.fill(kind);
    }
}
