//! `DELETE /v1/messages/{id}`, `/v1/mailboxes/{id}`, `/v1/subjects/{email}`: erasure with a receipt.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use rejoinder::{EraseReceipt, EraseTarget, MailboxId, MessageId};
use serde::Serialize;

use crate::problem::Problem;
use crate::server::App;

/// The answer's body; `rejoinder erase --json` prints it too.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    id: String,
    at: Timestamp,
    target: &'static str,
    messages: u64,
    records: u64,
    suggestions: u64,
    /// What asking again found: 0, or the erasure is to be repeated.
    left: u64,
}

impl From<EraseReceipt> for Receipt {
    fn from(receipt: EraseReceipt) -> Self {
        Self {
            id: receipt.id,
            at: receipt.at,
            target: receipt.target,
            messages: receipt.messages,
            records: receipt.records,
            suggestions: receipt.suggestions,
            left: receipt.left,
        }
    }
}

pub(crate) async fn message(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Receipt>, Problem> {
    erase(&app, EraseTarget::Message(MessageId::from_stored(id))).await
}

pub(crate) async fn mailbox(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Receipt>, Problem> {
    erase(&app, EraseTarget::Mailbox(MailboxId::from_stored(id))).await
}

pub(crate) async fn subject(State(app): State<Arc<App>>, Path(email): Path<String>) -> Result<Json<Receipt>, Problem> {
    if !email.contains('@') {
        return Err(Problem::invalid("", "a person is named by an e-mail address"));
    }
    erase(&app, EraseTarget::Person(email)).await
}

async fn erase(app: &App, target: EraseTarget) -> Result<Json<Receipt>, Problem> {
    let tenant = app.rejoinder.default_tenant();
    let receipt = app.rejoinder.erase(tenant, &target).await.map_err(|error| Problem::from_library(&error))?;
    Ok(Json(receipt.into()))
}
