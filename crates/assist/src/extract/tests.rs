//! Extraction from texts and tickets.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Evidence, ExtractAnswer, ExtractInput, ExtractRequest};
use crate::fakes::{Archive, BrokenEmbedder, FakeEmbedder, at, block_on, tenant};
use crate::{AssistError, Ticket, TicketDirection, TicketMessage};

fn extract(text: &str, properties: &Value) -> ExtractAnswer {
    request(&ExtractRequest {
        input: ExtractInput::Text { text: text.to_owned(), written_at: at("2024-03-10T09:00:00Z") },
        schema: json!({"type": "object", "properties": properties}),
        current: None,
        caller: crate::Caller::default(),
    })
}

fn request(request: &ExtractRequest) -> ExtractAnswer {
    block_on(Archive::default().assist(None).extract(&tenant(), request)).unwrap()
}

#[test]
fn one_attribute_from_one_sentence() {
    let date = json!({"type": "string", "format": "date"});
    let amount = json!({"type": "number"});
    let text = json!({"type": "string"});
    let table = [
        // Types that speak for themselves.
        ("Bitte zahlen Sie bis 12. März 2024.", "due", date.clone(), json!("2024-03-12")),
        ("It is due tomorrow.", "due_date", date.clone(), json!("2024-03-11")),
        ("Please come on 5 April.", "visit", date.clone(), json!("2024-04-05")),
        ("Le montant est de 1 250,00 €.", "amount", amount.clone(), json!(1250)),
        ("Total: EUR 12.50", "total", amount.clone(), json!(12.5)),
        ("Bitte erstatten Sie 99,90 EUR", "refund_amount", amount.clone(), json!(99.9)),
        ("Reach me at anna@weber.example", "email", text.clone(), json!("anna@weber.example")),
        ("Tel. +49 30 1234567", "phone", text.clone(), json!("+49301234567")),
        ("IBAN DE89 3704 0044 0532 0130 00", "iban", text.clone(), json!("DE89370400440532013000")),
        ("IBAN DE89 3704 0044 0532 0130 01", "iban", text.clone(), Value::Null),
        ("BIC COBADEFFXXX", "bic", text.clone(), json!("COBADEFFXXX")),
        ("card 4111 1111 1111 1111", "c", json!({"type": "string", "format": "card"}), json!("**** **** **** 1111")),
        ("see https://x.example/a.", "url", text.clone(), json!("https://x.example/a")),
        ("We pay in CHF 20", "currency", text.clone(), json!("CHF")),
        ("We pay 20 €", "currency", json!({"enum": ["EUR", "USD"]}), json!("EUR")),
        ("We pay 20 £", "currency", json!({"enum": ["EUR", "USD"]}), Value::Null),
        ("with 7,5 % discount", "discount_percent", amount.clone(), json!(7.5)),
        // Identifiers.
        ("order AB-1234 is late", "order", json!({"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"}), json!("AB-1234")),
        ("my order number is 113542617735902", "order_number", text.clone(), json!("113542617735902")),
        ("Rechnungsnummer: RE-2024-17", "invoice_number", text.clone(), json!("RE-2024-17")),
        ("invoice #00108 please", "invoice_id", text.clone(), json!("00108")),
        ("we have 3 dogs", "order_number", text.clone(), Value::Null),
        // Labelled lines.
        ("Hi\nSerial no.: 77-X\nThanks", "serial_number", text.clone(), json!("77-X")),
        ("Stadt: Köln\nLand: DE", "city", text.clone(), json!("Köln")),
        ("We like the city of Köln", "city", text.clone(), Value::Null),
        ("Anzahl: 12 Stück", "quantity", json!({"type": "integer"}), json!(12)),
        ("we need 12 licences", "licences", json!({"type": "integer"}), json!(12)),
        ("we need 12 licences", "rooms", json!({"type": "integer"}), Value::Null),
        // People.
        ("Mein Name ist Anna Weber und ich", "customer_name", text.clone(), json!("Anna Weber")),
        ("It broke.\n\nBest regards,\nAnna Weber", "contact_name", text.clone(), json!("Anna Weber")),
        // Enums and booleans.
        (
            "This is a refund request.",
            "kind",
            json!({"enum": ["refund_request", "complaint"]}),
            json!("refund_request"),
        ),
        ("Several complaints came in", "kind", json!({"enum": ["refund_request", "complaint"]}), json!("complaint")),
        ("This is not urgent", "priority", json!({"enum": ["urgent", "normal"]}), Value::Null),
        ("Please, it is urgent!", "urgent", json!({"type": "boolean"}), Value::Null),
        // Constraints of the schema.
        ("EUR 500", "amount", json!({"type": "number", "maximum": 100}), Value::Null),
        ("EUR 12.50", "amount", json!({"type": "integer"}), Value::Null),
        ("a@b.example", "email", json!({"type": "string", "maxLength": 5}), Value::Null),
        ("ü@b.example", "email", json!({"type": "string", "format": "email"}), Value::Null),
        ("ü@b.example", "email", json!({"type": "string", "format": "idn-email"}), json!("ü@b.example")),
        // Clock.
        ("at 2:30 pm", "start_time", text, json!("14:30")),
    ];
    for (text, name, schema, expected) in table {
        let answer = extract(text, &json!({ name: schema }));
        let value = answer.attributes.get(name).cloned().unwrap_or(Value::Null);
        assert_eq!(value, expected, "{text} -> {name}: {answer:?}");
        assert_eq!(answer.abstained.is_empty(), !expected.is_null(), "{text}");
        check_spans(text, &answer.evidence);
    }
}

