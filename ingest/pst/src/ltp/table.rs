//! Table contexts ([MS-PST] 2.3.4): folders' contents, recipients, attachments.

use std::io::{Read, Seek};

use super::bth::TreeOnHeap;
use super::heap::{Client, Heap};
use super::property::{is_in_heap, resolve};
use super::value::{PropertyValue, decode, fixed_bytes};
use crate::bytes::{u8_at, u16_at, u32_at};
use crate::error::{PstError, Result};
use crate::ndb::{BlockData, DataTree, Database, Node};

#[derive(Clone, Copy, Debug)]
struct Column {
    id: u16,
    kind: u16,
    offset: usize,
    bytes: usize,
    bit: usize,
}

#[derive(Clone, Debug)]
enum Rows {
    None,
    InHeap(u32),
    InSubnode { tree: DataTree, per_block: usize },
}

/// A table whose description was read; rows are read when asked for, a block at a time.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    heap: Heap,
    subnodes: u64,
    columns: Vec<Column>,
    row_bytes: usize,
    /// Where the bits that say which cells exist begin.
    bitmap: usize,
    rows: Rows,
    /// Row identifier and place of each row, in the order of the places.
    index: Vec<(u32, u32)>,
    /// Windows code page of 8-bit text.
    pub(crate) code_page: u32,
}

/// Rows of one table that are read; messages beyond are found by the node B-tree all the same.
const MAX_ROWS: usize = 4_000_000;

/// One row's bytes.
pub(crate) struct Row(BlockData);

const PLACE: &str = "table";

impl Table {
    /// Opens the table in `node`.
    pub(crate) fn open<R: Read + Seek>(database: &mut Database<R>, node: Node) -> Result<Self> {
        let heap = Heap::open(database, node.data, Client::TableContext)?;
        let info = heap.get(database, heap.user_root)?;
        let short = || PstError::damaged(PLACE, "its description is cut short");
        if u8_at(&info, 0) != Some(0x7c) {
            return Err(PstError::damaged(PLACE, "its description does not begin with its type"));
        }
        let count = usize::from(u8_at(&info, 1).ok_or_else(short)?);
        // Offsets at which the 4/8-byte, 2-byte and 1-byte cells and the existence bits end.
        let bitmap = usize::from(u16_at(&info, 6).ok_or_else(short)?);
        let row_bytes = usize::from(u16_at(&info, 8).ok_or_else(short)?);
        let (row_index, row_place) = (u32_at(&info, 10).ok_or_else(short)?, u32_at(&info, 14).ok_or_else(short)?);
        let columns = (0..count).map_while(|column| parse_column(&info, 22 + 8 * column)).collect::<Vec<_>>();
        if row_bytes == 0 || bitmap > row_bytes {
            return Err(PstError::damaged(PLACE, format!("rows of {row_bytes} bytes with existence bits at {bitmap}")));
        }
        let code_page = database.options.default_code_page;
        let mut table = Self {
            heap,
            subnodes: node.subnodes,
            columns,
            row_bytes,
            bitmap,
            rows: Rows::None,
            index: Vec::new(),
            code_page,
        };
        table.rows = table.find_rows(database, row_place)?;
        table.read_index(database, row_index);
        Ok(table)
    }

    fn find_rows<R: Read + Seek>(&self, database: &mut Database<R>, place: u32) -> Result<Rows> {
        if place == 0 {
            return Ok(Rows::None);
        }
        if is_in_heap(place) {
            return Ok(Rows::InHeap(place));
        }
        let node = database.subnode(self.subnodes, place).map_err(|error| error.within("table rows"))?;
        let tree = database.data_tree(node.data).map_err(|error| error.within("table rows"))?;
        // Rows do not cross blocks.
        let per_block = database.full_block_bytes() / self.row_bytes;
        if per_block == 0 {
            return Err(PstError::damaged(PLACE, format!("rows of {} bytes are longer than a block", self.row_bytes)));
        }
        Ok(Rows::InSubnode { tree, per_block })
    }

