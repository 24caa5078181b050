//! Random walks: whatever the masks allow ends, parses, and is valid in the eyes of another validator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod checker;
mod vocabulary;

use std::sync::LazyLock;

use proptest::prelude::*;
use rejoinder_grammar::{Caps, Grammar, GrammarOptions, Matcher, Spacing};
use serde_json::{Value, json};
use vocabulary::{Dice, Vocabulary};

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

/// Tokens after which a walk must have ended, with the caps of [`options`].
const MAX_TOKENS: usize = 20_000;

/// Small caps, so that walks are short.
fn options() -> GrammarOptions {
    let caps =
        Caps { string_chars: 20, pattern_chars: 20, key_chars: 8, array_items: 4, map_entries: 3, ..Caps::default() };
    GrammarOptions { caps: Some(caps), ..GrammarOptions::default() }
}

/// Takes random allowed tokens until the end.
fn walk(matcher: &mut Matcher, seed: u64) -> String {
    VOCABULARY.random_walk(matcher, &mut Dice::new(seed), MAX_TOKENS).unwrap().expect("a walk without end")
}

fn compile(schema: &Value) -> Matcher {
    VOCABULARY
        .factory
        .matcher(&Grammar::Json(schema.clone()), &options())
        .unwrap_or_else(|error| panic!("{schema}: {error}"))
}

fn check(schema: &Value, matcher: &Matcher, seed: u64) {
    let text = walk(&mut matcher.independent_copy(), seed);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(checker::is_valid(schema, &value), Some(true), "{schema}\n{text}");
}

