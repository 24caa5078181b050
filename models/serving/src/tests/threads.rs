//! The whole local model with its threads, on the toy engine.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use rejoinder_domain::language::collect;
use rejoinder_domain::{ErrorKind, GenerateRequest, LanguageModel, OutputFormat, Priority};

use super::harness::{Harness, options, request};
use super::toy::{Toy, vocabulary};
use crate::local::{LocalModel, LocalParts, Shutdown};
use crate::options::ServingOptions;

/// An executor of one thread: nothing of tokio runs here.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn model(options: &ServingOptions) -> LocalModel {
    let (tokens, template) = vocabulary();
    let (engine, _) = Toy::new(Arc::new(vocabulary().0), options.cache_bytes);
    let parts = LocalParts {
        name: "toy".to_owned(),
        engine,
        context: 1500,
        vocabulary: tokens,
        template,
        options: options.clone(),
    };
    LocalModel::start(parts).unwrap()
}

#[test]
fn it_is_a_language_model_on_any_executor() {
    let model = model(&options());
    assert_eq!((model.provider(), model.model(), model.context_tokens()), ("local", "toy", 1500));
    assert_eq!(model.count_tokens("the").unwrap(), 1);
    let harness = Harness::new(&options());
    let asked = request("Where is my refund?", 50);
    let expected = harness.expected(&asked).unwrap();
    let (text, generated) = block_on(async { collect(model.generate(asked.clone()).await.unwrap()).await }).unwrap();
    assert_eq!((text, generated.finish), expected);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (text, generated) = runtime.block_on(async { collect(model.generate(asked).await.unwrap()).await }).unwrap();
    assert_eq!((text, generated.finish), expected);
    assert!(generated.usage.cached_input > 0);
    let metrics = model.metrics();
    assert_eq!((metrics.finished, metrics.waiting_interactive, metrics.waiting_batch), (2, 0, 0));
}

#[test]
fn many_callers_at_once_get_their_own_answers() {
    let model = model(&options());
    let harness = Harness::new(&options());
    let asked: Vec<GenerateRequest> = (0..40)
        .map(|index| {
            let output =
                if index % 4 == 0 { OutputFormat::Regex("[a-z]{4}[0-9]".to_owned()) } else { OutputFormat::Text };
            GenerateRequest { output, ..request(&format!("question {}", index % 7), 10 + index) }
        })
        .collect();
    std::thread::scope(|scope| {
        for asked in &asked {
            let (model, harness) = (&model, &harness);
            let ask = move || block_on(async { collect(model.generate(asked.clone()).await.unwrap()).await }).unwrap();
            let thread = scope.spawn(ask);
            let expected = harness.expected(asked).unwrap();
            // Joined here only every fourth time, so that several are under way.
            if asked.max_tokens % 4 == 0 {
                let (text, generated) = thread.join().unwrap();
                assert_eq!((text, generated.finish), expected);
            } else {
                scope.spawn(move || {
                    let (text, generated) = thread.join().unwrap();
                    assert_eq!((text, generated.finish), expected);
                });
            }
        }
    });
    assert_eq!(model.metrics().finished, 40);
}

#[test]
fn draining_answers_what_was_accepted_and_nothing_more() {
    let model = model(&options());
    let asked: Vec<_> = (0..10).map(|index| request(&format!("question {index}"), 60)).collect();
    let streams: Vec<_> = asked.iter().map(|asked| block_on(model.generate(asked.clone())).unwrap()).collect();
    model.shutdown(Shutdown::Drain);
    let harness = Harness::new(&options());
    for (stream, asked) in streams.into_iter().zip(&asked) {
        let (text, generated) = block_on(collect(stream)).unwrap();
        assert_eq!(Some((text, generated.finish)), harness.expected(asked));
    }
    let refused = block_on(model.generate(request("late", 5))).err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
}

#[test]
fn dropping_it_ends_every_answer_typed() {
    let model = model(&ServingOptions { max_sequences: 1, ..options() });
    let endless = |index: usize| GenerateRequest {
        output: OutputFormat::Regex("[a-z]{1400}".to_owned()),
        priority: [Priority::Batch, Priority::Interactive][index % 2],
        ..request("x", 1400)
    };
    let streams: Vec<_> = (0..6).map(|index| block_on(model.generate(endless(index))).unwrap()).collect();
    drop(model);
    let failed = streams.into_iter().filter_map(|stream| block_on(collect(stream)).err());
    let kinds: Vec<_> = failed.map(|error| error.kind).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == ErrorKind::Unavailable), "{kinds:?}");
}

#[test]
fn a_caller_may_go_away_before_it_was_heard() {
    let model = model(&options());
    let mut context = Context::from_waker(Waker::noop());
    for index in 0..20 {
        let mut asking = model.generate(request(&format!("question {index}"), 500));
        // Asked, but the reply is not awaited.
        let _ = asking.as_mut().poll(&mut context);
    }
    let (text, _) = block_on(async { collect(model.generate(request("after", 5)).await.unwrap()).await }).unwrap();
    assert_eq!(Some(text), Harness::new(&options()).expected(&request("after", 5)).map(|(text, _)| text));
    model.shutdown(Shutdown::Drain);
    let metrics = model.metrics();
    assert_eq!((metrics.waiting_interactive, metrics.waiting_batch), (0, 0));
}

#[test]
fn what_is_wrong_with_a_request_is_said_before_the_stream() {
    let model = model(&options());
    let refused = |request| block_on(model.generate(request)).err().unwrap().kind;
    assert_eq!(refused(request("x", 0)), ErrorKind::Invalid);
    assert_eq!(refused(request("x", 1500)), ErrorKind::ContextTooLong);
    let metrics = model.metrics();
    assert_eq!((metrics.waiting_interactive, metrics.steps), (0, 0));
}
