//! From MIME parts to a message's readable text and its list of attachments.

use std::borrow::Cow;

use rejoinder_domain::{Attachment, AttachmentMethod, BodySource};
use sha2::{Digest, Sha256};

use crate::calendar;
use crate::charset;
use crate::flowed;
use crate::html;
use crate::inline_files;
use crate::limits::Limits;
use crate::mime::{self, Part, PartKind, Structure};
use crate::rfc5322::hexadecimal;

/// What a message holds below its header.
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) source: BodySource,
    pub(crate) attachments: Vec<Attachment>,
    /// Sentences about what could not be kept, without any text of the message.
    pub(crate) losses: Vec<String>,
}

/// Reads the content of the message whose root is the first part of `structure`. `depth` counts encoded messages around it.
pub(crate) fn read(raw: &[u8], structure: &Structure, limits: &Limits, depth: u32) -> Content {
    let reader = Reader { raw, structure, limits, depth };
    let mut found = Found::default();
    if !structure.parts.is_empty() {
        reader.part(0, Place::Root, &mut found);
    }
    found.into_content(limits)
}

/// Where a part stands: decides whether its text can be the body's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the whole message.
    Root,
    /// Its text belongs to the body unless it is marked as an attachment.
    Inline,
    /// It belongs to another part: an image of an HTML page, a signature.
    Aside,
}

#[derive(Default)]
struct Found {
    texts: Vec<(BodySource, String)>,
    attachments: Vec<Attachment>,
    losses: Vec<String>,
}

struct Reader<'a> {
    raw: &'a [u8],
    structure: &'a Structure,
    limits: &'a Limits,
    depth: u32,
}

impl Found {
    fn into_content(mut self, limits: &Limits) -> Content {
        let source = self.texts.first().map_or(BodySource::Empty, |&(source, _)| source);
        let mut text = String::new();
        for (_, part) in &self.texts {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(part);
        }
        if cut(&mut text, limits.max_body_bytes) {
            self.losses.push(format!("the body's text was cut at {} bytes", limits.max_body_bytes));
        }
        let source = if text.trim().is_empty() { BodySource::Empty } else { source };
        Content { text, source, attachments: self.attachments, losses: self.losses }
    }

    /// Visible characters of the texts found.
    fn visible(&self) -> usize {
        self.texts.iter().map(|(_, text)| visible(text)).sum()
    }
}

