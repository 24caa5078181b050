//! The node database layer: space, blocks, pages and the header ([MS-PST] 2.2).
//!
//! Space is given out from the start of the file to its end, one region of an allocation map at a time. The current
//! region is held in memory and written in one piece when it is full, so that a file of any size is written
//! sequentially and only the list of blocks grows with it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use crate::encoding::encode_block;
use crate::error::{Result, WriteError};
use crate::format::{BLOCK_ALIGNMENT, Encoding, Format, PAGE, checksum, overwrite, signature};

/// The bytes that one allocation map describes, itself included ([MS-PST] 2.2.2.7.2).
const REGION: usize = 496 * 8 * 64;
/// Where the first allocation map is.
const FIRST_REGION: u64 = 0x4400;
/// Where the density list is ([MS-PST] 2.2.2.7.4).
const DENSITY_LIST: u64 = 0x4200;
/// Each page map covers as many regions ([MS-PST] 2.2.2.7.3).
const REGIONS_PER_PAGE_MAP: u64 = 8;
/// The regions that the header's own free map covers, and those that each free map page covers after that.
const REGIONS_IN_HEADER: u64 = 128;
const REGIONS_PER_FREE_MAP: u64 = 496;
/// The same for the free page map, which counts page maps.
const PAGE_MAPS_IN_HEADER: u64 = 128 * 8;
const PAGE_MAPS_PER_FREE_PAGE_MAP: u64 = 496 * 8;

/// What a page holds ([MS-PST] 2.2.2.7.1, `ptype`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    BlockTree = 0x80,
    NodeTree = 0x81,
    FreeMap = 0x82,
    PageMap = 0x83,
    AllocationMap = 0x84,
    FreePageMap = 0x85,
    DensityList = 0x86,
}

/// The id of a block; 0 stands for "no data".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockId(pub(crate) u64);

/// A block or page and its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) id: u64,
    pub(crate) offset: u64,
}

/// What the block B-tree says of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockEntry {
    pub(crate) place: Reference,
    /// Bytes of data, without padding and trailer.
    pub(crate) size: u16,
    /// How many nodes and internal blocks refer to it.
    pub(crate) references: u16,
}

/// A PST file below its nodes: where blocks and pages go.
pub(crate) struct NodeFile {
    file: File,
    pub(crate) format: Format,
    encoding: Encoding,
    /// The region being filled; empty between regions.
    region: Vec<u8>,
    region_index: u64,
    allocated: [u8; 496],
    next_block: u64,
    next_page: u64,
    free_bytes: u64,
    blocks: Vec<BlockEntry>,
}

impl NodeFile {
    /// Starts a file; everything before the first region is written at the end.
    pub(crate) fn new(mut file: File, format: Format, encoding: Encoding) -> Result<Self> {
        file.seek(SeekFrom::Start(FIRST_REGION))?;
        let mut this = Self {
            file,
            format,
            encoding,
            region: Vec::with_capacity(REGION),
            region_index: 0,
            allocated: [0; 496],
            next_block: 4,
            next_page: 4,
            free_bytes: 0,
            blocks: Vec::new(),
        };
        this.start_region()?;
        Ok(this)
    }

    /// Writes a block of user data.
    pub(crate) fn data_block(&mut self, data: &[u8]) -> Result<BlockId> {
        let id = self.take_block_id();
        self.block(id, data, true)
    }

    /// Writes a block of the format's own lists, which are never encoded.
    pub(crate) fn internal_block(&mut self, data: &[u8]) -> Result<BlockId> {
        let id = self.take_block_id() | 2;
        self.block(id, data, false)
    }

    /// Counts one more reference to a block that is shared.
    pub(crate) fn add_reference(&mut self, id: BlockId) {
        if let Ok(index) = self.blocks.binary_search_by_key(&id.0, |entry| entry.place.id)
            && let Some(entry) = self.blocks.get_mut(index)
        {
            entry.references += 1;
        }
    }

    /// What is known of a block.
    pub(crate) fn entry(&self, id: BlockId) -> Option<BlockEntry> {
        let index = self.blocks.binary_search_by_key(&id.0, |entry| entry.place.id).ok()?;
        self.blocks.get(index).copied()
    }

    /// Every block written, by ascending id.
    pub(crate) fn take_blocks(&mut self) -> Vec<BlockEntry> {
        std::mem::take(&mut self.blocks)
    }

    /// Where the next block would go, but for what its alignment and the end of the region cost.
    pub(crate) fn position(&self) -> u64 {
        self.region_start() + self.region.len() as u64
    }

    /// Writes a page of a B-tree. `body` is everything before the trailer.
    pub(crate) fn tree_page(&mut self, kind: PageKind, body: &[u8]) -> Result<Reference> {
        let offset = self.allocate(PAGE, PAGE)?;
        let id = self.next_page;
        self.next_page += 4;
        let page = page_bytes(self.format, kind, body, Reference { id, offset })?;
        self.region.extend_from_slice(&page);
        Ok(Reference { id, offset })
    }

