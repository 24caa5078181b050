//! Property values ([MS-PST] 2.3.3.3, [MS-OXCDATA] 2.11.1).

use crate::bytes::{u32_at, u64_at, utf16le};
use crate::code_page;

/// A decoded property value.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyValue {
    /// `PtypInteger16`.
    Integer16(i16),
    /// `PtypInteger32`.
    Integer32(i32),
    /// `PtypInteger64`.
    Integer64(i64),
    /// `PtypFloating32`.
    Floating32(f32),
    /// `PtypFloating64`.
    Floating64(f64),
    /// `PtypCurrency`, in ten-thousandths.
    Currency(i64),
    /// `PtypFloatingTime`, in days since 1899-12-30.
    FloatingTime(f64),
    /// `PtypErrorCode`.
    Error(u32),
    /// `PtypBoolean`.
    Boolean(bool),
    /// `PtypTime`: 100-nanosecond steps since 1601-01-01 UTC.
    Time(u64),
    /// `PtypString` or `PtypString8`, decoded, without trailing NULs.
    Text(String),
    /// `PtypBinary` (and other types that are byte strings).
    Binary(Vec<u8>),
    /// `PtypGuid`, in the file's byte order.
    Guid([u8; 16]),
    /// `PtypObject`: the subnode that holds it, and its size in bytes.
    Object {
        /// Identifier of the subnode.
        node_id: u32,
        /// Size that the property claims.
        bytes: u32,
    },
    /// Any multi-valued type, in order.
    Multiple(Vec<PropertyValue>),
    /// A type that is not known, with its bytes.
    Unknown {
        /// The type code.
        kind: u16,
        /// What stands there.
        data: Vec<u8>,
    },
}

impl PropertyValue {
    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The bytes, if it is a byte string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Binary(data) = self { Some(data) } else { None }
    }

    /// An integer of any width, or a boolean as 0 or 1.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer16(value) => Some(i64::from(*value)),
            Self::Integer32(value) => Some(i64::from(*value)),
            Self::Integer64(value) => Some(*value),
            Self::Boolean(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// A time in microseconds since 1970-01-01 UTC.
    pub fn as_unix_micros(&self) -> Option<i64> {
        if let Self::Time(ticks) = self { filetime_to_unix_micros(*ticks) } else { None }
    }
}

/// Seconds from 1601 to 1970.
const EPOCH_DIFFERENCE_SECONDS: i64 = 11_644_473_600;

/// FILETIME to microseconds since 1970-01-01 UTC. `None` for 0 and for what Outlook writes for "none" (the year 4501 and
/// later).
fn filetime_to_unix_micros(ticks: u64) -> Option<i64> {
    /// 4501-01-01: "no date".
    const NONE: i64 = 79_870_662_000_000_000;
    if ticks == 0 {
        return None;
    }
    let micros = i64::try_from(ticks / 10).ok()?.checked_sub(EPOCH_DIFFERENCE_SECONDS * 1_000_000)?;
    (micros < NONE).then_some(micros)
}

/// Type codes.
pub(crate) mod kind {
    pub(crate) const INTEGER16: u16 = 0x0002;
    pub(crate) const INTEGER32: u16 = 0x0003;
    pub(crate) const FLOATING32: u16 = 0x0004;
    pub(crate) const FLOATING64: u16 = 0x0005;
    pub(crate) const CURRENCY: u16 = 0x0006;
    pub(crate) const FLOATING_TIME: u16 = 0x0007;
    pub(crate) const ERROR: u16 = 0x000a;
    pub(crate) const BOOLEAN: u16 = 0x000b;
    pub(crate) const OBJECT: u16 = 0x000d;
    pub(crate) const INTEGER64: u16 = 0x0014;
    pub(crate) const STRING8: u16 = 0x001e;
    pub(crate) const STRING: u16 = 0x001f;
    pub(crate) const TIME: u16 = 0x0040;
    pub(crate) const GUID: u16 = 0x0048;
    pub(crate) const BINARY: u16 = 0x0102;
    pub(crate) const MULTIPLE: u16 = 0x1000;
}

/// Size of a fixed-size type in bytes.
pub(crate) fn fixed_bytes(kind: u16) -> Option<usize> {
    match kind {
        kind::BOOLEAN => Some(1),
        kind::INTEGER16 => Some(2),
        kind::INTEGER32 | kind::FLOATING32 | kind::ERROR => Some(4),
        kind::FLOATING64 | kind::CURRENCY | kind::FLOATING_TIME | kind::INTEGER64 | kind::TIME => Some(8),
        kind::GUID => Some(16),
        _ => None,
    }
}

