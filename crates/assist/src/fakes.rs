//! A store, an embedder, a language model, messages and a cleaner for tests: small, but they do what the traits promise.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use jiff::Timestamp;
use rejoinder_domain::{
    Address, Body, BodySource, Direction, Embedder, EraseScope, ErrorKind, Filter, FinishReason, GenerateEvent,
    GenerateRequest, GenerateStream, Generated, Hit, ItemKind, LanguageModel, MailboxId, Message, MessageId, Pool,
    Record, RecordId, ReplyText, Role, SeamError, SearchQuery, Segment, SegmentKind, Span, TenantId, TokenUsage,
    VectorStore,
};

use crate::{
    Assist, AssistConfig, AssistParts, InlineEmbedder, MessageLookup, Rejection, ReplyHistory, TextCleaner, Timer,
};

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

pub(crate) struct FakeHistory(Vec<Rejection>);

impl ReplyHistory for FakeHistory {
    fn rejections(&self, _: &TenantId, _: &str, replies: &[MessageId]) -> Result<Vec<Rejection>, SeamError> {
        Ok(self.0.iter().filter(|rejection| replies.contains(&rejection.reply)).cloned().collect())
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

    async fn remaining(&self, _: &TenantId, _: &EraseScope) -> Result<u64, SeamError> {
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
    language_model: Option<Arc<dyn LanguageModel>>,
    timer: Option<Arc<dyn Timer>>,
    rejected: Option<FakeHistory>,
    config: AssistConfig,
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

    /// Adds a message that stands alone: a passage of ours.
    pub(crate) fn passage(mut self, subject: &str, text: &str) -> Self {
        let mut sent = message(subject, "Peter Braun", "peter@ours.example", text);
        sent.direction = Direction::Outbound;
        self.records.push(Record {
            id: RecordId::from_content(&[sent.id.as_str().as_bytes()]),
            pool: Pool::Passage,
            message_id: sent.id.clone(),
            mailboxes: Vec::new(),
            direction: Direction::Outbound,
            sent_at: sent.sent_at,
            participants: sent.participants(),
            subject: subject.to_owned(),
            author: "Peter Braun".to_owned(),
            language: None,
            span: Span::whole(text),
            text: text.to_owned(),
            reply: None,
            vector: Some(embed(&format!("{subject}\n{text}"))),
        });
        self.messages.push(sent);
        self
    }

    /// Has the last reply be by somebody else.
    pub(crate) fn sign_last(&mut self, name: &str) {
        let reply = self.records.last_mut().and_then(|record| record.reply.as_mut()).unwrap();
        name.clone_into(&mut reply.author);
        let from = Address { name: name.to_owned(), email: "other@ours.example".to_owned() };
        self.messages.last_mut().unwrap().from = Some(from);
    }

    pub(crate) fn with_model(mut self, model: Arc<dyn LanguageModel>) -> Self {
        self.language_model = Some(model);
        self
    }

    pub(crate) fn with_timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Some(Arc::new(timer));
        self
    }

    pub(crate) fn configured(mut self, change: impl FnOnce(&mut AssistConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Remembers that a person rejected these replies.
    pub(crate) fn rejected(mut self, rejections: Vec<Rejection>) -> Self {
        self.rejected = Some(FakeHistory(rejections));
        self
    }

    /// Loses the messages: the index still has their words.
    pub(crate) fn without_messages(mut self) -> Self {
        self.messages.clear();
        self
    }

    pub(crate) fn assist(self, embedder: Option<Arc<dyn Embedder>>) -> Assist {
        Assist::new(AssistParts {
            index_version: "test".to_owned(),
            store: Arc::new(FakeStore { records: self.records, queries: Mutex::default() }),
            embedder: embedder.map(|embedder| Arc::new(InlineEmbedder::new(embedder)) as _),
            language_model: self.language_model,
            timer: self.timer,
            messages: Arc::new(FakeLookup(self.messages)),
            history: self.rejected.map(|rejected| Arc::new(rejected) as Arc<dyn ReplyHistory>),
            cleaner: Arc::new(FakeCleaner),
            config: self.config,
        })
    }
}

pub(crate) fn at(time: &str) -> Option<Timestamp> {
    time.parse().ok()
}

/// What a scripted model does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Writes this, a few characters at a time, and is done.
    Says(String),
    /// Writes this and has used up its tokens.
    BreaksOff(String),
    /// Writes this and then fails.
    Fails(String, ErrorKind),
    /// Refuses at once.
    Refuses(ErrorKind),
    /// Writes this and then waits for ever.
    Hangs(String),
}

impl Script {
    pub(crate) fn says(text: impl Into<String>) -> Self {
        Self::Says(text.into())
    }
}

/// A language model that follows a script, one entry per request, and remembers what it was asked. A word is a token.
pub(crate) struct ScriptedModel {
    script: Mutex<VecDeque<Script>>,
    pub(crate) context: usize,
    pub(crate) requests: Mutex<Vec<GenerateRequest>>,
    /// Whether a stream was dropped before its end.
    pub(crate) abandoned: Arc<AtomicBool>,
}

impl ScriptedModel {
    pub(crate) fn new(script: impl IntoIterator<Item = Script>) -> Arc<Self> {
        Self::with_context(100_000, script)
    }

    pub(crate) fn with_context(context: usize, script: impl IntoIterator<Item = Script>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.into_iter().collect()),
            context,
            requests: Mutex::default(),
            abandoned: Arc::default(),
        })
    }

    /// The prompt's messages of the request with this index.
    pub(crate) fn prompt(&self, index: usize) -> (String, String) {
        let requests = self.requests.lock().unwrap();
        let messages = &requests[index].messages;
        (messages[0].content.clone(), messages[1].content.clone())
    }
}

