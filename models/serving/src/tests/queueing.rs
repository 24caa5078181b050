//! Who runs when.

use rejoinder_domain::{ErrorKind, GenerateRequest, OutputFormat, Priority};

use super::harness::{Caller, Harness, options, request, tenant};
use super::toy::Computed;
use crate::options::ServingOptions;
use crate::queue::lock;

fn batch(text: &str, max_tokens: usize) -> GenerateRequest {
    GenerateRequest { priority: Priority::Batch, ..request(text, max_tokens) }
}

/// A text of about so many tokens that no other has.
fn long(seed: usize, tokens: usize) -> String {
    let words = (0..tokens / 5).map(|word| (1000 + (seed * 7919 + word * 31) % 9000).to_string());
    words.collect::<Vec<_>>().join(" ")
}

fn last_call(harness: &Harness) -> Vec<Computed> {
    lock(&harness.controls.calls).last().cloned().unwrap()
}

/// The order in which callers got their first text.
fn order_of_first_texts(harness: &mut Harness, callers: &mut [Caller]) -> Vec<usize> {
    let mut order = Vec::new();
    while order.len() < callers.len() {
        harness.turns(1);
        for (index, caller) in callers.iter_mut().enumerate() {
            if !caller.read().text.is_empty() && !order.contains(&index) {
                order.push(index);
            }
        }
    }
    order
}

#[test]
fn answers_are_written_together() {
    let mut harness = Harness::new(&ServingOptions { lookup: false, ..options() });
    let asked: Vec<_> = (0..4).map(|index| request(&format!("question {index}"), 30)).collect();
    let mut callers: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
    harness.settle();
    let together = lock(&harness.controls.calls).iter().filter(|call| call.len() == 4).count();
    assert!(together > 5, "{together} calls computed four answers at once");
    for (caller, asked) in callers.iter_mut().zip(&asked) {
        assert_eq!(Some(caller.read().whole()), harness.expected(asked));
    }
}

#[test]
fn a_long_prompt_does_not_stall_others() {
    let mut harness = Harness::new(&ServingOptions { lookup: false, ..options() });
    let mut short = harness.ask(request("short", 60));
    harness.turns(2);
    let written = short.read().text.len();
    assert!(written > 0);
    let mut long_prompt = harness.ask(request(&long(1, 600), 5));
    for turn in 0..10 {
        harness.turns(1);
        let call = last_call(&harness);
        assert_eq!(call.len(), 2);
        assert_eq!(call[0].new, 1, "the answer goes on");
        assert!(call[1].new <= 32, "turn {turn}: the prompt comes in shared chunks");
        assert!(long_prompt.read().text.is_empty());
    }
    harness.settle();
    assert_eq!(Some(long_prompt.whole()), harness.expected(&request(&long(1, 600), 5)));
}

#[test]
fn people_go_before_programs_and_first_come_first_served_within() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 1, ..options() });
    let asked = [batch("b0", 4), batch("b1", 4), request("i2", 4), batch("b3", 4), request("i4", 4)];
    let mut callers: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
    assert_eq!(order_of_first_texts(&mut harness, &mut callers), [2, 4, 0, 1, 3]);
}

#[test]
fn a_tenant_with_many_requests_delays_another_by_one() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 1, ..options() });
    let of = |name: &str, text: &str| GenerateRequest { tenant: tenant(name), ..request(text, 4) };
    let asked = [of("a", "0"), of("a", "1"), of("a", "2"), of("a", "3"), of("b", "4"), of("b", "5"), of("c", "6")];
    let mut callers: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
    assert_eq!(order_of_first_texts(&mut harness, &mut callers), [0, 4, 6, 1, 5, 2, 3]);
}

#[test]
fn a_person_takes_the_place_of_a_program_which_then_goes_on() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 2, ..options() });
    let output = OutputFormat::Regex("[a-z]{50}".to_owned());
    let asked = ["first program", "second program"];
    let asked = asked.map(|text| GenerateRequest { output: output.clone(), ..batch(text, 60) });
    let mut programs: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
    while programs[1].read().text.is_empty() {
        harness.turns(1);
    }
    let so_far = programs[1].read().text.len();
    let mut person = harness.ask(request("person", 5));
    harness.turns(2);
    assert!(!person.read().text.is_empty(), "the person is served at once");
    assert!(programs[1].read().text.len() == so_far, "the younger program waits");
    harness.settle();
    for (program, asked) in programs.iter_mut().zip(&asked) {
        assert_eq!(Some(program.read().whole()), harness.expected(asked));
    }
    assert_eq!(harness.scheduler.metrics.preempted, 1);
    // Nothing was computed twice: every call of the second program continued the one before.
    let calls = lock(&harness.controls.calls).clone();
    let prompt = harness.prompt(&asked[1]);
    let computed: Vec<_> = calls.iter().flatten().filter(|part| part.sequence.starts_with(&prompt)).collect();
    assert!(computed.iter().all(|part| part.new < prompt.len() || part.sequence.len() == prompt.len()));
}

