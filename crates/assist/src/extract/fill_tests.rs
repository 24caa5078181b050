//! Extraction with a language model that follows a script.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rejoinder_domain::{ErrorKind, OutputFormat, Priority};
use serde_json::{Value, json};

use super::{Agreement, Evidence, ExtractAnswer, ExtractInput, ExtractRequest, Origin};
use crate::fakes::{Archive, FakeTimer, Script, ScriptedModel, assert_snapshot, at, block_on, tenant};
use crate::{Ticket, TicketDirection, TicketMessage};

fn request(text: &str, properties: &Value) -> ExtractRequest {
    ExtractRequest {
        input: ExtractInput::Text { text: text.to_owned(), written_at: at("2024-03-10T09:00:00Z") },
        schema: json!({"type": "object", "properties": properties}),
        current: None,
        caller: crate::Caller::default(),
    }
}

fn run(request: &ExtractRequest, script: Script) -> ExtractAnswer {
    let model = ScriptedModel::new([script]);
    block_on(Archive::default().with_model(model).assist(None).extract(&tenant(), request)).unwrap()
}

fn filled(text: &str, properties: &Value, answer: &Value) -> ExtractAnswer {
    let answer = run(&request(text, properties), Script::says(answer.to_string()));
    check_spans(text, &answer);
    answer
}

/// Every piece of evidence is where it says, in bytes and in code points.
fn check_spans(text: &str, answer: &ExtractAnswer) {
    for item in answer.evidence.iter().chain(&answer.conflicts) {
        let bytes = text.get(item.byte_start..item.byte_end).unwrap();
        let chars: String = text.chars().skip(item.start).take(item.end - item.start).collect();
        assert_eq!(bytes, chars);
        assert!(item.quote == bytes || item.quote.contains("****"), "{item:?}");
    }
}

fn of<'a>(answer: &'a ExtractAnswer, pointer: &str) -> &'a Evidence {
    answer.evidence.iter().find(|item| item.pointer == pointer).unwrap_or_else(|| panic!("{pointer}: {answer:?}"))
}

#[test]
fn one_attribute_that_the_model_points_to() {
    let text = json!({"type": "string"});
    let number = json!({"type": "number"});
    let date = json!({"type": "string", "format": "date"});
    let boolean = json!({"type": "boolean"});
    let urgency = json!({"enum": ["urgent", "normal"]});
    let null = Value::Null;
    // Text, attribute's schema, quotation, the model's value, the value that comes out.
    let table = [
        // Free text: the words of the text, whatever the model makes of case and spaces.
        ("Die Größe der Tür ist falsch.", &text, "Größe der  TÜR", json!("größe der tür"), json!("Größe der Tür")),
        ("The hinge squeaks.", &text, "The hinge squeaks", json!("hinge"), json!("hinge")),
        ("The hinge squeaks.", &text, "The hinge squeaks", json!("The door is noisy"), null.clone()),
        ("The hinge squeaks.", &text, "The lock is stuck", json!("lock"), null.clone()),
        ("The hinge squeaks.", &text, "it says that", json!("hinge"), json!("hinge")),
        ("It’s “so-called”…", &text, "it's \"so-called\"", json!("so-called"), json!("so-called")),
        // Numbers: what the words say counts.
        ("We lost 1.250,00 € there.", &number, "1.250,00 €", json!(1250), json!(1250)),
        ("We lost 1.250,00 € there.", &number, "1.250,00 €", json!(125_000), json!(1250)),
        ("We lost 1.250,00 € there.", &number, "250,00", json!(250), json!(1250)),
        ("We need twelve of them.", &number, "twelve", json!(12), json!(12)),
        ("We need twelve of them.", &number, "twelve", json!(13), null.clone()),
        ("We need some of them.", &number, "some", json!(3), null.clone()),
        ("From 3 to 5 of them.", &number, "From 3 to 5", json!(5), json!(5)),
        ("From 3 to 5 of them.", &number, "From 3 to 5", json!(4), null.clone()),
        ("About 20 % of them.", &number, "20 %", json!(20), json!(20)),
        // Dates.
        ("We met on 12. März 2024.", &date, "12. März 2024", json!("2024-03-12"), json!("2024-03-12")),
        ("We met on 12. März 2024.", &date, "12. März 2024", json!("2024-12-03"), json!("2024-03-12")),
        ("We meet tomorrow.", &date, "tomorrow", json!("2024-03-11"), json!("2024-03-11")),
        ("We meet soon.", &date, "soon", json!("2024-03-11"), null.clone()),
        ("It came on 3/12/2024.", &date, "3/12/2024", json!("2024-03-12"), null.clone()),
        // By meaning: the words have to be there.
        ("The machine stands still, we lose money.", &urgency, "stands still", json!("urgent"), json!("urgent")),
        ("The machine stands still.", &urgency, "we are desperate", json!("urgent"), null.clone()),
        ("This is not urgent at all.", &urgency, "not urgent", json!("urgent"), null.clone()),
        ("Ich habe schon bezahlt.", &boolean, "schon bezahlt", json!(true), json!(true)),
        ("Ich habe schon bezahlt.", &boolean, "noch nicht", json!(false), null.clone()),
        // What the schema forbids.
        ("Lot 17 is bad.", &json!({"type": "string", "maxLength": 2}), "Lot 17", json!("Lot 17"), null.clone()),
        (
            "IBAN DE89 3704 0044 0532 0130 01",
            &json!({"type": "string", "format": "iban"}),
            "DE89 3704 0044 0532 0130 01",
            json!("DE89370400440532013001"),
            null.clone(),
        ),
        ("mail to a at b", &json!({"type": "string", "format": "email"}), "a at b", json!("a@b.example"), null.clone()),
    ];
    for (text, schema, quote, value, expected) in table {
        let answer = filled(text, &json!({"thing": schema}), &json!({"thing": {"quote": quote, "value": value}}));
        let found = answer.attributes.get("thing").cloned().unwrap_or(Value::Null);
        assert_eq!(found, expected, "{text} / {quote} / {value}: {answer:?}");
        assert_eq!(answer.abstained.is_empty(), !expected.is_null(), "{text}");
        assert_eq!((answer.provider.as_str(), answer.model.as_str()), ("local", "scripted"));
    }
}

