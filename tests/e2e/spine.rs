//! The main job on the sample mailbox: every item accounted for, the right earlier reply found, fields with evidence.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::product::{Product, Serving, repository, sample, weights_are_here};

/// Ingests the sample mailbox's three sources and returns the report.
pub(crate) fn ingest_sample(product: &Product) -> Value {
    let folder = repository().join("examples/mailbox");
    let path = |name: &str| folder.join(name).display().to_string();
    product.json(&["ingest", &path("haldenmarsh.pst"), &path("support.mbox"), &path("eml")], 0)
}

fn expected() -> Value {
    serde_json::from_str(&sample("expected.json")).expect("expected.json is JSON")
}

fn text_only(folder: &tempfile::TempDir) -> Product {
    let config = folder.path().join("rejoinder.toml");
    let text = "tenant = \"sample\"\n[ownership]\ndomains = [\"haldenmarsh.example\"]\n[models]\nembedder = \"none\"\n";
    std::fs::write(&config, text).expect("a configuration");
    Product::with_config(&config)
}

#[test]
fn every_item_of_the_sample_is_accounted_for_and_a_second_run_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let product = text_only(&folder);
    let expected = expected();
    let files = expected["files"].as_object().unwrap();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let others: u64 = files
        .values()
        .filter_map(|file| file["other_items"].as_object())
        .flat_map(|kinds| kinds.values().map(number))
        .sum();
    let held: u64 = files.values().map(|file| number(&file["messages"])).sum();
    let distinct = number(&expected["totals"]["messages"]);

    let report = ingest_sample(&product);
    assert_eq!(number(&report["sources"]), 3);
    assert_eq!(number(&report["seen"]), held + others, "{report}");
    assert_eq!(number(&report["indexed"]), distinct + others);
    assert_eq!(number(&report["duplicate"]), number(&expected["totals"]["copies"]));
    assert_eq!((number(&report["skipped"]), number(&report["salvaged"])), (0, 0), "{report}");

    let again = ingest_sample(&product);
    assert_eq!((number(&again["read"]), number(&again["written"])), (0, 0), "a second run does nothing: {again}");
    for same in ["seen", "indexed", "duplicate", "skipped", "threads", "pairs", "chunks"] {
        assert_eq!(again[same], report[same], "{same}");
    }

    let messages = product.messages();
    assert_eq!(messages.len() as u64, distinct + others);
    let directions = messages.iter().filter(|message| message["kind"] == "message").fold(
        BTreeMap::<&str, u64>::new(),
        |mut counts, message| {
            *counts.entry(message["direction"].as_str().unwrap()).or_default() += 1;
            counts
        },
    );
    for (direction, count) in expected["totals"]["directions"].as_object().unwrap() {
        assert_eq!(directions.get(direction.as_str()).copied(), count.as_u64(), "{direction}: {directions:?}");
    }
    let attachments: usize = messages.iter().map(|message| message["attachments"].as_array().unwrap().len()).sum();
    assert_eq!(attachments as u64, number(&expected["totals"]["attachments"]));
}

#[test]
fn the_conversations_of_the_sample_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let product = text_only(&folder);
    ingest_sample(&product);
    let thread_of: BTreeMap<String, String> = product
        .messages()
        .iter()
        .filter_map(|m| Some((m["message_id"].as_str()?.to_owned(), m["thread_id"].as_str()?.to_owned())))
        .collect();
    let mut split = Vec::new();
    let mut threads = BTreeSet::new();
    let expected = expected();
    let conversations = expected["conversations"].as_array().unwrap();
    for conversation in conversations {
        let found: BTreeSet<&String> = conversation["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| thread_of.get(id.as_str().unwrap()).unwrap_or_else(|| panic!("{id} was not indexed")))
            .collect();
        if found.len() > 1 {
            split.push(conversation["id"].clone());
        }
        threads.extend(found);
    }
    assert!(split.is_empty(), "conversations that fell apart: {split:?}");
    assert_eq!(threads.len(), conversations.len(), "no two conversations are one thread");
}