/// Quotes are where evidence says, in bytes and in code points.
fn check_spans(text: &str, evidence: &[Evidence]) {
    for item in evidence {
        let bytes = text.get(item.byte_start..item.byte_end).unwrap();
        let chars: String = text.chars().skip(item.start).take(item.end - item.start).collect();
        assert_eq!(bytes, chars);
        assert!(item.quote == bytes || item.quote.starts_with("****"), "{item:?}");
    }
}

const INVOICE: &str = "Guten Tag,\n\nRechnungsnummer: RE-77\nRechnungsdatum: 01.02.2024\nFällig am: 01.03.2024\nNettobetrag: 100,00 €\nGesamtbetrag: 119,00 €\n\nMit freundlichen Grüßen\nAnna Weber";

#[test]
fn labels_tell_attributes_of_one_kind_apart() {
    let answer = extract(
        INVOICE,
        &json!({
            "invoice_number": {"type": "string"},
            "invoice_date": {"type": "string", "format": "date"},
            "due_date": {"type": "string", "format": "date"},
            "net_amount": {"type": "number"},
            "total_amount": {"type": "number"},
            "delivery_date": {"type": "string", "format": "date"},
            "currency": {"type": "string", "format": "currency"}
        }),
    );
    let expected = json!({"invoice_number": "RE-77", "invoice_date": "2024-02-01", "due_date": "2024-03-01", "net_amount": 100, "total_amount": 119, "currency": "EUR"});
    assert_eq!(answer.attributes, expected, "{answer:?}");
    assert_eq!(answer.abstained, ["/delivery_date"]);
    check_spans(INVOICE, &answer.evidence);
}

#[test]
fn a_date_that_reads_two_ways_is_left_to_a_person() {
    let answer = extract("It arrived on 3/12/2024.", &json!({"arrival": {"type": "string", "format": "date"}}));
    assert_eq!((answer.attributes, answer.needs_review), (json!({}), true));
    let readings: Vec<&Value> = answer.conflicts.iter().map(|conflict| &conflict.value).collect();
    assert_eq!(readings, ["2024-12-03", "2024-03-12"]);
    assert_eq!(answer.abstained, ["/arrival"]);
}

#[test]
fn two_values_that_are_as_good_are_both_shown() {
    let answer = extract("We saw EUR 10 and then EUR 20.", &json!({"amount": {"type": "number"}}));
    assert_eq!(answer.attributes, json!({"amount": 10}));
    assert_eq!((answer.conflicts[0].value.clone(), answer.needs_review), (json!(20), true));
    let answer = extract("We paid amount: EUR 20, it said EUR 10.", &json!({"amount": {"type": "number"}}));
    assert_eq!((answer.attributes, answer.conflicts), (json!({"amount": 20}), vec![]));
}

