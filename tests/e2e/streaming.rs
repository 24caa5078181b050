//! Suggestions while they are written.

use rejoinder_scripted_provider::{Answer as Scripted, Failure, Script};
use serde_json::{Value, json};

use crate::openai_routes::hang_up;
use crate::product::{repository, sample};
use crate::remote::{Event, Remotes, events};
use crate::spine::ingest_sample;

const ROUTE: &str = "/v1/suggest-reply";

fn request(members: Value) -> String {
    let mut body: Value = serde_json::from_str(&sample("tickets/T-2001.json")).unwrap();
    if body.get("ticket").is_none() {
        body = json!({ "ticket": body });
    }
    let Value::Object(members) = members else { panic!("an object") };
    body.as_object_mut().unwrap().extend(members);
    body.to_string()
}

fn names(events: &[Event]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    names.dedup();
    names
}

#[test]
fn what_is_known_comes_at_once_and_the_whole_answer_last() {
    assert!(repository().join("examples/mailbox").is_dir());
    let draft = "Dear customer,\n\nthe invoice is attached once more. [1]\n\nKind regards";
    let remotes = Remotes::new().with("remote", Script::always(Scripted::text(draft)));
    let product = remotes.product("");
    ingest_sample(&product);
    let server = product.serve();
    let whole = server.post(ROUTE, &request(json!({}))).json();
    let streamed = events(&server.post(ROUTE, &request(json!({"stream": true}))));
    let ids: Vec<String> = streamed.iter().map(|event| event.id.clone()).collect();
    let done = streamed.last().unwrap().json();
    let id = done["id"].as_str().unwrap();
    assert_eq!(ids, (1..=streamed.len()).map(|number| format!("{id}:{number}")).collect::<Vec<_>>());
    // Who comes back with the id of an event gets what came after it, by either way.
    let last = format!("last-event-id: {}", ids[1]);
    let body = request(json!({"stream": true}));
    let json = ["-H", "content-type: application/json", "--data-binary", &body, "-H", &last];
    let again = events(&server.call(ROUTE, &json));
    assert_eq!(again.iter().map(|event| &event.id).collect::<Vec<_>>(), ids[2..].iter().collect::<Vec<_>>());
    let followed = events(&server.call(&format!("{ROUTE}/{id}/events"), &["-H", &last]));
    assert_eq!(followed.last().map(|event| event.id.clone()), ids.last().cloned());
    assert_eq!(remotes.provider("remote").requests(), 2, "nothing was asked again");
    let names = names(&streamed);
    assert_eq!(names[..2], ["retrieval", "draft"], "{names:?}");
    assert_eq!(names.last(), Some(&"done"));
    assert!(names.contains(&"delta"), "{names:?}");
    assert!(!streamed[0].json()["citations"].as_array().unwrap().is_empty());
    assert_eq!(streamed[1].json()["provider"], "exemplar");
    let done = streamed.last().unwrap().json();
    assert!(done["id"].as_str().unwrap().starts_with("sug_"));
    let essence = |answer: &Value| {
        let suggestion = &answer["suggestions"][0];
        (suggestion["text"].clone(), suggestion["provider"].clone(), suggestion["citations"].clone())
    };
    assert_eq!(essence(&done), essence(&whole));
}

#[test]
fn a_model_that_breaks_off_is_a_restart_and_the_earlier_reply_is_the_answer() {
    let text = "Dear customer, the invoice is attached once more, as you asked us to do on Monday.";
    let cut = rejoinder_scripted_provider::Behaviour::Fail(Failure::Cut { after: 4 }, Scripted::text(text));
    let remotes = Remotes::new().with("remote", Script::always(cut));
    let product = remotes.product("");
    ingest_sample(&product);
    let server = product.serve();
    let streamed = events(&server.post(ROUTE, &request(json!({"stream": true}))));
    let names = names(&streamed);
    let delta = names.iter().position(|name| *name == "delta").expect("something was written");
    let restart = names.iter().rposition(|name| *name == "restart").expect("what was written is void");
    assert!(delta < restart && names.last() == Some(&"done"), "{names:?}");
    let done = streamed.last().unwrap().json();
    assert_eq!(done["suggestions"][0]["provider"], "exemplar", "{done}");
    let attempts = done["attempts"].as_array().unwrap();
    assert!(attempts.iter().any(|attempt| attempt["provider"] == "remote" && attempt["outcome"] != "ok"), "{done}");
}

#[test]
fn who_hangs_up_stops_the_model() {
    let text = "Dear customer, the invoice is attached once more, as you asked us to do on Monday.";
    let stalled = rejoinder_scripted_provider::Behaviour::Fail(Failure::Stall { after: 4 }, Scripted::text(text));
    let remotes = Remotes::new().with("remote", Script::always(stalled));
    let product = remotes.product("");
    ingest_sample(&product);
    let server = product.serve();
    hang_up(&server, ROUTE, &request(json!({"stream": true})), "event: delta");
    // Nothing but the client's leaving ends a stalled answer before its time between tokens is over.
    let outcome = || server.get("/v1/audit").json()["data"][0]["outcome"].as_str().map(str::to_owned);
    let provider = remotes.provider("remote");
    remotes.wait(async {
        provider.idle().await;
        while outcome().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert_eq!(outcome().as_deref(), Some("cancelled"));
}

#[test]
fn a_wrong_request_has_its_status_also_where_a_stream_was_asked_for() {
    let remotes = Remotes::new();
    let product = remotes.product("");
    let server = product.serve();
    let wrong = server.post(ROUTE, &request(json!({"stream": true, "candidates": 0})));
    assert_eq!(
        (wrong.status, wrong.json()["errors"][0]["pointer"].as_str()),
        (422, Some("/candidates")),
        "{}",
        wrong.body
    );
    let misspelt = server.post(ROUTE, &request(json!({"egress": "everything"})));
    assert_eq!((misspelt.status, misspelt.json()["errors"][0]["pointer"].as_str()), (422, Some("/egress")));
}

#[test]
fn a_suggestion_that_may_not_leave_the_machine_does_not() {
    let remotes = Remotes::new().with("remote", Script::always(Scripted::text("Dear customer, thank you.")));
    let product = remotes.product("");
    ingest_sample(&product);
    let server = product.serve();
    let kept = server.post(ROUTE, &request(json!({"egress": "local_only"}))).json();
    assert_eq!(kept["suggestions"][0]["provider"], "exemplar", "{kept}");
    assert_eq!(remotes.provider("remote").requests(), 0);
    server.post(ROUTE, &request(json!({"egress": "redact_then_remote"})));
    assert_eq!(remotes.provider("remote").requests(), 1);
}