#[test]
fn drafts_rest_on_the_right_conversation_and_unknown_topics_get_none() {
    if !weights_are_here() {
        return;
    }
    let product = Product::new();
    ingest_sample(&product);
    let rfc_id: BTreeMap<String, String> = product
        .messages()
        .iter()
        .filter_map(|m| Some((m["id"].as_str()?.to_owned(), m["message_id"].as_str()?.to_owned())))
        .collect();
    let server = product.serve();
    let expected = expected();
    let conversation_of = |id: &str| -> String {
        let conversations = expected["conversations"].as_array().unwrap();
        let holds = |c: &&Value| c["messages"].as_array().unwrap().iter().any(|m| m == id);
        conversations.iter().find(holds).map(|c| c["id"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    // A number is found by itself, whatever an embedding makes of it.
    for number in ["HM-2025-00118", "HM-2025-00731", "HM-2025-01942"] {
        for query in [number.to_owned(), format!("invoice {number}")] {
            let found = server.post("/v1/search", &serde_json::json!({"query": query}).to_string()).json();
            let first = &found["data"][0];
            assert!(
                first["text"].to_string().contains(number) || first["subject"].to_string().contains(number),
                "{query}: {first}"
            );
        }
    }
    let mut wrong = Vec::new();
    for ticket in expected["tickets"].as_array().unwrap() {
        let file = ticket["file"].as_str().unwrap();
        let answer = suggest(&server, file);
        let drafts = answer["suggestions"].as_array().unwrap();
        let wanted = ticket["exemplar"]["conversation"].as_str();
        match (wanted, drafts.first()) {
            (None, None) => {}
            (None, Some(_)) => wrong.push(format!("{file}: a draft on a topic that the mailbox does not know")),
            (Some(wanted), None) => wrong.push(format!("{file}: no draft; {wanted} was there")),
            (Some(wanted), Some(draft)) => {
                check_draft(file, draft);
                let cited = draft["citations"][0]["message_id"].as_str().unwrap();
                let found = conversation_of(rfc_id.get(cited).map(String::as_str).unwrap_or_default());
                let also_good = ticket["also_good"].as_array().unwrap().iter().any(|id| *id == found.as_str());
                if found != wanted && !also_good {
                    wrong.push(format!("{file}: rests on {found}, not on {wanted}"));
                }
                if ticket["injection"] == true {
                    let reasons = draft["review_reasons"].to_string();
                    assert!(reasons.contains("addresses_model"), "{file}: {reasons}");
                }
            }
        }
    }
    println!("{wrong:#?}");
    assert!(wrong.len() <= 2, "{wrong:#?}");
}

fn suggest(server: &Serving, file: &str) -> Value {
    let answer = server.post("/v1/suggest-reply", &sample(&format!("tickets/{file}")));
    assert_eq!(answer.status, 200, "{file}: {}", answer.body);
    answer.json()
}

/// What every draft must hold whatever it says: a label, open checks that force a review, and quotes with a place.
fn check_draft(file: &str, draft: &Value) {
    assert_eq!(draft["provider"], "exemplar", "{file}");
    let confidence = draft["confidence"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&confidence), "{file}: {confidence}");
    let failed = draft["checks"].as_array().unwrap().iter().any(|check| check["passed"] == false);
    assert!(!failed || draft["needs_review"] == true, "{file}: a failed check forces a review");
    let citations = draft["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{file}: a draft rests on something");
    for citation in citations {
        let (start, end) = (citation["start"].as_u64().unwrap(), citation["end"].as_u64().unwrap());
        let quote = citation["quote"].as_str().unwrap();
        assert_eq!(end - start, quote.chars().count() as u64, "{file}: code points, not bytes");
    }
}

#[test]
fn extracted_fields_have_evidence_in_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let product = text_only(&folder);
    let server = product.serve();
    for case in ["refund-en", "direct-debit-fr", "instalments-de", "dispute-en"] {
        let expected: Value = serde_json::from_str(&sample(&format!("extract/{case}.expected.json"))).unwrap();
        let text = sample(&format!("extract/{case}.txt"));
        let schema: Value =
            serde_json::from_str(&sample(&format!("extract/{}", expected["schema"].as_str().unwrap()))).unwrap();
        let request = json!({"text": text, "schema": schema});
        let answer = server.post("/v1/extract-attributes", &request.to_string());
        assert_eq!(answer.status, 200, "{case}: {}", answer.body);
        let answer = answer.json();
        for evidence in answer["evidence"].as_array().unwrap() {
            let place = |key: &str| evidence[key].as_u64().unwrap() as usize;
            let quote = evidence["quote"].as_str().unwrap();
            if quote.contains('*') {
                assert!(evidence["pointer"] == "/card_number", "only a card number is masked: {evidence}");
                continue;
            }
            assert_eq!(text.get(place("byte_start")..place("byte_end")), Some(quote), "{case}: {evidence}");
            let by_code_point: String = text.chars().skip(place("start")).take(place("end") - place("start")).collect();
            assert_eq!(by_code_point, quote, "{case}: {evidence}");
        }
        for key in ["amount", "currency", "invoice_number", "iban", "contact_email", "case_number", "order_number"] {
            let (wanted, found) = (&expected["attributes"][key], &answer["attributes"][key]);
            // 2148 and 2148.0 are one number in JSON.
            let same = wanted == found || (wanted.is_number() && wanted.as_f64() == found.as_f64());
            assert!(wanted.is_null() || same, "{case}: {key}: {answer}");
        }
    }
}

#[test]
fn the_command_line_prints_the_body_of_the_http_answer() {
    let folder = tempfile::tempdir().unwrap();
    let product = text_only(&folder);
    let request: Value = serde_json::from_str(
        &std::fs::read_to_string(repository().join("examples/requests/extract-attributes.json")).unwrap(),
    )
    .unwrap();
    let (schema, text) = (product.path("schema.json"), product.path("text.txt"));
    std::fs::write(&schema, request["schema"].to_string()).unwrap();
    std::fs::write(&text, request["text"].as_str().unwrap()).unwrap();
    let by_command =
        product.json(&["extract", "--schema", schema.to_str().unwrap(), "--text", text.to_str().unwrap()], 0);
    let by_http = product
        .serve()
        .post("/v1/extract-attributes", &json!({"text": request["text"], "schema": request["schema"]}).to_string())
        .json();
    for key in ["attributes", "evidence", "conflicts", "abstained", "changes"] {
        assert_eq!(by_command[key], by_http[key], "{key}");
    }
}
