//! `GET /healthz` (the process lives) and `GET /readyz` (it can answer, and with what).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::server::App;

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    index_version: String,
    embedder: Option<String>,
    language_model: Option<String>,
    messages: u64,
    reply_pairs: u64,
    pending: u64,
    notes: Vec<String>,
}

pub(crate) async fn alive() -> Response {
    Json(Alive { status: "ok" }).into_response()
}

/// Without an embedder it is ready all the same: it answers by words, and says so. It is not ready when its ledger cannot be read.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let rejoinder = app.rejoinder.clone();
    let status = tokio::task::spawn_blocking(move || rejoinder.status(rejoinder.default_tenant())).await;
    let Ok(Ok(status)) = status else {
        tracing::error!("not ready: the ledger cannot be read");
        let body = Json(Alive { status: "the ledger cannot be read" });
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    };
    let pending = status.mailboxes.iter().map(|mailbox| mailbox.pending).sum();
    let mut notes = Vec::new();
    if status.embedder_missing.is_some() {
        notes.push(
            "embedding weights are missing: mail is found by its words only; run `rejoinder models pull`".to_owned(),
        );
    }
    if let (None, Some(why)) = (&status.language_model, &status.language_model_reason) {
        notes.push(format!("drafts are earlier replies: {why}"));
    }
    if status.totals.messages == 0 {
        notes.push("no mail is indexed yet; run `rejoinder ingest`".to_owned());
    }
    if pending > 0 {
        notes.push(format!("{pending} messages are not in this index yet; run `rejoinder ingest` again"));
    }
    Json(Ready {
        status: "ready",
        index_version: status.index_version,
        embedder: status.embedder,
        language_model: status.language_model,
        messages: status.totals.messages,
        reply_pairs: status.totals.pairs,
        pending,
        notes,
    })
    .into_response()
}
