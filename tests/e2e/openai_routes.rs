//! The OpenAI-shaped routes byte by byte, over the built program.

use std::process::{Command, Stdio};
use std::time::Duration;

use rejoinder_scripted_provider::{Answer as Scripted, Failure, RetryAfter, Script};
use serde_json::{Value, json};

use crate::product::{Answer, Product, Serving, weights_are_here};
use crate::remote::{Remotes, events};

const CHAT: &str = "/v1/chat/completions";

fn question(text: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]})
}

/// `question` with members set or replaced.
fn with(mut question: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("an object") };
    question.as_object_mut().unwrap().extend(members);
    question
}

fn failed(answer: &Answer, status: u16, code: &str, param: Option<&str>) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert!(answer.headers.contains("content-type: application/json"), "{}", answer.headers);
    assert!(answer.headers.contains("x-request-id: "), "{}", answer.headers);
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["param"], json!(param), "{error}");
    let kind = if status < 429 { "invalid_request_error" } else { "server_error" };
    assert!(status == 429 || status == 403 || error["type"] == kind, "{error}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    error
}

/// A server without any model: what is wrong with a request is found before a model is needed.
fn bare(folder: &tempfile::TempDir) -> Serving {
    let config = folder.path().join("rejoinder.toml");
    let text = "tenant = \"openai\"\n[models]\nembedder = \"none\"\n[server]\nmax_body_bytes = 20000\n\
                [server.openai]\nmessages = 3\ntools = 2\nschema_bytes = 300\ninputs = 2\n";
    std::fs::write(&config, text).unwrap();
    Product::with_config(&config).serve()
}

/// Members of a request, and the code and parameter of the error that they make.
fn refused() -> Vec<(Value, &'static str, &'static str)> {
    let function = |name: &str| json!({"type": "function", "function": {"name": name}});
    let call = json!({"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {}}]});
    let image = json!([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}]);
    vec![
        (json!({"messages": null}), "missing_required_parameter", "messages"),
        (json!({"messages": []}), "invalid_value", "messages"),
        (json!({"messages": "hello"}), "invalid_type", "messages"),
        (json!({"messages": [{"role": "user"}]}), "missing_required_parameter", "messages[0].content"),
        (json!({"messages": [{"role": "oracle", "content": "x"}]}), "invalid_value", "messages[0].role"),
        (json!({"messages": [{"role": "user", "content": 5}]}), "invalid_type", "messages[0].content"),
        (
            json!({"messages": [{"role": "user", "content": image}]}),
            "unsupported_parameter",
            "messages[0].content[1].type",
        ),
        (json!({"messages": [{"role": "user", "content": "x", "mood": 1}]}), "unknown_parameter", "messages[0].mood"),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "missing_required_parameter",
            "messages[0].tool_call_id",
        ),
        (json!({"messages": [call]}), "unsupported_parameter", "messages[0].tool_calls[0].type"),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}),
            "invalid_value",
            "messages[0].tool_call_id",
        ),
        (json!({"model": null}), "missing_required_parameter", "model"),
        (json!({"model": 7}), "invalid_type", "model"),
        (json!({"temperature": 2.5}), "invalid_value", "temperature"),
        (json!({"top_p": "x"}), "invalid_type", "top_p"),
        (json!({"seed": -1}), "invalid_value", "seed"),
        (json!({"max_tokens": 0}), "invalid_value", "max_tokens"),
        (json!({"max_tokens": 1.5}), "invalid_type", "max_tokens"),
        (json!({"max_tokens": 5, "max_completion_tokens": 5}), "invalid_value", "max_tokens"),
        (json!({"n": 2}), "unsupported_parameter", "n"),
        (json!({"logprobs": true}), "unsupported_parameter", "logprobs"),
        (json!({"top_logprobs": 3}), "unsupported_parameter", "top_logprobs"),
        (json!({"logit_bias": {"50256": -100}}), "unsupported_parameter", "logit_bias"),
        (json!({"frequency_penalty": 0.5}), "unsupported_parameter", "frequency_penalty"),
        (json!({"presence_penalty": -0.5}), "unsupported_parameter", "presence_penalty"),
        (json!({"modalities": ["audio"]}), "unsupported_parameter", "modalities"),
        (json!({"audio": {"voice": "x"}}), "unsupported_parameter", "audio"),
        (json!({"store": true}), "unsupported_parameter", "store"),
        (json!({"functions": []}), "unsupported_parameter", "functions"),
        (json!({"reasoning_effort": "high"}), "unsupported_parameter", "reasoning_effort"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "invalid_value", "stop"),
        (json!({"stop": [""]}), "invalid_value", "stop"),
        (json!({"stop": {}}), "invalid_type", "stop"),
        (json!({"stream_options": {"include_usage": true}}), "invalid_value", "stream_options"),
        (json!({"stream": true, "stream_options": {"why": 1}}), "unknown_parameter", "stream_options.why"),
        (json!({"response_format": {"type": "xml"}}), "invalid_value", "response_format.type"),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "missing_required_parameter",
            "response_format.json_schema",
        ),
        (json!({"tools": []}), "invalid_value", "tools"),
        (json!({"tools": [{"type": "web_search"}]}), "unsupported_parameter", "tools[0].type"),
        (json!({"tools": [function("a b")]}), "invalid_value", "tools[0].function.name"),
        (json!({"tools": [function("a"), function("a")]}), "invalid_value", "tools[1].function.name"),
        (json!({"tool_choice": "auto"}), "invalid_value", "tool_choice"),
        (json!({"tools": [function("a")], "tool_choice": "some"}), "invalid_value", "tool_choice"),
        (json!({"tools": [function("a")], "tool_choice": function("b")}), "invalid_value", "tool_choice.function.name"),
        (json!({"parallel_tool_calls": false}), "invalid_value", "parallel_tool_calls"),
        (json!({"prediction": {"type": "content"}}), "missing_required_parameter", "prediction.content"),
        (json!({"frobnicate": 1}), "unknown_parameter", "frobnicate"),
    ]
}

