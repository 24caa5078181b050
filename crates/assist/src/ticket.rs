//! The ticket that a CRM sends.

use jiff::Timestamp;
use rejoinder_domain::Span;

use crate::config::RequestLimits;
use crate::{AssistError, TextCleaner};

/// Which way a ticket's message went, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketDirection {
    /// From the customer.
    Inbound,
    /// From us to the customer.
    Outbound,
    /// Among ourselves; the customer never saw it.
    Note,
}

/// One message of a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketMessage {
    /// Which way it went.
    pub direction: TicketDirection,
    /// Who wrote it: a name, an address, or both.
    pub from: String,
    /// When.
    pub sent_at: Option<Timestamp>,
    /// Plain text; may be empty where there is HTML.
    pub text: String,
    /// HTML body, where there is one.
    pub html: Option<String>,
}

/// Who the ticket is from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// E-mail address.
    pub email: Option<String>,
    /// Name as the CRM has it; a title in front (`Frau`, `Mr`) decides the form of address.
    pub name: Option<String>,
}

/// A ticket, its messages oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ticket {
    /// The CRM's own id.
    pub id: String,
    /// Subject.
    pub subject: String,
    /// Who it is from.
    pub customer: Customer,
    /// The conversation so far, oldest first.
    pub messages: Vec<TicketMessage>,
}

/// A ticket's message as readable text, with what its sender wrote in it.
pub(crate) struct ReadMessage {
    /// Place in the ticket.
    pub(crate) index: usize,
    /// Which way it went.
    pub(crate) direction: TicketDirection,
    /// The text that was sent, or the readable text of the HTML where there was no plain text.
    pub(crate) text: String,
    /// Whether `text` was made from HTML.
    pub(crate) from_html: bool,
    /// The new text in `text`.
    pub(crate) new_spans: Vec<Span>,
    /// When it was sent.
    pub(crate) sent_at: Option<Timestamp>,
}

impl ReadMessage {
    /// What the sender wrote in this message.
    pub(crate) fn new_text(&self) -> String {
        let parts: Vec<&str> = self.new_spans.iter().filter_map(|span| span.of(&self.text)).map(str::trim).collect();
        parts.join("\n").trim().to_owned()
    }

    /// What its sender says with it: the new text, or all of it where everything is quotation.
    pub(crate) fn said(&self) -> String {
        Some(self.new_text()).filter(|text| !text.is_empty()).unwrap_or_else(|| self.text.trim().to_owned())
    }
}

impl Ticket {
    /// Refuses a ticket over a limit. `pointer` is where the ticket is in the request.
    pub(crate) fn check(&self, limits: &RequestLimits, pointer: &str) -> Result<(), AssistError> {
        if self.messages.len() > limits.ticket_messages {
            let message = format!("a ticket has at most {} messages (ticket_messages)", limits.ticket_messages);
            return Err(AssistError::invalid(format!("{pointer}/messages"), message));
        }
        check_chars(&self.subject, limits, &format!("{pointer}/subject"))?;
        for (index, message) in self.messages.iter().enumerate() {
            check_chars(&message.text, limits, &format!("{pointer}/messages/{index}/text"))?;
            let html = message.html.as_deref().unwrap_or_default();
            check_chars(html, limits, &format!("{pointer}/messages/{index}/html"))?;
        }
        Ok(())
    }

    /// Every message as readable text.
    pub(crate) fn read(&self, cleaner: &dyn TextCleaner) -> Vec<ReadMessage> {
        let read = |(index, message): (usize, &TicketMessage)| {
            let html = message.html.as_deref().filter(|_| message.text.trim().is_empty());
            let text = html.map_or_else(|| message.text.clone(), |html| cleaner.readable(html));
            let new_spans = cleaner.new_spans(&text);
            let (direction, sent_at) = (message.direction, message.sent_at);
            ReadMessage { index, direction, text, from_html: html.is_some(), new_spans, sent_at }
        };
        self.messages.iter().enumerate().map(read).collect()
    }
}

/// Refuses a text that is longer than allowed.
pub(crate) fn check_chars(text: &str, limits: &RequestLimits, pointer: &str) -> Result<(), AssistError> {
    // A text has at least a quarter as many characters as bytes, so most need no counting.
    if text.len() > limits.text_chars && text.chars().count() > limits.text_chars {
        let message = format!("a text has at most {} characters (text_chars)", limits.text_chars);
        return Err(AssistError::invalid(pointer, message));
    }
    Ok(())
}
