//! From messages to the records of the store.
//!
//! A message becomes one record per chunk; one without new or forwarded text becomes one record of its subject, with an
//! empty span. Every kind of item is indexed alike: whoever searches for a task or a contact finds it, and the account
//! needs no further case. A reply pair becomes one record: the question's new text, found by it, with the reply beside it.
//! What is embedded is the subject and the text.

use rejoinder_domain::{
    Embedder, MailboxId, Message, MessageId, Pool, Record, RecordId, ReplyText, SeamError, SegmentKind, Span,
};

use crate::chunk::{Budget, chunk, words};

/// Longest question and longest reply that a pair holds, in bytes; an embedding model reads far less.
const MAX_PAIR_BYTES: usize = 64 << 10;

/// Tokens that the model adds of its own: specials, and the prefix that some models want before a passage.
const RESERVED_TOKENS: usize = 8;

/// The shortest budget that is left to a chunk, whatever the model and the subject.
const LEAST_TOKENS: usize = 16;

/// A record and what is embedded for it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) record: Record,
    /// Subject and text.
    pub(crate) passage: String,
    /// Tokens of the passage, about.
    pub(crate) tokens: usize,
}

impl Draft {
    /// How much text it holds.
    pub(crate) fn bytes(&self) -> usize {
        let reply = self.record.reply.as_ref().map_or(0, |reply| reply.text.len());
        self.record.text.len() + self.passage.len() + reply
    }
}

/// The id of a record: what it is made of and which of its unit's records it is.
pub(crate) fn record_id(message: &MessageId, reply: Option<&MessageId>, ordinal: usize) -> RecordId {
    let pool = pool_of(reply);
    let reply = reply.map(MessageId::as_str).unwrap_or_default();
    RecordId::from_content(&[
        pool.as_str().as_bytes(),
        message.as_str().as_bytes(),
        reply.as_bytes(),
        ordinal.to_string().as_bytes(),
    ])
}

/// A unit with a reply is a pair, one without is a message's passages.
pub(crate) fn pool_of(reply: Option<&MessageId>) -> Pool {
    if reply.is_some() { Pool::ReplyPair } else { Pool::Passage }
}

/// Makes records; the same message makes the same ones.
pub(crate) struct Drafter<'a> {
    pub(crate) embedder: Option<&'a dyn Embedder>,
    pub(crate) budget: Budget,
}

