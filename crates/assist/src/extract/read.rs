//! What the words of a quotation say, as a value: what a language model says they say is only compared.

use rejoinder_domain::Span;
use rejoinder_recognise::bank::mask_cards;
use serde_json::Value;

use super::candidate::{Agreement, Candidate, Origin};
use super::candidates::{Class, Source, find};
use super::label::Labels;
use super::quote::{Place, Quotable, find_within, same_writing};
use super::schema::{Choice, Kind, Property, TextRule};

/// How sure a value is that a language model pointed out, by what its quotation shows.
const READ: f32 = 0.75;
const VERBATIM: f32 = 0.7;
const MEANT: f32 = 0.62;
/// Less than what needs no look: a person decides between the model's value and the words'.
const CORRECTED: f32 = 0.55;
/// What is left where the quotation is not letter by letter in the text, and where only the value is.
const FOLDED: f32 = 0.97;
const WITHOUT_QUOTE: f32 = 0.9;
/// A value without its quotation has to be this long to be recognised in the text, in characters.
const TELLING_CHARS: usize = 4;

/// A property with what it looks for.
#[derive(Clone, Copy)]
pub(crate) struct Sought<'a> {
    pub(crate) property: &'a Property,
    pub(crate) class: Class,
    pub(crate) labels: &'a Labels,
}

/// The value of one `{"quote": .., "value": ..}`, with its evidence; `None` where the text does not bear it out.
pub(crate) fn read(sought: Sought<'_>, answer: &Value, texts: &Quotable<'_>) -> Option<Candidate> {
    let value = answer.get("value").filter(|value| !value.is_null())?;
    let quote = answer.get("quote").and_then(Value::as_str).unwrap_or_default();
    let (place, factor) = if let Some(place) = texts.find(quote, sought.labels) {
        (place, if place.exact { 1.0 } else { FOLDED })
    } else {
        let words = value.as_str().filter(|words| words.chars().count() >= TELLING_CHARS)?;
        (texts.find(words, sought.labels)?, WITHOUT_QUOTE)
    };
    let source = texts.sources().get(place.source)?;
    let span = whole_facts(source, place.span);
    let mut found = value_of(sought, value, Place { span, ..place }, source)?;
    found.score *= factor * source.trust(found.span);
    found.label = source.label(sought.labels, found.span);
    Some(found)
}

/// The quotation, with the whole of every date, number or amount that it begins or ends in the middle of.
fn whole_facts(source: &Source, span: Span) -> Span {
    let facts = source.facts_in(span).map(|fact| fact.span);
    facts.fold(span, |span, fact| Span::new(span.start().min(fact.start()), span.end().max(fact.end())).unwrap_or(span))
}

fn value_of(sought: Sought<'_>, value: &Value, place: Place, source: &Source) -> Option<Candidate> {
    let candidate = |span, value, score, agreement| Candidate {
        source: place.source,
        span,
        value,
        alternative: None,
        score,
        label: 0.0,
        origin: Origin::Model,
        agreement,
    };
    let readings = readings(sought, place, source);
    if let Some(same) = readings.iter().find(|reading| is_same(&reading.value, value)) {
        let read = candidate(same.span, same.value.clone(), READ, Agreement::Alone);
        return Some(Candidate { alternative: same.alternative.clone(), ..read });
    }
    match (readings.as_slice(), &sought.property.kind) {
        ([one], _) => {
            let read = candidate(one.span, one.value.clone(), CORRECTED, Agreement::Corrected);
            Some(Candidate { alternative: one.alternative.clone(), ..read })
        }
        ([_, ..], _) | ([], Kind::Items(_)) => None,
        ([], Kind::Text(rule)) => {
            let span = verbatim(sought.class, rule, value.as_str()?, place.span, &source.text)?;
            let words = mask_cards(span.of(&source.text)?);
            Some(candidate(span, Value::from(words), VERBATIM, Agreement::Alone))
        }
        ([], Kind::Number(rule)) => {
            let is_said = rule.allows(value) && says_number(place.span.of(&source.text)?, value);
            is_said.then(|| candidate(place.span, value.clone(), MEANT, Agreement::Alone))
        }
        ([], Kind::Choice(choices)) => {
            let chosen = choices.iter().find(|choice| choice.value == *value)?;
            let is_meant = !is_denied(chosen, place, source);
            is_meant.then(|| candidate(place.span, value.clone(), MEANT, Agreement::Alone))
        }
        ([], Kind::Boolean) => {
            value.is_boolean().then(|| candidate(place.span, value.clone(), MEANT, Agreement::Alone))
        }
    }
}

