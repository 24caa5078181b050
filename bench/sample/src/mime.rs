//! A letter as an Internet message (RFC 5322, RFC 2045-2047, 2231), lines ended by CR LF.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::artefact;
use crate::compose::LOGO_ID;
use crate::encode::{
    charset_label, encode_text, encoded_phrase, encoded_words, fold, percent_encoded, quoted_printable,
};
use crate::error::{Result, SampleError};
use crate::identity;
use crate::letter::{Attachment, Letter, Mailbox};
use crate::source::{Charset, Kind, Style, TransferEncoding};

/// One MIME part: header lines without their ends, and the body as it travels.
struct Part {
    headers: Vec<String>,
    body: Vec<u8>,
}

/// The whole message.
pub(crate) fn message(letter: &Letter) -> Result<Vec<u8>> {
    let (head, body) = head_and_body(letter)?;
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The header lines alone, as Outlook keeps them.
pub(crate) fn head(letter: &Letter) -> Result<String> {
    Ok(head_and_body(letter)?.0)
}

/// The HTML document that the letter carries, in the letter's charset (see [`charset_of`]).
pub(crate) fn html_document(letter: &Letter) -> String {
    let label = charset_label(charset_of(letter));
    let meta = format!("<meta http-equiv=\"Content-Type\" content=\"text/html; charset={label}\">");
    let body = &letter.html;
    match letter.style {
        Style::Outlook | Style::OutlookHtml => format!(
            "<html xmlns:o=\"urn:schemas-microsoft-com:office:office\">\n<head>\n{meta}\n<style><!--\np.MsoNormal \
             {{margin:0cm; font-size:11.0pt; font-family:\"Calibri\",sans-serif;}}\n--></style>\n</head>\n<body>\n<div \
             class=\"WordSection1\">\n{body}</div>\n</body>\n</html>\n"
        ),
        Style::Gmail => format!("<div dir=\"ltr\">\n{body}</div>\n"),
        _ => format!("<html><head>{meta}</head><body dir=\"auto\">\n{body}</body></html>\n"),
    }
}

/// The charset that the letter is sent in: the author's, or UTF-8 where that cannot hold the text.
pub(crate) fn charset_of(letter: &Letter) -> Charset {
    let holds = [&letter.plain, &letter.html].iter().all(|text| encode_text(text, letter.charset).is_some());
    if holds { letter.charset } else { Charset::Utf8 }
}

fn head_and_body(letter: &Letter) -> Result<(String, Vec<u8>)> {
    let charset = charset_of(letter);
    let mut lines: Vec<String> = letter
        .headers
        .iter()
        .filter(|(name, _)| *name == "Received")
        .map(|(name, value)| fold(&format!("{name}: {value}")))
        .collect();
    let people =
        |mailboxes: &[Mailbox]| mailboxes.iter().map(|mailbox| address(mailbox, letter)).collect::<Vec<_>>().join(", ");
    lines.push(fold(&format!("From: {}", address(&letter.from, letter))));
    lines.push(fold(&format!("To: {}", people(&letter.to))));
    if !letter.cc.is_empty() {
        lines.push(fold(&format!("Cc: {}", people(&letter.cc))));
    }
    lines.push(fold(&format!("Subject: {}", encoded_words(&letter.whole_subject(), charset, base64_words(letter)))));
    lines.push(format!("Date: {}", identity::date(&letter.sent)));
    lines.push(format!("Message-ID: <{}>", letter.message_id));
    if let Some(answered) = &letter.in_reply_to {
        lines.push(format!("In-Reply-To: <{answered}>"));
        let chain: Vec<String> = letter.references.iter().map(|id| format!("<{id}>")).collect();
        lines.push(fold(&format!("References: {}", chain.join(" "))));
    }
    if matches!(letter.style, Style::Outlook | Style::OutlookHtml) && letter.kind == Kind::Letter {
        lines.push(fold(&format!("Thread-Topic: {}", encoded_words(&letter.subject, charset, false))));
        lines.push(format!("Thread-Index: {}", STANDARD.encode(&letter.conversation_index)));
    }
    let others = letter.headers.iter().filter(|(name, _)| *name != "Received");
    lines.extend(others.map(|(name, value)| fold(&format!("{name}: {value}"))));
    lines.push("MIME-Version: 1.0".to_owned());
    let part = root_part(letter, charset)?;
    lines.extend(part.headers);
    let head = lines.iter().fold(String::new(), |head, line| head + line + "\r\n");
    Ok((head, part.body))
}

fn root_part(letter: &Letter, charset: Charset) -> Result<Part> {
    let mut content = Vec::new();
    if letter.has_plain() {
        content.push(text_part(letter, "plain", &letter.plain, charset)?);
    }
    if letter.has_html() {
        content.push(html_part(letter, charset)?);
    }
    let body = if content.len() > 1 { multipart(letter, "alternative", content) } else { single(content, letter)? };
    if letter.attachments.is_empty() {
        return Ok(body);
    }
    let mut parts = vec![body];
    if letter.kind == Kind::Bounce {
        parts.push(delivery_status(letter));
    }
    for attachment in &letter.attachments {
        parts.push(attached(attachment)?);
    }
    let kind = if letter.kind == Kind::Bounce { "report; report-type=delivery-status" } else { "mixed" };
    Ok(multipart(letter, kind, parts))
}

fn single(mut parts: Vec<Part>, letter: &Letter) -> Result<Part> {
    parts.pop().ok_or_else(|| SampleError::at(letter.place(), "neither plain text nor HTML"))
}

fn html_part(letter: &Letter, charset: Charset) -> Result<Part> {
    let html = text_part(letter, "html", &html_document(letter), charset)?;
    if !letter.logo {
        return Ok(html);
    }
    let logo = Part {
        headers: vec![
            "Content-Type: image/png; name=\"logo.png\"".into(),
            format!("Content-ID: <{LOGO_ID}>"),
            "Content-Disposition: inline; filename=\"logo.png\"".into(),
            "Content-Transfer-Encoding: base64".into(),
        ],
        body: base64_lines(&artefact::logo()),
    };
    Ok(multipart(letter, "related", vec![html, logo]))
}

fn text_part(letter: &Letter, kind: &str, text: &str, charset: Charset) -> Result<Part> {
    let bytes = encode_text(&text.replace('\n', "\r\n"), charset)
        .ok_or_else(|| SampleError::at(letter.place(), "text outside its charset"))?;
    let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
    let plain_ascii = bytes.is_ascii() && matches!(letter.style, Style::Thunderbird | Style::Apple | Style::Plain);
    let (label, encoding, body) = match letter.encoding {
        _ if plain_ascii && longest < 900 && letter.kind != Kind::Webform => ("us-ascii", "7bit", bytes),
        TransferEncoding::EightBit if longest < 900 => (charset_label(charset), "8bit", bytes),
        TransferEncoding::Base64 => (charset_label(charset), "base64", base64_lines(&bytes)),
        TransferEncoding::EightBit | TransferEncoding::QuotedPrintable => {
            (charset_label(charset), "quoted-printable", quoted_printable(&bytes))
        }
    };
    let label = if letter.style == Style::Gmail { format!("\"{}\"", label.to_uppercase()) } else { label.to_owned() };
    Ok(Part {
        headers: vec![
            format!("Content-Type: text/{kind}; charset={label}"),
            format!("Content-Transfer-Encoding: {encoding}"),
        ],
        body,
    })
}

/// The machine-readable part of a delivery report (RFC 3464).
fn delivery_status(letter: &Letter) -> Part {
    let returned = letter.attachments.iter().find_map(|attachment| match attachment {
        Attachment::Message(returned) => returned.to.first(),
        Attachment::File { .. } => None,
    });
    let recipient = returned.map_or("", |mailbox| mailbox.email.as_str());
    let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
    let text = format!(
        "Reporting-MTA: dns; mx.haldenmarsh.example\r\n\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: \
         failed\r\nStatus: 5.2.2\r\nRemote-MTA: dns; mx.{domain}\r\nDiagnostic-Code: smtp; 552 5.2.2 Mailbox full\r\n"
    );
    Part { headers: vec!["Content-Type: message/delivery-status".into()], body: text.into_bytes() }
}

fn attached(attachment: &Attachment) -> Result<Part> {
    match attachment {
        Attachment::Message(letter) => {
            let body = message(letter)?;
            let encoding = if body.is_ascii() { "7bit" } else { "8bit" };
            Ok(Part {
                headers: vec![
                    "Content-Type: message/rfc822".into(),
                    "Content-Disposition: attachment".into(),
                    format!("Content-Transfer-Encoding: {encoding}"),
                ],
                body,
            })
        }
        Attachment::File { name, media_type, bytes } => {
            let file_name = if name.is_ascii() {
                format!("filename=\"{name}\"")
            } else {
                format!("filename*=UTF-8''{}", percent_encoded(name))
            };
            let parameter = match media_type.as_str() {
                "text/calendar" => "; charset=utf-8; method=REQUEST",
                kind if kind.starts_with("text/") => "; charset=utf-8",
                _ => "",
            };
            let (encoding, body) = if media_type == "text/plain" {
                let text = String::from_utf8_lossy(bytes).replace('\n', "\r\n");
                ("quoted-printable", quoted_printable(text.as_bytes()))
            } else {
                ("base64", base64_lines(bytes))
            };
            Ok(Part {
                headers: vec![
                    format!("Content-Type: {media_type}{parameter}"),
                    format!("Content-Disposition: attachment; {file_name}"),
                    format!("Content-Transfer-Encoding: {encoding}"),
                ],
                body,
            })
        }
    }
}

fn multipart(letter: &Letter, kind: &str, parts: Vec<Part>) -> Part {
    let boundary = match letter.style {
        Style::Gmail => format!("0000000000{}", identity::mark(&[&letter.message_id, kind], 18)),
        Style::Outlook | Style::OutlookHtml => {
            format!("_000_{}_", identity::mark(&[&letter.message_id, kind], 24).to_uppercase())
        }
        _ => format!("------------{}", identity::mark(&[&letter.message_id, kind], 24)),
    };
    let mut body = Vec::new();
    if letter.style == Style::Thunderbird {
        body.extend_from_slice(b"This is a multi-part message in MIME format.\r\n");
    }
    for part in parts {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for header in part.headers {
            body.extend_from_slice(header.as_bytes());
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&part.body);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Part { headers: vec![format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"")], body }
}

fn address(mailbox: &Mailbox, letter: &Letter) -> String {
    let phrase = encoded_phrase(&mailbox.name, charset_of(letter), base64_words(letter));
    format!("{phrase} <{}>", mailbox.email)
}

/// Whether the client prefers "B" to "Q" for encoded words.
fn base64_words(letter: &Letter) -> bool {
    matches!(letter.style, Style::Gmail | Style::Thunderbird)
}

fn base64_lines(bytes: &[u8]) -> Vec<u8> {
    let encoded = STANDARD.encode(bytes).into_bytes();
    encoded.chunks(76).flat_map(|line| [line, b"\r\n".as_slice()].concat()).collect()
}
