//! Callers that go away, times that pass, engines that fail.

use std::time::Duration;

use rejoinder_domain::{ErrorKind, GenerateRequest, OutputFormat, Priority};

use super::harness::{Harness, options, request};
use crate::options::ServingOptions;
use crate::queue::lock;
use crate::scheduler::{Order, Turn};

#[test]
fn an_answer_nobody_reads_stops_within_one_token() {
    let mut harness = Harness::new(&ServingOptions { lookup: false, ..options() });
    let endless = OutputFormat::Regex("[a-z]{1000}".to_owned());
    let gone = harness.ask(GenerateRequest { output: endless, ..request("gone", 1000) });
    let mut stays = harness.ask(request("stays", 20));
    harness.turns(4);
    let calls = harness.calls();
    drop(gone);
    harness.settle();
    assert_eq!(Some(stays.read().whole()), harness.expected(&request("stays", 20)));
    let after = &lock(&harness.controls.calls)[calls..];
    assert!(after.iter().all(|call| call.len() == 1), "nothing more is computed for it");
    assert_eq!(harness.scheduler.metrics.cancelled, 1);
}

#[test]
fn a_caller_may_go_away_while_it_waits_or_while_its_prompt_is_computed() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 1, ..options() });
    let reading = harness.ask(request(&"long ".repeat(200), 5));
    let waiting = harness.ask(request("waiting", 5));
    harness.turns(2);
    drop(waiting);
    harness.turns(1);
    assert_eq!(harness.scheduler.metrics.cancelled, 1);
    drop(reading);
    let calls = harness.calls();
    assert_eq!(harness.scheduler.turn(), Turn::Idle);
    assert_eq!(harness.calls(), calls);
    assert_eq!(harness.scheduler.metrics.cancelled, 2);
}

#[test]
fn deadlines_end_what_runs_and_what_waits() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 1, lookup: false, ..options() });
    let timed = |text: &str, milliseconds| GenerateRequest {
        deadline: Some(Duration::from_millis(milliseconds)),
        output: OutputFormat::Regex("[a-z]{1000}".to_owned()),
        ..request(text, 1000)
    };
    let mut running = harness.ask(timed("running", 100));
    let mut waiting = harness.ask(timed("waiting", 50));
    let mut patient = harness.ask(request("patient", 5));
    harness.settle();
    assert!(!running.read().text.is_empty());
    assert_eq!(running.error().kind, ErrorKind::DeadlineExceeded);
    assert!(waiting.read().text.is_empty());
    assert_eq!(waiting.error().kind, ErrorKind::DeadlineExceeded);
    assert_eq!(Some(patient.read().whole()), harness.expected(&request("patient", 5)));
    assert_eq!(harness.scheduler.metrics.expired, 2);
    let late = harness.try_ask(timed("late", 0)).err().unwrap();
    assert_eq!(late.kind, ErrorKind::DeadlineExceeded);
    assert!(harness.answer(timed("in time", 3_600_000)).end.unwrap().is_ok());
}

/// Four answers; one has a token that the engine cannot compute.
fn guilty_alone(arm: impl Fn(&Harness, u32)) {
    let mut harness = Harness::new(&options());
    let guilty = harness.vocabulary.encode("#")[0];
    arm(&harness, guilty);
    let asked: Vec<_> = (0..3).map(|index| request(&format!("good {index}"), 30)).collect();
    let mut callers: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
    harness.turns(3);
    let mut bad = harness.ask(request("bad #", 30));
    harness.settle();
    assert_eq!(bad.error().kind, ErrorKind::Internal);
    assert!(bad.text.is_empty());
    for (caller, asked) in callers.iter_mut().zip(&asked) {
        assert_eq!(Some(caller.read().whole()), harness.expected(asked));
    }
    assert_eq!((harness.scheduler.metrics.finished, harness.scheduler.metrics.failed), (3, 1));
    // It goes on, and nothing half computed was kept.
    assert_eq!(Some(harness.answer(asked[0].clone()).whole()), harness.expected(&asked[0]));
    while harness.scheduler.kept.evict() {}
    assert_eq!(harness.controls.pages(), 0);
}

#[test]
fn an_error_of_the_engine_fails_the_guilty_request_alone() {
    guilty_alone(|harness, token| *lock(&harness.controls.error_at) = Some(token));
}

#[test]
fn a_panic_of_the_engine_fails_the_guilty_request_alone() {
    guilty_alone(|harness, token| *lock(&harness.controls.panic_at) = Some(token));
}

#[test]
fn cancelling_ends_everything_typed() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 1, ..options() });
    let mut callers: Vec<_> = (0..3).map(|_| harness.ask(request("text", 500))).collect();
    harness.turns(3);
    harness.orders.push(Priority::Batch, Order::Cancel).unwrap();
    assert_eq!(harness.scheduler.turn(), Turn::Idle);
    for caller in &mut callers {
        assert_eq!(caller.error().kind, ErrorKind::Unavailable);
    }
    assert_eq!(harness.controls.pages(), 0);
}