    /// Reads which rows are alive. Where that cannot be read, every row that stands in the matrix counts.
    fn read_index<R: Read + Seek>(&mut self, database: &mut Database<R>, id: u32) {
        let wide = database.wide();
        // Every row takes its bytes of the file, however often a crafted one lists the same block.
        let in_file = usize::try_from(database.file_bytes()).unwrap_or(usize::MAX) / self.row_bytes;
        let capacity = self.capacity().min(in_file).min(MAX_ROWS);
        let mut index = Vec::new();
        let read = TreeOnHeap::open(database, &self.heap, id, (4, if wide { 4 } else { 2 })).map(|tree| {
            tree.for_each(database, &self.heap, |record| {
                let place = if wide { u32_at(record, 4) } else { u16_at(record, 4).map(u32::from) };
                if let (Some(row_id), Some(place)) = (u32_at(record, 0), place)
                    && index.len() < capacity
                {
                    index.push((row_id, place));
                }
            })
        });
        let complete = match read {
            Ok(complete) => complete,
            Err(error) => {
                database.note(error.within("table row index").into());
                false
            }
        };
        if !complete {
            let listed: std::collections::HashSet<u32> = index.iter().map(|(_, place)| *place).collect();
            for place in (0..capacity as u32).filter(|place| !listed.contains(place)) {
                match self.row(database, place) {
                    // A row begins with its identifier, PidTagLtpRowId.
                    Ok(row) => {
                        index.extend(u32_at(&row.0, 0).filter(|row_id| *row_id != 0).map(|row_id| (row_id, place)));
                    }
                    Err(_) if matches!(self.rows, Rows::InHeap(_)) => break,
                    Err(_) => {}
                }
            }
        }
        index.sort_unstable_by_key(|(row_id, place)| (*place, *row_id));
        self.index = index;
    }

    /// Most rows that the matrix has room for.
    fn capacity(&self) -> usize {
        match &self.rows {
            Rows::None => 0,
            Rows::InHeap(_) => 8192 / self.row_bytes,
            Rows::InSubnode { tree, per_block } => tree.len() * per_block,
        }
    }

    /// Identifier and place of every row, in the order in which they stand.
    pub(crate) fn index(&self) -> &[(u32, u32)] {
        &self.index
    }

    /// The row at a place.
    pub(crate) fn row<R: Read + Seek>(&self, database: &mut Database<R>, place: u32) -> Result<Row> {
        let place = place as usize;
        let missing = || PstError::damaged(PLACE, format!("row {place} is not in the row matrix"));
        let (data, first) = match &self.rows {
            Rows::None => return Err(missing()),
            Rows::InHeap(id) => (self.heap.get(database, *id)?, place * self.row_bytes),
            Rows::InSubnode { tree, per_block } => {
                let block_id = tree.block_id(place / per_block).ok_or_else(missing)?;
                (database.block(block_id)?, place % per_block * self.row_bytes)
            }
        };
        data.part(first..first + self.row_bytes).map(Row).ok_or_else(missing)
    }

    /// A cell; `None` where the table has no such column or the row no value.
    pub(crate) fn cell<R: Read + Seek>(
        &self,
        database: &mut Database<R>,
        row: &Row,
        id: u16,
    ) -> Result<Option<PropertyValue>> {
        let Some(column) = self.columns.iter().find(|column| column.id == id) else { return Ok(None) };
        let exists =
            u8_at(&row.0, self.bitmap + column.bit / 8).is_some_and(|bits| bits & (0x80 >> (column.bit % 8)) != 0);
        if !exists {
            return Ok(None);
        }
        let place = || format!("column {id:#06x}");
        let cell = row.0.get(column.offset..column.offset + column.bytes);
        let cell = cell.ok_or_else(|| PstError::damaged(place(), "lies outside its row"))?;
        let value = if fixed_bytes(column.kind).is_some_and(|size| size <= 8) {
            decode(column.kind, cell, self.code_page)
        } else {
            let target = u32_at(cell, 0).ok_or_else(|| PstError::damaged(place(), "is too short for a reference"))?;
            let data = resolve(database, &self.heap, self.subnodes, target).map_err(|error| error.within(place()))?;
            decode(column.kind, &data, self.code_page)
        };
        value
            .map(Some)
            .ok_or_else(|| PstError::damaged(place(), format!("holds no value of type {:#06x}", column.kind)))
    }
}

fn parse_column(info: &[u8], at: usize) -> Option<Column> {
    Some(Column {
        kind: u16_at(info, at)?,
        id: u16_at(info, at + 2)?,
        offset: usize::from(u16_at(info, at + 4)?),
        bytes: usize::from(u8_at(info, at + 6)?),
        bit: usize::from(u8_at(info, at + 7)?),
    })
}
