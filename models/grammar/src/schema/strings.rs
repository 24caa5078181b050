//! Strings and arrays.

use serde_json::{Map, Value, json};

use super::formats::{self, Format, Purpose};
use super::keywords::{count, unsupported, wrong};
use super::walk::{Stand, Walker};
use super::{pattern, pointer};
use crate::{Caps, GrammarError};

/// Longest string or array that a schema may require.
const MAX_REQUIRED: u64 = 100_000;
/// A greater `maxLength` than this is as good as none where nothing is capped.
const MAX_LENGTH: u64 = 1_000_000_000;

impl Walker<'_> {
    /// Adds the keywords of strings to `out`.
    pub(super) fn string(
        &mut self,
        map: &Map<String, Value>,
        at: &str,
        caps: Option<&Caps>,
        out: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let least = required_size(count(map, "minLength", at)?, "minLength", at)?;
        let most = count(map, "maxLength", at)?;
        let pattern = match map.get("pattern") {
            None => None,
            Some(value) => {
                let pattern = value.as_str().ok_or_else(|| wrong("pattern", "a string", at))?;
                Some(self.pattern(pattern, "pattern", at)?)
            }
        };
        let (format, format_most) = self.format(map, at)?;
        let cap = caps.and_then(|caps| {
            let cap = if pattern.is_some() { caps.pattern_chars } else { caps.string_chars };
            // Generating formats are bounded by themselves.
            (format.is_none() || pattern.is_some()).then_some(cap as u64)
        });
        let most = match (most, cap) {
            // A bound that is far beyond what is ever generated only costs.
            (Some(most), Some(cap)) if most > cap.max(MAX_REQUIRED) => Some(cap.max(least)),
            (Some(most), _) if most > MAX_LENGTH => None,
            (None, Some(cap)) => Some(cap.max(least.saturating_mul(2))),
            (most, _) => most,
        };
        let most = [most, format_most].into_iter().flatten().min();
        if least > 0 {
            out.insert("minLength".to_owned(), json!(least));
        }
        if let Some(most) = most {
            out.insert("maxLength".to_owned(), json!(most));
        }
        match (pattern, format) {
            (Some(pattern), Some(format)) => {
                out.insert("pattern".to_owned(), json!(pattern));
                out.insert("allOf".to_owned(), json!([{"pattern": format}]));
            }
            (Some(pattern), None) | (None, Some(pattern)) => {
                out.insert("pattern".to_owned(), json!(pattern));
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The expression of the schema's format, and the greatest length that it allows.
    fn format(&self, map: &Map<String, Value>, at: &str) -> Result<(Option<String>, Option<u64>), GrammarError> {
        let Some(value) = map.get("format") else { return Ok((None, None)) };
        let name = value.as_str().ok_or_else(|| wrong("format", "a string", at))?;
        let purpose = if self.caps().is_some() { Purpose::Generate } else { Purpose::Judge };
        if purpose == Purpose::Generate && (map.contains_key("enum") || map.contains_key("const")) {
            // The values are given; whether they have the format is for whoever wrote them.
            return Ok((None, None));
        }
        match formats::lookup(name, purpose) {
            Format::Pattern(pattern, most) => Ok((Some(pattern), most)),
            Format::Annotation => Ok((None, None)),
            Format::Unsupported => Err(unsupported("format", at, format!("there is no grammar for `{name}`"))),
        }
    }

    /// A regular expression in the engine's syntax.
    pub(super) fn pattern(&self, pattern: &str, keyword: &str, at: &str) -> Result<String, GrammarError> {
        if pattern.chars().count() > self.text_limit() {
            let reason = format!("a regular expression of more than {} characters, at `{at}`", self.text_limit());
            return Err(GrammarError::TooComplex { reason });
        }
        pattern::translate(pattern).map_err(|reason| unsupported(keyword, at, format!("`{pattern}`: {reason}")))
    }

    /// Adds the keywords of arrays to `out`.
    pub(super) fn array(
        &mut self,
        map: &Map<String, Value>,
        at: &str,
        stand: Stand,
        caps: Option<&Caps>,
        out: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let least = required_size(count(map, "minItems", at)?, "minItems", at)?;
        let most = count(map, "maxItems", at)?;
        if map.get("uniqueItems") == Some(&Value::Bool(true)) && most.is_none_or(|most| most > 1) {
            let reason =
                "that no item repeats cannot be enforced; `maxItems: 1` or an object with one property per item can";
            return Err(unsupported("uniqueItems", at, reason));
        }
        // Before 2020-12 the list was `items` and the rest `additionalItems`.
        let (first, first_keyword, rest, rest_keyword) = match map.get("items") {
            Some(Value::Array(first)) => (first.as_slice(), "items", map.get("additionalItems"), "additionalItems"),
            rest => match map.get("prefixItems") {
                Some(Value::Array(first)) => (first.as_slice(), "prefixItems", rest, "items"),
                Some(_) => return Err(wrong("prefixItems", "an array of schemas", at)),
                None => (&[][..], "prefixItems", rest, "items"),
            },
        };
        let rest = match map.get("unevaluatedItems") {
            Some(Value::Bool(true)) | None => rest,
            Some(unevaluated) if rest.is_none() && stand != Stand::Unknown && !matches!(stand, Stand::Part(_)) => {
                Some(unevaluated)
            }
            Some(_) if rest.is_some() => rest,
            Some(_) => return Err(unsupported("unevaluatedItems", at, "beside schemas that are applied in place")),
        };
        if !first.is_empty() {
            let mut items = Vec::with_capacity(first.len());
            for (index, item) in first.iter().enumerate() {
                let stand = below(stand);
                items.push(self.schema(item, &format!("{}/{index}", pointer(at, first_keyword)), stand)?);
            }
            out.insert("prefixItems".to_owned(), Value::Array(items));
        }
        match rest {
            Some(rest) => {
                let rest = self.schema(rest, &pointer(at, rest_keyword), below(stand))?;
                out.insert("items".to_owned(), rest);
            }
            None if stand == Stand::Alone && out.contains_key("type") => {
                // What is not described need not be there.
                let closed = !first.is_empty() && least <= first.len() as u64;
                let rest = if closed { Value::Bool(false) } else { self.anything(stand) };
                out.insert("items".to_owned(), rest);
            }
            None => {}
        }
        if least > 0 {
            out.insert("minItems".to_owned(), json!(least));
        }
        let cap = caps.map(|caps| (caps.array_items as u64).max(least).max(first.len() as u64));
        let most = match (most, cap) {
            (Some(most), Some(cap)) if most > cap.max(MAX_REQUIRED) => Some(cap),
            (most, cap) => most.or(cap),
        };
        if let Some(most) = most {
            out.insert("maxItems".to_owned(), json!(most));
        }
        Ok(())
    }
}

/// How an item or a member stands whose array or object stands like this.
pub(super) fn below(stand: Stand) -> Stand {
    if stand == Stand::Alone { Stand::Alone } else { Stand::Unknown }
}

/// A size that a schema requires, if it is within reason.
fn required_size(size: Option<u64>, keyword: &str, at: &str) -> Result<u64, GrammarError> {
    match size {
        Some(size) if size > MAX_REQUIRED => {
            Err(GrammarError::TooComplex { reason: format!("`{keyword}` of more than {MAX_REQUIRED}, at `{at}`") })
        }
        size => Ok(size.unwrap_or_default()),
    }
}