/// Decodes the bytes of a value of type `kind`; `None` where they are too few.
pub(crate) fn decode(kind: u16, data: &[u8], code_page: u32) -> Option<PropertyValue> {
    if kind & kind::MULTIPLE != 0 {
        return multiple(kind & !kind::MULTIPLE, data, code_page).map(PropertyValue::Multiple);
    }
    Some(match kind {
        kind::INTEGER16 => PropertyValue::Integer16(i16::from_le_bytes(*data.first_chunk()?)),
        kind::INTEGER32 => PropertyValue::Integer32(i32::from_le_bytes(*data.first_chunk()?)),
        kind::FLOATING32 => PropertyValue::Floating32(f32::from_le_bytes(*data.first_chunk()?)),
        kind::FLOATING64 => PropertyValue::Floating64(f64::from_le_bytes(*data.first_chunk()?)),
        kind::CURRENCY => PropertyValue::Currency(i64::from_le_bytes(*data.first_chunk()?)),
        kind::FLOATING_TIME => PropertyValue::FloatingTime(f64::from_le_bytes(*data.first_chunk()?)),
        kind::ERROR => PropertyValue::Error(u32_at(data, 0)?),
        kind::BOOLEAN => PropertyValue::Boolean(*data.first()? != 0),
        kind::INTEGER64 => PropertyValue::Integer64(i64::from_le_bytes(*data.first_chunk()?)),
        kind::TIME => PropertyValue::Time(u64_at(data, 0)?),
        kind::GUID => PropertyValue::Guid(*data.first_chunk()?),
        kind::STRING => PropertyValue::Text(trimmed(utf16le(data))),
        kind::STRING8 => PropertyValue::Text(trimmed(code_page::decode(data, code_page))),
        kind::OBJECT => PropertyValue::Object { node_id: u32_at(data, 0)?, bytes: u32_at(data, 4).unwrap_or(0) },
        // The numbers are server identifiers, restrictions and rule actions: byte strings that nobody here looks into.
        kind::BINARY | 0x00fb | 0x00fd | 0x00fe => PropertyValue::Binary(data.to_vec()),
        kind => PropertyValue::Unknown { kind, data: data.to_vec() },
    })
}

/// Cuts at the first NUL of a trailing run; some writers store the terminator.
fn trimmed(mut text: String) -> String {
    text.truncate(text.trim_end_matches('\0').len());
    text
}

/// Values of one multi-valued property.
const MAX_VALUES: usize = 100_000;

/// [MS-PST] 2.3.3.4.1 (fixed size: packed) and 2.3.3.4.2 (variable size: a count and offsets, then the values).
fn multiple(kind: u16, data: &[u8], code_page: u32) -> Option<Vec<PropertyValue>> {
    if let Some(size) = fixed_bytes(kind) {
        if data.len() / size > MAX_VALUES {
            return None;
        }
        return data.chunks_exact(size).map(|value| decode(kind, value, code_page)).collect();
    }
    if data.is_empty() {
        return Some(Vec::new());
    }
    let count = u32_at(data, 0)? as usize;
    if count > data.len() / 4 || count > MAX_VALUES {
        return None;
    }
    let offset = |index: usize| -> Option<usize> {
        if index == count { Some(data.len()) } else { Some(u32_at(data, 4 + 4 * index)? as usize) }
    };
    let mut values = Vec::with_capacity(count);
    let mut previous = 4 + 4 * count;
    for index in 0..count {
        let (start, end) = (offset(index)?, offset(index + 1)?);
        // Offsets go forward, so that values do not overlap and cannot add up to more than `data`.
        if start < previous {
            return None;
        }
        previous = end;
        values.push(decode(kind, data.get(start..end)?, code_page)?);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_multiple_values() {
        let integers = decode(0x1003, &[1, 0, 0, 0, 2, 0, 0, 0], 1252);
        assert_eq!(
            integers,
            Some(PropertyValue::Multiple(vec![PropertyValue::Integer32(1), PropertyValue::Integer32(2)]))
        );
        let strings = [2, 0, 0, 0, 12, 0, 0, 0, 14, 0, 0, 0, b'a', 0, b'b', 0, b'c', 0];
        let expected = vec![PropertyValue::Text("a".into()), PropertyValue::Text("bc".into())];
        assert_eq!(decode(0x101f, &strings, 1252), Some(PropertyValue::Multiple(expected)));
        assert_eq!(decode(0x101f, &[255, 255, 255, 255, 0, 0], 1252), None);
        assert_eq!(decode(0x101f, &[2, 0, 0, 0, 12, 0, 0, 0, 5, 0, 0, 0, 1, 2], 1252), None);
    }

    #[test]
    fn converts_times() {
        assert_eq!(filetime_to_unix_micros(116_444_736_000_000_010), Some(1));
        assert_eq!(filetime_to_unix_micros(0), None);
        assert_eq!(filetime_to_unix_micros(u64::MAX), None);
        assert_eq!(filetime_to_unix_micros(10), Some(-11_644_473_599_999_999));
        // 4501-01-01, Outlook's "none".
        assert_eq!(filetime_to_unix_micros(915_151_392_000_000_000), None);
    }

    #[test]
    fn an_unknown_type_keeps_its_bytes() {
        assert_eq!(decode(0x0999, b"xy", 1252), Some(PropertyValue::Unknown { kind: 0x0999, data: b"xy".to_vec() }));
        assert_eq!(decode(0x0040, b"xy", 1252), None);
    }
}