impl Reader<'_> {
    /// Recursion is bounded by [`Limits::max_nesting`], which the structure keeps.
    fn part(&self, index: usize, place: Place, found: &mut Found) {
        let Some(part) = self.structure.parts.get(index) else { return };
        match part.kind {
            PartKind::Leaf => self.leaf(part, place, found),
            PartKind::Message => self.embedded(index, part, found),
            PartKind::Multipart => match part.media_type.as_str() {
                "multipart/alternative" => self.alternative(index, place, found),
                "multipart/related" | "multipart/signed" | "multipart/appledouble" => {
                    let root = self.related_root(index, part);
                    for child in self.structure.children(index) {
                        let child_place = if Some(child) == root { inside(place) } else { Place::Aside };
                        self.part(child, child_place, found);
                    }
                }
                _ => {
                    for child in self.structure.children(index) {
                        self.part(child, inside(place), found);
                    }
                }
            },
        }
    }

    /// The part of a multipart/related or signed that the others belong to (RFC 2387 section 3.2).
    fn related_root(&self, index: usize, part: &Part) -> Option<usize> {
        let bare = |id: &str| id.trim_matches(['<', '>', ' ']).to_owned();
        let start = part.headers.content_type_parameter("start").map(|start| bare(&start));
        let named = start.and_then(|start| {
            self.structure.children(index).find(|&child| {
                let id = self.structure.parts.get(child).and_then(|part| part.headers.raw("content-id"));
                id.is_some_and(|id| bare(&id) == start)
            })
        });
        named.or_else(|| self.structure.children(index).next())
    }

    /// One of several forms of the same content (RFC 2046 section 5.1.4): plain text, unless it is only an excuse for the
    /// HTML. Attachments of every form are kept.
    fn alternative(&self, index: usize, place: Place, found: &mut Found) {
        let mut forms: Vec<Found> = Vec::new();
        for child in self.structure.children(index) {
            let mut form = Found::default();
            self.part(child, inside(place), &mut form);
            forms.push(form);
        }
        let is = |form: &Found, wanted: BodySource| form.texts.first().is_some_and(|&(source, _)| source == wanted);
        let longest = |wanted| {
            (0..forms.len()).filter(|&at| forms.get(at).is_some_and(|form| is(form, wanted))).max_by_key(|&at| {
                // The first of equals, as max_by_key takes the last.
                (forms.get(at).map_or(0, Found::visible), usize::MAX - at)
            })
        };
        let size = |at: Option<usize>| at.and_then(|at| forms.get(at)).map_or(0, Found::visible);
        let (plain, page) = (longest(BodySource::Plain), longest(BodySource::Html));
        let chosen = if is_excuse(size(plain), size(page)) { page.or(plain) } else { plain };
        for (at, form) in forms.into_iter().enumerate() {
            found.attachments.extend(form.attachments);
            found.losses.extend(form.losses);
            if Some(at) == chosen {
                found.texts.extend(form.texts);
            }
        }
    }

    fn leaf(&self, part: &Part, place: Place, found: &mut Found) {
        let encoded = self.raw.get(part.body.clone()).unwrap_or_default();
        let bytes = part.transfer.decode(encoded);
        let disposition = part.headers.disposition().unwrap_or_default();
        let named = part.headers.file_name();
        let attached = disposition == "attachment" || named.is_some() || place == Place::Aside;
        let readable =
            matches!(part.media_type.as_str(), "text/plain" | "text/html" | "text/enriched" | "text/richtext");
        let is_body = readable && place != Place::Aside && (!attached || place == Place::Root);
        if is_body {
            body_text(part, &bytes, found);
        }
        let is_whole_message = place == Place::Root && readable && disposition != "attachment" && named.is_none();
        if !is_body || (attached && !is_whole_message) {
            self.attachment(part, &bytes, found);
        }
    }

    fn attachment(&self, part: &Part, bytes: &[u8], found: &mut Found) {
        let has_id = part.headers.has("content-id");
        let inline = has_id && part.headers.disposition().as_deref() != Some("attachment");
        let mut attachment = Attachment {
            name: part.headers.file_name().unwrap_or_default(),
            media_type: part.media_type.clone(),
            bytes: bytes.len() as u64,
            sha256: Some(sha256(bytes)),
            inline,
            method: AttachmentMethod::ByValue,
            text: None,
        };
        if part.media_type.starts_with("message/") && !part.media_type.ends_with("status") {
            self.encoded_message(bytes, &mut attachment, found);
        } else {
            let label = part.headers.content_type_parameter("charset");
            let file = File { media_type: &part.media_type, name: &attachment.name, label: label.as_deref(), bytes };
            attachment.text = file.text(self.limits, &mut found.losses);
        }
        found.attachments.push(attachment);
    }

    /// A message that is attached as it is: its text goes to the attachment, its own attachments follow it in the list.
    fn embedded(&self, index: usize, part: &Part, found: &mut Found) {
        let bytes = self.raw.get(part.body.clone()).unwrap_or_default();
        let mut inner = Found::default();
        let root = self.structure.children(index).next();
        if let Some(root) = root {
            self.part(root, Place::Root, &mut inner);
        }
        let headers = root.and_then(|root| self.structure.parts.get(root)).map(|root| &root.headers);
        let content = inner.into_content(self.limits);
        let name = part.headers.file_name().unwrap_or_default();
        let has_id = part.headers.has("content-id");
        found.losses.extend(content.losses);
        found.attachments.push(Attachment {
            name,
            media_type: part.media_type.clone(),
            bytes: bytes.len() as u64,
            sha256: Some(sha256(bytes)),
            inline: has_id && part.headers.disposition().as_deref() != Some("attachment"),
            method: AttachmentMethod::EmbeddedMessage,
            text: Some(with_heading(headers, &content.text)),
        });
        found.attachments.extend(content.attachments);
    }

    /// A message that is attached in base64 or quoted-printable.
    fn encoded_message(&self, bytes: &[u8], attachment: &mut Attachment, found: &mut Found) {
        if self.depth >= 3 {
            found.losses.push("encoded messages nested more than 3 deep were not followed".to_owned());
            return;
        }
        let structure = mime::structure(bytes, self.limits);
        let inner = read(bytes, &structure, self.limits, self.depth + 1);
        attachment.method = AttachmentMethod::EmbeddedMessage;
        attachment.text = Some(with_heading(structure.parts.first().map(|root| &root.headers), &inner.text));
        found.losses.extend(structure.problems);
        found.losses.extend(inner.losses);
        found.attachments.extend(inner.attachments);
    }
}

/// Adds the text of a part that belongs to the body, and the files that lie in it.
fn body_text(part: &Part, bytes: &[u8], found: &mut Found) {
    if part.media_type == "text/html" {
        let page = decode_page(part, bytes);
        found.texts.push((BodySource::Html, html::to_text(&page)));
        return;
    }
    let label = part.headers.content_type_parameter("charset");
    let mut text = normalise(&charset::decode(bytes, label.as_deref()));
    if part.media_type != "text/plain" {
        // text/enriched and richtext (RFC 1896) mark up with angle brackets as HTML does.
        found.texts.push((BodySource::Plain, html::to_text(&text)));
        return;
    }
    let format = part.headers.content_type_parameter("format");
    if format.is_some_and(|format| format.eq_ignore_ascii_case("flowed")) {
        let joined =
            part.headers.content_type_parameter("delsp").is_some_and(|delsp| delsp.eq_ignore_ascii_case("yes"));
        text = flowed::unwrap(&text, joined);
    }
    let (text, files) = inline_files::take(&text);
    for file in files {
        found.attachments.push(Attachment {
            name: file.name,
            media_type: "application/octet-stream".to_owned(),
            bytes: file.bytes.len() as u64,
            sha256: Some(sha256(&file.bytes)),
            inline: false,
            method: AttachmentMethod::ByValue,
            text: None,
        });
    }
    found.texts.push((BodySource::Plain, text));
}

