//! What is erased is gone: from searches, drafts, kept answers and the bytes on the disk.

use std::path::Path;
use std::time::{Duration, Instant};

use rejoinder_scripted_provider::{Answer, Script};
use serde_json::{Value, json};

use crate::product::{Product, repository};
use crate::remote::Remotes;
use crate::tenants::{call, key};

/// Whether any file below `folder` holds `words`.
pub(crate) fn on_disk(folder: &Path, words: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            on_disk(&path, words)
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes.windows(words.len()).any(|window| window == words.as_bytes())
        }
    })
}

fn ingested(remotes: &Remotes, more: &str) -> Product {
    let product = remotes.product(more);
    product.json(&["ingest", repository().join("examples/mailbox/support.mbox").to_str().unwrap()], 0);
    product
}

fn ticket(text: &str) -> String {
    json!({"ticket": {"id": "T-1", "subject": text, "customer": {"email": null, "name": null},
        "messages": [{"direction": "inbound", "from": "", "text": text}]}})
    .to_string()
}

#[test]
fn a_message_is_gone_from_search_kept_answers_and_disk() {
    let draft = "Thank you for your message. We will come back to you with the details.";
    let remotes = Remotes::new().with("cloud", Script::always(Answer::text(draft)));
    let product = ingested(&remotes, "[router.tenants.remotes]\negress = \"remote_allowed\"\n");
    let server = product.serve();
    let found = |words: &str| -> Vec<Value> {
        let answer = server.post("/v1/search", &json!({"query": words, "limit": 20}).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["data"].as_array().unwrap().clone()
    };
    let message = product.messages().into_iter().find(|message| message["direction"] == "inbound").unwrap();
    let id = message["id"].as_str().unwrap();
    let words = message["new_text"].as_str().unwrap().split('\n').max_by_key(|line| line.len()).unwrap().to_owned();
    assert!(found(&words).iter().any(|hit| hit["message_id"] == id));
    assert!(on_disk(&product.data_dir(), &words), "the store holds words as they are");

    let receipt = server.call(&format!("/v1/messages/{id}"), &["-X", "DELETE"]);
    assert_eq!(receipt.status, 200, "{}", receipt.body);
    let receipt = receipt.json();
    assert_eq!((receipt["messages"].as_u64(), receipt["left"].as_u64()), (Some(1), Some(0)), "{receipt}");
    assert!(receipt["records"].as_u64().unwrap() >= 1, "{receipt}");
    let held = server.removed_files_held();
    assert!(held.is_empty(), "an open handle keeps what was removed on the disk: {held:?}");
    assert!(!found(&words).iter().any(|hit| hit["message_id"] == id));
    assert_eq!(server.call(&format!("/v1/messages/{id}"), &["-X", "DELETE"]).status, 404);
    drop(server);
    let quoted =
        product.messages().iter().any(|message| message["quoted_text"].as_str().unwrap_or_default().contains(&words));
    if !quoted {
        assert!(!on_disk(&product.data_dir(), &words), "the words are still on the disk");
    }
}

#[test]
fn an_answer_that_rests_on_erased_mail_is_not_kept() {
    let draft = "Thank you for your message. We will come back to you with the details.";
    let remotes = Remotes::new().with("cloud", Script::always(Answer::text(draft)));
    let product = ingested(&remotes, "[assist]\nmin_word_overlap = 0.05\n");
    // The sample's configuration of this test keeps no answers: this one does.
    let path = product.path("keeping.toml");
    let text = std::fs::read_to_string(product.config()).unwrap().replace("max_bytes = 0", "max_bytes = 1000000");
    std::fs::write(&path, text).unwrap();
    let server = product.serve_with(&[("REJOINDER_CONFIG", path.to_str().unwrap())]);
    let ask = || {
        let answer =
            server.post("/v1/suggest-reply", &ticket("The invoice came twice, please send me a corrected copy."));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let outcome = |answer: &Value| answer["attempts"].as_array().unwrap().last().unwrap()["outcome"].clone();
    let first = ask();
    assert_eq!((outcome(&first), outcome(&ask())), (json!("ok"), json!("cached")), "{first}");
    let person = product.messages().iter().find(|message| message["direction"] == "inbound").unwrap()["from"].clone();
    let email = person["email"].as_str().unwrap_or_else(|| person.as_str().unwrap()).to_owned();
    let receipt = server.call(&format!("/v1/subjects/{email}"), &["-X", "DELETE"]);
    assert_eq!(receipt.status, 200, "{}", receipt.body);
    assert!(receipt.json()["messages"].as_u64().unwrap() >= 1);
    assert_ne!(outcome(&ask()), json!("cached"));
    assert!(server.terminate());
    assert!(!product.messages().iter().any(|message| message.to_string().to_lowercase().contains(&email)));
}

/// Makes the store refuse every write, in any process: its lock cannot be opened.
struct Refusing(std::path::PathBuf);

impl Refusing {
    fn new(product: &Product) -> Self {
        let lock = product.data_dir().join("lancedb/writers.lock");
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
        Self(lock)
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn what_the_store_refuses_to_erase_is_erased_later() {
    let remotes = Remotes::new();
    let product = ingested(&remotes, "");
    let server = product.serve();
    let delete = |what: &str| server.call(what, &["-X", "DELETE"]);
    let messages = product.messages();
    let inbound: Vec<&Value> = messages.iter().filter(|message| message["direction"] == "inbound").collect();
    let one = format!("/v1/messages/{}", inbound[0]["id"].as_str().unwrap());
    let email = inbound.iter().rev().find_map(|message| message["from"]["email"].as_str()).unwrap();
    let person = format!("/v1/subjects/{email}");
    let refusing = Refusing::new(&product);
    for what in [&one, &one, &person] {
        let answer = delete(what);
        assert_eq!(answer.status, 503, "{what}: {}", answer.body);
    }
    assert!(on_disk(&product.data_dir().join("lancedb"), email), "the store holds what it could not erase");
    let words = inbound[0]["new_text"].as_str().unwrap().split('\n').max_by_key(|line| line.len()).unwrap();
    let found = server.post("/v1/search", &json!({"query": words, "limit": 50}).to_string()).json();
    assert!(!found.to_string().contains(inbound[0]["id"].as_str().unwrap()), "and it is not shown: {found}");
    drop(refusing);
    // Asked again, there is a receipt of what was left to do.
    let receipt = delete(&one);
    assert_eq!(receipt.status, 200, "{}", receipt.body);
    let receipt = receipt.json();
    assert!(receipt["records"].as_u64().unwrap() >= 2 && receipt["left"] == 0, "{receipt}");
    assert!(!on_disk(&product.data_dir().join("lancedb"), email));
    assert_eq!(delete(&one).status, 404);
    // Nobody asks again: the server does it when it starts.
    let refusing = Refusing::new(&product);
    let mailbox = product.json(&["status"], 0)["mailboxes"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(delete(&format!("/v1/mailboxes/{mailbox}")).status, 503);
    assert!(server.terminate());
    drop(refusing);
    let doctor = product.run(&["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("may hold what was erased"), "{doctor:?}");
    let words = inbound[1]["new_text"].as_str().unwrap().split('\n').max_by_key(|line| line.len()).unwrap();
    assert!(on_disk(&product.data_dir(), words));
    let server = product.serve();
    let patience = Instant::now() + Duration::from_secs(30);
    while on_disk(&product.data_dir(), words) {
        assert!(Instant::now() < patience, "the words are still on the disk");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.terminate());
}

#[test]
fn a_mailbox_and_a_tenant_are_erased_by_the_command_line() {
    let remotes = Remotes::new();
    let product = ingested(&remotes, "");
    let status = product.json(&["status"], 0);
    let mailbox = status["mailboxes"][0]["id"].as_str().unwrap().to_owned();
    let receipt = product.json(&["erase", "--mailbox", &mailbox], 0);
    assert!(receipt["messages"].as_u64().unwrap() > 0 && receipt["left"] == 0, "{receipt}");
    assert!(product.messages().is_empty());
    product.json(&["ingest", repository().join("examples/mailbox/support.mbox").to_str().unwrap()], 0);
    assert!(!product.messages().is_empty(), "an erased mailbox can be taken in again");
    let wrong = product.run(&["erase", "--whole-tenant", "somebody-else"]);
    assert_eq!(wrong.status.code(), Some(1));
    let held = product.messages().len();
    let (own, others) = (key(&product, "remotes", "admin"), key(&product, "others", "admin"));
    let receipt = product.json(&["erase", "--whole-tenant", "remotes"], 0);
    assert!(receipt["records"].as_u64().unwrap() > 0 && receipt["left"] == 0, "{receipt}");
    assert_eq!(receipt["messages"].as_u64(), Some(held as u64));
    assert!(product.messages().is_empty());
    // Its keys are gone too, and a server asks for credentials all the same.
    let server = product.serve();
    assert_eq!(server.get("/v1/usage").status, 401);
    assert_eq!(call(&server, &own, "GET", "/v1/usage", None).status, 401);
    assert_eq!(call(&server, &others, "GET", "/v1/usage", None).status, 200);
}
