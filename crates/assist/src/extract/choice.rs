//! Which of a property's allowed values a text means: by its label, else by its meaning.

use rejoinder_domain::{Role, Span};
use serde_json::Value;

use super::candidate::{Agreement, Candidate, Origin};
use super::candidates::Source;
use super::label::{Labels, stem};
use super::schema::Choice;
use crate::seams::TenantEmbedder;
use crate::{AssistConfig, AssistError};

/// Words that turn round what follows them.
const NEGATIONS: [&str; 22] = [
    "not", "no", "never", "without", "nicht", "kein", "keine", "keinen", "ohne", "pas", "sans", "non", "ne", "sin",
    "senza", "niet", "geen", "zonder", "não", "sem", "isn", "don",
];

/// How far before a label a negation counts, in words.
const NEGATION_REACH: usize = 3;

/// A label that stands in a text more often says no more.
const MAX_PLACES: usize = 50;

/// A sentence of a source.
pub(crate) struct Sentence {
    /// Index of the source.
    pub(crate) source: usize,
    /// Where.
    pub(crate) span: Span,
    vector: Vec<f32>,
}

/// Values whose label the source holds as words: `refund_request` is found in "a refund request" and "Refund requests".
pub(crate) fn by_label(choices: &[Choice], labels: &Labels, index: usize, source: &Source) -> Vec<Candidate> {
    let words = word_spans(&source.text);
    let stems: Vec<String> =
        words.iter().map(|span| stem(&span.of(&source.text).unwrap_or_default().to_lowercase())).collect();
    let mut found = Vec::new();
    for choice in choices.iter().filter(|choice| !choice.value.is_boolean()) {
        for label in &choice.labels {
            let wanted: Vec<String> =
                super::label::words(&label.replace(['_', '-'], " ")).map(|word| stem(&word)).collect();
            if wanted.is_empty() {
                continue;
            }
            let places = stems.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted.as_slice());
            for (at, _) in places.take(MAX_PLACES) {
                let span = words
                    .get(at)
                    .zip(words.get(at + wanted.len() - 1))
                    .and_then(|(first, last)| Span::new(first.start(), last.end()));
                let Some(span) = span.filter(|_| !is_negated(&stems, at)) else { continue };
                let near = source.label(labels, span);
                // One or two letters are a code; without the property's name beside it they mean anything.
                let written = span.of(&source.text).unwrap_or_default();
                let is_code = label.chars().count() <= 2 || choice.value.is_number();
                if is_code && (near < 0.4 || written != label) {
                    continue;
                }
                let score = (0.6 + 0.37 * near) * source.trust(span);
                found.push(Candidate {
                    source: index,
                    span,
                    value: choice.value.clone(),
                    alternative: None,
                    score,
                    label: near,
                    origin: Origin::Recognisers,
                    agreement: Agreement::Alone,
                });
            }
        }
    }
    found
}

impl Choice {
    /// Whether one of the choice's labels stands in `text` and is denied wherever it does: `not urgent`.
    pub(crate) fn is_denied_in(&self, text: &str) -> bool {
        let stems: Vec<String> = super::label::words(text).map(|word| stem(&word)).collect();
        let (mut places, mut denied) = (0, 0);
        for label in &self.labels {
            let wanted: Vec<String> =
                super::label::words(&label.replace(['_', '-'], " ")).map(|word| stem(&word)).collect();
            if wanted.is_empty() {
                continue;
            }
            let found = stems.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted.as_slice());
            for (at, _) in found {
                places += 1;
                denied += usize::from(is_negated(&stems, at));
            }
        }
        places > 0 && denied == places
    }
}

