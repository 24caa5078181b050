//! Positioned reads with adaptive read-ahead: one window that grows while reading moves forward.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes fetched for a read that follows no other.
const RANDOM_FETCH: usize = 16 << 10;
/// Bytes fetched while reading moves forward through the file.
const SEQUENTIAL_FETCH: usize = 128 << 10;

/// The file below the database.
pub(crate) struct Source<R> {
    reader: R,
    length: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<R: Read + Seek> Source<R> {
    pub(crate) fn new(mut reader: R) -> io::Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        Ok(Self { reader, length, window: Vec::new(), window_start: 0 })
    }

    /// Size of the file in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `out` from `offset` without touching the window: for pages, which have a cache of their own.
    pub(crate) fn read_directly(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(offset))?;
        self.reader.read_exact(out)
    }

    /// The `length` bytes at `offset`, out of the window where it holds them.
    pub(crate) fn slice(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.in_window(offset, length).is_none() {
            self.fetch(offset, length)?;
        }
        self.in_window(offset, length)
            .and_then(|range| self.window.get(range))
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn in_window(&self, offset: u64, length: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(offset.checked_sub(self.window_start)?).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.window.len()).then_some(start..end)
    }

    fn fetch(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let window_end = self.window_start + self.window.len() as u64;
        let moves_forward = offset >= self.window_start && offset <= window_end + RANDOM_FETCH as u64;
        let wanted = length.max(if moves_forward { SEQUENTIAL_FETCH } else { RANDOM_FETCH });
        let available = self.length.saturating_sub(offset);
        let size = usize::try_from(available).map_or(wanted, |available| available.min(wanted));
        self.window.resize(size, 0);
        self.window_start = offset;
        let outcome = self.reader.seek(SeekFrom::Start(offset)).and_then(|_| self.reader.read_exact(&mut self.window));
        if outcome.is_err() {
            // A failed read leaves the window undefined.
            self.window.clear();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn any_order_of_reads_gives_the_files_bytes() {
        let bytes: Vec<u8> = (0..600_000_u32).map(|value| (value / 3) as u8).collect();
        let mut source = Source::new(Cursor::new(bytes.clone())).unwrap();
        assert_eq!(source.length(), 600_000);
        for (offset, length) in [(0, 10), (5, 100), (590_000, 10_000), (16_000, 9_000), (25_001, 8192), (0, 1)] {
            assert_eq!(source.slice(offset as u64, length).unwrap(), &bytes[offset..offset + length]);
        }
        assert!(source.slice(599_999, 2).is_err());
        assert!(source.slice(u64::MAX, 2).is_err());
        assert_eq!(source.slice(1, 2).unwrap(), &bytes[1..3]);
    }
}