#[test]
fn every_parameter_that_is_not_honoured_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(&folder);
    let ask = |members: Value| server.post(CHAT, &with(question("hello"), members).to_string());
    for (members, code, param) in refused() {
        let answer = ask(members.clone());
        assert_eq!(answer.status, 400, "{members}: {}", answer.body);
        failed(&answer, 400, code, Some(param));
    }

    failed(&server.post(CHAT, "{\"model\": "), 400, "malformed_json", None);
    failed(&server.post(CHAT, "[1]"), 400, "invalid_type", None);
    failed(&server.call(CHAT, &["-H", "content-type: text/plain", "-d", "{}"]), 415, "unsupported_media_type", None);
    failed(&server.get(CHAT), 405, "method_not_allowed", None);
    failed(&ask(json!({"model": "gpt-4o"})), 404, "model_not_found", Some("model"));
    failed(&server.get("/v1/models/gpt-4o"), 404, "model_not_found", Some("model"));
    assert_eq!(server.get("/v1/models").json(), json!({"object": "list", "data": []}));

    // What changes nothing in an answer is taken; then there is no model, which no trying again helps.
    let tolerated =
        ask(json!({"user": "u", "metadata": {"a": "b"}, "store": false, "n": 1, "logprobs": false, "top_p": null,
        "frequency_penalty": 0, "presence_penalty": 0, "modalities": ["text"], "service_tier": "flex", "logit_bias": {},
        "safety_identifier": "x", "prompt_cache_key": "x", "prediction": {"type": "content", "content": "hello"}}));
    failed(&tolerated, 503, "service_unavailable", None);
    assert!(tolerated.headers.contains("x-should-retry: false"), "{}", tolerated.headers);
    let embedding = server.post("/v1/embeddings", "{\"model\": \"auto\", \"input\": \"x\"}");
    failed(&embedding, 503, "service_unavailable", None);
}

