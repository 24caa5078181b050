//! Filling the attributes of a JSON Schema from a text or ticket.
//!
//! Recognisers find expressions (dates, amounts, accounts, ...), labels decide which property each belongs to, and what has
//! no evidence is abstained from. A language model, where there is one, points to the words that say each attribute; its
//! quotations are looked up in the text and read by the recognisers, so that what it invents falls away. Where the two
//! differ, both values are shown.
//!
//! Modules in reading order: `schema`, `parse`, `pattern`, `label` (what a property is called), `candidate`, `candidates`, `choice` (enums), `assign`;
//! for a language model `form` (what it is asked), `quote`, `read` (what its quotations say), `fill`, `merge`.

mod assign;
mod candidate;
mod candidates;
mod choice;
mod fill;
#[cfg(test)]
mod fill_tests;
mod form;
mod label;
mod merge;
mod parse;
mod pattern;
mod quote;
mod read;
mod schema;
#[cfg(test)]
mod tests;

use std::time::Instant;

use jiff::Timestamp;
use rejoinder_domain::{Span, TenantId};
use serde_json::Value;

use crate::generation::elapsed_ms;
use crate::seams::TenantEmbedder;
use crate::suggest::answer::{Attempt, Usage};
use crate::ticket::{TicketDirection, check_chars};
use crate::{Assist, AssistError, Caller, RequestLimits, SchemaError, Ticket};
use candidate::Candidate;
pub use candidate::{Agreement, Origin};
use candidates::{Class, Source};
use fill::Form;
use label::Labels;
pub(crate) use label::stem;
use schema::{Kind, Schema};

/// The provider that works without a model.
const PROVIDER: &str = "recognisers";

/// What attributes are read from.
#[derive(Clone, Debug, PartialEq)]
pub enum ExtractInput {
    /// A text. All of it was chosen by the caller and is searched; quoted history counts a little less.
    Text {
        /// The text.
        text: String,
        /// When it was written, for `tomorrow` and dates without a year.
        written_at: Option<Timestamp>,
    },
    /// A ticket: its subject and messages; the customer's and the later ones count more.
    Ticket(Ticket),
}

/// What to extract.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractRequest {
    /// From what.
    pub input: ExtractInput,
    /// JSON Schema of an object.
    pub schema: Value,
    /// The attributes as the CRM has them, to be told what changes.
    pub current: Option<Value>,
    /// Where the request comes from and what of it may leave the machine.
    pub caller: Caller,
}

/// What was extracted.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractAnswer {
    /// An object that holds the attributes with evidence and nothing else. Every value in it satisfies the schema; the
    /// object does too unless `missing_required` says otherwise.
    pub attributes: Value,
    /// `recognisers`, or the language model's provider where it filled the form too.
    pub provider: String,
    /// `rules`, or `rules+` and the id of the embedder that compared meanings; the language model's name where it filled
    /// the form too.
    pub model: String,
    /// Whether a person has to look: a conflict, a required attribute without evidence, or little confidence.
    pub needs_review: bool,
    /// Where each value comes from, in the order of the schema.
    pub evidence: Vec<Evidence>,
    /// What differs from `current`.
    pub changes: Vec<Change>,
    /// Other values that the text also supports, or both readings of an ambiguous expression that was abstained from.
    pub conflicts: Vec<Evidence>,
    /// Pointers of the attributes without evidence, never guessed.
    pub abstained: Vec<String>,
    /// Pointers of those that the schema requires.
    pub missing_required: Vec<String>,
    /// Pointers for which the language model gave a value that the text does not bear out. The value is shown nowhere.
    pub unaligned: Vec<String>,
    /// What was tried, in order: the recognisers, then the language model.
    pub attempts: Vec<Attempt>,
    /// Tokens spent.
    pub usage: Usage,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// JSON pointer (RFC 6901) of the attribute.
    pub pointer: String,
    /// The value.
    pub value: Value,
    /// The text: `text`, `ticket/subject`, `ticket/messages/0`, or `ticket/messages/0/html` for the readable text that
    /// was made from a message without plain text.
    pub source: String,
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
    /// First byte.
    pub byte_start: usize,
    /// One past the last byte.
    pub byte_end: usize,
    /// The words there, verbatim but for card numbers, which are masked.
    pub quote: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Who found the value.
    pub origin: Origin,
    /// What recognisers and language model say of each other's value.
    pub agreement: Agreement,
}

/// A value that differs from the current one.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// JSON pointer of the attribute.
    pub pointer: String,
    /// The value as the CRM has it; null where it has none.
    pub old: Value,
    /// The value that was found.
    pub new: Value,
}

/// A value that is less sure than this is shown to a person.
const SURE: f32 = 0.6;

impl Assist {
    /// Whether a schema is one that [`Assist::extract`] takes; the error names keyword and pointer.
    pub fn check_schema(schema: &Value, limits: &RequestLimits) -> Result<(), SchemaError> {
        Schema::compile(schema, limits).map(|_| ())
    }

