//! Bytes to text, whatever the label says.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Decodes `bytes` by the charset `label`. A byte order mark wins over the label. Text that is labelled UTF-8 or ASCII, or
/// not at all, and is not valid UTF-8 is read as Windows-1252, unless it holds valid multi-byte sequences too: then it is
/// damaged UTF-8. An unknown label counts as none.
pub(crate) fn decode(bytes: &[u8], label: Option<&str>) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let (text, _) = encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default());
        return text.into_owned();
    }
    let label = label.map(|label| label.trim().trim_matches(['"', '\'']).trim()).filter(|label| !label.is_empty());
    if let Some(encoding) = label.and_then(|label| Encoding::for_label(label.as_bytes())) {
        let is_ascii_label = label.is_some_and(|label| {
            let label = label.to_ascii_lowercase();
            label.contains("ascii") || label.contains("ansi_x3")
        });
        if encoding != UTF_8 && !is_ascii_label && encoding.name() != "replacement" {
            let (text, _) = encoding.decode_without_bom_handling(bytes);
            return text.into_owned();
        }
    } else if let Some(decoder) = label.and_then(|label| charset_decoder(label.as_bytes())) {
        // UTF-7 and the DOS code pages, which the web's list of encodings does not have.
        return decoder(bytes);
    }
    decode_unlabelled(bytes)
}

/// Text without a usable label: UTF-8 where it is valid, ISO-2022-JP by its escapes, else Windows-1252.
pub(crate) fn decode_unlabelled(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.contains(&0x1b) && text.contains("\u{1b}$B") => {
            encoding_rs::ISO_2022_JP.decode_without_bom_handling(bytes).0.into_owned()
        }
        Ok(text) => text.to_owned(),
        Err(_) if has_multi_byte_utf8(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// Whether at least half of the sequences that are not ASCII are valid UTF-8.
fn has_multi_byte_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > 0 && good >= bad
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn labels_and_their_absence() {
        assert_eq!(decode(b"Gr\xfc\xdfe", Some("iso-8859-1")), "Grüße");
        assert_eq!(decode(b"Gr\xfc\xdfe", Some("utf-8")), "Grüße", "mislabelled");
        assert_eq!(decode(b"Gr\xfc\xdfe", None), "Grüße");
        assert_eq!(decode("Grüße".as_bytes(), Some("us-ascii")), "Grüße");
        assert_eq!(decode("Grüße".as_bytes(), Some("x-unknown")), "Grüße");
        assert_eq!(decode(b"Gr\x81\xe1e", Some("cp850")), "Grüße");
        assert_eq!(decode(b"Hi Mom +Jjo-!", Some("utf-7")), "Hi Mom ☺!");
        assert_eq!(decode(b"\xff\xfeh\0i\0", Some("us-ascii")), "hi", "a byte order mark wins");
        assert_eq!(decode(b"\x1b$B$3$s\x1b(B", None), "こん");
        assert_eq!(
            decode("Grüße".as_bytes().get(..5).unwrap(), Some("utf-8")),
            "Grü\u{fffd}",
            "cut off, not mislabelled"
        );
    }
}
