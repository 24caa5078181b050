//! `POST /v1/messages`: one message into the index now, so that the CRM keeps it fresh.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use rejoinder::{Address, Delivery, Direction, ErrorKind, Indexed, IndexedStatus, MessageFields, NewMessage};
use rejoinder_access::Quantity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Tenant;
use crate::json;
use crate::page;
use crate::problem::Problem;
use crate::search::DirectionDto;
use crate::server::App;

/// The mailbox of messages whose sender names none.
const MAILBOX: &str = "crm";
/// Characters of a mailbox's name at most.
const MAX_NAME: usize = 200;
/// Recipients, and references, at most.
const MAX_LIST: usize = 1000;

/// The body, where it is not the message itself (`message/rfc822`).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRequest {
    /// The mailbox that the message is listed under; `crm` if there is none.
    #[serde(default)]
    mailbox: Option<String>,
    /// The CRM's ticket that the message belongs to: suggestions for it are stale from now on.
    #[serde(default)]
    ticket_id: Option<String>,
    message: MessageDto,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MessageDto {
    /// `Message-ID` (RFC 5322), with or without angle brackets.
    #[serde(default)]
    message_id: Option<String>,
    /// An address, with or without a name: `Anna Weber <anna@weberbau.example>`.
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    sent_at: Option<Timestamp>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    html: Option<String>,
    #[serde(default)]
    in_reply_to: Option<String>,
    #[serde(default)]
    references: Vec<String>,
    /// Null: told by the configured domains.
    #[serde(default)]
    direction: Option<DirectionDto>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageParameters {
    mailbox: Option<String>,
    ticket_id: Option<String>,
}

/// What became of the message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IndexedDto {
    id: String,
    thread_id: Option<String>,
    /// `indexed`, or `duplicate` where it was there already.
    status: &'static str,
    /// Passages of it.
    chunks: u32,
    /// Reply pairs that it is part of.
    pairs: u32,
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    parameters: Result<Query<MessageParameters>, QueryRejection>,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Response, Problem> {
    let parameters = page::parameters(parameters)?;
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if let Ok(body) = &body {
        app.access.take(&tenant, Quantity::IngestBytes, body.len() as u64)?;
    }
    let (mailbox, ticket, direction, message) = if essence == "message/rfc822" {
        let bytes = json::whole(body, &app.config)?;
        if bytes.is_empty() {
            return Err(Problem::malformed("the message is empty"));
        }
        (parameters.mailbox, parameters.ticket_id, None, NewMessage::Raw(bytes.to_vec()))
    } else {
        if parameters.mailbox.is_some() || parameters.ticket_id.is_some() {
            return Err(Problem::parameter("mailbox", "with a JSON body it belongs into the body"));
        }
        let request: MessageRequest = json::read(&headers, body, &app.config)?;
        let direction = request.message.direction.map(Direction::from);
        (request.mailbox, request.ticket_id, direction, NewMessage::Fields(Box::new(request.message.read()?)))
    };
    let mailbox = mailbox.unwrap_or_else(|| MAILBOX.to_owned());
    if mailbox.trim().is_empty() || mailbox.chars().count() > MAX_NAME || mailbox.chars().any(char::is_control) {
        return Err(Problem::invalid("/mailbox", format!("a mailbox's name has 1 to {MAX_NAME} characters")));
    }
    let turn = app.access.turn(&tenant).await?;
    let indexed =
        app.rejoinder.index_message(&tenant, Delivery { mailbox, message, direction }).await.map_err(|error| {
            match error.kind() {
                ErrorKind::Invalid | ErrorKind::Corrupt => {
                    Problem::invalid("/message", "this is no message that can be read")
                }
                _ => Problem::from_library(&error),
            }
        })?;
    drop(turn);
    if let Some(ticket) = ticket.filter(|_| indexed.status == IndexedStatus::Indexed) {
        let noted = app.rejoinder.note_ticket(&tenant, &ticket, indexed.id.as_str()).await;
        noted.map_err(|error| Problem::from_library(&error))?;
    }
    answer(indexed)
}

fn answer(indexed: Indexed) -> Result<Response, Problem> {
    let (status, word) = match indexed.status {
        IndexedStatus::Indexed => (StatusCode::CREATED, "indexed"),
        IndexedStatus::Duplicate => (StatusCode::OK, "duplicate"),
        IndexedStatus::Erased => {
            return Err(Problem::conflict("erased", "this message was erased on request and is not taken in again"));
        }
    };
    let body = IndexedDto {
        id: indexed.id.as_str().to_owned(),
        thread_id: indexed.thread_id.map(|id| id.as_str().to_owned()),
        status: word,
        chunks: indexed.chunks,
        pairs: indexed.pairs,
    };
    Ok((status, Json(body)).into_response())
}

impl MessageDto {
    fn read(self) -> Result<MessageFields, Problem> {
        let text = self.text.as_deref().is_some_and(|text| !text.trim().is_empty());
        let html = self.html.as_deref().is_some_and(|html| !html.trim().is_empty());
        if !text && !html && self.subject.trim().is_empty() {
            return Err(Problem::invalid("/message/text", "a message has a subject, a text or HTML"));
        }
        for (pointer, list) in
            [("/message/to", &self.to), ("/message/cc", &self.cc), ("/message/references", &self.references)]
        {
            if list.len() > MAX_LIST {
                return Err(Problem::invalid(pointer, format!("at most {MAX_LIST} entries")));
            }
        }
        Ok(MessageFields {
            message_id: self.message_id,
            from: self.from.map(|from| address("/message/from", &from)).transpose()?,
            to: addresses("/message/to", &self.to)?,
            cc: addresses("/message/cc", &self.cc)?,
            subject: self.subject,
            sent_at: self.sent_at,
            text: self.text,
            html: self.html,
            in_reply_to: self.in_reply_to.into_iter().collect(),
            references: self.references,
        })
    }
}

fn addresses(pointer: &str, list: &[String]) -> Result<Vec<Address>, Problem> {
    list.iter().enumerate().map(|(index, text)| address(&format!("{pointer}/{index}"), text)).collect()
}

/// `name@domain`, or a name before it in angle brackets.
fn address(pointer: &str, text: &str) -> Result<Address, Problem> {
    let (name, email) = match text.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, email)) => (name.trim().trim_matches('"').trim(), email.trim()),
        None => ("", text.trim()),
    };
    let is_one = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !email.contains(char::is_whitespace)
    });
    if !is_one || email.chars().any(char::is_control) {
        return Err(Problem::invalid(pointer, "this is not an e-mail address"));
    }
    Ok(Address { name: name.to_owned(), email: email.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_with_and_without_names() {
        let read = |text: &str| address("", text).ok().map(|address| (address.name, address.email));
        let of = |name: &str, email: &str| Some((name.to_owned(), email.to_owned()));
        assert_eq!(read("a@b.example"), of("", "a@b.example"));
        assert_eq!(read("Anna Weber <a@b.example>"), of("Anna Weber", "a@b.example"));
        assert_eq!(read("\"Weber, Anna\" <a@b.example>"), of("Weber, Anna", "a@b.example"));
        for wrong in ["", "a", "@b", "a@", "a b@c", "<>", "x <a>", "a@b@c"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
