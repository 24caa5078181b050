//! Where the next page of a list begins: the key of the last row, as text that fits into an address.

use std::fmt::Write as _;

use crate::LedgerError;

/// Stands between the parts; no key holds it.
const SEPARATOR: char = '\u{1f}';

pub(crate) fn encode(parts: &[&str]) -> String {
    let mut cursor = String::new();
    for byte in parts.join(&SEPARATOR.to_string()).bytes() {
        // Writing into a string cannot fail.
        let _ = write!(cursor, "{byte:02x}");
    }
    cursor
}

/// A time in microseconds, and `N` texts.
pub(crate) fn decode<const N: usize>(cursor: &str) -> Result<(i64, [String; N]), LedgerError> {
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

/// Where a list begins that goes from the newest to the oldest: behind the cursor, or before everything.
pub(crate) fn position(cursor: Option<&str>) -> Result<(i64, [String; 1]), LedgerError> {
    cursor.map_or_else(|| Ok((i64::MAX, [String::new()])), decode)
}

/// Takes off the row that only says that there is more, and gives the last one of this page then.
pub(crate) fn more<T>(rows: &mut Vec<T>, limit: u32) -> Option<&T> {
    let limit = limit.max(1) as usize;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| is_more)
}
