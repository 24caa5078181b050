//! `GET /v1/subjects/{email}`: what is held on a person, for a request under a data protection law (GDPR, article 15).

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use rejoinder::{HeldMessage, KnownSuggestion};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::page::{self, Limit};
use crate::problem::Problem;
use crate::server::App;
use crate::suggestions::KnownSuggestionDto;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectParameters {
    cursor: Option<String>,
    #[serde(default)]
    limit: Limit,
}

/// A page of what is held on a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SubjectAnswer {
    /// All messages that the person is part of, or in whose text the address stands.
    messages: usize,
    /// All suggestions that rest on them.
    suggestions: usize,
    /// Reply pairs that were learned from them.
    learned_pairs: usize,
    /// Messages in full, in order of their ids.
    data: Vec<HeldMessageDto>,
    /// Suggestions with their outcomes; all of them with the first page.
    held_suggestions: Vec<KnownSuggestionDto>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct HeldMessageDto {
    id: String,
    mailboxes: Vec<String>,
    from: Option<String>,
    to: Vec<String>,
    cc: Vec<String>,
    subject: String,
    sent_at: Option<Timestamp>,
    text: String,
    attachments: Vec<String>,
}

pub(crate) async fn export(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(email): Path<String>,
    parameters: Result<Query<SubjectParameters>, QueryRejection>,
) -> Result<Json<SubjectAnswer>, Problem> {
    let asked = page::parameters(parameters)?;
    if !email.contains('@') {
        return Err(Problem::invalid("", "a person is named by an e-mail address"));
    }
    let limit = asked.limit.get()?;
    let held = app.rejoinder.export_person(&tenant, &email, asked.cursor, limit).await;
    let held = held.map_err(|error| page::problem_of(&error))?;
    Ok(Json(SubjectAnswer {
        messages: held.messages,
        suggestions: held.suggestions,
        learned_pairs: held.learned_pairs,
        data: held.page.into_iter().map(HeldMessageDto::from).collect(),
        held_suggestions: held.held_suggestions.into_iter().map(|known: KnownSuggestion| known.into()).collect(),
        next_cursor: held.next,
    }))
}

impl From<HeldMessage> for HeldMessageDto {
    fn from(held: HeldMessage) -> Self {
        let message = held.message;
        let named = |address: &rejoinder::Address| {
            if address.name.is_empty() {
                address.email.clone()
            } else {
                format!("{} <{}>", address.name, address.email)
            }
        };
        Self {
            id: message.id.as_str().to_owned(),
            mailboxes: held.mailboxes,
            from: message.from.as_ref().map(named),
            to: message.to.iter().map(named).collect(),
            cc: message.cc.iter().map(named).collect(),
            subject: message.subject,
            sent_at: message.sent_at,
            text: message.body.text,
            attachments: message.attachments.into_iter().map(|attachment| attachment.name).collect(),
        }
    }
}
