//! `GET /docs`: the `OpenAPI` document as a page.
//!
//! It is written on the server and is one file: no script, nothing from another host, nothing that its content security
//! policy would have to allow but its own style. What to read is in the order of the document; the browser searches it.

#![expect(clippy::indexing_slicing, reason = "a member that a JSON value does not have is null")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::openapi;

#[cfg(test)]
mod tests;

const STYLE: &str = include_str!("docs/style.css");
/// Methods in the order in which they are shown.
const METHODS: [&str; 3] = ["get", "post", "delete"];

/// The page, and the policy that lets the browser use its style alone.
struct Page {
    html: String,
    policy: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi::document()).unwrap_or_default();
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    Page { html: page(&document), policy }
});

/// The handler.
pub(crate) async fn serve() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, PAGE.policy.clone()),
    ];
    (headers, PAGE.html.as_str()).into_response()
}

/// Groups in the order in which a reader needs them; one that is not here comes after them.
const TAGS: [&str; 7] = ["assist", "review", "mail", "privacy", "account", "openai", "operations"];

/// One operation of the document.
struct Operation<'a> {
    method: &'static str,
    path: &'a str,
    value: &'a Value,
}

fn page(document: &Value) -> String {
    let operations = by_tag(document);
    let mut html = String::with_capacity(256 << 10);
    let version = text(&document["info"]["version"]);
    // Writing to a text cannot fail.
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Rejoinder API {version}</title><style>{STYLE}</style></head><body><nav>\
         <strong>Rejoinder {version}</strong> <a href=\"/openapi.json\">openapi.json</a>",
        version = escaped(version)
    );
    for ((_, tag), operations) in &operations {
        let _ = write!(html, "<h2>{}</h2><ul>", escaped(tag));
        for operation in operations {
            let _ = write!(
                html,
                "<li><a href=\"#{}\"><span class=\"method {method}\">{}</span>{}</a></li>",
                escaped(text(&operation.value["operationId"])),
                operation.method.to_uppercase(),
                escaped(text(&operation.value["summary"])),
                method = operation.method
            );
        }
        html.push_str("</ul>");
    }
    let _ = write!(html, "</nav><main><h1>Rejoinder API</h1>{}", prose(text(&document["info"]["description"])));
    for operation in operations.values().flatten() {
        show_operation(&mut html, document, operation);
    }
    show_schemas(&mut html, document);
    html.push_str("</main></body></html>");
    html
}

/// The operations by the place and name of their group.
fn by_tag(document: &Value) -> BTreeMap<(usize, &str), Vec<Operation<'_>>> {
    let mut tags: BTreeMap<(usize, &str), Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in members(&document["paths"]) {
        for method in METHODS {
            let Some(value) = item.get(method) else { continue };
            let tag = text(&value["tags"][0]);
            let place = TAGS.iter().position(|known| *known == tag).unwrap_or(TAGS.len());
            tags.entry((place, tag)).or_default().push(Operation { method, path, value });
        }
    }
    tags
}

fn show_operation(html: &mut String, document: &Value, operation: &Operation<'_>) {
    let Operation { method, path, value } = operation;
    let _ = write!(
        html,
        "<section id=\"{}\"><h3>{}</h3><p><span class=\"method {method}\">{}</span><code>{}</code></p>{}",
        escaped(text(&value["operationId"])),
        escaped(text(&value["summary"])),
        method.to_uppercase(),
        escaped(path),
        prose(text(&value["description"]))
    );
    let _ = write!(html, "<pre>{}</pre>", escaped(&curl(operation)));
    let parameters = value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        html.push_str("<h4>Parameters</h4><table><tr><th>Name</th><th>In</th><th>Type</th><th></th></tr>");
        for parameter in parameters {
            row(html, parameter, text(&parameter["in"]));
        }
        html.push_str("</table>");
    }
    for (media_type, content) in members(&value["requestBody"]["content"]) {
        let _ = write!(html, "<h4>Body, <code>{}</code></h4>", escaped(media_type));
        show_content(html, document, content);
    }
    html.push_str("<h4>Answers</h4><table><tr><th>Status</th><th>Body</th><th></th></tr>");
    for (status, response) in members(&value["responses"]) {
        let named = response["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let response = named.map_or(response, |name| &document["components"]["responses"][name]);
        let contents: Vec<String> = members(&response["content"]).map(|(kind, content)| body(kind, content)).collect();
        let _ = write!(
            html,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            escaped(status),
            contents.join("<br>"),
            inline(text(&response["description"]))
        );
    }
    html.push_str("</table></section>");
}

fn row(html: &mut String, parameter: &Value, place: &str) {
    let required = if parameter["required"] == true { ", required" } else { "" };
    let _ = write!(
        html,
        "<tr><td><code>{}</code></td><td>{}{required}</td><td>{}</td><td>{}</td></tr>",
        escaped(text(&parameter["name"])),
        escaped(place),
        kind(&parameter["schema"]),
        inline(text(&parameter["description"]))
    );
}

fn body(media_type: &str, content: &Value) -> String {
    format!("<code>{}</code> {}", escaped(media_type), kind(&content["schema"]))
}

