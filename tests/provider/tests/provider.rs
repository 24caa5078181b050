//! The scripted provider itself, asked over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use rejoinder_scripted_provider::{
    Answer, Behaviour, Failure, Garbage, Mixture, Received, Script, ScriptedProvider, Usage, unresponsive_address,
};
use serde_json::{Value, json};

fn question(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "twelve chars"}]})
}

async fn post(provider: &ScriptedProvider, path: &str, body: &Value) -> (u16, String) {
    let response = reqwest::Client::new().post(provider.base_url() + path).json(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn both_dialects_tell_the_same_answer() {
    let answer = Answer::echo().in_chunks_of(5).with_usage(Usage::Fixed { input: 11, cached: 4, output: 3 });
    let provider = ScriptedProvider::start(Script::always(answer)).await.unwrap();
    for path in ["/chat/completions", "/any/prefix/chat/completions", "/v1/messages"] {
        let (status, whole) = post(&provider, path, &question(false)).await;
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let text = whole.pointer("/choices/0/message/content").or_else(|| whole.pointer("/content/0/text")).unwrap();
        assert_eq!((status, text), (200, &json!("twelve chars")));
        let (_, stream) = post(&provider, path, &question(true)).await;
        let data = stream.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
        let text: String = events
            .iter()
            .filter_map(|event| event.pointer("/choices/0/delta/content").or_else(|| event.pointer("/delta/text")))
            .map(|text| text.as_str().unwrap())
            .collect();
        assert_eq!(text, "twelve chars");
    }
    provider.idle().await;
    let billed = provider.billed_in_all();
    assert_eq!((billed.requests, billed.input, billed.output), (6, 66, 18));
    let received = provider.received();
    assert_eq!(received.iter().map(|one| one.number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(received[5].body, question(true));
    assert_eq!(post(&provider, "/v1/embeddings", &json!({})).await.0, 404);
}

#[tokio::test]
async fn a_sequence_ends_with_its_last() {
    let script = Script::sequence([Behaviour::from(Failure::Status(500, None)), Answer::text("at last").into()]);
    let provider = ScriptedProvider::start(script).await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(post(&provider, "/v1/messages", &question(false)).await.0);
    }
    assert_eq!(statuses, [500, 200, 200]);
    assert_eq!((provider.billed()["status"].requests, provider.billed()["status"].input), (1, 0));
    provider.follow(Script::always(Failure::UnknownModel));
    assert_eq!(post(&provider, "/v1/messages", &question(false)).await.0, 404);
}

#[tokio::test]
async fn what_was_delivered_is_charged() {
    let answer = || Answer::text("x".repeat(400)).in_chunks_of(40);
    let script = Script::sequence([
        Behaviour::Fail(Failure::Cut { after: 3 }, answer()),
        Behaviour::Fail(Failure::Stall { after: 2 }, answer()),
        Behaviour::Fail(Failure::Close, answer()),
    ]);
    let provider = ScriptedProvider::start(script).await.unwrap();
    let client = reqwest::Client::new();
    let send = || client.post(provider.base_url() + "/chat/completions").json(&question(true)).send();
    assert!(send().await.unwrap().text().await.is_err(), "it is cut");
    provider.idle().await;
    assert_eq!((provider.billed()["cut"].input, provider.billed()["cut"].output), (3, 30));
    let mut stalled = send().await.unwrap();
    let mut chunks = String::new();
    while chunks.matches("xxxx").count() < 20 {
        chunks.push_str(std::str::from_utf8(&stalled.chunk().await.unwrap().unwrap()).unwrap());
    }
    drop(stalled);
    provider.idle().await;
    assert_eq!((provider.billed()["disconnected"].input, provider.billed()["disconnected"].output), (3, 20));
    assert!(send().await.is_err());
    provider.idle().await;
    assert_eq!((provider.billed()["close"].requests, provider.billed()["close"].input), (1, 0));
}

fn received(number: usize, body: Value) -> Received {
    Received {
        number,
        connection: 0,
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        query: String::new(),
        headers: Vec::new(),
        raw: Vec::new(),
        body,
    }
}

#[test]
fn a_mixture_is_the_same_in_every_run_and_spreads_evenly() {
    let kinds = |seed: u64, body: &Value| {
        let mixture = Mixture::new(seed, 0.3, Answer::echo());
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..20_000 {
            let kind = match mixture.behaviour(&received(number, body.clone())) {
                Behaviour::Answer(_) => "answered".to_owned(),
                Behaviour::Fail(failure, _) => format!("{failure:?}"),
            };
            *counts.entry(kind).or_default() += 1;
        }
        counts
    };
    let plain = kinds(7, &question(true));
    assert_eq!(plain, kinds(7, &question(true)));
    assert_ne!(plain, kinds(8, &question(true)));
    // 20,000 draws: four standard deviations are below 1.3 % of the share that answers, and 70 of a kind.
    assert!(plain["answered"].abs_diff(14_000) < 260, "{plain:?}");
    assert!(!plain.contains_key("WrongSchema"), "it needs a schema");
    let each = 6_000 / (Failure::passing().len() - 1);
    assert!(plain.values().filter(|count| **count < 10_000).all(|count| count.abs_diff(each) < 75), "{plain:?}");
    assert_eq!(plain.len(), Failure::passing().len());
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}});
    assert!(kinds(7, &schema).contains_key("WrongSchema"));
}

#[tokio::test]
async fn garbage_is_none_of_it_json() {
    for garbage in [Garbage::NotJson, Garbage::Html, Garbage::NotUtf8, Garbage::HalfLine, Garbage::Empty] {
        let provider = ScriptedProvider::start(Script::always(Failure::Garbage(garbage))).await.unwrap();
        let response = reqwest::Client::new()
            .post(provider.base_url() + "/v1/messages")
            .json(&question(false))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert!(serde_json::from_slice::<Value>(&response.bytes().await.unwrap()).is_err(), "{garbage:?}");
    }
}

#[tokio::test]
async fn many_clients_get_their_own_answers() {
    let provider = ScriptedProvider::start_keeping(Script::always(Answer::echo()), 10).await.unwrap();
    let client = reqwest::Client::new();
    let asking = (0..100).map(|number| {
        let request = client.post(provider.base_url() + "/chat/completions");
        async move {
            let body = json!({"messages": [{"role": "user", "content": format!("number {number}")}]});
            let answer = request.json(&body).send().await.unwrap().text().await.unwrap();
            assert!(answer.contains(&format!("\"number {number}\"")), "{answer}");
        }
    });
    futures::future::join_all(asking).await;
    assert_eq!((provider.requests(), provider.received().len()), (100, 10));
}

#[tokio::test]
async fn connecting_hangs() {
    let nobody = unresponsive_address().await.unwrap();
    let client = reqwest::Client::builder().connect_timeout(Duration::from_millis(50)).build().unwrap();
    let error = client.get(nobody.base_url()).send().await.unwrap_err();
    assert!(error.is_connect() && error.is_timeout(), "{error:?}");
}
