//! An item's text: as it is stored, or out of its RTF.

use std::io::{Read, Seek};

use encoding_rs::Encoding;

use crate::bytes::utf16le;
use crate::code_page;
use crate::error::{Problem, ProblemKind};
use crate::ltp::PropertyValue;
use crate::properties::Reader;
use crate::property_id as id;
use crate::rtf::{Converted, convert, decompress};

/// Where a body's text was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodySource {
    /// In a property of its own.
    Stored,
    /// In the compressed RTF.
    Rtf,
}

/// The bodies of an item; one item may have several forms of the same text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bodies {
    /// Plain text.
    pub text: Option<String>,
    /// Where the plain text was found.
    pub text_source: Option<BodySource>,
    /// HTML, decoded; what its `meta` says of its encoding no longer holds.
    pub html: Option<String>,
    /// Where the HTML was found.
    pub html_source: Option<BodySource>,
    /// RTF, decompressed, where the item has any.
    pub rtf: Option<Vec<u8>>,
    /// Windows code page by which 8-bit text of this item was decoded.
    pub code_page: u32,
}

impl Bodies {
    /// Whether there is no text in any form.
    pub fn is_empty(&self) -> bool {
        self.text.is_none() && self.html.is_none() && self.rtf.is_none()
    }

    pub(crate) fn read<R: Read + Seek>(reader: &mut Reader<'_, R>) -> Self {
        let code_page = reader.context.code_page;
        let mut bodies = Self { code_page, ..Self::default() };
        bodies.text = reader.text(id::BODY);
        bodies.html = read_html(reader);
        bodies.text_source = bodies.text.is_some().then_some(BodySource::Stored);
        bodies.html_source = bodies.html.is_some().then_some(BodySource::Stored);
        bodies.rtf = read_rtf(reader);
        if let Some(rtf) = bodies.rtf.as_deref().filter(|_| bodies.html.is_none()) {
            match convert(rtf, code_page) {
                Converted::Html(html) if !html.trim().is_empty() => {
                    (bodies.html, bodies.html_source) = (Some(html), Some(BodySource::Rtf));
                }
                Converted::Text(text) if bodies.text.is_none() && !text.trim().is_empty() => {
                    (bodies.text, bodies.text_source) = (Some(text), Some(BodySource::Rtf));
                }
                _ => {}
            }
        }
        bodies
    }
}

fn read_html<R: Read + Seek>(reader: &mut Reader<'_, R>) -> Option<String> {
    let html = match reader.value(id::HTML)? {
        PropertyValue::Text(html) => html,
        PropertyValue::Binary(data) => {
            decode_html(&data, reader.context.internet_code_page(), reader.context.code_page)
        }
        _ => return None,
    };
    (!html.is_empty()).then_some(html)
}

/// Decodes HTML bytes: by a byte order mark, by `PidTagInternetCodepage`, by its own `meta`, as UTF-8 where they are that, else
/// by the item's code page.
fn decode_html(data: &[u8], internet_code_page: Option<u32>, code_page: u32) -> String {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(data) {
        return encoding.decode_without_bom_handling(data.get(mark_bytes..).unwrap_or_default()).0.into_owned();
    }
    // UTF-16 without a mark: the first character of HTML is ASCII.
    if let [first, 0, _, 0, ..] = data
        && *first != 0
    {
        return utf16le(data);
    }
    let data = data.strip_suffix(&[0]).unwrap_or(data);
    match internet_code_page {
        Some(1200 | 1201) | None => {}
        Some(named) => return code_page::decode(data, named),
    }
    if let Some(encoding) = meta_encoding(data) {
        return encoding.decode_without_bom_handling(data).0.into_owned();
    }
    match std::str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) => code_page::decode(data, code_page),
    }
}

/// The encoding that a `charset=` near the start names.
fn meta_encoding(data: &[u8]) -> Option<&'static Encoding> {
    const NAME: &[u8] = b"charset=";
    let head = data.get(..2048).unwrap_or(data).to_ascii_lowercase();
    let at = head.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let label = head.get(at..)?;
    let label = label.strip_prefix(b"\"").or_else(|| label.strip_prefix(b"'")).unwrap_or(label);
    let end =
        label.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_:.".contains(byte))).unwrap_or(label.len());
    Encoding::for_label(label.get(..end)?).filter(|encoding| *encoding != encoding_rs::UTF_16LE)
}

/// A damaged stream still gives what it can.
fn read_rtf<R: Read + Seek>(reader: &mut Reader<'_, R>) -> Option<Vec<u8>> {
    let data = match reader.context.bytes(reader.database, id::RTF_COMPRESSED) {
        Ok(data) => data.filter(|data| !data.is_empty())?,
        Err(error) => {
            reader.database.note(error.into());
            return None;
        }
    };
    let place = format!("property {:#06x}", id::RTF_COMPRESSED);
    match decompress(&data, reader.database.options.max_property_bytes) {
        Ok(decompressed) => {
            if let Some(doubt) = decompressed.doubt {
                reader.database.note(Problem::new(place, ProblemKind::Checksum, format!("compressed RTF: {doubt}")));
            }
            (!decompressed.rtf.is_empty()).then_some(decompressed.rtf)
        }
        Err(reason) => {
            reader.database.note(Problem::new(place, ProblemKind::Damaged, format!("compressed RTF: {reason}")));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_decoded_by_what_is_most_certain() {
        let cyrillic = b"<p>\xcf\xf0</p>";
        assert_eq!(decode_html(cyrillic, Some(1251), 1252), "<p>Пр</p>");
        assert_eq!(decode_html(cyrillic, None, 1251), "<p>Пр</p>");
        assert_eq!(decode_html("<p>Пр</p>".as_bytes(), None, 1252), "<p>Пр</p>");
        assert_eq!(decode_html("\u{feff}<p>Пр</p>".as_bytes(), Some(1252), 1252), "<p>Пр</p>");
        assert_eq!(decode_html(b"<\0p\0>\0\x1f\x04", Some(1252), 1252), "<p>П");
        let meta = b"<meta content=\"text/html; charset=koi8-r\">\xf0";
        assert!(decode_html(meta, None, 1252).ends_with('П'));
        assert!(decode_html(meta, Some(1251), 1252).ends_with('р'));
    }
}
