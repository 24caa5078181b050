//! Text as it is built from a page: lines, quotes, blanks.

use super::token;

/// Longest target of a link that is written in full; of a longer one, what is before the `?`.
const MAX_TARGET_CHARS: usize = 300;

pub(super) struct Writer {
    out: String,
    limit: usize,
    /// Line ends that the next text has to write first.
    pending_lines: usize,
    /// Whether a blank is due before the next text.
    pending_blank: bool,
    quote_depth: usize,
    /// The depth of the line before: an empty line between two depths has the lower one.
    line_depth: usize,
    preformatted: usize,
    /// What starts the next line: the mark of a list item.
    mark: Option<String>,
    /// Whether the current row has a cell with text before this one.
    cell_started: bool,
    row_has_text: bool,
    links: Vec<Link>,
}

struct Link {
    target: String,
    /// Where its text starts in `out`.
    start: usize,
}

impl Writer {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            out: String::new(),
            limit,
            pending_lines: 0,
            pending_blank: false,
            quote_depth: 0,
            line_depth: 0,
            preformatted: 0,
            mark: None,
            cell_started: false,
            row_has_text: false,
            links: Vec::new(),
        }
    }

    /// Text of the page, entities not decoded yet.
    pub(super) fn text(&mut self, raw: &str) {
        let decoded = token::decode(raw);
        if self.preformatted > 0 {
            for (index, line) in decoded.split('\n').enumerate() {
                if index > 0 {
                    self.line_break();
                }
                self.word(line.trim_end_matches('\r'));
            }
            return;
        }
        let mut words = decoded.split(|c: char| c.is_ascii_whitespace() || c == '\u{a0}');
        if let Some(first) = words.next() {
            self.word(first);
            for word in words {
                self.pending_blank = true;
                self.word(word);
            }
        }
    }

    fn word(&mut self, word: &str) {
        let word: String = word.chars().filter(|&c| (!c.is_control() || c == '\t') && !is_invisible(c)).collect();
        if word.is_empty() || self.out.len() >= self.limit {
            return;
        }
        self.start_line();
        if self.cell_started {
            if self.row_has_text && !self.at_line_start() {
                self.out.push_str(" | ");
            }
            self.cell_started = false;
            self.pending_blank = false;
        }
        self.row_has_text = true;
        if self.pending_blank && !self.at_line_start() && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
        self.pending_blank = false;
        self.out.push_str(&word);
    }

    /// Writes the line ends that are due, and what starts the line.
    fn start_line(&mut self) {
        if self.pending_lines == 0 && !self.out.is_empty() {
            return;
        }
        if !self.out.is_empty() {
            for index in 0..self.pending_lines {
                if index > 0 {
                    self.out.push_str(&"> ".repeat(self.quote_depth.min(self.line_depth).min(20)));
                    self.trim_line();
                }
                self.out.push('\n');
            }
        }
        self.out.push_str(&"> ".repeat(self.quote_depth.min(20)));
        if let Some(mark) = self.mark.take() {
            self.out.push_str(&mark);
        }
        self.line_depth = self.quote_depth;
        self.pending_lines = 0;
        self.pending_blank = false;
        self.row_has_text = false;
    }

    fn trim_line(&mut self) {
        let length = self.out.trim_end_matches(' ').len();
        self.out.truncate(length);
    }

    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n') || self.out.ends_with("> ")
    }

    fn lines(&mut self, count: usize) {
        if !self.out.is_empty() {
            self.pending_lines = self.pending_lines.max(count);
        }
        self.pending_blank = false;
    }

    /// `<br>`: each one counts, up to one empty line.
    pub(super) fn line_break(&mut self) {
        if !self.out.is_empty() {
            self.pending_lines = (self.pending_lines + 1).min(if self.preformatted > 0 { 3 } else { 2 });
        }
        self.pending_blank = false;
    }

    /// A block starts or ends: a new line.
    pub(super) fn block(&mut self) {
        self.lines(1);
    }

    /// A paragraph starts or ends: an empty line.
    pub(super) fn paragraph(&mut self) {
        self.lines(2);
    }

    pub(super) fn rule(&mut self) {
        self.lines(1);
        self.word("________________________________");
        self.lines(1);
    }

    pub(super) fn item(&mut self, depth: usize, mark: &str) {
        self.lines(1);
        self.mark = Some(format!("{}{mark}", "  ".repeat(depth)));
    }

    pub(super) fn row(&mut self) {
        self.lines(1);
        self.row_has_text = false;
        self.cell_started = false;
    }

    pub(super) fn cell(&mut self) {
        if self.row_has_text {
            // Cells of a row stay on one line as long as none of them holds a block.
            self.cell_started = true;
        }
    }

    pub(super) fn image(&mut self, alternative: &str) {
        let alternative = alternative.trim();
        // File names and the like say nothing.
        if alternative.contains(' ') && alternative.len() <= 200 {
            self.pending_blank = true;
            self.text(&alternative.replace('&', "&amp;"));
            self.pending_blank = true;
        }
    }

    pub(super) fn quote_in(&mut self) {
        self.lines(2);
        self.quote_depth += 1;
    }

    pub(super) fn quote_out(&mut self) {
        self.quote_depth = self.quote_depth.saturating_sub(1);
        self.lines(2);
    }

    pub(super) fn preformatted_in(&mut self) {
        self.preformatted += 1;
    }

    pub(super) fn preformatted_out(&mut self) {
        self.preformatted = self.preformatted.saturating_sub(1);
        self.lines(2);
    }

    pub(super) fn link_in(&mut self, target: String) {
        self.links.push(Link { target, start: self.out.len() });
    }

    /// Writes the link's target where its text says something else.
    pub(super) fn link_out(&mut self) {
        let Some(link) = self.links.pop() else { return };
        let shown: String = self.out.get(link.start..).unwrap_or_default().trim().to_lowercase();
        let target: String = link.target.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        let scheme = target.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if shown.is_empty() || !matches!(scheme.as_str(), "http" | "https" | "ftp" | "mailto") {
            return;
        }
        let bare = |text: &str| {
            let text = text.trim_start_matches("mailto:").trim_start_matches("https://").trim_start_matches("http://");
            text.trim_start_matches("www.").trim_end_matches('/').to_owned()
        };
        let plain_target = bare(&target.to_lowercase());
        if shown.contains(&plain_target) || bare(&shown) == plain_target {
            return;
        }
        let target = if target.chars().count() > MAX_TARGET_CHARS {
            target.split(['?', '#']).next().unwrap_or_default().chars().take(MAX_TARGET_CHARS).collect()
        } else {
            target
        };
        self.pending_lines = 0;
        self.pending_blank = true;
        self.word(&format!("<{target}>"));
    }

    pub(super) fn finish(mut self) -> String {
        let mut text = String::with_capacity(self.out.len() + 1);
        self.out.truncate(self.out.trim_end().len());
        for line in self.out.split('\n') {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if text == "\n" { String::new() } else { text }
    }
}

/// Characters that take no room: fillers that newsletters hide in their first line.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{34f}')
}