#[test]
fn nested_objects_lists_and_what_is_required() {
    let schema = json!({
        "type": "object",
        "properties": {
            "customer": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}, "iban": {"type": "string"}}, "required": ["email", "iban"]},
            "amounts": {"type": "array", "items": {"type": "number"}, "description": "every amount"},
            "orders": {"type": "array", "items": {"type": "string", "pattern": "^ORD-[0-9]+$"}, "minItems": 2},
            "empty": {"type": "object", "properties": {"phone": {"type": "string"}}, "required": ["phone"]}
        },
        "required": ["customer", "orders"]
    });
    let text = "Orders ORD-1, ORD-2 and ORD-1 over EUR 5 and EUR 7, a@b.example";
    let answer = request(&ExtractRequest {
        input: ExtractInput::Text { text: text.to_owned(), written_at: None },
        schema,
        current: None,
        caller: crate::Caller::default(),
    });
    assert_eq!(
        answer.attributes,
        json!({"customer": {"email": "a@b.example"}, "amounts": [5, 7], "orders": ["ORD-1", "ORD-2"]})
    );
    assert_eq!(
        answer.missing_required,
        ["/customer/iban"],
        "an object without evidence is left out and requires nothing"
    );
    assert!(answer.needs_review);
    assert!(answer.evidence.iter().any(|item| item.pointer == "/orders/1" && item.quote == "ORD-2"));
}

#[test]
fn changes_are_told_against_the_current_attributes() {
    let answer = request(&ExtractRequest {
        input: ExtractInput::Text { text: "Total EUR 1,250 to a@b.example".to_owned(), written_at: None },
        schema: json!({"type": "object", "properties": {"total": {"type": "number"}, "email": {"type": "string"}, "phone": {"type": "string"}}}),
        current: Some(json!({"total": 100, "email": "a@b.example", "phone": "123"})),
        caller: crate::Caller::default(),
    });
    assert_eq!(answer.changes.len(), 1, "what was not found does not change");
    assert_eq!((answer.changes[0].old.clone(), answer.changes[0].new.clone()), (json!(100), json!(1250)));
}

fn ticket() -> Ticket {
    let message = |direction, text: &str, html: Option<&str>| TicketMessage {
        direction,
        from: "x".to_owned(),
        sent_at: at("2024-03-10T09:00:00Z"),
        text: text.to_owned(),
        html: html.map(str::to_owned),
    };
    Ticket {
        id: "T".to_owned(),
        subject: "Order ORD-7".to_owned(),
        messages: vec![
            message(TicketDirection::Inbound, "Please send it on 1 April 2024.", None),
            message(TicketDirection::Inbound, "", Some("<p>No, <b>2 April 2024</b> is better – größer.</p>")),
        ],
        ..Ticket::default()
    }
}

#[test]
fn in_a_ticket_the_later_message_counts_and_html_is_read() {
    let schema = json!({"type": "object", "properties": {"day": {"type": "string", "format": "date"}, "order": {"type": "string", "pattern": "ORD-[0-9]"}}});
    let answer = request(&ExtractRequest {
        input: ExtractInput::Ticket(ticket()),
        schema,
        current: None,
        caller: crate::Caller::default(),
    });
    assert_eq!(answer.attributes, json!({"day": "2024-04-02", "order": "ORD-7"}));
    let sources: Vec<&str> = answer.evidence.iter().map(|item| item.source.as_str()).collect();
    assert!(sources.contains(&"ticket/messages/1/html") && sources.contains(&"ticket/subject"), "{sources:?}");
}

#[test]
fn an_enum_is_chosen_by_meaning_or_abstained_from() {
    let choices = json!({"oneOf": [
        {"const": "cancel", "description": "wants to stop the subscription and terminate the contract"},
        {"const": "move", "description": "relocates to another apartment with different postal street"}
    ]});
    let run = |text: &str, embedder| {
        let request = ExtractRequest {
            input: ExtractInput::Text { text: text.to_owned(), written_at: None },
            schema: json!({"type": "object", "properties": {"intent": choices}}),
            current: None,
            caller: crate::Caller::default(),
        };
        block_on(Archive::default().assist(embedder).extract(&tenant(), &request)).unwrap()
    };
    let text = "Hello there. Please terminate the contract and stop my subscription today.";
    let answer = run(text, Some(Arc::new(FakeEmbedder)));
    assert_eq!(answer.attributes, json!({"intent": "cancel"}), "{answer:?}");
    assert_eq!(answer.evidence[0].quote, "Please terminate the contract and stop my subscription today.");
    assert_eq!(answer.model, "rules+words-64");
    assert_eq!(run("The weather is nice in Spain.", Some(Arc::new(FakeEmbedder))).attributes, json!({}));
    assert_eq!(run(text, None).attributes, json!({}));
    assert_eq!(run(text, Some(Arc::new(BrokenEmbedder))).attributes, json!({}), "a failing embedder only abstains");
}

