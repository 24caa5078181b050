//! Compressed RTF: a header, then either plain bytes (`MELA`) or a Lempel-Ziv stream over a 4096-byte ring (`LZFu`).

use crate::bytes::{u16_at, u32_at};
use crate::checksum::crc;

const HEADER_BYTES: usize = 16;
const RING_BYTES: usize = 4096;
const COMPRESSED: u32 = 0x7546_5a4c;
const UNCOMPRESSED: u32 = 0x414c_454d;

/// What the ring holds before the first byte, so that usual RTF compresses from its start ([MS-OXRTFCP] 2.1.2.1).
const PRELOADED: &[u8] =
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \
\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \
\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// Decompressed RTF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decompressed {
    pub(crate) rtf: Vec<u8>,
    /// What did not check; the bytes are usable all the same.
    pub(crate) doubt: Option<&'static str>,
}

/// Decompresses the value of `PidTagRtfCompressed` into at most `limit` bytes; the error is a reason.
pub(crate) fn decompress(data: &[u8], limit: u64) -> Result<Decompressed, &'static str> {
    let field = |at| u32_at(data, at).ok_or("ends inside its header");
    let (compressed_bytes, raw_bytes, kind, sum) = (field(0)?, field(4)?, field(8)?, field(12)?);
    let content = data.get(HEADER_BYTES..).unwrap_or_default();
    let raw_bytes = raw_bytes as usize;
    if kind == UNCOMPRESSED {
        let doubt = (content.len() < raw_bytes).then_some("is shorter than it claims");
        return Ok(Decompressed { rtf: content.get(..raw_bytes).unwrap_or(content).to_vec(), doubt });
    }
    if kind != COMPRESSED {
        return Err("is neither LZFu nor MELA");
    }
    // The size counts what follows its own field. Checksummed is exactly that content, less the rest of the header.
    let claimed = (compressed_bytes as usize).saturating_sub(HEADER_BYTES - 4);
    let content = content.get(..claimed).unwrap_or(content);
    let (rtf, ended) = expand(content, raw_bytes, usize::try_from(limit).unwrap_or(usize::MAX));
    let doubt = if crc(content) != sum {
        Some("checksum differs")
    } else if !ended && rtf.len() < raw_bytes {
        Some("is shorter than it claims")
    } else {
        None
    };
    Ok(Decompressed { rtf, doubt })
}

/// Expands the stream; says whether it came to its end mark.
fn expand(content: &[u8], raw_bytes: usize, limit: usize) -> (Vec<u8>, bool) {
    let mut ring = [b' '; RING_BYTES];
    if let Some(start) = ring.get_mut(..PRELOADED.len()) {
        start.copy_from_slice(PRELOADED);
    }
    let mut write = PRELOADED.len();
    // A reference of two bytes and an eighth of a control byte makes at most 17 bytes.
    let mut out = Vec::with_capacity(raw_bytes.min(content.len().saturating_mul(9)).min(limit));
    let mut at = 0;
    while let Some(control) = content.get(at) {
        at += 1;
        for bit in 0..8 {
            if out.len() >= limit {
                out.truncate(limit);
                return (out, false);
            }
            if control & (1 << bit) == 0 {
                let Some(byte) = content.get(at) else { return (out, false) };
                at += 1;
                put(&mut ring, &mut write, *byte, &mut out);
                continue;
            }
            let Some(reference) = u16_at(content, at).map(u16::swap_bytes) else { return (out, false) };
            at += 2;
            let (start, length) = (usize::from(reference >> 4), usize::from(reference & 0xf) + 2);
            if start == write {
                return (out, true);
            }
            for step in 0..length {
                let byte = ring.get((start + step) % RING_BYTES).copied().unwrap_or(0);
                put(&mut ring, &mut write, byte, &mut out);
            }
        }
    }
    (out, false)
}

fn put(ring: &mut [u8; RING_BYTES], write: &mut usize, byte: u8, out: &mut Vec<u8>) {
    if let Some(place) = ring.get_mut(*write) {
        *place = byte;
    }
    *write = (*write + 1) % RING_BYTES;
    out.push(byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    /// [MS-OXRTFCP] 3.1.1.
    const SIMPLE: &str = "2d 00 00 00 2b 00 00 00 4c 5a 46 75 f1 c5 c7 a7 03 00 0a 00 72 63 70 67 31 32 35 42 32 0a f3 20 68 65 \
                          6c 09 00 20 62 77 05 b0 6c 64 7d 0a 80 0f a0";

    #[test]
    fn the_preloaded_ring_has_the_published_length() {
        assert_eq!(PRELOADED.len(), 207);
    }

    #[test]
    fn expands_the_published_examples() {
        let simple = decompress(&bytes(SIMPLE), 1000).unwrap();
        assert_eq!(simple.rtf, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(simple.doubt, None);
        // [MS-OXRTFCP] 3.1.2: a reference that reads what it is writing.
        let crossing = "1a 00 00 00 1c 00 00 00 4c 5a 46 75 e2 d4 4b 51 41 00 04 20 57 58 59 5a 0d 6e 7d 01 0e b0";
        let crossing = decompress(&bytes(crossing), 1000).unwrap();
        assert_eq!(crossing.rtf, b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(crossing.doubt, None);
    }

    #[test]
    fn reads_uncompressed() {
        let mut data = bytes("13 00 00 00 07 00 00 00 4d 45 4c 41 00 00 00 00");
        data.extend_from_slice(b"{\\rtf1}trailing");
        assert_eq!(decompress(&data, 1000), Ok(Decompressed { rtf: b"{\\rtf1}".to_vec(), doubt: None }));
    }

    #[test]
    fn damage_is_named_and_what_is_readable_kept() {
        let mut data = bytes(SIMPLE);
        data[12] ^= 1;
        let damaged = decompress(&data, 1000).unwrap();
        assert_eq!(damaged.doubt, Some("checksum differs"));
        assert!(damaged.rtf.ends_with(b"hello world}\r\n"));
        data.truncate(30);
        assert!(decompress(&data, 1000).unwrap().rtf.starts_with(b"{\\rtf1\\ansi\\ansicpg125"));
        assert_eq!(decompress(&bytes(SIMPLE), 10).unwrap().rtf.len(), 10);
        assert!(decompress(&data[..9], 1000).is_err());
        data[8] = 0;
        assert!(decompress(&data, 1000).is_err());
    }
}
