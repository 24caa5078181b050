//! Windows code pages: which encoding a number or a locale names, and decoding by it.

use encoding_rs::{self as enc, Encoding};

/// The encoding that a code page number names; `None` where it is unknown or is no text encoding.
pub(crate) fn encoding(code_page: u32) -> Option<&'static Encoding> {
    Some(match code_page {
        866 => enc::IBM866,
        874 => enc::WINDOWS_874,
        932 | 943 => enc::SHIFT_JIS,
        936 | 20936 | 52936 => enc::GBK,
        949 | 1361 | 51949 => enc::EUC_KR,
        950 => enc::BIG5,
        1250 => enc::WINDOWS_1250,
        1251 => enc::WINDOWS_1251,
        1252 | 20127 | 28591 => enc::WINDOWS_1252,
        1253 => enc::WINDOWS_1253,
        1254 | 28599 => enc::WINDOWS_1254,
        1255 => enc::WINDOWS_1255,
        1256 => enc::WINDOWS_1256,
        1257 => enc::WINDOWS_1257,
        1258 => enc::WINDOWS_1258,
        1200 => enc::UTF_16LE,
        1201 => enc::UTF_16BE,
        10000 => enc::MACINTOSH,
        10007 | 10017 => enc::X_MAC_CYRILLIC,
        20866 => enc::KOI8_R,
        21866 => enc::KOI8_U,
        20932 | 51932 => enc::EUC_JP,
        28592 => enc::ISO_8859_2,
        28593 => enc::ISO_8859_3,
        28594 => enc::ISO_8859_4,
        28595 => enc::ISO_8859_5,
        28596 => enc::ISO_8859_6,
        28597 => enc::ISO_8859_7,
        28598 => enc::ISO_8859_8,
        28603 => enc::ISO_8859_13,
        28605 => enc::ISO_8859_15,
        38598 => enc::ISO_8859_8_I,
        50220..=50222 => enc::ISO_2022_JP,
        54936 => enc::GB18030,
        65001 => enc::UTF_8,
        _ => return None,
    })
}

/// Whether text in this code page can be decoded.
pub(crate) fn is_known(code_page: u32) -> bool {
    encoding(code_page).is_some()
}

/// Decodes 8-bit text. Unknown code pages and those that only promise ASCII are read as UTF-8 where the bytes are that, else
/// as Windows-1252.
pub(crate) fn decode(data: &[u8], code_page: u32) -> String {
    if data.is_ascii() && !matches!(code_page, 1200 | 1201 | 50220..=50222) {
        return String::from_utf8_lossy(data).into_owned();
    }
    let promises_more = code_page != 20127;
    match encoding(code_page).filter(|_| promises_more) {
        Some(encoding) => encoding.decode_without_bom_handling(data).0.into_owned(),
        None => match std::str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            Err(_) => enc::WINDOWS_1252.decode_without_bom_handling(data).0.into_owned(),
        },
    }
}

/// The ANSI code page of a Windows locale ([MS-LCID]): by its primary language, with the exceptions that matter.
pub(crate) fn of_locale(locale: u32) -> Option<u32> {
    // Serbian, Uzbek and Azeri are written in Latin or Cyrillic letters: the sublanguage tells.
    if matches!(locale & 0xffff, 0x0c1a | 0x1c1a | 0x201a | 0x0843 | 0x082c) {
        return Some(1251);
    }
    Some(match locale & 0x3ff {
        0x04 => match locale & 0xffff {
            0x0404 | 0x0c04 | 0x1404 => 950,
            _ => 936,
        },
        0x11 => 932,
        0x12 => 949,
        0x1e => 874,
        0x2a => 1258,
        0x01 | 0x20 | 0x29 => 1256,
        0x0d => 1255,
        0x08 => 1253,
        0x1f | 0x2c | 0x43 => 1254,
        0x25..=0x27 => 1257,
        0x02 | 0x19 | 0x22 | 0x23 | 0x2f | 0x3f | 0x40 | 0x44 | 0x50 => 1251,
        0x05 | 0x0e | 0x15 | 0x18 | 0x1a | 0x1b | 0x1c | 0x24 => 1250,
        0 => return None,
        _ => 1252,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_by_code_page_and_not_as_latin_1() {
        assert_eq!(decode(b"\xcf\xf0\xe8\xe2\xe5\xf2", 1251), "Привет");
        assert_eq!(decode(b"\x93\xfa\x96\x7b", 932), "日本");
        assert_eq!(decode(b"\x80 5", 1252), "€ 5");
        assert_eq!(decode("Grüße".as_bytes(), 20127), "Grüße");
        assert_eq!(decode(b"Gr\xfc\xdfe", 20127), "Grüße");
        assert_eq!(decode(b"Gr\xfc\xdfe", 99999), "Grüße");
        assert_eq!(decode(b"\x1b$BF|K\\\x1b(B", 50220), "日本");
    }

    #[test]
    fn knows_the_code_page_of_a_locale() {
        assert_eq!(of_locale(0x0407), Some(1252));
        assert_eq!(of_locale(0x0419), Some(1251));
        assert_eq!(of_locale(0x0411), Some(932));
        assert_eq!(of_locale(0x0404), Some(950));
        assert_eq!(of_locale(0), None);
    }
}
