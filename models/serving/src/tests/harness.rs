//! A scheduler that is turned by hand, and what its answers must be.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use rejoinder_domain::{
    ChatMessage, ChatRole, FinishReason, GenerateEvent, GenerateRequest, Generated, OutputFormat, SeamError, TenantId,
};
use rejoinder_grammar::{Grammar, GrammarFactory, GrammarOptions};
use rejoinder_vocabulary::{ChatTemplate, StreamDecoder, Vocabulary};

use super::toy::{Controls, Toy, logits, vocabulary};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::options::ServingOptions;
use crate::prepare::{Preparer, PreparerParts, factory};
use crate::queue::{Inbox, Places, lock};
use crate::sampler::Sampler;
use crate::scheduler::{Clock, Order, Scheduler, SchedulerParts, Turn};
use crate::stream::{Answer, answer};

/// A scheduler with everything around it but the threads.
pub(crate) struct Harness {
    pub(crate) scheduler: Scheduler<Toy>,
    pub(crate) controls: Arc<Controls>,
    pub(crate) orders: Arc<Inbox<Order>>,
    pub(crate) vocabulary: Arc<Vocabulary>,
    template: ChatTemplate,
    factory: GrammarFactory,
    preparer: Preparer,
    places: Arc<Places>,
    clock: Clock,
}

/// An answer in the caller's hands.
pub(crate) struct Caller {
    answer: Answer,
    pub(crate) text: String,
    pub(crate) end: Option<Result<Generated, SeamError>>,
}

impl Caller {
    /// Reads what came so far.
    pub(crate) fn read(&mut self) -> &mut Self {
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(event)) = Pin::new(&mut self.answer).poll_next(&mut context) {
            assert!(self.end.is_none(), "an event after the end");
            match event {
                Ok(GenerateEvent::Text(text)) => {
                    assert!(!text.is_empty());
                    self.text.push_str(&text);
                }
                Ok(GenerateEvent::Done(generated)) => self.end = Some(Ok(generated)),
                Ok(other) => panic!("a local model does not say {other:?}"),
                Err(error) => self.end = Some(Err(error)),
            }
        }
        self
    }

    /// The whole answer.
    pub(crate) fn whole(&mut self) -> (String, FinishReason) {
        let generated = self.generated();
        (self.text.clone(), generated.finish)
    }

    /// How it ended.
    pub(crate) fn generated(&mut self) -> Generated {
        *self.read().end.as_ref().expect("the answer has ended").as_ref().expect("the answer ended well")
    }

    /// Why it failed.
    pub(crate) fn error(&mut self) -> &SeamError {
        self.read().end.as_ref().expect("the answer has ended").as_ref().expect_err("the answer failed")
    }
}

/// Options under which the toy engine shows chunks, places and speculation with short prompts.
pub(crate) fn options() -> ServingOptions {
    ServingOptions {
        context_tokens: 2048,
        max_sequences: 4,
        queue_length: 1000,
        cache_bytes: 1 << 20,
        reuse_bytes: 1 << 19,
        prefill_chunk: 64,
        prefill_chunk_shared: 32,
        ..ServingOptions::default()
    }
}

