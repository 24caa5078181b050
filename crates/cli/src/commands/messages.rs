//! `rejoinder messages`: every indexed message, one JSON object a line.

use std::io::Write as _;

use rejoinder::{Attachment, Message, Rejoinder, SegmentKind, ThreadedMessage};
use serde_json::{Value, json};

use super::{Outcome, open_without_language_model};
use crate::settings::Settings;

/// How many messages are held at a time.
const PAGE: u32 = 200;

pub(crate) async fn run(settings: Settings, as_json: bool) -> anyhow::Result<Outcome> {
    let rejoinder = open_without_language_model(settings).await?;
    match list(&rejoinder, as_json) {
        // `rejoinder messages | head` has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(Outcome::Complete),
        listed => listed.map(|()| Outcome::Complete),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn list(rejoinder: &Rejoinder, as_json: bool) -> anyhow::Result<()> {
    let tenant = rejoinder.default_tenant();
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    let mut after = None;
    loop {
        let page = rejoinder.messages(tenant, after.as_ref(), PAGE)?;
        for threaded in &page {
            if as_json {
                writeln!(output, "{}", object(threaded))?;
            } else {
                writeln!(output, "{}", line(&threaded.message))?;
            }
        }
        let Some(last) = page.last() else { break };
        after = Some(last.message.id.clone());
    }
    output.flush()?;
    Ok(())
}

fn object(threaded: &ThreadedMessage) -> Value {
    let message = &threaded.message;
    json!({
        "id": message.id,
        "message_id": message.rfc_message_id,
        "thread_id": threaded.thread_id,
        "kind": message.kind,
        "subject": message.subject,
        "from": message.from,
        "to": message.to,
        "cc": message.cc,
        "sent_at": message.sent_at,
        "direction": message.direction,
        "language": message.language,
        "attachments": message.attachments.iter().map(attachment).collect::<Vec<_>>(),
        "new_text": message.body.text_of(SegmentKind::New),
        "quoted_text": message.body.text_of(SegmentKind::Quoted),
        "forwarded_text": message.body.text_of(SegmentKind::Forwarded),
        "signature": message.body.text_of(SegmentKind::Signature),
        "legal_text": message.body.text_of(SegmentKind::Legal),
    })
}

fn attachment(attachment: &Attachment) -> Value {
    json!({
        "name": attachment.name,
        "type": attachment.media_type,
        "bytes": attachment.bytes,
        "sha256": attachment.sha256,
        "inline": attachment.inline,
    })
}

fn line(message: &Message) -> String {
    let from = message.from.as_ref().map_or("", |from| if from.name.is_empty() { &from.email } else { &from.name });
    let sent_at = message.sent_at.map(|at| at.to_string()).unwrap_or_default();
    format!("{}  {:<20}  {:<24}  {}", message.id, sent_at, from, message.subject)
}
