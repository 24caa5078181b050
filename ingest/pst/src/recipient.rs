//! People: senders and recipients.

use std::io::{Read, Seek};

use crate::error::{Problem, ProblemKind, Result};
use crate::ltp::{PropertyValue, Row, Table};
use crate::ndb::{Database, Node};
use crate::properties::Reader;
use crate::property_id as id;

const RECIPIENT_TABLE: u32 = 0x692;

/// A person or mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Party {
    /// Display name; empty where there is none.
    pub name: String,
    /// Internet address; `None` where the file knows only an Exchange name (`/o=…`) or none.
    pub email: Option<String>,
    /// The address as it is stored, whatever its type.
    pub raw_address: Option<String>,
    /// Type of the stored address (`SMTP`, `EX`).
    pub address_type: Option<String>,
}

/// Where the properties of a [`Party`] stand.
#[derive(Clone, Copy)]
pub(crate) struct PartyIds {
    pub(crate) name: u16,
    pub(crate) address_type: u16,
    pub(crate) address: u16,
    pub(crate) smtp: u16,
}

pub(crate) const SENDER: PartyIds = PartyIds {
    name: id::SENDER_NAME,
    address_type: id::SENDER_TYPE,
    address: id::SENDER_ADDRESS,
    smtp: id::SENDER_SMTP,
};
pub(crate) const SENT_REPRESENTING: PartyIds = PartyIds {
    name: id::SENT_REPRESENTING_NAME,
    address_type: id::SENT_REPRESENTING_TYPE,
    address: id::SENT_REPRESENTING_ADDRESS,
    smtp: id::SENT_REPRESENTING_SMTP,
};
pub(crate) const RECEIVED_BY: PartyIds = PartyIds {
    name: id::RECEIVED_BY_NAME,
    address_type: id::RECEIVED_BY_TYPE,
    address: id::RECEIVED_BY_ADDRESS,
    smtp: id::RECEIVED_BY_SMTP,
};
const RECIPIENT: PartyIds = PartyIds {
    name: id::DISPLAY_NAME,
    address_type: id::ADDRESS_TYPE,
    address: id::EMAIL_ADDRESS,
    smtp: id::SMTP_ADDRESS,
};

impl Party {
    fn new(mut text: impl FnMut(u16) -> Option<String>, ids: PartyIds) -> Self {
        let raw_address = text(ids.address);
        let address_type = text(ids.address_type);
        let is_internet = |address: &String| {
            address.contains('@') && !address_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("EX"))
        };
        let email =
            text(ids.smtp).filter(|address| address.contains('@')).or_else(|| raw_address.clone().filter(is_internet));
        Self { name: text(ids.name).unwrap_or_default(), email, raw_address, address_type }
    }

    pub(crate) fn of_item<R: Read + Seek>(reader: &mut Reader<'_, R>, ids: PartyIds) -> Self {
        Self::new(|property| reader.text(property), ids)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty() && self.email.is_none() && self.raw_address.is_none()
    }
}

/// In which role someone receives an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientKind {
    /// The sender, listed by some programs.
    Originator,
    /// To; for meetings, required.
    To,
    /// Cc; for meetings, optional.
    Cc,
    /// Bcc; for meetings, a resource.
    Bcc,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The role.
    pub kind: RecipientKind,
    /// Who.
    pub party: Party,
}

/// The recipients in the item's recipient table; an item without one has none. What fails is noted.
pub(crate) fn list<R: Read + Seek>(database: &mut Database<R>, item: Node, code_page: u32) -> Vec<Recipient> {
    match try_list(database, item, code_page) {
        Ok(recipients) => recipients,
        Err(error) => {
            database.note(Problem::from(error).within("recipient table"));
            Vec::new()
        }
    }
}

fn try_list<R: Read + Seek>(database: &mut Database<R>, item: Node, code_page: u32) -> Result<Vec<Recipient>> {
    if item.subnodes == 0 {
        return Ok(Vec::new());
    }
    let node = match database.subnode(item.subnodes, RECIPIENT_TABLE) {
        Ok(node) => node,
        Err(error) if error.kind() == crate::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut table = Table::open(database, node)?;
    table.code_page = code_page;
    let mut recipients = Vec::new();
    for (row_id, place) in table.index() {
        if recipients.len() >= database.options.max_recipients {
            let detail = "more recipients than the limit; the rest is left out";
            database.note(Problem::new("recipient table", ProblemKind::Limit, detail));
            break;
        }
        match table.row(database, *place) {
            Ok(row) => recipients.push(recipient(database, &table, &row)),
            Err(error) => database.note(error.within(format!("recipient {row_id:#x}")).into()),
        }
    }
    Ok(recipients)
}

fn recipient<R: Read + Seek>(database: &mut Database<R>, table: &Table, row: &Row) -> Recipient {
    let mut cell = |property| match table.cell(database, row, property) {
        Ok(value) => value,
        Err(error) => {
            database.note(Problem::from(error).within("recipient table"));
            None
        }
    };
    let kind = match cell(id::RECIPIENT_TYPE).and_then(|value| value.as_integer()).unwrap_or(1) & 0xf {
        0 => RecipientKind::Originator,
        2 => RecipientKind::Cc,
        3 => RecipientKind::Bcc,
        _ => RecipientKind::To,
    };
    let text = |property| match cell(property) {
        Some(PropertyValue::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    Recipient { kind, party: Party::new(text, RECIPIENT) }
}