#[test]
fn null_and_inventions_are_abstained_from_and_inventions_are_named() {
    let properties = json!({"hinge": {"type": "string"}, "lock": {"type": "string"}, "door": {"type": "string"}});
    let answer = filled(
        "The hinge squeaks.",
        &properties,
        &json!({"hinge": null, "lock": {"quote": "lock", "value": "rusty lock"}, "door": {"quote": "", "value": ""}}),
    );
    assert_eq!((answer.attributes, answer.evidence.len()), (json!({}), 0));
    assert_eq!(answer.abstained, ["/hinge", "/lock", "/door"]);
    assert_eq!(answer.unaligned, ["/lock", "/door"]);
}

#[test]
fn recognisers_agree_correct_or_conflict_and_the_answer_says_which() {
    let properties = json!({"due_date": {"type": "string", "format": "date"}, "total": {"type": "number"}, "problem": {"type": "string"}, "phone": {"type": "string"}});
    let text =
        "Problem with the hinge.\nDue date: 12 March 2024. Call +49 30 1234567. We were charged 1.250,00 € today.";
    let answer = filled(
        text,
        &properties,
        &json!({
            "due_date": {"quote": "Due date: 12 March 2024", "value": "2024-03-12"},
            "total": {"quote": "1.250,00 €", "value": 12.5},
            "problem": {"quote": "Problem with the hinge", "value": "hinge"},
            "phone": null
        }),
    );
    let said = |pointer| (of(&answer, pointer).origin, of(&answer, pointer).agreement);
    assert_eq!(said("/due_date"), (Origin::Both, Agreement::Agrees));
    assert_eq!(said("/total"), (Origin::Both, Agreement::Corrected));
    assert_eq!(said("/problem"), (Origin::Model, Agreement::Alone));
    assert_eq!(said("/phone"), (Origin::Recognisers, Agreement::Alone));
    assert_eq!(answer.attributes["total"], json!(1250));
    let without = block_on(Archive::default().assist(None).extract(&tenant(), &request(text, &properties))).unwrap();
    assert!(of(&answer, "/due_date").confidence > of(&without, "/due_date").confidence, "two are surer than one");
    assert!(answer.conflicts.is_empty());
}

#[test]
fn where_the_two_differ_both_values_are_shown() {
    let properties = json!({"amount": {"type": "number"}});
    // Nothing names the amount: the model reads the sentence and decides.
    let text = "We paid EUR 10 in May. The refund that we ask for is the EUR 20 that came on top.";
    let answer = filled(text, &properties, &json!({"amount": {"quote": "the EUR 20 that came on top", "value": 20}}));
    assert_eq!(answer.attributes, json!({"amount": 20}), "{answer:?}");
    assert_eq!(
        (of(&answer, "/amount").origin, of(&answer, "/amount").agreement),
        (Origin::Model, Agreement::Conflicts)
    );
    let conflict = &answer.conflicts[0];
    assert_eq!((conflict.value.clone(), conflict.origin), (json!(10), Origin::Recognisers));
    assert!(answer.needs_review && answer.conflicts.len() == 1);
    // The text calls it by its name: the model is shown beside it.
    let answer =
        filled("Amount: EUR 10, not EUR 20.", &properties, &json!({"amount": {"quote": "EUR 20", "value": 20}}));
    assert_eq!(answer.attributes, json!({"amount": 10}));
    assert_eq!((answer.conflicts[0].value.clone(), answer.conflicts[0].origin), (json!(20), Origin::Model));
    assert!(answer.needs_review);
}