/// The bytes of an attachment and what is known of them.
pub(crate) struct File<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) name: &'a str,
    /// Charset, where it was declared.
    pub(crate) label: Option<&'a str>,
    pub(crate) bytes: &'a [u8],
}

/// What kind of text a file holds.
enum TextKind {
    Page,
    Calendar,
    Plain,
}

/// What kind of text a file of this type and name can hold, before its bytes are known.
fn text_kind(media_type: &str, name: &str) -> Option<TextKind> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match (media_type, extension.as_str()) {
        ("text/html", _) | (_, "html" | "htm") => Some(TextKind::Page),
        ("text/calendar" | "application/ics", _) | (_, "ics") => Some(TextKind::Calendar),
        _ if media_type.starts_with("text/") || media_type.ends_with("-status") => Some(TextKind::Plain),
        (_, "txt" | "csv" | "log" | "md") => Some(TextKind::Plain),
        _ => None,
    }
}

/// Whether a file of this type and name may have text, so that its bytes are worth keeping.
pub(crate) fn may_have_text(media_type: &str, name: &str) -> bool {
    text_kind(media_type, name).is_some()
}

impl File<'_> {
    /// The text of what is text: text/*, HTML, calendars, delivery reports, and files that are named so.
    pub(crate) fn text(&self, limits: &Limits, losses: &mut Vec<String>) -> Option<String> {
        let mut text = match text_kind(self.media_type, self.name)? {
            TextKind::Page => {
                let declared = self.label.map(str::to_owned).or_else(|| html::declared_charset(self.bytes));
                html::to_text(&charset::decode(self.bytes, declared.as_deref()))
            }
            TextKind::Calendar => calendar::to_text(&normalise(&charset::decode(self.bytes, self.label))),
            TextKind::Plain => {
                // A name alone does not make bytes a text.
                let declared = self.media_type.starts_with("text/") || self.media_type.ends_with("-status");
                if !declared && std::str::from_utf8(self.bytes).is_err() {
                    return None;
                }
                normalise(&charset::decode(self.bytes, self.label))
            }
        };
        if cut(&mut text, limits.max_attachment_text_bytes) {
            losses.push(format!("an attachment's text was cut at {} bytes", limits.max_attachment_text_bytes));
        }
        Some(text)
    }
}

/// Whether the plain text is only an excuse for the page: nothing, or a sentence where the page says four times as much.
pub(crate) fn is_excuse(plain_letters: usize, page_letters: usize) -> bool {
    plain_letters == 0 || (page_letters > 200 && plain_letters * 4 < page_letters)
}

/// Visible characters of a text.
pub(crate) fn visible(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Children of the root may give the body's text; children of an aside may not.
fn inside(place: Place) -> Place {
    if place == Place::Aside { Place::Aside } else { Place::Inline }
}

/// The text of an embedded message below the lines of its header that a reader wants.
fn with_heading(headers: Option<&crate::header::HeaderBlock>, text: &str) -> String {
    let mut out = String::new();
    for (name, field) in [("From", "from"), ("Date", "date"), ("To", "to"), ("Subject", "subject")] {
        if let Some(value) = headers.and_then(|headers| headers.text(field)).filter(|value| !value.is_empty()) {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(&value);
            out.push('\n');
        }
    }
    out.push('\n');
    out.push_str(text);
    out
}

/// Decodes an HTML part: by its label, else by what the page says about itself.
fn decode_page(part: &Part, bytes: &[u8]) -> String {
    let label = part.headers.content_type_parameter("charset").or_else(|| html::declared_charset(bytes));
    charset::decode(bytes, label.as_deref())
}

/// Line ends to `\n`; control characters that no text has go.
pub(crate) fn normalise(text: &str) -> String {
    let text: Cow<'_, str> =
        if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    text.chars().filter(|&c| !c.is_control() || c == '\n' || c == '\t').collect()
}

/// Cuts `text` at a character boundary at or below `limit` bytes; whether there was anything to cut.
pub(crate) fn cut(text: &mut String, limit: usize) -> bool {
    let over = text.len() > limit;
    if over {
        text.truncate(text.floor_char_boundary(limit));
    }
    over
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}
