//! What in a text could be a property's value: expressions of the right kind, each with how well it is named.

use std::collections::HashSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use regex::Regex;
use rejoinder_domain::Span;
use rejoinder_recognise::amount::{FoundAmount, FoundNumber, currency_code};
use rejoinder_recognise::bank::{find_bics, find_cards, mask_cards};
use rejoinder_recognise::contact::find_phones;
use rejoinder_recognise::date::{DateValue, FoundDate};
use rejoinder_recognise::number::Decimal;
use rejoinder_recognise::{Fact, FactKind, constant_pattern, find_facts};
use serde_json::Value;

use super::candidate::{Agreement, Candidate, Origin};
use super::label::Labels;
use super::schema::{Format, Kind, NumberRule, Property, TextRule};

/// A text that is searched.
pub(crate) struct Source {
    /// What evidence calls it: `text`, `ticket/messages/0`.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    /// What its sender wrote in it; what is outside was written earlier and counts less.
    pub(crate) new_spans: Vec<Span>,
    /// When it was written, for `tomorrow` and dates without a year.
    pub(crate) written_at: Option<Timestamp>,
    /// How much its statements count, 0 to 1.
    pub(crate) weight: f32,
    /// Who wrote it, for a message of a ticket; empty for a text.
    pub(crate) writer: &'static str,
    /// ISO 639-1 code of its language, where known.
    pub(crate) language: Option<String>,
    facts: Vec<Fact>,
    lines: Vec<LabelledLine>,
}

/// `Label: value`.
struct LabelledLine {
    label: Span,
    value: Span,
}

/// The kind of expression that a property looks for. Two properties of one class compete for the same expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Date,
    DateTime,
    Time,
    Amount,
    Percent,
    Number,
    Email,
    Uri,
    Phone,
    Iban,
    Bic,
    Card,
    Currency,
    Uuid,
    Ipv4,
    Pattern,
    Identifier,
    Person,
    FreeText,
    Heading,
    Choice,
    Nothing,
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"(?m)^[ \t>*•|·-]*(?P<label>[\p{L}#][^:=\n|\t]{0,48}?)[ \t]*[:=|\t][ \t]*(?P<value>\S[^\n]{0,500})$",
    )
});

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(r"(?i)\b(?P<h>\d{1,2})(?:[:.h](?P<m>\d{2}))?(?: ?(?P<half>[ap])\.?m\b\.?| ?(?P<uhr>uhr|h)\b)?")
});

static DATE_TIME: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(r"\b\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})")
});