#[test]
fn an_unsupported_schema_is_an_error_and_not_relaxed() {
    let request = ExtractRequest {
        input: ExtractInput::Text { text: String::new(), written_at: None },
        schema: json!({"type": "object", "properties": {"a": {"type": "string", "contentEncoding": "base64"}}}),
        current: None,
        caller: crate::Caller::default(),
    };
    let error = block_on(Archive::default().assist(None).extract(&tenant(), &request)).unwrap_err();
    let AssistError::Schema(error) = error else { panic!("{error:?}") };
    assert_eq!((error.keyword.as_str(), error.pointer.as_str()), ("contentEncoding", "/properties/a"));
}

#[test]
fn a_card_number_is_nowhere_in_the_answer() {
    let text = "Card number: 4111 1111 1111 1111 (exp 12/27)\nNote: 4111111111111111";
    let answer = extract(
        text,
        &json!({"card_number": {"type": "string"}, "note": {"type": "string"}, "reference": {"type": "string"}, "digits": {"type": "string", "pattern": "[0-9]{16}"}}),
    );
    assert!(
        !format!("{answer:?}").contains("1111 1111 1111") && !format!("{answer:?}").contains("41111111"),
        "{answer:?}"
    );
    assert_eq!(answer.attributes["card_number"], "**** **** **** 1111");
}

fn every_kind() -> Value {
    json!({
        "day": {"type": "string", "format": "date"}, "amount": {"type": "number"}, "count": {"type": "integer"},
        "email": {"type": "string", "format": "email"}, "phone": {"type": "string"}, "iban": {"type": "string"},
        "card": {"type": "string", "format": "card"}, "link": {"type": "string", "format": "uri"},
        "order_number": {"type": "string"}, "code": {"type": "string", "pattern": "^[A-Z][0-9]{2,4}$"},
        "customer_name": {"type": "string"}, "note": {"type": "string"}, "kind": {"enum": ["refund", "order", "Größe"]},
        "days": {"type": "array", "items": {"type": "string", "format": "date"}}, "time": {"type": "string"},
        "when": {"type": "string", "format": "date-time"}, "currency": {"type": "string", "format": "currency"}
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_text_gives_exact_spans_and_no_panic(
        text in "(Note: |Größe|refund|order no\\.? |amount: |EUR |€|12\\.03\\.2024|[0-9]{1,6}|a@b\\.example|\\+49 |DE89 3704 0044 0532 0130 00|4111 1111 1111 1111|A12|Best regards,\n|Anna |[a-zäЖ🏴 \n\t.,:/()-]){0,30}"
    ) {
        let answer = extract(&text, &every_kind());
        for item in answer.evidence.iter().chain(&answer.conflicts) {
            let bytes = text.get(item.byte_start..item.byte_end);
            let chars: String = text.chars().skip(item.start).take(item.end - item.start).collect();
            prop_assert_eq!(bytes, Some(chars.as_str()));
            prop_assert!(item.quote == chars || item.quote.contains("****"));
            prop_assert!((0.0..=1.0).contains(&item.confidence));
        }
        for pointer in &answer.abstained {
            prop_assert!(answer.attributes.pointer(pointer).is_none());
        }
    }
}

#[test]
fn the_columns_of_a_file_are_mapped_by_their_headings() {
    let schema: Value = serde_json::from_str(include_str!("../../../../config/schemas/column_mapping@1.json")).unwrap();
    let map = |text: &str| {
        let answer = request(&ExtractRequest {
            input: ExtractInput::Text { text: text.to_owned(), written_at: None },
            schema: schema.clone(),
            current: None,
            caller: crate::Caller::default(),
        });
        for evidence in &answer.evidence {
            let chars: Vec<char> = text.chars().collect();
            let quoted: String = chars[evidence.start..evidence.end].iter().collect();
            assert_eq!(evidence.value, quoted);
        }
        answer.attributes
    };
    assert_eq!(
        map(
            "\nVorname;Nachname;Firma;E-Mail;PLZ;Stadt;Betrag\nAnna;Weber;Weberbau;anna@weberbau.example;20095;Hamburg;12,50\n"
        ),
        json!({"first_name": "Vorname", "last_name": "Nachname", "company": "Firma", "email": "E-Mail",
               "postal_code": "PLZ", "city": "Stadt", "amount": "Betrag"})
    );
    assert_eq!(
        map(
            "\"Given name\",\"Surname\",\"E-mail address\",\"Phone\",\"Country\",\"Notes\"\nJo,Doe,jo@x.example,1,UK,likes tea\n"
        ),
        json!({"first_name": "Given name", "last_name": "Surname", "email": "E-mail address", "phone": "Phone", "country": "Country"})
    );
    assert_eq!(map("a,b,c\nphone,email,city"), json!({}), "only the first line has headings");
}
