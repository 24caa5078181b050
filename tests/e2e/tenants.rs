//! Credentials, and that tenants see nothing of each other.

use rejoinder_scripted_provider::{Answer as Scripted, Script};
use serde_json::{Value, json};

use crate::product::{Answer, Product, Serving, sample};
use crate::remote::Remotes;
use crate::spine::ingest_sample;

/// A key of the tenant.
pub(crate) fn key(product: &Product, tenant: &str, roles: &str) -> String {
    let made = product.json(&["keys", "create", "--name", "test", "--for", tenant, "--roles", roles], 0);
    made["key"].as_str().unwrap().to_owned()
}

/// A call with a key.
pub(crate) fn call(server: &Serving, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let authorization = format!("authorization: Bearer {key}");
    let text = body.map(Value::to_string).unwrap_or_default();
    let mut arguments = vec!["-X", method, "-H", &authorization];
    if body.is_some() {
        arguments.extend(["-H", "content-type: application/json", "--data-binary", &text]);
    }
    server.call(path, &arguments)
}

pub(crate) fn message(words: &str) -> Value {
    json!({"message": {"from": "Anna Weber <anna@weberbau.example>", "to": ["support@ours.example"],
        "subject": words, "text": format!("Hello, a question about {words}, please answer soon."),
        "sent_at": "2026-03-01T08:00:00Z", "message_id": format!("<{words}@weberbau.example>")}})
}

#[test]
fn who_has_no_key_or_not_the_role_is_not_let_in() {
    let product = Product::new();
    let agent = key(&product, "haldenmarsh", "agent");
    let server = product.serve();
    for path in ["/v1/usage", "/v1/suggestions", "/v1/ingest/jobs", "/metrics", "/v1/models"] {
        let refused = server.get(path);
        assert_eq!(refused.status, 401, "{path}: {}", refused.body);
        assert!(refused.headers.contains("www-authenticate: bearer"), "{}", refused.headers);
    }
    assert_eq!(server.get("/healthz").status, 200);
    let ready = server.get("/readyz").json();
    assert_eq!((&ready["messages"], &ready["egress"]), (&Value::Null, &Value::Null), "nobody is told about the mail");
    assert_eq!(call(&server, &agent, "GET", "/v1/usage", None).status, 200);
    let forbidden = call(&server, &agent, "POST", "/v1/messages", Some(&message("x")));
    assert_eq!((forbidden.status, forbidden.json()["code"].as_str()), (403, Some("forbidden")));
    assert_eq!(call(&server, &agent, "GET", "/v1/audit", None).status, 403);
    assert_eq!(call(&server, &format!("{agent}x"), "GET", "/v1/usage", None).status, 401);

    // A key that is revoked, or made, counts at once in the running server.
    let id = agent.split('_').nth(1).unwrap();
    product.json(&["keys", "revoke", id], 0);
    assert_eq!(call(&server, &agent, "GET", "/v1/usage", None).status, 401);
    let reader = key(&product, "haldenmarsh", "reader");
    assert_eq!(call(&server, &reader, "GET", "/v1/usage", None).status, 200);
    let listed = product.run(&["keys", "list"]);
    assert!(!String::from_utf8(listed.stdout).unwrap().contains(&reader), "the secret is shown once");
}

#[test]
fn one_tenant_sees_nothing_of_another() {
    let product = Product::new();
    let (one, other) = (key(&product, "one", "admin"), key(&product, "other", "admin"));
    let server = product.serve();
    let stored = call(&server, &one, "POST", "/v1/messages", Some(&message("zanzibar")));
    assert_eq!(stored.status, 201, "{}", stored.body);
    let id = stored.json()["id"].as_str().unwrap().to_owned();
    let again = call(&server, &one, "POST", "/v1/messages", Some(&message("zanzibar")));
    assert_eq!((again.status, again.json()["status"].as_str()), (200, Some("duplicate")));
    let search = json!({"query": "zanzibar"});
    let hits = |key: &str| {
        let found = call(&server, key, "POST", "/v1/search", Some(&search)).json();
        found["data"].as_array().unwrap().len()
    };
    assert!(hits(&one) > 0);
    assert_eq!(hits(&other), 0);
    assert_eq!(call(&server, &other, "DELETE", &format!("/v1/messages/{id}"), None).status, 404);
    assert_eq!(call(&server, &other, "GET", "/v1/subjects/anna@weberbau.example", None).json()["messages"], 0);
    let held = call(&server, &one, "GET", "/v1/subjects/anna@weberbau.example", None).json();
    assert_eq!(held["messages"], 1, "{held}");
    assert!(held["data"][0]["text"].as_str().unwrap().contains("zanzibar"));
    // The same message of another tenant is a message of its own.
    assert_eq!(call(&server, &other, "POST", "/v1/messages", Some(&message("zanzibar"))).status, 201);
    let gone = call(&server, &one, "DELETE", "/v1/subjects/anna@weberbau.example", None).json();
    assert_eq!((gone["messages"].as_u64(), gone["left"].as_u64()), (Some(1), Some(0)), "{gone}");
    assert_eq!((hits(&one), hits(&other)), (0, 1));
    assert_eq!(call(&server, &one, "POST", "/v1/messages", Some(&message("zanzibar"))).status, 409, "it was erased");
}

