//! `DELETE /v1/messages/{id}`, `/v1/mailboxes/{id}`, `/v1/subjects/{email}`: erasure with a receipt.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use rejoinder::{EraseReceipt, EraseTarget, ErrorKind, MailboxId, MessageId, TenantId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::problem::{Problem, chain};
use crate::server::App;

/// The answer's body; `rejoinder erase --json` prints it too.
#[derive(Clone, Debug, Serialize, ToSchema)]
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

pub(crate) async fn message(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Receipt>, Problem> {
    erase(&app, &tenant, EraseTarget::Message(MessageId::from_stored(id))).await
}

pub(crate) async fn mailbox(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Receipt>, Problem> {
    erase(&app, &tenant, EraseTarget::Mailbox(MailboxId::from_stored(id))).await
}

pub(crate) async fn subject(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(email): Path<String>,
) -> Result<Json<Receipt>, Problem> {
    if !email.contains('@') {
        return Err(Problem::invalid("", "a person is named by an e-mail address"));
    }
    erase(&app, &tenant, EraseTarget::Person(email)).await
}

async fn erase(app: &App, tenant: &TenantId, target: EraseTarget) -> Result<Json<Receipt>, Problem> {
    app.live.forget(tenant);
    let receipt = app.rejoinder.erase(tenant, &target).await.map_err(|error| match &error {
        rejoinder::Error::ErasedButStore(cause) => {
            tracing::error!(error = chain(cause), "the store could not erase its part");
            Problem::erased_but_store()
        }
        _ if error.kind() == ErrorKind::Transient => Problem::ingesting(),
        _ => Problem::from_library(&error),
    })?;
    Ok(Json(receipt.into()))
}
