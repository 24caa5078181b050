//! The checksum and the signature of pages and blocks ([MS-PST] 5.3, 5.5).

use crc32fast::Hasher;

/// CRC-32 with the usual polynomial, but starting from 0 and without the final inversion ([MS-PST] 5.3). Compressed RTF
/// ([MS-OXRTFCP] 3.1.1.2) uses the same.
pub(crate) fn crc(data: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(u32::MAX);
    hasher.update(data);
    !hasher.finalize()
}

/// Signature that ties a page or block to its place ([MS-PST] 5.5).
pub(crate) fn signature(offset: u64, block_id: u64) -> u16 {
    let mixed = (offset ^ block_id) as u32;
    (mixed >> 16) as u16 ^ mixed as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, a bit at a time.
    fn crc_by_definition(data: &[u8]) -> u32 {
        data.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    }

    #[test]
    fn crc_starts_from_zero_and_is_not_inverted() {
        assert_eq!(crc(b""), 0);
        assert_eq!(crc(&[0; 40]), 0);
        assert_eq!(crc(b"\x01"), 0x7707_3096);
        assert_eq!(crc(b"123456789"), crc_by_definition(b"123456789"));
    }

    #[test]
    fn signature_folds_offset_and_identifier() {
        assert_eq!(signature(0, 0), 0);
        assert_eq!(signature(0x0001_8400, 0x30), 0x8431);
    }
}
