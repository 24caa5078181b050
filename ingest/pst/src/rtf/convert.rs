//! Text or HTML out of RTF.

use super::fonts::Fonts;
use super::tokens::{Token, Tokens};
use crate::code_page;

/// Groups whose state is remembered; deeper ones share the state of the deepest.
const MAX_DEPTH: usize = 2048;
/// Tokens at the start among which a document says what it was made from ([MS-OXRTFEX] 2.1.3.1.1).
const ORIGIN_TOKENS: usize = 20;

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Converted {
    /// The HTML that the document was made from.
    Html(String),
    /// The document's plain text.
    Text(String),
}

/// Converts a document. `code_page` is that of 8-bit text where the document does not say.
pub(crate) fn convert(rtf: &[u8], code_page: u32) -> Converted {
    let is_html = Tokens::new(rtf).take(ORIGIN_TOKENS).any(|token| matches!(token, Token::Word(b"fromhtml", _)));
    let mut converter = Converter::new(is_html, code_page);
    for token in Tokens::new(rtf) {
        converter.take(token);
    }
    converter.flush();
    let text = converter.out;
    if is_html { Converted::Html(text) } else { Converted::Text(text) }
}

/// What a group inherits from the one around it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "RTF switches these one by one and in any combination")]
struct Group {
    /// Inside something that is not text: fonts, colours, pictures.
    is_hidden: bool,
    in_font_table: bool,
    /// Inside a tag of the original HTML.
    in_tag: bool,
    /// Inside what only a reader of RTF should see.
    is_rtf_only: bool,
    /// Font number, from which the code page follows.
    font: Option<i32>,
    /// How many characters stand in for one `\u`.
    unicode_fallback: usize,
}

struct Converter {
    is_html: bool,
    document_code_page: u32,
    fonts: Fonts,
    group: Group,
    outer: Vec<Group>,
    /// Groups opened beyond `MAX_DEPTH`.
    depth_beyond: usize,
    /// `\*` was seen: the next word names a destination that may be left out.
    is_ignorable: bool,
    /// Characters still to be left out after `\u`.
    fallback_left: usize,
    /// 8-bit text that is not decoded yet: a character may need several bytes.
    pending: Vec<u8>,
    high_surrogate: Option<u16>,
    out: String,
}

impl Converter {
    fn new(is_html: bool, code_page: u32) -> Self {
        let group = Group {
            is_hidden: false,
            in_font_table: false,
            in_tag: false,
            is_rtf_only: false,
            font: None,
            unicode_fallback: 1,
        };
        Self {
            is_html,
            document_code_page: code_page,
            fonts: Fonts::default(),
            group,
            outer: Vec::new(),
            depth_beyond: 0,
            is_ignorable: false,
            fallback_left: 0,
            pending: Vec::new(),
            high_surrogate: None,
            out: String::new(),
        }
    }

    fn take(&mut self, token: Token<'_>) {
        match token {
            Token::Open => self.open(),
            Token::Close => self.close(),
            Token::Word(word, number) => self.word(word, number),
            Token::Symbol(b'*') => self.is_ignorable = true,
            Token::Symbol(symbol) => self.symbol(symbol),
            Token::Hex(byte) => self.bytes(&[byte]),
            Token::Text(text) => self.bytes(text),
        }
    }

    fn open(&mut self) {
        self.flush();
        self.fallback_left = 0;
        if self.outer.len() < MAX_DEPTH {
            self.outer.push(self.group);
        } else {
            self.depth_beyond += 1;
        }
    }

    fn close(&mut self) {
        self.flush();
        self.fallback_left = 0;
        self.is_ignorable = false;
        if self.depth_beyond > 0 {
            self.depth_beyond -= 1;
        } else if let Some(group) = self.outer.pop() {
            self.group = group;
        }
    }

    fn is_visible(&self) -> bool {
        !self.group.is_hidden && (!self.is_html || self.group.in_tag || !self.group.is_rtf_only)
    }

    fn bytes(&mut self, text: &[u8]) {
        let skipped = self.fallback_left.min(text.len());
        self.fallback_left -= skipped;
        if self.is_visible() {
            self.pending.extend_from_slice(text.get(skipped..).unwrap_or_default());
        }
    }

    fn word(&mut self, word: &[u8], number: Option<i32>) {
        let is_ignorable = std::mem::take(&mut self.is_ignorable);
        if word == b"u" {
            self.unicode(number.unwrap_or(0));
            return;
        }
        self.flush();
        self.fallback_left = 0;
        match word {
            b"ansicpg" => self.document_code_page = number.and_then(|page| u32::try_from(page).ok()).unwrap_or(1252),
            b"mac" => self.document_code_page = 10000,
            b"uc" => self.group.unicode_fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(0).min(8),
            b"fonttbl" => (self.group.in_font_table, self.group.is_hidden) = (true, true),
            _ if self.group.in_font_table => self.fonts.define(word, number),
            b"f" => self.group.font = number,
            b"plain" => self.group.font = None,
            b"htmlrtf" => self.group.is_rtf_only = number != Some(0),
            b"htmltag" if self.is_html => self.group.in_tag = true,
            b"colortbl" | b"stylesheet" | b"info" | b"pict" | b"header" | b"headerl" | b"headerr" | b"headerf"
            | b"footer" | b"footerl" | b"footerr" | b"footerf" | b"objdata" | b"fldinst" | b"listtable" => {
                self.group.is_hidden = true;
            }
            _ => match text_of(word, self.is_html) {
                Some(text) => self.text(text),
                None if is_ignorable => self.group.is_hidden = true,
                None => {}
            },
        }
    }

