//! The map from property names to property ids ([MS-PST] 2.4.7).

use std::borrow::Cow;
use std::collections::HashMap;

use crate::context::{Properties, Subnodes};
use crate::error::{Result, WriteError};
use crate::file::{BlockId, NodeFile};
use crate::format::checksum;
use crate::property::{PropertyId, StoredValue};

/// The set of names that Outlook's own properties are in, `PS_MAPI`, as it lies in the file.
pub const PS_MAPI: [u8; 16] = outlook_set(0x28, 0x03);
/// The set of names that users and internet headers give, `PS_PUBLIC_STRINGS`.
pub const PS_PUBLIC_STRINGS: [u8; 16] = outlook_set(0x29, 0x03);
/// Properties common to all items, `PSETID_Common`.
pub const PSETID_COMMON: [u8; 16] = outlook_set(0x08, 0x20);
/// Properties of appointments, `PSETID_Appointment`.
pub const PSETID_APPOINTMENT: [u8; 16] = outlook_set(0x02, 0x20);
/// Properties of tasks, `PSETID_Task`.
pub const PSETID_TASK: [u8; 16] = outlook_set(0x03, 0x20);
/// Properties of contacts, `PSETID_Address`.
pub const PSETID_ADDRESS: [u8; 16] = outlook_set(0x04, 0x20);
/// Properties of notes, `PSETID_Note`.
pub const PSETID_NOTE: [u8; 16] = outlook_set(0x0E, 0x20);

/// The buckets of the map's hash table; the number that Outlook uses.
const BUCKETS: u32 = 251;
/// The id of the first bucket.
const FIRST_BUCKET: u16 = 0x1000;
/// The first id that a name can get.
const FIRST_NAMED: u16 = 0x8000;
/// The most names; the ids above are reserved.
const MAX_NAMES: usize = 0x7FFE;

/// The names that a file uses, each with its id.
#[derive(Default)]
pub(crate) struct NameMap {
    ids: HashMap<PropertyId, u16>,
    sets: Vec<[u8; 16]>,
    entries: Vec<u8>,
    strings: Vec<u8>,
    buckets: HashMap<u16, Vec<u8>>,
}

impl NameMap {
    /// The id of a property, new if the name is.
    pub(crate) fn id(&mut self, property: &PropertyId) -> Result<u16> {
        if let PropertyId::Tag(id) = property {
            return Ok(*id);
        }
        if let Some(id) = self.ids.get(property) {
            return Ok(*id);
        }
        if self.ids.len() >= MAX_NAMES {
            return Err(WriteError::TooLarge { what: "the number of property names", limit: MAX_NAMES as u64 });
        }
        let index = self.ids.len() as u16;
        // What the entry holds is a number or an offset; what the hash is made of is a number or a checksum.
        let (set, stored, hashed, is_string) = match property {
            PropertyId::Tag(id) => return Ok(*id),
            PropertyId::Numbered { set, number } => (set, *number, *number, false),
            PropertyId::Named { set, name } => {
                let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
                (set, self.add_string(&utf16), checksum(&utf16), true)
            }
        };
        let set = self.set_index(*set) << 1 | u16::from(is_string);
        self.entries.extend(entry(stored, set, index));
        let bucket = FIRST_BUCKET + ((hashed ^ u32::from(set)) % BUCKETS) as u16;
        self.buckets.entry(bucket).or_default().extend(entry(hashed, set, index));
        let id = FIRST_NAMED + index;
        self.ids.insert(property.clone(), id);
        Ok(id)
    }

    /// Writes the map as the property context of its node.
    pub(crate) fn write(&self, file: &mut NodeFile, subnodes: &mut Subnodes) -> Result<BlockId> {
        let sets: Vec<u8> = self.sets.concat();
        let mut properties = Properties::default();
        properties.set(1, StoredValue { kind: 3, bytes: Cow::Owned(BUCKETS.to_le_bytes().to_vec()) });
        let streams = [(2, &sets), (3, &self.entries), (4, &self.strings)];
        for (id, bytes) in streams.into_iter().chain(self.buckets.iter().map(|(id, bytes)| (*id, bytes))) {
            properties.set(id, StoredValue { kind: 0x0102, bytes: Cow::Borrowed(bytes) });
        }
        properties.write(file, subnodes)
    }

    fn add_string(&mut self, utf16: &[u8]) -> u32 {
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(&(utf16.len() as u32).to_le_bytes());
        self.strings.extend_from_slice(utf16);
        self.strings.resize(self.strings.len().next_multiple_of(4), 0);
        offset
    }

    /// The number by which entries call a set: two sets are known to all, the others are listed from 3 on.
    fn set_index(&mut self, set: [u8; 16]) -> u16 {
        match set {
            PS_MAPI => 1,
            PS_PUBLIC_STRINGS => 2,
            _ => {
                let known = self.sets.iter().position(|other| *other == set);
                let index = known.unwrap_or_else(|| {
                    self.sets.push(set);
                    self.sets.len() - 1
                });
                index as u16 + 3
            }
        }
    }
}

/// The GUIDs of Outlook's sets differ in their first three bytes only: `{0006hhll-0000-0000-C000-000000000046}`, or with
/// `0002` for those of MAPI itself.
const fn outlook_set(low: u8, high: u8) -> [u8; 16] {
    let family = if high == 0x03 { 2 } else { 6 };
    [low, high, family, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46]
}

/// A `NAMEID` ([MS-PST] 2.4.7.1).
fn entry(value: u32, set: u16, index: u16) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.extend_from_slice(&set.to_le_bytes());
    bytes.extend_from_slice(&index.to_le_bytes());
    bytes
}
