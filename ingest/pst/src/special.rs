//! What only some kinds of items have: times and places, phone numbers, due dates.

use std::io::{Read, Seek};

use crate::item::ItemKind;
use crate::named::{NamedProperties, PropertySet, outlook_set};
use crate::properties::Reader;
use crate::property_id as id;

const APPOINTMENT: PropertySet = outlook_set(0x0006_2002);
const TASK: PropertySet = outlook_set(0x0006_2003);
const ADDRESS: PropertySet = outlook_set(0x0006_2004);

/// A calendar entry or meeting request; times in microseconds since 1970-01-01 UTC ([MS-OXOCAL]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appointment {
    /// When it begins.
    pub start: Option<i64>,
    /// When it ends.
    pub end: Option<i64>,
    /// Where.
    pub location: Option<String>,
    /// Whether it lasts whole days.
    pub all_day: bool,
    /// Whether it repeats.
    pub recurring: bool,
}

/// A contact ([MS-OXOCNTC]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Name as shown.
    pub display_name: Option<String>,
    /// Given name.
    pub given_name: Option<String>,
    /// Surname.
    pub surname: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Position in the company.
    pub job_title: Option<String>,
    /// Internet addresses, at most three.
    pub emails: Vec<String>,
    /// Phone numbers: business, mobile, home.
    pub phones: Vec<String>,
}

/// A task; times in microseconds since 1970-01-01 UTC ([MS-OXOTASK]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// When it begins.
    pub start: Option<i64>,
    /// When it is due.
    pub due: Option<i64>,
    /// Whether it is done.
    pub complete: bool,
}

/// Reads the part that belongs to the item's kind.
pub(crate) fn read<R: Read + Seek>(
    reader: &mut Reader<'_, R>,
    names: &NamedProperties,
    kind: ItemKind,
    message_class: &str,
) -> (Option<Appointment>, Option<Contact>, Option<Task>) {
    match kind {
        ItemKind::Contact => (None, Some(contact(reader, names)), None),
        ItemKind::Task => (None, None, Some(task(reader, names))),
        ItemKind::Appointment => (Some(appointment(reader, names)), None, None),
        ItemKind::Message if message_class.to_ascii_uppercase().starts_with("IPM.SCHEDULE") => {
            (Some(appointment(reader, names)), None, None)
        }
        _ => (None, None, None),
    }
}

fn appointment<R: Read + Seek>(reader: &mut Reader<'_, R>, names: &NamedProperties) -> Appointment {
    let id_of = |number| names.by_number(APPOINTMENT, number);
    Appointment {
        start: id_of(0x820d).and_then(|id| reader.time(id)).or_else(|| reader.time(id::START_DATE)),
        end: id_of(0x820e).and_then(|id| reader.time(id)).or_else(|| reader.time(id::END_DATE)),
        location: id_of(0x8208).and_then(|id| reader.text(id)),
        all_day: id_of(0x8215).is_some_and(|id| reader.boolean(id)),
        recurring: id_of(0x8223).is_some_and(|id| reader.boolean(id)),
    }
}

fn contact<R: Read + Seek>(reader: &mut Reader<'_, R>, names: &NamedProperties) -> Contact {
    let mut emails = Vec::new();
    // Each of the three addresses has its own block of names: the address, and what was typed where that is no address.
    for first in [0x8080, 0x8090, 0x80a0] {
        let candidates = [first + 3, first + 4].into_iter().filter_map(|number| names.by_number(ADDRESS, number));
        let email = candidates.filter_map(|id| reader.text(id)).find(|address| address.contains('@'));
        emails.extend(email.filter(|email| !emails.contains(email)));
    }
    let phones = [id::BUSINESS_PHONE, id::MOBILE_PHONE, id::HOME_PHONE];
    Contact {
        display_name: reader.text(id::DISPLAY_NAME),
        given_name: reader.text(id::GIVEN_NAME),
        surname: reader.text(id::SURNAME),
        company: reader.text(id::COMPANY),
        job_title: reader.text(id::JOB_TITLE),
        phones: phones.into_iter().filter_map(|id| reader.text(id)).collect(),
        emails,
    }
}

fn task<R: Read + Seek>(reader: &mut Reader<'_, R>, names: &NamedProperties) -> Task {
    let id_of = |number| names.by_number(TASK, number);
    Task {
        start: id_of(0x8104).and_then(|id| reader.time(id)),
        due: id_of(0x8105).and_then(|id| reader.time(id)),
        complete: id_of(0x811c).is_some_and(|id| reader.boolean(id)),
    }
}
