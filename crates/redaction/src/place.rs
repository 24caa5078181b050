//! The parts of a postal address: house numbers, postcodes, units, towns, countries, and how they go on.

use crate::lexicon::{
    ACCOUNT, AND, COUNTRY, IDENTITY, MEASURE, NO_STREET, NUMBER_WORD, PARTICLE, PHONE_CUE, PLACE_CUE, POSTCODE_LABEL,
    REFERENCE, SMALL, TITLE, UNIT, UNIT_SURE,
};
use crate::token::{Shape, Token, WordHash};

/// Elements that an address goes on with behind its street, at most.
const ELEMENTS: usize = 10;

/// What stands before a postcode: `D-10115`.
const COUNTRY_CODES: [&str; 21] = [
    "d", "de", "a", "at", "ch", "f", "fr", "b", "be", "l", "lu", "nl", "dk", "s", "se", "n", "no", "fi", "fin", "pl",
    "it",
];

/// How two parts of an address are set off from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Space,
    Comma,
    Line,
}

/// The tokens of a text, read for places.
pub(crate) struct Places<'a> {
    pub(crate) text: &'a str,
    pub(crate) tokens: &'a [Token],
    /// Whether the text has no capitals at all, so that they tell nothing.
    pub(crate) lower: bool,
}

impl<'a> Places<'a> {
    pub(crate) fn new(text: &'a str, tokens: &'a [Token]) -> Self {
        let lower = !tokens.iter().any(|token| token.capital);
        Self { text, tokens, lower }
    }

