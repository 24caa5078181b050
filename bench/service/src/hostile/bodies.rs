//! Bodies that are malformed, too large, too deep or of wrong types, and schemas that ask for more than validation.

use anyhow::ensure;
use serde_json::{Value, json};

use super::Target;
use crate::call::Call;

/// Refused for what is in it.
const REFUSED: [u16; 4] = [400, 413, 415, 422];

/// Every route that takes JSON, with a body that it accepts.
fn accepted() -> Vec<(&'static str, Value)> {
    let message = json!({"direction": "inbound", "from": "a@customers.example", "sent_at": "2026-06-22T08:41:00Z", "text": "Where is it?", "html": null});
    let ticket = json!({"id": "T-1", "subject": "Delivery", "customer": {"email": "a@customers.example", "name": "A"}, "messages": [message]});
    vec![
        (
            "/v1/search",
            json!({"query": "delivery", "limit": 3, "since": "2026-01-01T00:00:00Z", "mailboxes": ["a"], "directions": ["inbound"], "participants": ["a@customers.example"]}),
        ),
        (
            "/v1/suggest-reply",
            json!({"ticket": ticket, "instructions": "brief", "tone": "kind", "language": "en", "candidates": 1, "max_tokens": 50, "egress": "local_only", "stream": false, "retrieval": {"limit": 3, "since": "2026-01-01T00:00:00Z", "mailboxes": []}}),
        ),
        (
            "/v1/extract-attributes",
            json!({"text": "EUR 5.00 refunded.", "schema": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": []}, "current": {"amount": 1}}),
        ),
        (
            "/v1/messages",
            json!({"mailbox": "crm", "message": {"message_id": "<a@b>", "from": "a@customers.example", "to": ["b@firm.example"], "cc": [], "subject": "S", "sent_at": "2026-06-22T08:41:00Z", "text": "T", "in_reply_to": "<c@d>", "references": ["<c@d>"], "direction": "inbound"}}),
        ),
        (
            "/v1/feedback",
            json!({"suggestion_id": "sug_0", "candidate": 0, "outcome": "edited", "final_text": "t", "reason": "r"}),
        ),
        ("/v1/ingest/jobs", json!({"path": "none"})),
        (
            "/v1/chat/completions",
            json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "temperature": 0.5}),
        ),
        ("/v1/embeddings", json!({"model": "all-MiniLM-L6-v2", "input": ["a"], "encoding_format": "float"})),
    ]
}

pub(super) fn malformed(target: &mut Target) {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000)).into_bytes();
    let broken: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("cut off", br#"{"query": "a"#.to_vec()),
        ("no UTF-8", b"{\"query\": \"\xff\xfe\"}".to_vec()),
        ("a lone surrogate", br#"{"query": "\ud800"}"#.to_vec()),
        ("an array", b"[]".to_vec()),
        ("a number", b"1e999999".to_vec()),
        ("two documents", b"{}{}".to_vec()),
        ("deep arrays", deep("[", "]")),
        ("deep objects", deep("{\"a\":", "}")),
        ("NUL bytes", vec![0; 1000]),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("too large", vec![b' '; 5 << 20]),
    ];
    for (route, _) in accepted() {
        for (what, bytes) in &broken {
            target.refuse(&format!("{route}: {what}"), Call::raw(route, "application/json", bytes.clone()), &REFUSED);
        }
        let media = Call::raw(route, "text/plain", b"{}".to_vec());
        target.refuse(&format!("{route}: another media type"), media, &[400, 415, 422]);
        let packed = Call::raw(route, "application/json", vec![0x1f, 0x8b, 8, 0]).with("content-encoding", "gzip");
        target.refuse(&format!("{route}: compressed"), packed, &[400, 415, 422]);
        let key = Call::json(route, &json!({})).with("idempotency-key", "k".repeat(5000));
        target.refuse(&format!("{route}: a key without end"), key, &REFUSED);
    }
    let long = json!({"query": "x ".repeat(1_500_000)});
    target.refuse("a long query", Call::json("/v1/search", &long), &REFUSED);
    let message = json!({"direction": "note", "text": "x"});
    let ticket = json!({"ticket": {"id": "T", "messages": vec![message; 5000]}});
    target.refuse("a ticket of 5000 messages", Call::json("/v1/suggest-reply", &ticket), &REFUSED);
    let text = json!({"text": "x".repeat(1_000_000), "schema_name": "close_out"});
    target.refuse("a long text", Call::json("/v1/extract-attributes", &text), &REFUSED);
    let many = json!({"ticket": {"id": "T", "messages": [{"direction": "note", "text": "x"}]}, "candidates": 4_000_000_000_u32});
    target.refuse("candidates without end", Call::json("/v1/suggest-reply", &many), &[200, 422]);
}

