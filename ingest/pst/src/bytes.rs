//! Little-endian reads that answer `None` past the end, so that no parser indexes hostile input.

/// One byte at `at`.
pub(crate) fn u8_at(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

/// A 16-bit value at `at`.
pub(crate) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// A 32-bit value at `at`.
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// A 64-bit value at `at`.
pub(crate) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// A value of the file's word size: 8 bytes in a Unicode file, 4 in an ANSI one.
pub(crate) fn word_at(data: &[u8], at: usize, wide: bool) -> Option<u64> {
    if wide { u64_at(data, at) } else { u32_at(data, at).map(u64::from) }
}

/// UTF-16LE text; a lone surrogate becomes U+FFFD, an odd last byte is dropped.
pub(crate) fn utf16le(data: &[u8]) -> String {
    let units = data.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    let mut text = String::with_capacity(data.len() / 2);
    text.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
    text
}
