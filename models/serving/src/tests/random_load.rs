//! Everything at once, from seeds: each answer is still what it would be alone.

use rejoinder_domain::{ChatMessage, ChatRole, ErrorKind, GenerateRequest, OutputFormat, Priority, Sampling};
use serde_json::json;

use super::harness::{Caller, Harness, options, request, tenant};
use super::toy::PAGE;
use crate::options::ServingOptions;

/// A small generator of numbers, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

fn random_request(dice: &mut Dice) -> GenerateRequest {
    let words = ["refund", "Küche", "the hen", "and", "Rückgabe", "17.50", "again", "\n\n", "🙂", "invoice"];
    let mut text = String::new();
    let length = [3, 10, 60][dice.below(3)];
    for _ in 0..length {
        text.push_str(words[dice.below(words.len())]);
        text.push(' ');
    }
    let system = ["You answer customers of a shop, briefly.", "You fill a form."][dice.below(2)];
    let output = match dice.below(6) {
        0 => OutputFormat::Json(json!({
            "type": "object",
            "properties": {"a": {"type": "string", "maxLength": 9}, "b": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["a", "b"],
            "additionalProperties": false
        })),
        1 => OutputFormat::Regex("(the|and)( [a-z]{1,5}){2}".to_owned()),
        2 => OutputFormat::Choice(words.iter().map(|&word| word.to_owned()).collect()),
        _ => OutputFormat::Text,
    };
    let sampling = match dice.below(3) {
        0 => Sampling { temperature: 0.9, top_p: 0.9, seed: Some(dice.below(1000) as u64), ..Sampling::default() },
        1 => Sampling { repetition_penalty: 1.1, ..Sampling::default() },
        _ => Sampling::default(),
    };
    let stop = if output == OutputFormat::Text && dice.below(4) == 0 {
        vec!["er".to_owned(), "\n\n".to_owned()]
    } else {
        Vec::new()
    };
    GenerateRequest {
        tenant: tenant(["a", "b"][dice.below(2)]),
        messages: vec![ChatMessage::new(ChatRole::System, system), ChatMessage::new(ChatRole::User, text.trim())],
        output,
        sampling,
        stop,
        priority: [Priority::Batch, Priority::Interactive][dice.below(2)],
        lookup: if dice.below(2) == 0 {
            vec!["the hen and the rain, Küche 17.50 again".to_owned()]
        } else {
            Vec::new()
        },
        ..request("", [1, 8, 40, 90][dice.below(4)])
    }
}

fn random_load(seed: u64, options: &ServingOptions) -> Harness {
    let mut dice = Dice(seed);
    let mut harness = Harness::new(options);
    let mut open: Vec<(GenerateRequest, Caller)> = Vec::new();
    let mut asked = 0;
    while asked < 60 || !open.is_empty() {
        if asked < 60 && dice.below(3) == 0 {
            let request = random_request(&mut dice);
            asked += 1;
            let caller = harness.ask(request.clone());
            // Some callers go away, now or later.
            if dice.below(8) != 0 {
                open.push((request, caller));
            }
        }
        if dice.below(40) == 0 && !open.is_empty() {
            open.swap_remove(dice.below(open.len()));
        }
        harness.scheduler.turn();
        for (request, caller) in &mut open {
            if caller.read().end.is_some() {
                match harness.expected(request) {
                    Some(expected) => assert_eq!(caller.whole(), expected, "seed {seed}: {request:?}"),
                    None => assert_eq!(caller.error().kind, ErrorKind::OutputIncomplete),
                }
            }
        }
        open.retain(|(_, caller)| caller.end.is_none());
    }
    harness.settle();
    while harness.scheduler.kept.evict() {}
    assert_eq!(harness.controls.pages(), 0, "seed {seed}");
    harness
}

#[test]
fn answers_under_mixed_load_equal_answers_alone() {
    for seed in 0..12 {
        let options = ServingOptions { max_sequences: 1 + seed as usize % 5, ..options() };
        let harness = random_load(seed, &options);
        let metrics = &harness.scheduler.metrics;
        assert!(metrics.cached_input_tokens > 500 && metrics.accepted_tokens > 20, "{metrics:?}");
    }
}

#[test]
fn answers_under_mixed_load_equal_answers_alone_when_memory_is_short() {
    let mut preempted = 0;
    for seed in 100..112 {
        let cache_bytes = 60 * PAGE;
        let options = ServingOptions { cache_bytes, reuse_bytes: cache_bytes, max_sequences: 5, ..options() };
        preempted += random_load(seed, &options).scheduler.metrics.preempted;
    }
    assert!(preempted > 20, "{preempted}");
}