static UUID: LazyLock<Regex> =
    LazyLock::new(|| constant_pattern(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"));

static IPV4: LazyLock<Regex> = LazyLock::new(|| constant_pattern(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"));

static CURRENCY: LazyLock<Regex> =
    LazyLock::new(|| constant_pattern(r"\b[A-Z]{3}\b|[€$£¥₹₺₽₴]|\b(?i:euros?|dollars?|pounds?|franken)\b"));

/// What people write before their own name.
static OWN_NAME: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"\b(?i:my (?:full )?name is|i am|i'm|this is|mein name ist|ich bin|ich heiße|je m'appelle|je suis|mon nom est|me llamo|mi nombre es|soy|mi chiamo|sono|mijn naam is|ik ben|meu nome é|chamo-me)[ \u{a0}]+(?P<name>\p{Lu}[\p{L}'’.-]+(?:[ \u{a0}]\p{Lu}[\p{L}'’.-]+){0,3})",
    )
});

/// More expressions than a person would read in one text are a data file; the first ones count. It bounds the work of one
/// request: expressions times properties.
const MAX_FACTS: usize = 1_500;
/// The same for labelled lines.
const MAX_LINES: usize = 1_500;

impl Source {
    /// Reads a text once, for all properties.
    pub(crate) fn new(name: String, text: String, new_spans: Vec<Span>, language: Option<&str>) -> Self {
        let mut facts = find_facts(&text, language);
        facts.truncate(MAX_FACTS);
        let line = |captures: regex::Captures<'_>| {
            let span = |name: &str| {
                captures
                    .name(name)
                    .and_then(|found| Span::new(found.start(), found.start() + found.as_str().trim_end().len()))
            };
            Some(LabelledLine { label: span("label")?, value: span("value")? })
        };
        let lines = LINE.captures_iter(&text).filter_map(line).take(MAX_LINES).collect();
        let language = language.map(str::to_owned);
        Self { name, text, new_spans, written_at: None, weight: 1.0, writer: "", language, facts, lines }
    }

    /// How much a statement at `span` counts: less where it was only quoted.
    pub(crate) fn trust(&self, span: Span) -> f32 {
        let next = self.new_spans.partition_point(|new| new.end() < span.end());
        let is_new = self.new_spans.get(next).is_some_and(|new| new.start() <= span.start());
        self.weight * if is_new { 1.0 } else { 0.8 }
    }

    /// The facts that overlap `span`.
    pub(crate) fn facts_in(&self, span: Span) -> impl Iterator<Item = &Fact> {
        let first = self.facts.partition_point(|fact| fact.span.end() <= span.start());
        self.facts.iter().skip(first).take_while(move |fact| fact.span.start() < span.end())
    }

    /// How well `span` is named as the property: by the line's label or by the words around.
    pub(crate) fn label(&self, labels: &Labels, span: Span) -> f32 {
        let next = self.lines.partition_point(|line| line.value.end() < span.end());
        let in_line = self.lines.get(next).filter(|line| line.value.start() <= span.start());
        let by_line = in_line.map_or(0.0, |line| labels.named_by(line.label.of(&self.text).unwrap_or_default()));
        let before = self.facts.partition_point(|fact| fact.span.end() <= span.start());
        let boundary = before.checked_sub(1).and_then(|index| self.facts.get(index)).map_or(0, |fact| fact.span.end());
        by_line.max(labels.around(&self.text, span, boundary))
    }
}

/// What kind of expression the property looks for.
pub(crate) fn class_of(property: &Property, labels: &Labels) -> Class {
    match &property.kind {
        Kind::Boolean | Kind::Items(_) => Class::Nothing,
        Kind::Choice(choices) => {
            let is_code = |label: &String| {
                label.len() == 3
                    && label.bytes().all(|byte| byte.is_ascii_uppercase())
                    && currency_code(label).0.is_some()
            };
            let codes = choices.iter().all(|choice| choice.labels.first().is_some_and(is_code));
            if codes { Class::Currency } else { Class::Choice }
        }
        Kind::Number(_) if labels.ends_with(&["percent", "percentage", "prozent", "rate"]) => Class::Percent,
        Kind::Number(rule) if !rule.integer && labels.mention(&["percent", "percentage", "prozent"]) => Class::Percent,
        Kind::Number(_) if labels.mention(&["amount", "refund", "money"]) => Class::Amount,
        Kind::Number(_) => Class::Number,
        Kind::Text(rule) => text_class(rule, labels),
    }
}

