//! The library in a few lines: open, ingest, ask for a draft.
//!
//!     cargo run -p rejoinder --example library -- DATA_FOLDER MAILBOX...

use rejoinder::assist::{SuggestRequest, Ticket, TicketDirection, TicketMessage};
use rejoinder::{Config, Rejoinder, TenantId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().ok_or("usage: library DATA_FOLDER MAILBOX...")?;
    let mailboxes: Vec<_> = arguments.map(Into::into).collect();

    let tenant = TenantId::new("example")?;
    let rejoinder = Rejoinder::open(Config::new(tenant.clone(), data)).await?;
    let report = rejoinder.ingest(&tenant, &mailboxes, &()).await?;
    println!("{} of {} items indexed, {} skipped", report.indexed, report.seen, report.skipped);

    let question = TicketMessage {
        direction: TicketDirection::Inbound,
        from: "paula@customer.example".to_owned(),
        sent_at: None,
        text: "We cannot find your last invoice. Could you send us another copy?".to_owned(),
        html: None,
    };
    let ticket = Ticket { id: "T-1".to_owned(), messages: vec![question], ..Ticket::default() };
    let suggested = rejoinder.suggest(&tenant, &SuggestRequest::new(ticket)).await?;
    match suggested.answer.suggestions.first() {
        Some(draft) => println!("{}\n\nreview: {:?}", draft.text, draft.review_reasons),
        None => println!("nothing similar is known"),
    }
    Ok(())
}
