//! With a language model: it writes and fills where it is good enough, and where it is not nobody is worse off.

#[path = "../../models/serving/tests/decoder/tiny.rs"]
#[allow(dead_code, reason = "the model's own tests use the rest")]
mod tiny;

use serde_json::{Value, json};

use crate::product::{Product, model_is_here, sample, weights_are_here};
use crate::spine::ingest_sample;

const SMOLLM2: &str = "SmolLM2-135M-Instruct";

fn request(ticket: &str) -> String {
    sample(&format!("tickets/{ticket}.json"))
}

fn extraction() -> Value {
    json!({
        "text": "Grüße! Rechnung HM-2026-00417 über 1.250,00 € ist am 3. März 2026 fällig. Bitte an jörg@beispiel.example.",
        "schema": {"type": "object", "properties": {
            "invoice": {"type": "string", "description": "Number of the invoice", "pattern": "^HM-[0-9]{4}-[0-9]{5}$"},
            "amount": {"type": "number", "description": "Amount of the invoice"},
            "due": {"type": "string", "format": "date", "description": "Due date of the invoice"},
            "phone": {"type": "string", "description": "Telephone number"}
        }}
    })
}

/// Every piece of evidence is in the text at the place that it names, in code points and in bytes.
fn evidence_is_in(text: &str, answer: &Value) {
    for evidence in answer["evidence"].as_array().unwrap() {
        let at = |key: &str| evidence[key].as_u64().unwrap() as usize;
        let quote = evidence["quote"].as_str().unwrap();
        let by_chars: String = text.chars().skip(at("start")).take(at("end") - at("start")).collect();
        assert_eq!(by_chars, quote);
        assert_eq!(text.get(at("byte_start")..at("byte_end")), Some(quote));
        assert!(["recognisers", "model", "both"].contains(&evidence["origin"].as_str().unwrap()), "{evidence}");
    }
}

#[test]
fn a_model_that_writes_nonsense_leaves_the_earlier_reply_and_what_recognisers_found() {
    if !weights_are_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = tiny::write_with_context(folder.path(), 16_384);
    let product = Product::new().with_language_model(model.to_str().unwrap());
    ingest_sample(&product);
    let server = product.serve();
    assert_eq!(server.get("/readyz").json()["language_model"], "tiny");

    let answer = server.post("/v1/suggest-reply", &request("T-2001")).json();
    assert_eq!(answer["suggestions"][0]["provider"], "exemplar", "{answer}");
    let attempts = answer["attempts"].as_array().unwrap();
    let local = attempts.iter().find(|attempt| attempt["provider"] == "local").expect("the model was tried");
    assert_ne!(local["outcome"], "ok");
    assert!(answer["usage"]["input_tokens"].as_u64().unwrap() > 100, "{answer}");

    let with_model = server.post("/v1/extract-attributes", &extraction().to_string()).json();
    assert_eq!(with_model["attributes"]["invoice"], "HM-2026-00417", "{with_model}");
    assert_eq!(with_model["attributes"]["amount"], 1250.0);
    assert_eq!(with_model["attributes"]["due"], "2026-03-03");
    assert!(with_model["attributes"].get("phone").is_none(), "nobody may invent a telephone number: {with_model}");
    evidence_is_in(extraction()["text"].as_str().unwrap(), &with_model);
    assert!(with_model["attempts"].as_array().unwrap().iter().any(|attempt| attempt["provider"] == "local"));
    assert!(server.terminate(), "a server with a model ends well");
}

#[test]
fn a_prompt_that_does_not_fit_is_said_and_the_earlier_reply_is_the_answer() {
    if !weights_are_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = tiny::write(folder.path());
    let product = Product::new().with_language_model(model.to_str().unwrap());
    ingest_sample(&product);
    let answer = product.json(&["suggest", "--ticket", &path_of("T-2001")], 0);
    assert_eq!(answer["suggestions"][0]["provider"], "exemplar");
    let attempts = answer["attempts"].as_array().unwrap();
    assert!(attempts.iter().any(|attempt| attempt["outcome"] == "context_too_long"), "{attempts:?}");
}

fn path_of(ticket: &str) -> String {
    crate::product::repository().join(format!("examples/mailbox/tickets/{ticket}.json")).display().to_string()
}

#[test]
fn real_weights_draft_and_extract_within_the_checks() {
    if !weights_are_here() || !model_is_here(SMOLLM2) {
        return;
    }
    let product = Product::new().with_language_model(SMOLLM2);
    ingest_sample(&product);
    let server = product.serve();
    for ticket in ["T-2001", "T-2002"] {
        let answer = server.post("/v1/suggest-reply", &request(ticket)).json();
        let suggestions = answer["suggestions"].as_array().unwrap();
        assert!(!suggestions.is_empty(), "{answer}");
        let attempts = answer["attempts"].as_array().unwrap();
        let local = attempts.iter().find(|attempt| attempt["provider"] == "local").expect("the model was tried");
        let written = suggestions[0]["provider"] == "local";
        assert_eq!(written, local["outcome"] == "ok", "{answer}");
        assert!(answer["usage"]["output_tokens"].as_u64().unwrap() > 0);
        for citation in suggestions[0]["citations"].as_array().unwrap() {
            assert!(!citation["quote"].as_str().unwrap().is_empty());
        }
    }
    let answer = server.post("/v1/extract-attributes", &extraction().to_string()).json();
    assert_eq!(answer["attributes"]["amount"], 1250.0, "{answer}");
    evidence_is_in(extraction()["text"].as_str().unwrap(), &answer);
    let local = answer["attempts"].as_array().unwrap().iter().find(|attempt| attempt["provider"] == "local");
    assert!(local.is_some(), "{answer}");
}

#[test]
fn a_model_that_cannot_run_is_refused_with_what_can() {
    let folder = tempfile::tempdir().unwrap();
    let error = |model: &str| {
        let output = Product::new().with_language_model(model).run(&["status"]);
        assert!(!output.status.success(), "{model}");
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = error("GPT-5");
    assert!(unknown.contains("GPT-5") && unknown.contains("Qwen3-0.6B"), "{unknown}");
    let embedder = error("all-MiniLM-L6-v2");
    assert!(embedder.contains("not a language model"), "{embedder}");
    let absent = folder.path().join("absent.gguf");
    assert!(error(absent.to_str().unwrap()).contains("absent.gguf"));
    let text = folder.path().join("text.gguf");
    std::fs::write(&text, "Dear Sir or Madam").unwrap();
    assert!(error(text.to_str().unwrap()).contains("not a readable GGUF file"));
    let cut = tiny::write(folder.path());
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert!(error(cut.to_str().unwrap()).contains("beyond the end"));
}