fn text_class(rule: &TextRule, labels: &Labels) -> Class {
    if rule.heading {
        return Class::Heading;
    }
    match rule.format {
        Some(Format::Date) => Class::Date,
        Some(Format::DateTime) => Class::DateTime,
        Some(Format::Email) => Class::Email,
        Some(Format::Uri) => Class::Uri,
        Some(Format::Phone) => Class::Phone,
        Some(Format::Iban) => Class::Iban,
        Some(Format::Bic) => Class::Bic,
        Some(Format::Card) => Class::Card,
        Some(Format::Currency) => Class::Currency,
        Some(Format::Uuid) => Class::Uuid,
        Some(Format::Ipv4) => Class::Ipv4,
        // Without a format the name tells what is meant; a pattern tells it better.
        None if rule.pattern.is_some() && !labels.mention(&["iban", "bic"]) => Class::Pattern,
        None if labels.mention(&["iban"]) => Class::Iban,
        None if labels.ends_with(&["bic", "swift"]) => Class::Bic,
        None if labels.ends_with(&["currency", "währung", "devise", "moneda", "valuta"]) => Class::Currency,
        None if labels.ends_with(&["email", "mail", "e-mail"])
            || (labels.mention(&["email"]) && labels.ends_with(&["address"])) =>
        {
            Class::Email
        }
        None if labels.ends_with(&["phone", "telephone", "tel", "mobile", "fax", "telefon"])
            || labels.mention(&["phone"]) =>
        {
            Class::Phone
        }
        None if labels.ends_with(&["url", "link", "website", "homepage"]) => Class::Uri,
        None if labels.mention(&["card"]) && labels.ends_with(&["number", "card"]) => Class::Card,
        None if labels.ends_with(&["date", "datum", "fecha"]) => Class::Date,
        None if labels.ends_with(&["time", "uhrzeit"]) => Class::Time,
        None if labels.ends_with(&["amount", "price", "total", "betrag", "cost", "fee"]) => Class::Amount,
        None if labels.ends_with(&[
            "number",
            "no",
            "nr",
            "nummer",
            "id",
            "reference",
            "ref",
            "code",
            "sku",
            "identifier",
        ]) =>
        {
            Class::Identifier
        }
        None if labels.ends_with(&["name"])
            && labels
                .mention(&["customer", "contact", "sender", "person", "full", "client", "caller", "first", "last"]) =>
        {
            Class::Person
        }
        None => Class::FreeText,
    }
}

/// How sure a class is without any label: a checksum or an `@` says what a thing is, a bare number says nothing.
fn base_score(class: Class) -> f32 {
    match class {
        Class::Uuid | Class::Ipv4 | Class::Iban | Class::Card => 0.85,
        Class::Pattern | Class::DateTime => 0.8,
        Class::Email | Class::Bic | Class::Uri => 0.75,
        Class::Phone => 0.7,
        Class::Currency => 0.65,
        Class::Date | Class::Amount | Class::Person => 0.6,
        Class::Percent | Class::Time => 0.55,
        Class::Identifier | Class::Number => 0.2,
        Class::FreeText | Class::Heading | Class::Choice | Class::Nothing => 0.0,
    }
}

/// Every possible value of the property in the source. Only values that satisfy the schema come out.
pub(crate) fn find(
    property: &Property,
    class: Class,
    labels: &Labels,
    index: usize,
    source: &Source,
) -> Vec<Candidate> {
    let mut found = Found { source, index, labels, class, candidates: Vec::new() };
    match (&property.kind, class) {
        (Kind::Number(rule), _) => numbers(&mut found, rule),
        (Kind::Choice(choices), Class::Currency) => {
            let allowed = |code: &str| choices.iter().any(|choice| choice.value == code);
            currencies(&mut found, &allowed);
        }
        (Kind::Text(rule), Class::Currency) => currencies(&mut found, &|code| rule.allows(code)),
        (Kind::Text(rule), Class::Date) => dates(&mut found, rule),
        (Kind::Text(rule), Class::FreeText) => labelled_texts(&mut found, rule),
        (Kind::Text(rule), Class::Heading) => headings(&mut found, rule),
        (Kind::Text(rule), _) => texts(&mut found, rule),
        _ => {}
    }
    found.candidates
}

struct Found<'a> {
    source: &'a Source,
    index: usize,
    labels: &'a Labels,
    class: Class,
    candidates: Vec<Candidate>,
}

impl Found<'_> {
    /// Adds a value; `certainty` is how sure the expression is of its kind, 0 to 1.
    fn add(&mut self, span: Span, value: Value, alternative: Option<Value>, certainty: f32) {
        let label = self.source.label(self.labels, span);
        let base = base_score(self.class);
        // Half-named is not named: a word that many properties share stands near many values.
        let named = if label >= 0.3 { label } else { 0.0 };
        let score = (base + (0.97 - base) * named) * certainty * self.source.trust(span);
        self.push(span, value, alternative, (score, label));
    }

    fn push(&mut self, span: Span, value: Value, alternative: Option<Value>, (score, label): (f32, f32)) {
        let (origin, agreement) = (Origin::Recognisers, Agreement::Alone);
        let source = self.index;
        self.candidates.push(Candidate { source, span, value, alternative, score, label, origin, agreement });
    }

    fn add_text(&mut self, rule: &TextRule, span: Span, value: &str, certainty: f32) {
        if rule.allows(value) {
            self.add(span, Value::from(value), None, certainty);
        }
    }
}

