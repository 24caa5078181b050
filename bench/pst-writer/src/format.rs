//! The sizes and checksums in which the two formats differ or agree ([MS-PST] 2.2 and 5).

/// Which of the formats to write ([MS-PST] 2.2.2.6, `wVer`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Version 23: 64-bit offsets, UTF-16 strings (Outlook 2003 and later).
    #[default]
    Unicode,
    /// Version 15: 32-bit offsets, strings in a code page, at most 2 GB.
    Ansi,
    /// Version 14: like 15, as the oldest Outlooks wrote it.
    Ansi14,
}

/// How the bytes of data blocks are obscured ([MS-PST] 2.2.2.6, `bCryptMethod`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    None,
    /// Each byte replaced by another ("compressible encryption", Outlook's default).
    #[default]
    Permute,
    /// Bytes replaced depending on their place and on their block's id ("high encryption").
    Cyclic,
}

impl Encoding {
    /// The value of `bCryptMethod`.
    pub(crate) fn method(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Permute => 1,
            Self::Cyclic => 2,
        }
    }
}

impl Format {
    /// The value of `wVer`.
    pub(crate) fn version(self) -> u16 {
        match self {
            Self::Unicode => 23,
            Self::Ansi => 15,
            Self::Ansi14 => 14,
        }
    }

    /// Whether ids and offsets are 64 bits wide and strings UTF-16.
    pub fn is_unicode(self) -> bool {
        self == Self::Unicode
    }

    /// The most bytes that one data block holds ([MS-PST] 2.2.2.8.3.1).
    pub(crate) fn max_block_data(self) -> usize {
        MAX_BLOCK - self.trailer()
    }

    /// Bytes of a block's trailer, which are those of a page's trailer too.
    pub(crate) fn trailer(self) -> usize {
        if self.is_unicode() { 16 } else { 12 }
    }

    /// Bytes of an id or an offset.
    pub(crate) fn word(self) -> usize {
        if self.is_unicode() { 8 } else { 4 }
    }

    /// Appends an id or an offset in the format's width.
    pub(crate) fn put_word(self, buffer: &mut Vec<u8>, value: u64) {
        if self.is_unicode() {
            buffer.extend_from_slice(&value.to_le_bytes());
        } else {
            buffer.extend_from_slice(&(value as u32).to_le_bytes());
        }
    }

    /// The greatest length of a file, in bytes.
    pub(crate) fn max_file(self) -> u64 {
        if self.is_unicode() { 50 << 30 } else { (2 << 30) - 1 }
    }
}

/// The size of a page, in bytes.
pub(crate) const PAGE: usize = 512;
/// The size of the largest block with its trailer, in bytes.
pub(crate) const MAX_BLOCK: usize = 8192;
/// Blocks start and end at multiples of this.
pub(crate) const BLOCK_ALIGNMENT: usize = 64;
/// The largest item of a heap-on-node; what is larger goes to a subnode ([MS-PST] 2.3.3.3).
pub(crate) const MAX_HEAP_ITEM: usize = 3580;

/// The format's checksum: CRC-32 with the usual polynomial, but starting from zero and not inverted at the end
/// ([MS-PST] 5.3).
pub(crate) fn checksum(data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::MAX);
    hasher.update(data);
    !hasher.finalize()
}

/// The signature of a page or block: what ties it to its id and its place ([MS-PST] 5.5).
pub(crate) fn signature(offset: u64, id: u64) -> u16 {
    let mixed = (offset ^ id) as u32;
    ((mixed >> 16) ^ mixed) as u16
}

/// Overwrites `bytes` at `offset`; false when they do not fit.
pub(crate) fn overwrite(buffer: &mut [u8], offset: usize, bytes: &[u8]) -> bool {
    let Some(target) = offset.checked_add(bytes.len()).and_then(|end| buffer.get_mut(offset..end)) else {
        return false;
    };
    target.copy_from_slice(bytes);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_starts_from_zero_and_is_not_inverted() {
        // A byte of zeros leaves a register of zeros alone; the usual CRC-32 would not give 0.
        assert_eq!(checksum(&[0; 4]), 0);
        // The first entry of the table that the polynomial makes.
        assert_eq!(checksum(&[1]), 0x7707_3096);
    }

    #[test]
    fn signature_folds_both_halves() {
        assert_eq!(signature(0x0001_0000, 0x0000_0003), 0x0001 ^ 0x0003);
    }
}
