//! Reading a request body as JSON, with every failure as a problem that names the place.

use std::collections::HashSet;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::config::ServerConfig;
use crate::connection::is_slow_body;
use crate::problem::Problem;

use objects::Objects;

mod objects;

/// What a handler takes: the headers, and the body unless it was too large or broke off.
pub(crate) type Body = Result<Bytes, BytesRejection>;

/// Reads `body` as a `T`. A wrong type or an unknown key is a 422 with its JSON pointer.
pub(crate) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body, config: &ServerConfig) -> Result<T, Problem> {
    let body = whole(body, config)?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_media_type());
    }
    let mut reader = serde_json::Deserializer::from_slice(&body);
    let value: T = serde_path_to_error::deserialize(Objects(&mut reader)).map_err(|error| {
        let pointer = pointer_of(error.path());
        let cause = error.into_inner();
        if cause.is_data() {
            Problem::invalid(pointer, without_position(&cause))
        } else {
            Problem::malformed(cause.to_string())
        }
    })?;
    reader.end().map_err(|error| Problem::malformed(error.to_string()))?;
    no_key_twice(&body)?;
    Ok(value)
}

/// Which of two values of one key would count is not said anywhere, so what checks a request before this server may have seen
/// another one. Types with fields refuse it by themselves; a JSON value would take the last.
fn no_key_twice(body: &[u8]) -> Result<(), Problem> {
    if serde_json::from_slice::<Unique>(body).is_ok() {
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, Unique>(&mut reader) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::invalid(pointer_of(error.path()), without_position(error.inner()))),
    }
}

/// Any JSON in which no object has a key twice.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
        while seq.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Unique>()?;
            if !seen.insert(key) {
                return Err(serde::de::Error::custom("the object has a key twice"));
            }
        }
        Ok(Unique)
    }
}

/// The body as it came, unless it was too large or broke off.
pub(crate) fn whole(body: Body, config: &ServerConfig) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::too_large(format!("a request has at most {} bytes (max_body_bytes)", config.max_body_bytes))
        }
        _ if is_slow_body(&rejection) => Problem::slow_body(),
        _ => Problem::malformed("the body broke off"),
    })
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

/// serde's message less its "at line x column y", which a client that serialised an object cannot use.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::no_key_twice;

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        assert!(
            no_key_twice(br#"{"a": [{"b": 1}, {"b": 2}], "c": {"a": null, "b": 1.5, "d": -1, "e": true}}"#).is_ok()
        );
        for twice in [r#"{"a": 1, "a": 1}"#, r#"{"x": [{"a": 1, "\u0061": 2}]}"#] {
            assert!(no_key_twice(twice.as_bytes()).unwrap_err().detail().contains("twice"), "{twice}");
        }
    }
}