/// Divides the new text of every source into sentences and embeds them; at most as many as configured.
pub(crate) async fn embed_sentences(
    sources: &[Source],
    embedder: TenantEmbedder<'_>,
    most: usize,
) -> Result<Vec<Sentence>, AssistError> {
    let mut places: Vec<(usize, Span)> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        for part in &source.new_spans {
            places.extend(sentence_spans(&source.text, *part).into_iter().map(|span| (index, span)));
        }
    }
    places.truncate(most);
    let text = |(index, span): &(usize, Span)| {
        sources.get(*index).and_then(|source| span.of(&source.text)).unwrap_or_default().to_owned()
    };
    let texts: Vec<String> = places.iter().map(text).collect();
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let vectors = embedder.embed(texts, Role::Query).await?;
    Ok(places.into_iter().zip(vectors).map(|((source, span), vector)| Sentence { source, span, vector }).collect())
}

/// The value whose meaning some sentence comes nearest to, where it is near enough and clearly nearer than to any other
/// value; the sentence is the evidence.
pub(crate) async fn by_meaning(
    choices: &[Choice],
    sentences: &[Sentence],
    embedder: TenantEmbedder<'_>,
    config: &AssistConfig,
) -> Result<Option<Candidate>, AssistError> {
    let meant: Vec<&Choice> = choices.iter().filter(|choice| choice.value.is_string()).collect();
    // One value cannot be told from another, and a value that is neither described nor a word means nothing.
    if meant.len() < 2 || sentences.is_empty() {
        return Ok(None);
    }
    let texts = meant.iter().map(|choice| {
        let label = choice.labels.last().map(|label| label.replace(['_', '-'], " ")).unwrap_or_default();
        format!("{label}. {}", choice.description).trim_end_matches(['.', ' ']).to_owned()
    });
    let vectors = embedder.embed(texts.collect(), Role::Passage).await?;
    let mut best: Vec<(f32, &Choice, &Sentence)> = Vec::new();
    for (choice, vector) in meant.into_iter().zip(&vectors) {
        let nearest = sentences.iter().map(|sentence| (cosine(vector, &sentence.vector), sentence));
        if let Some((similarity, sentence)) = nearest.max_by(|one, other| one.0.total_cmp(&other.0)) {
            best.push((similarity, choice, sentence));
        }
    }
    best.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (Some((similarity, choice, sentence)), second) = (best.first(), best.get(1)) else { return Ok(None) };
    let margin = second.map_or(1.0, |(second, _, _)| similarity - second);
    if *similarity < config.enum_min_similarity || margin < config.enum_margin {
        return Ok(None);
    }
    let above = (similarity - config.enum_min_similarity) / (1.0 - config.enum_min_similarity).max(f32::EPSILON);
    let score = (0.45 + 0.3 * above + 0.5 * (margin - config.enum_margin)).clamp(0.0, 0.8);
    let value: Value = choice.value.clone();
    Ok(Some(Candidate {
        source: sentence.source,
        span: sentence.span,
        value,
        alternative: None,
        score,
        label: 0.0,
        origin: Origin::Recognisers,
        agreement: Agreement::Alone,
    }))
}

/// Vectors are normalised, so that the dot product is the cosine.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn is_negated(stems: &[String], at: usize) -> bool {
    let from = at.saturating_sub(NEGATION_REACH);
    stems.get(from..at).unwrap_or_default().iter().any(|word| NEGATIONS.contains(&word.as_str()))
}

fn word_spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                spans.extend(Span::new(from, at));
                start = None;
            }
            _ => {}
        }
    }
    spans
}

/// Sentences of at least three words: up to a line end, or `.`, `!`, `?` before a space.
fn sentence_spans(text: &str, part: Span) -> Vec<Span> {
    let inside = part.of(text).unwrap_or_default();
    let mut spans = Vec::new();
    let mut from = 0;
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let ends = c == '\n' || (matches!(c, '.' | '!' | '?') && next.is_none_or(char::is_whitespace));
        if ends || next.is_none() {
            let end = at + c.len_utf8();
            let sentence = inside.get(from..end).unwrap_or_default();
            let lead = sentence.len() - sentence.trim_start().len();
            if sentence.split_whitespace().count() >= 3 {
                let start = part.start() + from + lead;
                spans.extend(Span::new(start, start + sentence.trim().len()));
            }
            from = end;
        }
    }
    spans
}
