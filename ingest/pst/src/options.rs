//! What a caller may choose when opening a file.

/// Limits and habits of one open file. The defaults suit a laptop and hostile input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Verify the checksum of every page and block. A mismatch is reported as a problem and the bytes are still used
    /// where they are plausible.
    pub verify_crc: bool,
    /// Bytes that one attachment may hold; more is cut off and reported.
    pub max_attachment_bytes: u64,
    /// Bytes that one property value (a body, say) may hold; a larger value is reported and left out. All values of an item
    /// together may hold twice as much.
    pub max_property_bytes: u64,
    /// Attachments that are listed per item.
    pub max_attachments: usize,
    /// Recipients that are listed per item.
    pub max_recipients: usize,
    /// How deep messages may be embedded in messages.
    pub max_embedding_depth: u32,
    /// How deep folders may lie in folders.
    pub max_folder_depth: usize,
    /// How many folders are listed.
    pub max_folders: usize,
    /// Bytes of B-tree pages kept in memory.
    pub page_cache_bytes: usize,
    /// Bytes of decoded blocks kept in memory.
    pub block_cache_bytes: usize,
    /// Windows code page of 8-bit text where neither the item nor the text says.
    pub default_code_page: u32,
    /// [`inspect`](crate::inspect) stops once it has decoded this many times the file's size (a crafted file can list the
    /// same bytes without end).
    pub max_read_amplification: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            verify_crc: true,
            max_attachment_bytes: 1 << 30,
            max_property_bytes: 64 << 20,
            max_attachments: 10_000,
            max_recipients: 50_000,
            max_embedding_depth: 16,
            max_folder_depth: 64,
            max_folders: 100_000,
            page_cache_bytes: 8 << 20,
            block_cache_bytes: 1 << 20,
            default_code_page: 1252,
            max_read_amplification: 16,
        }
    }
}