fn numbers(found: &mut Found<'_>, rule: &NumberRule) {
    let source = found.source;
    let json = |value: Decimal| value.to_json().filter(|value| rule.allows(value));
    for fact in &source.facts {
        match (&fact.kind, found.class) {
            (FactKind::Amount(FoundAmount { value, currency_assumed, .. }), Class::Amount | Class::Number) => {
                let Some(value) = json(*value) else { continue };
                found.add(fact.span, value, None, if *currency_assumed { 0.98 } else { 1.0 });
            }
            (FactKind::Number(FoundNumber { value, alternative, percent, .. }), class) => {
                if *percent != (class == Class::Percent) {
                    continue;
                }
                let Some(value) = json(*value) else { continue };
                let alternative = alternative.and_then(json);
                // A bare number is an amount only if it is called one.
                let bare = class == Class::Amount;
                if !bare || source.label(found.labels, fact.span) >= 0.5 {
                    found.add(fact.span, value, alternative, if bare { 0.85 } else { 1.0 });
                }
            }
            _ => {}
        }
    }
}

fn currencies(found: &mut Found<'_>, allowed: &dyn Fn(&str) -> bool) {
    let source = found.source;
    for fact in &source.facts {
        if let FactKind::Amount(FoundAmount { currency: Some(code), currency_span, currency_assumed, .. }) = &fact.kind
            && allowed(code)
        {
            found.add(*currency_span, Value::from(*code), None, if *currency_assumed { 0.8 } else { 1.0 });
        }
    }
    let amounts: HashSet<Span> = found.candidates.iter().map(|candidate| candidate.span).collect();
    for word in CURRENCY.find_iter(&source.text).take(MAX_FACTS) {
        let Some(span) = Span::new(word.start(), word.end()) else { continue };
        let in_amount = amounts.contains(&span);
        if let (Some(code), assumed) = currency_code(word.as_str())
            && !in_amount
            && allowed(code)
        {
            found.add(span, Value::from(code), None, if assumed { 0.65 } else { 0.85 });
        }
    }
}

fn dates(found: &mut Found<'_>, rule: &TextRule) {
    let source = found.source;
    let reference = source.written_at.map(|at| at.to_zoned(TimeZone::UTC).date());
    for fact in &source.facts {
        let FactKind::Date(value) = &fact.kind else { continue };
        let date = FoundDate { span: fact.span, value: value.clone() };
        let (value, alternative, certainty) = match date.value {
            DateValue::Day(day) => (Some(day), None, 1.0),
            DateValue::Ambiguous(day_first, month_first) => (Some(day_first), Some(month_first), 0.75),
            DateValue::YearMissing(month, day) => {
                (reference.and_then(|near| nearest_year(month, day, near)), None, 0.75)
            }
            DateValue::Relative(words) => (reference.and_then(|near| relative_day(&words, near)), None, 0.75),
        };
        let Some(value) = value.map(|day| day.to_string()).filter(|day| rule.allows(day)) else { continue };
        let alternative = alternative.map(|day| Value::from(day.to_string()));
        found.add(date.span, Value::from(value), alternative, certainty);
    }
}

/// The year that puts the day nearest to when the text was written.
fn nearest_year(month: i8, day: i8, near: jiff::civil::Date) -> Option<jiff::civil::Date> {
    let years = [near.year() - 1, near.year(), near.year() + 1];
    let days = years.into_iter().filter_map(|year| jiff::civil::Date::new(year, month, day).ok());
    days.min_by_key(|date| date.since(near).map_or(i32::MAX, |span| span.get_days().abs()))
}