    fn symbol(&mut self, symbol: u8) {
        match symbol {
            b'{' | b'}' | b'\\' => self.bytes(&[symbol]),
            b'~' => self.text(if self.is_html { "&nbsp;" } else { "\u{a0}" }),
            b'_' => self.text(if self.is_html { "&shy;" } else { "\u{2011}" }),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        self.flush();
        if self.is_visible() {
            self.out.push_str(text);
        }
    }

    fn unicode(&mut self, number: i32) {
        self.flush_keeping_surrogate();
        self.fallback_left = self.group.unicode_fallback;
        if !self.is_visible() {
            return;
        }
        // Units above 0x7fff are written as negative numbers.
        let unit = number as u16;
        let high = self.high_surrogate.take();
        match (high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                self.out
                    .extend(char::decode_utf16([high, unit]).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            (_, 0xd800..=0xdbff) => self.high_surrogate = Some(unit),
            _ => self.out.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn flush(&mut self) {
        self.flush_keeping_surrogate();
        // Nothing joins a half character any more once other text or markup follows; the fallback between two halves does.
        if self.fallback_left == 0 {
            self.high_surrogate = None;
        }
    }

    /// Decodes what is pending.
    fn flush_keeping_surrogate(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.pending.is_ascii()
            && let Ok(text) = std::str::from_utf8(&self.pending)
        {
            self.out.push_str(text);
        } else {
            let of_font = self.group.font.and_then(|font| self.fonts.code_page(font));
            // Tags are in the document's code page whatever the font ([MS-OXRTFEX] 2.1.3.1.5).
            let code_page = of_font.filter(|_| !self.group.in_tag).unwrap_or(self.document_code_page);
            self.out.push_str(&code_page::decode(&self.pending, code_page));
        }
        self.pending.clear();
    }
}

/// Control words that stand for text.
fn text_of(word: &[u8], is_html: bool) -> Option<&'static str> {
    Some(match (word, is_html) {
        (b"par" | b"line", true) => "\r\n",
        (b"par" | b"line" | b"sect" | b"page" | b"row", false) => "\n",
        (b"tab", _) | (b"cell", false) => "\t",
        (b"lquote", true) => "&lsquo;",
        (b"rquote", true) => "&rsquo;",
        (b"ldblquote", true) => "&ldquo;",
        (b"rdblquote", true) => "&rdquo;",
        (b"bullet", true) => "&bull;",
        (b"endash", true) => "&ndash;",
        (b"emdash", true) => "&mdash;",
        (b"lquote", false) => "\u{2018}",
        (b"rquote", false) => "\u{2019}",
        (b"ldblquote", false) => "\u{201c}",
        (b"rdblquote", false) => "\u{201d}",
        (b"bullet", false) => "\u{2022}",
        (b"endash", false) => "\u{2013}",
        (b"emdash", false) => "\u{2014}",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rtf: &[u8]) -> String {
        match convert(rtf, 1252) {
            Converted::Text(text) => text,
            Converted::Html(html) => panic!("HTML: {html}"),
        }
    }

    fn html(rtf: &[u8]) -> String {
        match convert(rtf, 1252) {
            Converted::Html(html) => html,
            Converted::Text(text) => panic!("text: {text}"),
        }
    }

    #[test]
    fn plain_text_leaves_tables_and_pictures_out() {
        let rtf = b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fswiss Arial;}}{\\colortbl;\\red0\\green0\\blue0;}\
                    {\\*\\generator Writer;}{\\pict\\wmetafile8 0102}\\pard Gr\\'fc\\'dfe,\\par {\\b bold} \\ldblquote x\\rdblquote\\~5}";
        assert_eq!(text(rtf), "Grüße,\nbold \u{201c}x\u{201d}\u{a0}5");
    }

    #[test]
    fn eight_bit_text_follows_the_font() {
        let rtf = b"{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 A;}{\\f1\\fcharset204 B;}{\\f2\\fcharset128 C;}}\
                    \\f0 \\'e9 {\\f1 \\'cf\\'f0} {\\f2 \\'93\\'fa\\'83A}}";
        assert_eq!(text(rtf), "é Пр 日ア");
    }

    #[test]
    fn unicode_replaces_its_fallback() {
        assert_eq!(text(b"{\\rtf1\\uc1 a\\u8364 ?b\\u-10179?\\u-8704?c\\u9731\\'3fd{\\uc0\\u233 e}}"), "a€b😀c☃dée");
    }

    #[test]
    fn html_comes_out_of_its_encapsulation() {
        let rtf = b"{\\rtf1\\ansi\\ansicpg1251\\fromhtml1 \\deff0{\\fonttbl{\\f0\\fswiss Arial;}}\
                    {\\*\\htmltag19 <html>}{\\*\\mhtmltag64 <p class=x>}{\\*\\htmltag64 <p>}\\htmlrtf {\\htmlrtf0 \\'cf \
                    {\\*\\htmltag84 &lt;}\\htmlrtf <\\htmlrtf0 a\\par {\\*\\htmltag72 </p>}\\htmlrtf }\\htmlrtf0 {\\*\\htmltag27 </html>}}";
        assert_eq!(html(rtf), "<html><p>П &lt;a\r\n</p></html>");
    }

    #[test]
    fn hostile_nesting_neither_recurses_nor_grows() {
        let mut rtf = b"{\\rtf1 ".to_vec();
        rtf.resize(500_000, b'{');
        rtf.resize(1_000_000, b'}');
        rtf.extend_from_slice(b"end");
        assert_eq!(text(&rtf), "end");
    }
}
