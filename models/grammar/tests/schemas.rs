//! What is refused, with its place; what is bounded, and how; what a schema may cost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod vocabulary;

use std::sync::LazyLock;

use rejoinder_grammar::{Grammar, GrammarError, GrammarOptions, Matcher, Spacing, Verdict, walk};
use serde_json::{Value, json};
use vocabulary::Vocabulary;

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

fn compile(schema: &Value) -> Result<Matcher, GrammarError> {
    let options = GrammarOptions { spacing: Spacing::Compact, ..GrammarOptions::default() };
    VOCABULARY.factory.matcher(&Grammar::Json(schema.clone()), &options)
}

fn verdict(schema: &Value, text: &str) -> Verdict {
    let mut matcher = compile(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
    walk(&mut matcher, &VOCABULARY.bpe.encode(text)).unwrap().verdict
}

#[track_caller]
fn allows(schema: &Value, text: &str) {
    assert_eq!(verdict(schema, text), Verdict::Accepted, "{text} for {schema}");
}

#[track_caller]
fn refuses(schema: &Value, text: &str) {
    assert!(matches!(verdict(schema, text), Verdict::Refused(_)), "{text} for {schema}");
}

#[test]
fn what_cannot_be_enforced_is_named_with_its_place() {
    let inside = |schema: Value| json!({"type": "object", "properties": {"a/b": {"type": "array", "items": schema}, "ok": {"type": "string"}}});
    let cases = [
        (json!({"not": {"type": "null"}}), "not"),
        (json!({"if": {"minimum": 3}, "then": {"maximum": 5}}), "if"),
        (json!({"type": "array", "contains": {"type": "null"}}), "contains"),
        (json!({"type": "array", "uniqueItems": true}), "uniqueItems"),
        (json!({"type": "string", "format": "json-pointer"}), "format"),
        (json!({"type": "string", "pattern": "^(?!x)"}), "pattern"),
        (json!({"type": "string", "pattern": "a^b"}), "pattern"),
        (json!({"type": "object", "patternProperties": {"(?=a)": {}}}), "patternProperties"),
        (json!({"type": "object", "patternProperties": {"^a": {}, "b$": {}}}), "patternProperties"),
        (json!({"type": "object", "minProperties": 2}), "minProperties"),
        (json!({"properties": {"a": {}, "b": {}}, "additionalProperties": {}, "maxProperties": 1}), "maxProperties"),
        (json!({"$ref": "https://example.com/schema.json"}), "$ref"),
        (json!({"$dynamicRef": "#x"}), "$dynamicRef"),
        (json!({"oneOf": [{"type": "number", "minimum": 1}, {"type": "integer"}]}), "oneOf"),
        (json!({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]}), "oneOf"),
        (json!({"type": "number", "multipleOf": 0.000_000_001}), "multipleOf"),
        (json!({"allOf": [{"multipleOf": 7000}, {"multipleOf": 0.001}], "type": "number"}), "multipleOf"),
        (json!({"const": 9_007_199_254_740_993_u64}), "const"),
        (json!({"enum": [{"a": [9_007_199_254_740_993_u64]}]}), "enum"),
        (json!({"anyOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}), "unevaluatedProperties"),
    ];
    for (schema, expected) in cases {
        match compile(&inside(schema.clone())) {
            Err(GrammarError::UnsupportedKeyword { keyword, pointer, reason }) => {
                assert_eq!(keyword, expected, "{schema}: {reason}");
                assert_eq!(pointer, "/properties/a~1b/items", "{schema}: {reason}");
            }
            other => panic!("{schema}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_schema_is_said_with_its_place() {
    let cases = [
        json!({"type": "strnig"}),
        json!({"type": 3}),
        json!({"enum": []}),
        json!({"required": "a"}),
        json!({"properties": []}),
        json!({"minLength": -1}),
        json!({"maximum": "3"}),
        json!({"pattern": 3}),
        json!({"anyOf": {}}),
        json!({"multipleOf": 0}),
        json!({"$ref": "#/$defs/none"}),
        json!("string"),
    ];
    for schema in cases {
        match compile(&json!({"properties": {"a": schema}})) {
            Err(GrammarError::InvalidSchema { pointer, .. }) => assert_eq!(pointer, "/properties/a", "{schema}"),
            other => panic!("{schema}: {other:?}"),
        }
    }
    for nothing in [
        json!(false),
        json!({"allOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json!({"$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}}, "$ref": "#/$defs/a"}),
    ] {
        assert!(matches!(compile(&nothing), Err(GrammarError::InvalidSchema { .. })), "{nothing}");
    }
}

#[test]
fn annotations_and_unknown_words_constrain_nothing() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/a", "title": "t",
        "description": "d", "$comment": "c", "default": 3, "examples": [1], "deprecated": true, "readOnly": true,
        "writeOnly": false, "contentMediaType": "text/plain", "x-own": {"not": {}}, "x-guidance": {"lenient": true},
        "$defs": {"unused": {"not": {}}}, "type": "string", "format": "password", "maxLength": 3
    });
    allows(&schema, r#""abc""#);
    refuses(&schema, r#""abcd""#);
}

#[test]
fn numbers_have_the_bounds_of_the_schema_and_as_many_digits_as_make_sense() {
    let integer = json!({"type": "integer"});
    allows(&integer, "-999999999999999");
    refuses(&integer, "1000000000000000");
    let number = json!({"type": "number"});
    allows(&number, "-12.345678");
    for text in ["1.2345678", "1e5", "01", "+1", ".5", "1."] {
        assert_ne!(verdict(&number, text), Verdict::Accepted, "{text}");
    }
    let bounded = json!({"type": "integer", "minimum": -3, "exclusiveMaximum": 12});
    for (text, allowed) in [("-3", true), ("11", true), ("-4", false), ("12", false), ("0", true)] {
        assert_eq!(verdict(&bounded, text) == Verdict::Accepted, allowed, "{text}");
    }
    let price = json!({"type": "number", "minimum": 0, "multipleOf": 0.01});
    allows(&price, "19.99");
    refuses(&price, "19.995");
    // A lower bound beyond the default length still leaves room above it.
    allows(&json!({"type": "integer", "minimum": 1_000_000_000_000_000_i64}), "1000000000000001");
    // The form of draft 4.
    let old = json!({"type": "integer", "minimum": 3, "exclusiveMinimum": true, "maximum": 9});
    refuses(&old, "3");
    allows(&old, "4");
}

#[test]
fn dates_exist() {
    let date = json!({"type": "string", "format": "date"});
    for text in ["2024-02-29", "2000-02-29", "1999-12-31", "2026-11-30"] {
        allows(&date, &format!("\"{text}\""));
    }
    for text in ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "2024-00-10", "9999-01-01", "2024-1-1"] {
        refuses(&date, &format!("\"{text}\""));
    }
    let moment = json!({"type": "string", "format": "date-time"});
    allows(&moment, r#""2024-02-29T23:59:59.250+01:00""#);
    for text in ["2024-02-29T24:00:00Z", "2024-02-29T10:00:60Z", "2024-02-29 10:00:00Z", "2024-02-29T10:00:00"] {
        refuses(&moment, &format!("\"{text}\""));
    }
}

#[test]
fn what_a_schema_leaves_open_is_bounded() {
    let long = |chars: usize| format!("\"{}\"", "x".repeat(chars));
    allows(&json!({"type": "string"}), &long(4096));
    refuses(&json!({"type": "string"}), &long(4097));
    allows(&json!({"type": "string", "maxLength": 5000}), &long(5000));
    refuses(&json!({"type": "string", "pattern": "^x*$"}), &long(257));
    let list = |items: usize| format!("[{}]", vec!["1"; items].join(","));
    allows(&json!({"type": "array", "items": {"type": "integer"}}), &list(64));
    refuses(&json!({"type": "array", "items": {"type": "integer"}}), &list(65));
    allows(&json!({"type": "array", "items": {"type": "integer"}, "maxItems": 70}), &list(70));
    let map = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let entries = |count: usize| {
        format!("{{{}}}", (0..count).map(|entry| format!("\"k{entry}\":1")).collect::<Vec<_>>().join(","))
    };
    allows(&map, &entries(32));
    refuses(&map, &entries(33));
    refuses(&map, &format!("{{{}:1}}", long(65)));
    // What is named is all there is, unless the schema describes the rest.
    refuses(&json!({"properties": {"a": {"type": "null"}}}), r#"{"b":null}"#);
    refuses(&json!({"properties": {"a": {"type": "null"}}}), "3");
    // Any value, but not any depth.
    allows(&json!({}), r#"{"a":[1,"x",null]}"#);
    refuses(&json!({}), "[[[1]]]");
}

#[test]
fn properties_come_in_the_order_of_the_schema() {
    let schema =
        json!({"properties": {"z": {"type": "null"}, "a": {"type": "null"}, "m": {"type": "null"}}, "required": ["a"]});
    allows(&schema, r#"{"z":null,"a":null,"m":null}"#);
    allows(&schema, r#"{"a":null}"#);
    refuses(&schema, r#"{"a":null,"z":null}"#);
}

#[test]
fn white_space_is_fixed() {
    let schema = json!({"type": "array", "items": {"type": "integer"}});
    for text in ["[1, 2]", "[ 1]", " [1]", "[1\n]"] {
        refuses(&schema, text);
    }
    // Inside of strings it is as free as any character.
    allows(&json!({"type": "string"}), r#""  a \n\n  b ""#);
}

/// No schema is a denial of service: each of these ends soon, in a matcher or in a typed error.
#[test]
fn costly_schemas_are_refused_or_cheap() {
    let mut deep = json!({"type": "null"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    let wide = |count: usize| -> Value {
        let members = (0..count).map(|name| (format!("p{name}"), json!({"type": "integer"})));
        json!({"type": "object", "properties": members.collect::<serde_json::Map<_, _>>()})
    };
    let choices = |name: &str| json!({"anyOf": (0..6).map(|value| json!({"properties": {name: {"const": value}}, "required": [name]})).collect::<Vec<_>>()});
    let product: Vec<Value> = (0..12).map(|name| choices(&format!("p{name}"))).collect();
    let refused = [
        deep,
        wide(30_000),
        json!({"allOf": product}),
        json!({"type": "string", "minLength": 1_000_000_000_u64}),
        json!({"type": "array", "minItems": 1_000_000_000_u64}),
        json!({"type": "string", "pattern": "a".repeat(200_000)}),
        json!({"enum": (0..30_000).collect::<Vec<_>>()}),
    ];
    for schema in refused {
        let error = compile(&schema).err().unwrap_or_else(|| panic!("{:.200}", schema.to_string()));
        assert!(matches!(error, GrammarError::TooComplex { .. }), "{error}: {:.200}", schema.to_string());
        assert!(error.is_callers());
    }
    let cheap = [
        wide(500),
        json!({"enum": (0..5000).map(|value| format!("value {value}")).collect::<Vec<_>>()}),
        json!({"type": "string", "maxLength": u64::MAX}),
        json!({"type": "array", "items": {"type": "integer"}, "maxItems": u64::from(u32::MAX)}),
        json!({"type": "string", "minLength": 50_000, "maxLength": 90_000}),
    ];
    for schema in cheap {
        let mut matcher = compile(&schema).unwrap_or_else(|error| panic!("{error}: {:.200}", schema.to_string()));
        matcher.mask().unwrap();
    }
}

#[test]
fn nested_repetitions_end_in_a_verdict() {
    for pattern in ["^((a{1,100}){1,100}){1,100}$", "^(a|b|ab)*(a{0,500}b{0,500}){0,500}$", "(x+x+)+y"] {
        match compile(&json!({"type": "string", "pattern": pattern})) {
            Ok(mut matcher) => match walk(&mut matcher, &VOCABULARY.bpe.encode("\"aaab")) {
                Ok(_) | Err(GrammarError::TooComplex { .. }) => {}
                Err(error) => panic!("{pattern}: {error}"),
            },
            Err(error) => assert!(error.is_callers(), "{pattern}: {error}"),
        }
    }
}
