//! Lines of a body.

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// First byte in the text, and one past the line end.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line without its end and the blanks around it.
    pub(super) text: &'a str,
    /// The line without its end only.
    pub(super) raw: &'a str,
    /// How many `>` it starts with.
    pub(super) depth: usize,
}

impl Line<'_> {
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }

    pub(super) fn chars(&self) -> usize {
        self.text.chars().count()
    }
}

/// Splits `text` into lines; their ranges cover it whole.
pub(super) fn split(text: &str) -> Vec<Line<'_>> {
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|whole| {
            let start = at;
            at += whole.len();
            let raw = whole.trim_end_matches(['\n', '\r']);
            let text = raw.trim_matches(|c: char| c.is_whitespace() || c == '\u{200b}' || c == '\u{feff}');
            Line { start, end: at, text, raw, depth: depth(text) }
        })
        .collect()
}

/// Counts quote marks: `> > `, `>>`, and `AB> ` with a writer's initials.
fn depth(text: &str) -> usize {
    let marks = text.chars().take_while(|c| *c == '>' || c.is_whitespace()).filter(|c| *c == '>').count();
    if marks > 0 {
        return marks;
    }
    let initials = text.bytes().take_while(u8::is_ascii_uppercase).count();
    let quoted =
        (1..=4).contains(&initials) && text.get(initials..).is_some_and(|rest| rest.starts_with("> ") || rest == ">");
    usize::from(quoted)
}
