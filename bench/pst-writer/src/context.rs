//! Property contexts and table contexts: the objects and tables that a node holds ([MS-PST] 2.3.3 and 2.3.4).

use crate::error::{Result, WriteError};
use crate::file::{BlockId, NodeFile};
use crate::format::{MAX_HEAP_ITEM, overwrite};
use crate::heap::Heap;
use crate::node::{SubnodeEntry, write_data, write_data_tree};
use crate::property::StoredValue;

/// The subnodes that a node collects while its parts are written.
#[derive(Default)]
pub(crate) struct Subnodes {
    pub(crate) entries: Vec<SubnodeEntry>,
    next: u32,
}

impl Subnodes {
    /// Writes a value that is too large for the heap as a subnode and returns the subnode's id.
    pub(crate) fn add_value(&mut self, file: &mut NodeFile, data: &[u8]) -> Result<u32> {
        let data = write_data(file, data)?;
        Ok(self.add_data(data))
    }

    /// The same for data that is already written.
    pub(crate) fn add_data(&mut self, data: BlockId) -> u32 {
        /// The type of nodes that the lists, tables and properties layer makes for itself ([MS-PST] 2.2.2.1).
        const LTP: u32 = 0x1F;
        const FIRST: u32 = 0x400;
        let node = (FIRST + self.next) << 5 | LTP;
        self.next += 1;
        self.entries.push(SubnodeEntry { node, data, subnodes: BlockId::default() });
        node
    }
}

/// Puts a value into the heap, or into a subnode when it is too large. An empty value is nowhere: 0.
fn store(file: &mut NodeFile, heap: &mut Heap, subnodes: &mut Subnodes, bytes: &[u8]) -> Result<u32> {
    if bytes.is_empty() {
        return Ok(0);
    }
    if bytes.len() > MAX_HEAP_ITEM {
        return subnodes.add_value(file, bytes);
    }
    Ok(heap.add(bytes)?.0)
}

/// The properties of one object, on their way into a property context.
#[derive(Default)]
pub(crate) struct Properties<'a> {
    values: Vec<(u16, StoredValue<'a>)>,
}

impl<'a> Properties<'a> {
    /// Adds a property; a later value of the same id replaces an earlier one.
    pub(crate) fn set(&mut self, id: u16, value: StoredValue<'a>) {
        match self.values.iter_mut().find(|(other, _)| *other == id) {
            Some((_, old)) => *old = value,
            None => self.values.push((id, value)),
        }
    }

    /// The bytes of a property.
    pub(crate) fn get(&self, id: u16) -> Option<&StoredValue<'a>> {
        self.values.iter().find(|(other, _)| *other == id).map(|(_, value)| value)
    }

    /// How many bytes all values have.
    pub(crate) fn size(&self) -> usize {
        self.values.iter().map(|(_, value)| value.bytes.len()).sum()
    }

    /// Writes the property context.
    pub(crate) fn write(mut self, file: &mut NodeFile, subnodes: &mut Subnodes) -> Result<BlockId> {
        self.values.sort_unstable_by_key(|(id, _)| *id);
        let mut heap = Heap::new(file, 0xBC);
        let header = heap.add(&[0; 8])?;
        heap.set_root(header);
        let mut records = Vec::with_capacity(self.values.len() * 8);
        for (id, value) in &self.values {
            records.extend_from_slice(&id.to_le_bytes());
            records.extend_from_slice(&value.kind.to_le_bytes());
            let mut slot = [0; 4];
            if is_inline(value.kind) {
                overwrite(&mut slot, 0, &value.bytes);
            } else {
                slot = store(file, &mut heap, subnodes, &value.bytes)?.to_le_bytes();
            }
            records.extend_from_slice(&slot);
        }
        heap.fill_tree(header, (2, 6), &records)?;
        heap.finish(file)
    }
}

/// Whether a property context holds a value of this type in the record itself.
fn is_inline(kind: u16) -> bool {
    matches!(kind, 0x0002 | 0x0003 | 0x0004 | 0x000A | 0x000B)
}

/// A column of a table: property id and type.
pub(crate) type Column = (u16, u16);

