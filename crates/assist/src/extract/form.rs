//! What a language model is asked: the schema with a quotation beside every value, and the prompt around it.

use rejoinder_domain::{ChatMessage, ChatRole, LanguageModel, SeamError};
use serde_json::{Map, Value, json};

use super::candidates::Source;
use super::schema::{Choice, Format, Kind, NumberRule, Property, Schema, TextRule, pointer_of};
use crate::config::FillConfig;
use crate::prompt::{Fence, TEMPLATE_TOKENS, is_hopeless, one_line, render};

const SYSTEM: &str = include_str!("../../prompts/extract_system.md");
const TEXT: &str = include_str!("../../prompts/extract_text.md");

/// Longest description of an attribute that is shown, in characters.
const DESCRIPTION_CHARS: usize = 300;

/// The JSON Schema that the model's answer has to satisfy: that of the caller, in the same order, where every leaf is
/// `null` or an object of `quote` and `value`, and a list is one of such objects. Nothing in it is optional, so that the
/// model says of each attribute that it is not there. It uses `type`, `properties`, `required`, `additionalProperties`,
/// `anyOf` with null, `enum`, `items`, `maxItems`, `maxLength`, `format` (dates) and numeric bounds alone.
pub(crate) fn answer_schema(schema: &Schema, config: &FillConfig) -> Value {
    let mut root = Tree::default();
    for property in &schema.properties {
        root.insert(&property.path, attribute(property, config));
    }
    root.into_schema()
}

/// Objects by name, as deep as the paths go.
#[derive(Default)]
struct Tree {
    children: Vec<(String, Node)>,
}

enum Node {
    Object(Tree),
    Leaf(Value),
}

impl Tree {
    fn insert(&mut self, path: &[String], leaf: Value) {
        match path {
            [] => {}
            [name] => self.children.push((name.clone(), Node::Leaf(leaf))),
            [name, rest @ ..] => {
                let known = self.children.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or(self.children.len());
                if known.is_none() {
                    self.children.push((name.clone(), Node::Object(Self::default())));
                }
                if let Some((_, Node::Object(inner))) = self.children.get_mut(at) {
                    inner.insert(rest, leaf);
                }
            }
        }
    }

    fn into_schema(self) -> Value {
        let names: Vec<String> = self.children.iter().map(|(name, _)| name.clone()).collect();
        let properties: Map<String, Value> = self
            .children
            .into_iter()
            .map(|(name, node)| match node {
                Node::Object(tree) => (name, tree.into_schema()),
                Node::Leaf(schema) => (name, schema),
            })
            .collect();
        json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
    }
}

fn attribute(property: &Property, config: &FillConfig) -> Value {
    let value = match &property.kind {
        Kind::Items(inner) => answer_schema(inner, config),
        Kind::Text(rule) => quoted(&text(rule, config), config),
        Kind::Number(rule) => quoted(&number(rule), config),
        Kind::Boolean => quoted(&json!({"type": "boolean"}), config),
        Kind::Choice(choices) => {
            quoted(&json!({"enum": choices.iter().map(|choice| &choice.value).collect::<Vec<_>>()}), config)
        }
    };
    match property.list {
        Some(list) => json!({"type": "array", "items": value, "maxItems": list.max.min(config.list_items)}),
        None => json!({"anyOf": [{"type": "null"}, value]}),
    }
}

fn quoted(value: &Value, config: &FillConfig) -> Value {
    json!({
        "type": "object",
        "properties": {"quote": {"type": "string", "maxLength": config.quote_chars}, "value": value},
        "required": ["quote", "value"],
        "additionalProperties": false
    })
}

/// Lengths and patterns are checked afterwards; here they only keep a small model from running on.
fn text(rule: &TextRule, config: &FillConfig) -> Value {
    match rule.format {
        Some(Format::Date) => json!({"type": "string", "format": "date"}),
        Some(Format::DateTime) => json!({"type": "string", "format": "date-time"}),
        _ => json!({"type": "string", "maxLength": rule.max_length.unwrap_or(usize::MAX).min(config.quote_chars)}),
    }
}

fn number(rule: &NumberRule) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), json!(if rule.integer { "integer" } else { "number" }))]);
    let bounds = [
        ("minimum", rule.minimum),
        ("maximum", rule.maximum),
        ("exclusiveMinimum", rule.exclusive_minimum),
        ("exclusiveMaximum", rule.exclusive_maximum),
    ];
    for (keyword, bound) in bounds {
        // A whole bound is written as one: `0`, not `0.0`.
        let bound = bound
            .map(|bound| if bound.fract() == 0.0 && bound.abs() < 1e15 { json!(bound as i64) } else { json!(bound) });
        schema.extend(bound.map(|bound| (keyword.to_owned(), bound)));
    }
    Value::Object(schema)
}

