//! Named properties ([MS-PST] 2.4.7): which identifier above 0x8000 stands for which name in this file.

use std::collections::HashMap;
use std::io::{Read, Seek};

use crate::bytes::{u16_at, u32_at, utf16le};
use crate::error::Result;
use crate::ltp::PropertyContext;
use crate::ndb::Database;

const MAP_NODE: u32 = 0x61;
const GUIDS: u16 = 0x0002;
const ENTRIES: u16 = 0x0003;
const STRINGS: u16 = 0x0004;

/// A property set's identifier, in the file's byte order.
pub type PropertySet = [u8; 16];

/// What a named property is called inside its set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PropertyName {
    /// By number (LID).
    Number(u32),
    /// By text.
    Text(String),
}

/// A property set of the family `{xxxxxxxx-0000-0000-C000-000000000046}` that Outlook's own sets belong to.
pub const fn outlook_set(first: u32) -> PropertySet {
    let [a, b, c, d] = first.to_le_bytes();
    [a, b, c, d, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46]
}

/// `PS_MAPI`, which `wGuid` 1 stands for.
const PS_MAPI: PropertySet = outlook_set(0x0002_0328);
/// `PS_PUBLIC_STRINGS`, which `wGuid` 2 stands for.
const PS_PUBLIC_STRINGS: PropertySet = outlook_set(0x0002_0329);
/// No set.
const NO_SET: PropertySet = [0; 16];

/// The file's table of named properties.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamedProperties {
    ids: HashMap<(PropertySet, PropertyName), u16>,
    names: HashMap<u16, (PropertySet, PropertyName)>,
}

impl NamedProperties {
    pub(crate) fn load<R: Read + Seek>(database: &mut Database<R>) -> Result<Self> {
        let node = database.node(MAP_NODE)?;
        let context = PropertyContext::open(database, node)?;
        let guids = context.bytes(database, GUIDS)?;
        let entries = context.bytes(database, ENTRIES)?;
        let strings = context.bytes(database, STRINGS)?;
        let part = |data: &Option<crate::ndb::BlockData>| data.as_deref().unwrap_or_default().to_vec();
        Ok(Self::parse(&part(&guids), &part(&entries), &part(&strings)))
    }

    fn parse(guids: &[u8], entries: &[u8], strings: &[u8]) -> Self {
        let mut result = Self::default();
        for entry in entries.as_chunks::<8>().0 {
            let Some((set, name, id)) = parse_entry(entry, guids, strings) else { continue };
            result.ids.entry((set, name.clone())).or_insert(id);
            result.names.entry(id).or_insert((set, name));
        }
        result
    }

    /// The identifier of a property that is named by number.
    pub(crate) fn by_number(&self, set: PropertySet, number: u32) -> Option<u16> {
        self.ids.get(&(set, PropertyName::Number(number))).copied()
    }

    /// The identifier of a property that is named by text.
    pub(crate) fn by_text(&self, set: PropertySet, text: &str) -> Option<u16> {
        self.ids.get(&(set, PropertyName::Text(text.to_owned()))).copied()
    }

    /// What an identifier stands for.
    pub(crate) fn name(&self, id: u16) -> Option<&(PropertySet, PropertyName)> {
        self.names.get(&id)
    }
}

/// One NAMEID: number or offset of the text; bit "is text" and index of the set; the identifier less 0x8000.
fn parse_entry(entry: &[u8], guids: &[u8], strings: &[u8]) -> Option<(PropertySet, PropertyName, u16)> {
    let (value, flags) = (u32_at(entry, 0)?, u16_at(entry, 4)?);
    let id = u16_at(entry, 6)?.checked_add(0x8000)?;
    let set = match flags >> 1 {
        0 => NO_SET,
        1 => PS_MAPI,
        2 => PS_PUBLIC_STRINGS,
        index => *guids.get(16 * usize::from(index - 3)..)?.first_chunk()?,
    };
    if flags & 1 == 0 {
        return Some((set, PropertyName::Number(value), id));
    }
    let at = value as usize;
    let length = u32_at(strings, at)? as usize;
    let text = strings.get(at.checked_add(4)?..)?.get(..length)?;
    Some((set, PropertyName::Text(utf16le(text)), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_numbers_and_texts() {
        let appointment = outlook_set(0x0006_2002);
        let mut entries = Vec::new();
        entries.extend_from_slice(&[0x0d, 0x82, 0, 0, 6, 0, 1, 0]); // number 0x820d in the first listed set -> 0x8001
        entries.extend_from_slice(&[0, 0, 0, 0, 5, 0, 2, 0]); // text at 0 in PS_PUBLIC_STRINGS -> 0x8002
        entries.extend_from_slice(&[0xff, 0, 0, 0, 5, 0, 3, 0]); // text outside the stream: left out
        entries.extend_from_slice(&[1, 0, 0, 0, 0xfe, 0xff, 4, 0]); // set outside the stream: left out
        let strings = [8, 0, 0, 0, b'K', 0, b'e', 0, b'y', 0, b's', 0];
        let map = NamedProperties::parse(&appointment, &entries, &strings);
        assert_eq!(map.by_number(appointment, 0x820d), Some(0x8001));
        assert_eq!(map.by_text(PS_PUBLIC_STRINGS, "Keys"), Some(0x8002));
        assert_eq!(map.name(0x8002), Some(&(PS_PUBLIC_STRINGS, PropertyName::Text("Keys".into()))));
        assert_eq!(map.ids.len(), 2);
    }
}
