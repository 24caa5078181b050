//! `POST /v1/embeddings`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rejoinder::{ModelKind, Role};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::OpenAiError;
use super::fields::{Fields, expected};
use super::models::find;
use crate::auth::Tenant;
use crate::config::OpenAiConfig;
use crate::json;
use crate::server::App;

/// What the texts are: `passage` (to be found, the default) or `query` (to search with). Some models tell them apart.
const ROLE: &str = "x-rejoinder-role";

#[derive(Serialize, ToSchema)]
pub(crate) struct EmbeddingList {
    object: &'static str,
    data: Vec<EmbeddingDto>,
    model: String,
    usage: UsageDto,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Embedding)]
struct EmbeddingDto {
    object: &'static str,
    index: usize,
    embedding: VectorDto,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EmbeddingVector)]
#[serde(untagged)]
enum VectorDto {
    Numbers(Vec<f32>),
    /// The numbers' little-endian bytes.
    Base64(String),
}

#[derive(Serialize, ToSchema)]
#[schema(as = EmbeddingUsage)]
struct UsageDto {
    prompt_tokens: usize,
    total_tokens: usize,
}

struct EmbeddingsRequest {
    model: String,
    texts: Vec<String>,
    dimensions: Option<u64>,
    base64: bool,
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Json<EmbeddingList>, OpenAiError> {
    let request = read(json::read(&headers, body, &app.config)?, &app.config.openai)?;
    find(&app.rejoinder.models(), &request.model, ModelKind::Embedding)?;
    let turn = app.access.turn(&tenant).await?;
    let embedded = app.rejoinder.embed(&tenant, request.texts, role(&headers)?).await;
    let embedded = embedded.map_err(|error| OpenAiError::from_library(&error).about("input"))?;
    drop(turn);
    let dims = embedded.vectors.first().map_or(0, Vec::len);
    if request.dimensions.is_some_and(|wanted| wanted != dims as u64) {
        let message = format!("the vectors of this model have {dims} dimensions and cannot have others");
        return Err(OpenAiError::invalid("dimensions", message));
    }
    let vector = |values: Vec<f32>| {
        if request.base64 {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            VectorDto::Base64(STANDARD.encode(bytes))
        } else {
            VectorDto::Numbers(values)
        }
    };
    let vectors = embedded.vectors.into_iter().enumerate();
    let data = vectors.map(|(index, values)| EmbeddingDto { object: "embedding", index, embedding: vector(values) });
    Ok(Json(EmbeddingList {
        object: "list",
        data: data.collect(),
        model: embedded.model,
        usage: UsageDto { prompt_tokens: embedded.tokens, total_tokens: embedded.tokens },
    }))
}

fn read(body: Value, config: &OpenAiConfig) -> Result<EmbeddingsRequest, OpenAiError> {
    let mut fields = Fields::of(body, "")?;
    let model = fields.required_string("model")?;
    let input = fields.take("input").ok_or_else(|| OpenAiError::missing("input"))?;
    let dimensions = fields.integer("dimensions", 1)?;
    let base64 = match fields.string("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Err(OpenAiError::invalid("encoding_format", "'encoding_format' must be 'float' or 'base64'"));
        }
    };
    fields.ignore(&["user"]);
    fields.finish()?;
    Ok(EmbeddingsRequest { model, texts: texts(input, config.inputs)?, dimensions, base64 })
}

fn texts(input: Value, most: usize) -> Result<Vec<String>, OpenAiError> {
    let values = match input {
        text @ Value::String(_) => vec![text],
        Value::Array(values) => values,
        other => return Err(expected("a string or an array of strings", &other, "input")),
    };
    if values.is_empty() {
        return Err(OpenAiError::invalid("input", "'input' must hold at least one text"));
    }
    if values.len() > most {
        let message = format!("'input' has {} texts; {most} are allowed (server.openai.inputs)", values.len());
        return Err(OpenAiError::invalid("input", message));
    }
    let read = |(place, value): (usize, Value)| match value {
        Value::String(text) if text.is_empty() => {
            Err(OpenAiError::invalid(format!("input[{place}]"), "a text must not be empty"))
        }
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Array(_) => Err(OpenAiError::unsupported(
            "input",
            "tokens are not supported: the models have different ones; send texts",
        )),
        other => Err(expected("a string", &other, format!("input[{place}]"))),
    };
    values.into_iter().enumerate().map(read).collect()
}

fn role(headers: &HeaderMap) -> Result<Role, OpenAiError> {
    match headers.get(ROLE).map(axum::http::HeaderValue::as_bytes) {
        None | Some(b"passage") => Ok(Role::Passage),
        Some(b"query") => Ok(Role::Query),
        Some(_) => Err(OpenAiError::invalid("", format!("the header {ROLE} must be passage or query"))),
    }
}