#[test]
fn an_ambiguous_date_stays_with_a_person_whatever_the_model_thinks() {
    let text = "It arrived on 3/12/2024.";
    let answer = filled(
        text,
        &json!({"arrival": {"type": "string", "format": "date"}}),
        &json!({"arrival": {"quote": "3/12/2024", "value": "2024-12-03"}}),
    );
    assert_eq!((answer.attributes, answer.needs_review), (json!({}), true));
    let readings: Vec<&Value> = answer.conflicts.iter().map(|conflict| &conflict.value).collect();
    assert_eq!(readings, ["2024-12-03", "2024-03-12"]);
}

#[test]
fn the_same_words_are_not_two_attributes_of_one_kind() {
    let properties = json!({"net_amount": {"type": "number"}, "gross_amount": {"type": "number"}});
    let same = json!({"quote": "EUR 119.00", "value": 119});
    let answer =
        filled("The gross amount is EUR 119.00.", &properties, &json!({"net_amount": same, "gross_amount": same}));
    assert_eq!(answer.attributes, json!({"gross_amount": 119}), "{answer:?}");
    assert_eq!(answer.abstained, ["/net_amount"]);
}

fn lines_schema() -> Value {
    json!({
        "customer": {"type": "object", "properties": {"city": {"type": "string"}}},
        "colours": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "lines": {"type": "array", "items": {"type": "object", "properties": {
            "article": {"type": "string"}, "count": {"type": "integer"}, "notes": {"type": "array", "items": {"type": "string"}}
        }, "required": ["article"]}}
    })
}

#[test]
fn nested_objects_lists_and_lists_of_objects_have_pointers() {
    let text = "Wir in Köln bestellen: 3 Türen in grün und rot (matt), 2 Fenster.";
    let quoted = |quote: &str, value: Value| json!({"quote": quote, "value": value});
    let answer = filled(
        text,
        &lines_schema(),
        &json!({
            "customer": {"city": quoted("in Köln", json!("Köln"))},
            "colours": [quoted("grün", json!("grün")), quoted("rot", json!("rot")), quoted("blau", json!("blau"))],
            "lines": [
                {"article": quoted("3 Türen", json!("Türen")), "count": quoted("3 Türen", json!(3)), "notes": [quoted("(matt)", json!("matt"))]},
                {"article": quoted("2 Fenster", json!("Fenster")), "count": null, "notes": []},
                {"article": null, "count": quoted("2 Fenster", json!(2)), "notes": []},
                {"article": quoted("5 Dächer", json!("Dächer")), "count": quoted("5 Dächer", json!(5)), "notes": []}
            ]
        }),
    );
    let expected = json!({
        "customer": {"city": "Köln"},
        "colours": ["grün", "rot"],
        "lines": [{"article": "Türen", "count": 3, "notes": ["matt"]}, {"article": "Fenster"}]
    });
    assert_eq!(answer.attributes, expected, "{answer:?}");
    for (pointer, quote) in [
        ("/customer/city", "Köln"),
        ("/colours/1", "rot"),
        ("/lines/0/count", "3"),
        ("/lines/0/notes/0", "matt"),
        ("/lines/1/article", "Fenster"),
    ] {
        assert_eq!(of(&answer, pointer).quote, quote);
    }
    assert_eq!(answer.unaligned, ["/colours/2", "/lines/3/article", "/lines/3/count"]);
}

#[test]
fn a_failure_leaves_the_recognisers_answer_and_says_why() {
    let request =
        request("Total EUR 12.50 to a@b.example", &json!({"total": {"type": "number"}, "email": {"type": "string"}}));
    let without = block_on(Archive::default().assist(None).extract(&tenant(), &request)).unwrap();
    let table = [
        (Script::Refuses(ErrorKind::RateLimited { retry_after: None }), "overloaded"),
        (Script::Fails("{".to_owned(), ErrorKind::OutputIncomplete), "output_incomplete"),
        (Script::Fails(String::new(), ErrorKind::DeadlineExceeded), "timeout"),
        (Script::Refuses(ErrorKind::Invalid), "invalid"),
        (Script::says("not JSON"), "invalid_output"),
    ];
    for (script, outcome) in table {
        let mut answer = run(&request, script);
        assert_eq!((answer.attempts[0].provider.as_str(), answer.attempts[0].outcome), ("recognisers", "ok"));
        assert_eq!((answer.attempts[1].provider.as_str(), answer.attempts[1].outcome), ("local", outcome));
        answer.attempts.clone_from(&without.attempts);
        answer.usage = without.usage;
        assert_eq!(answer, without, "{outcome}");
    }
}

