//! RTF split into tokens.

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `\name` with an optional number.
    Word(&'a [u8], Option<i32>),
    /// A backslash and one character that is no letter: `\~`, `\*`, `\{`.
    Symbol(u8),
    /// `\'hh`: one byte of 8-bit text.
    Hex(u8),
    /// Bytes as they stand; line ends are left out.
    Text(&'a [u8]),
}

/// Splits RTF; anything is accepted.
pub(crate) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(rtf: &'a [u8]) -> Self {
        Self { rest: rtf }
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, accept: impl Fn(&u8) -> bool) -> &'a [u8] {
        let count = self.rest.iter().take_while(|byte| accept(byte)).count();
        self.take(count)
    }

    /// What follows a backslash.
    fn control(&mut self) -> Token<'a> {
        let name = self.take_while(u8::is_ascii_alphabetic);
        if name.is_empty() {
            return match self.take(1).first() {
                Some(b'\'') => Token::Hex(hex(self.take(2))),
                Some(b'\r' | b'\n') => Token::Word(b"par", None),
                Some(symbol) => Token::Symbol(*symbol),
                None => Token::Text(&[]),
            };
        }
        let negative = self.rest.first() == Some(&b'-') && self.rest.get(1).is_some_and(u8::is_ascii_digit);
        if negative {
            self.take(1);
        }
        let digits = self.take_while(u8::is_ascii_digit);
        let magnitude = digits
            .iter()
            .fold(0_i32, |value, digit| value.saturating_mul(10).saturating_add(i32::from(digit.wrapping_sub(b'0'))));
        let number = (!digits.is_empty()).then_some(if negative { -magnitude } else { magnitude });
        // One space ends a control word and belongs to it.
        if self.rest.first() == Some(&b' ') {
            self.take(1);
        }
        if name == b"bin" {
            self.take(usize::try_from(number.unwrap_or(0)).unwrap_or(0));
        }
        Token::Word(name, number)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.take_while(|byte| matches!(byte, b'\r' | b'\n' | 0));
        match self.rest.first()? {
            b'{' => {
                self.take(1);
                Some(Token::Open)
            }
            b'}' => {
                self.take(1);
                Some(Token::Close)
            }
            b'\\' => {
                self.take(1);
                Some(self.control())
            }
            _ => Some(Token::Text(self.take_while(|byte| !matches!(byte, b'{' | b'}' | b'\\' | b'\r' | b'\n' | 0)))),
        }
    }
}

fn hex(digits: &[u8]) -> u8 {
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0);
    digits.iter().fold(0, |byte, digit| (byte << 4) | value(digit)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words_symbols_and_text() {
        let tokens: Vec<Token<'_>> = Tokens::new(b"{\\rtf1\\u-10 x\\'e4\\~a\r\nb\\bin3 {}{\\b0}}\\").collect();
        let expected = [
            Token::Open,
            Token::Word(b"rtf", Some(1)),
            Token::Word(b"u", Some(-10)),
            Token::Text(b"x"),
            Token::Hex(0xe4),
            Token::Symbol(b'~'),
            Token::Text(b"a"),
            Token::Text(b"b"),
            Token::Word(b"bin", Some(3)),
            Token::Word(b"b", Some(0)),
            Token::Close,
            Token::Close,
            Token::Text(b""),
        ];
        assert_eq!(tokens, expected);
    }
}
