//! The HTTP contract: status, stable codes, pointers, limits, and nothing internal in an error.

use serde_json::{Value, json};

use crate::product::{Answer, Product};

const TEXT_ONLY: &str = "tenant = \"api-test\"\n[models]\nembedder = \"none\"\n[server]\nmax_body_bytes = 20000\n\
                         [assist.limits]\ntext_chars = 1000\n";

fn ticket(text: &str) -> Value {
    json!({"ticket": {"id": "T-1", "subject": "Copy of an invoice", "customer": {"email": "a@b.example", "name": "A B"},
        "messages": [{"direction": "inbound", "from": "a@b.example", "sent_at": "2026-01-05T10:00:00Z", "text": text}]}})
}

fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.headers.contains("content-type: application/problem+json"), "{}", answer.headers);
    let body = answer.json();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:rejoinder:problem:{code}"));
    assert!(body["request_id"].as_str().is_some_and(|id| answer.headers.contains(&id.to_lowercase())), "{body}");
    body
}

#[test]
fn errors_are_problems_that_name_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    std::fs::write(&config, TEXT_ONLY).unwrap();
    let product = Product::with_config(&config);
    let server = product.serve();

    let alive = server.get("/healthz");
    assert_eq!((alive.status, alive.json()["status"].as_str()), (200, Some("ok")));
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(ready.json()["notes"][0].as_str().unwrap().contains("no mail is indexed"), "{}", ready.body);

    problem(&server.post("/v1/suggest-reply", "{\"ticket\": "), 400, "malformed_json");
    let missing = problem(&server.post("/v1/suggest-reply", "{}"), 422, "invalid_request");
    assert!(missing["detail"].as_str().unwrap().contains("ticket"), "{missing}");
    let misspelt = ticket("hello").to_string().replace("\"subject\"", "\"subjct\"");
    let misspelt = problem(&server.post("/v1/suggest-reply", &misspelt), 422, "invalid_request");
    assert!(misspelt["errors"][0]["pointer"].as_str().unwrap().starts_with("/ticket"), "{misspelt}");
    let wrong_type = ticket("hello").to_string().replace("\"inbound\"", "\"sideways\"");
    let wrong_type = problem(&server.post("/v1/suggest-reply", &wrong_type), 422, "invalid_request");
    assert_eq!(wrong_type["errors"][0]["pointer"], "/ticket/messages/0/direction");

    let long_text = ticket(&"word ".repeat(400)).to_string();
    let long_text = problem(&server.post("/v1/suggest-reply", &long_text), 422, "invalid_request");
    assert!(long_text["detail"].as_str().unwrap().contains("text_chars"), "{long_text}");
    let huge = ticket(&"word ".repeat(8000)).to_string();
    let huge = problem(&server.post("/v1/suggest-reply", &huge), 413, "too_large");
    assert!(huge["detail"].as_str().unwrap().contains("20000"), "{huge}");

    problem(&server.get("/v1/nothing"), 404, "not_found");
    problem(&server.get("/v1/suggest-reply"), 405, "method_not_allowed");
    let plain = ["-H", "content-type: text/plain", "--data-binary", "{}"];
    problem(&server.call("/v1/suggest-reply", &plain), 415, "unsupported_media_type");

    let schema = json!({"text": "Amount EUR 5", "schema": {"type": "object", "properties": {"a": {"type": "string", "not": {}}}}});
    let schema = problem(&server.post("/v1/extract-attributes", &schema.to_string()), 422, "unsupported_schema");
    assert!(schema["detail"].as_str().unwrap().contains("not"), "{schema}");
    assert_eq!(schema["errors"][0]["pointer"], "/schema/properties/a");

    let echoed = server.call("/healthz", &["-H", "x-request-id: crm-42"]);
    assert!(echoed.headers.contains("x-request-id: crm-42"), "{}", echoed.headers);
    assert!(server.terminate(), "the server ends well when it is told to");
}

#[test]
fn an_empty_index_says_that_it_knows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    std::fs::write(&config, TEXT_ONLY).unwrap();
    let product = Product::with_config(&config);
    let server = product.serve();
    let answer = server.post("/v1/suggest-reply", &ticket("Could you send me a copy of invoice 12?").to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    assert_eq!(answer["suggestions"], json!([]));
    assert_eq!(answer["no_suggestion_reason"], "nothing_similar");
    assert_eq!(answer["ticket_id"], "T-1");
    assert!(answer["id"].as_str().unwrap().starts_with("sug_"));
    let found = server.post("/v1/search", "{\"query\": \"invoice\"}");
    assert_eq!((found.status, found.json()["data"].clone()), (200, json!([])));
}