/// A row on its way into a table. Cells are packed one after the other, since large folders keep many rows.
pub(crate) struct Row {
    pub(crate) id: u32,
    packed: Vec<u8>,
}

impl Row {
    /// A row without cells; `id` is the node that the row describes, or any number unique in the table.
    pub(crate) fn new(id: u32) -> Self {
        Self { id, packed: Vec::new() }
    }

    /// Sets the cell of column number `column`.
    pub(crate) fn set(&mut self, column: usize, bytes: &[u8]) {
        self.packed.push(column as u8);
        self.packed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.packed.extend_from_slice(bytes);
    }

    /// Gives back spare capacity.
    pub(crate) fn shrink(&mut self) {
        self.packed.shrink_to_fit();
    }

    fn cells(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let (column, tail) = rest.split_first()?;
            let (size, tail) = tail.split_first_chunk::<4>()?;
            let (bytes, tail) = tail.split_at_checked(u32::from_le_bytes(*size) as usize)?;
            rest = tail;
            Some((usize::from(*column), bytes))
        })
    }
}

/// Where each column lies in a row ([MS-PST] 2.3.4.1).
struct RowLayout {
    /// Per column: offset and size in bytes.
    cells: Vec<(usize, usize)>,
    /// Where the 4- and 8-byte, the 2-byte and the 1-byte cells and the existence bits end.
    ends: [usize; 4],
}

const ROW_ID: u16 = 0x67F2;
const ROW_VERSION: u16 = 0x67F3;

impl RowLayout {
    fn new(columns: &[Column]) -> Self {
        let mut cells = vec![(0, 4); columns.len()];
        let mut ends = [0; 4];
        let mut offset = 8;
        for (group, widths) in [[4, 8], [2, 2], [1, 1]].into_iter().enumerate() {
            for ((id, kind), cell) in columns.iter().zip(&mut cells) {
                let width = cell_width(*kind);
                if *id == ROW_ID {
                    *cell = (0, 4);
                } else if *id == ROW_VERSION {
                    *cell = (4, 4);
                } else if widths.contains(&width) {
                    *cell = (offset, width);
                    offset += width;
                }
            }
            if let Some(end) = ends.get_mut(group) {
                *end = offset;
            }
        }
        ends[3] = offset + columns.len().div_ceil(8);
        Self { cells, ends }
    }

    fn row_size(&self) -> usize {
        self.ends[3]
    }
}

/// Bytes of a cell; values of other types leave their address in the cell.
fn cell_width(kind: u16) -> usize {
    match kind {
        0x000B => 1,
        0x0002 => 2,
        0x0005 | 0x0006 | 0x0007 | 0x0014 | 0x0040 => 8,
        _ => 4,
    }
}

/// Whether a cell holds the value itself.
fn is_in_cell(kind: u16) -> bool {
    cell_width(kind) != 4 || matches!(kind, 0x0003 | 0x0004 | 0x000A)
}

/// The number that the existence bits give a column: the row's id and version come first, in either order of ids.
fn bit_of(columns: &[Column], index: usize) -> usize {
    match columns.get(index) {
        Some((ROW_ID, _)) => 0,
        Some((ROW_VERSION, _)) => 1,
        _ => {
            let special = columns.iter().take(index).filter(|(id, _)| matches!(*id, ROW_ID | ROW_VERSION)).count();
            index - special + 2
        }
    }
}

/// Writes a table context. `columns` ascend by id and contain the row's id and version.
pub(crate) fn write_table(
    file: &mut NodeFile,
    subnodes: &mut Subnodes,
    columns: &[Column],
    rows: &[Row],
) -> Result<BlockId> {
    let layout = RowLayout::new(columns);
    let mut heap = Heap::new(file, 0x7C);
    let info_size = 22 + 8 * columns.len();
    let info = heap.add(&vec![0; info_size])?;
    heap.set_root(info);

    let index_width = if file.format.is_unicode() { 4 } else { 2 };
    let index = heap.add_tree(4, index_width, &row_index(rows, index_width)?)?;

    let rows_at = write_rows(file, subnodes, &mut heap, &TableShape { columns, layout: &layout }, rows)?;

    let mut bytes = vec![0x7C, columns.len() as u8];
    for end in layout.ends {
        bytes.extend_from_slice(&(end as u16).to_le_bytes());
    }
    bytes.extend_from_slice(&index.0.to_le_bytes());
    bytes.extend_from_slice(&rows_at.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (number, ((id, kind), (offset, width))) in columns.iter().zip(&layout.cells).enumerate() {
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&(*offset as u16).to_le_bytes());
        bytes.extend_from_slice(&[*width as u8, bit_of(columns, number) as u8]);
    }
    heap.replace(info, &bytes)?;
    heap.finish(file)
}

