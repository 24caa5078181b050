//! A ticket on the wire.

use jiff::Timestamp;
use rejoinder::assist::{Customer, Ticket, TicketDirection, TicketMessage};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = Ticket)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketDto {
    id: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    customer: CustomerDto,
    /// At least one inbound, with a text or with a subject of the ticket, where a reply is asked for.
    #[schema(min_items = 1)]
    messages: Vec<MessageDto>,
}

#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[schema(as = Customer)]
#[serde(deny_unknown_fields, default)]
struct CustomerDto {
    email: Option<String>,
    name: Option<String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = TicketMessage)]
#[serde(deny_unknown_fields)]
struct MessageDto {
    direction: DirectionDto,
    #[serde(default)]
    from: String,
    #[serde(default)]
    sent_at: Option<Timestamp>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    html: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[schema(as = TicketDirection)]
#[serde(rename_all = "snake_case")]
enum DirectionDto {
    Inbound,
    Outbound,
    Note,
}

impl From<TicketDto> for Ticket {
    fn from(ticket: TicketDto) -> Self {
        let messages = ticket.messages.into_iter().map(|message| TicketMessage {
            direction: match message.direction {
                DirectionDto::Inbound => TicketDirection::Inbound,
                DirectionDto::Outbound => TicketDirection::Outbound,
                DirectionDto::Note => TicketDirection::Note,
            },
            from: message.from,
            sent_at: message.sent_at,
            text: message.text.unwrap_or_default(),
            html: message.html,
        });
        Self {
            id: ticket.id,
            subject: ticket.subject,
            customer: Customer { email: ticket.customer.email, name: ticket.customer.name },
            messages: messages.collect(),
        }
    }
}
