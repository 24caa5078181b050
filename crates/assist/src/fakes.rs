//! A store, an embedder, messages and a cleaner for tests: small, but they do what the traits promise.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, Embedder, EraseScope, ErrorKind, Filter, Hit, ItemKind, MailboxId, Message,
    MessageId, Pool, Record, RecordId, ReplyText, Role, SeamError, SearchQuery, Segment, SegmentKind, Span, TenantId,
    VectorStore,
};

use crate::{Assist, AssistConfig, AssistParts, InlineEmbedder, MessageLookup, TextCleaner};

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// Runs a future whose parts never wait.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake never waits"),
    }
}

/// A message of which everything is new text.
pub(crate) fn message(subject: &str, name: &str, email: &str, text: &str) -> Message {
    let segments = vec![Segment { kind: SegmentKind::New, span: Span::whole(text) }];
    let mut message = Message {
        id: MessageId::from_content(&[]),
        kind: ItemKind::Message,
        rfc_message_id: None,
        in_reply_to: Vec::new(),
        references: Vec::new(),
        conversation_index: None,
        conversation_topic: None,
        subject: subject.to_owned(),
        from: Some(Address { name: name.to_owned(), email: email.to_owned() }),
        sender: None,
        reply_to: Vec::new(),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        sent_at: "2024-03-01T10:00:00Z".parse().ok(),
        received_at: None,
        body: Body { text: text.to_owned(), source: BodySource::Plain, segments },
        attachments: Vec::new(),
        direction: Direction::Inbound,
        language: None,
        automatic: false,
    };
    message.id = message.key();
    message
}

pub(crate) struct FakeLookup(Vec<Message>);

impl FakeLookup {
    pub(crate) fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        Self(messages.into_iter().collect())
    }
}

impl MessageLookup for FakeLookup {
    fn message(&self, _: &TenantId, id: &MessageId) -> Result<Option<Message>, SeamError> {
        Ok(self.0.iter().find(|message| message.id == *id).cloned())
    }

    fn mailboxes_of(&self, _: &TenantId, _: &MessageId) -> Result<Vec<(MailboxId, String)>, SeamError> {
        Ok(vec![(MailboxId::from_stored("box_1"), "Inbox of ours".to_owned())])
    }
}

/// Lines that start with `>` are quoted; HTML loses its tags.
pub(crate) struct FakeCleaner;

impl TextCleaner for FakeCleaner {
    fn readable(&self, html: &str) -> String {
        regex::Regex::new("<[^>]*>").unwrap().replace_all(html, "").into_owned()
    }

    fn new_spans(&self, text: &str) -> Vec<Span> {
        let mut at = 0;
        let mut spans = Vec::new();
        for line in text.split_inclusive('\n') {
            if !line.starts_with('>') {
                spans.extend(Span::new(at, at + line.len()));
            }
            at += line.len();
        }
        spans
    }

    fn language(&self, text: &str) -> Option<String> {
        let info = whatlang::detect(text).filter(whatlang::Info::is_reliable)?;
        let code = match info.lang() {
            whatlang::Lang::Eng => "en",
            whatlang::Lang::Deu => "de",
            whatlang::Lang::Fra => "fr",
            whatlang::Lang::Spa => "es",
            _ => return None,
        };
        Some(code.to_owned())
    }
}

/// A bag of words, each hashed to one of 64 places: texts with the same words are similar.
pub(crate) struct FakeEmbedder;

impl Embedder for FakeEmbedder {
    fn id(&self) -> &'static str {
        "words-64"
    }

    fn dims(&self) -> usize {
        64
    }

    fn max_tokens(&self) -> usize {
        10_000
    }

    fn token_spans(&self, _: &str) -> Result<Vec<Span>, SeamError> {
        Ok(Vec::new())
    }

    fn embed(&self, texts: &[&str], _: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        Ok(texts.iter().map(|text| embed(text)).collect())
    }
}

pub(crate) struct BrokenEmbedder;

impl Embedder for BrokenEmbedder {
    fn id(&self) -> &'static str {
        "broken"
    }

    fn dims(&self) -> usize {
        64
    }

    fn max_tokens(&self) -> usize {
        1
    }

    fn token_spans(&self, _: &str) -> Result<Vec<Span>, SeamError> {
        Ok(Vec::new())
    }

    fn embed(&self, _: &[&str], _: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        Err(SeamError::new(ErrorKind::Unavailable, "no weights"))
    }
}

fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; 64];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3) {
        let hash =
            word.to_lowercase().bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        vector[(hash % 64) as usize] += 1.0;
    }
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-9);
    vector.iter().map(|value| value / norm).collect()
}

#[derive(Default)]
pub(crate) struct FakeStore {
    records: Vec<Record>,
    pub(crate) queries: Mutex<Vec<SearchQuery>>,
}

#[async_trait]
impl VectorStore for FakeStore {
    async fn upsert(&self, _: &TenantId, _: Pool, _: Vec<Record>) -> Result<(), SeamError> {
        Err(SeamError::new(ErrorKind::Internal, "assist never writes"))
    }

    async fn delete(&self, _: &TenantId, _: Pool, _: &[RecordId]) -> Result<u64, SeamError> {
        Err(SeamError::new(ErrorKind::Internal, "assist never deletes"))
    }

    async fn search(&self, _: &TenantId, query: &SearchQuery) -> Result<Vec<Hit>, SeamError> {
        self.queries.lock().unwrap().push(query.clone());
        let mut hits: Vec<Hit> = self
            .records
            .iter()
            .filter(|record| record.pool == query.pool)
            .map(|record| {
                let vectors = query.vector.as_ref().zip(record.vector.as_ref());
                let similarity = vectors.map(|(one, other)| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>());
                Hit {
                    record: Record { vector: None, ..record.clone() },
                    score: similarity.unwrap_or(0.5),
                    similarity,
                    lexical: None,
                }
            })
            .collect();
        hits.sort_by(|one, other| other.score.total_cmp(&one.score));
        hits.truncate(query.limit);
        Ok(hits)
    }

    async fn count(&self, _: &TenantId, _: Pool, _: &Filter) -> Result<u64, SeamError> {
        Ok(self.records.len() as u64)
    }

    async fn scan(&self, _: &TenantId, _: Pool) -> Result<Vec<Record>, SeamError> {
        Ok(self.records.clone())
    }

    async fn erase(&self, _: &TenantId, _: &EraseScope) -> Result<u64, SeamError> {
        Err(SeamError::new(ErrorKind::Internal, "assist never erases"))
    }

    async fn optimize(&self, _: &TenantId) -> Result<(), SeamError> {
        Ok(())
    }
}

/// An archive: questions with replies.
#[derive(Default)]
pub(crate) struct Archive {
    messages: Vec<Message>,
    records: Vec<Record>,
}

impl Archive {
    /// Adds Anna Weber's question and Peter Braun's reply.
    pub(crate) fn pair(mut self, subject: &str, question: &str, reply: &str, replied_at: &str) -> Self {
        let asked = message(subject, "Anna Weber", "anna@weberbau.example", question);
        let mut answered = message(&format!("Re: {subject}"), "Peter Braun", "peter@ours.example", reply);
        answered.sent_at = replied_at.parse().ok();
        answered.id = answered.key();
        let reply = ReplyText {
            message_id: answered.id.clone(),
            text: reply.to_owned(),
            author: "Peter Braun".to_owned(),
            sent_at: answered.sent_at,
        };
        for pool in Pool::ALL {
            self.records.push(Record {
                id: RecordId::from_content(&[asked.id.as_str().as_bytes(), pool.as_str().as_bytes()]),
                pool,
                message_id: asked.id.clone(),
                mailboxes: Vec::new(),
                direction: Direction::Inbound,
                sent_at: asked.sent_at,
                participants: asked.participants(),
                subject: subject.to_owned(),
                author: "Anna Weber".to_owned(),
                language: None,
                span: Span::whole(question),
                text: question.to_owned(),
                reply: (pool == Pool::ReplyPair).then(|| reply.clone()),
                vector: Some(embed(&format!("{subject}\n{question}"))),
            });
        }
        self.messages.extend([asked, answered]);
        self
    }

    /// Loses the messages: the index still has their words.
    pub(crate) fn without_messages(mut self) -> Self {
        self.messages.clear();
        self
    }

    pub(crate) fn assist(self, embedder: Option<Arc<dyn Embedder>>) -> Assist {
        let config = AssistConfig::default();
        Assist::new(AssistParts {
            store: Arc::new(FakeStore { records: self.records, queries: Mutex::default() }),
            embedder: embedder.map(|embedder| Arc::new(InlineEmbedder::new(embedder)) as _),
            messages: Arc::new(FakeLookup(self.messages)),
            cleaner: Arc::new(FakeCleaner),
            config,
        })
    }
}

pub(crate) fn at(time: &str) -> Option<Timestamp> {
    time.parse().ok()
}
