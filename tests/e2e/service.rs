//! What a CRM and its operator do day by day: jobs, feedback, schemas, retention, encryption, backup.

use std::time::Duration;

use serde_json::{Value, json};

use crate::erasure::on_disk;
use crate::product::{Product, Serving, repository, sample};
use crate::spine::ingest_sample;

fn wait_for(mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it never came to that");
}

fn ticket() -> Value {
    let ticket: Value = serde_json::from_str(&sample("tickets/T-2001.json")).unwrap();
    ticket.get("ticket").cloned().unwrap_or(ticket)
}

fn words_only(more: &str) -> (tempfile::TempDir, Product) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    let inbox = folder.path().join("inbox/acme");
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::copy(repository().join("examples/mailbox/support.mbox"), inbox.join("support.mbox")).unwrap();
    let jobs = format!("[jobs]\ninbox = \"{}\"\n", folder.path().join("inbox").display());
    let text = format!("tenant = \"acme\"\n[models]\nembedder = \"none\"\n{jobs}{more}");
    std::fs::write(&config, text).unwrap();
    (folder, Product::with_config(&config))
}

fn finished(server: &Serving, id: &str) -> Value {
    let mut job = Value::Null;
    wait_for(|| {
        job = server.get(&format!("/v1/ingest/jobs/{id}")).json();
        ["completed", "failed", "cancelled"].contains(&job["state"].as_str().unwrap())
    });
    job
}

