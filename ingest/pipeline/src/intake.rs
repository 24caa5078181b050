//! One message at a time: what a CRM hands over as it happens.
//!
//! A message is written to the ledger, placed in its conversation, embedded and written to the store before the caller hears
//! of it. Messages of one tenant are taken in the order of the calls. An ingest of mailboxes may run beside it, for hours: the
//! two share only the tenant's writing lock, which the ingest holds while it threads and while it writes one window. So a
//! message waits for one such step at most, and never for a mailbox.
//!
//! Invariants: a message that was answered for is in ledger and store; killed at any instant, the same message sent again
//! ends in the same state; messages one by one, in any order, end in the conversations, pairs and records that they have when
//! they are ingested together. Placing costs what the touched conversations cost, not what the archive does; the first
//! message after an ingest or a start also reads the digests of all messages, which are kept while the tenant is active.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use rejoinder_domain::{Address, Direction, MailboxId, Message, MessageId, Skipped, TenantId, ThreadId};
use rejoinder_ledger::LedgerError;
use rejoinder_mail::direction::Ownership;
use rejoinder_mail::{Limits, MessageFields, from_fields, parse_rfc5322};
use sha2::{Digest, Sha256};

use crate::job::Job;
use crate::placing::{Arrival, Known};
use crate::progress::Gauge;
use crate::{IngestError, Pipeline};

/// The format that mailboxes of single messages have in the ledger.
pub const API_FORMAT: &str = "api";

/// The format of the mailbox of learned pairs.
pub const LEARNED_FORMAT: &str = "learned";

/// Messages of which the digests are kept over all tenants, some 2 KB each; the tenants that were idle for longest go first,
/// the one that is being written to stays whatever its size.
const MAX_KNOWN_MESSAGES: usize = 200_000;

/// Longest name of a mailbox, in bytes.
const MAX_NAME: usize = 200;

/// A message as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewMessage {
    /// RFC 5322 bytes.
    Raw(Vec<u8>),
    /// Fields.
    Fields(Box<MessageFields>),
}

/// A message that is to be indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Name of the mailbox that holds it, such as `crm`; made when it is named first.
    pub mailbox: String,
    /// The message.
    pub message: NewMessage,
    /// Which way it went, where that is known better than addresses tell. It counts for a message that no mailbox held.
    pub direction: Option<Direction>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexedStatus {
    /// It is new.
    Indexed,
    /// It was there, in this or another mailbox.
    Duplicate,
    /// It was erased for good and is not taken in again.
    Erased,
}

impl IndexedStatus {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Duplicate => "duplicate",
            Self::Erased => "erased",
        }
    }
}

/// A message that ledger and store have, or that must not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// Its content key: the same message has the same id.
    pub id: MessageId,
    /// Its conversation; `None` for an erased message.
    pub thread_id: Option<ThreadId>,
    /// What became of it.
    pub status: IndexedStatus,
    /// Its passages in the index.
    pub chunks: u32,
    /// Reply pairs that it is part of.
    pub pairs: u32,
    /// What of the message could not be read, without any of its text.
    pub losses: Vec<Skipped>,
}

/// A question and the reply that a person approved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lesson {
    /// What was asked.
    pub question_text: String,
    /// Subject of the question.
    pub subject: String,
    /// Who asked.
    pub from: Option<Address>,
    /// What was answered. Below 12 letters it says too little to make a pair.
    pub reply_text: String,
    /// Who answered.
    pub reply_from: Option<Address>,
    /// When it was answered; counts when the lesson comes for the first time.
    pub sent_at: Timestamp,
}

/// The two messages of a learned pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The question.
    pub question: Indexed,
    /// The reply.
    pub reply: Indexed,
    /// The mailbox of learned pairs, which holds both.
    pub mailbox: MailboxId,
}

/// Takes in single messages. Cheap to clone; all clones share what is known by heart.
#[derive(Clone)]
pub struct Intake {
    pipeline: Pipeline,
    ownership: Ownership,
    tenants: Arc<Mutex<HashMap<TenantId, Seat>>>,
}

/// A tenant's place in the order of calls, and what is known of it by heart.
struct Seat {
    known: Arc<tokio::sync::Mutex<Option<Known>>>,
    messages: usize,
    used: Instant,
}

/// What a message is when all that can be refused was.
pub(crate) struct Accepted {
    pub(crate) message: Message,
    pub(crate) direction: Option<Direction>,
    pub(crate) losses: Vec<Skipped>,
    pub(crate) headers_only: bool,
}

