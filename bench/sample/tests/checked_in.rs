//! The files that are checked in are those that the source renders to, and nothing in them is anybody's.

#![expect(clippy::unwrap_used, reason = "a test fails where its files cannot be read")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use rejoinder_sample::{Charset, Direction, Kind, Language, Letter, Output, Quote, Source, Style, compose, held_by};

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/mailbox")
}

fn letters() -> Vec<Letter> {
    compose(&Source::load(&sample().join("source")).unwrap()).unwrap()
}

/// Every file that a person wrote or that was rendered as text.
fn all_text() -> String {
    let mut text = String::new();
    for folder in ["source", "tickets", "extract"] {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(sample().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            text.push_str(&fs::read_to_string(&path).unwrap());
            text.push('\n');
        }
    }
    text
}

#[test]
fn what_is_checked_in_is_what_the_source_renders_to() {
    let fresh = tempfile::tempdir().unwrap();
    rejoinder_sample::render(&sample().join("source"), fresh.path()).unwrap();
    let names = |folder: &Path| -> BTreeSet<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let eml = names(&fresh.path().join("eml"));
    assert_eq!(eml, names(&sample().join("eml")), "the names in eml/");
    let files = ["support.mbox", "haldenmarsh.pst", "expected.json"].map(str::to_owned);
    for name in files.into_iter().chain(eml.iter().map(|name| format!("eml/{name}"))) {
        let rendered = fs::read(fresh.path().join(&name)).unwrap();
        let kept = fs::read(sample().join(&name)).unwrap();
        let hint = "run `cargo run -p rejoinder-sample` and look at the difference";
        assert!(rendered == kept, "{name} is not what its source renders to: {hint}");
    }
}

#[test]
fn the_sample_is_as_large_and_as_mixed_as_promised() {
    let letters = letters();
    let threads: BTreeSet<&str> = letters.iter().map(|letter| letter.thread.as_str()).collect();
    assert!(letters.len() >= 200 && threads.len() >= 60, "{} messages, {} threads", letters.len(), threads.len());
    let share = |language| letters.iter().filter(|letter| letter.language == language).count() * 100 / letters.len();
    for (language, least) in [(Language::En, 50), (Language::De, 20), (Language::Fr, 12)] {
        assert!(share(language) >= least, "{language:?}: {} %", share(language));
    }
    for style in [Style::Outlook, Style::OutlookHtml, Style::Gmail, Style::Iphone, Style::Apple, Style::Thunderbird] {
        assert!(
            letters.iter().any(|letter| letter.style == style && letter.in_reply_to.is_some()),
            "{style:?} replies"
        );
    }
    for kind in [Kind::Webform, Kind::Autoreply, Kind::Bulk, Kind::Bounce, Kind::New, Kind::Loose] {
        assert!(letters.iter().any(|letter| letter.kind == kind), "{kind:?}");
    }
    for charset in [Charset::Utf8, Charset::Latin1, Charset::Windows1252] {
        assert!(letters.iter().any(|letter| letter.charset == charset), "{charset:?}");
    }
    let source = Source::load(&sample().join("source")).unwrap();
    for quote in [Quote::Bottom, Quote::Inline, Quote::Forward, Quote::None] {
        assert!(source.threads.iter().flat_map(|thread| &thread.messages).any(|m| m.quote == quote), "{quote:?}");
    }
    assert!(letters.iter().any(|letter| letter.outputs.len() > 1), "a message in two files");
    for (output, least) in [(Output::Mbox, 110), (Output::Eml, 30), (Output::Pst, 70)] {
        assert!(held_by(&letters, output).len() >= least, "{output:?}: {}", held_by(&letters, output).len());
    }
    let bytes: u64 =
        ["support.mbox", "haldenmarsh.pst"].iter().map(|name| fs::metadata(sample().join(name)).unwrap().len()).sum();
    assert!(bytes < 2_500_000, "{bytes} bytes");
}

#[test]
fn messages_have_ids_of_their_own_and_answers_come_later() {
    let letters = letters();
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter.message_id.as_str()).collect();
    assert_eq!(ids.len(), letters.len());
    for letter in &letters {
        let Some(answered) = &letter.in_reply_to else { continue };
        let earlier = letters.iter().find(|other| &other.message_id == answered).unwrap();
        assert!(earlier.sent < letter.sent, "{} answers what is sent later", letter.place());
        assert_eq!(letter.references.last(), Some(answered), "{}", letter.place());
        assert_eq!(letter.conversation_index.len(), earlier.conversation_index.len() + 5, "{}", letter.place());
    }
}

