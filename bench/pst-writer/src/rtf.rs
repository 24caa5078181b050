//! Compressed RTF ([MS-OXRTFCP]).

use std::collections::HashMap;

use crate::format::checksum;

/// What the compressor's dictionary holds before the first byte ([MS-OXRTFCP] 2.1.3.1.2).
const PRELOADED: &[u8; 207] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \
\\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\
\\f0\\fs20\\b\\i\\u\\tab\\tx";
/// The dictionary's size in bytes; references point into it.
const DICTIONARY: usize = 4096;
/// The longest and the shortest run that a reference can repeat.
const LONGEST: usize = 17;
const SHORTEST: usize = 2;
/// How many earlier places with the same start are tried, so that input of one repeated byte stays quick.
const MAX_CANDIDATES: usize = 16;

/// Compresses `rtf` (`LZFu`).
pub fn compress_rtf(rtf: &[u8]) -> Vec<u8> {
    let mut history = PRELOADED.to_vec();
    let preloaded = history.len();
    history.extend_from_slice(rtf);
    let mut places = Places::default();
    for position in 0..preloaded {
        places.add(&history, position);
    }
    let mut tokens = Tokens::default();
    let mut position = preloaded;
    while position < history.len() {
        let length = if let Some((start, length)) = places.longest(&history, position) {
            tokens.reference(start, length);
            length
        } else {
            tokens.literal(history.get(position).copied().unwrap_or_default());
            1
        };
        for passed in position..position + length {
            places.add(&history, passed);
        }
        position += length;
    }
    // A reference to the place that would be written next ends the data.
    tokens.reference(position, SHORTEST);
    with_header(*b"LZFu", rtf.len(), &tokens.finish(), true)
}

/// Wraps `rtf` as it is (`MELA`).
pub fn wrap_rtf(rtf: &[u8]) -> Vec<u8> {
    with_header(*b"MELA", rtf.len(), rtf, false)
}

/// The header says how long the rest is, itself less its first field included ([MS-OXRTFCP] 2.1.3.1.1).
fn with_header(kind: [u8; 4], raw_size: usize, contents: &[u8], checked: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(contents.len() + 16);
    bytes.extend_from_slice(&(contents.len() as u32 + 12).to_le_bytes());
    bytes.extend_from_slice(&(raw_size as u32).to_le_bytes());
    bytes.extend_from_slice(&kind);
    let crc = if checked { checksum(contents) } else { 0 };
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(contents);
    bytes
}

/// Where each pair of bytes occurred, the latest last.
#[derive(Default)]
struct Places(HashMap<[u8; 2], Vec<usize>>);

impl Places {
    fn add(&mut self, history: &[u8], position: usize) {
        if let Some(pair) = history.get(position..).and_then(|rest| rest.first_chunk::<2>()) {
            self.0.entry(*pair).or_default().push(position);
        }
    }

    /// The longest run before `position`, within the dictionary's reach, that repeats there.
    fn longest(&self, history: &[u8], position: usize) -> Option<(usize, usize)> {
        let ahead = history.get(position..)?;
        let candidates = self.0.get(ahead.first_chunk::<2>()?)?;
        let in_reach =
            candidates.iter().rev().take(MAX_CANDIDATES).filter(|&&start| position - start < DICTIONARY - LONGEST);
        let runs = in_reach.map(|&start| {
            let before = history.get(start..).unwrap_or_default();
            (start, before.iter().zip(ahead).take(LONGEST).take_while(|(a, b)| a == b).count())
        });
        runs.max_by_key(|(_, length)| *length)
    }
}

/// Groups of eight tokens, each group after a byte that tells literals from references.
#[derive(Default)]
struct Tokens {
    done: Vec<u8>,
    group: Vec<u8>,
    control: u8,
    count: u8,
}

impl Tokens {
    fn literal(&mut self, byte: u8) {
        self.group.push(byte);
        self.advance();
    }

    fn reference(&mut self, start: usize, length: usize) {
        let token = ((start % DICTIONARY) << 4 | (length - SHORTEST)) as u16;
        self.group.extend_from_slice(&token.to_be_bytes());
        self.control |= 1 << self.count;
        self.advance();
    }

    fn advance(&mut self) {
        self.count += 1;
        if self.count == 8 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.done.push(self.control);
        self.done.append(&mut self.group);
        self.control = 0;
        self.count = 0;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.flush();
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decompressor as [MS-OXRTFCP] 3.1.4.1 describes it, for these tests only.
    fn decompress(bytes: &[u8]) -> Vec<u8> {
        let mut dictionary = vec![b' '; DICTIONARY];
        dictionary[..PRELOADED.len()].copy_from_slice(PRELOADED);
        let (mut write, mut raw) = (PRELOADED.len(), Vec::new());
        let mut input = bytes[16..].iter().copied();
        while let Some(control) = input.next() {
            for bit in 0..8 {
                let run: Vec<usize> = if control >> bit & 1 == 0 {
                    let Some(byte) = input.next() else { return raw };
                    dictionary[write] = byte;
                    raw.push(byte);
                    write = (write + 1) % DICTIONARY;
                    continue;
                } else {
                    let token = u16::from_be_bytes([input.next().unwrap(), input.next().unwrap()]);
                    let start = usize::from(token >> 4);
                    if start == write {
                        return raw;
                    }
                    (start..=start + usize::from(token & 15) + 1).collect()
                };
                for place in run {
                    let byte = dictionary[place % DICTIONARY];
                    dictionary[write] = byte;
                    raw.push(byte);
                    write = (write + 1) % DICTIONARY;
                }
            }
        }
        raw
    }

    #[test]
    fn compressed_rtf_is_smaller_and_comes_back() {
        let mut rtf = b"{\\rtf1\\ansi\\ansicpg1252\\fromtext \\deff0{\\fonttbl{\\f0\\fswiss Arial;}}\r\n".to_vec();
        for line in 0..400 {
            rtf.extend_from_slice(format!("\\par Line {line}: the quick brown fox.\r\n").as_bytes());
        }
        rtf.push(b'}');
        let compressed = compress_rtf(&rtf);
        assert!(compressed.len() < rtf.len() / 2);
        assert_eq!(decompress(&compressed), rtf);
    }

    #[test]
    fn one_repeated_byte_comes_back() {
        let rtf = vec![b'a'; 30_000];
        assert_eq!(decompress(&compress_rtf(&rtf)), rtf);
    }

    #[test]
    fn header_counts_what_follows_its_first_field() {
        let compressed = compress_rtf(b"{\\rtf1}");
        let size = u32::from_le_bytes(compressed[..4].try_into().unwrap()) as usize;
        assert_eq!(size + 4, compressed.len());
        assert_eq!(&compressed[8..12], b"LZFu");
    }
}
