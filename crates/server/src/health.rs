//! `GET /healthz` (the process lives) and `GET /readyz` (it can answer, and with what).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rejoinder::{Place, TargetHealth};
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::App;

/// A store that is silent for longer is not ready.
const STORE_ANSWERS_IN: Duration = Duration::from_secs(3);
/// More records of usage than a burst leaves waiting.
const MANY_UNWRITTEN: u64 = 2000;

#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    status: &'static str,
    index_version: String,
    embedder: Option<String>,
    language_model: Option<String>,
    /// `lancedb` or `qdrant`.
    store: &'static str,
    /// Of the configured tenant; only where no credential is needed.
    messages: Option<u64>,
    reply_pairs: Option<u64>,
    pending: Option<u64>,
    /// What of the tenant's text may leave the machine.
    egress: Option<&'static str>,
    targets: Vec<TargetDto>,
    notes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Target)]
struct TargetDto {
    name: String,
    model: String,
    remote: bool,
    context_tokens: usize,
    /// `closed`: it is asked; `open`: it failed too often and is left alone; `half_open`: a few requests try it.
    circuit: &'static str,
    /// Of the breaker's window.
    requests: u32,
    failures: u32,
}

impl From<TargetHealth> for TargetDto {
    fn from(target: TargetHealth) -> Self {
        Self {
            name: target.name,
            model: target.model,
            remote: target.place == Place::Remote,
            context_tokens: target.context_tokens,
            circuit: target.breaker.state.as_str(),
            requests: target.breaker.requests,
            failures: target.breaker.failures,
        }
    }
}

pub(crate) async fn alive() -> Response {
    Json(Alive { status: "ok" }).into_response()
}

/// Without an embedder it is ready all the same: it answers by words, and says so. It is not ready when its ledger cannot be read.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let rejoinder = app.rejoinder.clone();
    let targets: Vec<TargetDto> = rejoinder.targets().into_iter().map(TargetDto::from).collect();
    let egress = rejoinder.egress_policy(rejoinder.default_tenant()).as_str();
    let store = tokio::time::timeout(STORE_ANSWERS_IN, rejoinder.store_health()).await;
    // Where callers need a credential, nobody without one is told about the mail. To count it takes seconds where it is much, and
    // a probe asks often.
    let open = app.access.authenticator().is_none();
    let loaded = rejoinder.loaded();
    let (unfinished, counted) = tokio::join!(rejoinder.unfinished_erasures(), async {
        let rejoinder = rejoinder.clone();
        let count = move || rejoinder.status(rejoinder.default_tenant());
        if open { tokio::task::spawn_blocking(count).await.map(|status| status.map(Some)) } else { Ok(Ok(None)) }
    });
    let (Ok(unfinished), Ok(Ok(status))) = (unfinished, counted) else {
        tracing::error!("not ready: the ledger cannot be read");
        let body = Json(Alive { status: "the ledger cannot be read" });
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    };
    let Ok(Ok(store)) = store else {
        tracing::error!("not ready: the vector store does not answer");
        let body = Json(Alive { status: "the vector store does not answer" });
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    };
    let pending = status.as_ref().map(|status| status.mailboxes.iter().map(|mailbox| mailbox.pending).sum::<u64>());
    let totals = status.map(|status| status.totals);
    let mut notes = Vec::new();
    if loaded.embedder_missing.is_some() {
        notes.push(
            "embedding weights are missing: mail is found by its words only; run `rejoinder models pull`".to_owned(),
        );
    }
    if let (None, Some(why)) = (&loaded.language_model, &loaded.language_model_reason) {
        notes.push(format!("drafts are earlier replies: {why}"));
    }
    notes.extend(store.warning);
    notes.extend(app.access.notes());
    if totals.is_some_and(|totals| totals.messages == 0) {
        notes.push("no mail is indexed yet; run `rejoinder ingest`".to_owned());
    }
    if let Some(pending) = pending.filter(|pending| *pending > 0) {
        notes.push(format!("{pending} messages are not in this index yet; run `rejoinder ingest` again"));
    }
    if !unfinished.is_empty() {
        notes.push(format!("erasures of {} tenants are not finished: the store holds a part still", unfinished.len()));
    }
    let journal = app.rejoinder.journal_health();
    if journal.unwritten > MANY_UNWRITTEN || journal.lost > 0 {
        notes.push(format!(
            "the account of usage cannot be written: {} records wait and {} are lost; look at the disk",
            journal.unwritten, journal.lost
        ));
    }
    for target in targets.iter().filter(|target| target.circuit == "open") {
        notes.push(format!("the target {} failed too often and is left alone for a while", target.name));
    }
    Json(Ready {
        status: "ready",
        index_version: loaded.index_version,
        embedder: loaded.embedder,
        language_model: loaded.language_model,
        store: store.kind,
        messages: totals.map(|totals| totals.messages),
        reply_pairs: totals.map(|totals| totals.pairs),
        pending,
        egress: open.then_some(egress),
        targets,
        notes,
    })
    .into_response()
}
