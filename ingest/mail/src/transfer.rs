//! Content transfer encodings (RFC 2045 section 6), read tolerantly: what cannot be decoded is passed over, nothing fails.

use std::borrow::Cow;

/// How a part's bytes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// 7bit, 8bit, binary, or a name that nobody knows.
    Identity,
    Base64,
    QuotedPrintable,
    UuEncode,
}

impl Transfer {
    /// Reads the value of `Content-Transfer-Encoding`.
    pub(crate) fn of(value: &str) -> Self {
        let name = value.trim().trim_matches(['"', '\'', ';', ' ']).to_ascii_lowercase();
        match name.as_str() {
            "base64" | "base-64" => Self::Base64,
            "quoted-printable" | "quotedprintable" | "quoted-printeable" => Self::QuotedPrintable,
            "x-uuencode" | "uuencode" | "x-uue" | "uue" => Self::UuEncode,
            _ => Self::Identity,
        }
    }

    /// Decodes `bytes`.
    pub(crate) fn decode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Identity => Cow::Borrowed(bytes),
            Self::Base64 => Cow::Owned(base64(bytes)),
            Self::QuotedPrintable => Cow::Owned(quoted_printable(bytes)),
            Self::UuEncode => Cow::Owned(uu_blocks(bytes)),
        }
    }
}

/// Base64; characters outside the alphabet are passed over, the first complete padding ends it.
pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut bits, mut count, mut pads) = (0u32, 0u32, 0u32);
    for &byte in bytes {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                pads += 1;
                if count >= 2 && count + pads >= 4 {
                    break;
                }
                continue;
            }
            _ => continue,
        };
        pads = 0;
        bits = (bits << 6) | u32::from(value);
        count += 1;
        if count == 4 {
            out.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
            count = 0;
        }
    }
    match count {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
    out
}

/// Quoted-printable; a `=` that starts no escape stays as it is, blanks at line ends go.
pub(crate) fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let ended = line.ends_with(b"\n");
        let crlf = line.ends_with(b"\r\n");
        let mut content = line.trim_ascii_end();
        let soft = content.ends_with(b"=");
        if soft {
            content = content.get(..content.len() - 1).unwrap_or_default();
        }
        decode_escapes(content, &mut out);
        if ended && !soft {
            out.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
        }
    }
    out
}

fn decode_escapes(line: &[u8], out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(at) = rest.iter().position(|&byte| byte == b'=') {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        if let [_, high, low, tail @ ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = tail;
        } else {
            out.push(b'=');
            rest = after.get(1..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Decodes the lines of uuencode between `begin` and `end`, or all lines where there is no `begin`.
fn uu_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    for line in bytes.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.starts_with(b"begin ") {
            out.clear();
        } else if line == b"end" {
            break;
        } else {
            uu_line(line, &mut out);
        }
    }
    out
}

/// One line of uuencode: a length and groups of four characters.
pub(crate) fn uu_line(line: &[u8], out: &mut Vec<u8>) {
    let Some((&length, groups)) = line.split_first() else { return };
    let mut left = usize::from(length.wrapping_sub(32) & 63);
    for group in groups.chunks(4) {
        let mut bits = 0u32;
        for index in 0..4 {
            let value = group.get(index).map_or(0, |&byte| byte.wrapping_sub(32) & 63);
            bits = bits << 6 | u32::from(value);
        }
        let take = left.min(3);
        out.extend_from_slice(bits.to_be_bytes().get(1..=take).unwrap_or_default());
        left -= take;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_passes_over_noise_and_stops_at_padding() {
        assert_eq!(base64(b"SGVs\r\nbG8="), b"Hello");
        assert_eq!(base64(b"SG V*sbG8=\n____ footer"), b"Hello");
        assert_eq!(base64(b"SGVsbG8"), b"Hello", "padding missing");
        assert_eq!(base64(b"="), b"");
    }

    #[test]
    fn quoted_printable_is_tolerant() {
        assert_eq!(quoted_printable(b"a=3Db =\nc  \r\nd=zz=\r\n"), b"a=b c\r\nd=zz");
        assert_eq!(quoted_printable(b"=C3=A4=c3=b6"), "äö".as_bytes());
        assert_eq!(quoted_printable(b"="), b"");
    }

    #[test]
    fn uuencoded_text() {
        assert_eq!(Transfer::of(" X-UUencode").decode(b"begin 644 a.txt\n#0V%T\n`\nend\nrest"), b"Cat".as_slice());
    }
}