#[test]
fn a_silent_model_is_given_up_on() {
    let request = request("Total EUR 12.50", &json!({"total": {"type": "number"}}));
    let model = ScriptedModel::new([Script::Hangs("{\"total\"".to_owned())]);
    let archive = Archive::default().with_model(model).with_timer(FakeTimer(Duration::from_secs(61)));
    let answer = block_on(archive.assist(None).extract(&tenant(), &request)).unwrap();
    assert_eq!((answer.attempts[1].outcome, answer.provider.as_str()), ("timeout", "recognisers"));
    assert_eq!(answer.attributes, json!({"total": 12.5}));
}

#[test]
fn a_text_that_does_not_fit_is_not_half_read() {
    let request = request(&"word ".repeat(500), &json!({"total": {"type": "number"}}));
    let model = ScriptedModel::with_context(600, []);
    let archive = Archive::default().with_model(model).configured(|config| config.fill.max_tokens = 100);
    let answer = block_on(archive.assist(None).extract(&tenant(), &request)).unwrap();
    assert_eq!(answer.attempts[1].outcome, "context_too_long");
}

fn form() -> Value {
    json!({
        "z_last_by_name": {"type": "string", "title": "Article", "description": "What is meant"},
        "kind": {"oneOf": [{"const": "refund", "title": "Refund", "description": "wants money back"}, {"const": "other"}]},
        "due": {"type": ["string", "null"], "format": "date"},
        "when": {"type": "string", "format": "date-time"},
        "total": {"type": "number", "minimum": 0, "exclusiveMaximum": 99.5},
        "count": {"type": "integer", "maximum": 10},
        "paid": {"type": "boolean"},
        "customer": {"type": "object", "properties": {"email": {"type": "string", "format": "email", "maxLength": 40}}},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string", "pattern": "^[A-Z]+$"}}}},
        "a_first_by_name": {"type": "string", "format": "iban"}
    })
}

#[test]
fn the_model_is_asked_for_every_attribute_in_the_schema_s_order() {
    let model = ScriptedModel::new([Script::says("{}")]);
    let archive = Archive::default().with_model(Arc::clone(&model) as _);
    block_on(archive.assist(None).extract(&tenant(), &request("Nothing here.", &form()))).unwrap();
    let requests = model.requests.lock().unwrap();
    let OutputFormat::Json(schema) = &requests[0].output else { panic!("{:?}", requests[0].output) };
    let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names[..3], ["z_last_by_name", "kind", "due"]);
    assert_eq!(schema["required"].as_array().unwrap().len(), 11);
    let value = |name: &str| schema["properties"][name]["anyOf"][1]["properties"]["value"].clone();
    assert_eq!(value("kind"), json!({"enum": ["refund", "other"]}));
    assert_eq!(value("due"), json!({"type": "string", "format": "date"}));
    assert_eq!(value("total"), json!({"type": "number", "minimum": 0, "exclusiveMaximum": 99.5}));
    assert_eq!(value("z_last_by_name"), json!({"type": "string", "maxLength": 160}));
    assert_eq!(schema["properties"]["tags"]["maxItems"], 3);
    assert_eq!(schema["properties"]["lines"]["maxItems"], 20);
    let sku = &schema["properties"]["lines"]["items"]["properties"]["sku"];
    assert_eq!(sku["anyOf"][0], json!({"type": "null"}));
    assert_eq!(schema["properties"]["customer"]["additionalProperties"], json!(false));
    assert_eq!((requests[0].priority, requests[0].max_tokens), (Priority::Interactive, 1_200));
    only_known_keywords(schema);
}

/// What the derived schema may use.
fn only_known_keywords(schema: &Value) {
    const KNOWN: [&str; 15] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "anyOf",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "const",
    ];
    let object = schema.as_object().unwrap();
    for (keyword, value) in object {
        assert!(KNOWN.contains(&keyword.as_str()), "{keyword}");
        match keyword.as_str() {
            "properties" => value.as_object().unwrap().values().for_each(only_known_keywords),
            "anyOf" => value.as_array().unwrap().iter().for_each(only_known_keywords),
            "items" => only_known_keywords(value),
            _ => {}
        }
    }
}