#[test]
fn what_is_over_a_limit_is_refused_with_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(&folder);
    let ask = |members: Value| server.post(CHAT, &with(question("hello"), members).to_string());
    let says = |error: &Value, limit: &str| assert!(error["message"].as_str().unwrap().contains(limit), "{error}");

    let huge = server.post(CHAT, &question(&"word ".repeat(8000)).to_string());
    says(&failed(&huge, 413, "too_large", None), "20000");
    let messages = vec![json!({"role": "user", "content": "x"}); 4];
    says(
        &failed(&ask(json!({"messages": messages})), 400, "invalid_value", Some("messages")),
        "server.openai.messages",
    );
    let tools: Vec<Value> =
        (0..3).map(|n| json!({"type": "function", "function": {"name": format!("f{n}")}})).collect();
    says(&failed(&ask(json!({"tools": tools})), 400, "invalid_value", Some("tools")), "server.openai.tools");
    let schema = json!({"type": "object", "description": "x".repeat(400)});
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": schema}});
    let schema = failed(
        &ask(json!({"response_format": format})),
        400,
        "invalid_value",
        Some("response_format.json_schema.schema"),
    );
    says(&schema, "server.openai.schema_bytes");
    let deep = format!("{{\"model\": \"auto\", \"messages\": {}{}}}", "[".repeat(500), "]".repeat(500));
    failed(&server.post(CHAT, &deep), 400, "malformed_json", None);
    let texts = json!({"model": "auto", "input": ["a", "b", "c"]}).to_string();
    says(&failed(&server.post("/v1/embeddings", &texts), 400, "invalid_value", Some("input")), "server.openai.inputs");
}

#[test]
fn an_answer_says_who_gave_it_and_what_it_cost() {
    let first = Script::sequence([Failure::RateLimited(Some(RetryAfter::Seconds(30))), Failure::Status(500, None)]);
    let remotes = Remotes::new().with("first", first).with("second", Script::always(Scripted::text("Good morning.")));
    let product = remotes.product("");
    let server = product.serve();
    for outcome in ["overloaded", "transient"] {
        let answer = server.post(CHAT, &question("hello").to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.headers.contains("x-rejoinder-provider: second"), "{}", answer.headers);
        assert!(
            answer.headers.contains(&format!("x-rejoinder-attempts: first={outcome}, second=ok")),
            "{}",
            answer.headers
        );
        let body = answer.json();
        assert_eq!((body["object"].as_str(), body["model"].as_str()), (Some("chat.completion"), Some("scripted-2")));
        assert_eq!(body["choices"][0]["message"]["content"], "Good morning.");
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        let (input, output) = (body["usage"]["prompt_tokens"].as_f64(), body["usage"]["completion_tokens"].as_f64());
        let cost = (input.unwrap() * 1.0 + output.unwrap() * 2.0) / 1e6;
        let attempts = body["rejoinder"]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{body}");
        assert!((attempts[1]["cost"].as_f64().unwrap() - cost).abs() < 1e-12, "{body}");
    }
    // A target is asked for by its name or its model's.
    for name in ["second", "scripted-2"] {
        let answer = server.post(CHAT, &with(question("hello"), json!({"model": name})).to_string());
        assert!(answer.headers.contains("x-rejoinder-attempts: second=ok"), "{}", answer.headers);
    }
    // Narrowed by the request, nothing leaves the machine, and that is what is told.
    let before = remotes.provider("second").requests();
    let body = question("hello").to_string();
    let json = ["-H", "content-type: application/json", "-H", "x-rejoinder-egress: local_only", "-d", &body];
    let kept = failed(&server.call(CHAT, &json), 403, "egress_denied", None);
    assert!(kept["message"].as_str().unwrap().contains("policy"), "{kept}");
    assert_eq!(remotes.provider("second").requests(), before);
}

