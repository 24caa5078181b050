//! Cutting what people wrote into passages that fit an embedding model.
//!
//! New text and forwarded text are cut; quoted text is not (its message has it as new text), nor are signatures and legal
//! footers. A chunk never reaches over a part of another kind, so its text is exactly the body's text under its span. Where
//! a run of text is over the token budget, it is cut at the end of a paragraph, else of a sentence, else of a line, else
//! between words, else, in a word that alone is over the budget, between tokens.

use rejoinder_domain::{Body, SeamError, SegmentKind, Span};

/// No chunk is longer, whatever a tokenizer says: many count a kilobyte of base64 as one unknown token.
pub const MAX_CHUNK_BYTES: usize = 8 << 10;

/// Changes whenever the same message would be cut otherwise, so that indexes are made anew.
pub const CHUNKER_VERSION: u32 = 1;

/// How long chunks may be, in tokens of the embedder, special tokens not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most tokens of a chunk, at least 2.
    pub max_tokens: usize,
    /// At most so many tokens at the end of a chunk are repeated at the start of the next, whole sentences where possible;
    /// at most half of `max_tokens`.
    pub overlap_tokens: usize,
}

/// A passage of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it is in the body's text; neither end is white space.
    pub span: Span,
    /// How many tokens it has.
    pub tokens: usize,
}

/// Cuts the new and forwarded text of `body`. `token_spans` is the embedder's, or [`words`] where there is none. The chunks
/// are in order of their start, and without overlap they cover every character that is not white space exactly once.
pub fn chunk(
    body: &Body,
    budget: Budget,
    token_spans: &dyn Fn(&str) -> Result<Vec<Span>, SeamError>,
) -> Result<Vec<Chunk>, SeamError> {
    let budget = Budget {
        max_tokens: budget.max_tokens.max(2),
        overlap_tokens: budget.overlap_tokens.min(budget.max_tokens.max(2) / 2),
    };
    let mut chunks = Vec::new();
    for run in runs(body) {
        let Some(text) = run.of(&body.text) else { continue };
        if text.trim().is_empty() {
            continue;
        }
        let tokens: Vec<usize> = token_spans(text)?.into_iter().map(Span::start).collect();
        let cutter = Cutter { text, tokens, borders: borders(text), budget };
        cutter.cut(run.start(), &mut chunks);
    }
    Ok(chunks)
}

/// The stretches of new and forwarded text, each as long as possible.
pub fn runs(body: &Body) -> Vec<Span> {
    let mut runs: Vec<Span> = Vec::new();
    let wanted = |kind| matches!(kind, SegmentKind::New | SegmentKind::Forwarded);
    for segment in body.segments.iter().filter(|segment| wanted(segment.kind)) {
        let joined = runs.last().filter(|last| last.end() == segment.span.start());
        match joined.and_then(|last| Span::new(last.start(), segment.span.end())) {
            Some(longer) => {
                runs.pop();
                runs.push(longer);
            }
            None => runs.push(segment.span),
        }
    }
    runs
}

/// Tokens where no embedder is at hand: words, each cut after 12 characters, so that text without spaces has some too.
pub fn words(text: &str) -> Vec<Span> {
    const LONGEST: usize = 12;
    let mut spans = Vec::new();
    let mut start: Option<(usize, usize)> = None;
    for (at, character) in text.char_indices() {
        match start {
            Some((from, length)) if character.is_whitespace() || length == LONGEST => {
                spans.extend(Span::new(from, at));
                start = (!character.is_whitespace()).then_some((at, 1));
            }
            Some((from, length)) => start = Some((from, length + 1)),
            None => start = (!character.is_whitespace()).then_some((at, 1)),
        }
    }
    if let Some((from, _)) = start {
        spans.extend(Span::new(from, text.len()));
    }
    spans
}

/// How good a place is for a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Word,
    Line,
    Sentence,
    Paragraph,
}

/// A place for a cut: the first byte of a word.
#[derive(Clone, Copy, Debug)]
struct Border {
    at: usize,
    level: Level,
}

/// Every start of a word but the first, with what precedes it.
fn borders(text: &str) -> Vec<Border> {
    let mut borders = Vec::new();
    let mut newlines = 0;
    let mut in_space = false;
    let mut ends_sentence = false;
    let mut seen = false;
    for (at, character) in text.char_indices() {
        if character.is_whitespace() {
            in_space = true;
            newlines += usize::from(character == '\n');
            continue;
        }
        // Chinese and Japanese sentences end without a space.
        if seen && (in_space || (ends_sentence && is_wide_stop(text, at))) {
            let level = match newlines {
                0 | 1 if ends_sentence => Level::Sentence,
                0 => Level::Word,
                1 => Level::Line,
                _ => Level::Paragraph,
            };
            borders.push(Border { at, level });
        }
        // A closing bracket or quotation mark belongs to the sentence that it closes.
        let closes = matches!(character, ')' | ']' | '"' | '\'' | '»' | '“' | '”' | '’' | '」' | '』');
        ends_sentence = matches!(character, '.' | '!' | '?' | '…' | '。' | '！' | '？') || (closes && ends_sentence);
        (seen, in_space, newlines) = (true, false, 0);
    }
    borders
}