/// Today, tomorrow and yesterday. A weekday may be the last or the next; it is left to people.
fn relative_day(words: &str, near: jiff::civil::Date) -> Option<jiff::civil::Date> {
    match words.replace('’', "'").as_str() {
        "today" | "heute" | "aujourd'hui" | "hoy" | "oggi" | "vandaag" | "hoje" => Some(near),
        "tomorrow" | "morgen" | "demain" | "mañana" | "domani" | "amanhã" => near.tomorrow().ok(),
        "yesterday" | "gestern" | "hier" | "ayer" | "ieri" | "gisteren" | "ontem" => near.yesterday().ok(),
        _ => None,
    }
}

/// Values that are texts of a known shape.
fn texts(found: &mut Found<'_>, rule: &TextRule) {
    let source = found.source;
    let text = source.text.as_str();
    let spans_of = |pattern: &Regex| -> Vec<Span> {
        pattern.find_iter(text).take(MAX_FACTS).filter_map(|m| Span::new(m.start(), m.end())).collect()
    };
    let quote = |span: Span| span.of(text).unwrap_or_default();
    match found.class {
        Class::Pattern => {
            let places: Vec<(usize, usize)> =
                rule.pattern.as_ref().map(|pattern| pattern.find(text).take(200).collect()).unwrap_or_default();
            for span in places.into_iter().filter_map(|(start, end)| Span::new(start, end)) {
                found.add_text(rule, span, &mask_cards(quote(span)), 1.0);
            }
        }
        Class::Card => find_cards(text).into_iter().for_each(|card| found.add_text(rule, card.span, &card.masked, 1.0)),
        Class::Bic => find_bics(text).into_iter().for_each(|span| found.add_text(rule, span, quote(span), 1.0)),
        Class::Phone => {
            let covered = |span: Span| {
                source
                    .facts_in(span)
                    .any(|fact| !matches!(fact.kind, FactKind::Phone(_) | FactKind::Number(_) | FactKind::Identifier))
            };
            for phone in find_phones(text).into_iter().filter(|phone| !covered(phone.span)).take(MAX_FACTS) {
                found.add_text(rule, phone.span, &phone.number, if phone.certain { 1.0 } else { 0.6 });
            }
        }
        Class::Time => {
            for captures in CLOCK.captures_iter(text).take(MAX_FACTS) {
                if let Some((span, clock)) = read_clock(&captures) {
                    found.add_text(rule, span, &clock, 1.0);
                }
            }
        }
        Class::DateTime => {
            for span in spans_of(&DATE_TIME) {
                let value = quote(span).replacen(' ', "T", 1);
                if value.parse::<Timestamp>().is_ok() {
                    found.add_text(rule, span, &value, 1.0);
                }
            }
        }
        Class::Uuid => spans_of(&UUID).into_iter().for_each(|span| found.add_text(rule, span, quote(span), 1.0)),
        Class::Ipv4 => {
            let valid = |span: &Span| quote(*span).split('.').all(|part| part.parse::<u8>().is_ok());
            spans_of(&IPV4).into_iter().filter(valid).for_each(|span| found.add_text(rule, span, quote(span), 1.0));
        }
        Class::Person => persons(found, rule),
        _ => facts_as_text(found, rule),
    }
}

fn facts_as_text(found: &mut Found<'_>, rule: &TextRule) {
    let source = found.source;
    for fact in &source.facts {
        let quote = fact.span.of(&source.text).unwrap_or_default();
        match (&fact.kind, found.class) {
            // A link without a scheme is no URI (RFC 3986).
            (FactKind::Link, Class::Uri) if quote.contains("://") => found.add_text(rule, fact.span, quote, 1.0),
            (FactKind::Iban(iban), Class::Iban) => found.add_text(rule, fact.span, iban, 1.0),
            (FactKind::Email, Class::Email) | (FactKind::Amount(_), Class::Amount) => {
                found.add_text(rule, fact.span, quote, 1.0);
            }
            (FactKind::Identifier, Class::Identifier) if quote.chars().count() > 2 => {
                found.add_text(rule, fact.span, quote.trim_start_matches('#'), 1.0);
            }
            (FactKind::Number(number), Class::Identifier)
                if !number.percent && quote.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                found.add_text(rule, fact.span, quote, 0.95);
            }
            _ => {}
        }
    }
}