#[test]
fn a_mailbox_is_named_by_what_it_is_called() {
    let product = Product::new();
    let admin = key(&product, "one", "admin");
    let server = product.serve();
    let of = |mailbox: &str, words: &str| {
        let mut body = message(words);
        body["mailbox"] = json!(mailbox);
        assert_eq!(call(&server, &admin, "POST", "/v1/messages", Some(&body)).status, 201);
    };
    of("sales", "zanzibar");
    of("support", "kilimanjaro");
    let search = |mailbox: &str| {
        let body = json!({"query": "question", "mailboxes": [mailbox]});
        let found = call(&server, &admin, "POST", "/v1/search", Some(&body));
        assert_eq!(found.status, 200, "{}", found.body);
        found.json()["data"].as_array().unwrap().iter().map(|hit| hit["mailbox"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (search("sales"), search("support"), search("nobody")),
        (vec![json!("sales")], vec![json!("support")], vec![])
    );
    let gone = call(&server, &admin, "DELETE", "/v1/mailboxes/sales", None);
    assert_eq!((gone.status, &gone.json()["messages"], &gone.json()["left"]), (200, &json!(1), &json!(0)));
    assert_eq!(call(&server, &admin, "DELETE", "/v1/mailboxes/sales", None).status, 404);
    assert_eq!((search("sales"), search("support")), (vec![], vec![json!("support")]));
    // What was erased as a mailbox can come again.
    of("sales", "zanzibar");
    assert_eq!(search("sales"), [json!("sales")]);
}

#[test]
fn limits_are_told_and_kept_and_changed_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    let write = |requests: u32| {
        let text = format!(
            "tenant = \"acme\"\n[models]\nembedder = \"none\"\n[server.limits.default]\nrequests_per_minute = {requests}\n"
        );
        std::fs::write(&config, text).unwrap();
    };
    write(2);
    let product = Product::with_config(&config);
    let server = product.serve();
    let first = server.get("/v1/usage");
    assert!(first.headers.contains("x-ratelimit-limit: 2") && first.headers.contains("x-ratelimit-remaining: 1"));
    server.get("/v1/usage");
    let limited = server.get("/v1/usage");
    assert_eq!((limited.status, limited.json()["code"].as_str()), (429, Some("rate_limited")), "{}", limited.body);
    assert!(limited.headers.contains("retry-after: ") && limited.headers.contains("x-ratelimit-remaining: 0"));
    write(1000);
    server.hang_up();
    let mut tries = 0;
    while server.get("/v1/usage").status == 429 {
        tries += 1;
        assert!(tries < 100, "the new limit is never taken over");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn what_may_leave_the_machine_changes_while_the_server_runs() {
    let remotes = Remotes::new().with("remote", Script::always(Scripted::text("Good morning.")));
    let product = remotes.product("");
    let server = product.serve();
    let chat = || {
        server
            .post("/v1/chat/completions", r#"{"model": "remote", "messages": [{"role": "user", "content": "hello"}]}"#)
    };
    assert_eq!(chat().status, 200);
    let allowed = std::fs::read_to_string(product.config()).unwrap();
    let take_over = |text: &str, status: u16| {
        std::fs::write(product.config(), text).unwrap();
        server.hang_up();
        let mut tries = 0;
        while chat().status != status {
            tries += 1;
            assert!(tries < 100, "the new policy is never taken over: {}", chat().body);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    take_over(&allowed.replace("[router]\n", "[router]\ntenants = { remotes = { egress = \"local_only\" } }\n"), 403);
    let asked = remotes.provider("remote").requests();
    chat();
    assert_eq!(remotes.provider("remote").requests(), asked, "nothing is sent any more");
    take_over(&allowed, 200);
}

#[test]
fn a_request_with_a_key_is_carried_out_once() {
    let product = Product::new();
    ingest_sample(&product);
    let server = product.serve();
    let request = json!({"ticket": serde_json::from_str::<Value>(&sample("tickets/T-2001.json")).unwrap()}).to_string();
    let request = if request.contains("\"ticket\":{\"ticket\"") { sample("tickets/T-2001.json") } else { request };
    let send = |key: &str, body: &str| {
        let header = format!("idempotency-key: {key}");
        server
            .call("/v1/suggest-reply", &["-H", &header, "-H", "content-type: application/json", "--data-binary", body])
    };
    let first = send("k-1", &request);
    assert_eq!(first.status, 200, "{}", first.body);
    let again = send("k-1", &request);
    assert_eq!(again.body, first.body);
    assert!(again.headers.contains("idempotency-replayed: true"), "{}", again.headers);
    assert_ne!(send("k-2", &request).json()["id"], first.json()["id"]);
    let conflict = send("k-1", &request.replacen('{', "{ ", 1));
    assert_eq!((conflict.status, conflict.json()["code"].as_str()), (409, Some("idempotency_conflict")));
}
