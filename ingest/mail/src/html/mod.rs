//! HTML bodies to readable text.
//!
//! The tokenizer is our own: mail is full of HTML that no parser of the web has to keep apart the way we do (whose quote is
//! this, is that blockquote an indent), and a tree is not needed for it. One pass, no recursion, depth and output capped.

mod token;
mod write;

use token::{Token, Tokens};
use write::Writer;

/// Deepest nesting of elements that is tracked; deeper ones keep their text and lose their structure.
const MAX_DEPTH: usize = 256;

/// Longest text that is made of one page, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// Renders HTML as text: paragraphs and line breaks as lines, quotes as lines with `> `, list items with `- ` or their number,
/// cells of a row with ` | ` between them, rules as a line of underscores, links as their text and, where that says
/// something else, their target in angle brackets. Scripts, styles, comments and what is hidden are left out; if nothing but
/// hidden text is there, it is kept.
pub fn to_text(html: &str) -> String {
    let visible = render(html, false);
    if visible.trim().is_empty() { render(html, true) } else { visible }
}

/// The charset that a page declares in a `meta` element within its first 2 KiB.
pub fn declared_charset(page: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(page.get(..page.len().min(2048))?).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let name: String = after
        .trim_start_matches(['"', '\'', ' '])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))
        .collect();
    (!name.is_empty() && name.len() <= 40).then_some(name)
}

/// An element that is open and whose end does something.
struct Open {
    name: String,
    effect: Effect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    /// A quote: one level of `> `.
    Quote,
    /// Not shown.
    Hidden,
    Preformatted,
    List {
        /// The number of the next item, 0 for a list without numbers.
        next: u32,
    },
    /// A link; the writer knows where its text starts.
    Link,
}

fn render(html: &str, show_hidden: bool) -> String {
    let mut page = Page { writer: Writer::new(MAX_TEXT_BYTES), open: Vec::new(), hidden: 0, show_hidden };
    for token in Tokens::new(html) {
        match token {
            Token::Text(text) if page.hidden == 0 => page.writer.text(text),
            Token::Start { name, attributes, self_closing } => page.start(&name, attributes, self_closing),
            Token::End(name) => page.end(&name),
            Token::Text(_) => {}
        }
    }
    page.writer.finish()
}

struct Page {
    writer: Writer,
    open: Vec<Open>,
    /// How many open elements hide what is in them.
    hidden: usize,
    show_hidden: bool,
}

impl Page {
    fn start(&mut self, name: &str, attributes: &str, self_closing: bool) {
        self.close_implied(name);
        let hides = !self.show_hidden && is_hidden(attributes);
        if self.hidden == 0 {
            self.line_for(name, attributes);
        }
        if is_void(name) || self_closing && name != "a" && name != "div" && name != "p" {
            return;
        }
        let effect = if hides { Effect::Hidden } else { self.effect_of(name, attributes) };
        match effect {
            Effect::Quote => self.writer.quote_in(),
            Effect::Hidden => self.hidden += 1,
            Effect::Preformatted => self.writer.preformatted_in(),
            Effect::Link => self.writer.link_in(token::attribute(attributes, "href").unwrap_or_default()),
            Effect::List { .. } | Effect::None => {}
        }
        if self.open.len() < MAX_DEPTH {
            self.open.push(Open { name: name.to_owned(), effect });
        } else {
            self.leave(effect);
        }
    }

