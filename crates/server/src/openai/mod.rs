//! The OpenAI-shaped routes, so that programs written for OpenAI's API work with a changed base URL:
//! `POST /v1/chat/completions`, `POST /v1/embeddings`, `GET /v1/models`, `GET /v1/models/{model}`.
//!
//! What cannot be honoured is refused with the parameter's name, never dropped in silence; what changes nothing in an
//! answer (`user`, `metadata`, cache hints) is taken and ignored. Errors have OpenAI's shape, and what the official clients
//! decide on: status, `code`, `Retry-After`, `x-should-retry`. What goes beyond the API is in headers (`x-rejoinder-egress`
//! narrows what may leave the machine) and in an extra `rejoinder` object of the answer, which clients skip.
//!
//! Modules in reading order: `chat` (the handler and the answer in one piece), `stream`, `request`, `messages`, `tools`,
//! `embeddings`, `models`, `answer` (who gave it), `fields` (reading with the place of every error), `error`.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::routes;
use crate::server::App;

mod answer;
mod chat;
pub(crate) mod document;
mod embeddings;
mod error;
mod fields;
mod messages;
mod models;
mod request;
mod stream;
mod tools;

pub(crate) use error::Document as ErrorDocument;

/// The routes; every error of theirs, also of what surrounds them, has OpenAI's shape.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let work = Router::new()
        .route("/v1/chat/completions", post(chat::handle))
        .route("/v1/embeddings", post(embeddings::handle))
        .method_not_allowed_fallback(async || crate::Problem::method_not_allowed());
    let read = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*model}", get(models::one))
        .method_not_allowed_fallback(async || crate::Problem::method_not_allowed());
    Router::new()
        .merge(routes::model_routes(app, work))
        .merge(routes::read_routes(app, read))
        .layer(middleware::map_response(error::shaped))
}