#[test]
fn jobs_by_upload_and_from_the_inbox_give_an_account_of_every_item() {
    let (_folder, product) = words_only("");
    let server = product.serve();
    let mailbox = repository().join("examples/mailbox/support.mbox");
    let form = format!("file=@{}", mailbox.display());
    let accepted = server.call("/v1/ingest/jobs", &["-F", &form]);
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert!(accepted.headers.contains(&format!("location: /v1/ingest/jobs/{id}")), "{}", accepted.headers);
    let job = finished(&server, &id);
    assert_eq!(job["state"], "completed", "{job}");
    let count = |name: &str| job["progress"][name].as_u64().unwrap();
    assert!(count("seen") > 0 && count("pending") == 0, "{job}");
    assert_eq!(count("seen"), count("indexed") + count("duplicate") + count("skipped"), "{job}");
    let items = server.get(&format!("/v1/ingest/jobs/{id}/items?status=indexed&limit=1000")).json();
    assert_eq!(items["data"].as_array().unwrap().len() as u64, count("indexed"));
    let events = server.get(&format!("/v1/ingest/jobs/{id}/events"));
    assert!(events.body.contains("event: done"), "{}", events.body);
    wait_for(|| !product.data_dir().join("uploads/acme").join(&id).exists());

    let inbox = server.post("/v1/ingest/jobs", "{\"path\": \"support.mbox\"}");
    assert_eq!(inbox.status, 202, "{}", inbox.body);
    let job = finished(&server, inbox.json()["id"].as_str().unwrap());
    assert_eq!((job["state"].as_str(), job["progress"]["indexed"].as_u64()), (Some("completed"), Some(0)), "{job}");
    for path in ["../../etc/passwd", "/etc/passwd", "", "nothing.pst", "a/../../x"] {
        let refused = server.post("/v1/ingest/jobs", &json!({ "path": path }).to_string());
        assert_eq!(refused.status, 422, "{path}: {}", refused.body);
    }
    let listed = server.get("/v1/ingest/jobs?limit=1").json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let cursor = listed["next_cursor"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/ingest/jobs?limit=1&cursor={cursor}")).json()["data"][0]["id"], id);
    assert_eq!(server.post(&format!("/v1/ingest/jobs/{id}/cancel"), "").status, 202, "a job that has ended stays");
    assert_eq!(server.get("/v1/ingest/jobs/job_none").status, 404);
}

#[test]
fn what_people_do_with_suggestions_counts() {
    let product = Product::new();
    ingest_sample(&product);
    let server = product.serve();
    let suggest = |ticket: &Value| server.post("/v1/suggest-reply", &json!({ "ticket": ticket }).to_string()).json();
    let given = suggest(&ticket());
    let id = given["id"].as_str().unwrap();
    let kept = server.get(&format!("/v1/suggestions/{id}")).json();
    assert_eq!(kept["suggestions"], given["suggestions"]);
    assert_eq!((&kept["stale"], &kept["outcome"]), (&json!(false), &Value::Null));
    let feedback = |body: Value| server.post("/v1/feedback", &body.to_string());

    let missing = feedback(json!({"suggestion_id": id, "outcome": "edited"}));
    assert_eq!((missing.status, missing.json()["errors"][0]["pointer"].as_str()), (422, Some("/final_text")));
    let reply = "Dear customer, the quokka department has looked into it and sends the corrected papers tomorrow.";
    let edited = json!({"suggestion_id": id, "outcome": "edited", "final_text": reply});
    assert_eq!(feedback(edited.clone()).status, 204);
    assert_eq!(feedback(edited).status, 204, "told again, it is the same");
    assert_eq!(feedback(json!({"suggestion_id": id, "outcome": "rejected"})).status, 409);
    assert_eq!(feedback(json!({"suggestion_id": "sug_none", "outcome": "accepted"})).status, 404);
    let kept = server.get(&format!("/v1/suggestions/{id}")).json();
    assert_eq!(kept["outcome"]["outcome"], "edited");
    assert_eq!(kept["outcome"]["edit_class"], "rewritten");

    // What was sent is what the next one gets.
    let mut next = ticket();
    next["id"] = json!("T-9001");
    let learned = suggest(&next);
    let texts: Vec<&str> =
        learned["suggestions"].as_array().unwrap().iter().filter_map(|s| s["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("quokka department")), "{texts:?}");
    // What is rejected is not offered again for that ticket.
    let id = learned["id"].as_str().unwrap();
    assert_eq!(feedback(json!({"suggestion_id": id, "outcome": "rejected", "reason": "wrong case"})).status, 204);
    let other = suggest(&next);
    assert_ne!(other["suggestions"][0]["text"], learned["suggestions"][0]["text"], "{other}");

    // Another message makes older suggestions stale.
    next["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"direction": "inbound", "from": "x", "text": "Hello? Any news?"}));
    suggest(&next);
    let stale = server.get(&format!("/v1/suggestions/{}", other["id"].as_str().unwrap())).json();
    assert_eq!(stale["stale"], true);
    let of_ticket = server.get("/v1/suggestions?ticket_id=T-9001").json();
    assert_eq!(of_ticket["data"].as_array().unwrap().len(), 3);

    let mut unknown = ticket();
    unknown["subject"] = json!("Parking permits for unicycles");
    unknown["messages"] =
        json!([{"direction": "inbound", "from": "x", "text": "Where do unicycles park near the harbour?"}]);
    let nothing = suggest(&unknown);
    let stats = server.get("/v1/stats").json();
    assert_eq!(
        (stats["outcomes"]["edited"].as_u64(), stats["outcomes"]["rejected"].as_u64()),
        (Some(1), Some(1)),
        "{stats}"
    );
    // The one that was rejected was learned from the one that was edited.
    let account = product.json(&["status"], 0);
    for (name, outcome) in [("support.mbox", "edited"), ("learned", "rejected")] {
        let named = |value: &&Value| value["name"] == name;
        let source = stats["by_source"].as_array().unwrap().iter().find(named).unwrap();
        let mailbox = account["mailboxes"].as_array().unwrap().iter().find(named).unwrap();
        assert_eq!((&source["mailbox"], &source[outcome]), (&mailbox["id"], &json!(1)), "{stats}");
    }
    if nothing["suggestions"].as_array().unwrap().is_empty() {
        let gaps = stats["knowledge_gaps"].as_array().unwrap();
        assert!(gaps.iter().any(|gap| gap["terms"].to_string().contains("unicycles")), "{stats}");
    }
}

#[test]
fn named_schemas_are_listed_filled_and_of_a_tenant() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("acme")).unwrap();
    let own = json!({"type": "object", "properties": {"iban": {"type": "string"}}});
    std::fs::write(folder.path().join("acme/refund@3.json"), own.to_string()).unwrap();
    let (_config, product) = words_only(&format!("[schemas]\ndir = \"{}\"\n", folder.path().display()));
    let server = product.serve();
    let names = server.get("/v1/schemas").json()["data"].to_string();
    for name in ["close_out", "lead_qualification", "intent", "column_mapping", "refund"] {
        assert!(names.contains(name), "{names}");
    }
    let extract = |body: Value| server.post("/v1/extract-attributes", &body.to_string());
    let text =
        "Solved on 3 March 2026: the invoice INV-17 over EUR 120.50 was refunded to IBAN DE89 3704 0044 0532 0130 00.";
    let filled = extract(json!({"text": text, "schema_name": "close_out", "current": {"amount": 100}})).json();
    assert_eq!(filled["schema_name"], "close_out@1", "{filled}");
    assert_eq!(filled["attributes"]["amount"], 120.5, "{filled}");
    assert_eq!(filled["attributes"]["iban"], "DE89370400440532013000");
    let changes = filled["changes"].as_array().unwrap();
    assert!(changes.contains(&json!({"pointer": "/amount", "old": 100, "new": 120.5})), "{filled}");
    let own = extract(json!({"text": text, "schema_name": "refund@3"})).json();
    assert_eq!(own["attributes"]["iban"], "DE89370400440532013000", "{own}");
    let unknown = extract(json!({"text": text, "schema_name": "refund@4"}));
    assert_eq!((unknown.status, unknown.json()["errors"][0]["pointer"].as_str()), (422, Some("/schema_name")));
}

#[test]
fn old_mail_goes_when_its_time_is_over() {
    let (_folder, product) = words_only("[retention]\ndays = 1\n");
    product.json(&["ingest", repository().join("examples/mailbox/support.mbox").to_str().unwrap()], 0);
    let held = product.messages().len() as u64;
    assert!(held > 0);
    let retention = || product.json(&["status"], 0)["retention"].clone();
    assert_eq!(retention(), json!({"days": 1, "messages_due": held, "suggestions_due": 0}));
    let said = product.run(&["status"]);
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("kept for 1 days") && said.contains("are older"), "{said}");
    let server = product.serve();
    wait_for(|| server.get("/readyz").json()["messages"] == 0);
    drop(server);
    assert!(product.messages().is_empty());
    assert_eq!(retention(), json!({"days": 1, "messages_due": 0, "suggestions_due": 0}));
}

#[test]
fn with_a_master_key_no_text_lies_in_clear_and_everything_works() {
    let (folder, product) = words_only("[vault]\nkey_env = \"REJOINDER_TEST_KEYS\"\n");
    let key = String::from_utf8(product.run(&["vault", "generate", "--id", "one"]).stdout).unwrap();
    let key = key.trim();
    let run = |arguments: &[&str], keys: &str| {
        let output = product.command(arguments).env("REJOINDER_TEST_KEYS", keys).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let mailbox = repository().join("examples/mailbox/support.mbox");
    let (code, said) = run(&["ingest", mailbox.to_str().unwrap()], key);
    assert_eq!(code, Some(0), "{said}");
    let (_, listed) = run(&["messages", "--json"], key);
    let message: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let words = message["new_text"].as_str().unwrap().split('\n').max_by_key(|line| line.len()).unwrap().to_owned();
    assert!(!on_disk(&product.data_dir(), &words), "{words}");
    let word = words.split(|c: char| !c.is_alphanumeric()).max_by_key(|word| word.len()).unwrap();
    let (code, found) = run(&["search", word, "--json"], key);
    assert_eq!(code, Some(0), "{found}");
    assert!(found.contains(message["id"].as_str().unwrap()), "{word}: {found}");
    for wrong in ["", "two:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
        assert_eq!(run(&["status"], wrong).0, Some(1));
    }
    // Another master key, first in the list: everything is wrapped with it, and the old one can go.
    let second = String::from_utf8(product.run(&["vault", "generate", "--id", "two"]).stdout).unwrap();
    let both = format!("{},{key}", second.trim());
    let (code, said) = run(&["vault", "rotate"], &both);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["search", word, "--json"], second.trim());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(message["id"].as_str().unwrap()), "{said}");
    drop(folder);
}