/// The name of who writes: said, labelled, or signed.
fn persons(found: &mut Found<'_>, rule: &TextRule) {
    let source = found.source;
    for captures in OWN_NAME.captures_iter(&source.text) {
        if let Some(name) = captures.name("name")
            && let Some(span) = Span::new(name.start(), name.start() + name.as_str().trim_end_matches(['.', '-']).len())
        {
            found.add_text(rule, span, span.of(&source.text).unwrap_or_default(), 1.0);
        }
    }
    if let Some(span) = crate::suggest::signed_name(&source.text) {
        found.add_text(rule, span, span.of(&source.text).unwrap_or_default(), 1.0);
    }
    labelled_texts(found, rule);
}

/// `Label: value` where the label is the property's name.
fn labelled_texts(found: &mut Found<'_>, rule: &TextRule) {
    let source = found.source;
    for line in &source.lines {
        let label = found.labels.named_by(line.label.of(&source.text).unwrap_or_default());
        let value = line.value.of(&source.text).unwrap_or_default();
        let value = mask_cards(value);
        if label >= 0.7 && rule.allows(&value) {
            let score = 0.85 * label * source.trust(line.value);
            found.push(line.value, Value::from(value), None, (score, label));
        }
    }
}

/// Headings of the table that the text begins with (RFC 4180, or with semicolons, tabs or bars as spreadsheets export it).
fn headings(found: &mut Found<'_>, rule: &TextRule) {
    let source = found.source;
    let Some(line) = source.text.lines().find(|line| !line.trim().is_empty()) else { return };
    let separators = ['\t', ';', ',', '|'];
    let Some(separator) = separators.into_iter().max_by_key(|separator| line.matches(*separator).count()) else {
        return;
    };
    let mut at = line.as_ptr() as usize - source.text.as_ptr() as usize;
    for cell in line.split(separator).take(MAX_LINES) {
        let heading = cell.trim().trim_matches('"').trim();
        let inside = heading.as_ptr() as usize - cell.as_ptr() as usize;
        let span = Span::new(at + inside, at + inside + heading.len());
        at += cell.len() + separator.len_utf8();
        let named = found.labels.named_by(heading);
        let Some(span) = span.filter(|_| named >= 0.7 && rule.allows(heading)) else { continue };
        found.push(span, Value::from(heading), None, (0.95 * named * source.weight, named));
    }
}

/// `14:30`, `2.30 pm`, `14 Uhr` as `HH:MM`, without a zone, as nobody writes one. (The format `time` of RFC 3339 needs
/// one, so that a schema with it is refused.)
fn read_clock(captures: &regex::Captures<'_>) -> Option<(Span, String)> {
    let whole = captures.get(0)?;
    let mut hour: u8 = captures.name("h")?.as_str().parse().ok()?;
    let minute: Option<u8> = captures.name("m").and_then(|minute| minute.as_str().parse().ok());
    let half = captures.name("half").map(|half| half.as_str().to_lowercase());
    if half.is_none() && captures.name("uhr").is_none() && (minute.is_none() || !whole.as_str().contains(':')) {
        return None;
    }
    match half.as_deref() {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some("p") if hour < 12 => hour += 12,
        Some("a") if hour == 12 => hour = 0,
        _ => {}
    }
    let minute = minute.unwrap_or(0);
    if hour > 23 || minute > 59 {
        return None;
    }
    let span = Span::new(whole.start(), whole.start() + whole.as_str().trim_end().len())?;
    Some((span, format!("{hour:02}:{minute:02}")))
}
