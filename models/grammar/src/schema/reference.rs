//! Where a `$ref` leads within one document.

use std::collections::HashMap;

use serde_json::Value;

use super::pointer;
use crate::GrammarError;

/// The places of a document that have a name of their own.
pub(super) struct References<'a> {
    document: &'a Value,
    /// The document's own address.
    base: Option<&'a str>,
    /// `$anchor` (and `$id: "#name"` of old drafts) to the pointer of its subschema.
    anchors: HashMap<&'a str, Vec<String>>,
    /// Pointers of subschemas with an address of their own, which changes what references below them mean.
    embedded: Vec<String>,
}

/// Deepest level that is searched for names.
const MAX_DEPTH: usize = 200;

impl<'a> References<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        let mut references = Self { document, base: address(document), anchors: HashMap::new(), embedded: Vec::new() };
        references.scan(document, "", 0);
        references
    }

    fn scan(&mut self, value: &'a Value, at: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::Object(map) => {
                for key in ["$anchor", "$dynamicAnchor"] {
                    if let Some(name) = map.get(key).and_then(Value::as_str) {
                        self.anchors.entry(name).or_default().push(at.to_owned());
                    }
                }
                match address(value) {
                    Some(address) if address.starts_with('#') => {
                        self.anchors.entry(address.trim_start_matches('#')).or_default().push(at.to_owned());
                    }
                    Some(_) if !at.is_empty() => self.embedded.push(at.to_owned()),
                    _ => {}
                }
                for (key, value) in map {
                    self.scan(value, &pointer(at, key), depth + 1);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.scan(value, &format!("{at}/{index}"), depth + 1);
                }
            }
            _ => {}
        }
    }

    /// The pointer and the schema that `reference`, written at `at`, names.
    pub(super) fn resolve(&self, reference: &str, at: &str) -> Result<(String, &'a Value), GrammarError> {
        let unsupported = |reason: &str| GrammarError::UnsupportedKeyword {
            keyword: "$ref".to_owned(),
            pointer: at.to_owned(),
            reason: format!("`{reference}`: {reason}"),
        };
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if self.is_embedded(at) {
            return Err(unsupported("a reference below an `$id` of its own"));
        }
        let base = self.base.map(|base| base.split('#').next().unwrap_or_default());
        if !address.is_empty() && base != Some(address) {
            return Err(unsupported("only references within the schema are followed"));
        }
        let fragment = percent_decode(fragment).ok_or_else(|| unsupported("its fragment is not UTF-8"))?;
        let target = if fragment.is_empty() || fragment.starts_with('/') {
            fragment
        } else {
            let places = self.anchors.get(fragment.as_str()).into_iter().flatten();
            let mut places = places.filter(|place| !self.is_embedded(place));
            places.next().cloned().ok_or_else(|| unsupported("no subschema has that anchor"))?
        };
        match self.document.pointer(&target) {
            Some(schema) => Ok((target, schema)),
            None => Err(GrammarError::InvalidSchema {
                pointer: at.to_owned(),
                reason: format!("the reference `{reference}` leads nowhere"),
            }),
        }
    }

    /// Whether what is at `at` belongs to a subschema with an address of its own.
    fn is_embedded(&self, at: &str) -> bool {
        self.embedded.iter().any(|outer| at == outer || at.starts_with(&format!("{outer}/")))
    }
}

fn address(value: &Value) -> Option<&str> {
    let map = value.as_object()?;
    let address = map.get("$id").and_then(Value::as_str);
    // `id` was the keyword of draft 4; later it is a name like any other, and a data object may have it.
    address.or_else(|| map.get("id").and_then(Value::as_str).filter(|_| map.contains_key("$schema")))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
