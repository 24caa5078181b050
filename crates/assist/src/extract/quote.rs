//! Where a quotation is in the texts: letter by letter, or but for case, spaces and typography.

use rejoinder_domain::Span;

use super::candidates::Source;
use super::label::Labels;

/// A quotation that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Index of the source.
    pub(crate) source: usize,
    /// Where.
    pub(crate) span: Span,
    /// Whether every letter is as it was quoted.
    pub(crate) exact: bool,
}

/// The texts, each also as it is compared.
pub(crate) struct Quotable<'a> {
    sources: &'a [Source],
    folded: Vec<Folded>,
}

/// A word that stands in a text more often is looked at no further.
const MAX_PLACES: usize = 50;

impl<'a> Quotable<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        Self { sources, folded: sources.iter().map(|source| Folded::of(&source.text)).collect() }
    }

    /// The texts.
    pub(crate) fn sources(&self) -> &'a [Source] {
        self.sources
    }

    /// Where `quote` is. Of several places the one that is named best, then the one that counts most; a place inside a
    /// longer word or number is none.
    pub(crate) fn find(&self, quote: &str, labels: &Labels) -> Option<Place> {
        let quote = quote.trim();
        let bare = quote.trim_matches(|c: char| {
            matches!(c, '"' | '\'' | '“' | '”' | '„' | '«' | '»' | '.' | ',' | ';' | ':' | '…')
        });
        let wanted = [quote, bare.trim()];
        wanted.into_iter().filter(|words| !words.is_empty()).find_map(|words| self.best(words, labels))
    }

    fn best(&self, words: &str, labels: &Labels) -> Option<Place> {
        let folded = fold(words);
        let mut best: Option<(f32, Place)> = None;
        for (index, (source, text)) in self.sources.iter().zip(&self.folded).enumerate() {
            for span in text.places(&folded).filter(|span| is_whole(*span, &source.text)).take(MAX_PLACES) {
                let exact = span.of(&source.text) == Some(words);
                let rank = source.label(labels, span) + source.trust(span) + if exact { 0.1 } else { 0.0 };
                // Of equal places in a ticket the later counts, in one text the first.
                if best.is_none_or(|(most, place)| rank > most || (rank >= most && place.source < index)) {
                    best = Some((rank, Place { source: index, span, exact }));
                }
            }
        }
        best.map(|(_, place)| place)
    }
}

/// Where `words` are inside `span` of `text`, but for case, spaces and typography.
pub(crate) fn find_within(words: &str, span: Span, text: &str) -> Option<Span> {
    let part = span.of(text)?;
    let found = Folded::of(part).places(&fold(words)).find(|inner| is_whole(*inner, part))?;
    Span::new(span.start() + found.start(), span.start() + found.end())
}

/// Whether two writings are the same but for case, spaces and marks: `+49 30 12` and `+493012`.
pub(crate) fn same_writing(one: &str, other: &str) -> bool {
    let plain =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let (one, other) = (plain(one), plain(other));
    !one.is_empty() && one == other
}

fn is_whole(span: Span, text: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let quote = span.of(text).unwrap_or_default();
    let before = text.get(..span.start()).and_then(|before| before.chars().next_back());
    let after = text.get(span.end()..).and_then(|after| after.chars().next());
    let cuts = (word(before) && word(quote.chars().next())) || (word(after) && word(quote.chars().next_back()));
    !quote.is_empty() && !cuts
}

/// A text as it is compared, with where each byte of it comes from.
struct Folded {
    text: String,
    /// For each byte of `text` the bytes of the character that it was made from.
    origin: Vec<(usize, usize)>,
}

impl Folded {
    fn of(text: &str) -> Self {
        let mut folded = Self { text: String::with_capacity(text.len()), origin: Vec::with_capacity(text.len()) };
        for (at, c) in text.char_indices() {
            let end = at + c.len_utf8();
            match plain(c) {
                None => {}
                Some(' ') if folded.text.ends_with(' ') => {
                    // A run of spaces is one; it ends where its last does.
                    if let Some(last) = folded.origin.last_mut() {
                        last.1 = end;
                    }
                }
                Some(plain) => {
                    for lower in plain.to_lowercase() {
                        folded.text.push(lower);
                        folded.origin.extend(std::iter::repeat_n((at, end), lower.len_utf8()));
                    }
                }
            }
        }
        folded
    }

    /// Every place of the folded `words`, as a span of the text that was folded.
    fn places(&self, words: &str) -> impl Iterator<Item = Span> {
        let found: Vec<Span> = if words.is_empty() {
            Vec::new()
        } else {
            let places = self.text.match_indices(words);
            places
                .filter_map(|(at, words)| {
                    let (start, _) = self.origin.get(at)?;
                    let (_, end) = self.origin.get(at + words.len() - 1)?;
                    Span::new(*start, *end)
                })
                .collect()
        };
        found.into_iter()
    }
}

fn fold(words: &str) -> String {
    Folded::of(words.trim()).text
}

/// The character that is compared instead; `None` for one that nobody sees.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}' | '\u{202a}'..='\u{202e}' => None,
        '‘' | '’' | '‚' | '`' | '´' => Some('\''),
        '“' | '”' | '„' | '«' | '»' => Some('"'),
        '–' | '—' | '‐' | '‑' | '−' => Some('-'),
        _ if c.is_whitespace() => Some(' '),
        _ => Some(c),
    }
}