struct TableShape<'a> {
    columns: &'a [Column],
    layout: &'a RowLayout,
}

/// From each row's id to its number, by ascending id.
fn row_index(rows: &[Row], width: usize) -> Result<Vec<u8>> {
    if width == 2 && rows.len() > usize::from(u16::MAX) {
        return Err(WriteError::TooLarge { what: "a folder of an ANSI file", limit: u64::from(u16::MAX) });
    }
    let mut order: Vec<(u32, u32)> = rows.iter().enumerate().map(|(number, row)| (row.id, number as u32)).collect();
    order.sort_unstable();
    let mut records = Vec::with_capacity(order.len() * (4 + width));
    for (id, number) in order {
        records.extend_from_slice(&id.to_le_bytes());
        records.extend_from_slice(number.to_le_bytes().get(..width).unwrap_or_default());
    }
    Ok(records)
}

/// Writes the row matrix: into the heap where it fits, else into a subnode whose blocks hold whole rows only.
fn write_rows(
    file: &mut NodeFile,
    subnodes: &mut Subnodes,
    heap: &mut Heap,
    table: &TableShape<'_>,
    rows: &[Row],
) -> Result<u32> {
    if rows.is_empty() {
        return Ok(0);
    }
    let row_size = table.layout.row_size();
    if rows.len() * row_size <= MAX_HEAP_ITEM {
        let mut matrix = Vec::with_capacity(rows.len() * row_size);
        for row in rows {
            matrix.extend(row_bytes(file, subnodes, heap, table, row)?);
        }
        return Ok(heap.add(&matrix)?.0);
    }
    let block_size = file.format.max_block_data();
    let per_block = block_size / row_size;
    let mut blocks = Vec::new();
    let mut size = 0;
    let mut parts = rows.chunks(per_block).peekable();
    while let Some(part) = parts.next() {
        let mut block = Vec::with_capacity(block_size);
        for row in part {
            block.extend(row_bytes(file, subnodes, heap, table, row)?);
        }
        if parts.peek().is_some() {
            block.resize(block_size, 0);
        }
        size += block.len() as u64;
        blocks.push(file.data_block(&block)?);
    }
    let data = write_data_tree(file, &blocks, size)?;
    Ok(subnodes.add_data(data))
}

fn row_bytes(
    file: &mut NodeFile,
    subnodes: &mut Subnodes,
    heap: &mut Heap,
    table: &TableShape<'_>,
    row: &Row,
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; table.layout.row_size()];
    let bits_at = table.layout.ends[2];
    overwrite(&mut bytes, 0, &row.id.to_le_bytes());
    overwrite(&mut bytes, 4, &1_u32.to_le_bytes());
    let always = table.columns.iter().enumerate().filter(|(_, (id, _))| matches!(*id, ROW_ID | ROW_VERSION));
    let mut present: Vec<usize> = always.map(|(number, _)| number).collect();
    for (number, value) in row.cells() {
        let (Some((_, kind)), Some((offset, width))) = (table.columns.get(number), table.layout.cells.get(number))
        else {
            return Err(WriteError::Layout("table column"));
        };
        let address;
        let cell = if is_in_cell(*kind) {
            value.get(..*width).unwrap_or(value)
        } else {
            address = store(file, heap, subnodes, value)?.to_le_bytes();
            &address
        };
        overwrite(&mut bytes, *offset, cell);
        present.push(number);
    }
    for number in present {
        let bit = bit_of(table.columns, number);
        if let Some(byte) = bytes.get_mut(bits_at + bit / 8) {
            *byte |= 0x80 >> (bit % 8);
        }
    }
    Ok(bytes)
}