    /// Fills the schema's attributes from the text or ticket.
    pub async fn extract(&self, tenant: &TenantId, request: &ExtractRequest) -> Result<ExtractAnswer, AssistError> {
        let started = Instant::now();
        let schema = Schema::compile(&request.schema, &self.config.limits)?;
        let sources = self.sources(&request.input)?;
        let labels: Vec<Labels> = schema.properties.iter().map(Labels::of).collect();
        let mut by_property: Vec<(Class, Vec<Candidate>)> = Vec::new();
        for (property, labels) in schema.properties.iter().zip(&labels) {
            let class = candidates::class_of(property, labels);
            let mut found = Vec::new();
            for (index, source) in sources.iter().enumerate() {
                match (&property.kind, class) {
                    (Kind::Choice(choices), Class::Choice) => {
                        found.extend(choice::by_label(choices, labels, index, source));
                    }
                    _ => found.extend(candidates::find(property, class, labels, index, source)),
                }
            }
            by_property.push((class, found));
        }
        let used_meaning = self.add_meanings(tenant, &schema, &sources, &mut by_property).await?;
        let classes: Vec<Class> = by_property.iter().map(|(class, _)| *class).collect();
        let mut assigned = assign::assign(&schema, by_property, self.config.min_confidence);
        let rules = match (&self.embedder, used_meaning) {
            (Some(embedder), true) => format!("rules+{}", embedder.id()),
            _ => "rules".to_owned(),
        };
        let mut attempts = vec![Attempt {
            provider: PROVIDER.to_owned(),
            model: rules.clone(),
            outcome: "ok",
            ms: elapsed_ms(started),
            usage: Usage::default(),
        }];
        let (mut by, mut unaligned) = ((PROVIDER.to_owned(), rules), Vec::new());
        if let Some(model) = self.language_model.as_deref().filter(|_| !schema.properties.is_empty()) {
            let tried = self.fill(Form { tenant, schema: &schema, sources: &sources, request }, model).await;
            if let Some(filled) = tried.filled {
                unaligned.clone_from(&filled.unaligned);
                by = tried.attempts.last().map(|last| (last.provider.clone(), last.model.clone())).unwrap_or(by);
                merge::merge(&schema, &classes, &mut assigned, filled, self.config.min_confidence);
            }
            attempts.extend(tried.attempts);
        }
        let answer = assign::answer(&schema, &sources, &assigned, request.current.as_ref());
        let usage = Usage::sum(&attempts);
        let answer = ExtractAnswer { provider: by.0, model: by.1, unaligned, attempts, usage, ..answer };
        tracing::debug!(%tenant, found = answer.evidence.len(), abstained = answer.abstained.len(), "extracted");
        Ok(answer)
    }

    /// Looks for the meaning of enums that no label decided. Says whether vectors were compared; where the embedder
    /// fails, labels have to do.
    async fn add_meanings(
        &self,
        tenant: &TenantId,
        schema: &Schema,
        sources: &[Source],
        by_property: &mut [(Class, Vec<Candidate>)],
    ) -> Result<bool, AssistError> {
        let Some(embedder) = &self.embedder else { return Ok(false) };
        let embedder = TenantEmbedder { embedder: embedder.as_ref(), tenant };
        let mut sentences = None;
        for (property, (class, found)) in schema.properties.iter().zip(by_property) {
            let (Kind::Choice(choices), Class::Choice, None, true) =
                (&property.kind, *class, property.list, found.is_empty())
            else {
                continue;
            };
            if sentences.is_none() {
                let result = choice::embed_sentences(sources, embedder, self.config.limits.enum_sentences).await;
                match result {
                    Ok(all) => sentences = Some(all),
                    Err(error) => {
                        tracing::warn!(kind = ?error.kind(), "the embedder failed; enums are decided by their labels alone");
                        return Ok(false);
                    }
                }
            }
            let sentences = sentences.as_deref().unwrap_or_default();
            found.extend(choice::by_meaning(choices, sentences, embedder, &self.config).await?);
        }
        Ok(sentences.is_some())
    }

    /// The texts that are searched.
    fn sources(&self, input: &ExtractInput) -> Result<Vec<Source>, AssistError> {
        match input {
            ExtractInput::Text { text, written_at } => {
                check_chars(text, &self.config.limits, "/text")?;
                let new_spans = self.cleaner.new_spans(text);
                let mut source =
                    Source::new("text".to_owned(), text.clone(), new_spans, self.cleaner.language(text).as_deref());
                source.written_at = *written_at;
                Ok(vec![source])
            }
            ExtractInput::Ticket(ticket) => {
                ticket.check(&self.config.limits, "/ticket")?;
                Ok(self.ticket_sources(ticket))
            }
        }
    }

    fn ticket_sources(&self, ticket: &Ticket) -> Vec<Source> {
        let read = ticket.read(self.cleaner.as_ref());
        let whole = Span::whole(&ticket.subject);
        let language = self.cleaner.language(&ticket.subject);
        let mut subject =
            Source::new("ticket/subject".to_owned(), ticket.subject.clone(), vec![whole], language.as_deref());
        subject.writer = "Subject of the ticket";
        let mut sources = vec![subject];
        let count = read.len();
        for message in read {
            let html = if message.from_html { "/html" } else { "" };
            let name = format!("ticket/messages/{}{html}", message.index);
            let language = self.cleaner.language(&message.text);
            let mut source = Source::new(name, message.text, message.new_spans, language.as_deref());
            source.written_at = message.sent_at;
            source.writer = match message.direction {
                TicketDirection::Inbound => "Message from the customer",
                TicketDirection::Outbound => "Message from the company",
                TicketDirection::Note => "Internal note of the company",
            };
            // What the customer says last is what counts; a note is ours.
            let by_side = if message.direction == TicketDirection::Inbound { 1.0 } else { 0.92 };
            source.weight = by_side * (1.0 - 0.05 * (count - 1 - message.index).min(4) as f32);
            sources.push(source);
        }
        sources
    }
}
