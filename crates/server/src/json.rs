//! Reading a request body as JSON, with every failure as a problem that names the place.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::config::ServerConfig;
use crate::problem::Problem;

/// What a handler takes: the headers, and the body unless it was too large or broke off.
pub(crate) type Body = Result<Bytes, BytesRejection>;

/// Reads `body` as a `T`. A wrong type or an unknown key is a 422 with its JSON pointer.
pub(crate) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body, config: &ServerConfig) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::too_large(format!("a request has at most {} bytes (max_body_bytes)", config.max_body_bytes))
        }
        _ => Problem::malformed("the body broke off"),
    })?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_media_type());
    }
    let mut reader = serde_json::Deserializer::from_slice(&body);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer_of(error.path());
        let cause = error.into_inner();
        if cause.is_data() {
            Problem::invalid(pointer, without_position(&cause))
        } else {
            Problem::malformed(cause.to_string())
        }
    })?;
    reader.end().map_err(|error| Problem::malformed(error.to_string()))?;
    Ok(value)
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
