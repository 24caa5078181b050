//! The file header ([MS-PST] 2.2.2.6): which variant, which encoding, where the two B-trees begin.

use crate::bytes::{u8_at, u16_at, u32_at, word_at};
use crate::checksum::crc;
use crate::error::{ErrorKind, PstError, Result};

/// Bytes to read from the start of a file: the longer (Unicode) header.
pub(crate) const HEADER_BYTES: usize = 564;

/// Width of identifiers and offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 64-bit, text as UTF-16 (Outlook 2003 and later).
    Unicode,
    /// 32-bit, text in the sender's code page, at most 2 GB (Outlook 97 to 2002).
    Ansi,
}

/// How block data is disguised ([MS-PST] 2.2.2.6 `bCryptMethod`); none of these protects anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    None,
    /// Byte substitution.
    Permute,
    /// Three substitutions that depend on the block.
    Cyclic,
}

/// Where a B-tree page lies and which identifier it must carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRef {
    pub(crate) block_id: u64,
    pub(crate) offset: u64,
}

/// The facts of the header that reading needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) format: Format,
    pub(crate) is_ost: bool,
    pub(crate) encoding: Encoding,
    pub(crate) node_tree: PageRef,
    pub(crate) block_tree: PageRef,
    pub(crate) checksum_matches: bool,
    /// Size that the header claims for the file.
    pub(crate) file_bytes: u64,
}

const PLACE: &str = "header";

impl Header {
    /// Parses the first bytes of a file; `data` holds up to [`HEADER_BYTES`].
    pub(crate) fn parse(data: &[u8]) -> Result<Self> {
        let short = || PstError::new(ErrorKind::BrokenHeader, PLACE, "the file ends inside its header");
        if data.get(..4) != Some(b"!BDN") {
            return Err(PstError::new(ErrorKind::NotPst, PLACE, "does not begin with !BDN, so it is no PST or OST"));
        }
        let is_ost = match data.get(8..10).ok_or_else(short)? {
            b"SM" => false,
            b"SO" => true,
            b"AB" => {
                return Err(PstError::new(ErrorKind::Unsupported, PLACE, "a personal address book (PAB), no mailbox"));
            }
            _ => return Err(PstError::new(ErrorKind::BrokenHeader, PLACE, "names neither a PST nor an OST")),
        };
        let format = version(u16_at(data, 10).ok_or_else(short)?)?;
        let layout = Layout::of(format);
        let encoding = encoding(u8_at(data, layout.crypt_method).ok_or_else(short)?)?;
        let page_ref = |at: usize| {
            let wide = format == Format::Unicode;
            let block_id = word_at(data, at, wide)?;
            let offset = word_at(data, at + layout.word, wide)?;
            Some(PageRef { block_id, offset })
        };
        let checked = data.get(8..8 + layout.checked_bytes).ok_or_else(short)?;
        Ok(Self {
            format,
            is_ost,
            encoding,
            node_tree: page_ref(layout.node_tree).ok_or_else(short)?,
            block_tree: page_ref(layout.block_tree).ok_or_else(short)?,
            checksum_matches: u32_at(data, 4) == Some(crc(checked)),
            file_bytes: word_at(data, layout.file_bytes, format == Format::Unicode).ok_or_else(short)?,
        })
    }
}

struct Layout {
    word: usize,
    /// `ibFileEof`.
    file_bytes: usize,
    node_tree: usize,
    block_tree: usize,
    crypt_method: usize,
    /// Bytes from offset 8 that `dwCRCPartial` covers.
    checked_bytes: usize,
}

impl Layout {
    fn of(format: Format) -> Self {
        match format {
            Format::Unicode => Self {
                word: 8,
                file_bytes: 184,
                node_tree: 216,
                block_tree: 232,
                crypt_method: 513,
                checked_bytes: 471,
            },
            Format::Ansi => Self {
                word: 4,
                file_bytes: 168,
                node_tree: 184,
                block_tree: 192,
                crypt_method: 461,
                checked_bytes: 471,
            },
        }
    }
}

fn version(value: u16) -> Result<Format> {
    match value {
        14 | 15 => Ok(Format::Ansi),
        20..=23 => Ok(Format::Unicode),
        36 => Err(PstError::new(
            ErrorKind::Unsupported,
            PLACE,
            "version 36: an OST with 4096-byte pages (Outlook 2013 and later), which this reader does not support yet; \
             export it to a PST with Outlook",
        )),
        37 => Err(protected()),
        other => Err(PstError::new(ErrorKind::BrokenHeader, PLACE, format!("unknown version {other}"))),
    }
}