    pub(crate) fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    pub(crate) fn before(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at.checked_sub(1)?)
    }

    pub(crate) fn word(&self, at: usize) -> &str {
        self.token(at).and_then(|token| self.text.get(token.start..token.end)).unwrap_or_default()
    }

    /// Whether the token is one of these folded words.
    pub(crate) fn is_any(&self, at: usize, words: &[&str]) -> bool {
        self.token(at).is_some_and(|token| words.iter().any(|word| token.hash == WordHash::of(word)))
    }

    /// Whether a token is near the one before it: what stands further off is another column.
    fn near(&self, at: usize) -> bool {
        matches!((self.before(at), self.token(at)), (Some(a), Some(b)) if b.start - a.end <= 2)
    }

    /// Whether nothing but a space stands before a token, on its line.
    pub(crate) fn follows(&self, at: usize) -> bool {
        self.near(at) && self.token(at).is_some_and(Token::is_text) && self.before(at).is_some_and(Token::is_text)
    }

    /// Whether nothing at all stands between a token and the next.
    pub(crate) fn tight(&self, at: usize) -> bool {
        matches!((self.token(at), self.token(at + 1)), (Some(a), Some(b)) if a.end == b.start)
    }

    /// Whether a token can be a word of a street's or a town's name.
    pub(crate) fn is_name(&self, at: usize) -> bool {
        let Some(token) = self.token(at) else { return false };
        // `O'Connell`
        let elided = token.letters == 1 && self.tight(at) && self.token(at + 1).is_some_and(|sign| sign.sign('\''));
        let ordinary = token.is(SMALL | TITLE) && !token.is(PARTICLE) && !elided;
        token.shape == Shape::Word
            && if self.lower {
                !token.is(SMALL | PLACE_CUE | TITLE | UNIT | NO_STREET | NUMBER_WORD)
            } else {
                token.capital && !ordinary
            }
    }

    /// Where the name ends that goes on from `at`: words, what joins them, and small words between them; `at` if there
    /// is none.
    pub(crate) fn name_forward(&self, at: usize, most: usize) -> usize {
        let (mut end, mut next, mut words) = (at, at, 0);
        while words < most
            && (next == at || self.near(next))
            && let Some(token) = self.token(next)
        {
            // `Stoke-on-Trent`, `Sveti Jurij ob Ščavnici`
            let hyphened = next > at && self.before(next).is_some_and(|sign| sign.sign('-')) && self.tight(next - 1);
            let short = token.letters <= 3 && !token.is(SMALL | MEASURE);
            let small = token.shape == Shape::Word && (token.is(PARTICLE | AND) || short || hyphened);
            match token.shape {
                _ if self.is_name(next) && !token.is(UNIT_SURE) => {
                    words += 1;
                    end = next + 1;
                }
                Shape::Sign('-' | '\'' | '/') if self.tight(next) => {}
                Shape::Sign('.') if self.before(next).is_some_and(|word| word.letters <= 3) && end == next => {}
                _ if small && next < end + 3 && !self.is_name(next) => {}
                _ => break,
            }
            next += 1;
        }
        end
    }

    /// Where the name begins that goes up to `at`.
    pub(crate) fn name_back(&self, at: usize, most: usize) -> usize {
        let (mut start, mut next, mut words) = (at, at, 0);
        while words < most
            && self.near(next)
            && let Some(previous) = next.checked_sub(1)
            && let Some(token) = self.token(previous)
        {
            let particle = token.shape == Shape::Word && token.is(PARTICLE) && !token.capital;
            // `Queen's`
            let genitive = token.initial == Some('s')
                && self.before(previous).is_some_and(|sign| sign.sign('\''))
                && self.tight(previous - 1);
            match token.shape {
                _ if self.is_name(previous) && !token.is(PLACE_CUE | NO_STREET | POSTCODE_LABEL) => {
                    words += 1;
                    start = previous;
                }
                Shape::Sign('-' | '\'') if self.tight(previous) => {}
                Shape::Sign('.')
                    if self.before(previous).is_some_and(|word| word.letters <= 3 && word.shape == Shape::Word) => {}
                _ if genitive || (particle && start < at && !self.lower) => {}
                _ => break,
            }
            next = previous;
        }
        start
    }

    /// Where a house's number ends: `12`, `12b`, `12-14`, `12/3`, `Nr. 5`; `None` if there is none.
    pub(crate) fn house_number(&self, at: usize) -> Option<usize> {
        let mut at = at;
        if self.is_any(at, &["nr", "no", "n", "num", "numero"]) {
            at += 1;
            while self.token(at).is_some_and(|token| matches!(token.shape, Shape::Sign('.' | '°' | 'º'))) {
                at += 1;
            }
        }
        let token = self.token(at)?;
        let starts = self.word(at).starts_with(|c: char| c.is_ascii_digit());
        if !token.has_digit() || token.letters > 5 || !starts {
            return None;
        }
        let mut end = at + 1;
        // `12 a`, `12-14`, `12/3`
        while self.token(end).is_some_and(|sign| matches!(sign.shape, Shape::Sign('-' | '/')))
            && self.token(end + 1).is_some_and(|more| more.has_digit() && more.letters <= 4)
            && end < at + 6
        {
            end += 2;
        }
        let letter =
            self.token(end).is_some_and(|token| token.shape == Shape::Word && token.letters == 1 && !token.is(SMALL));
        Some(if letter && self.follows(end) { end + 1 } else { end })
    }

    /// Where the house numbers begin that stand directly before `at`: one, or two where one is a house and one a box.
    pub(crate) fn numbers_back(&self, at: usize) -> usize {
        let mut start = at;
        for _ in 0..2 {
            if !self.near(start) {
                break;
            }
            let Some(previous) = start.checked_sub(1) else { break };
            let comma = start == at && self.token(previous).is_some_and(|token| token.sign(','));
            let Some(place) = previous.checked_sub(usize::from(comma)) else { break };
            // `8 bis`
            let place = if place > 0 && self.is_any(place, &["bis", "ter", "quater"]) { place - 1 } else { place };
            let number = self.token(place).is_some_and(|token| token.has_digit() && token.letters <= 6);
            let starts = self.word(place).starts_with(|c: char| c.is_ascii_digit());
            let labelled = self.before(place).is_some_and(|word| {
                word.is(NO_STREET) || matches!(word.shape, Shape::Sign('#' | '.' | '€' | '$' | '£'))
            });
            if !number || !starts || labelled {
                break;
            }
            start = place;
        }
        // A third one makes it a row of figures.
        let row = start < at
            && start > 0
            && self.token(start - 1).is_some_and(|token| token.shape == Shape::Number)
            && self.follows(start);
        if row { at } else { start }
    }

    /// Where a postcode ends that begins at `at`.
    pub(crate) fn postcode(&self, at: usize) -> Option<usize> {
        let token = self.token(at)?;
        let next = self.token(at + 1);
        let spaced =
            |most: u16| next.is_some_and(|next| next.is_text() && next.letters <= most && self.follows(at + 1));
        match (token.shape, token.letters) {
            // `D-10115`
            (Shape::Word, 1..=3)
                if token.all_upper()
                    && self.is_any(at, &COUNTRY_CODES)
                    && next.is_some_and(|next| next.sign('-'))
                    && self.tight(at) =>
            {
                let number = self.token(at + 2)?;
                (number.shape == Shape::Number && (4..=5).contains(&number.letters)).then_some(at + 3)
            }
            // `394 13`
            (Shape::Number, 3) if spaced(2) && next?.shape == Shape::Number && next?.letters == 2 => Some(at + 2),
            // `7412 SL`
            (Shape::Number, 4)
                if spaced(2)
                    && next?.letters == 2
                    && (next?.all_upper() || self.lower)
                    && next?.shape == Shape::Word =>
            {
                Some(at + 2)
            }
            // `00-950`, `1000-205`, `01310-100`, `20500-0003`
            (Shape::Number, 2 | 4 | 5) if next.is_some_and(|next| next.sign('-')) && self.tight(at) => {
                let more = self.token(at + 2).filter(|more| more.shape == Shape::Number && self.tight(at + 1));
                match more {
                    Some(more) if matches!((token.letters, more.letters), (2 | 4 | 5, 3) | (5, 4)) => Some(at + 3),
                    _ => (token.letters >= 4).then_some(at + 1),
                }
            }
            (Shape::Number, 4..=6) => Some(at + 1),
            _ => self.british_postcode(at),
        }
    }

    /// `SW1A 1AA`, `K1A 0B1`: the form alone tells.
    pub(crate) fn british_postcode(&self, at: usize) -> Option<usize> {
        let (token, next) = (self.token(at)?, self.token(at + 1)?);
        let capitals = |at: usize| {
            self.lower || self.word(at).bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        };
        if token.shape != Shape::Mixed || next.shape != Shape::Mixed || !capitals(at) || !capitals(at + 1) {
            return None;
        }
        let shape =
            |word: &str| -> String { word.bytes().map(|byte| if byte.is_ascii_digit() { '9' } else { 'A' }).collect() };
        let (outward, inward) = (shape(self.word(at)), shape(self.word(at + 1)));
        let british = inward == "9AA" && matches!(outward.as_str(), "A9" | "A99" | "AA9" | "AA99" | "A9A" | "AA9A");
        let canadian = inward == "9A9" && outward == "A9A";
        ((british || canadian) && self.follows(at + 1)).then_some(at + 2)
    }

    /// `Apt. 864`, `Suite B`, `3. Stock`; where it ends.
    pub(crate) fn unit(&self, at: usize) -> Option<usize> {
        let token = self.token(at)?;
        if token.sign('#') {
            let number = self.token(at + 1)?;
            return (number.has_digit() && number.letters <= 5 && self.tight(at)).then_some(at + 2);
        }
        if !token.is(UNIT) {
            return None;
        }
        let mut value = at + 1;
        while self.token(value).is_some_and(|sign| matches!(sign.shape, Shape::Sign('.' | '#' | ':' | '°')))
            && value < at + 3
        {
            value += 1;
        }
        let token = self.token(value)?;
        let letter = token.shape == Shape::Word && token.letters == 1 && token.capital;
        ((token.has_digit() && token.letters <= 5) || letter).then_some(value + 1)
    }

    /// Where the address goes on to, behind a street, box or unit that ends at `at`. What may be part of it counts only
    /// once something sure follows: a postcode, a unit or a country.
    pub(crate) fn extend(&self, at: usize) -> usize {
        let (mut sure, mut end) = (at, at);
        let (mut after_unit, mut after_code) = (true, false);
        for _ in 0..ELEMENTS {
            let Some((next, gap)) = self.gap(end) else { break };
            if let Some(to) = self.unit(next) {
                (sure, end, after_unit, after_code) = (to, to, true, false);
            } else if let Some(to) =
                self.country(next).filter(|to| gap != Gap::Space || after_code || !after_unit || self.ends(*to))
            {
                (sure, end, after_unit, after_code) = (to, to, false, false);
            } else if let Some(to) = self.military(next).or_else(|| self.postcode(next)) {
                if self.token(to).is_some_and(|token| token.is(MEASURE)) {
                    break;
                }
                (sure, end, after_unit, after_code) = (to, to, false, true);
            } else if let Some(to) = self.region(next) {
                let closes =
                    gap != Gap::Space || self.ends(to) || self.postcode_follows(to) || self.country_follows(to);
                end = to;
                if closes && (gap != Gap::Line || self.ends(to)) {
                    sure = to;
                }
                (after_unit, after_code) = (false, false);
            } else if let Some(to) = self.town(next) {
                let whole = self.ends(to) || self.postcode_follows(to) || self.country_follows(to);
                end = to;
                match gap {
                    Gap::Comma => sure = to,
                    Gap::Space if after_unit || after_code => sure = to,
                    Gap::Line | Gap::Space if after_code => sure = to,
                    _ if whole => {}
                    _ => break,
                }
                (after_unit, after_code) = (false, false);
            } else {
                break;
            }
        }
        sure
    }

    /// What separates `at` from what was before, and where the next part begins.
    fn gap(&self, at: usize) -> Option<(usize, Gap)> {
        let (mut next, mut gap) = (at, Gap::Space);
        for _ in 0..8 {
            let token = self.token(next)?;
            match token.shape {
                Shape::Break(1..=2) if gap != Gap::Line => gap = Gap::Line,
                Shape::Sign(',' | ';') => gap = if gap == Gap::Line { Gap::Line } else { Gap::Comma },
                // Quotation marks at the beginning of a line.
                Shape::Sign('>' | '?' | '*' | '|') if gap == Gap::Line => {}
                Shape::Sign('-' | '|' | '(') if !self.tight(next) || gap == Gap::Line => {}
                Shape::Sign('.')
                    if next == at
                        && self
                            .token(next + 1)
                            .is_some_and(|token| matches!(token.shape, Shape::Break(_) | Shape::Sign(','))) => {}
                _ if token.is_text() || token.sign('#') => return Some((next, gap)),
                _ => return None,
            }
            next += 1;
        }
        None
    }

    /// Whether a part ends here: with the line, the text or a sign.
    fn ends(&self, at: usize) -> bool {
        self.token(at)
            .is_none_or(|token| matches!(token.shape, Shape::Break(_) | Shape::Sign(',' | '.' | ';' | ')' | '"' | '<')))
    }

    fn postcode_follows(&self, at: usize) -> bool {
        self.gap(at).is_some_and(|(next, _)| self.postcode(next).is_some())
    }

    fn country_follows(&self, at: usize) -> bool {
        self.gap(at).is_some_and(|(next, _)| self.country(next).is_some())
    }

    /// `Germany`, `New Zealand`, `Cyprus (Greek)`; where it ends.
    fn country(&self, at: usize) -> Option<usize> {
        let pairs: [(&[&str], &[&str]); 5] = [
            (&["new"], &["zealand", "caledonia"]),
            (&["south", "north"], &["africa", "korea", "macedonia"]),
            (&["united"], &["kingdom", "states"]),
            (&["czech", "slovak", "dominican"], &["republic"]),
            (
                &["saudi", "costa", "sri", "puerto", "el", "hong"],
                &["arabia", "rica", "lanka", "rico", "salvador", "kong"],
            ),
        ];
        let pair = pairs.iter().any(|(first, second)| self.is_any(at, first) && self.is_any(at + 1, second));
        if !pair && !self.token(at)?.is(COUNTRY) {
            return None;
        }
        Some(self.bracketed(if pair { at + 2 } else { at + 1 }))
    }

    /// Behind one word in brackets, if there is one.
    fn bracketed(&self, at: usize) -> usize {
        let is = |at: usize, sign: char| self.token(at).is_some_and(|token| token.sign(sign));
        if is(at, '(') && is(at + 2, ')') { at + 3 } else { at }
    }

    /// `CA`, `QLD`; `nan` stands in tables for one that is missing.
    fn region(&self, at: usize) -> Option<usize> {
        let token = self.token(at)?;
        let short = (2..=3).contains(&token.letters)
            && (token.all_upper() || (self.lower && token.letters == 2 && !token.is(SMALL)));
        (token.shape == Shape::Word && (short || self.is_any(at, &["nan"]))).then_some(at + 1)
    }

    /// One to four words that can name a town.
    fn town(&self, at: usize) -> Option<usize> {
        let token = self.token(at)?;
        if token.is(NO_STREET | PHONE_CUE | MEASURE | REFERENCE | ACCOUNT | IDENTITY) || !self.is_name(at) {
            return None;
        }
        let end = self.name_forward(at, 4);
        (end > at).then(|| self.bracketed(end))
    }

    /// `APO AE 12345`.
    pub(crate) fn military(&self, at: usize) -> Option<usize> {
        let state = self.token(at + 1)?.letters == 2 && self.is_any(at + 1, &["aa", "ae", "ap"]);
        let number = self.token(at + 2)?;
        (self.is_any(at, &["apo", "fpo", "dpo"]) && state && number.shape == Shape::Number).then_some(at + 3)
    }
}