    /// Ends the last region, then writes the density list and the header. Returns the file's length in bytes.
    pub(crate) fn finish(
        mut self,
        node_tree: Reference,
        block_tree: Reference,
        node_counters: [u32; 32],
    ) -> Result<u64> {
        let last_map = self.region_start();
        self.end_region()?;
        let length = last_map + REGION as u64;
        let mut front = vec![0_u8; FIRST_REGION as usize];
        let header = self.header(&HeaderFields { node_tree, block_tree, node_counters, length, last_map });
        let place = Reference { id: DENSITY_LIST, offset: DENSITY_LIST };
        let density = page_bytes(self.format, PageKind::DensityList, &[0; 8], place)?;
        if !overwrite(&mut front, 0, &header) || !overwrite(&mut front, DENSITY_LIST as usize, &density) {
            return Err(WriteError::Layout("header"));
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&front)?;
        self.file.flush()?;
        Ok(length)
    }

    fn take_block_id(&mut self) -> u64 {
        let id = self.next_block;
        self.next_block += 4;
        id
    }

    fn block(&mut self, id: u64, data: &[u8], encode: bool) -> Result<BlockId> {
        let limit = self.format.max_block_data();
        if data.len() > limit {
            return Err(WriteError::TooLarge { what: "a block", limit: limit as u64 });
        }
        let trailer = self.format.trailer();
        let padded = (data.len() + trailer).next_multiple_of(BLOCK_ALIGNMENT);
        let offset = self.allocate(padded, BLOCK_ALIGNMENT)?;
        let start = self.region.len();
        self.region.extend_from_slice(data);
        let Some(stored) = self.region.get_mut(start..) else { return Err(WriteError::Layout("block")) };
        if encode {
            encode_block(self.encoding, stored, id as u32);
        }
        let crc = checksum(stored);
        let size = data.len() as u16;
        self.region.resize(start + padded - trailer, 0);
        self.region.extend_from_slice(&size.to_le_bytes());
        self.region.extend_from_slice(&signature(offset, id).to_le_bytes());
        put_crc_and_id(self.format, &mut self.region, crc, id);
        self.blocks.push(BlockEntry { place: Reference { id, offset }, size, references: 2 });
        Ok(BlockId(id))
    }

    fn region_start(&self) -> u64 {
        FIRST_REGION + self.region_index * REGION as u64
    }

    /// Reserves space; the caller appends exactly `size` bytes to the region.
    fn allocate(&mut self, size: usize, alignment: usize) -> Result<u64> {
        // The first region starts at a multiple of the page size, and a region's length is one, so aligning within the
        // region aligns within the file.
        let mut start = self.region.len().next_multiple_of(alignment);
        if start + size > REGION {
            self.end_region()?;
            self.region_index += 1;
            self.start_region()?;
            start = self.region.len().next_multiple_of(alignment);
        }
        self.region.resize(start, 0);
        self.mark(start, size);
        Ok(self.region_start() + start as u64)
    }

    /// Marks 64-byte slots as used, the first slot in the highest bit ([MS-PST] 2.2.2.7.2).
    fn mark(&mut self, start: usize, size: usize) {
        for slot in start / BLOCK_ALIGNMENT..(start + size) / BLOCK_ALIGNMENT {
            if let Some(byte) = self.allocated.get_mut(slot / 8) {
                *byte |= 0x80 >> (slot % 8);
            }
        }
    }

    fn start_region(&mut self) -> Result<()> {
        if self.region_start() + REGION as u64 > self.format.max_file() {
            return Err(WriteError::TooLarge { what: "the file", limit: self.format.max_file() });
        }
        self.allocated = [0; 496];
        self.region.clear();
        let pages = 1 + self.legacy_maps().len();
        self.region.resize(pages * PAGE, 0);
        self.mark(0, pages * PAGE);
        Ok(())
    }

    /// The maps that follow this region's allocation map, in their order. They are out of use, but have their places.
    fn legacy_maps(&self) -> Vec<PageKind> {
        let index = self.region_index;
        let mut maps = Vec::new();
        if index.is_multiple_of(REGIONS_PER_PAGE_MAP) {
            maps.push(PageKind::PageMap);
        }
        if index >= REGIONS_IN_HEADER && (index - REGIONS_IN_HEADER).is_multiple_of(REGIONS_PER_FREE_MAP) {
            maps.push(PageKind::FreeMap);
        }
        let page_map = index / REGIONS_PER_PAGE_MAP;
        if maps.first() == Some(&PageKind::PageMap)
            && page_map >= PAGE_MAPS_IN_HEADER
            && (page_map - PAGE_MAPS_IN_HEADER).is_multiple_of(PAGE_MAPS_PER_FREE_PAGE_MAP)
        {
            maps.push(PageKind::FreePageMap);
        }
        maps
    }