impl Intake {
    /// Takes in messages beside `pipeline`, with the same idea of whose mail it is.
    pub fn new(pipeline: Pipeline, ownership: Ownership) -> Self {
        Self { pipeline, ownership, tenants: Arc::default() }
    }

    /// Indexes one message. When it returns, ledger and store have it; the message again is a duplicate of the same id.
    ///
    /// # Errors
    /// [`IngestError::Refused`] for what is no message, is over the limits, or names no proper mailbox; the others when ledger,
    /// store or model fail: the same message again then goes on where this one stopped. Dropping the future does not stop the
    /// work.
    pub async fn index_message(&self, tenant: &TenantId, delivery: Delivery) -> Result<Indexed, IngestError> {
        let name = mailbox_name(&delivery.mailbox)?;
        let limits = self.pipeline.config.limits.clone();
        let accepted = blocking(move || accept(delivery.message, delivery.direction, &limits)).await?;
        let mut indexed = self.take_in(tenant, API_FORMAT, name, vec![accepted]).await?;
        indexed.pop().ok_or(IngestError::Internal("a message was taken in without an answer"))
    }

    /// Makes a reply pair that suggestions find, of what a person approved. The same lesson again changes nothing.
    ///
    /// # Errors
    /// As [`Intake::index_message`].
    pub async fn index_learned(&self, tenant: &TenantId, lesson: Lesson) -> Result<Learned, IngestError> {
        let limits = self.pipeline.config.limits.clone();
        let accepted = blocking(move || teach(lesson, &limits)).await?;
        let indexed = self.take_in(tenant, LEARNED_FORMAT, LEARNED_FORMAT.to_owned(), accepted).await?;
        let [question, mut reply] = <[Indexed; 2]>::try_from(indexed)
            .map_err(|_| IngestError::Internal("a lesson was taken in without an answer"))?;
        // The question was answered for before it had its reply.
        let question = Indexed { pairs: question.pairs.max(reply.pairs), ..question };
        if question.status == IndexedStatus::Erased {
            reply.status = IndexedStatus::Erased;
        }
        Ok(Learned { question, reply, mailbox: mailbox_id(LEARNED_FORMAT, LEARNED_FORMAT) })
    }

    /// Reads the digests of a tenant's messages ahead, so that the next message need not: after a start, after an ingest.
    ///
    /// # Errors
    /// [`IngestError::Ledger`] when the ledger fails.
    pub async fn warm(&self, tenant: &TenantId) -> Result<(), IngestError> {
        let job = self.job(tenant)?;
        let seat = self.seat(tenant);
        let mut known = Arc::clone(&seat).lock_owned().await;
        let count = blocking(move || Arrival { job: &job, format: API_FORMAT, name: "" }.warm(&mut known)).await?;
        self.trim(tenant, count);
        Ok(())
    }

    /// Forgets what is known by heart of a tenant, as after an erasure. What is kept are digests, never text.
    pub fn forget(&self, tenant: &TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    async fn take_in(
        &self,
        tenant: &TenantId,
        format: &'static str,
        name: String,
        messages: Vec<Accepted>,
    ) -> Result<Vec<Indexed>, IngestError> {
        let job = self.job(tenant)?;
        let seat = self.seat(tenant);
        let mut known = Arc::clone(&seat).lock_owned().await;
        let (indexed, count) = blocking(move || {
            let arrival = Arrival { job: &job, format, name: &name };
            let mut indexed = Vec::with_capacity(messages.len());
            for message in messages {
                match arrival.take_in(&mut known, message) {
                    Ok(one) => indexed.push(one),
                    Err(error) => {
                        // What is known by heart may be ahead of the ledger now.
                        *known = None;
                        return Err(error);
                    }
                }
            }
            Ok((indexed, known.as_ref().map_or(0, Known::len)))
        })
        .await?;
        self.trim(tenant, count);
        Ok(indexed)
    }

    /// What the work is done with.
    fn job(&self, tenant: &TenantId) -> Result<Job, IngestError> {
        self.pipeline.config.validate().map_err(IngestError::Config)?;
        Ok(Job {
            ledger: Arc::clone(&self.pipeline.ledger),
            store: Arc::clone(&self.pipeline.store),
            embedder: self.pipeline.embedder.clone(),
            config: self.pipeline.config.clone(),
            tenant: tenant.clone(),
            paths: Vec::new(),
            ownership: self.ownership.clone(),
            version: self.pipeline.index_version(),
            gauge: Arc::new(Gauge::new()),
            runtime: tokio::runtime::Handle::current(),
            on_mailbox: None,
        })
    }

    fn seat(&self, tenant: &TenantId) -> Arc<tokio::sync::Mutex<Option<Known>>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Seat { known: Arc::default(), messages: 0, used: Instant::now() };
        let seat = tenants.entry(tenant.clone()).or_insert_with(new);
        seat.used = Instant::now();
        Arc::clone(&seat.known)
    }

