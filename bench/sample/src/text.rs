//! The written text as blocks, and blocks as plain text or as the HTML of a mail client.

use std::fmt::Write as _;

use crate::source::Style;

/// A run of lines that belong together.
#[derive(Debug, PartialEq, Eq)]
enum Block<'a> {
    Paragraph(Vec<&'a str>),
    Bullets(Vec<&'a str>),
    Numbered(Vec<&'a str>),
    Table(Vec<Vec<&'a str>>),
    Quoted(Vec<&'a str>),
}

/// The written text as a client's plain part: tables in columns, lines broken at `wrap` if the client does that.
pub(crate) fn to_plain(text: &str, wrap: Option<usize>) -> String {
    let mut plain = String::new();
    let mut lines = text.trim().lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(next) = lines.next_if(|next| next.starts_with('|')) {
                rows.push(cells(next));
            }
            put_table(&mut plain, &rows);
        } else if let Some(width) = wrap.filter(|_| !line.starts_with('>')) {
            put_wrapped(&mut plain, line, width);
        } else {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    plain
}

/// The written text as HTML in the manner of `style`.
pub(crate) fn to_html(text: &str, style: Style) -> String {
    let mut html = String::new();
    for (index, block) in blocks(text).iter().enumerate() {
        if index > 0 {
            html.push_str(blank(style));
        }
        match block {
            Block::Paragraph(lines) => html.push_str(&paragraph(lines, style)),
            Block::Bullets(items) => put_items(&mut html, "ul", items),
            Block::Numbered(items) => put_items(&mut html, "ol", items),
            Block::Table(rows) => put_html_table(&mut html, rows),
            Block::Quoted(lines) => {
                let _ = writeln!(html, "<blockquote type=\"cite\">{}</blockquote>", joined(lines));
            }
        }
    }
    html
}

/// Lines that stand below each other, as HTML in the manner of `style`.
pub(crate) fn paragraph(lines: &[&str], style: Style) -> String {
    match style {
        Style::Outlook | Style::OutlookHtml => format!("<p class=\"MsoNormal\">{}</p>\n", joined(lines)),
        Style::Gmail | Style::Iphone => lines.iter().fold(String::new(), |mut html, line| {
            let _ = writeln!(html, "<div>{}</div>", escape(line));
            html
        }),
        Style::Apple | Style::Thunderbird | Style::Plain => format!("<p>{}</p>\n", joined(lines)),
    }
}

/// What stands between two paragraphs.
pub(crate) fn blank(style: Style) -> &'static str {
    match style {
        Style::Outlook | Style::OutlookHtml => "<p class=\"MsoNormal\"><o:p>&nbsp;</o:p></p>\n",
        Style::Gmail | Style::Iphone => "<div><br></div>\n",
        Style::Apple | Style::Thunderbird | Style::Plain => "",
    }
}

/// Text as HTML character data.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Each line behind `> `, as every client but Outlook quotes; a line that is quoted already gets no blank in between.
pub(crate) fn quoted(plain: &str) -> String {
    plain.trim_end().lines().fold(String::new(), |mut text, line| {
        text.push('>');
        if !line.is_empty() && !line.starts_with('>') {
            text.push(' ');
        }
        text.push_str(line);
        text.push('\n');
        text
    })
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.trim().lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let kind = line_kind(line);
        let mut run = vec![line];
        while let Some(next) = lines.next_if(|next| !next.is_empty() && line_kind(next) == kind) {
            run.push(next);
        }
        blocks.push(match kind {
            LineKind::Text => Block::Paragraph(run),
            LineKind::Bullet => Block::Bullets(run.iter().map(|line| after_marker(line)).collect()),
            LineKind::Number => Block::Numbered(run.iter().map(|line| after_marker(line)).collect()),
            LineKind::Row => Block::Table(run.iter().map(|line| cells(line)).collect()),
            LineKind::Quote => Block::Quoted(run.iter().map(|line| after_marker(line)).collect()),
        });
    }
    blocks
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Text,
    Bullet,
    Number,
    Row,
    Quote,
}

fn line_kind(line: &str) -> LineKind {
    let marker = line.split(' ').next().unwrap_or_default();
    match marker {
        "-" => LineKind::Bullet,
        "|" => LineKind::Row,
        ">" => LineKind::Quote,
        _ if marker.strip_suffix('.').is_some_and(|number| number.parse::<u8>().is_ok()) => LineKind::Number,
        _ => LineKind::Text,
    }
}

fn after_marker(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(_, rest)| rest)
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br>\n")
}

fn put_items(html: &mut String, tag: &str, items: &[&str]) {
    let _ = writeln!(html, "<{tag}>");
    for item in items {
        let _ = writeln!(html, "<li>{}</li>", escape(item));
    }
    let _ = writeln!(html, "</{tag}>");
}

fn put_html_table(html: &mut String, rows: &[Vec<&str>]) {
    html.push_str("<table border=\"1\" cellspacing=\"0\" cellpadding=\"4\">\n");
    for (index, row) in rows.iter().enumerate() {
        let tag = if index == 0 { "th" } else { "td" };
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<{tag}>{}</{tag}>", escape(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}

fn put_table(plain: &mut String, rows: &[Vec<&str>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}   ");
        }
        plain.push_str(line.trim_end());
        plain.push('\n');
    }
}

fn put_wrapped(plain: &mut String, line: &str, width: usize) {
    let mut column = 0;
    for word in line.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            plain.push('\n');
            column = 0;
        }
        if column > 0 {
            plain.push(' ');
            column += 1;
        }
        plain.push_str(word);
        column += length;
    }
    plain.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_in_plain_text_and_rows_in_html() {
        let text = "Due:\n\n| a | bb |\n| ccc | d |\n";
        assert_eq!(to_plain(text, None), "Due:\n\na     bb\nccc   d\n");
        assert!(to_html(text, Style::Apple).contains("<tr><td>ccc</td><td>d</td></tr>"));
    }

    #[test]
    fn lists_end_where_another_kind_of_line_begins() {
        assert_eq!(
            blocks("See:\n- one\n- two\nand\n1. three"),
            [
                Block::Paragraph(vec!["See:"]),
                Block::Bullets(vec!["one", "two"]),
                Block::Paragraph(vec!["and"]),
                Block::Numbered(vec!["three"]),
            ]
        );
    }

    #[test]
    fn wrapping_keeps_every_word() {
        assert_eq!(to_plain("aaa bbb ccc", Some(7)), "aaa bbb\nccc\n");
        assert_eq!(to_plain("aaaaaaaaaa b", Some(4)), "aaaaaaaaaa\nb\n");
    }

    #[test]
    fn quoting_nests() {
        assert_eq!(quoted("a\n\n> b\n"), "> a\n>\n>> b\n");
    }
}
