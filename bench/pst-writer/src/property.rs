//! Property values and how they are stored ([MS-PST] 2.3.3, [MS-OXCDATA] 2.11).

use std::borrow::Cow;

use encoding_rs::Encoding as Charset;

use crate::error::{Result, WriteError};
use crate::format::Format;

/// A point in time: 100-nanosecond steps since 1601-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

impl FileTime {
    /// The point `seconds` after 1970-01-01 UTC. Times before 1601 become 1601.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        const SECONDS_FROM_1601_TO_1970: i64 = 11_644_473_600;
        Self(u64::try_from(seconds.saturating_add(SECONDS_FROM_1601_TO_1970)).unwrap_or(0).saturating_mul(10_000_000))
    }
}

/// Which property: by its id, or by a name that the file maps to an id ([MS-PST] 2.4.7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PropertyId {
    /// An id below 0x8000.
    Tag(u16),
    /// A number within a property set.
    Numbered {
        /// The set's GUID, as it lies in the file.
        set: [u8; 16],
        /// The number (`PidLid`).
        number: u32,
    },
    /// A string within a property set.
    Named {
        /// The set's GUID, as it lies in the file.
        set: [u8; 16],
        /// The name.
        name: String,
    },
}

/// The value of a property. Strings are stored as UTF-16 in Unicode files and in the message's code page in ANSI files.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyValue {
    /// `PtypInteger16`
    Integer16(i16),
    /// `PtypInteger32`
    Integer32(i32),
    /// `PtypInteger64`
    Integer64(i64),
    /// `PtypFloating32`
    Floating32(f32),
    /// `PtypFloating64`
    Floating64(f64),
    /// `PtypCurrency`, in ten-thousandths
    Currency(i64),
    /// `PtypFloatingTime`, in days since 1899-12-30
    FloatingTime(f64),
    /// `PtypErrorCode`
    ErrorCode(u32),
    /// `PtypBoolean`
    Boolean(bool),
    /// `PtypTime`
    Time(FileTime),
    /// `PtypGuid`, as it lies in the file
    Guid([u8; 16]),
    /// `PtypString`, or `PtypString8` in ANSI files
    Text(String),
    /// `PtypString8` in either format: bytes in whatever code page the message says
    Text8(Vec<u8>),
    /// `PtypBinary`
    Binary(Vec<u8>),
    /// `PtypMultipleInteger16`
    Integers16(Vec<i16>),
    /// `PtypMultipleInteger32`
    Integers32(Vec<i32>),
    /// `PtypMultipleInteger64`
    Integers64(Vec<i64>),
    /// `PtypMultipleFloating64`
    Floatings64(Vec<f64>),
    /// `PtypMultipleTime`
    Times(Vec<FileTime>),
    /// `PtypMultipleGuid`
    Guids(Vec<[u8; 16]>),
    /// `PtypMultipleString`, or `PtypMultipleString8` in ANSI files
    Texts(Vec<String>),
    /// `PtypMultipleBinary`
    Binaries(Vec<Vec<u8>>),
}

/// A property as it is stored: its type and its bytes, wherever these will lie.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredValue<'a> {
    pub(crate) kind: u16,
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// How strings become bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextEncoder {
    pub(crate) format: Format,
    pub(crate) code_page: u16,
}

/// `PtypObject`, which only attachments use.
pub(crate) const OBJECT: u16 = 0x000D;

impl PropertyValue {
    /// The value's type and bytes.
    pub(crate) fn stored(&self, text: TextEncoder) -> Result<StoredValue<'_>> {
        let (kind, bytes) = match self {
            Self::Integer16(value) => (0x0002, fixed(value.to_le_bytes())),
            Self::Integer32(value) => (0x0003, fixed(value.to_le_bytes())),
            Self::Floating32(value) => (0x0004, fixed(value.to_le_bytes())),
            Self::Floating64(value) => (0x0005, fixed(value.to_le_bytes())),
            Self::Currency(value) => (0x0006, fixed(value.to_le_bytes())),
            Self::FloatingTime(value) => (0x0007, fixed(value.to_le_bytes())),
            Self::ErrorCode(value) => (0x000A, fixed(value.to_le_bytes())),
            Self::Boolean(value) => (0x000B, fixed([u8::from(*value)])),
            Self::Integer64(value) => (0x0014, fixed(value.to_le_bytes())),
            Self::Time(value) => (0x0040, fixed(value.0.to_le_bytes())),
            Self::Guid(value) => (0x0048, Cow::Borrowed(value.as_slice())),
            Self::Text(value) => (text.kind(), Cow::Owned(text.encode(value)?)),
            Self::Text8(value) => (0x001E, Cow::Borrowed(value.as_slice())),
            Self::Binary(value) => (0x0102, Cow::Borrowed(value.as_slice())),
            Self::Integers16(values) => (0x1002, each(values, |value| value.to_le_bytes())),
            Self::Integers32(values) => (0x1003, each(values, |value| value.to_le_bytes())),
            Self::Floatings64(values) => (0x1005, each(values, |value| value.to_le_bytes())),
            Self::Integers64(values) => (0x1014, each(values, |value| value.to_le_bytes())),
            Self::Times(values) => (0x1040, each(values, |value| value.0.to_le_bytes())),
            Self::Guids(values) => (0x1048, each(values, |value| *value)),
            Self::Texts(values) => {
                let parts = values.iter().map(|value| text.encode(value)).collect::<Result<Vec<_>>>()?;
                (0x1000 | text.kind(), Cow::Owned(with_offsets(&parts)))
            }
            Self::Binaries(values) => (0x1102, Cow::Owned(with_offsets(values))),
        };
        Ok(StoredValue { kind, bytes })
    }
}