    fn end_region(&mut self) -> Result<()> {
        let free_slots: u32 = self.allocated.iter().map(|byte| byte.count_zeros()).sum();
        self.free_bytes += u64::from(free_slots) * BLOCK_ALIGNMENT as u64;
        self.region.resize(REGION, 0);
        // ANSI maps are four bytes shorter in their trailer and start with as many bytes of padding.
        let padding = if self.format.is_unicode() { 0 } else { 4 };
        let mut offset = self.region_start();
        let mut pages =
            page_bytes(self.format, PageKind::AllocationMap, &map_body(padding, &self.allocated), at(offset))?;
        for kind in self.legacy_maps() {
            offset += PAGE as u64;
            pages.extend(page_bytes(self.format, kind, &map_body(padding, &[0xFF; 496]), at(offset))?);
        }
        if !overwrite(&mut self.region, 0, &pages) {
            return Err(WriteError::Layout("allocation map"));
        }
        self.file.write_all(&self.region)?;
        Ok(())
    }

    fn header(&self, fields: &HeaderFields) -> Vec<u8> {
        let format = self.format;
        let mut header = Vec::with_capacity(564);
        header.extend_from_slice(b"!BDN\0\0\0\0SM");
        header.extend_from_slice(&format.version().to_le_bytes());
        header.extend_from_slice(&19_u16.to_le_bytes());
        header.extend_from_slice(&[1, 1]);
        header.extend_from_slice(&[0; 8]);
        if format.is_unicode() {
            format.put_word(&mut header, 0);
            format.put_word(&mut header, self.next_page);
        } else {
            format.put_word(&mut header, self.next_block);
            format.put_word(&mut header, self.next_page);
        }
        header.extend_from_slice(&1_u32.to_le_bytes());
        for counter in fields.node_counters {
            header.extend_from_slice(&counter.to_le_bytes());
        }
        if format.is_unicode() {
            header.extend_from_slice(&[0; 8]);
        }
        self.root(&mut header, fields);
        if format.is_unicode() {
            header.extend_from_slice(&[0; 4]);
        }
        // The two free maps, out of use.
        header.extend_from_slice(&[0xFF; 256]);
        header.extend_from_slice(&[0x80, self.encoding.method(), 0, 0]);
        if format.is_unicode() {
            format.put_word(&mut header, self.next_block);
            let full = checksum(header.get(8..524).unwrap_or_default());
            header.extend_from_slice(&full.to_le_bytes());
            header.extend_from_slice(&[0; 36]);
        } else {
            header.extend_from_slice(&[0; 48]);
        }
        let partial = checksum(header.get(8..479).unwrap_or_default());
        overwrite(&mut header, 4, &partial.to_le_bytes());
        header
    }

    /// The `ROOT` structure ([MS-PST] 2.2.2.5).
    fn root(&self, header: &mut Vec<u8>, fields: &HeaderFields) {
        header.extend_from_slice(&[0; 4]);
        let trees = [fields.node_tree.id, fields.node_tree.offset, fields.block_tree.id, fields.block_tree.offset];
        for value in [fields.length, fields.last_map, self.free_bytes, 0].into_iter().chain(trees) {
            self.format.put_word(header, value);
        }
        // The allocation maps are valid.
        header.extend_from_slice(&[2, 0, 0, 0]);
    }
}

/// What the header says of the finished file.
struct HeaderFields {
    node_tree: Reference,
    block_tree: Reference,
    node_counters: [u32; 32],
    length: u64,
    last_map: u64,
}

/// A map page's id is its own place.
fn at(offset: u64) -> Reference {
    Reference { id: offset, offset }
}

fn map_body(padding: usize, bits: &[u8; 496]) -> Vec<u8> {
    let mut body = vec![0; padding];
    body.extend_from_slice(bits);
    body
}

/// A page with its trailer ([MS-PST] 2.2.2.7.1). Maps have no signature, since their id equals their offset.
fn page_bytes(format: Format, kind: PageKind, body: &[u8], place: Reference) -> Result<Vec<u8>> {
    let room = PAGE - format.trailer();
    if body.len() > room {
        return Err(WriteError::Layout("page"));
    }
    let mut page = body.to_vec();
    page.resize(room, 0);
    let crc = checksum(&page);
    page.extend_from_slice(&[kind as u8, kind as u8]);
    page.extend_from_slice(&signature(place.offset, place.id).to_le_bytes());
    put_crc_and_id(format, &mut page, crc, place.id);
    Ok(page)
}

/// The last two fields of every trailer, whose order differs between the formats.
fn put_crc_and_id(format: Format, buffer: &mut Vec<u8>, crc: u32, id: u64) {
    if format.is_unicode() {
        buffer.extend_from_slice(&crc.to_le_bytes());
        buffer.extend_from_slice(&id.to_le_bytes());
    } else {
        buffer.extend_from_slice(&(id as u32).to_le_bytes());
        buffer.extend_from_slice(&crc.to_le_bytes());
    }
}