/// The prompt, or `None` where it does not fit: a form that was filled from half a text would say nothing about the rest.
/// The schema comes first, so that what was computed for it is of use for every text.
pub(crate) fn prompt(
    schema: &Schema,
    sources: &[Source],
    fence: &Fence,
    config: &FillConfig,
    model: &dyn LanguageModel,
) -> Result<Option<Vec<ChatMessage>>, SeamError> {
    let mut attributes = Vec::new();
    describe(schema, "", &mut attributes);
    let system = render(SYSTEM, &[("attributes", &attributes.join("\n"))]);
    let texts: String = sources.iter().filter_map(|source| block(source, fence)).collect::<Vec<_>>().join("\n");
    let user = render(TEXT, &[("texts", &texts)]);
    let room = config.prompt_tokens.min(model.context_tokens().saturating_sub(config.max_tokens));
    if is_hopeless(system.len() + user.len(), room) {
        return Ok(None);
    }
    let tokens = model.count_tokens(&system)? + model.count_tokens(&user)? + TEMPLATE_TOKENS;
    let messages =
        vec![ChatMessage::new(ChatRole::System, system.trim_end()), ChatMessage::new(ChatRole::User, user.trim_end())];
    Ok((tokens <= room).then_some(messages))
}

/// One text, with what is known about it: new text alone where the source is a message, for the rest was a message before.
fn block(source: &Source, fence: &Fence) -> Option<String> {
    let new: Vec<&str> = source.new_spans.iter().filter_map(|span| span.of(&source.text)).map(str::trim).collect();
    let new = new.join("\n");
    let is_message = !source.writer.is_empty();
    let text = if is_message && !new.trim().is_empty() { new.as_str() } else { source.text.as_str() };
    let written = source.written_at.map(|at| format!(", written on {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
    let writer = if is_message { source.writer } else { "The text" };
    (!text.trim().is_empty()).then(|| format!("## {writer}{written}\n\n{}\n", fence.around(text)))
}

/// One line for each attribute.
fn describe(schema: &Schema, parent: &str, lines: &mut Vec<String>) {
    for property in &schema.properties {
        let pointer = format!("{parent}{}", pointer_of(&property.path));
        let (kind, list) = (kind_name(&property.kind), if property.list.is_some() { "list of " } else { "" });
        let title = property.titles.first().map(|title| format!("{title}. ")).unwrap_or_default();
        let said = one_line(&format!("{title}{}", property.description), DESCRIPTION_CHARS);
        let choices = match &property.kind {
            Kind::Choice(choices) => format!(" One of: {}.", choices.iter().map(choice).collect::<Vec<_>>().join("; ")),
            _ => String::new(),
        };
        let colon = if said.is_empty() && choices.is_empty() { "" } else { ": " };
        lines.push(format!("- {pointer} ({list}{kind}){colon}{}", format!("{said}{choices}").trim()));
        if let Kind::Items(inner) = &property.kind {
            describe(inner, &format!("{pointer}/*"), lines);
        }
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text(rule) => match rule.format {
            Some(Format::Date) => "date",
            Some(Format::DateTime) => "date and time",
            Some(Format::Email) => "e-mail address",
            Some(Format::Uri) => "link",
            Some(Format::Phone) => "telephone number",
            Some(Format::Iban) => "IBAN",
            Some(Format::Bic) => "BIC",
            Some(Format::Card) => "card number",
            Some(Format::Currency) => "currency code",
            Some(Format::Uuid) => "UUID",
            Some(Format::Ipv4) => "IPv4 address",
            None => "text",
        },
        Kind::Number(rule) if rule.integer => "whole number",
        Kind::Number(_) => "number",
        Kind::Boolean => "true or false",
        Kind::Choice(_) => "choice",
        Kind::Items(_) => "objects",
    }
}

fn choice(choice: &Choice) -> String {
    let value = choice.value.as_str().map_or_else(|| choice.value.to_string(), str::to_owned);
    let title = choice.labels.get(1).map(String::as_str).unwrap_or_default();
    let meaning: Vec<&str> = [title, &choice.description].into_iter().filter(|text| !text.is_empty()).collect();
    let meaning = if meaning.is_empty() { String::new() } else { format!(" ({})", meaning.join(": ")) };
    one_line(&format!("{value}{meaning}"), DESCRIPTION_CHARS)
}