#[async_trait]
impl LanguageModel for ScriptedModel {
    fn provider(&self) -> &'static str {
        "local"
    }

    fn model(&self) -> &'static str {
        "scripted"
    }

    fn context_tokens(&self) -> usize {
        self.context
    }

    fn count_tokens(&self, text: &str) -> Result<usize, SeamError> {
        Ok(text.split_whitespace().count())
    }

    async fn generate(&self, request: GenerateRequest) -> Result<GenerateStream, SeamError> {
        let input = request.messages.iter().map(|message| message.content.split_whitespace().count()).sum();
        self.requests.lock().unwrap().push(request);
        let script = self.script.lock().unwrap().pop_front().expect("the script has an entry for every request");
        let done = |finish, text: &str| {
            let usage = TokenUsage { input, cached_input: 0, output: text.split_whitespace().count() };
            Some(Ok(GenerateEvent::Done(Generated { finish, usage })))
        };
        let (text, end) = match script {
            Script::Refuses(kind) => return Err(SeamError::new(kind, "scripted")),
            Script::Says(text) => (text.clone(), done(FinishReason::Stop, &text)),
            Script::BreaksOff(text) => (text.clone(), done(FinishReason::Length, &text)),
            Script::Fails(text, kind) => (text, Some(Err(SeamError::new(kind, "scripted")))),
            Script::Hangs(text) => (text, None),
        };
        let chars: Vec<char> = text.chars().collect();
        let pieces = chars.chunks(3).map(|piece| Ok(GenerateEvent::Text(piece.iter().collect())));
        let events = pieces.chain(end).collect();
        Ok(Box::pin(ScriptedStream { events, is_over: false, abandoned: Arc::clone(&self.abandoned) }))
    }
}

struct ScriptedStream {
    events: VecDeque<Result<GenerateEvent, SeamError>>,
    is_over: bool,
    abandoned: Arc<AtomicBool>,
}

impl Stream for ScriptedStream {
    type Item = Result<GenerateEvent, SeamError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = self.events.pop_front();
        self.is_over |= !matches!(event, None | Some(Ok(GenerateEvent::Text(_))));
        if event.is_none() && !self.is_over { Poll::Pending } else { Poll::Ready(event) }
    }
}

impl Drop for ScriptedStream {
    fn drop(&mut self) {
        self.abandoned.fetch_or(!self.is_over, Ordering::SeqCst);
    }
}

/// A clock on which time passes at once, for durations up to this.
pub(crate) struct FakeTimer(pub(crate) Duration);

impl Timer for FakeTimer {
    fn after(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if duration <= self.0 { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

/// Compares with the file `prompts/snapshots/NAME.txt`; with `REJOINDER_UPDATE_SNAPSHOTS` set, writes it instead.
pub(crate) fn assert_snapshot(name: &str, rendered: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/snapshots");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("REJOINDER_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, rendered).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == rendered,
        "the prompt differs from {}; look at it, then run the tests once with REJOINDER_UPDATE_SNAPSHOTS=1:\n{rendered}",
        path.display()
    );
}
