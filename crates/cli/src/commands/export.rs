//! `rejoinder export --person`: what is held on a person.

use serde_json::json;

use super::{Outcome, open_without_language_model};
use crate::settings::Settings;

/// Messages that are fetched at a time.
const PAGE: u32 = 200;

pub(crate) async fn run(settings: Settings, person: &str) -> anyhow::Result<Outcome> {
    let rejoinder = open_without_language_model(settings).await?;
    let tenant = rejoinder.default_tenant();
    let (mut messages, mut suggestions, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = rejoinder.export_person(tenant, person, cursor, PAGE).await?;
        for held in page.page {
            messages.push(json!({ "mailboxes": held.mailboxes, "message": held.message }));
        }
        for known in page.held_suggestions {
            suggestions.push(json!({
                "id": known.suggestion.id,
                "ticket_id": known.suggestion.ticket,
                "created_at": known.suggestion.created,
                "body": known.suggestion.body,
            }));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let export = json!({ "person": person, "messages": messages, "suggestions": suggestions });
    println!("{}", serde_json::to_string_pretty(&export)?);
    Ok(Outcome::Complete)
}
