//! Postal addresses: what only an address has (a street with its number, a box, a unit, a postcode with its town), and
//! from there on as far as it goes.

use crate::kind::Kind;
use crate::lexicon::{
    AND, BOX, COUNTRY, NO_STREET, PLACE_CUE, SMALL, STREET_AFTER, STREET_BEFORE, STREET_ENGLISH, STREET_RARE,
    STREET_SURE, STREET_WORD, UNIT, UNIT_SURE,
};
use crate::place::Places;
use crate::raw::Raw;
use crate::token::{Shape, Token};

/// Every postal address, in order; takes time linear in the text.
pub(crate) fn find_addresses(text: &str, tokens: &[Token]) -> Vec<Raw> {
    let finder = Finder { places: Places::new(text, tokens) };
    let mut found: Vec<Raw> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let anchor = finder.anchor(at);
        at += 1;
        let Some(anchor) = anchor else { continue };
        let end = finder.extend(anchor);
        let start = finder.crossing_before(anchor.start, anchor.sure);
        if let (Some(first), Some(last)) = (tokens.get(start), tokens.get(end.saturating_sub(1))) {
            let address = Raw::new(first.start, last.end, Kind::PostalAddress);
            // `Flat 4, 27 Queen's Road`: nothing but a comma or a line's end between two parts.
            let joined = found
                .last_mut()
                .filter(|before| before.end <= address.start && adjoins(text, before.end, address.start));
            match joined {
                Some(before) => before.end = address.end,
                None => found.push(address),
            }
        }
        at = at.max(end);
    }
    found
}

fn adjoins(text: &str, end: usize, start: usize) -> bool {
    text.get(end..start)
        .is_some_and(|gap| gap.len() <= 4 && gap.chars().all(|c| matches!(c, ' ' | ',' | '\n' | '\r' | '>')))
}

/// The part of an address that tells that it is one.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    start: usize,
    end: usize,
    /// Whether it has a number, so that a town may follow it directly.
    sure: bool,
}

struct Finder<'a> {
    places: Places<'a>,
}