    /// What the start of an element does to the line.
    fn line_for(&mut self, name: &str, attributes: &str) {
        match name {
            "br" => self.writer.line_break(),
            "hr" => self.writer.rule(),
            "img" => {
                if let Some(alternative) = token::attribute(attributes, "alt") {
                    self.writer.image(&alternative);
                }
            }
            "li" => {
                let depth = self.open.iter().filter(|open| matches!(open.effect, Effect::List { .. })).count();
                let list = self.open.iter_mut().rev().find_map(|open| match &mut open.effect {
                    Effect::List { next } => Some(next),
                    _ => None,
                });
                let mark = match list {
                    Some(next) if *next > 0 => {
                        *next += 1;
                        format!("{}. ", *next - 1)
                    }
                    _ => "- ".to_owned(),
                };
                self.writer.item(depth.saturating_sub(1).min(8), &mark);
            }
            "td" | "th" => self.writer.cell(),
            "tr" => self.writer.row(),
            "p" if !is_tight(attributes) => self.writer.paragraph(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "pre" => self.writer.paragraph(),
            _ if is_block(name) => self.writer.block(),
            _ => {}
        }
    }

    fn effect_of(&self, name: &str, attributes: &str) -> Effect {
        match name {
            "blockquote" if !is_indent(attributes) => Effect::Quote,
            "script" | "style" | "head" | "title" | "template" | "noscript" if !self.show_hidden || name != "head" => {
                Effect::Hidden
            }
            "pre" | "listing" | "xmp" | "textarea" => Effect::Preformatted,
            "ul" | "menu" | "dir" => Effect::List { next: 0 },
            "ol" => {
                let start = token::attribute(attributes, "start").and_then(|start| start.parse().ok()).unwrap_or(1);
                Effect::List { next: u32::max(start, 1).min(1_000_000) }
            }
            "a" => Effect::Link,
            _ => Effect::None,
        }
    }

    /// Elements that end where another of their kind starts (HTML standard, optional tags).
    fn close_implied(&mut self, name: &str) {
        let (closes, stops): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol", "menu", "dir"]),
            "td" | "th" => (&["td", "th"], &["tr", "table"]),
            "tr" => (&["tr"], &["table"]),
            "p" => (&["p"], &["div", "td", "th", "li", "blockquote", "table", "body"]),
            "body" => (&["head", "title", "style"], &[]),
            "option" => (&["option"], &["select"]),
            _ => return,
        };
        let found = self.open.iter().rposition(|open| closes.contains(&open.name.as_str()));
        let stop = self.open.iter().rposition(|open| stops.contains(&open.name.as_str()));
        if let Some(at) = found.filter(|&at| stop.is_none_or(|stop| stop < at)) {
            self.close_to(at);
        }
    }

    fn end(&mut self, name: &str) {
        if name == "p" && self.hidden == 0 {
            self.writer.paragraph();
        } else if is_block(name) && self.hidden == 0 {
            self.writer.block();
        }
        // Only within the innermost table cell or quote: a stray end must not close what is around it.
        let Some(at) = self.open.iter().rposition(|open| open.name == name) else { return };
        let barrier = self.open.iter().rposition(|open| matches!(open.name.as_str(), "table" | "blockquote"));
        if barrier.is_some_and(|barrier| barrier > at)
            && !matches!(name, "table" | "blockquote" | "body" | "html" | "div")
        {
            return;
        }
        self.close_to(at);
    }

    fn close_to(&mut self, at: usize) {
        while self.open.len() > at {
            let Some(open) = self.open.pop() else { break };
            self.leave(open.effect);
        }
    }

    fn leave(&mut self, effect: Effect) {
        match effect {
            Effect::Quote => self.writer.quote_out(),
            Effect::Hidden => self.hidden = self.hidden.saturating_sub(1),
            Effect::Preformatted => self.writer.preformatted_out(),
            Effect::Link => self.writer.link_out(),
            Effect::List { .. } | Effect::None => {}
        }
    }
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "br" | "hr"
            | "img"
            | "input"
            | "meta"
            | "link"
            | "area"
            | "base"
            | "col"
            | "embed"
            | "source"
            | "track"
            | "wbr"
            | "param"
    )
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "div"
            | "p"
            | "table"
            | "tbody"
            | "thead"
            | "tfoot"
            | "tr"
            | "ul"
            | "ol"
            | "li"
            | "dl"
            | "dt"
            | "dd"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "main"
            | "nav"
            | "aside"
            | "address"
            | "center"
            | "form"
            | "fieldset"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "blockquote"
            | "pre"
            | "figure"
            | "figcaption"
            | "body"
            | "html"
            | "hr"
            | "caption"
            | "menu"
            | "details"
            | "summary"
    )
}

