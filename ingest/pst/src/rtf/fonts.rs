//! The font table: which code page each font's 8-bit text is in.

use std::collections::HashMap;

/// Fonts that are remembered of one document.
const MAX_FONTS: usize = 4096;

/// Code pages by font number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fonts {
    code_pages: HashMap<i32, u32>,
    current: i32,
}

impl Fonts {
    /// A control word inside the font table.
    pub(crate) fn define(&mut self, word: &[u8], number: Option<i32>) {
        let code_page = match (word, number) {
            (b"f", Some(font)) => {
                self.current = font;
                return;
            }
            (b"fcharset", Some(charset)) => of_charset(charset),
            (b"cpg", Some(code_page)) => u32::try_from(code_page).ok(),
            _ => None,
        };
        if let Some(code_page) = code_page
            && self.code_pages.len() < MAX_FONTS
        {
            self.code_pages.insert(self.current, code_page);
        }
    }

    /// The code page of a font, where it is not the document's.
    pub(crate) fn code_page(&self, font: i32) -> Option<u32> {
        self.code_pages.get(&font).copied()
    }
}

/// Windows character sets; 0 (ANSI), 1 (default) and 2 (symbol) leave it to the document.
fn of_charset(charset: i32) -> Option<u32> {
    Some(match charset {
        77 => 10000,
        128 => 932,
        129 => 949,
        130 => 1361,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    })
}