/// Whether the character before `at` ends a sentence without a space after it.
fn is_wide_stop(text: &str, at: usize) -> bool {
    text.get(..at).is_some_and(|before| before.ends_with(['。', '！', '？']))
}

/// Cuts one run of text. Every search is bounded by a chunk's length, so the whole is linear in the text.
struct Cutter<'a> {
    text: &'a str,
    /// Where each token starts, ascending.
    tokens: Vec<usize>,
    borders: Vec<Border>,
    budget: Budget,
}

impl Cutter<'_> {
    fn cut(&self, offset: usize, chunks: &mut Vec<Chunk>) {
        let mut start = self.skip_space(0);
        let mut covered = start;
        while covered < self.text.len() {
            let mut limit = self.limit(start);
            if limit <= covered {
                // The overlap alone fills the chunk: go on without it.
                start = covered;
                limit = self.limit(start);
            }
            let end = if limit == self.text.len() { limit } else { self.best_cut(start, covered, limit) };
            let text = self.text.get(start..end).unwrap_or_default();
            if let Some(span) = Span::new(offset + start, offset + start + text.trim_end().len()) {
                chunks.push(Chunk { span, tokens: self.token_at(end) - self.token_at(start) });
            }
            covered = self.skip_space(end);
            start = if covered < self.text.len() { self.restart(start, covered) } else { covered };
        }
    }

    /// The furthest end of a chunk that starts at `start`; greater than `start`, on a character's border.
    fn limit(&self, start: usize) -> usize {
        let first = self.token_at(start);
        let by_tokens = self.tokens.get(first + self.budget.max_tokens).copied().unwrap_or(self.text.len());
        let by_bytes = self.text.floor_char_boundary(start + MAX_CHUNK_BYTES);
        let limit = self.text.floor_char_boundary(by_tokens.min(by_bytes));
        if limit > start { limit } else { self.text.ceil_char_boundary(start + 1) }
    }

    /// The best place after `covered` and up to `limit`: of the highest level in the second half of the budget, the last of
    /// several; else the last place at all; else `limit` itself.
    fn best_cut(&self, start: usize, covered: usize, limit: usize) -> usize {
        let half = self.token_at(start) + self.budget.max_tokens / 2;
        let half = self.tokens.get(half).copied().unwrap_or(start);
        let places = self.borders_between(covered + 1, limit + 1);
        let later = places.iter().filter(|border| border.at >= half).max_by_key(|border| border.level);
        later.or(places.last()).map_or(limit, |border| border.at)
    }

    /// Where the chunk after the one from `start` begins: at `covered`, or so far before as the overlap allows.
    fn restart(&self, start: usize, covered: usize) -> usize {
        if self.budget.overlap_tokens == 0 {
            return covered;
        }
        let first = self.token_at(covered).saturating_sub(self.budget.overlap_tokens);
        let earliest = self.tokens.get(first).copied().unwrap_or(covered).max(start + 1);
        let places = self.borders_between(earliest, covered);
        let whole = places.iter().find(|border| border.level >= Level::Sentence);
        whole.or(places.first()).map_or(covered, |border| border.at)
    }

    fn borders_between(&self, from: usize, to: usize) -> &[Border] {
        let first = self.borders.partition_point(|border| border.at < from);
        let last = self.borders.partition_point(|border| border.at < to);
        self.borders.get(first..last).unwrap_or_default()
    }

    /// Index of the first token that starts at or after `at`.
    fn token_at(&self, at: usize) -> usize {
        self.tokens.partition_point(|&start| start < at)
    }

    fn skip_space(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        self.text.len() - rest.trim_start().len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rejoinder_domain::{Body, BodySource, Segment, SegmentKind, Span};

    use super::{Budget, Chunk, MAX_CHUNK_BYTES, chunk, words};

    const KINDS: [SegmentKind; 5] =
        [SegmentKind::New, SegmentKind::Quoted, SegmentKind::Forwarded, SegmentKind::Signature, SegmentKind::Legal];

    fn body(parts: &[(SegmentKind, &str)]) -> Body {
        let mut text = String::new();
        let mut segments = Vec::new();
        for (kind, part) in parts {
            let start = text.len();
            text.push_str(part);
            segments.push(Segment { kind: *kind, span: Span::new(start, text.len()).unwrap() });
        }
        Body { text, source: BodySource::Plain, segments }
    }

    fn cut(body: &Body, max_tokens: usize, overlap_tokens: usize) -> Vec<Chunk> {
        chunk(body, Budget { max_tokens, overlap_tokens }, &|text| Ok(words(text))).unwrap()
    }

    fn texts<'a>(body: &'a Body, chunks: &[Chunk]) -> Vec<&'a str> {
        chunks.iter().map(|chunk| chunk.span.of(&body.text).unwrap()).collect()
    }

    #[test]
    fn a_short_text_is_one_chunk() {
        let body = body(&[(SegmentKind::New, "  Dear Ms Weber,\n\nthank you.\n")]);
        assert_eq!(texts(&body, &cut(&body, 200, 0)), ["Dear Ms Weber,\n\nthank you."]);
    }

    #[test]
    fn quotes_and_footers_are_left_out_and_parts_do_not_run_together() {
        let body = body(&[
            (SegmentKind::New, "Yes.\n"),
            (SegmentKind::Quoted, "> Can you?\n"),
            (SegmentKind::New, "Tomorrow.\n"),
            (SegmentKind::Forwarded, "From: A\nSee below.\n"),
            (SegmentKind::Signature, "-- \nAnna\n"),
            (SegmentKind::Legal, "Confidential.\n"),
        ]);
        assert_eq!(texts(&body, &cut(&body, 200, 0)), ["Yes.", "Tomorrow.\nFrom: A\nSee below."]);
    }

    #[test]
    fn cuts_fall_on_the_best_border_of_the_second_half() {
        let body = body(&[(SegmentKind::New, "one two three. four five six\n\nseven eight nine ten.")]);
        assert_eq!(texts(&body, &cut(&body, 8, 0)), ["one two three. four five six", "seven eight nine ten."]);
        assert_eq!(texts(&body, &cut(&body, 4, 0)), ["one two three.", "four five six", "seven eight nine ten."]);
    }

    #[test]
    fn the_overlap_starts_with_a_sentence() {
        let body = body(&[(SegmentKind::New, "a b c d. e f g. h i j k. l m n.")]);
        assert_eq!(texts(&body, &cut(&body, 8, 4)), ["a b c d. e f g.", "e f g. h i j k.", "h i j k. l m n."]);
    }

    #[test]
    fn a_giant_word_is_cut_between_tokens_and_by_bytes() {
        let giant = "ä".repeat(30_000);
        let body = body(&[(SegmentKind::New, &giant)]);
        for chunk in cut(&body, 10, 3) {
            assert!(chunk.tokens <= 10);
            assert!(chunk.span.len() <= MAX_CHUNK_BYTES);
        }
        let one_token = |text: &str| Ok(vec![Span::whole(text)]);
        let chunks = chunk(&body, Budget { max_tokens: 10, overlap_tokens: 5 }, &one_token).unwrap();
        assert!(chunks.len() >= 7 && chunks.iter().all(|chunk| chunk.span.len() <= MAX_CHUNK_BYTES));
    }

    #[test]
    fn nothing_new_makes_no_chunk() {
        let body = body(&[(SegmentKind::Quoted, "> all old\n"), (SegmentKind::New, " \n\u{a0}\n")]);
        assert_eq!(cut(&body, 10, 0), []);
    }

    fn any_body() -> impl Strategy<Value = Body> {
        let part = prop_oneof![
            "[a-z]{1,9}([ .,\n!?]{1,3}[a-zäß€。漢]{1,30}){0,40}",
            "\\PC{0,60}",
            "[ \n\t\u{a0}]{0,5}",
            "[a-z0-9+/]{200,600}",
        ];
        prop::collection::vec((0..KINDS.len(), part), 0..8).prop_map(|parts| {
            let parts: Vec<(SegmentKind, &str)> = parts.iter().map(|(k, part)| (KINDS[*k], part.as_str())).collect();
            body(&parts)
        })
    }

    proptest! {
        #[test]
        fn chunks_cover_new_text_in_order_and_in_budget(body in any_body(), max in 2usize..40, overlap in 0usize..30) {
            let chunks = cut(&body, max, overlap);
            prop_assert_eq!(&chunks, &cut(&body, max, overlap), "deterministic");
            let mut covered = vec![0u32; body.text.len()];
            let mut last = None;
            for chunk in &chunks {
                let text = chunk.span.of(&body.text);
                prop_assert!(text.is_some_and(|text| !text.is_empty() && text.trim() == text), "{:?}", text);
                prop_assert!(chunk.tokens <= max && chunk.span.len() <= MAX_CHUNK_BYTES);
                prop_assert!(last < Some(chunk.span.start()), "in order");
                last = Some(chunk.span.start());
                covered[chunk.span.start()..chunk.span.end()].iter_mut().for_each(|count| *count += 1);
            }
            for segment in &body.segments {
                let wanted = matches!(segment.kind, SegmentKind::New | SegmentKind::Forwarded);
                for (at, character) in segment.span.of(&body.text).unwrap().char_indices() {
                    let count = covered[segment.span.start() + at];
                    if !wanted {
                        prop_assert_eq!(count, 0, "only new and forwarded text");
                    } else if !character.is_whitespace() {
                        prop_assert!(count >= 1, "covered");
                        prop_assert!(overlap > 0 || count == 1, "once without overlap");
                    }
                }
            }
        }
    }
}