/// Styles without blanks, lower-cased.
fn style(attributes: &str) -> String {
    let style = token::attribute(attributes, "style").unwrap_or_default();
    style.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

fn is_hidden(attributes: &str) -> bool {
    if !attributes.contains("idden")
        && !attributes.contains("isplay")
        && !attributes.contains("mso-hide")
        && !attributes.contains("DISPLAY")
    {
        return false;
    }
    let style = style(attributes);
    style.contains("display:none") || style.contains("visibility:hidden") || style.contains("mso-hide:all")
}

/// Gmail and Outlook indent with a blockquote that has no border; nobody is quoted there.
fn is_indent(attributes: &str) -> bool {
    if !attributes.contains("style") && !attributes.contains("STYLE") {
        return false;
    }
    let cited = attributes.to_ascii_lowercase();
    if cited.contains("cite") || cited.contains("quote") {
        return false;
    }
    let style = style(attributes);
    style.contains("border:none")
        || style.contains("border:0")
        || (style.contains("margin-left:36pt") && !style.contains("border"))
}

/// Word's paragraphs (`MsoNormal`) have no space between them: an empty one stands for the blank line.
fn is_tight(attributes: &str) -> bool {
    attributes.contains("MsoNormal") || attributes.contains("MsoPlainText") || {
        let style = style(attributes);
        style.contains("margin:0") || (style.contains("margin-top:0") && style.contains("margin-bottom:0"))
    }
}

#[cfg(test)]
mod tests {
    use super::{declared_charset, to_text};

    #[test]
    fn paragraphs_lists_tables_links() {
        assert_eq!(to_text("<p>Hello&nbsp;<b>you</b>,</p><p>more<br>lines</p>"), "Hello you,\n\nmore\nlines\n");
        assert_eq!(to_text("<ul><li>a<li>b</ul><ol start=3><li>c</li></ol>"), "- a\n- b\n3. c\n");
        assert_eq!(
            to_text("<table><tr><td>Item</td><td>Price</td></tr><tr><td>A<td>5 &euro;</table>"),
            "Item | Price\nA | 5 €\n"
        );
        assert_eq!(
            to_text(
                "<a href=\"https://x.example/a?b=1&amp;c\">here</a> <a href='https://y.example/'>https://y.example</a>"
            ),
            "here <https://x.example/a?b=1&c> https://y.example\n"
        );
        assert_eq!(to_text("a<hr>b"), "a\n________________________________\nb\n");
        assert_eq!(to_text("<pre>x\n  y</pre>z"), "x\n  y\n\nz\n");
    }

    #[test]
    fn quotes_of_the_mail_programs() {
        assert_eq!(
            to_text(
                "Yes.<div class=gmail_quote>On Monday, A wrote:<blockquote class=gmail_quote>One<br>two<blockquote>deep</blockquote></blockquote></div>"
            ),
            "Yes.\nOn Monday, A wrote:\n\n> One\n> two\n>\n> > deep\n"
        );
        assert_eq!(
            to_text("<blockquote style='margin:0 0 0 40px;border:none;padding:0px'>indented</blockquote>"),
            "indented\n"
        );
    }

    #[test]
    fn what_is_not_shown() {
        assert_eq!(
            to_text("<head><title>t</title><style>p{}</style></head><body>x<script>if (a<b) {}</script><!-- c -->y"),
            "xy\n"
        );
        assert_eq!(to_text("<div style=\"display: none\">pre</div>seen"), "seen\n");
        assert_eq!(to_text("<div style=\"display:none\">all there is</div>"), "all there is\n");
        assert_eq!(to_text("<!--[if mso]><p>only Outlook</p><![endif]-->x<o:p></o:p>"), "x\n");
    }

    #[test]
    fn broken_pages() {
        assert_eq!(to_text("a < b & c &unknown; &#x41;&#66; <"), "a < b & c &unknown; AB <\n");
        assert_eq!(to_text("x</p></div></table><b>y"), "x\n\ny\n");
        assert_eq!(to_text(""), "");
        let deep = "<div><blockquote>".repeat(50_000);
        assert!(to_text(&format!("{deep}x")).contains('x'));
        assert!(to_text(&"<".repeat(100_000)).len() >= 100_000);
    }

    #[test]
    fn charset_of_a_page() {
        assert_eq!(
            declared_charset(b"<meta http-equiv=Content-Type content=\"text/html; charset=ISO-8859-1\">").as_deref(),
            Some("iso-8859-1")
        );
        assert_eq!(declared_charset(b"<meta charset='utf-8'>").as_deref(), Some("utf-8"));
        assert_eq!(declared_charset(b"<p>"), None);
    }
}