#[test]
fn a_stream_is_chunks_with_one_id_and_a_failure_in_it_is_an_error_without_an_end() {
    let words = "one two three four five six seven eight nine ten";
    let script = Script::sequence([
        rejoinder_scripted_provider::Behaviour::from(Scripted::text(words)),
        Failure::Status(500, None).into(),
        rejoinder_scripted_provider::Behaviour::Fail(Failure::Cut { after: 3 }, Scripted::text(words)),
    ]);
    let remotes = Remotes::new().with("remote", script);
    let product = remotes.product("");
    let server = product.serve();
    let body = with(question("count"), json!({"stream": true, "stream_options": {"include_usage": true}})).to_string();

    let chunks = events(&server.post(CHAT, &body));
    assert_eq!(chunks.last().unwrap().data, "[DONE]");
    let chunks: Vec<Value> = chunks[..chunks.len() - 1].iter().map(crate::remote::Event::json).collect();
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["object"] == "chat.completion.chunk"));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, words);
    let [.., finish, usage] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["rejoinder"]["provider"], "remote", "{finish}");
    assert_eq!((&usage["choices"], usage["usage"]["completion_tokens"].as_u64()), (&json!([]), Some(12)), "{usage}");

    // Before the first text a failure has its status.
    failed(&server.post(CHAT, &body), 503, "service_unavailable", None);

    let broken = events(&server.post(CHAT, &body));
    let last = broken.last().unwrap().json();
    assert!(last["error"]["code"] == "service_unavailable" || last["error"]["code"] == "stream_restarted", "{last}");
    assert!(broken.len() > 2 && broken.iter().all(|event| event.data != "[DONE]"), "{broken:?}");
}

#[test]
fn an_answer_that_starts_over_is_whole_in_one_piece_and_an_error_in_a_stream() {
    let words = "one two three four five six seven eight nine ten";
    let cut = || {
        let answer = Scripted::text("never mind, this is not the end of it").in_chunks_of(4);
        Script::always(rejoinder_scripted_provider::Behaviour::Fail(Failure::Cut { after: 4 }, answer))
    };
    let remotes = Remotes::new().with("first", cut()).with("second", Script::always(Scripted::text(words)));
    let product = remotes.product("");
    let server = product.serve();
    let whole = server.post(CHAT, &question("count").to_string());
    assert_eq!(whole.json()["choices"][0]["message"]["content"], words, "{}", whole.body);
    assert!(whole.headers.contains("x-rejoinder-attempts: first=transient, second=ok"), "{}", whole.headers);

    let streamed = events(&server.post(CHAT, &with(question("count"), json!({"stream": true})).to_string()));
    assert_eq!(streamed.last().unwrap().json()["error"]["code"], "stream_restarted", "{streamed:?}");
    assert!(streamed.iter().all(|event| !event.data.contains("one two")), "{streamed:?}");
}

#[test]
fn one_tool_call_where_the_client_wants_no_more() {
    let two = Scripted::text("").with_call("a", json!({"x": 1})).with_call("b", json!({"y": 2}));
    let remotes = Remotes::new().with("remote", Script::always(two));
    let product = remotes.product("");
    let server = product.serve();
    let tools: Vec<Value> =
        ["a", "b"].iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
    let ask = |members: Value| with(with(question("go"), json!({"tools": tools})), members).to_string();
    let names = |answer: &Value| {
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap().iter();
        calls.map(|call| call["function"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let both = server.post(CHAT, &ask(json!({}))).json();
    assert_eq!(names(&both), ["a", "b"], "{both}");
    assert_eq!(
        (both["choices"][0]["finish_reason"].as_str(), &both["choices"][0]["message"]["content"]),
        (Some("tool_calls"), &Value::Null)
    );
    assert_eq!(names(&server.post(CHAT, &ask(json!({"parallel_tool_calls": false}))).json()), ["a"]);

    let streamed = events(&server.post(CHAT, &ask(json!({"parallel_tool_calls": false, "stream": true}))));
    let calls = streamed.iter().filter(|event| event.data != "[DONE]").map(crate::remote::Event::json);
    let calls: Vec<Value> = calls
        .map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].clone())
        .filter(|call| !call.is_null())
        .collect();
    assert_eq!((calls[0]["function"]["name"].as_str(), calls[0]["type"].as_str()), (Some("a"), Some("function")));
    assert!(calls.iter().all(|call| call["index"] == 0), "{calls:?}");
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), json!({"x": 1}));
}

#[test]
fn a_slow_answer_says_that_it_lives() {
    let slow = Scripted::text("at last").with_delays(Duration::from_millis(2500), Duration::ZERO);
    let remotes = Remotes::new().with("remote", Script::always(slow));
    let product = remotes.product("[server]\nheartbeat_seconds = 1\n");
    let server = product.serve();
    let answer = server.post(CHAT, &with(question("hello"), json!({"stream": true})).to_string());
    assert!(answer.body.starts_with(": heartbeat\n\n"), "{}", answer.body);
    assert_eq!(events(&answer).last().unwrap().data, "[DONE]");
}

