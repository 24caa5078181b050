//! HTML to tokens, tolerant of everything.

/// A piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text with its entities.
    Text(&'a str),
    Start {
        /// Lower-cased, without a namespace's prefix.
        name: String,
        /// Everything between the name and `>`.
        attributes: &'a str,
        self_closing: bool,
    },
    End(String),
}

/// Reads tokens from front to back.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// An element whose content is raw text up to its end.
    raw_text: Option<&'static str>,
    /// How many bytes are left after the last `>`: from there on there is no tag to look for.
    tail: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        let tail = html.len() - html.rfind('>').map_or(0, |at| at + 1);
        Self { rest: html, raw_text: None, tail }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// The content of a script or style, passed over.
    fn skip_raw_text(&mut self, name: &str) {
        let mut from = 0;
        while let Some(at) = self.rest.get(from..).and_then(|rest| rest.find("</")) {
            let start = from + at;
            let tail = self.rest.as_bytes().get(start + 2..).unwrap_or_default();
            if tail.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
                self.take(start);
                return;
            }
            from = start + 2;
        }
        // Without an end, the page would be lost: then it was no script.
    }

    /// A comment, declaration or processing instruction at the front, as its length.
    fn comment(&self) -> Option<usize> {
        let rest = self.rest;
        if let Some(inside) = rest.strip_prefix("<!--") {
            let end = inside.find("-->").map(|at| at + 4 + 3);
            return Some(end.or_else(|| rest.find('>').map(|at| at + 1)).unwrap_or(rest.len()));
        }
        if rest.starts_with("<!") || rest.starts_with("<?") {
            return Some(rest.find('>').map_or(rest.len(), |at| at + 1));
        }
        None
    }

    fn tag(&mut self) -> Option<Token<'a>> {
        let inside = self.rest.strip_prefix('<')?;
        let is_end = inside.starts_with('/');
        let named = inside.strip_prefix('/').unwrap_or(inside);
        if !named.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        if self.rest.len() <= self.tail {
            return None;
        }
        let length = tag_length(self.rest)?;
        let tag = self.take(length);
        let inside = tag.trim_start_matches(['<', '/']).strip_suffix('>').unwrap_or(tag);
        let name_end = inside.find(|c: char| c.is_whitespace() || c == '/' || c == '>').unwrap_or(inside.len());
        let (name, attributes) = inside.split_at_checked(name_end)?;
        let name = name.to_ascii_lowercase();
        if is_end {
            return Some(Token::End(name));
        }
        let self_closing = attributes.trim_end().ends_with('/');
        self.raw_text = match name.as_str() {
            "script" => Some("script"),
            "style" => Some("style"),
            _ => None,
        };
        Some(Token::Start { name, attributes, self_closing })
    }
}

/// The length of the tag at the front: to the `>` outside quotes. A quote that does not close within the page ends at the
/// first `>`, so that one slip does not eat the rest.
fn tag_length(text: &str) -> Option<usize> {
    // Pictures lie in attributes.
    const MAX_TAG_BYTES: usize = 8 << 20;
    let mut quote = None;
    let mut first_end = None;
    let mut after_equals = false;
    for (at, byte) in text.bytes().enumerate().take(MAX_TAG_BYTES) {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), b'>') => first_end = first_end.or(Some(at + 1)),
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            after_equals = byte == b'=' && quote.is_none();
        }
    }
    first_end
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(name) = self.raw_text.take() {
            self.skip_raw_text(name);
        }
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if self.rest.starts_with('<') {
                if let Some(length) = self.comment() {
                    self.take(length);
                    continue;
                }
                if let Some(tag) = self.tag() {
                    return Some(tag);
                }
                // A lone `<` is text, together with what follows it.
                let next = self.rest.get(1..).and_then(|rest| rest.find('<')).map_or(self.rest.len(), |at| at + 1);
                return Some(Token::Text(self.take(next)));
            }
            let next = self.rest.find('<').unwrap_or(self.rest.len());
            return Some(Token::Text(self.take(next)));
        }
    }
}

/// The value of an attribute, entities decoded; `None` where it is not there.
pub(super) fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes.trim_start_matches(['/', ' ']);
    // The number of attributes is bounded by the tag's length.
    while !rest.is_empty() {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        let (found, after) = rest.split_at_checked(end)?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('=') {
            Some(after) => attribute_value(after.trim_start()),
            None => ("", after),
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(decode(value));
        }
        if next.len() == rest.len() {
            return None;
        }
        rest = next;
    }
    None
}

fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Decodes the entities of `text`; what is none stays.
pub(super) fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, entity) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let end = entity.bytes().take(32).position(|byte| byte == b';');
        let decoded = end.and_then(|end| entity.get(..=end)).and_then(decode_entity);
        if let (Some(end), Some(decoded)) = (end, decoded) {
            out.push_str(&decoded);
            rest = entity.get(end + 1..).unwrap_or_default();
        } else if let Some(after) = entity.strip_prefix("&nbsp") {
            out.push('\u{a0}');
            rest = after;
        } else {
            out.push('&');
            rest = entity.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// `&name;` or `&#number;`, by mail-parser's table; numbers 128 to 159 mean Windows-1252, as in browsers.
fn decode_entity(entity: &str) -> Option<String> {
    let inside = entity.strip_prefix('&')?.strip_suffix(';')?;
    if let Some(number) = inside.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        if let Ok(byte @ 128..=159) = u8::try_from(code) {
            return Some(encoding_rs::WINDOWS_1252.decode_without_bom_handling(&[byte]).0.into_owned());
        }
        return char::from_u32(code).filter(|&c| c != '\0').map(String::from);
    }
    if inside.is_empty() || !inside.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let mut out = String::new();
    mail_parser::decoders::html::add_html_token(&mut out, entity.as_bytes(), false);
    (out != entity).then_some(out)
}
