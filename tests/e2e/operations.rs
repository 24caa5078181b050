//! What somebody who runs the server sees: health of targets, metrics, usage, audit.

use std::process::Command;

use rejoinder_scripted_provider::{Answer as Scripted, Failure, Script};
use serde_json::{Value, json};

use crate::remote::Remotes;

fn chat(text: &str) -> String {
    json!({"model": "auto", "messages": [{"role": "user", "content": text}]}).to_string()
}

#[test]
fn every_call_is_counted_and_every_egress_recorded_without_its_text() {
    let remotes = Remotes::new()
        .with("first", Script::always(Failure::Status(500, None)))
        .with("second", Script::always(Scripted::text("Good morning.")));
    let budget = "[[router.budgets]]\nper = \"day\"\ntokens = 1000000\n";
    let product = remotes.product(budget);
    let server = product.serve();
    let secret = "My card is 4111 1111 1111 1111, yours Wilhelmina Quist";
    for number in 0..3 {
        let (id, body) = (format!("x-request-id: crm-{number}"), chat(secret));
        let answer =
            server.call("/v1/chat/completions", &["-H", "content-type: application/json", "-H", &id, "-d", &body]);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    let ready = server.get("/readyz").json();
    assert_eq!(ready["egress"], "remote_allowed");
    let targets = ready["targets"].as_array().unwrap();
    let names: Vec<&str> = targets.iter().map(|target| target["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!((targets[0]["failures"].as_u64(), targets[1]["failures"].as_u64()), (Some(3), Some(0)), "{ready}");
    assert_eq!((targets[0]["circuit"].as_str(), targets[0]["remote"].as_bool()), (Some("closed"), Some(true)));

    let metrics = server.get("/metrics");
    assert!(
        metrics.headers.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        metrics.headers
    );
    assert!(metrics.body.ends_with("# EOF\n") && metrics.body.contains("second"), "{}", metrics.body);

    // Usage is written soon, not before the answer.
    let sums = |at_least: u64| {
        for _ in 0..100 {
            let usage = server.get("/v1/usage").json();
            let attempts: u64 =
                usage["data"].as_array().unwrap().iter().map(|sum| sum["attempts"].as_u64().unwrap()).sum();
            if attempts >= at_least {
                return usage;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{at_least} attempts were not written within five seconds: {}", server.get("/v1/usage").body)
    };
    let usage = sums(6);
    let of = |name: &str| usage["data"].as_array().unwrap().iter().find(|sum| sum["provider"] == name).unwrap().clone();
    assert_eq!((of("first")["attempts"].as_u64(), of("first")["answers"].as_u64()), (Some(3), Some(0)));
    let second = of("second");
    assert_eq!((second["answers"].as_u64(), second["purpose"].as_str()), (Some(3), Some("chat")), "{second}");
    let (input, output) = (second["input_tokens"].as_f64().unwrap(), second["output_tokens"].as_f64().unwrap());
    assert!((second["cost"].as_f64().unwrap() - (input + 2.0 * output) / 1e6).abs() < 1e-12, "{second}");
    assert_eq!(usage["budgets"][0]["per"], "day", "{usage}");
    assert!(usage["budgets"][0]["tokens_left"].as_u64().unwrap() < 1_000_000);

    let mut audit = Vec::new();
    let mut address = "/v1/audit?limit=4".to_owned();
    loop {
        let page = server.get(&address);
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(!page.body.contains("4111") && !page.body.contains("Quist"), "{}", page.body);
        let page = page.json();
        audit.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => address = format!("/v1/audit?limit=4&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(audit.len(), 6, "{audit:?}");
    let newest = &audit[0];
    assert_eq!((newest["provider"].as_str(), newest["request_id"].as_str()), (Some("second"), Some("crm-2")));
    assert_eq!(
        (newest["egress"].as_str(), newest["outcome"].as_str()),
        (Some("remote_allowed"), Some("ok")),
        "{newest}"
    );
    assert!(audit.iter().all(|record| record["bytes"].as_u64().unwrap() > 0));
    let of_first = server.get("/v1/audit?provider=first").json();
    assert_eq!(of_first["data"].as_array().unwrap().len(), 3);
}

#[test]
fn redactions_are_recorded_by_kind_and_undone_in_the_answer() {
    let echo = Script::always(Scripted::echo());
    let remotes = Remotes::new().with("remote", echo);
    let product = remotes.product("");
    let server = product.serve();
    let text = "Write to wilhelmina.quist@example.net or to wilhelmina.quist@example.net again.";
    let json = ["-H", "content-type: application/json", "-H", "x-rejoinder-egress: redact_then_remote"];
    for stream in [false, true] {
        let mut body: Value = serde_json::from_str(&chat(text)).unwrap();
        body["stream"] = json!(stream);
        let body = body.to_string();
        let answer = server.call("/v1/chat/completions", &[&json[..], &["-d", &body]].concat());
        assert_eq!(answer.status, 200, "{}", answer.body);
        let written: String = if stream {
            let chunks = crate::remote::events(&answer);
            let chunks = chunks.iter().filter(|event| event.data != "[DONE]").map(crate::remote::Event::json);
            chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
        } else {
            answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        };
        assert_eq!(written, text);
    }
    for received in remotes.provider("remote").received() {
        assert!(!String::from_utf8_lossy(&received.raw).contains("quist"), "{}", received.body);
    }
    let audit = server.get("/v1/audit").json();
    let redactions = audit["data"][0]["redactions"].as_object().unwrap();
    assert_eq!(redactions.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 1, "{audit}");
}

#[test]
fn a_budget_that_is_used_up_is_a_429_with_the_time_that_it_resets() {
    let remotes = Remotes::new().with("remote", Script::always(Scripted::text("Good morning.")));
    let product = remotes.product("[[router.budgets]]\nper = \"month\"\ntokens = 50\n");
    let server = product.serve();
    let answer = server.post("/v1/chat/completions", &chat("hello"));
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (429, Some("insufficient_quota")),
        "{}",
        answer.body
    );
    assert!(answer.headers.contains("retry-after: "), "{}", answer.headers);
    assert!(answer.headers.contains("x-rejoinder-attempts: remote=over_budget"), "{}", answer.headers);
    assert_eq!(remotes.provider("remote").requests(), 0);
}

#[test]
fn a_list_says_what_is_wrong_with_its_parameters() {
    let remotes = Remotes::new();
    let product = remotes.product("");
    let server = product.serve();
    for (address, word) in [
        ("/v1/usage?step=week", "step"),
        ("/v1/usage?limit=0", "limit"),
        ("/v1/usage?form=2026-01-01T00:00:00Z", "form"),
        ("/v1/usage?cursor=zz", "cursor"),
        ("/v1/audit?limit=100000", "limit"),
        ("/v1/audit?since=yesterday", "since"),
        ("/v1/audit?cursor=00", "cursor"),
    ] {
        let answer = server.get(address);
        let body = answer.json();
        assert_eq!((answer.status, body["code"].as_str()), (422, Some("invalid_request")), "{address}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(word), "{address}: {body}");
    }
    assert_eq!(server.get("/v1/audit").json(), json!({"data": [], "next_cursor": null}));
    let output = Command::new("curl").args(["-sS", &format!("{}/metrics", server.url)]).output().expect("curl runs");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("# EOF\n"));
}
