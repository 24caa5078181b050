//! What is found, by kind and language, and what it is replaced by.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use rejoinder_domain::Address;
use rejoinder_redaction::{Form, Kind, RedactionError, RedactionOptions, Redactor};
use serde_json::json;

fn person(name: &str, email: &str) -> Address {
    Address { name: name.to_owned(), email: email.to_owned() }
}

fn people() -> Vec<Address> {
    vec![
        person("Anna Weber", "anna.weber@kunde.example"),
        person("O'Neill, Seán", "sean@firma.example"),
        person("Jürgen von der Heide", ""),
        person("王小明", "wang@firma.example"),
    ]
}

fn found(text: &str) -> Vec<String> {
    let findings = Redactor::default().find(text, &people());
    findings.iter().map(|f| format!("{}={}", f.kind.as_str(), f.span.of(text).unwrap())).collect()
}

/// Each row: a text, and what is found in it.
fn check(table: &[(&str, &[&str])]) {
    let wrong: Vec<String> = table
        .iter()
        .filter(|(text, expected)| found(text) != *expected)
        .map(|(text, expected)| format!("{text:?}\n   found {:?}\n  wanted {expected:?}", found(text)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn addresses_accounts_and_cards() {
    check(&[
        ("Mail me at Max.Muster+x@Firma.Example!", &["email=Max.Muster+x@Firma.Example"]),
        ("a@b.example;c@d.example", &["email=a@b.example", "email=c@d.example"]),
        ("IBAN DE89 3704 0044 0532 0130 00, danke", &["iban=DE89 3704 0044 0532 0130 00"]),
        ("GB29NWBK60161331926819", &["iban=GB29NWBK60161331926819"]),
        ("card 4111 1111 1111 1111 exp 12/27", &["card=4111 1111 1111 1111"]),
        ("IBAN: DE00 1234 5678 9012 3456 78", &["account_number=DE00 1234 5678 9012 3456 78"]),
        ("login from 192.168.10.24 and 2001:db8::1", &["ip_address=192.168.10.24", "ip_address=2001:db8::1"]),
    ]);
}

#[test]
fn telephone_numbers() {
    check(&[
        ("Tel.: +49 (0)30 1234567", &["phone=+49 (0)30 1234567"]),
        ("call me on 07700 900123", &["phone=07700 900123"]),
        ("(555) 010-9999", &["phone=(555) 010-9999"]),
        ("Handy 0171/2345678", &["phone=0171/2345678"]),
        ("téléphone 01 84 17 61 18", &["phone=01 84 17 61 18"]),
        ("móvil: 612 345 678", &["phone=612 345 678"]),
        ("cell. 347 123 4567", &["phone=347 123 4567"]),
        ("bel 06-12345678", &["phone=06-12345678"]),
        ("telemóvel 912 345 678", &["phone=912 345 678"]),
        ("reach me at 668 5702", &["phone=668 5702"]),
        ("It costs 1 250 000 EUR", &[]),
        ("12.03.2024 to 14.03.2024", &[]),
        ("2024-03-12 10:30", &[]),
    ]);
}

#[test]
fn official_numbers() {
    check(&[
        ("SSN 219-09-9999", &["national_id=219-09-9999"]),
        ("my SSN is 219099999", &["national_id=219099999"]),
        ("NINO: AB 12 34 56 C", &["national_id=AB 12 34 56 C"]),
        ("Steuer-ID 86 095 742 719", &["national_id=86 095 742 719"]),
        ("numéro de sécurité sociale 2 55 08 14 168 025 38", &["national_id=2 55 08 14 168 025 38"]),
        ("DNI 12345678Z", &["national_id=12345678Z"]),
        ("codice fiscale RSSMRA85T10A562S", &["national_id=RSSMRA85T10A562S"]),
        ("BSN 111222333", &["national_id=111222333"]),
        ("PESEL 44051401359", &["national_id=44051401359"]),
        ("NIF 501964843", &["national_id=501964843"]),
        ("personnummer 811228-9874", &["national_id=811228-9874"]),
        ("AHV 756.9217.0769.85", &["national_id=756.9217.0769.85"]),
        ("rijksregisternummer 85.07.30-033.28", &["national_id=85.07.30-033.28"]),
        ("passport no. C01X00T47", &["national_id=C01X00T47"]),
    ]);
}

#[test]
fn numbers_by_label_and_by_form() {
    check(&[
        ("order number 48213", &["reference_number=48213"]),
        ("Order #A-1023", &["reference_number=A-1023"]),
        ("Bestellnummer: 2024-55321", &["reference_number=2024-55321"]),
        ("Rechnung Nr. RE-2024/0815", &["reference_number=RE-2024/0815"]),
        ("Kundennummer K-100234", &["account_number=K-100234"]),
        ("commande n° 778812", &["reference_number=778812"]),
        ("número de pedido 556677", &["reference_number=556677"]),
        ("numero d'ordine: 88231", &["reference_number=88231"]),
        ("klantnummer 99120", &["account_number=99120"]),
        ("número da encomenda 77120", &["reference_number=77120"]),
        ("account number is 12345678", &["account_number=12345678"]),
        ("sort code 12-34-56", &["account_number=12-34-56"]),
        ("see INV-2024-001 and #123456", &["reference_number=INV-2024-001", "reference_number=123456"]),
        ("id 123e4567-e89b-12d3-a456-426614174000", &["reference_number=123e4567-e89b-12d3-a456-426614174000"]),
        ("tracking 1Z999AA10123456784", &["reference_number=1Z999AA10123456784"]),
        ("What is your customer number? User: 55123", &["account_number=55123"]),
        ("an order of 2500 pieces in 2024", &[]),
        ("order 2024 was fine, invoice from 12.03.2024", &[]),
        ("invoice over 1250.00 EUR", &[]),
        ("order 3 items, RTX 4090, version 3.15.0", &[]),
    ]);
}

#[test]
fn dates_of_birth_and_postcodes() {
    check(&[
        ("born on 12 March 1980 in", &["birth_date=12 March 1980"]),
        ("geboren am 12.03.1980", &["birth_date=12.03.1980"]),
        ("DOB: 1980-03-12", &["birth_date=1980-03-12"]),
        ("née le 5 mai 1975", &["birth_date=5 mai 1975"]),
        ("fecha de nacimiento: 5/2/1990", &["birth_date=5/2/1990"]),
        ("nato il 7 settembre 1990", &["birth_date=7 settembre 1990"]),
        ("geboortedatum 09-05-1991", &["birth_date=09-05-1991"]),
        ("data de nascimento: 03/03/2001", &["birth_date=03/03/2001"]),
        ("delivered on 12.03.2024", &[]),
        ("ZIP code 62704", &["postal_address=62704"]),
        ("PLZ 10115", &["postal_address=10115"]),
    ]);
}

#[test]
fn names_of_known_people() {
    check(&[
        ("Dear Ms Weber,", &["person=Weber"]),
        ("WEBER, ANNA", &["person=WEBER, ANNA"]),
        ("Anna's order, Webers Auftrag", &["person=Anna", "person=Weber"]),
        ("A. Weber wrote", &["person=A. Weber"]),
        ("Sean O'Neill and Seán O’Neill", &["person=Sean O'Neill", "person=Seán O’Neill"]),
        ("Juergen von der Heide", &["person=Juergen von der Heide"]),
        ("user annaweber", &["person=annaweber"]),
        ("Peter Schmidt wrote", &[]),
    ]);
}

#[test]
fn hidden_in_odd_characters() {
    check(&[
        ("tel +49\u{a0}30\u{202f}1234567", &["phone=+49\u{a0}30\u{202f}1234567"]),
        ("IBAN DE89\u{a0}3704\u{200b}0044\u{a0}0532 0130 00", &["iban=DE89\u{a0}3704\u{200b}0044\u{a0}0532 0130 00"]),
        ("ＤＥ８９３７０４００４４０５３２０１３０００", &["iban=ＤＥ８９３７０４００４４０５３２０１３０００"]),
        ("card ٤١١١ ١١١١ ١١١١ ١١١١", &["card=٤١١١ ١١١١ ١١١١ ١١١١"]),
        ("max&#64;firma.example", &["email=max&#64;firma.example"]),
        ("max\u{ad}@fir\u{ad}ma.example", &["email=max\u{ad}@fir\u{ad}ma.example"]),
        ("?to=max%40firma.example", &["email=max%40firma.example"]),
        ("030&nbsp;123&nbsp;45&nbsp;67", &["phone=030&nbsp;123&nbsp;45&nbsp;67"]),
        ("An\u{ad}na We\u{200b}ber", &["person=An\u{ad}na We\u{200b}ber"]),
        ("J\\u00fcrgen", &["person=J\\u00fcrgen"]),
        ("phone 0\u{200d}30–123–4567", &["phone=0\u{200d}30–123–4567"]),
    ]);
}

#[test]
fn placeholders_tell_values_and_spellings_apart() {
    let mut session = Redactor::default().session(&people());
    let text = "Anna Weber <anna.weber@kunde.example>, ANNA.WEBER@kunde.example; Anna, Weber, Seán O'Neill; IBAN \
                DE89 3704 0044 0532 0130 00 = DE89370400440532013000. [EMAIL_1] 王小明先生";
    let redacted = session.redact(text);
    assert_eq!(
        redacted,
        "[PERSON_1] <[EMAIL_1]>, [EMAIL_1_B]; [PERSON_1_FIRST], [PERSON_1_LAST], [PERSON_2]; IBAN [IBAN_1] = [IBAN_1_B]. \
         [LITERAL_1] [PERSON_3]先生"
    );
    assert_eq!(session.restore(&redacted), text);
    let counts: Vec<(&str, u32)> = session.counts().into_iter().collect();
    assert_eq!(counts, [("email", 1), ("iban", 1), ("literal", 1), ("person", 3)]);
}

#[test]
fn a_value_is_replaced_in_every_text_of_the_request() {
    let mut session = Redactor::default().session(&people());
    let texts = [
        "see 88231177 in the log",
        "file_88231177.pdf of Weberei",
        "customer number 88231177",
        "{\"who\": \"J\\u00fcrgen von der Heide\", \"street\": \"Hauptstr. 5\\n10115 Berlin\"}",
        "Hauptstr. 5\n10115 Berlin",
    ];
    for text in texts {
        session.learn(text);
    }
    let redacted: Vec<String> = texts.iter().map(|text| session.redact(text)).collect();
    assert_eq!(redacted[0], "see [ACCOUNT_1] in the log");
    assert_eq!(redacted[1], "file_[ACCOUNT_1].pdf of Weberei");
    assert_eq!(redacted[2], "customer number [ACCOUNT_1]");
    assert_eq!(redacted[3], "{\"who\": \"[PERSON_1]\", \"street\": \"[ADDRESS_1]\"}");
    assert_eq!(redacted[4], "[ADDRESS_1_B]");
    for (text, redacted) in texts.iter().zip(&redacted) {
        assert_eq!(session.restore(redacted), *text);
    }
}

#[test]
fn what_a_model_mangles_or_invents_is_flagged() {
    let mut session = Redactor::default().session(&people());
    session.redact("Anna Weber, anna.weber@kunde.example");
    let answer =
        "Dear [PERSON_1], [person_1] [PERSON 1] PERSON_1] [PERSON_2] [EMAIL_7] 【EMAIL_1】 [COMPANY_1] [EMAIL_1].";
    let mut restorer = session.restorer(Form::Text);
    let shown = restorer.push(answer) + &restorer.finish();
    assert_eq!(
        shown,
        "Dear Anna Weber, [[check: name]] [[check: name]] [[check: name]] [[check: name]] [[check: e-mail address]] \
         [[check: e-mail address]] [[check: value]] anna.weber@kunde.example."
    );
    assert_eq!(restorer.flagged(), 7);
}

#[test]
fn only_what_may_be_a_placeholder_is_held_back() {
    let session = Redactor::default().session(&[]);
    let mut restorer = session.restorer(Form::Text);
    assert_eq!(restorer.push("Dear customer, see [1] and ["), "Dear customer, see [1] and ");
    assert_eq!(restorer.push("2] or [x"), "[2] or [x");
    assert_eq!(restorer.push("] [EMA"), "] ");
    assert_eq!(restorer.push("IL box"), "[EMAIL box");
    assert_eq!(restorer.push(" E"), " ");
    assert_eq!(restorer.finish(), "E");
}

#[test]
fn json_keeps_its_form() {
    let mut session = Redactor::default().session(&people());
    let value = json!({"text": "Anna \"Weber\", Hauptstr. 5\n10115 Berlin", "list": ["anna.weber@kunde.example", 7, null, true]});
    let redacted = session.redact_json(&value).unwrap();
    let written = serde_json::to_string(&redacted).unwrap();
    assert!(!written.contains("Weber") && !written.contains("Haupt"), "{written}");
    let mut restorer = session.restorer(Form::Json);
    let mut json: String = written.chars().map(|c| restorer.push(&c.to_string())).collect();
    json.push_str(&restorer.finish());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);

    assert_eq!(session.redact_json(&json!({"anna.weber@kunde.example": 1})), Err(RedactionError::Key));
    assert_eq!(session.redact_json(&json!({"a": [4_111_111_111_111_111_u64]})), Err(RedactionError::Number));
    let schema =
        json!({"type": "object", "properties": {"email_1": {"type": "integer", "maximum": 9_007_199_254_740_991_u64}}});
    assert_eq!(session.redact_json(&schema), Ok(schema.clone()));
    let deep = (0..200).fold(json!("x"), |inner, _| json!([inner]));
    assert_eq!(session.redact_json(&deep), Err(RedactionError::Depth));
}

#[test]
fn nothing_shows_what_a_session_holds() {
    let mut session = Redactor::default().session(&people());
    session.redact("Anna Weber, anna.weber@kunde.example");
    let shown = format!("{session:?} {:?}", session.restorer(Form::Text));
    assert!(!shown.contains("Weber") && !shown.contains("kunde"), "{shown}");
}

#[test]
fn only_the_kinds_that_are_asked_for() {
    let options: RedactionOptions = serde_json::from_value(json!({"kinds": ["email", "iban"]})).unwrap();
    let redactor = Redactor::new(&options);
    let text = "Anna Weber anna.weber@kunde.example +49 30 1234567 [EMAIL_1]";
    let kinds: Vec<Kind> = redactor.find(text, &people()).into_iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::Email, Kind::Literal]);
    let mut session = redactor.session(&people());
    assert_eq!(session.redact(text), "Anna Weber [EMAIL_1] +49 30 1234567 [LITERAL_1]");
    assert!(serde_json::from_value::<RedactionOptions>(json!({"kind": []})).is_err());
    assert_eq!(serde_json::from_value::<RedactionOptions>(json!({})).unwrap(), RedactionOptions::default());
}
