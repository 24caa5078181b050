//! The columns of the tables that every file has ([MS-PST] 2.4.4.4 to 2.4.4.6, 2.4.5.3 and 2.4.6.1).

use crate::context::{Column, Properties, Row};
use crate::format::Format;

const INTEGER: u16 = 0x0003;
const BOOLEAN: u16 = 0x000B;
const LARGE: u16 = 0x0014;
const STRING: u16 = 0x001F;
const TIME: u16 = 0x0040;
const BINARY: u16 = 0x0102;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableKind {
    Hierarchy,
    Contents,
    Associated,
    SearchContents,
    Recipients,
    Attachments,
}

/// The table's columns, ascending by id. In ANSI files all strings are 8-bit strings.
pub(crate) fn columns(format: Format, kind: TableKind) -> Vec<Column> {
    let columns = match kind {
        TableKind::Hierarchy => HIERARCHY,
        TableKind::Contents => CONTENTS,
        TableKind::Associated => ASSOCIATED,
        TableKind::SearchContents => SEARCH_CONTENTS,
        TableKind::Recipients => RECIPIENTS,
        TableKind::Attachments => ATTACHMENTS,
    };
    let fit = |&(id, kind)| if kind == STRING && !format.is_unicode() { (id, 0x001E) } else { (id, kind) };
    columns.iter().map(fit).collect()
}

/// The row that shows an object in a table: those of its properties that the table has columns for.
pub(crate) fn row_of(properties: &Properties<'_>, columns: &[Column], row_id: u32) -> Row {
    let mut row = Row::new(row_id);
    for (number, (id, kind)) in columns.iter().enumerate() {
        // An empty value has no place in the heap, and some readers take a cell without a place for an error.
        if let Some(value) = properties.get(*id).filter(|value| value.kind == *kind && !value.bytes.is_empty()) {
            row.set(number, &value.bytes);
        }
    }
    row.shrink();
    row
}

const HIERARCHY: &[Column] = &[
    (0x0E30, INTEGER),
    (0x0E33, LARGE),
    (0x0E34, BINARY),
    (0x0E38, INTEGER),
    (0x3001, STRING),
    (0x3602, INTEGER),
    (0x3603, INTEGER),
    (0x360A, BOOLEAN),
    (0x3613, STRING),
    (0x6635, INTEGER),
    (0x6636, INTEGER),
    (0x67F2, INTEGER),
    (0x67F3, INTEGER),
];

const CONTENTS: &[Column] = &[
    (0x0017, INTEGER),
    (0x001A, STRING),
    (0x0036, INTEGER),
    (0x0037, STRING),
    (0x0039, TIME),
    (0x0042, STRING),
    (0x0057, BOOLEAN),
    (0x0058, BOOLEAN),
    (0x0070, STRING),
    (0x0071, BINARY),
    (0x0E03, STRING),
    (0x0E04, STRING),
    (0x0E06, TIME),
    (0x0E07, INTEGER),
    (0x0E08, INTEGER),
    (0x0E17, INTEGER),
    (0x0E30, INTEGER),
    (0x0E33, LARGE),
    (0x0E34, BINARY),
    (0x0E38, INTEGER),
    (0x0E3C, BINARY),
    (0x0E3D, BINARY),
    (0x1097, INTEGER),
    (0x3008, TIME),
    (0x65C6, INTEGER),
    (0x67F2, INTEGER),
    (0x67F3, INTEGER),
];

const ASSOCIATED: &[Column] = &[
    (0x001A, STRING),
    (0x003A, STRING),
    (0x0E07, INTEGER),
    (0x0E17, INTEGER),
    (0x3001, STRING),
    (0x67F2, INTEGER),
    (0x67F3, INTEGER),
    (0x6800, STRING),
];

const SEARCH_CONTENTS: &[Column] = &[
    (0x0017, INTEGER),
    (0x001A, STRING),
    (0x0036, INTEGER),
    (0x0037, STRING),
    (0x0042, STRING),
    (0x0E03, STRING),
    (0x0E04, STRING),
    (0x0E05, STRING),
    (0x0E06, TIME),
    (0x0E07, INTEGER),
    (0x0E08, INTEGER),
    (0x0E2A, BOOLEAN),
    (0x3008, TIME),
    (0x67F1, INTEGER),
    (0x67F2, INTEGER),
    (0x67F3, INTEGER),
];

const RECIPIENTS: &[Column] = &[
    (0x0C15, INTEGER),
    (0x0E0F, BOOLEAN),
    (0x0FF9, BINARY),
    (0x0FFE, INTEGER),
    (0x0FFF, BINARY),
    (0x3001, STRING),
    (0x3002, STRING),
    (0x3003, STRING),
    (0x300B, BINARY),
    (0x3900, INTEGER),
    (0x39FE, STRING),
    (0x39FF, STRING),
    (0x3A40, BOOLEAN),
    (0x67F2, INTEGER),
    (0x67F3, INTEGER),
];

const ATTACHMENTS: &[Column] =
    &[(0x0E20, INTEGER), (0x3704, STRING), (0x3705, INTEGER), (0x370B, INTEGER), (0x67F2, INTEGER), (0x67F3, INTEGER)];