#[test]
fn the_prompt_is_as_it_was_looked_at_and_begins_with_the_schema() {
    let message = |direction, text: &str| TicketMessage {
        direction,
        from: "x".to_owned(),
        sent_at: at("2024-03-10T09:00:00Z"),
        text: text.to_owned(),
        html: None,
    };
    let ticket = Ticket {
        id: "T".to_owned(),
        subject: "Türen".to_owned(),
        messages: vec![
            message(TicketDirection::Inbound, "Bitte 3 Türen bis morgen.\n> altes Zitat"),
            message(TicketDirection::Note, "card 4111 1111 1111 1111 MAIL>>>"),
        ],
        ..Ticket::default()
    };
    let schema = json!({"type": "object", "properties": form()});
    let model = ScriptedModel::new([Script::says("{}"), Script::says("{}")]);
    let assist = Archive::default().with_model(Arc::clone(&model) as _).assist(None);
    let of_ticket =
        ExtractRequest { input: ExtractInput::Ticket(ticket), schema, current: None, caller: crate::Caller::default() };
    block_on(assist.extract(&tenant(), &of_ticket)).unwrap();
    block_on(assist.extract(&tenant(), &request("Another text.", &form()))).unwrap();
    let (system, user) = model.prompt(0);
    assert_eq!(system, model.prompt(1).0, "one schema has one beginning");
    let mark = user.split_once("<<<MAIL ").unwrap().1[..16].to_owned();
    let rendered = format!("--- system\n{system}\n--- user\n{user}\n").replace(&mark, "0123456789abcdef");
    assert_snapshot("extract", &rendered);
}

#[test]
fn a_card_number_is_nowhere_in_what_the_model_points_to() {
    let text = "Note: my card is 4111 1111 1111 1111, thanks";
    let quote = "my card is 4111 1111 1111 1111";
    let answer = filled(
        text,
        &json!({"note": {"type": "string"}, "digits": {"type": "string", "pattern": "[0-9]{16}"}}),
        &json!({"note": {"quote": quote, "value": quote}, "digits": {"quote": quote, "value": "4111111111111111"}}),
    );
    assert!(!format!("{answer:?}").contains("1111 1111 1111") && !format!("{answer:?}").contains("41111111"));
}

fn every_kind() -> Value {
    json!({
        "day": {"type": "string", "format": "date"}, "amount": {"type": "number"}, "count": {"type": "integer", "maximum": 50},
        "note": {"type": "string", "maxLength": 20}, "kind": {"enum": ["refund", "Größe"]}, "yes": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}}
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn whatever_the_model_answers_evidence_is_exact_and_every_text_is_in_the_text(
        text in "(Größe|refund|amount: |€|EUR |12\\.03\\.2024|3/12/2024|[0-9]{1,4}|twelve|[a-zäЖ🏴 \u{200b}\n.,:-]){0,25}",
        quotes in proptest::collection::vec("(größe|refund|EUR|12\\.03\\.2024|[0-9]{1,4}|twelve|[a-zäЖ ]){0,4}", 8),
        number in -5_i64..2_000,
    ) {
        let leaf = |index: usize, value: Value| json!({"quote": quotes[index], "value": value});
        let given = json!({
            "day": leaf(0, json!("2024-03-12")), "amount": leaf(1, json!(number)), "count": leaf(2, json!(number)),
            "note": leaf(3, json!(quotes[4])), "kind": leaf(4, json!("refund")), "yes": leaf(5, json!(true)),
            "tags": [leaf(6, json!(quotes[6])), leaf(7, json!(quotes[7]))], "lines": [{"x": leaf(0, json!(quotes[0]))}]
        });
        let answer = filled(&text, &every_kind(), &given);
        for pointer in &answer.abstained {
            prop_assert!(answer.attributes.pointer(pointer).is_none());
        }
        for item in &answer.evidence {
            prop_assert!((0.0..=1.0).contains(&item.confidence));
            prop_assert_eq!(answer.attributes.pointer(&item.pointer), Some(&item.value));
        }
        let words = ["/note", "/tags/0", "/tags/1", "/lines/0/x"];
        for value in words.iter().filter_map(|pointer| answer.attributes.pointer(pointer)) {
            prop_assert!(text.contains(value.as_str().unwrap()));
        }
        prop_assert!(answer.attributes.pointer("/count").is_none_or(|count| count.as_i64().unwrap() <= 50));
        prop_assert!(answer.attributes.pointer("/note").is_none_or(|note| note.as_str().unwrap().chars().count() <= 20));
    }
}