fn show_content(html: &mut String, document: &Value, content: &Value) {
    let schema = &content["schema"];
    let _ = write!(html, "<p>{}</p>", kind(schema));
    let named = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let resolved = named.map_or(schema, |name| &document["components"]["schemas"][name]);
    show_properties(html, resolved);
    if let Some(example) = content.get("example") {
        let _ = write!(html, "<pre>{}</pre>", escaped(&serde_json::to_string_pretty(example).unwrap_or_default()));
    }
}

fn show_schemas(html: &mut String, document: &Value) {
    html.push_str("<h2>Types</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let _ = write!(
            html,
            "<section id=\"type-{name}\"><h3><code>{name}</code></h3>{}",
            prose(text(&schema["description"])),
            name = escaped(name)
        );
        if schema["properties"].is_object() {
            show_properties(html, schema);
        } else {
            let _ = write!(html, "<p>{}</p>", kind(schema));
        }
        html.push_str("</section>");
    }
}

fn show_properties(html: &mut String, schema: &Value) {
    if !schema["properties"].is_object() {
        return;
    }
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    html.push_str("<table><tr><th>Key</th><th>Type</th><th></th></tr>");
    for (name, property) in members(&schema["properties"]) {
        let must = if required.iter().any(|required| required == name) { ", always" } else { "" };
        let _ = write!(
            html,
            "<tr><td><code>{}</code></td><td>{}{must}</td><td>{}</td></tr>",
            escaped(name),
            kind(property),
            inline(text(&property["description"]))
        );
    }
    html.push_str("</table>");
}

/// The type that a schema describes, in few words, with links to the types that have a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#type-{name}\">{name}</a>", name = escaped(name));
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[word].as_array() {
            let joint = if word == "allOf" { " and " } else { " or " };
            return choices.iter().map(kind).collect::<Vec<_>>().join(joint);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("<code>{}</code>", escaped(&value.to_string())))
            .collect::<Vec<_>>()
            .join(" ");
    }
    let mut said = match &schema["type"] {
        Value::String(one) if one == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(one) => escaped(one),
        Value::Array(several) => {
            let named = |kind: &Value| match kind.as_str() {
                Some("array") => format!("list of {}", self::kind(&schema["items"])),
                other => escaped(other.unwrap_or_default()),
            };
            several.iter().map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    };
    if let Some(properties) = schema["properties"].as_object() {
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        let _ = write!(said, " of {}", escaped(&names.join(", ")));
    }
    said + &bounds(schema)
}

fn bounds(schema: &Value) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("format", ""),
        ("minimum", "at least "),
        ("maximum", "at most "),
        ("minLength", "characters from "),
        ("maxLength", "characters up to "),
        ("minItems", "entries from "),
        ("maxItems", "entries up to "),
        ("default", "default "),
    ];
    let told = WORDS.iter().filter_map(|(key, words)| {
        let value = schema.get(key)?;
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("{words}{}", escaped(&value)))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
}

/// A call of the operation that can be pasted into a shell.
fn curl(operation: &Operation<'_>) -> String {
    let Operation { method, path, value } = operation;
    let parameters = value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut path = (*path).to_owned();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
        let name = text(&parameter["name"]);
        path = path.replace(&format!("{{{name}}}"), text(&parameter["example"]));
    }
    let mut call = "curl".to_owned();
    if *method == "delete" {
        call.push_str(" -X DELETE");
    }
    let _ = write!(call, " \"$REJOINDER_URL{path}\"");
    if value["security"].is_array() {
        call.push_str(" \\\n  -H \"Authorization: Bearer $REJOINDER_KEY\"");
    }
    let bodies = &value["requestBody"]["content"];
    if let Some(example) = bodies["application/json"].get("example") {
        // A quote inside a shell's quotes ends them, says itself, and begins them again.
        let example = serde_json::to_string(example).unwrap_or_default().replace('\'', "'\\''");
        let _ = write!(call, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'");
    } else if *method == "post" {
        call.push_str(" -X POST");
    }
    if bodies.get("multipart/form-data").is_some() {
        let _ = write!(
            call,
            "\n\ncurl \"$REJOINDER_URL{path}\" \\\n  -H \"Authorization: Bearer $REJOINDER_KEY\" \\\n  -F file=@archive.pst"
        );
    }
    call
}

/// Paragraphs and lists.
fn prose(words: &str) -> String {
    let part = |part: &str| match part.strip_prefix("- ") {
        Some(list) => {
            let entries = list.split("\n- ").map(|entry| format!("<li>{}</li>", inline(entry)));
            let entries = entries.collect::<Vec<_>>().concat();
            format!("<ul>{entries}</ul>")
        }
        None => format!("<p>{}</p>", inline(part)),
    };
    words.split("\n\n").filter(|words| !words.is_empty()).map(part).collect()
}

/// Text with `code` and **strong** words.
fn inline(words: &str) -> String {
    let marked = |text: &str, mark: &str, tag: &str| {
        let parts = text.split(mark).enumerate();
        parts
            .map(|(n, part)| if n % 2 == 1 { format!("<{tag}>{part}</{tag}>") } else { part.to_owned() })
            .collect::<String>()
    };
    marked(&marked(&escaped(words), "`", "code"), "**", "strong")
}

/// The text as HTML, in content and in quoted attributes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, member)| (name.as_str(), member))
}