impl Drafter<'_> {
    /// The passages of a message.
    pub(crate) fn passages(&self, message: &Message, mailboxes: &[MailboxId]) -> Result<Vec<Draft>, SeamError> {
        let (subject, subject_tokens) = self.clipped_subject(message)?;
        let budget = Budget { max_tokens: self.chunk_tokens(subject_tokens), ..self.budget };
        let chunks = chunk(&message.body, budget, &|text| self.token_spans(text))?;
        let mut drafts: Vec<Draft> = Vec::with_capacity(chunks.len().max(1));
        for (ordinal, chunk) in chunks.iter().enumerate() {
            let text = chunk.span.of(&message.body.text).unwrap_or_default();
            let record = Record {
                id: record_id(&message.id, None, ordinal),
                text: text.to_owned(),
                ..base(message, mailboxes, chunk.span)
            };
            drafts.push(draft(record, subject, chunk.tokens + subject_tokens));
        }
        if drafts.is_empty() {
            let record = Record {
                id: record_id(&message.id, None, 0),
                text: message.subject.clone(),
                ..base(message, mailboxes, Span::whole(""))
            };
            drafts.push(Draft { record, passage: subject.to_owned(), tokens: subject_tokens });
        }
        Ok(drafts)
    }

    /// The record of a reply pair; `None` where the reply says nothing, so that nothing can be drafted from it.
    pub(crate) fn pair(
        &self,
        question: &Message,
        reply: &Message,
        mailboxes: &[MailboxId],
    ) -> Result<Option<Draft>, SeamError> {
        let answer = rejoinder_mail::reply_text(reply);
        if answer.is_empty() {
            return Ok(None);
        }
        let (subject, subject_tokens) = self.clipped_subject(question)?;
        let span = question_span(question);
        let text = span.of(&question.body.text).unwrap_or_default();
        let tokens = self.token_spans(text)?.len();
        let record = Record {
            id: record_id(&question.id, Some(&reply.id), 0),
            pool: Pool::ReplyPair,
            text: if text.is_empty() { question.subject.clone() } else { text.to_owned() },
            reply: Some(ReplyText {
                message_id: reply.id.clone(),
                text: clipped(&answer, MAX_PAIR_BYTES).to_owned(),
                author: author(reply),
                sent_at: reply.sent_at,
            }),
            ..base(question, mailboxes, span)
        };
        if text.is_empty() {
            return Ok(Some(Draft { record, passage: subject.to_owned(), tokens: subject_tokens }));
        }
        let most = self.embedder.map_or(tokens, Embedder::max_tokens);
        Ok(Some(draft(record, subject, (tokens + subject_tokens).min(most))))
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Span>, SeamError> {
        self.embedder.map_or_else(|| Ok(words(text)), |embedder| embedder.token_spans(text))
    }

    /// The subject as far as it goes into the passage: a quarter of the model's input at most. And its tokens.
    fn clipped_subject<'m>(&self, message: &'m Message) -> Result<(&'m str, usize), SeamError> {
        let subject = clipped(message.subject.trim(), 2048);
        let spans = self.token_spans(subject)?;
        let most = self.embedder.map_or(64, |embedder| embedder.max_tokens() / 4);
        let clipped = match spans.get(most) {
            Some(first_over) => subject.get(..first_over.start()).unwrap_or(subject).trim_end(),
            None => subject,
        };
        Ok((clipped, spans.len().min(most)))
    }

    /// What is left to a chunk beside the subject: nothing that is indexed is cut off by the model.
    fn chunk_tokens(&self, subject_tokens: usize) -> usize {
        let most = self.embedder.map_or(usize::MAX, Embedder::max_tokens);
        self.budget.max_tokens.min(most.saturating_sub(RESERVED_TOKENS + subject_tokens)).max(LEAST_TOKENS)
    }
}

/// What all records of a message have in common.
fn base(message: &Message, mailboxes: &[MailboxId], span: Span) -> Record {
    Record {
        id: RecordId::from_stored(""),
        pool: Pool::Passage,
        message_id: message.id.clone(),
        mailboxes: mailboxes.to_vec(),
        direction: message.direction,
        sent_at: message.sent_at,
        participants: message.participants(),
        subject: message.subject.clone(),
        author: author(message),
        language: message.language.clone(),
        span,
        text: String::new(),
        reply: None,
        vector: None,
    }
}

fn draft(record: Record, subject: &str, tokens: usize) -> Draft {
    let passage = if subject.is_empty() { record.text.clone() } else { format!("{subject}\n{}", record.text) };
    Draft { record, passage, tokens }
}

/// Where the question is: from the first to the last character of its new text. Where it is written between quoted lines,
/// these are in it: they say what it is about.
fn question_span(question: &Message) -> Span {
    let body = &question.body;
    let mut new = body.segments.iter().filter(|segment| segment.kind == SegmentKind::New);
    let Some(first) = new.next().map(|segment| segment.span) else { return Span::whole("") };
    let last = new.next_back().map_or(first, |segment| segment.span);
    let Some(text) = body.text.get(first.start()..last.end()) else { return Span::whole("") };
    let start = first.start() + (text.len() - text.trim_start().len());
    let text = clipped(text.trim(), MAX_PAIR_BYTES).trim_end();
    if text.is_empty() {
        return Span::whole("");
    }
    Span::new(start, start + text.len()).unwrap_or(Span::whole(""))
}

fn clipped(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Display name, or the address where there is none.
fn author(message: &Message) -> String {
    let Some(from) = message.from.as_ref().or(message.sender.as_ref()) else { return String::new() };
    if from.name.trim().is_empty() { from.email.clone() } else { from.name.clone() }
}
