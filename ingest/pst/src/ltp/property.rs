//! Property contexts ([MS-PST] 2.3.3): the properties of a message, folder, attachment or store.

use std::io::{Read, Seek};

use super::bth::{PropertyRecord, TreeOnHeap};
use super::heap::{Client, Heap};
use super::value::{PropertyValue, decode, fixed_bytes, kind};
use crate::code_page;
use crate::error::{PstError, Result};
use crate::ndb::{BlockData, Database, Node};

/// The properties of one node: identifiers and types are read at once, values when asked for.
#[derive(Clone, Debug)]
pub(crate) struct PropertyContext {
    heap: Heap,
    subnodes: u64,
    records: Vec<PropertyRecord>,
    /// Windows code page of 8-bit text.
    pub(crate) code_page: u32,
}

/// There are no more identifiers than this.
const MAX_RECORDS: usize = 1 << 16;
const MESSAGE_CODE_PAGE: u16 = 0x3ffd;
const INTERNET_CODE_PAGE: u16 = 0x3fde;
const MESSAGE_LOCALE: u16 = 0x3ff1;

impl PropertyContext {
    /// Opens the property context of `node`.
    pub(crate) fn open<R: Read + Seek>(database: &mut Database<R>, node: Node) -> Result<Self> {
        let heap = Heap::open(database, node.data, Client::PropertyContext)?;
        let tree = TreeOnHeap::open(database, &heap, heap.user_root, (2, 6))?;
        let mut records = Vec::new();
        tree.for_each(database, &heap, |record| {
            if records.len() < MAX_RECORDS {
                records.extend(PropertyRecord::parse(record));
            }
        });
        // Stable, so that of a doubled identifier the first stands.
        records.sort_by_key(|record| record.id);
        records.dedup_by_key(|record| record.id);
        let code_page = database.options.default_code_page;
        let mut context = Self { heap, subnodes: node.subnodes, records, code_page };
        context.code_page = context.find_code_page().unwrap_or(code_page);
        Ok(context)
    }

    /// What the item says of its 8-bit text, most specific first.
    fn find_code_page(&self) -> Option<u32> {
        let number = |id| self.inline(id).map(|(_, value)| value);
        let named = [MESSAGE_CODE_PAGE, INTERNET_CODE_PAGE].into_iter().filter_map(number);
        named
            .filter(|page| code_page::is_known(*page) && !matches!(page, 1200 | 1201))
            .find(|page| *page != 20127)
            .or_else(|| number(MESSAGE_LOCALE).and_then(code_page::of_locale))
    }

    /// `PidTagInternetCodepage`, the code page of an HTML body.
    pub(crate) fn internet_code_page(&self) -> Option<u32> {
        self.inline(INTERNET_CODE_PAGE).map(|(_, value)| value).filter(|page| code_page::is_known(*page))
    }

    fn record(&self, id: u16) -> Option<PropertyRecord> {
        let index = self.records.binary_search_by_key(&id, |record| record.id).ok()?;
        self.records.get(index).copied()
    }

    /// Type and four value bytes of a property that needs no more.
    fn inline(&self, id: u16) -> Option<(u16, u32)> {
        self.record(id)
            .filter(|record| fixed_bytes(record.kind).is_some_and(|size| size <= 4))
            .map(|record| (record.kind, record.value))
    }

    /// Identifiers and types of all properties, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.records.iter().map(|record| (record.id, record.kind))
    }

    /// Whether the property exists.
    pub(crate) fn has(&self, id: u16) -> bool {
        self.record(id).is_some()
    }

    /// A value; `None` where the item does not have the property.
    pub(crate) fn get<R: Read + Seek>(&self, database: &mut Database<R>, id: u16) -> Result<Option<PropertyValue>> {
        let Some(record) = self.record(id) else { return Ok(None) };
        let place = || format!("property {id:#06x}");
        if let Some(size) = fixed_bytes(record.kind).filter(|size| *size <= 4) {
            let bytes = record.value.to_le_bytes();
            return Ok(decode(record.kind, bytes.get(..size).unwrap_or_default(), self.code_page));
        }
        let data = self.resolve(database, record.value).map_err(|error| error.within(place()))?;
        let value = decode(record.kind, &data, self.code_page);
        value
            .map(Some)
            .ok_or_else(|| PstError::damaged(place(), format!("type {:#06x} in {} bytes", record.kind, data.len())))
    }

    /// The bytes of a value as they are stored, at most `max_property_bytes`.
    pub(crate) fn bytes<R: Read + Seek>(&self, database: &mut Database<R>, id: u16) -> Result<Option<BlockData>> {
        let Some(record) = self.record(id) else { return Ok(None) };
        let data = self.resolve(database, record.value);
        data.map(Some).map_err(|error| error.within(format!("property {id:#06x}")))
    }

    /// The subnode that holds a byte string or an object, if it is not in the heap.
    pub(crate) fn subnode<R: Read + Seek>(&self, database: &mut Database<R>, id: u16) -> Result<Option<Node>> {
        let Some(record) = self.record(id) else { return Ok(None) };
        let node_id = match record.kind {
            // An object's heap allocation names its subnode.
            kind::OBJECT => match self.get(database, id)? {
                Some(PropertyValue::Object { node_id, .. }) => node_id,
                _ => return Ok(None),
            },
            _ if !is_in_heap(record.value) => record.value,
            _ => return Ok(None),
        };
        let node = database.subnode(self.subnodes, node_id);
        node.map(Some).map_err(|error| error.within(format!("property {id:#06x}")))
    }

    fn resolve<R: Read + Seek>(&self, database: &mut Database<R>, place: u32) -> Result<BlockData> {
        resolve(database, &self.heap, self.subnodes, place)
    }
}

/// Whether an HNID is a heap identifier: those have no type bits, node identifiers do.
pub(crate) fn is_in_heap(place: u32) -> bool {
    place.trailing_zeros() >= 5
}

/// Follows an HNID ([MS-PST] 2.3.3.2): 0 is empty, a heap identifier has no type bits, all else is a subnode.
pub(crate) fn resolve<R: Read + Seek>(
    database: &mut Database<R>,
    heap: &Heap,
    subnodes: u64,
    place: u32,
) -> Result<BlockData> {
    if place == 0 {
        return Ok(BlockData::new(Vec::new()));
    }
    if is_in_heap(place) {
        let data = heap.get(database, place)?;
        database.spend(data.len())?;
        return Ok(data);
    }
    let node = database.subnode(subnodes, place)?;
    let limit = database.options.max_property_bytes.min(database.value_bytes_left());
    let data = database.read_all(node.data, limit).map_err(|error| error.within(format!("subnode {place:#x}")))?;
    database.spend(data.len())?;
    Ok(data)
}