/// What recognisers read in the quotation, each value once.
fn readings(sought: Sought<'_>, place: Place, source: &Source) -> Vec<Candidate> {
    let text = place.span.of(&source.text).unwrap_or_default();
    let mut part =
        Source::new(source.name.clone(), text.to_owned(), vec![Span::whole(text)], source.language.as_deref());
    part.written_at = source.written_at;
    let classes: &[Class] = match (&sought.property.kind, sought.class) {
        // What a property is called does not say whether a number in a quotation is a percentage.
        (Kind::Number(_), Class::Percent) => &[Class::Percent, Class::Number],
        (Kind::Number(_), _) => &[Class::Number, Class::Percent],
        (_, class) => &[class],
    };
    let mut read: Vec<Candidate> = Vec::new();
    for class in classes {
        for mut found in find(sought.property, *class, sought.labels, place.source, &part) {
            let start = place.span.start();
            if let Some(span) = Span::new(start + found.span.start(), start + found.span.end())
                && !read.iter().any(|other| is_same(&other.value, &found.value))
            {
                found.span = span;
                read.push(found);
            }
        }
    }
    read
}

/// Where the quotation has the value as words, for a text that has no form of its own.
fn verbatim(class: Class, rule: &TextRule, value: &str, span: Span, text: &str) -> Option<Span> {
    // A checksum that is wrong, or a format that was not found, is no value.
    if rule.format.is_some() || matches!(class, Class::Iban | Class::Card | Class::DateTime) {
        return None;
    }
    let found = find_within(value, span, text)?;
    rule.allows(found.of(text)?).then_some(found)
}

/// Whether the value's own label stands in the quotation's sentence and is denied there: `not urgent`.
fn is_denied(choice: &Choice, place: Place, source: &Source) -> bool {
    let before = source.text.get(..place.span.start()).unwrap_or_default();
    let start = before.rfind(['\n', '.', '!', '?']).map_or(0, |at| at + 1);
    source.text.get(start..place.span.end()).is_some_and(|sentence| choice.is_denied_in(sentence))
}

/// Equal as values: numbers by value, texts but for case, spaces and marks.
pub(crate) fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::String(one), Value::String(other)) => one == other || same_writing(one, other),
        _ => one == other,
    }
}

/// Whether a word of the quotation is the number: `twelve licences`.
fn says_number(quote: &str, value: &Value) -> bool {
    const WORDS: [(i64, &[&str]); 13] = [
        (0, &["zero", "null", "zéro", "cero"]),
        (1, &["one", "ein", "eine", "einen", "einem", "einer", "un", "une", "uno", "una", "um", "uma"]),
        (2, &["two", "zwei", "deux", "dos", "dois", "duas", "both", "beide", "beiden"]),
        (3, &["three", "drei", "trois", "tres", "três"]),
        (4, &["four", "vier", "quatre", "cuatro", "quatro"]),
        (5, &["five", "fünf", "cinq", "cinco"]),
        (6, &["six", "sechs", "seis"]),
        (7, &["seven", "sieben", "sept", "siete", "sete"]),
        (8, &["eight", "acht", "huit", "ocho", "oito"]),
        (9, &["nine", "neun", "neuf", "nueve", "nove"]),
        (10, &["ten", "zehn", "dix", "diez", "dez"]),
        (11, &["eleven", "elf", "onze", "once"]),
        (12, &["twelve", "zwölf", "douze", "doce", "doze"]),
    ];
    let number =
        value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e6).map(|n| n as i64));
    let words = WORDS.iter().find(|(known, _)| Some(*known) == number).map(|(_, words)| *words);
    let said = |word: &str| words.is_some_and(|words| words.contains(&word.to_lowercase().as_str()));
    quote.split(|c: char| !c.is_alphabetic()).any(said)
}