#[test]
fn what_lay_in_clear_is_encrypted_on_request() {
    let (folder, product) = words_only("");
    product.json(&["ingest", repository().join("examples/mailbox/support.mbox").to_str().unwrap()], 0);
    let message = product.messages().remove(0);
    let words = message["new_text"].as_str().unwrap().split('\n').max_by_key(|line| line.len()).unwrap().to_owned();
    assert!(on_disk(&product.data_dir(), &words));
    let key = String::from_utf8(product.run(&["vault", "generate"]).stdout).unwrap();
    let config = folder.path().join("rejoinder.toml");
    let text = std::fs::read_to_string(&config).unwrap() + "[vault]\nkey_env = \"REJOINDER_TEST_KEYS\"\n";
    std::fs::write(&config, text).unwrap();
    let run = |arguments: &[&str]| {
        let output = product.command(arguments).env("REJOINDER_TEST_KEYS", key.trim()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let sealed: Value = serde_json::from_str(&run(&["vault", "seal", "--json"])).unwrap();
    assert!(sealed["rows"].as_u64().unwrap() > 0 && sealed["pending"] == 0, "{sealed}");
    assert!(!on_disk(&product.data_dir(), &words), "{words}");
    let word = words.split(|c: char| !c.is_alphanumeric()).max_by_key(|word| word.len()).unwrap();
    assert!(run(&["search", word, "--json"]).contains(message["id"].as_str().unwrap()), "{word}");
}

#[test]
fn a_backup_put_back_is_what_was_there() {
    let (_folder, product) = words_only("");
    product.json(&["ingest", repository().join("examples/mailbox/support.mbox").to_str().unwrap()], 0);
    let key = crate::tenants::key(&product, "acme", "admin");
    let server = product.serve();
    let backup = product.path("backup");
    product.json(&["backup", backup.to_str().unwrap()], 0);
    drop(server);
    let before = product.messages();
    let refused = product.run(&["restore", backup.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "over what is there nothing is restored");
    std::fs::remove_dir_all(product.data_dir()).unwrap();
    product.json(&["restore", backup.to_str().unwrap()], 0);
    assert_eq!(product.messages(), before);
    let server = product.serve();
    assert_eq!(crate::tenants::call(&server, &key, "GET", "/v1/usage", None).status, 200, "keys are back too");
    let word = before[0]["subject"].as_str().unwrap();
    let found = crate::tenants::call(&server, &key, "POST", "/v1/search", Some(&json!({ "query": word })));
    assert!(!found.json()["data"].as_array().unwrap().is_empty(), "{}", found.body);
}

#[test]
fn a_watched_folder_is_taken_in_once() {
    let (folder, product) = words_only("");
    let dir = folder.path().join("inbox/acme");
    let first = product.run(&["watch", dir.to_str().unwrap(), "--once"]);
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let count = product.messages().len();
    assert!(count > 0, "{}", String::from_utf8_lossy(&first.stdout));
    let again = product.run(&["watch", dir.to_str().unwrap(), "--once"]);
    assert!(!String::from_utf8_lossy(&again.stdout).contains("seen"), "{}", String::from_utf8_lossy(&again.stdout));
    assert_eq!(product.messages().len(), count);
}

#[test]
fn the_doctor_and_the_health_check_say_how_it_is() {
    let (_folder, product) = words_only("");
    let found = product.json(&["doctor"], 0);
    assert_eq!(found["problems"], 0, "{found}");
    assert!(found["findings"].to_string().contains("encryption"), "{found}");
    let server = product.serve();
    let healthy = product.run(&["health", "--url", &server.url]);
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    let url = server.url.clone();
    assert!(server.terminate());
    assert_eq!(product.run(&["health", "--url", &url]).status.code(), Some(1));
}

/// With a server that `QDRANT_URL` names: what is found, drafted and erased is as with the embedded store.
#[test]
fn qdrant_answers_like_the_embedded_store() {
    let Ok(url) = std::env::var("QDRANT_URL") else {
        eprintln!("SKIPPED: QDRANT_URL is not set");
        return;
    };
    let prefix = format!("e2e-{}", std::process::id());
    let (_one, embedded) = words_only("");
    let store = format!("[store]\nkind = \"qdrant\"\n[store.qdrant]\nurl = \"{url}\"\nprefix = \"{prefix}\"\n");
    let (_other, clustered) = words_only(&store);
    let mailbox = repository().join("examples/mailbox/support.mbox");
    let best = |product: &Product| {
        product.json(&["ingest", mailbox.to_str().unwrap()], 0);
        let found = product.json(&["search", "duplicate invoice"], 0);
        found["data"].as_array().unwrap().iter().map(|hit| hit["message_id"].clone()).collect::<Vec<_>>()
    };
    let (one, other) = (best(&embedded), best(&clustered));
    assert_eq!(one.first(), other.first());
    let gone = clustered.json(&["erase", "--whole-tenant", "acme"], 0);
    assert_eq!(gone["left"], 0, "{gone}");
    assert!(clustered.json(&["search", "duplicate invoice"], 0)["data"].as_array().unwrap().is_empty());
}
