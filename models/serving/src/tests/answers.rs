//! What answers say: equal to a run without cache, batch and proposals, in every form.

use rejoinder_domain::{ErrorKind, FinishReason, GenerateRequest, OutputFormat, Sampling};
use serde_json::json;

use super::harness::{Harness, options, request};
use crate::options::ServingOptions;

const TEXTS: [&str; 4] = [
    "Where is my refund?",
    "Der Kühlschrank für die Küche fehlt noch, und die Rückgabe auch.",
    "the hen and the rain, the hen and the rain, again and again and again",
    "x",
];

fn without_lookup() -> ServingOptions {
    ServingOptions { lookup: false, ..options() }
}

fn ticket_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "kind": {"enum": ["refund", "delivery", "other"]},
            "subject": {"type": "string", "maxLength": 24},
            "amounts": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 999}, "maxItems": 3},
            "urgent": {"type": "boolean"}
        },
        "required": ["kind", "subject", "amounts", "urgent"],
        "additionalProperties": false
    })
}

#[test]
fn a_greedy_answer_is_what_the_whole_sequence_gives() {
    let mut harness = Harness::new(&without_lookup());
    for text in TEXTS {
        for max_tokens in [1, 2, 40, 150] {
            let request = request(text, max_tokens);
            let expected = harness.expected(&request).unwrap();
            assert_eq!(harness.answer(request).whole(), expected, "{text:?}, {max_tokens} tokens");
        }
    }
}

#[test]
fn characters_of_several_tokens_come_whole() {
    let mut harness = Harness::new(&options());
    let text = harness.answer(request("Für die Küche über Zürich ö ä ü ß é à ç ñ", 300)).whole().0;
    assert!(text.chars().any(|character| !character.is_ascii() && character != char::REPLACEMENT_CHARACTER), "{text}");
    // Every event is a `String`; that no character was torn shows in that none is replaced in the middle of a pair.
    assert_eq!(
        Some(text),
        harness.expected(&request("Für die Küche über Zürich ö ä ü ß é à ç ñ", 300)).map(|(t, _)| t)
    );
}

#[test]
fn stop_texts_end_answers_wherever_they_lie() {
    let mut harness = Harness::new(&options());
    for text in TEXTS {
        let whole = harness.expected(&request(text, 120)).unwrap().0;
        let characters: Vec<char> = whole.chars().collect();
        for start in (0..characters.len().saturating_sub(4)).step_by(9) {
            let stop: String = characters[start..start + 4].iter().collect();
            let request = GenerateRequest { stop: vec!["never in it".to_owned(), stop], ..request(text, 120) };
            let expected = harness.expected(&request).unwrap();
            assert_eq!(expected.1, FinishReason::Stop);
            assert_eq!(harness.answer(request).whole(), expected);
        }
    }
}

#[test]
fn seeds_decide_and_nothing_else_does() {
    let mut plain = Harness::new(&without_lookup());
    let mut speculating = Harness::new(&options());
    let mut different = std::collections::HashSet::new();
    for seed in 0..6 {
        let sampling =
            Sampling { temperature: 0.8, top_p: 0.95, min_p: 0.01, repetition_penalty: 1.05, seed: Some(seed) };
        let request = GenerateRequest { sampling, ..request(TEXTS[2], 80) };
        let expected = plain.expected(&request).unwrap();
        assert_eq!(plain.answer(request.clone()).whole(), expected);
        assert_eq!(speculating.answer(request).whole(), expected);
        different.insert(expected.0);
    }
    assert!(different.len() > 4);
    assert!(speculating.scheduler.metrics.accepted_tokens > 0);
}

#[test]
fn proposals_save_steps_and_change_nothing() {
    let mut plain = Harness::new(&without_lookup());
    let mut speculating = Harness::new(&options());
    for text in TEXTS {
        let asked = GenerateRequest { lookup: vec!["the hen and the rain, again".to_owned()], ..request(text, 200) };
        let (mut without, mut with) = (plain.answer(asked.clone()), speculating.answer(asked));
        assert_eq!(without.whole(), with.whole());
        assert_eq!(without.generated(), with.generated());
    }
    let (plain, speculating) = (&plain.scheduler.metrics, &speculating.scheduler.metrics);
    assert_eq!(plain.proposed_tokens, 0);
    assert!(speculating.accepted_tokens > 50, "{speculating:?}");
    assert!(speculating.accepted_tokens <= speculating.proposed_tokens);
    assert!(speculating.steps + speculating.accepted_tokens / 2 < plain.steps, "{speculating:?} {plain:?}");
}