    /// Forgets the tenants that were idle for longest, until the others fit.
    fn trim(&self, tenant: &TenantId, messages: usize) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = tenants.get_mut(tenant) {
            seat.messages = messages;
        }
        let mut all: usize = tenants.values().map(|seat| seat.messages).sum();
        while all > MAX_KNOWN_MESSAGES {
            // Whoever waits for the seat holds a reference to it and goes on.
            let idle = |seat: &Seat| Arc::strong_count(&seat.known) == 1;
            let oldest = tenants.iter().filter(|(_, seat)| idle(seat)).min_by_key(|(_, seat)| seat.used);
            let Some(oldest) = oldest.map(|(tenant, _)| tenant.clone()) else { return };
            all -= tenants.remove(&oldest).map_or(0, |seat| seat.messages);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| IngestError::Internal("a thread panicked"))?
}

/// Names are shown to people and kept in the ledger: no control characters, not endless.
fn mailbox_name(name: &str) -> Result<String, IngestError> {
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(IngestError::Refused(format!(
            "the name of a mailbox has 1 to {MAX_NAME} bytes and no control characters"
        )));
    }
    Ok(name.to_owned())
}

/// The id of a mailbox of single messages.
pub(crate) fn mailbox_id(format: &str, name: &str) -> MailboxId {
    MailboxId::from_content(&[b"single", format.as_bytes(), name.as_bytes()])
}

fn accept(message: NewMessage, direction: Option<Direction>, limits: &Limits) -> Result<Accepted, IngestError> {
    let (message, losses) = match message {
        NewMessage::Raw(bytes) => parse_rfc5322(&bytes, limits),
        NewMessage::Fields(fields) => from_fields(*fields, limits),
    }
    .map_err(|skipped| IngestError::Refused(skipped.reason))?;
    let direction = direction.filter(|direction| *direction != Direction::Unknown);
    Ok(Accepted { message, direction, losses, headers_only: false })
}

/// The two messages of a lesson. Their ids come from what was said alone, so that the same lesson at another time is no
/// second one. They hold to each other by their headers and to nothing else: their texts have their place in the mail.
fn teach(lesson: Lesson, limits: &Limits) -> Result<Vec<Accepted>, IngestError> {
    if lesson.question_text.trim().is_empty() || lesson.reply_text.trim().is_empty() {
        return Err(IngestError::Refused("a lesson needs a question and a reply".to_owned()));
    }
    let person =
        |person: &Option<Address>| person.as_ref().map(|person| person.email.to_lowercase()).unwrap_or_default();
    let digest = digest(&[&lesson.question_text, &lesson.subject, &person(&lesson.from), &lesson.reply_text]);
    let (asked, answered) = (format!("{digest}.question@rejoinder"), format!("{digest}.reply@rejoinder"));
    let fields = |message_id: &str, text: String| MessageFields {
        message_id: Some(message_id.to_owned()),
        sent_at: Some(lesson.sent_at),
        text: Some(text),
        ..MessageFields::default()
    };
    let question = MessageFields {
        from: lesson.from.clone(),
        to: lesson.reply_from.iter().cloned().collect(),
        subject: lesson.subject.clone(),
        ..fields(&asked, lesson.question_text)
    };
    let reply = MessageFields {
        from: lesson.reply_from,
        to: lesson.from.iter().cloned().collect(),
        subject: format!("Re: {}", lesson.subject),
        in_reply_to: vec![asked.clone()],
        references: vec![asked.clone()],
        ..fields(&answered, lesson.reply_text)
    };
    let both = [(question, asked, Direction::Inbound), (reply, answered, Direction::Outbound)];
    both.into_iter()
        .map(|(fields, name, direction)| {
            let (mut message, losses) =
                from_fields(fields, limits).map_err(|skipped| IngestError::Refused(skipped.reason))?;
            message.id = MessageId::from_content(&[b"learned", name.as_bytes()]);
            Ok(Accepted { message, direction: Some(direction), losses, headers_only: true })
        })
        .collect()
}

/// Of texts that may hold anything: each with its length.
fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A message that the ledger refuses while others write is not lost: the caller sends it again.
pub(crate) fn busy() -> IngestError {
    IngestError::Ledger(LedgerError::Busy)
}