/// A client that reads an answer up to a line that begins so, and hangs up.
pub(crate) fn hang_up(server: &Serving, path: &str, body: &str, until: &str) {
    use std::io::BufRead as _;
    let mut curl = Command::new("curl")
        .args(["-sSN", "--max-time", "60", "-H", "content-type: application/json", "--data-binary", body])
        .arg(format!("{}{path}", server.url))
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is on this machine");
    let mut lines = std::io::BufReader::new(curl.stdout.take().expect("piped")).lines();
    assert!(
        lines.any(|line| line.expect("text").starts_with(until)),
        "the answer has no line that begins with {until}"
    );
    curl.kill().expect("curl can be ended");
    curl.wait().expect("curl ends");
}

#[test]
fn who_hangs_up_stops_the_work_and_frees_the_place() {
    let remotes = Remotes::new().with("remote", Script::sequence([Failure::Endless]));
    let product = remotes.product("[server]\nmax_concurrent_requests = 1\n");
    let server = product.serve();
    let endless = with(question("go on"), json!({"stream": true, "max_tokens": 20000})).to_string();
    hang_up(&server, CHAT, &endless, "data: ");
    let provider = remotes.provider("remote");
    remotes.wait(provider.idle());
    assert_eq!((provider.requests(), provider.billed()["disconnected"].requests), (1, 1));
    provider.follow(Script::always(Scripted::text("next")));
    // The place was given back before the provider's connection was closed or soon after.
    let next = || server.post(CHAT, &question("hello").to_string());
    let mut answer = next();
    for _ in 0..50 {
        if answer.status == 200 {
            break;
        }
        failed(&answer, 503, "busy", None);
        std::thread::sleep(Duration::from_millis(100));
        answer = next();
    }
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "next");
}

#[test]
fn embeddings_are_the_same_in_both_encodings() {
    if !weights_are_here() {
        return;
    }
    let product = Product::new();
    let server = product.serve();
    let ask = |members: Value| {
        let body = with(json!({"model": "all-MiniLM-L6-v2", "input": "Where is my refund?"}), members);
        server.post("/v1/embeddings", &body.to_string())
    };
    let plain = ask(json!({})).json();
    assert_eq!((plain["object"].as_str(), plain["data"][0]["object"].as_str()), (Some("list"), Some("embedding")));
    let vector = plain["data"][0]["embedding"].as_array().unwrap();
    assert_eq!((vector.len(), plain["usage"]["prompt_tokens"].as_u64()), (384, Some(6)), "{}", plain["usage"]);
    let packed = ask(json!({"encoding_format": "base64"})).json();
    // 384 numbers of four bytes are 2048 characters without padding.
    assert_eq!(packed["data"][0]["embedding"].as_str().unwrap().len(), 2048);
    let many = ask(json!({"input": ["Where is my refund?", "Fish swim."]})).json();
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-4;
    assert!(many["data"][0]["embedding"].as_array().unwrap().iter().zip(vector).all(|(a, b)| close(a, b)));
    failed(&ask(json!({"dimensions": 2})), 400, "invalid_value", Some("dimensions"));
    failed(&ask(json!({"input": [[1, 2]]})), 400, "unsupported_parameter", Some("input"));
    failed(&ask(json!({"input": ["a", ""]})), 400, "invalid_value", Some("input[1]"));
    failed(&ask(json!({"input": "word ".repeat(600)})), 400, "context_length_exceeded", Some("input"));
    failed(&ask(json!({"encoding_format": "hex"})), 400, "invalid_value", Some("encoding_format"));
    failed(&ask(json!({"model": "text-embedding-3-small"})), 404, "model_not_found", Some("model"));
    let listed = server.get("/v1/models/all-MiniLM-L6-v2").json();
    assert_eq!((listed["object"].as_str(), listed["rejoinder"]["kind"].as_str()), (Some("model"), Some("embedding")));
}