impl Finder<'_> {
    fn anchor(&self, at: usize) -> Option<Anchor> {
        let token = self.places.token(at)?;
        let street = || {
            let before = token.is(STREET_BEFORE).then(|| self.street_before(at)).flatten();
            before
                .or_else(|| token.is(STREET_WORD).then(|| self.street_word(at)).flatten())
                .or_else(|| token.is(STREET_AFTER).then(|| self.street_after(at)).flatten())
                .or_else(|| token.is(STREET_RARE).then(|| self.street_rare(at)).flatten())
        };
        match token.shape {
            Shape::Word => street()
                .or_else(|| self.post_box(at))
                .or_else(|| self.military(at))
                .or_else(|| self.unit(at))
                .or_else(|| self.coded(at)),
            Shape::Number | Shape::Mixed => self.weak_street(at).or_else(|| self.coded(at)),
            _ => None,
        }
    }

    fn extend(&self, anchor: Anchor) -> usize {
        let mut end = self.places.extend(anchor.end);
        // `the corner of X 5 and Y Road`
        let corner = self.corner_before(anchor.start) != anchor.start;
        if corner && self.places.token(end).is_some_and(|token| token.is(AND)) {
            let other = self.places.name_forward(end + 1, 4);
            if other > end + 1 {
                end = self.places.extend(other);
            }
        }
        end
    }

    /// `rue de la Paix 12`, `12, rue de la Paix`, `C/ Mayor 3`, `ul. Miła 53`.
    fn street_before(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let token = places.token(at)?;
        let mut name = at + 1;
        while places.token(name).is_some_and(|sign| matches!(sign.shape, Shape::Sign('.' | '/'))) && name < at + 3 {
            name += 1;
        }
        let abbreviated = name > at + 1;
        // A single letter is a street only with its sign, or in a text whose letters are all small.
        if (token.letters == 1 && !abbreviated && !places.lower) || (places.is_any(at, &["am"]) && token.all_upper()) {
            return None;
        }
        let end = places.name_forward(name, 6);
        if end == name || places.token(end - 1).is_some_and(|last| last.is(NO_STREET)) {
            return None;
        }
        let preposition = places.is_any(at, &["am", "zum", "zur", "unter"]);
        let french = [
            "rue",
            "avenue",
            "av",
            "ave",
            "boulevard",
            "bd",
            "place",
            "chemin",
            "impasse",
            "allee",
            "quai",
            "route",
            "passage",
        ];
        let start = if preposition { at } else { places.numbers_back(at) };
        let comma = usize::from(places.token(end).is_some_and(|sign| sign.sign(',')));
        let number =
            places.house_number(end + comma).or_else(|| (comma > 0).then(|| places.house_number(end)).flatten());
        // Behind a comma a number of five digits is the postcode.
        let number = number.filter(|_| comma == 0 || places.token(end + 1).is_some_and(|token| token.letters <= 4));
        // `am Markt 5` is a street, `am Aruba 2530` is not.
        let prose = |end: &usize| {
            end - name > 3 || places.follows(*end) || places.token(end - 1).is_some_and(|number| number.letters > 3)
        };
        if preposition && number.as_ref().is_none_or(prose) {
            return None;
        }
        let numbered = start < at && places.is_any(at, &french);
        if number.is_none() && !numbered && !token.is(STREET_SURE) {
            return None;
        }
        Some(Anchor { start, end: number.unwrap_or(end), sure: true })
    }

    /// `Hauptstraße 5`, `Karl-Marx-Allee 12`.
    fn street_word(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let dot = usize::from(places.token(at + 1).is_some_and(|sign| sign.sign('.')));
        let number = places.house_number(at + 1 + dot).or_else(|| {
            let comma = places.token(at + 1).is_some_and(|sign| sign.sign(','));
            comma
                .then(|| places.house_number(at + 2))
                .flatten()
                .filter(|_| places.token(at + 2).is_some_and(|token| token.letters <= 3))
        });
        let named = self.joined_before(at);
        let start = places.numbers_back(named);
        let capital = places.lower || places.token(named).is_some_and(|token| token.capital) || start < named;
        match number {
            Some(end) if capital => Some(Anchor { start, end, sure: true }),
            None if start < named && places.token(at).is_some_and(|token| token.capital) => {
                Some(Anchor { start, end: at + 1, sure: true })
            }
            _ => None,
        }
    }

    /// The words of a name that hyphens join, and adjectives of streets.
    fn joined_before(&self, at: usize) -> usize {
        let places = &self.places;
        let mut start = at;
        while start >= 2
            && start + 8 > at
            && places.token(start - 1).is_some_and(|sign| sign.sign('-'))
            && places.tight(start - 1)
            && places.tight(start - 2)
        {
            start -= 2;
        }
        let adjective = ["alte", "neue", "grosse", "kleine", "obere", "untere", "lange", "hohe", "st", "sankt"];
        if start > 0 && places.is_any(start - 1, &adjective) { start - 1 } else { start }
    }

    /// `12 Main Street`, `Devon Street West`, `Kálmán Imre u. 12`.
    fn street_after(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let token = places.token(at)?;
        let named = self.joined_before(at);
        let named = if named == at { places.name_back(at, 4) } else { named };
        // `Árpád fejedelem útja 3`
        let small = named == at
            && at >= 2
            && !token.capital
            && places.follows(at)
            && places.is_name(at - 2)
            && places.token(at - 1).is_some_and(|word| word.shape == Shape::Word && !word.is(SMALL | PLACE_CUE));
        let named = if small { places.name_back(at - 1, 4) } else { named };
        let loose = if named == at { self.small_name_back(at) } else { named };
        if loose == at {
            return None;
        }
        let start = places.numbers_back(loose);
        let mut end = at + 1;
        if places.token(end).is_some_and(|sign| sign.sign('.'))
            && (places.token(end + 1).is_some_and(Token::is_text) || start < loose)
        {
            end += 1;
        }
        let direction = ["n", "s", "e", "w", "ne", "nw", "se", "sw", "north", "south", "east", "west"];
        if places.follows(end)
            && places.is_any(end, &direction)
            && places.token(end).is_some_and(|token| token.capital || places.lower)
        {
            end += 1;
        }
        let written = token.capital || places.lower || start < loose;
        if start < loose && written {
            // `12 Main Street 5 people`
            let prose = |end: &usize| {
                places.token(*end).is_some_and(|word| word.shape == Shape::Word && !word.capital && !word.is(UNIT))
            };
            let number = places.house_number(end).filter(|to| places.lower || !prose(to));
            let number = number.filter(|_| places.token(end).is_some_and(|token| token.letters <= 3));
            return Some(Anchor { start, end: number.unwrap_or(end), sure: true });
        }
        if loose != named {
            return None;
        }
        let number = places.house_number(end).filter(|_| !token.is(STREET_ENGLISH) || token.is(STREET_SURE));
        match number {
            Some(end) => Some(Anchor { start, end, sure: true }),
            None if token.capital && token.is(STREET_SURE) => Some(Anchor { start, end: at + 1, sure: false }),
            None => None,
        }
    }

    /// `5 Nino Point`: with its number before it, and nothing of a sentence behind it.
    fn street_rare(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let token = places.token(at).filter(|token| token.capital || places.lower)?;
        let named = places.name_back(at, 3);
        let start = places.numbers_back(named);
        let close = !places.before(named).is_some_and(|comma| comma.sign(','));
        let ends = places
            .token(at + 1)
            .is_none_or(|next| matches!(next.shape, Shape::Break(_) | Shape::Sign(',' | '.')) || next.is(UNIT));
        (close && named < at && start < named && ends && token.letters > 2).then_some(Anchor {
            start,
            end: at + 1,
            sure: true,
        })
    }

    /// `12 main street` in a text that has capitals elsewhere.
    fn small_name_back(&self, at: usize) -> usize {
        let places = &self.places;
        let known = places.token(at).is_some_and(|token| token.is(STREET_SURE))
            || places.is_any(at, &["lane", "rd", "ave", "st"]);
        let mut start = at;
        while known
            && start > 0
            && at - start < 3
            && places.follows(start)
            && places.token(start - 1).is_some_and(|word| word.shape == Shape::Word && !word.is(SMALL))
        {
            start -= 1;
        }
        if start < at && places.numbers_back(start) < start { start } else { at }
    }

    /// `P.O. Box 242`, `Postfach 12 34`, `Unit 7349 Box 6067`.
    fn post_box(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let token = places.token(at)?;
        let known = token.is(BOX) && (token.letters > 2 || token.all_upper());
        let boxed = places.is_any(at, &["box"]);
        if !known && !boxed {
            return None;
        }
        let sign = usize::from(places.token(at + 1).is_some_and(|sign| matches!(sign.shape, Shape::Sign('.' | ':'))));
        let mut end = places.house_number(at + 1 + sign)?;
        // `Postfach 12 34`
        if known && places.token(end).is_some_and(|token| token.shape == Shape::Number && token.letters == 2) {
            end += 1;
        }
        let start = if known { at } else { self.box_start(at)? };
        Some(Anchor { start: places.numbers_back(start), end, sure: true })
    }

    fn box_start(&self, at: usize) -> Option<usize> {
        let places = &self.places;
        let dotless: Vec<usize> = (at.saturating_sub(5)..at)
            .rev()
            .filter(|place| !places.token(*place).is_some_and(|t| matches!(t.shape, Shape::Sign('.' | ','))))
            .take(2)
            .collect();
        let (last, first) = (*dotless.first()?, dotless.get(1).copied());
        if places.is_any(last, &["po"]) {
            return Some(last);
        }
        let first = first?;
        let post = places.is_any(first, &["p", "post"]) && places.is_any(last, &["o", "office"]);
        let unit = places.is_any(first, &["unit", "psc", "cmr"]) && places.token(last).is_some_and(Token::has_digit);
        (post || unit).then_some(first)
    }

    /// `APO AE 12345`, `USS Vincent` on the line before.
    fn military(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let end = places.military(at)?;
        let line = at
            .checked_sub(1)
            .filter(|line| places.token(*line).is_some_and(|token| matches!(token.shape, Shape::Break(1))));
        let ship = line.and_then(|line| {
            (line.saturating_sub(4)..line).find(|start| {
                let lower = places.word(*start).to_lowercase();
                lower.starts_with("us")
                    && (3..=5).contains(&lower.len())
                    && (*start..line).all(|place| places.token(place).is_some_and(|t| t.shape == Shape::Word))
            })
        });
        Some(Anchor { start: ship.unwrap_or(at), end, sure: true })
    }

    /// A flat tells of an address by itself: `Apt. 12`.
    fn unit(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let token = places.token(at)?;
        let end = if token.is(UNIT_SURE) && (token.capital || places.lower) { places.unit(at)? } else { return None };
        // `2505 Heatherleigh Suite 620`, also with the suite on a line of its own
        let skip = places.before(at).is_some_and(|before| matches!(before.shape, Shape::Break(1) | Shape::Sign(',')));
        let line = at - usize::from(skip);
        let named = places.name_back(line, 4);
        let start = places.numbers_back(named);
        let start = if start < named { places.name_back(start, 3) } else { at };
        Some(Anchor { start, end, sure: true })
    }

    /// A name and a number that something beside them makes a street: `28030 Edeby 55`, `lives at Dalbraut 99`.
    fn weak_street(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        let token = places.token(at)?;
        let digits = places.word(at).bytes().filter(u8::is_ascii_digit).count();
        if digits > 4 || token.letters > 5 || !places.follows(at) {
            return None;
        }
        let named = places.name_back(at, 4);
        if named == at
            || (named..at).any(|place| places.token(place).is_some_and(|word| word.is(NO_STREET | UNIT | COUNTRY)))
        {
            return None;
        }
        let end = places.house_number(at)?;
        let start = places.numbers_back(named);
        let close = !places.before(named).is_some_and(|comma| comma.sign(','));
        let numbered = close && start < named && places.token(start).is_some_and(|number| number.letters >= 3);
        let unit = self.unit_follows(end);
        let cued = self.place_before(start) || self.place_before(self.crossing_before(start, true));
        ((numbered && !places.lower) || unit || cued).then_some(Anchor { start, end, sure: true })
    }

    fn unit_follows(&self, end: usize) -> bool {
        let places = &self.places;
        let skip = (end..end + 4).find(|place| places.token(*place).is_none_or(Token::is_text)).unwrap_or(end);
        places.token(skip).is_some_and(|token| token.is(UNIT)) && places.unit(skip).is_some()
    }

    /// Whether what was said right before speaks of a place.
    fn place_before(&self, at: usize) -> bool {
        let places = &self.places;
        for back in 1..=4 {
            let Some(token) = at.checked_sub(back).and_then(|place| places.token(place)) else { return false };
            match token.shape {
                Shape::Word if token.is(PLACE_CUE) => return true,
                // `the corner of`, and not `the return of`
                Shape::Word if places.is_any(at - back, &["of"]) => {
                    return at > back && places.is_any(at - back - 1, &["corner", "side"]);
                }
                Shape::Word if token.is(SMALL | AND) => {}
                Shape::Sign(':' | '?') => {}
                _ => return false,
            }
        }
        false
    }

    /// A postcode with its town, where it stands by itself; a British or Canadian one anywhere.
    fn coded(&self, at: usize) -> Option<Anchor> {
        let places = &self.places;
        if let Some(end) = places.british_postcode(at) {
            let town = places.name_back(at, 3);
            return Some(Anchor { start: town, end, sure: false });
        }
        let token = places.token(at)?;
        // `Springfield, IL 62704`
        if token.shape == Shape::Word {
            let state = token.all_upper() && token.letters == 2;
            let number = places.token(at + 1).filter(|number| number.shape == Shape::Number && number.letters == 5);
            if state && number.is_some() && places.before(at).is_some_and(|comma| comma.sign(',')) {
                let town = places.name_back(at - 1, 3);
                let end = places.postcode(at + 1)?;
                return (town < at - 1).then_some(Anchor { start: town, end, sure: false });
            }
            // `D-10115 Berlin`
            let end = (token.letters <= 2).then(|| places.postcode(at)).flatten().filter(|end| *end == at + 3)?;
            let town = places.name_forward(end, 3);
            return (town > end).then_some(Anchor { start: at, end: town, sure: false });
        }
        let end = places.postcode(at)?;
        let year = places.word(at).len() == 4 && places.word(at).starts_with(['1', '2']) && end == at + 1;
        let town = places.name_forward(end, 3);
        let street = places.before(town).is_some_and(|last| last.is(STREET_AFTER | STREET_WORD));
        let named = !street
            && town > end
            && places.follows(end)
            && !places.token(end).is_some_and(|word| word.is(NO_STREET | PLACE_CUE | UNIT));
        let opens = places
            .before(at)
            .is_none_or(|before| matches!(before.shape, Shape::Break(_) | Shape::Sign(',' | '>' | '|')));
        let cued = self.place_before(at)
            || (places.word(at).len() == 5
                && places.before(at).is_some_and(|word| word.is(SMALL) && word.letters <= 4));
        let closes = places
            .token(town)
            .is_none_or(|after| matches!(after.shape, Shape::Break(_) | Shape::Sign(',' | '.' | '(' | ')' | '"')));
        (named && !year && (opens || cued) && closes).then_some(Anchor { start: at, end: town, sure: false })
    }

    /// `X and` before a street, and `the corner of` before that.
    fn crossing_before(&self, start: usize, sure: bool) -> usize {
        let places = &self.places;
        let mut start = start;
        if sure && start >= 2 && places.token(start - 1).is_some_and(|word| word.is(AND) && !word.capital) {
            let other = places.name_back(start - 1, 3);
            let other = if other == start - 1 { places.numbers_back(other) } else { other };
            if other < start - 1 {
                start = places.numbers_back(other);
            }
        }
        self.corner_before(start)
    }

    fn corner_before(&self, at: usize) -> usize {
        let places = &self.places;
        let corner = at >= 2 && places.is_any(at - 1, &["of"]) && places.is_any(at - 2, &["corner"]);
        match at {
            _ if !corner => at,
            _ if at >= 3 && places.is_any(at - 3, &["the"]) => at - 3,
            _ => at - 2,
        }
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
