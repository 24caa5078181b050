//! The local model: the threads and the way to them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use rejoinder_decoder::{CacheOptions, Decoder, DecoderOptions, Gguf, PAGE_TOKENS};
use rejoinder_domain::{GenerateRequest, GenerateStream, LanguageModel, Priority, SeamError, TenantId};
use rejoinder_vocabulary::{ChatTemplate, Vocabulary};
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::error::{ServingError, internal};
use crate::metrics::Metrics;
use crate::options::ServingOptions;
use crate::prepare::{Asked, Preparer, PreparerParts};
use crate::queue::{Inbox, Places, closed, lock};
use crate::scheduler::{Clock, Order, Scheduler, SchedulerParts};
use crate::stream::answer;

/// A language model of this machine, shared by any number of callers.
///
/// It works on threads of its own: one prepares requests, one computes, one follows required forms. None of them belongs
/// to an async runtime, and the answers can be read on any.
pub struct LocalModel {
    name: String,
    context: usize,
    vocabulary: Arc<Vocabulary>,
    places: Arc<Places>,
    questions: Arc<Inbox<Asked>>,
    orders: Arc<Inbox<Order>>,
    metrics: Arc<Mutex<Metrics>>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    prepare: JoinHandle<()>,
    inference: JoinHandle<()>,
}

/// How a local model ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// What was accepted is answered first.
    Drain,
    /// What is not done fails with [`ErrorKind::Unavailable`](rejoinder_domain::ErrorKind::Unavailable) after the step
    /// that is being computed.
    Cancel,
}

/// What a local model is made of.
pub(crate) struct LocalParts<E> {
    pub(crate) name: String,
    pub(crate) engine: E,
    /// Tokens that one sequence may have.
    pub(crate) context: usize,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) template: ChatTemplate,
    pub(crate) options: ServingOptions,
}

impl LocalModel {
    /// Loads the model of a GGUF file, to be called `name`. It takes some seconds: call it where blocking is allowed.
    ///
    /// Prompt and answer together may have as many tokens as the options, the model and `cache_bytes` allow, whichever
    /// is least.
    pub fn open(
        path: impl AsRef<Path>,
        name: impl Into<String>,
        options: &ServingOptions,
    ) -> Result<Self, ServingError> {
        options.validate()?;
        let gguf = Gguf::open(path)?;
        let vocabulary = Vocabulary::from_metadata(gguf.metadata())?;
        let template = ChatTemplate::from_metadata(gguf.metadata(), &vocabulary)?;
        let decoder_options = DecoderOptions {
            threads: (options.threads > 0).then_some(options.threads),
            max_batch_tokens: options.step_tokens(),
            cache: CacheOptions { max_bytes: options.cache_bytes, ..DecoderOptions::default().cache },
        };
        let engine = Decoder::load(&gguf, &decoder_options)?;
        let held = engine.pool().max_bytes() / engine.pool().page_bytes().max(1) * PAGE_TOKENS;
        let context = engine.shape().context.min(held);
        if context < options.context_tokens {
            tracing::info!(
                context,
                asked = options.context_tokens,
                "the local model takes less than the options allow"
            );
        }
        Self::start(LocalParts { name: name.into(), engine, context, vocabulary, template, options: options.clone() })
    }

    /// Starts the threads.
    pub(crate) fn start<E: Engine>(parts: LocalParts<E>) -> Result<Self, ServingError> {
        parts.options.validate()?;
        let clock: Clock = Arc::new(Instant::now);
        let vocabulary = Arc::new(parts.vocabulary);
        let context = parts.context.min(parts.options.context_tokens);
        let preparer = Preparer::new(PreparerParts {
            vocabulary: Arc::clone(&vocabulary),
            template: parts.template,
            logits: parts.engine.vocabulary(),
            context,
            proposals: parts.options.proposals(),
            clock: Arc::clone(&clock),
        })?;
        let places = Places::new(&parts.options);
        let questions = Arc::new(Inbox::new());
        let orders = Arc::new(Inbox::new());
        let metrics = Arc::new(Mutex::new(Metrics::default()));
        let scheduler = Scheduler::new(SchedulerParts {
            engine: parts.engine,
            options: parts.options,
            inbox: Arc::clone(&orders),
            places: Arc::clone(&places),
            metrics: Arc::clone(&metrics),
            clock,
        })?;
        let inference = spawn("rejoinder-inference", move || scheduler.run())?;
        let prepare = {
            let (questions, orders) = (Arc::clone(&questions), Arc::clone(&orders));
            spawn("rejoinder-prepare", move || preparer.run(&questions, &orders))
        };
        let prepare = prepare.inspect_err(|_| orders.close())?;
        let threads = Mutex::new(Some(Threads { prepare, inference }));
        Ok(Self { name: parts.name, context, vocabulary, places, questions, orders, metrics, threads })
    }

    /// What it did and does.
    pub fn metrics(&self) -> Metrics {
        let (waiting_interactive, waiting_batch, refused) = self.places.counts();
        Metrics { waiting_interactive, waiting_batch, refused, ..lock(&self.metrics).clone() }
    }

    /// Drops everything that was computed for a tenant and kept for its next requests, before the next step. What is
    /// under way for it is not touched, and is kept when it ends.
    pub fn forget(&self, tenant: &TenantId) {
        // After the end nothing is kept.
        let _ = self.orders.push(Priority::Interactive, Order::Forget(tenant.clone()));
    }

    /// Ends it: accepts nothing more, and blocks until its threads have ended. Dropping it is [`Shutdown::Cancel`].
    pub fn shutdown(&self, how: Shutdown) {
        self.places.close();
        self.questions.close();
        if how == Shutdown::Cancel {
            let _ = self.orders.push(Priority::Batch, Order::Cancel);
        }
        // Held until the end, so that a second call returns when it is over, too.
        let mut threads = lock(&self.threads);
        let Some(Threads { prepare, inference }) = threads.take() else { return };
        // Both threads catch panics; should one have died all the same, there is nothing left to end.
        let _ = prepare.join();
        if how == Shutdown::Cancel {
            // Once more for what was being prepared. It is the last order, so that it meets everything.
            let _ = self.orders.push(Priority::Batch, Order::Cancel);
        }
        self.orders.close();
        let _ = inference.join();
    }
}

impl Drop for LocalModel {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Cancel);
    }
}

impl std::fmt::Debug for LocalModel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LocalModel")
            .field("name", &self.name)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl LanguageModel for LocalModel {
    fn provider(&self) -> &'static str {
        "local"
    }

    fn model(&self) -> &str {
        &self.name
    }

    fn context_tokens(&self) -> usize {
        self.context
    }

    fn count_tokens(&self, text: &str) -> Result<usize, SeamError> {
        Ok(self.vocabulary.encode(text).len())
    }

    async fn generate(&self, request: GenerateRequest) -> Result<GenerateStream, SeamError> {
        let arrived = Instant::now();
        let priority = request.priority;
        let place = self.places.take(priority)?;
        let (sender, answer) = answer();
        let (reply, replied) = oneshot::channel();
        self.questions.push(priority, Asked { request, sender, place, arrived, reply }).map_err(|_| closed())?;
        replied.await.map_err(|_| internal("the local model does not take requests any more"))??;
        Ok(Box::pin(answer))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ServingError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(ServingError::Thread)
}