/// A greedy request of tenant "acme".
pub(crate) fn request(text: &str, max_tokens: usize) -> GenerateRequest {
    GenerateRequest::new(tenant("acme"), vec![ChatMessage::new(ChatRole::User, text)], max_tokens)
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

impl Harness {
    pub(crate) fn new(options: &ServingOptions) -> Self {
        options.validate().unwrap();
        let (vocabulary, template) = vocabulary();
        let (_, preparing_template) = self::vocabulary();
        let vocabulary = Arc::new(vocabulary);
        let (engine, controls) = Toy::new(Arc::clone(&vocabulary), options.cache_bytes);
        let now = Arc::clone(&controls);
        let clock: Clock = Arc::new(move || *lock(&now.now));
        let places = Places::new(options);
        let orders = Arc::new(Inbox::new());
        let factory = factory(&vocabulary, engine.vocabulary()).unwrap();
        let preparer = Preparer::new(PreparerParts {
            vocabulary: Arc::clone(&vocabulary),
            template: preparing_template,
            logits: engine.vocabulary(),
            context: options.context_tokens,
            proposals: options.proposals(),
            clock: Arc::clone(&clock),
        })
        .unwrap();
        let scheduler = Scheduler::new(SchedulerParts {
            engine,
            options: options.clone(),
            inbox: Arc::clone(&orders),
            places: Arc::clone(&places),
            metrics: Arc::new(Mutex::new(Metrics::default())),
            clock: Arc::clone(&clock),
        })
        .unwrap();
        Self { scheduler, controls, orders, vocabulary, template, factory, preparer, places, clock }
    }

    /// Asks as [`LocalModel::generate`](crate::LocalModel) does.
    pub(crate) fn try_ask(&mut self, request: GenerateRequest) -> Result<Caller, SeamError> {
        let priority = request.priority;
        let place = self.places.take(priority)?;
        let (sender, answer) = answer();
        let mut prepared = self.preparer.prepare(request, sender, (self.clock)())?;
        prepared.place = Some(place);
        self.orders.push(priority, Order::Run(Box::new(prepared))).unwrap();
        Ok(Caller { answer, text: String::new(), end: None })
    }

    pub(crate) fn ask(&mut self, request: GenerateRequest) -> Caller {
        self.try_ask(request).unwrap()
    }

    pub(crate) fn turns(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.scheduler.turn(), Turn::Worked);
        }
    }

    /// Turns until nobody runs or waits.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.scheduler.turn() == Turn::Idle {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    /// Asks and waits for the answer.
    pub(crate) fn answer(&mut self, request: GenerateRequest) -> Caller {
        let mut caller = self.ask(request);
        self.settle();
        caller.read();
        caller
    }

    pub(crate) fn prompt(&self, request: &GenerateRequest) -> Vec<u32> {
        let messages: Vec<_> = request.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        self.template.prompt_tokens(&self.vocabulary, &messages).unwrap().tokens
    }

    /// How many sequences each forward call had, from call `first` on.
    pub(crate) fn calls(&self) -> usize {
        lock(&self.controls.calls).len()
    }

    /// What the answer must be: token by token from the whole sequence each time, without cache, batch or proposals.
    /// `None` where the form is not complete within the tokens allowed.
    pub(crate) fn expected(&self, request: &GenerateRequest) -> Option<(String, FinishReason)> {
        let grammar = match &request.output {
            OutputFormat::Text => None,
            OutputFormat::Json(schema) => Some(Grammar::Json(schema.clone())),
            OutputFormat::Regex(regex) => Some(Grammar::Regex(regex.clone())),
            OutputFormat::Choice(texts) => Some(Grammar::Choice(texts.clone())),
        };
        let mut matcher = grammar.map(|grammar| self.factory.matcher(&grammar, &GrammarOptions::default()).unwrap());
        let mut sampler = Sampler::new(request.sampling);
        let mut tokens = self.prompt(request);
        let mut decoder = StreamDecoder::new();
        let mut text = String::new();
        let cut = |text: &str| request.stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
        for position in 0..request.max_tokens {
            let mask = matcher.as_mut().map(|matcher| matcher.mask().unwrap());
            let token = sampler.choose(&mut logits(&tokens, &self.vocabulary), mask.as_ref(), position).unwrap();
            if self.vocabulary.end_tokens().contains(&token) {
                text.push_str(&decoder.finish());
                text.truncate(cut(&text).unwrap_or(text.len()));
                return Some((text, FinishReason::Stop));
            }
            sampler.record(token);
            tokens.push(token);
            if !self.vocabulary.is_special(token) {
                text.push_str(&decoder.push(self.vocabulary.token_bytes(token)));
            }
            if let Some(at) = cut(&text) {
                text.truncate(at);
                return Some((text, FinishReason::Stop));
            }
            if let Some(matcher) = &mut matcher {
                matcher.accept(token).unwrap();
                if matcher.is_complete() {
                    return Some((text, FinishReason::Stop));
                }
            }
        }
        if matcher.is_some_and(|mut matcher| !matcher.may_end()) {
            return None;
        }
        text.push_str(&decoder.finish());
        text.truncate(cut(&text).unwrap_or(text.len()));
        Some((text, FinishReason::Length))
    }
}
