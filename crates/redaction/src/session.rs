//! One request: what was found in its texts, and what stands for it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use rejoinder_domain::{Address, Span};
use serde_json::Value;

use crate::error::RedactionError;
use crate::kind::Kind;
use crate::name::{Form as NameForm, NameBook};
use crate::placeholder;
use crate::raw::Raw;
use crate::redactor::{Finding, Redactor, literals};
use crate::restorer::{Form, Restorer};
use crate::token::fold;
use crate::view::View;

/// JSON is read this deep, as `serde_json` reads it.
const DEPTH: usize = 128;

/// A name alone of fewer letters is part of too many words: it counts only where no letter adjoins.
const SHORT_NAME: usize = 5;

/// A value of the request: every spelling of it has the same number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    kind: Kind,
    /// The value without what may differ between spellings; a person's place in the book.
    key: String,
}

struct Entry {
    number: u32,
    /// How many spellings of each form have a placeholder.
    spellings: HashMap<&'static str, u32>,
}

/// What a text stands for that is looked for verbatim.
#[derive(Clone)]
struct Target {
    subject: Subject,
    form: &'static str,
    /// Whether it counts only where no letter adjoins.
    whole_word: bool,
}

/// What is replaced: first byte, one past the last, for what it stands, in which form.
type Piece = (usize, usize, Subject, &'static str);

/// The placeholders of one request, the same in all of its texts.
///
/// Use it in two phases: first [`Session::learn`] for every text that will be sent, then [`Session::redact`] for each. A
/// value that only one of them tells to be personal (`account no. 12345678`) is then replaced in all of them, wherever it
/// stands, also within a word and also escaped for JSON.
pub struct Session {
    redactor: Redactor,
    book: NameBook,
    subjects: HashMap<Subject, Entry>,
    numbers: HashMap<Kind, u32>,
    /// Each text that is replaced, and by what.
    surfaces: HashMap<String, String>,
    /// Each placeholder, and for what it stands.
    values: Arc<HashMap<String, String>>,
    found: HashMap<Box<str>, Vec<Raw>>,
    targets: HashMap<String, Target>,
    search: Option<Search>,
}

/// All texts that are looked for verbatim, compiled.
struct Search {
    automaton: AhoCorasick,
    targets: Vec<Target>,
}

/// How much it holds, and none of it.
impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(redactor: Redactor, people: &[Address]) -> Self {
        let mut session = Self {
            redactor,
            book: NameBook::new(people),
            subjects: HashMap::new(),
            numbers: HashMap::new(),
            surfaces: HashMap::new(),
            values: Arc::default(),
            found: HashMap::new(),
            targets: HashMap::new(),
            search: None,
        };
        let written = session.book.written().to_vec();
        for (name, person) in written {
            let subject = Subject { kind: Kind::Person, key: person.to_string() };
            session.look_for(&name, &subject, "");
        }
        for email in session.book.emails().to_vec() {
            let subject = subject(Kind::Email, &email, None);
            session.look_for(&email, &subject, "");
        }
        session
    }

    /// Finds the values of a text, so that [`Session::redact`] replaces them in every text of the request.
    pub fn learn(&mut self, text: &str) {
        if self.found.contains_key(text) {
            return;
        }
        let found = self.redactor.detect(text, &self.book);
        for raw in &found {
            let Some(surface) = text.get(raw.start..raw.end) else { continue };
            let (subject, form) = (subject(raw.kind, surface, raw.name), form_of(raw.name));
            self.placeholder(surface, &subject, form);
            self.look_for(surface, &subject, form);
        }
        self.found.insert(text.into(), found);
    }

    /// Everything in a text that [`Session::redact`] replaces.
    pub(crate) fn find(&mut self, text: &str) -> Vec<Finding> {
        self.learn(text);
        let finding = |piece: Piece| Some(Finding { span: Span::new(piece.0, piece.1)?, kind: piece.2.kind });
        self.pieces(text).into_iter().filter_map(finding).collect()
    }

    /// The text with everything replaced that was found in it or in a text learnt before.
    pub fn redact(&mut self, text: &str) -> String {
        self.learn(text);
        let pieces = self.pieces(text);
        let mut redacted = String::with_capacity(text.len());
        let mut at = 0;
        for (start, end, subject, form) in pieces {
            redacted.push_str(text.get(at..start).unwrap_or_default());
            let surface = text.get(start..end).unwrap_or_default();
            redacted.push_str(&self.placeholder(surface, &subject, form));
            at = end;
        }
        redacted.push_str(text.get(at..).unwrap_or_default());
        redacted
    }

    /// Learns every string of a JSON value.
    pub fn learn_json(&mut self, value: &Value) {
        // No recursion: a value may be nested as deep as a program makes it.
        let mut left = vec![value];
        while let Some(value) = left.pop() {
            match value {
                Value::String(text) => self.learn(text),
                Value::Array(items) => left.extend(items.iter().rev()),
                Value::Object(fields) => left.extend(fields.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }

    /// The value with every string redacted. An error where that is not enough; then nothing of it may be sent.
    pub fn redact_json(&mut self, value: &Value) -> Result<Value, RedactionError> {
        self.learn_json(value);
        self.redact_value(value, 0)
    }

    fn redact_value(&mut self, value: &Value, depth: usize) -> Result<Value, RedactionError> {
        if depth > DEPTH {
            return Err(RedactionError::Depth);
        }
        match value {
            Value::String(text) => Ok(Value::String(self.redact(text))),
            Value::Array(items) => {
                let items: Result<Vec<Value>, _> =
                    items.iter().map(|item| self.redact_value(item, depth + 1)).collect();
                items.map(Value::Array)
            }
            Value::Object(fields) => {
                let mut redacted = serde_json::Map::with_capacity(fields.len());
                for (key, field) in fields {
                    let found = self.redactor.detect(key, &self.book);
                    if !found.is_empty() || !self.pieces(key).is_empty() {
                        return Err(RedactionError::Key);
                    }
                    redacted.insert(key.clone(), self.redact_value(field, depth + 1)?);
                }
                Ok(Value::Object(redacted))
            }
            Value::Number(number) => {
                let written = number.to_string();
                let sure = |raw: &Raw| matches!(raw.kind, Kind::Card | Kind::NationalId | Kind::Phone);
                let found = self.redactor.detect(&written, &self.book);
                let known = !self.pieces(&written).is_empty();
                if known || found.iter().any(sure) { Err(RedactionError::Number) } else { Ok(value.clone()) }
            }
            Value::Null | Value::Bool(_) => Ok(value.clone()),
        }
    }

    /// How many different values of each kind were replaced.
    pub fn counts(&self) -> BTreeMap<&'static str, u32> {
        self.numbers.iter().map(|(kind, number)| (kind.as_str(), *number)).collect()
    }

    /// Puts the values back into an answer that comes in parts. It knows the placeholders given out so far.
    pub fn restorer(&self, form: Form) -> Restorer {
        Restorer::new(Arc::clone(&self.values), form)
    }

    /// A whole answer with the values put back.
    pub fn restore(&self, text: &str) -> String {
        let mut restorer = self.restorer(Form::Text);
        let mut shown = restorer.push(text);
        shown.push_str(&restorer.finish());
        shown
    }

    /// What is replaced in a text, in order.
    fn pieces(&mut self, text: &str) -> Vec<Piece> {
        let found = self.found.get(text).cloned().unwrap_or_default();
        let mut pieces = Vec::with_capacity(found.len());
        let mut at = 0;
        for raw in &found {
            self.verbatim(text, at, raw.start, &mut pieces);
            let surface = text.get(raw.start..raw.end).unwrap_or_default();
            pieces.push((raw.start, raw.end, subject(raw.kind, surface, raw.name), form_of(raw.name)));
            at = raw.end;
        }
        self.verbatim(text, at, text.len(), &mut pieces);
        // Last, for what was cut off by a value may look like a placeholder only now.
        let starts = std::iter::once(0).chain(pieces.iter().map(|piece| piece.1));
        let ends = pieces.iter().map(|piece| piece.0).chain(std::iter::once(text.len()));
        let gaps = starts.zip(ends).flat_map(|(start, end)| literals(text, start, end));
        let literals: Vec<_> = gaps
            .map(|(start, end)| {
                (start, end, subject(Kind::Literal, text.get(start..end).unwrap_or_default(), None), "")
            })
            .collect();
        if !literals.is_empty() {
            pieces.extend(literals);
            pieces.sort_by_key(|piece| piece.0);
        }
        pieces
    }

    /// Known values between two places of a text.
    fn verbatim(&mut self, text: &str, start: usize, end: usize, pieces: &mut Vec<Piece>) {
        if start >= end {
            return;
        }
        let Some(search) = self.compiled() else { return };
        let from = pieces.len();
        let mut rejected = Vec::new();
        let mut at = start;
        while let Some(hit) = search.automaton.find(Input::new(text).range(at..end)) {
            let Some(target) = search.targets.get(hit.pattern().as_usize()) else { break };
            let (before, after) = (text.get(start..hit.start()), text.get(hit.end()..end));
            let adjoins = before.is_some_and(|before| before.ends_with(char::is_alphabetic))
                || after.is_some_and(|after| after.starts_with(char::is_alphabetic));
            if target.whole_word && adjoins {
                rejected.push((hit.start(), hit.end(), target.subject.clone(), target.form));
                at = hit.start()
                    + text.get(hit.start()..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
                continue;
            }
            pieces.push((hit.start(), hit.end(), target.subject.clone(), target.form));
            at = hit.end();
        }
        // A short name beside a value that is replaced now stands alone.
        for (hit_start, hit_end, subject, form) in rejected {
            let found = pieces.get(from..).unwrap_or_default();
            let place = found.partition_point(|piece| piece.1 <= hit_start);
            let left = place.checked_sub(1).and_then(|left| found.get(left)).map_or(start, |piece| piece.1);
            let right = found.get(place).map_or(end, |piece| piece.0);
            let free = right >= hit_end
                && !text.get(left..hit_start).is_some_and(|before| before.ends_with(char::is_alphabetic))
                && !text.get(hit_end..right).is_some_and(|after| after.starts_with(char::is_alphabetic));
            if free {
                pieces.insert(from + place, (hit_start, hit_end, subject, form));
            }
        }
    }

    fn compiled(&mut self) -> Option<&Search> {
        if self.search.is_none() && !self.targets.is_empty() {
            let (texts, targets): (Vec<&String>, Vec<Target>) =
                self.targets.iter().map(|(text, target)| (text, target.clone())).unzip();
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                // The quickest to build: it serves a few texts.
                .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                .build(texts)
                .ok()?;
            self.search = Some(Search { automaton, targets });
        }
        self.search.as_ref()
    }

    /// Looks for a value in every text from now on, as it is written and as it may be written elsewhere.
    fn look_for(&mut self, surface: &str, subject: &Subject, form: &'static str) {
        if !self.redactor.looks_for(subject.kind) || surface.is_empty() {
            return;
        }
        let name = subject.kind == Kind::Person;
        let whole_word =
            name && surface.chars().filter(|c| c.is_alphabetic()).count() < SHORT_NAME && surface.is_ascii();
        for text in written_elsewhere(surface, subject) {
            if let std::collections::hash_map::Entry::Vacant(free) = self.targets.entry(text) {
                free.insert(Target { subject: subject.clone(), form, whole_word });
                self.search = None;
            }
        }
    }

    /// The placeholder of a text, the same each time.
    fn placeholder(&mut self, surface: &str, subject: &Subject, form: &'static str) -> String {
        if let Some(placeholder) = self.surfaces.get(surface) {
            return placeholder.clone();
        }
        let numbers = &mut self.numbers;
        let entry = self.subjects.entry(subject.clone()).or_insert_with(|| {
            let number = numbers.entry(subject.kind).or_default();
            *number += 1;
            Entry { number: *number, spellings: HashMap::new() }
        });
        let spelling = entry.spellings.entry(form).or_default();
        let placeholder = placeholder::write(subject.kind, entry.number, form, *spelling);
        *spelling += 1;
        self.surfaces.insert(surface.to_owned(), placeholder.clone());
        Arc::make_mut(&mut self.values).insert(placeholder.clone(), surface.to_owned());
        placeholder
    }
}

fn form_of(name: Option<(usize, NameForm)>) -> &'static str {
    match name {
        Some((_, NameForm::First)) => "_FIRST",
        Some((_, NameForm::Last)) => "_LAST",
        Some((_, NameForm::Full)) | None => "",
    }
}

/// Which value a text is: spellings of the same value give the same.
fn subject(kind: Kind, surface: &str, name: Option<(usize, NameForm)>) -> Subject {
    if let (Kind::Person, Some((person, _))) = (kind, name) {
        return Subject { kind, key: person.to_string() };
    }
    if kind == Kind::Literal {
        return Subject { kind, key: surface.to_owned() };
    }
    let view = View::new(surface);
    let plain = view.plain();
    let only = |keep: fn(char) -> bool| -> String {
        plain.chars().filter(|c| keep(*c)).flat_map(char::to_uppercase).collect()
    };
    let key = match kind {
        Kind::Email | Kind::IpAddress => plain.to_lowercase(),
        Kind::Phone => {
            let digits = only(|c| c.is_ascii_digit());
            digits.strip_prefix("00").map_or(digits.clone(), str::to_owned)
        }
        Kind::PostalAddress | Kind::BirthDate | Kind::Person => fold(plain)
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        _ => only(char::is_alphanumeric),
    };
    Subject { kind, key }
}

/// A value as it is written, compact, and escaped as JSON and links escape it.
fn written_elsewhere(surface: &str, subject: &Subject) -> Vec<String> {
    let mut written = vec![surface.to_owned()];
    let compact = matches!(subject.kind, Kind::Iban | Kind::Card | Kind::Phone | Kind::NationalId);
    if compact && subject.key.len() >= 7 {
        written.push(subject.key.clone());
    }
    if subject.kind == Kind::Email {
        written.push(surface.replace('@', "%40"));
        written.push(subject.key.clone());
    }
    let escaped = serde_json::to_string(surface).unwrap_or_default();
    let escaped = escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default();
    if escaped.contains('/') {
        written.push(escaped.replace('/', "\\/"));
    }
    if !surface.is_ascii() {
        for upper in [false, true] {
            written.push(ascii_escaped(escaped, upper));
        }
    }
    written.push(escaped.to_owned());
    // JSON within JSON: arguments of a tool in a transcript.
    let twice: Vec<String> =
        written.iter().filter(|text| text.contains('\\')).map(|text| text.replace('\\', "\\\\")).collect();
    written.extend(twice);
    written.retain(|text| !text.is_empty());
    written
}

fn ascii_escaped(text: &str, upper: bool) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = if upper { write!(escaped, "\\u{unit:04X}") } else { write!(escaped, "\\u{unit:04x}") };
        }
    }
    escaped
}
