//! Header fields of a message or a part, parsed by mail-parser and turned into our types.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Header, HeaderValue, MessageParser};
use rejoinder_domain::Address;

use crate::charset;
use crate::date;
use crate::transfer;

/// Most encoded words of one field that are decoded; the parser looks for the end of each, so their number must not
/// multiply with the field's length.
const MAX_ENCODED_WORDS: usize = 2000;

/// Longest field that is decoded; a longer one is cut.
const MAX_FIELD_BYTES: usize = 256 << 10;

/// The header of a message or of a part.
#[derive(Debug, Default)]
pub(crate) struct HeaderBlock {
    headers: Vec<Header<'static>>,
    block: Vec<u8>,
}

impl HeaderBlock {
    /// Parses the fields of `block`, which has no empty line in it.
    pub(crate) fn parse(block: &[u8]) -> Self {
        let block = prepare(block);
        let headers = MessageParser::new()
            .parse_headers(&block)
            .and_then(|message| message.parts.into_iter().next())
            .map(|part| part.headers.into_iter().map(Header::into_owned).collect())
            .unwrap_or_default();
        Self { headers, block }
    }

    /// Whether there is no field at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// The parsed value of the first field `name` (lower case): of fields that must occur once, the first counts.
    fn value(&self, name: &str) -> Option<&HeaderValue<'static>> {
        self.all(name).next().map(|header| &header.value)
    }

    fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Header<'static>> + use<'a, 'n> {
        self.headers.iter().filter(move |header| header.name.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether there is a field `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The field's raw value, unfolded and trimmed, not decoded.
    pub(crate) fn raw(&self, name: &str) -> Option<String> {
        let header = self.all(name).next()?;
        Some(self.raw_of(header))
    }

    /// Raw values of every field `name`, in order.
    pub(crate) fn raw_all(&self, name: &str) -> Vec<String> {
        self.all(name).map(|header| self.raw_of(header)).collect()
    }

    fn raw_of(&self, header: &Header<'static>) -> String {
        let range = header.offset_start as usize..header.offset_end as usize;
        let bytes = self.block.get(range).unwrap_or_default();
        String::from_utf8_lossy(bytes)
            .split(['\r', '\n'])
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned()
    }

    /// The field's text with encoded words decoded and runs of white space made one blank.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let decoded = match self.value(name)? {
            HeaderValue::Text(text) if !is_raw(name) => text.to_string(),
            _ => decode_words(&self.raw(name)?),
        };
        Some(decoded.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Declared media type, lower-cased; `None` where there is none or it makes no sense.
    pub(crate) fn media_type(&self) -> Option<String> {
        let HeaderValue::ContentType(value) = self.value("content-type")? else { return None };
        let main = value.c_type.trim().to_ascii_lowercase();
        let sub = value.c_subtype.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        match (main.as_str(), sub.is_empty()) {
            ("text", true) => Some("text/plain".to_owned()),
            ("", _) | (_, true) => None,
            _ => Some(format!("{main}/{sub}")),
        }
    }

    /// A parameter of `Content-Type`, decoded (RFC 2231, RFC 2047).
    pub(crate) fn content_type_parameter(&self, name: &str) -> Option<String> {
        self.parameter("content-type", name)
    }

    /// The disposition, lower-cased: `inline`, `attachment`.
    pub(crate) fn disposition(&self) -> Option<String> {
        match self.value("content-disposition")? {
            HeaderValue::ContentType(value) => Some(value.c_type.trim().to_ascii_lowercase()),
            _ => None,
        }
    }

    /// The part's file name, from `Content-Disposition` or the `name` of `Content-Type`.
    pub(crate) fn file_name(&self) -> Option<String> {
        let name = self
            .parameter("content-disposition", "filename")
            .or_else(|| self.parameter("content-type", "name"))
            .or_else(|| self.parameter("content-type", "filename"))?;
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(name)
    }

    fn parameter(&self, field: &str, name: &str) -> Option<String> {
        let HeaderValue::ContentType(value) = self.value(field)? else { return None };
        let attributes = value.attributes.as_deref().unwrap_or_default();
        let attribute = attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))?;
        let text = attribute.value.trim();
        Some(if text.contains("=?") { decode_words(text) } else { text.to_owned() })
    }

    /// The addresses of every field `name`, groups dissolved.
    pub(crate) fn addresses(&self, name: &str) -> Vec<Address> {
        let mut found = Vec::new();
        for header in self.all(name) {
            if let HeaderValue::Address(list) = &header.value {
                found.extend(list.iter().filter_map(address));
            }
        }
        found
    }

    /// Message ids of the first field `name`, without angle brackets, in order, without repeats. A value without brackets
    /// counts too if it looks like an id: web forms write such.
    pub(crate) fn ids(&self, name: &str) -> Vec<String> {
        self.raw(name).map(|raw| message_ids(&raw)).unwrap_or_default()
    }

    /// The moment that the first readable field `name` tells.
    pub(crate) fn date(&self, name: &str) -> Option<Timestamp> {
        self.raw_all(name).iter().find_map(|raw| date::parse(raw))
    }

    /// When the newest hop received the message: the date after the last `;` of the first `Received`.
    pub(crate) fn received(&self) -> Option<Timestamp> {
        self.raw_all("received").iter().find_map(|raw| date::parse(raw.rsplit_once(';')?.1))
    }
}

/// Message ids without angle brackets, in order, without repeats; without brackets what looks like an id.
pub(crate) fn message_ids(raw: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let mut rest = raw;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((id, tail)) = after.split_once('>') else { break };
        let id: String = id.rsplit('<').next().unwrap_or(id).chars().filter(|c| !c.is_whitespace()).collect();
        if !id.is_empty() && !ids.contains(&id) {
            ids.push(id);
        }
        rest = tail;
        if ids.len() >= 1000 {
            break;
        }
    }
    if ids.is_empty() {
        let bare = raw.split_whitespace().map(|word| word.trim_matches(['<', '>', ',', ';']));
        for id in bare.filter(|word| word.contains('@') && word.len() > 3).take(100) {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
    }
    ids
}

/// Fields whose value mail-parser leaves as it is; encoded words in them are ours to decode.
fn is_raw(name: &str) -> bool {
    !matches!(name, "subject" | "comments" | "content-description" | "content-location" | "content-transfer-encoding")
}

/// Decodes the encoded words (RFC 2047) of `text`.
pub(crate) fn decode_words(text: &str) -> String {
    let mut bytes = prepare(text.as_bytes());
    bytes.retain(|byte| *byte != b'\r');
    match MessageStream::new(&bytes).parse_unstructured() {
        HeaderValue::Text(decoded) => decoded.into_owned(),
        _ => String::new(),
    }
}

/// Our address of mail-parser's; `None` where there is neither a name nor an address.
fn address(parsed: &Addr<'_>) -> Option<Address> {
    let clean = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = clean(parsed.name.as_deref().unwrap_or_default());
    let email: String = parsed.address.as_deref().unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect();
    // An obsolete route (RFC 5322 section 4.4): `@relay.example:user@host.example`.
    let routed =
        email.strip_prefix('@').and_then(|route| route.rsplit_once(':')).map_or(email.as_str(), |(_, user)| user);
    let mut email = routed.trim_matches(['<', '>', '"', '\'', ',', ';']).to_lowercase();
    let quoted =
        name.len() > 1 && [('\'', '\''), ('"', '"')].iter().any(|&(a, b)| name.starts_with(a) && name.ends_with(b));
    let unquoted = if quoted { name.get(1..name.len() - 1).unwrap_or_default().trim() } else { name.as_str() };
    let mut name = unquoted.to_owned();
    if email.is_empty() && name.contains('@') && !name.contains(' ') {
        email = name.to_lowercase();
        name.clear();
    }
    (!name.is_empty() || !email.is_empty()).then_some(Address { name, email })
}

/// Makes a header block safe for the parser: valid UTF-8, encoded words joined, fields of bounded length, an end.
fn prepare(block: &[u8]) -> Vec<u8> {
    let text: Cow<'_, str> = match std::str::from_utf8(block) {
        Ok(text) => Cow::Borrowed(text),
        // Line by line, so that one field in an old charset does not decide over the others.
        Err(_) => {
            Cow::Owned(block.split_inclusive(|&byte| byte == b'\n').map(charset::decode_unlabelled).collect::<String>())
        }
    };
    let mut out = Vec::with_capacity(text.len() + 2);
    let mut field = String::new();
    for line in text.split_inclusive('\n') {
        if !line.starts_with([' ', '\t']) {
            push_field(&field, &mut out);
            field.clear();
        }
        if field.len() + line.len() <= MAX_FIELD_BYTES {
            field.push_str(line);
        }
    }
    push_field(&field, &mut out);
    if !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

fn push_field(field: &str, out: &mut Vec<u8>) {
    if field.trim().is_empty() {
        return;
    }
    if !field.contains("=?") {
        out.extend_from_slice(field.as_bytes());
    } else if field.matches("=?").count() > MAX_ENCODED_WORDS {
        out.extend_from_slice(field.replace("=?", "= ?").as_bytes());
    } else {
        out.extend_from_slice(join_encoded_words(field).as_bytes());
    }
}

/// Joins encoded words of one charset that follow each other: a character may be split between them, which RFC 2047
/// forbids and many clients do. What was joined is written as one word in `Q`.
fn join_encoded_words(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut run: Option<(&str, Vec<u8>, usize, &str)> = None;
    let mut rest = field;
    let flush = |run: &mut Option<(&str, Vec<u8>, usize, &str)>, out: &mut String| {
        let Some((charset, bytes, words, original)) = run.take() else { return };
        if words == 1 {
            out.push_str(original);
            return;
        }
        let _ = write!(out, "=?{charset}?Q?");
        for byte in bytes {
            let _ = write!(out, "={byte:02X}");
        }
        out.push_str("?=");
    };
    while let Some(at) = rest.find("=?") {
        let (before, word) = rest.split_at(at);
        let Some((length, charset, bytes)) = encoded_word(word) else {
            flush(&mut run, &mut out);
            out.push_str(before);
            out.push_str("=?");
            rest = word.get(2..).unwrap_or_default();
            continue;
        };
        let original = word.get(..length).unwrap_or_default();
        let adjacent = before.trim().is_empty();
        match &mut run {
            // The escapes of ISO-2022 start anew in each word and must not meet.
            Some((open, joined, words, _))
                if adjacent && open.eq_ignore_ascii_case(charset) && !is_escaped(charset) =>
            {
                joined.extend_from_slice(&bytes);
                *words += 1;
            }
            _ => {
                flush(&mut run, &mut out);
                out.push_str(before);
                run = Some((charset, bytes, 1, original));
            }
        }
        rest = word.get(length..).unwrap_or_default();
    }
    flush(&mut run, &mut out);
    out.push_str(rest);
    out
}

fn is_escaped(charset: &str) -> bool {
    charset.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("iso-2022"))
}

/// Reads the encoded word at the start of `text`: its length, charset and bytes.
fn encoded_word(text: &str) -> Option<(usize, &str, Vec<u8>)> {
    let inside = text.strip_prefix("=?")?;
    let (charset, after) = inside.split_once('?')?;
    let (encoding, after) = after.split_once('?')?;
    let (data, _) = after.split_once("?=")?;
    let charset_name = charset.split('*').next().unwrap_or_default();
    if charset_name.is_empty() || charset.len() > 40 || encoding.len() != 1 || data.contains('\n') {
        return None;
    }
    let bytes = if encoding.eq_ignore_ascii_case("b") {
        transfer::base64(data.as_bytes())
    } else if encoding.eq_ignore_ascii_case("q") {
        let blanks = data.replace('_', " ").replace(' ', "=20");
        transfer::quoted_printable(blanks.as_bytes())
    } else {
        return None;
    };
    let length = 2 + charset.len() + 1 + encoding.len() + 1 + data.len() + 2;
    Some((length, charset_name, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_split_between_two_encoded_words() {
        // "Grüße" in UTF-8, cut inside the ü, once in B and once in Q.
        assert_eq!(decode_words("=?utf-8?B?R3LD?= =?utf-8?B?vMOfZQ==?="), "Grüße");
        assert_eq!(decode_words("=?UTF-8?Q?Gr=C3?=\r\n =?utf-8?Q?=BC=C3=9Fe?= x"), "Grüße x");
        assert_eq!(decode_words("=?iso-8859-1?Q?Gr=FC=DFe_aus?= Bonn"), "Grüße aus Bonn");
        assert_eq!(decode_words("=? not a word"), "=? not a word");
    }

    #[test]
    fn ids_with_and_without_brackets() {
        let block =
            HeaderBlock::parse(b"In-Reply-To: Your mail <a@b> of Monday\nReferences: <1@x>\n\t<2@x> <1@x>\nX: y\n");
        assert_eq!(block.ids("in-reply-to"), ["a@b"]);
        assert_eq!(block.ids("references"), ["1@x", "2@x"]);
        assert_eq!(HeaderBlock::parse(b"In-Reply-To: a-b@web.example\n").ids("in-reply-to"), ["a-b@web.example"]);
    }

    #[test]
    fn addresses_are_lower_cased_and_groups_dissolved() {
        let block = HeaderBlock::parse(
            b"To: =?utf-8?Q?J=C3=B6rg?= <Joerg@Example.COM>, team: a@x.example, B <b@x.example>;\nCc: undisclosed-recipients:;\n",
        );
        let to = block.addresses("to");
        assert_eq!(to.first().unwrap().name, "Jörg");
        assert_eq!(
            to.iter().map(|a| a.email.as_str()).collect::<Vec<_>>(),
            ["joerg@example.com", "a@x.example", "b@x.example"]
        );
        assert!(block.addresses("cc").is_empty());
    }

    #[test]
    fn raw_eight_bit_subject() {
        let block = HeaderBlock::parse(b"Subject: Gr\xfc\xdfe\nFrom: a@b.example\n");
        assert_eq!(block.text("subject").as_deref(), Some("Grüße"));
    }

    #[test]
    fn file_names_of_rfc_2231_and_2047() {
        let block = HeaderBlock::parse(
            b"Content-Disposition: attachment;\n filename*0*=UTF-8''Rechnung%20;\n filename*1*=M%C3%A4rz.pdf\n",
        );
        assert_eq!(block.file_name().as_deref(), Some("Rechnung März.pdf"));
        let block = HeaderBlock::parse(b"Content-Type: application/pdf; name=\"=?iso-8859-1?Q?M=E4rz.pdf?=\"\n");
        assert_eq!(block.file_name().as_deref(), Some("März.pdf"));
    }
}