fn encoding(value: u8) -> Result<Encoding> {
    match value {
        0 => Ok(Encoding::None),
        1 => Ok(Encoding::Permute),
        2 => Ok(Encoding::Cyclic),
        0x10 => Err(protected()),
        other => Err(PstError::new(ErrorKind::BrokenHeader, PLACE, format!("unknown encoding {other:#04x}"))),
    }
}

fn protected() -> PstError {
    PstError::new(
        ErrorKind::Encrypted,
        PLACE,
        "encrypted with Windows Information Protection (WIP, NDB_CRYPT_EDPCRYPTED): only the enterprise that protected it \
         can decrypt it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(format: Format) -> Vec<u8> {
        let mut data = vec![0; HEADER_BYTES];
        data[..4].copy_from_slice(b"!BDN");
        data[8..10].copy_from_slice(b"SM");
        match format {
            Format::Unicode => {
                data[10] = 23;
                data[216..224].copy_from_slice(&0x31_u64.to_le_bytes());
                data[224..232].copy_from_slice(&0x4600_u64.to_le_bytes());
                data[232..240].copy_from_slice(&0x32_u64.to_le_bytes());
                data[240..248].copy_from_slice(&0x4800_u64.to_le_bytes());
                data[513] = 1;
            }
            Format::Ansi => {
                data[10] = 14;
                data[184..188].copy_from_slice(&0x31_u32.to_le_bytes());
                data[188..192].copy_from_slice(&0x4600_u32.to_le_bytes());
                data[192..196].copy_from_slice(&0x32_u32.to_le_bytes());
                data[196..200].copy_from_slice(&0x4800_u32.to_le_bytes());
                data[461] = 2;
            }
        }
        let sum = crc(&data[8..8 + 471]);
        data[4..8].copy_from_slice(&sum.to_le_bytes());
        data
    }

    #[test]
    fn reads_both_formats() {
        let unicode = Header::parse(&header(Format::Unicode)).unwrap();
        assert_eq!((unicode.format, unicode.encoding, unicode.is_ost), (Format::Unicode, Encoding::Permute, false));
        assert_eq!(unicode.node_tree, PageRef { block_id: 0x31, offset: 0x4600 });
        assert_eq!(unicode.block_tree, PageRef { block_id: 0x32, offset: 0x4800 });
        assert!(unicode.checksum_matches);
        let ansi = Header::parse(&header(Format::Ansi)).unwrap();
        assert_eq!((ansi.format, ansi.encoding), (Format::Ansi, Encoding::Cyclic));
        assert_eq!(ansi.node_tree, unicode.node_tree);
        assert_eq!(ansi.block_tree, unicode.block_tree);
        assert!(ansi.checksum_matches);
    }

    #[test]
    fn names_an_ost_and_a_wrong_checksum() {
        let mut data = header(Format::Unicode);
        data[9] = b'O';
        let parsed = Header::parse(&data).unwrap();
        assert!(parsed.is_ost);
        assert!(!parsed.checksum_matches);
    }

    #[test]
    fn refuses_by_name() {
        let kind_of = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut data = header(Format::Unicode);
            change(&mut data);
            Header::parse(&data).unwrap_err().kind()
        };
        assert_eq!(kind_of(&|data| data[0] = b'?'), ErrorKind::NotPst);
        assert_eq!(kind_of(&|data| data[10] = 36), ErrorKind::Unsupported);
        assert_eq!(kind_of(&|data| data[10] = 37), ErrorKind::Encrypted);
        assert_eq!(kind_of(&|data| data[513] = 0x10), ErrorKind::Encrypted);
        assert_eq!(kind_of(&|data| data[513] = 7), ErrorKind::BrokenHeader);
        assert_eq!(kind_of(&|data| data[8..10].copy_from_slice(b"AB")), ErrorKind::Unsupported);
        assert_eq!(kind_of(&|data| data.truncate(300)), ErrorKind::BrokenHeader);
        assert_eq!(kind_of(&|data| data.truncate(3)), ErrorKind::NotPst);
    }
}
