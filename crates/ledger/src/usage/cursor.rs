//! Where the next page of a list begins: the key of the last row, as text that fits into an address.

use std::fmt::Write as _;

use crate::LedgerError;

/// Stands between the parts; no key holds it.
const SEPARATOR: char = '\u{1f}';

pub(super) fn encode(parts: &[&str]) -> String {
    let mut cursor = String::new();
    for byte in parts.join(&SEPARATOR.to_string()).bytes() {
        // Writing into a string cannot fail.
        let _ = write!(cursor, "{byte:02x}");
    }
    cursor
}

/// A time in microseconds, and `N` texts.
pub(super) fn decode<const N: usize>(cursor: &str) -> Result<(i64, [String; N]), LedgerError> {
    let digits = cursor.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Vec<u8> = digits.collect::<Option<_>>().ok_or(LedgerError::Cursor)?;
    let text = String::from_utf8(bytes).map_err(|_| LedgerError::Cursor)?;
    let mut parts = text.split(SEPARATOR).map(str::to_owned);
    let time = parts.next().and_then(|time| time.parse().ok()).ok_or(LedgerError::Cursor)?;
    let parts: Vec<String> = parts.collect();
    Ok((time, parts.try_into().map_err(|_| LedgerError::Cursor)?))
}