#[test]
fn a_required_form_is_kept_with_and_without_proposals() {
    let forms = [
        OutputFormat::Json(ticket_schema()),
        OutputFormat::Json(json!({"type": "string", "maxLength": 12})),
        OutputFormat::Regex("(the|and) [a-z]{3,9}[0-9]+".to_owned()),
        OutputFormat::Choice(vec!["the hen".to_owned(), "the rain".to_owned(), "Küche".to_owned()]),
    ];
    for options in [options(), without_lookup()] {
        let mut harness = Harness::new(&options);
        for output in &forms {
            for text in TEXTS {
                for temperature in [0.0, 1.0] {
                    let sampling = Sampling { temperature, seed: Some(3), ..Sampling::default() };
                    let lookup = vec![r#"{"kind": "refund", "subject": "the rain", "amounts": [17, 3]"#.to_owned()];
                    let asked = GenerateRequest { output: output.clone(), sampling, lookup, ..request(text, 200) };
                    let expected = harness.expected(&asked).unwrap();
                    let answer = harness.answer(asked).whole();
                    assert_eq!(answer, expected, "{output:?} {text:?}");
                    assert_fits(&answer.0, output);
                }
            }
        }
        assert_eq!(options.lookup, harness.scheduler.metrics.accepted_tokens > 0);
        assert!(harness.scheduler.metrics.forced_tokens > 100);
    }
}

fn assert_fits(answer: &str, output: &OutputFormat) {
    match output {
        OutputFormat::Json(schema) if schema["type"] == "object" => {
            let value: serde_json::Value = serde_json::from_str(answer).unwrap();
            assert!(["refund", "delivery", "other"].contains(&value["kind"].as_str().unwrap()));
            assert!(value["subject"].as_str().unwrap().chars().count() <= 24);
            let amounts = value["amounts"].as_array().unwrap();
            assert!(amounts.len() <= 3 && amounts.iter().all(|amount| amount.as_u64().unwrap() <= 999));
            assert!(value["urgent"].is_boolean() && value.as_object().unwrap().len() == 4);
        }
        OutputFormat::Json(_) => {
            let value: serde_json::Value = serde_json::from_str(answer).unwrap();
            assert!(value.as_str().unwrap().chars().count() <= 12);
        }
        OutputFormat::Regex(_) => {
            let rest = answer.strip_prefix("the ").or_else(|| answer.strip_prefix("and ")).unwrap();
            let word = rest.trim_end_matches(|c: char| c.is_ascii_digit());
            assert!((3..=9).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()) && word != rest);
        }
        OutputFormat::Choice(texts) => assert!(texts.iter().any(|text| text == answer), "{answer:?}"),
        OutputFormat::Text => {}
    }
}

#[test]
fn an_answer_that_never_gets_its_form_fails_typed() {
    let mut harness = Harness::new(&options());
    for max_tokens in 1..30 {
        let output = OutputFormat::Json(ticket_schema());
        let asked = GenerateRequest { output, ..request(TEXTS[0], max_tokens) };
        let expected = harness.expected(&asked);
        let mut answer = harness.answer(asked);
        match expected {
            Some(expected) => assert_eq!(answer.whole(), expected),
            None => assert_eq!(answer.error().kind, ErrorKind::OutputIncomplete),
        }
    }
    // A form that may end at any time is complete whenever the tokens are used up.
    let asked = GenerateRequest { output: OutputFormat::Regex("[a-z]+".to_owned()), ..request(TEXTS[0], 5) };
    assert_eq!(harness.expected(&asked), Some(harness.answer(asked).whole()));
}

#[test]
fn what_is_forced_costs_no_step() {
    let mut harness = Harness::new(&options());
    let only = OutputFormat::Choice(vec!["the only answer".to_owned()]);
    let mut answer = harness.answer(GenerateRequest { output: only, ..request(TEXTS[0], 50) });
    assert_eq!(answer.whole(), ("the only answer".to_owned(), FinishReason::Stop));
    assert_eq!(harness.calls(), 0);
    assert!(answer.generated().usage.output > 5);

    let schema = json!({
        "type": "object",
        "properties": {"a_long_forced_name": {"type": "boolean"}, "another_long_name": {"type": "boolean"}},
        "required": ["a_long_forced_name", "another_long_name"],
        "additionalProperties": false
    });
    let asked = GenerateRequest { output: OutputFormat::Json(schema), ..request(TEXTS[0], 100) };
    let usage = harness.answer(asked).generated().usage;
    assert!(usage.output > 40, "{usage:?}");
    assert!(harness.calls() <= 6, "{} calls for two choices", harness.calls());
}

#[test]
fn usage_is_counted() {
    let mut harness = Harness::new(&without_lookup());
    let asked = request(TEXTS[1], 7);
    let prompt = harness.prompt(&asked).len();
    let generated = harness.answer(asked).generated();
    assert_eq!(generated.finish, FinishReason::Length);
    assert_eq!((generated.usage.input, generated.usage.cached_input, generated.usage.output), (prompt, 0, 7));
}

#[test]
fn what_cannot_be_honoured_is_refused_before_anything_runs() {
    let mut harness = Harness::new(&options());
    let invalid = [
        request("x", 0),
        GenerateRequest { messages: Vec::new(), ..request("x", 1) },
        GenerateRequest { stop: vec![String::new()], ..request("x", 1) },
        GenerateRequest { sampling: Sampling { top_p: 2.0, ..Sampling::default() }, ..request("x", 1) },
        GenerateRequest { output: OutputFormat::Choice(Vec::new()), ..request("x", 1) },
        GenerateRequest { output: OutputFormat::Regex("(".to_owned()), ..request("x", 1) },
        GenerateRequest { output: OutputFormat::Json(json!({"type": "no such type"})), ..request("x", 1) },
        GenerateRequest {
            output: OutputFormat::Regex("[a-z]+".to_owned()),
            stop: vec!["x".to_owned()],
            ..request("x", 1)
        },
    ];
    for request in invalid {
        assert_eq!(harness.try_ask(request).err().map(|error| error.kind), Some(ErrorKind::Invalid));
    }
    let prompt = harness.prompt(&request("x", 1)).len();
    assert!(harness.try_ask(request("x", 2048 - prompt)).is_ok());
    for too_many in [2048 - prompt + 1, usize::MAX] {
        let error = harness.try_ask(request("x", too_many)).err().unwrap();
        assert_eq!(error.kind, ErrorKind::ContextTooLong);
        assert!(error.message.contains("2048"), "{}", error.message);
    }
}