impl TextEncoder {
    /// The type of a string.
    pub(crate) fn kind(self) -> u16 {
        if self.format.is_unicode() { 0x001F } else { 0x001E }
    }

    /// The bytes of a string, without a terminator. What the code page lacks becomes a question mark.
    pub(crate) fn encode(self, text: &str) -> Result<Vec<u8>> {
        if self.format.is_unicode() {
            let mut bytes = Vec::with_capacity(2 * text.len());
            for unit in text.encode_utf16() {
                bytes.extend_from_slice(&unit.to_le_bytes());
            }
            return Ok(bytes);
        }
        encode_in_code_page(text, self.code_page)
    }
}

/// `text` in a Windows code page; what the code page lacks becomes a question mark.
pub fn encode_in_code_page(text: &str, code_page: u16) -> Result<Vec<u8>> {
    let charset = charset(code_page).ok_or(WriteError::UnknownCodePage(code_page))?;
    let (bytes, _, unmappable) = charset.encode(text);
    if !unmappable {
        return Ok(bytes.into_owned());
    }
    // The crate writes a numeric entity for what a charset lacks; Windows writes a question mark.
    let mut encoded = Vec::with_capacity(text.len());
    for character in text.chars() {
        match charset.encode(character.encode_utf8(&mut [0; 4])) {
            (bytes, _, false) => encoded.extend_from_slice(&bytes),
            _ => encoded.push(b'?'),
        }
    }
    Ok(encoded)
}

/// The charset of a code page number ([MS-UCODEREF] 2.2.1), for those in use in mail.
fn charset(code_page: u16) -> Option<&'static Charset> {
    Some(match code_page {
        874 => encoding_rs::WINDOWS_874,
        932 => encoding_rs::SHIFT_JIS,
        936 => encoding_rs::GBK,
        949 => encoding_rs::EUC_KR,
        950 => encoding_rs::BIG5,
        1250 => encoding_rs::WINDOWS_1250,
        1251 => encoding_rs::WINDOWS_1251,
        1252 | 20127 | 28591 => encoding_rs::WINDOWS_1252,
        1253 => encoding_rs::WINDOWS_1253,
        1254 => encoding_rs::WINDOWS_1254,
        1255 => encoding_rs::WINDOWS_1255,
        1256 => encoding_rs::WINDOWS_1256,
        1257 => encoding_rs::WINDOWS_1257,
        1258 => encoding_rs::WINDOWS_1258,
        20866 => encoding_rs::KOI8_R,
        28592 => encoding_rs::ISO_8859_2,
        28595 => encoding_rs::ISO_8859_5,
        28605 => encoding_rs::ISO_8859_15,
        50220 => encoding_rs::ISO_2022_JP,
        51932 => encoding_rs::EUC_JP,
        65001 => encoding_rs::UTF_8,
        _ => return None,
    })
}

fn fixed<const N: usize>(bytes: [u8; N]) -> Cow<'static, [u8]> {
    Cow::Owned(bytes.to_vec())
}

fn each<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Cow<'static, [u8]> {
    Cow::Owned(values.iter().flat_map(bytes).collect())
}

/// Values of varying length: their number, where each starts, then the values ([MS-PST] 2.3.3.4.2).
fn with_offsets(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = (parts.len() as u32).to_le_bytes().to_vec();
    let mut offset = 4 + 4 * parts.len();
    for part in parts {
        bytes.extend_from_slice(&(offset as u32).to_le_bytes());
        offset += part.len();
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}
