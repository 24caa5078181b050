//! The command line: exit codes, what it says when something is wrong, and what `--json` promises.

use serde_json::Value;

use crate::product::{Product, repository};

fn text_only() -> (tempfile::TempDir, Product) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    std::fs::write(&config, "tenant = \"cli-test\"\n[models]\nembedder = \"none\"\n").unwrap();
    let product = Product::with_config(&config);
    (folder, product)
}

#[test]
fn what_cannot_be_read_is_listed_and_the_exit_code_says_so() {
    let (folder, product) = text_only();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let mail = "From: a@b.example\r\nTo: c@d.example\r\nSubject: Hello\r\nMessage-ID: <1@b.example>\r\n\r\nA word.\r\n";
    std::fs::write(inbox.join("good.eml"), mail).unwrap();
    std::fs::write(inbox.join("report.pdf"), "%PDF-1.4 not mail").unwrap();
    std::fs::write(inbox.join("broken.pst"), "!BDN and then nothing").unwrap();
    let report = product.json(&["ingest", inbox.to_str().unwrap()], 2);
    let number = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(number("seen"), number("indexed") + number("duplicate") + number("skipped"), "{report}");
    assert_eq!((number("indexed"), number("skipped")), (1, 2), "{report}");
    let listed = report["skips"].to_string();
    assert!(listed.contains("report.pdf") && listed.contains("broken.pst"), "{listed}");
    assert!(!listed.contains("A word"), "a reason never holds text of a message");
}

#[test]
fn a_path_that_is_not_there_fails_and_names_it() {
    let (_folder, product) = text_only();
    let report = product.json(&["ingest", "/nowhere/at-all.pst"], 2);
    assert_eq!((report["seen"].as_u64(), report["skipped"].as_u64()), (Some(1), Some(1)), "{report}");
    assert!(report["skips"].to_string().contains("at-all.pst"), "{report}");
    let output = product.run(&["inspect", "/nowhere/at-all.pst"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("at-all.pst"));
}

#[test]
fn a_wrong_configuration_is_refused_with_a_sentence() {
    for (text, names) in [
        ("", "tenant"),
        ("tenant = \"Not Allowed\"", "tenant"),
        ("tenant = \"a\"\n[server]\nlisten = \"0.0.0.0:80\"", "loopback"),
        ("tenant = \"a\"\n[server]\nport = 80", "port"),
        ("tenant = \"a\"\n[assist]\ndense_weight = 7", "dense_weight"),
        ("tenant = \"a\"\n[models]\nembedder = \"no-such-model\"", "no-such-model"),
        ("tenant = \"a\"\n[ownership]\ndomains = [\"me@acme.example\"]", "me@acme.example"),
        ("tenant = ", "TOML"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("rejoinder.toml");
        std::fs::write(&config, text).unwrap();
        let output = Product::with_config(&config).run(&["config", "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text:?}: {said}");
        assert!(said.contains(names), "{text:?}: {said}");
    }
    let product = Product::new();
    let checked = product.json(&["config", "check"], 0);
    assert_eq!((checked["valid"].as_bool(), checked["tenant"].as_str()), (Some(true), Some("demo")));
}

#[test]
fn inspect_counts_the_sample_pst_as_the_writer_wrote_it() {
    let product = Product::new();
    let file = repository().join("examples/mailbox/haldenmarsh.pst");
    let inspection = product.json(&["inspect", file.to_str().unwrap()], 0);
    let expected: Value = serde_json::from_str(&crate::product::sample("expected.json")).unwrap();
    let expected = &expected["files"]["haldenmarsh.pst"];
    assert_eq!(inspection["status"], "read", "{inspection}");
    assert_eq!(inspection["format"], "pst-unicode");
    assert_eq!(inspection["items"]["message"], expected["messages"]);
    assert_eq!(inspection["items"]["appointment"], expected["other_items"]["appointment"]);
    assert_eq!(inspection["attachments"], expected["attachments"]);
    assert_eq!(inspection["embedded"], expected["embedded_messages"]);
    assert_eq!(inspection["problems"], serde_json::json!([]));
}

#[test]
fn a_garbage_ticket_is_refused_before_anything_runs() {
    let (folder, product) = text_only();
    let ticket = folder.path().join("ticket.json");
    std::fs::write(&ticket, "{\"id\": \"T-1\"}").unwrap();
    let output = product.run(&["suggest", "--ticket", ticket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("messages"));
}

#[test]
fn a_damaged_model_file_is_named() {
    let (folder, product) = text_only();
    let models = folder.path().join("models");
    std::fs::create_dir_all(models.join("all-MiniLM-L6-v2")).unwrap();
    std::fs::write(models.join("all-MiniLM-L6-v2/config.json"), "{}").unwrap();
    let output = product.command(&["models", "verify"]).env("REJOINDER_MODELS", &models).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("config.json") && said.contains("different (2 bytes)"), "{said}");
    assert!(said.contains("model.safetensors") && said.contains("absent"), "{said}");
}

#[test]
fn without_weights_mail_is_found_by_its_words_and_the_server_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    let models = folder.path().join("no-models");
    let text = format!(
        "tenant = \"words\"\n[ownership]\ndomains = [\"haldenmarsh.example\"]\n[models]\ndir = {:?}\n",
        models.display().to_string()
    );
    std::fs::write(&config, text).unwrap();
    let product = Product::with_config(&config);
    crate::spine::ingest_sample(&product);
    let server = product.serve();
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert!(ready.json()["embedder"].is_null());
    assert!(ready.json()["notes"].to_string().contains("models pull"), "{}", ready.body);
    let found = server.post("/v1/search", "{\"query\": \"Rücklastschriften\", \"limit\": 3}").json();
    let first = found["data"][0]["subject"].as_str().unwrap();
    assert!(first.contains("Rücklastschrift "), "the plural is found as the singular: {first}");
}