/// Every member of every body in turn as everything that it is not: never a failure of the server.
pub(super) fn wrong_types(target: &mut Target) {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}\u{feff}"),
        json!("é".repeat(70_000)),
        json!([]),
        json!([[[[]]]]),
        json!({}),
        json!({"a": {"b": [null]}}),
        json!("9999-99-99T99:99:99Z"),
    ];
    let any = [200, 201, 202, 204, 400, 404, 409, 413, 415, 422, 503];
    for (route, body) in accepted() {
        for pointer in pointers(&body, "") {
            for value in &odd {
                let mut changed = body.clone();
                if let Some(place) = changed.pointer_mut(&pointer) {
                    *place = value.clone();
                }
                // Where there is no language model that is what the routes say of a good request: 503.
                target.refuse(&format!("{route} {pointer}"), Call::json(route, &changed), &any);
            }
        }
        let mut unknown = body.clone();
        if let Value::Object(members) = &mut unknown {
            members.insert("no_such_member".to_owned(), json!(1));
        }
        target.refuse(&format!("{route}: a member too many"), Call::json(route, &unknown), &[400, 422]);
    }
}

/// Pointers to every member and element, and to the whole.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let mut all = vec![at.to_owned()];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                all.extend(pointers(member, &format!("{at}/{name}")));
            }
        }
        Value::Array(elements) => {
            for (place, element) in elements.iter().enumerate() {
                all.extend(pointers(element, &format!("{at}/{place}")));
            }
        }
        _ => {}
    }
    all
}

pub(super) fn schemas(target: &mut Target) -> anyhow::Result<()> {
    let url = format!("http://{}/schema.json", target.bait.local_addr()?);
    let of = |property: Value| json!({"type": "object", "properties": {"a": property}});
    let mut deep = json!({"type": "string"});
    for _ in 0..90 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    let hostile = [
        ("$ref to a server", of(json!({"$ref": url}))),
        ("$dynamicRef to a server", of(json!({"$dynamicRef": url}))),
        ("$ref to a file", of(json!({"$ref": "file:///etc/passwd"}))),
        ("$ref by $id", json!({"$id": url, "type": "object", "properties": {"a": {"$ref": "other.json"}}})),
        ("$schema of a server", json!({"$schema": url, "type": "object", "properties": {"a": {"type": "string"}}})),
        ("$ref in a branch", of(json!({"anyOf": [{"$ref": url}, {"type": "string"}]}))),
        ("$ref in items", of(json!({"type": "array", "items": {"$ref": url}}))),
        ("$ref to itself", json!({"type": "object", "properties": {"a": {"$ref": "#"}}})),
        (
            "$ref in a circle",
            json!({"$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}),
        ),
        ("deep", deep),
        (
            "10,000 properties",
            json!({"type": "object", "properties": (0..10_000).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect::<serde_json::Map<_, _>>()}),
        ),
        ("no regular expression", of(json!({"type": "string", "pattern": "(((("}))),
        ("not a schema", json!("string")),
        ("types that do not exist", of(json!({"type": "thing"}))),
        ("repeated without end", of(json!({"type": "string", "pattern": "^(a{1,1000}){1,1000}$"}))),
    ];
    // An unknown $schema is a name and fetches nothing; a pattern is no crime; both may be accepted.
    let lenient = ["$schema of a server", "repeated without end", "$ref to itself"];
    for (name, schema) in hostile {
        let text = format!("{} EUR 5.00 refunded.", "a".repeat(5000));
        let body = json!({"text": text, "schema": schema});
        let statuses: &[u16] = if lenient.contains(&name) { &[200, 400, 413, 422] } else { &[400, 413, 422] };
        target.refuse(name, Call::json("/v1/extract-attributes", &body), statuses);
        let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
        let chat = json!({"model": "auto", "messages": [{"role": "user", "content": "a"}], "response_format": format});
        target.refuse(name, Call::json("/v1/chat/completions", &chat), &[400, 404, 413, 422, 503]);
    }
    let slow = json!({"text": format!("{}!", "a".repeat(60_000)), "schema": of(json!({"type": "string", "pattern": "^(a+)+$"}))});
    let started = std::time::Instant::now();
    target.refuse("a pattern that backtracks", Call::json("/v1/extract-attributes", &slow), &[200, 400, 422]);
    let within = started.elapsed().as_secs() < 20;
    let result = (|| {
        ensure!(within, "it took {:?}", started.elapsed());
        Ok(())
    })();
    target.note("a pattern that backtracks is no long work", result);
    Ok(())
}
