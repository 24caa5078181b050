//! `GET /v1/models` and `GET /v1/models/{model}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use rejoinder::{ModelInfo, ModelKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::OpenAiError;
use crate::server::App;

/// Names that leave the choice of the model to the server.
const ANY: [&str; 2] = ["auto", "rejoinder"];

#[derive(Serialize, ToSchema)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<ModelDto>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct ModelDto {
    id: String,
    object: &'static str,
    /// When this server started: the API wants a time, and when a model was made is not known.
    created: i64,
    owned_by: String,
    rejoinder: DetailDto,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelDetail)]
struct DetailDto {
    kind: &'static str,
    /// Who serves it, in the order in which they are asked; each name can be used as a model's.
    providers: Vec<String>,
    context_tokens: usize,
}

/// The model that `name` means, as a model's or a target's name; `None` leaves the choice to the server.
pub(crate) fn find<'a>(
    models: &'a [ModelInfo],
    name: &str,
    kind: ModelKind,
) -> Result<Option<&'a ModelInfo>, OpenAiError> {
    if ANY.contains(&name) {
        return Ok(None);
    }
    let named = |model: &&ModelInfo| model.id == name || (kind == ModelKind::Chat && model.provider == name);
    if let Some(model) = models.iter().filter(|model| model.kind == kind).find(named) {
        return Ok(Some(model));
    }
    let other = models.iter().any(|model| model.id == name);
    let message = if other {
        let wanted = if kind == ModelKind::Chat { "writes no answers" } else { "makes no vectors" };
        format!("the model '{name}' {wanted}; GET /v1/models lists what each does")
    } else {
        format!("the model '{name}' does not exist; GET /v1/models lists those that do, and 'auto' leaves the choice")
    };
    Err(OpenAiError::no_model(message))
}

pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: all(&app) })
}

pub(crate) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<ModelDto>, OpenAiError> {
    let found = all(&app).into_iter().find(|model| model.id == id);
    found.map(Json).ok_or_else(|| OpenAiError::no_model(format!("the model '{id}' does not exist")))
}

/// Every model once, whoever serves it.
fn all(app: &App) -> Vec<ModelDto> {
    let mut models: Vec<ModelDto> = Vec::new();
    for info in app.rejoinder.models() {
        let kind = info.kind.as_str();
        match models.iter_mut().find(|model| model.id == info.id && model.rejoinder.kind == kind) {
            Some(known) => known.rejoinder.providers.push(info.provider),
            None => models.push(ModelDto {
                id: info.id,
                object: "model",
                created: app.started.as_second(),
                owned_by: info.provider.clone(),
                rejoinder: DetailDto { kind, providers: vec![info.provider], context_tokens: info.context_tokens },
            }),
        }
    }
    models
}