/// Schemas by hand, one for each thing that can go wrong.
fn schemas() -> Vec<Value> {
    vec![
        json!(true),
        json!({}),
        json!({"type": "object"}),
        json!({"type": "array"}),
        json!({"type": "number"}),
        json!({"type": "integer"}),
        json!({"type": ["integer", "null", "string"]}),
        json!({"type": "number", "minimum": 0, "maximum": 1}),
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}),
        json!({"type": "number", "minimum": -0.5, "exclusiveMaximum": 0}),
        json!({"type": "number", "exclusiveMinimum": 2, "exclusiveMaximum": 2.5}),
        json!({"type": "number", "minimum": 0.1234, "maximum": 0.1235}),
        json!({"type": "number", "minimum": 1_000_000_000_000_i64}),
        json!({"type": "number", "maximum": -3.25}),
        json!({"type": "number", "multipleOf": 0.01}),
        json!({"type": "integer", "multipleOf": 7}),
        json!({"type": "integer", "minimum": -5, "exclusiveMaximum": 5}),
        json!({"type": "integer", "minimum": 123_456}),
        json!({"type": "integer", "maximum": 18_446_744_073_709_551_615_u64}),
        json!({"minimum": 3}),
        json!({"maxLength": 3}),
        json!({"type": "string", "minLength": 30}),
        json!({"type": "string", "pattern": "^[A-Z]{2}-\\d+$"}),
        json!({"type": "string", "pattern": "x"}),
        json!({"type": "string", "pattern": "^a.c", "maxLength": 6}),
        json!({"type": "string", "format": "date"}),
        json!({"type": "string", "format": "date-time"}),
        json!({"type": "string", "format": "time"}),
        json!({"type": "string", "format": "duration"}),
        json!({"type": "string", "format": "email"}),
        json!({"type": "string", "format": "uuid"}),
        json!({"type": "string", "format": "ipv4"}),
        json!({"type": "string", "format": "ipv6"}),
        json!({"type": "string", "format": "hostname"}),
        json!({"type": "string", "format": "uri"}),
        json!({"type": "string", "format": "date", "pattern": "^20"}),
        json!({"enum": [1, "two", null, [3], {"four": 4}, 5.5, -6]}),
        json!({"const": {"a": [1, {"b": "\u{e9}\n\"\\"}]}}),
        json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}),
        json!({"type": "array", "items": {"type": "boolean"}, "minItems": 9}),
        json!({"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}]}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "boolean"}], "additionalItems": {"type": "null"}}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        json!({"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "boolean"}, "required": ["a"]}),
        json!({"type": "object", "patternProperties": {"^x-": {"type": "null"}}, "maxProperties": 2}),
        json!({"properties": {"a": {"type": "null"}, "b": {}}, "required": ["c", "a"]}),
        json!({"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1}),
        json!({"type": "object", "propertyNames": {"pattern": "^[a-c]$"}, "additionalProperties": {"type": "null"}}),
        json!({"type": "object", "propertyNames": {"enum": ["a", "b"]}}),
        json!({"allOf": [{"properties": {"a": {"type": "null"}}, "required": ["a"]}, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]}),
        json!({"type": "object", "properties": {"k": {"type": "string"}}, "anyOf": [{"required": ["k"]}, {"required": ["l"]}]}),
        json!({"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "null"}}, "required": ["kind"]},
            {"type": "object", "properties": {"kind": {"const": "b"}, "y": {"type": "null"}}, "required": ["kind", "y"]}
        ]}),
        json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "dependentRequired": {"a": ["b"]}}),
        json!({"properties": {"a": {"type": "null"}}, "dependentSchemas": {"a": {"properties": {"c": {"type": "boolean"}}, "required": ["c"]}}}),
        json!({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/leaf"}]}}}, "leaf": {"type": "boolean"}}}),
        json!({"$defs": {"n": {"type": "object", "properties": {"v": {"type": "boolean"}, "n": {"$ref": "#/$defs/n"}}, "required": ["v"]}}, "$ref": "#/$defs/n"}),
        json!({"allOf": [{"$ref": "#/$defs/base"}], "properties": {"own": {"properties": {"x": {"type": "null"}}}}, "$defs": {"base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}}}),
        json!({"properties": {"t": {"type": "string", "enum": ["a", "b"]}}, "allOf": [{"properties": {"t": {"maxLength": 3}}}]}),
        json!({"allOf": [{"type": "number", "minimum": 1}, {"maximum": 3}]}),
    ]
}

#[test]
fn walks_through_the_schemas_of_this_file_are_valid() {
    for schema in schemas() {
        let matcher = compile(&schema);
        for seed in 1..=12u64 {
            check(&schema, &matcher, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
    }
}

#[test]
fn both_spacings_parse_and_differ_in_spaces_only() {
    let schema = json!({"properties": {"a": {"const": [1, 2]}, "b": {"const": {"c": null}}}, "required": ["a", "b"]});
    let text = |spacing| {
        let options = GrammarOptions { spacing, ..GrammarOptions::default() };
        walk(&mut VOCABULARY.factory.matcher(&Grammar::Json(schema.clone()), &options).unwrap(), 1)
    };
    assert_eq!(text(Spacing::Single), r#"{"a": [1, 2], "b": {"c": null}}"#);
    assert_eq!(text(Spacing::Compact), r#"{"a":[1,2],"b":{"c":null}}"#);
}

/// A schema of the kind that extraction uses, nested up to three levels.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        (0u32..5, 0u32..9).prop_map(|(low, more)| json!({"type": "string", "minLength": low, "maxLength": low + more})),
        Just(json!({"type": "string", "format": "date"})),
        Just(json!({"type": ["string", "null"], "format": "email"})),
        Just(json!({"type": "string", "pattern": "^[A-Z]{1,3}[0-9]{2,}$"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        (-500i32..500, 0i32..300).prop_map(|(low, more)| json!({"type": "integer", "minimum": low, "maximum": low + more})),
        (-500i32..500, 1i32..300).prop_map(|(low, more)| {
            json!({"type": "number", "exclusiveMinimum": f64::from(low) / 10.0, "maximum": f64::from(low + more) / 10.0})
        }),
        (1u32..50).prop_map(|step| json!({"type": "integer", "multipleOf": step})),
        Just(json!({"enum": ["red", "green", null, 3]})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0usize..3, 0usize..3).prop_map(
                |(items, low, more)| json!({"type": "array", "items": items, "minItems": low, "maxItems": low + more})
            ),
            (prop::collection::vec((inner.clone(), any::<bool>()), 1..5), any::<bool>()).prop_map(
                |(members, closed)| {
                    let properties: serde_json::Map<_, _> =
                        members.iter().enumerate().map(|(i, (schema, _))| (format!("p{i}"), schema.clone())).collect();
                    let required: Vec<_> =
                        members.iter().enumerate().filter(|(_, (_, r))| *r).map(|(i, _)| format!("p{i}")).collect();
                    let mut schema = json!({"type": "object", "properties": properties, "required": required});
                    if closed {
                        schema["additionalProperties"] = json!(false);
                    }
                    schema
                }
            ),
            prop::collection::vec(inner, 1..3).prop_map(|branches| json!({"anyOf": branches})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn walks_through_any_schema_are_valid(schema in any_schema(), seed in any::<u64>()) {
        check(&schema, &compile(&schema), seed);
    }

    /// Taking back and writing again leads to the same masks as never having erred.
    #[test]
    fn rollback_is_exact(schema in any_schema(), seed in any::<u64>(), back in 1usize..6) {
        let prototype = compile(&schema);
        let text = walk(&mut prototype.independent_copy(), seed);
        let tokens = VOCABULARY.bpe.encode(&text);
        let (mut plain, mut erring) = (prototype.independent_copy(), prototype.independent_copy());
        for (index, token) in tokens.iter().enumerate() {
            prop_assert_eq!(plain.allowed_prefix(&tokens[index..]).unwrap(), tokens.len() - index);
            plain.accept(*token).unwrap();
            erring.accept(*token).unwrap();
            if index % 3 == 0 {
                let back = back.min(index + 1);
                erring.rollback(back).unwrap();
                for token in &tokens[index + 1 - back..=index] {
                    erring.accept(*token).unwrap();
                }
            }
            prop_assert_eq!(plain.mask().unwrap(), erring.mask().unwrap());
        }
        prop_assert!(plain.may_end());
    }
}