#[test]
fn a_person_goes_before_a_programs_prompt_that_is_being_computed() {
    let mut harness = Harness::new(&options());
    let mut program = harness.ask(batch(&long(2, 700), 5));
    harness.turns(3);
    let mut person = harness.ask(request(&long(3, 120), 1));
    let mut turns = 0;
    while person.read().end.is_none() {
        harness.turns(1);
        turns += 1;
        assert!(turns < 10, "the person waits for the program");
    }
    assert!(program.read().text.is_empty());
    harness.settle();
    assert_eq!(Some(program.read().whole()), harness.expected(&batch(&long(2, 700), 5)));
}

#[test]
fn a_program_does_not_wait_for_ever() {
    let patience = 3;
    let mut harness =
        Harness::new(&ServingOptions { max_sequences: 1, batch_patience: patience, lookup: false, ..options() });
    let mut program = harness.ask(batch("the program", 5));
    let mut people = Vec::new();
    let mut before = 0;
    // There is always a person waiting.
    for index in 0..40 {
        people.push(harness.ask(request(&format!("person {index}"), 3)));
        people.push(harness.ask(request(&format!("other person {index}"), 3)));
        harness.turns(3);
        if program.read().end.is_some() {
            break;
        }
        before = people.iter_mut().map(|person| usize::from(person.read().end.is_some())).sum();
    }
    program.generated();
    assert!((patience..=patience + 2).contains(&before), "{before} people went before it");
}

#[test]
fn too_much_work_is_refused_at_once() {
    let mut harness = Harness::new(&ServingOptions { queue_length: 4, max_sequences: 1, ..options() });
    let mut callers: Vec<_> = (0..3).map(|_| harness.ask(batch("program", 3))).collect();
    let refused = harness.try_ask(batch("one more", 3)).err().unwrap();
    assert!(matches!(refused.kind, ErrorKind::RateLimited { retry_after: Some(_) }), "{refused:?}");
    callers.push(harness.ask(request("a person still comes in", 3)));
    assert!(harness.try_ask(request("another", 3)).is_err());
    harness.turns(1);
    callers.push(harness.ask(request("one got a place", 3)));
    harness.settle();
    assert!(callers.iter_mut().all(|caller| caller.generated().usage.output > 0));
    assert!(harness.try_ask(batch("later", 3)).is_ok());
}

#[test]
fn what_two_prompts_share_is_computed_once() {
    let mut harness = Harness::new(&options());
    let shared = long(4, 400);
    let asked: Vec<_> = (0..3).map(|index| request(&format!("{shared}? {index}"), 3)).collect();
    let mut callers: Vec<_> = asked.iter().map(|asked| harness.ask(asked.clone())).collect();
    harness.settle();
    for (index, (caller, asked)) in callers.iter_mut().zip(&asked).enumerate() {
        assert_eq!(Some(caller.read().whole()), harness.expected(asked));
        let cached = caller.generated().usage.cached_input;
        assert!(if index == 0 { cached == 0 } else { cached > 350 }, "{index}: {cached}");
    }
    let mut other = harness.answer(GenerateRequest { tenant: tenant("other"), ..asked[0].clone() });
    assert_eq!(other.generated().usage.cached_input, 0);
}

#[test]
fn tenants_share_nothing_even_while_both_are_answered() {
    let mut harness = Harness::new(&options());
    let asked = ["a", "b"].map(|name| GenerateRequest { tenant: tenant(name), ..request(&long(6, 150), 60) });
    let mut first = harness.ask(asked[0].clone());
    // The first one's prompt is computed and its answer is being written when the second one comes.
    while first.read().text.is_empty() {
        harness.turns(1);
    }
    let mut second = harness.ask(asked[1].clone());
    harness.turns(1);
    assert!(first.read().end.is_none());
    harness.settle();
    for caller in [&mut first, &mut second] {
        assert_eq!(Some(caller.read().whole()), harness.expected(&asked[0]));
        assert_eq!(caller.generated().usage.cached_input, 0);
    }
}

#[test]
fn waits_are_measured() {
    let mut harness = Harness::new(&ServingOptions { max_sequences: 1, ..options() });
    let callers: Vec<_> = (0..3).map(|_| harness.ask(request(&long(5, 200), 20))).collect();
    harness.settle();
    let waits = harness.scheduler.metrics.waits_interactive;
    assert_eq!((waits.count(), harness.scheduler.metrics.waits_batch.count()), (3, 0));
    // The first did not wait; the others waited for a prompt of 200 tokens at a millisecond each.
    assert!(waits.quantile(0.1).unwrap().as_millis() <= 1);
    assert!(waits.quantile(0.9).unwrap().as_millis() >= 200);
    drop(callers);
}
