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
        self.texts.iter().flat_map(|(_, text)| text.chars()).filter(|c| !c.is_whitespace()).count()
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
        let excuse = size(plain) == 0 || (size(page) > 200 && size(plain) * 4 < size(page));
        let chosen = if excuse { page.or(plain) } else { plain };
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
            self.body_text(part, &bytes, found);
        }
        let is_whole_message = place == Place::Root && readable && disposition != "attachment" && named.is_none();
        if !is_body || (attached && !is_whole_message) {
            self.attachment(part, &bytes, found);
        }
    }

    fn body_text(&self, part: &Part, bytes: &[u8], found: &mut Found) {
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
            attachment.text = self.attachment_text(part, &attachment.name, bytes, found);
        }
        found.attachments.push(attachment);
    }

    /// The text of what is text: text/*, HTML, calendars, delivery reports, and files that are named so.
    fn attachment_text(&self, part: &Part, name: &str, bytes: &[u8], found: &mut Found) -> Option<String> {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
        let label = part.headers.content_type_parameter("charset");
        let is_page = part.media_type == "text/html" || matches!(extension.as_str(), "html" | "htm");
        let is_calendar = matches!(part.media_type.as_str(), "text/calendar" | "application/ics") || extension == "ics";
        let is_text = part.main_type() == "text"
            || part.media_type.ends_with("-status")
            || (matches!(extension.as_str(), "txt" | "csv" | "log" | "md") && std::str::from_utf8(bytes).is_ok());
        let mut text = if is_page {
            html::to_text(&decode_page(part, bytes))
        } else if is_calendar {
            calendar::to_text(&normalise(&charset::decode(bytes, label.as_deref())))
        } else if is_text {
            normalise(&charset::decode(bytes, label.as_deref()))
        } else {
            return None;
        };
        if cut(&mut text, self.limits.max_attachment_text_bytes) {
            found
                .losses
                .push(format!("an attachment's text was cut at {} bytes", self.limits.max_attachment_text_bytes));
        }
        Some(text)
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