#[test]
fn every_question_of_a_ticket_is_answered_by_its_exemplar_in_its_language() {
    let source = Source::load(&sample().join("source")).unwrap();
    let letters = compose(&source).unwrap();
    let mut files: Vec<String> = Vec::new();
    for ticket in &source.tickets {
        let text = fs::read_to_string(sample().join("tickets").join(&ticket.file)).unwrap();
        let body: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{}.json", body["ticket"]["id"].as_str().unwrap()), ticket.file);
        assert_eq!(body["ticket"]["messages"].as_array().unwrap()[0]["direction"], "inbound");
        for key in ticket.exemplar.iter().chain(&ticket.also) {
            let thread: Vec<&Letter> = letters.iter().filter(|letter| &letter.thread == key).collect();
            assert!(thread.iter().any(|letter| letter.direction == Direction::Outbound), "{key} has no answer");
            assert_eq!(thread[0].language, ticket.language, "{}: {key}", ticket.file);
        }
        files.push(ticket.file.clone());
    }
    let there: BTreeSet<String> = fs::read_dir(sample().join("tickets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, files.into_iter().collect(), "tickets/ and source/tickets.toml name the same files");
}

#[test]
fn what_extraction_expects_is_in_the_text_and_in_the_schema() {
    let folder = sample().join("extract");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".expected.json") else { continue };
        seen += 1;
        let expected: serde_json::Value = serde_json::from_str(&read(&name)).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&read(expected["schema"].as_str().unwrap())).unwrap();
        let text = read(expected["text"].as_str().unwrap());
        let joined: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        for (key, value) in expected["attributes"].as_object().unwrap() {
            let property = &schema["properties"][key];
            assert!(property.is_object(), "{stem}: {key} is not in the schema");
            if let Some(pattern) = property["pattern"].as_str() {
                let pattern = Regex::new(pattern).unwrap();
                assert!(pattern.is_match(value.as_str().unwrap()), "{stem}: {key}");
            }
            if let Some(choices) = property["oneOf"].as_array() {
                assert!(choices.iter().any(|choice| &choice["const"] == value), "{stem}: {key}");
            } else if key == "iban" || key.ends_with("_number") && key != "card_number" || key.ends_with("email") {
                assert!(joined.contains(value.as_str().unwrap()), "{stem}: {key} is not in the text");
            }
        }
        for pointer in expected["abstained"].as_array().unwrap() {
            let key = pointer.as_str().unwrap().trim_start_matches('/');
            assert!(schema["properties"][key].is_object(), "{stem}: {key}");
            assert!(expected["attributes"].get(key).is_none(), "{stem}: {key} is both expected and abstained");
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn all_names_are_reserved_ones() {
    let text = all_text();
    let email = Regex::new(r"[A-Za-z0-9._%+-]+@([A-Za-z0-9.-]+\.[A-Za-z]{2,})").unwrap();
    for found in email.captures_iter(&text) {
        assert!(found[1].ends_with(".example"), "{} is not a reserved domain (RFC 2606)", &found[0]);
    }
    let link = Regex::new(r"https?://([A-Za-z0-9.-]+)").unwrap();
    for found in link.captures_iter(&text) {
        let host = &found[1];
        assert!(host.ends_with(".example") || host == "json-schema.org", "{host} is not a reserved domain");
    }
    let phone = Regex::new(r"\+[0-9][0-9 -]{7,}[0-9]").unwrap();
    // Ofcom, NANP, Bundesnetzagentur and Arcep each keep numbers for films and examples.
    let fictional = ["+44 20 7946 0", "+442079460", "+1 555-01", "+49 30 23125 ", "+33 1 99 00 "];
    for found in phone.find_iter(&text) {
        let number = found.as_str();
        assert!(fictional.iter().any(|range| number.starts_with(range)), "{number} may be somebody's");
    }
}

#[test]
fn every_iban_has_a_valid_checksum_and_is_a_published_example() {
    // Printed as examples by registries, standards and banks; none is an account.
    const EXAMPLES: [&str; 9] = [
        "CH9300762011623852957",
        "DE75512108001245126199",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "FR7630006000011234567890189",
        "GB29NWBK60161331926819",
        "GB33BUKB20201555555555",
        "GB82WEST12345698765432",
        "IE29AIBK93115212345678",
    ];
    let text = all_text();
    let iban = Regex::new(r"\b(?:CH|DE|FR|GB|IE|NL)[0-9]{2}(?: ?[0-9A-Z]){11,28}\b").unwrap();
    let mut seen = BTreeSet::new();
    for found in iban.find_iter(&text) {
        let compact: String = found.as_str().chars().filter(|c| *c != ' ').collect();
        let turned = format!("{}{}", &compact[4..], &compact[..4]);
        let remainder = turned.chars().fold(0, |remainder, character| {
            let value = character.to_digit(36).unwrap();
            if value < 10 { (remainder * 10 + value) % 97 } else { (remainder * 100 + value) % 97 }
        });
        assert_eq!(remainder, 1, "{compact} has a wrong checksum");
        assert!(EXAMPLES.contains(&compact.as_str()) || compact == "NL91ABNA0417164300", "{compact} may be somebody's");
        seen.insert(compact);
    }
    assert!(seen.len() >= 9, "{seen:?}");
}
