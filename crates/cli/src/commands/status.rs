//! `rejoinder status`: what is indexed, mailbox by mailbox, and what was skipped.

use rejoinder::{Rejoinder, Skipped};
use serde_json::json;

use super::{Outcome, open};
use crate::settings::Settings;

/// How many skipped items are fetched at a time.
const PAGE: u32 = 500;

pub(crate) async fn run(settings: Settings, list_skipped: bool, as_json: bool) -> anyhow::Result<Outcome> {
    let rejoinder = open(settings).await?;
    let tenant = rejoinder.default_tenant();
    let status = rejoinder.status(tenant)?;
    let skipped = if list_skipped { all_skipped(&rejoinder)? } else { Vec::new() };
    if as_json {
        let answer = json!({
            "tenant": tenant.as_str(),
            "index_version": status.loaded.index_version,
            "embedder": status.loaded.embedder,
            "embedder_missing": status.loaded.embedder_missing,
            "language_model": status.loaded.language_model,
            "language_model_reason": status.loaded.language_model_reason,
            "totals": status.totals,
            "mailboxes": status.mailboxes,
            "retention": status.retention,
            "skips": skipped,
        });
        println!("{answer}");
        return Ok(Outcome::Complete);
    }
    println!("tenant {tenant}, index {}", status.loaded.index_version);
    println!(
        "{} messages in {} conversations, {} reply pairs, {} passages",
        status.totals.messages, status.totals.threads, status.totals.pairs, status.totals.chunks
    );
    match (&status.loaded.language_model, &status.loaded.language_model_reason) {
        (Some(name), why) => println!("language model {name}: {}", why.as_deref().unwrap_or_default()),
        (None, Some(why)) => println!("no language model: {why}"),
        (None, None) => println!("no language model: the configuration says so"),
    }
    if let Some(kept) = status.retention {
        let due = match (kept.messages_due, kept.suggestions_due) {
            (0, 0) => "none is older".to_owned(),
            (messages, suggestions) => format!(
                "{messages} messages and {suggestions} suggestions are older and go with the server's next round"
            ),
        };
        println!("mail is kept for {} days; {due}", kept.days);
    }
    for mailbox in &status.mailboxes {
        println!(
            "  {:<28} {:<11} {:>8} seen {:>8} indexed {:>6} duplicate {:>5} skipped {:>5} salvaged{}{}",
            mailbox.name,
            mailbox.format,
            mailbox.seen,
            mailbox.indexed,
            mailbox.duplicate,
            mailbox.skipped,
            mailbox.salvaged,
            if mailbox.pending > 0 { format!("  {} pending", mailbox.pending) } else { String::new() },
            if mailbox.complete { "" } else { "  not read to its end: ingest it again" },
        );
    }
    for item in &skipped {
        println!("  skipped {}: {}", item.place, item.reason);
    }
    Ok(Outcome::Complete)
}

fn all_skipped(rejoinder: &Rejoinder) -> anyhow::Result<Vec<Skipped>> {
    let mut skipped = Vec::new();
    loop {
        let page = rejoinder.skipped(rejoinder.default_tenant(), skipped.len() as u64, PAGE)?;
        let last = page.len() < PAGE as usize;
        skipped.extend(page);
        if last {
            return Ok(skipped);
        }
    }
}
