//! Numbers by the label before them, and those whose form tells what they are.

use rejoinder_domain::Span;
use rejoinder_recognise::date::find_dates;

use crate::kind::Kind;
use crate::lexicon::{
    ACCOUNT, BIRTH, FILLER, IDENTITY, MEASURE, NUMBER_WORD, PHONE_CUE, POSTCODE_LABEL, REFERENCE, REFERENCE_PREFIX,
    SMALL,
};
use crate::raw::Raw;
use crate::token::{Shape, Token};

/// Tokens between a label and its value, at most.
const REACH: usize = 9;

/// Letters and digits of a number, at least: shorter ones identify nobody.
const SHORTEST: usize = 4;

/// Everything that a label or its form makes an account, identity, reference or telephone number, or a date of birth.
pub(crate) fn find_labelled(text: &str, tokens: &[Token]) -> Vec<Raw> {
    let reader = Reader { text, tokens };
    let mut found = Vec::new();
    let mut births = false;
    for (at, token) in tokens.iter().enumerate() {
        if token.is(REFERENCE | ACCOUNT | IDENTITY | POSTCODE_LABEL) {
            found.extend(reader.labelled(at));
        }
        if token.is(PHONE_CUE) {
            found.extend(reader.telephone(at));
        }
        births |= token.is(BIRTH);
        if token.has_digit() {
            found.extend(reader.shaped(at));
        }
    }
    if births {
        found.extend(reader.births());
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
}

impl Reader<'_> {
    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    fn quote(&self, from: usize, to: usize) -> &str {
        let (Some(first), Some(last)) = (self.token(from), to.checked_sub(1).and_then(|last| self.token(last))) else {
            return "";
        };
        self.text.get(first.start..last.end).unwrap_or_default()
    }

    fn raw(&self, from: usize, to: usize, kind: Kind) -> Option<Raw> {
        Some(Raw::new(self.token(from)?.start, self.token(to.checked_sub(1)?)?.end, kind))
    }

    fn shape(&self, from: usize, to: usize) -> Option<Raw> {
        let raw = self.raw(from, to, Kind::ReferenceNumber)?;
        Some(Raw::by_form(raw.start, raw.end, raw.kind))
    }

    /// Whether nothing stands between a token and the next.
    fn tight(&self, at: usize) -> bool {
        matches!((self.token(at), self.token(at + 1)), (Some(a), Some(b)) if a.end == b.start)
    }

    /// One past the tokens that are written together, from `at` on: `INV-2024/001`.
    fn atom(&self, at: usize) -> usize {
        let mut end = at + 1;
        let mut next = at;
        while next < at + 16
            && self.tight(next)
            && let Some(token) = self.token(next + 1)
        {
            match token.shape {
                Shape::Sign('-' | '/' | '_' | '.' | '#' | ':') => {}
                _ if token.is_text() => end = next + 2,
                _ => break,
            }
            next += 1;
        }
        end
    }

    fn labelled(&self, label: usize) -> Option<Raw> {
        let mut tags = self.token(label)?.tags;
        let mut numbered = false;
        let mut loose = false;
        for at in label + 1..=label + REACH {
            let token = self.token(at)?;
            match token.shape {
                Shape::Sign(':' | '#' | '=' | '?') => numbered = true,
                Shape::Sign('.' | '-' | '/' | '(' | '\'' | '"' | '*' | '°' | 'º' | '|' | '“' | '„') => {}
                Shape::Break(1) if numbered => {}
                // `What is your customer number? User: 12345`
                Shape::Word if numbered && token.capital && self.token(at + 1).is_some_and(|sign| sign.sign(':')) => {}
                Shape::Word | Shape::Mixed | Shape::Number => {
                    if let Some(value) = self.value(at, tags, numbered, loose) {
                        return Some(value);
                    }
                    let next = token.tags & (REFERENCE | ACCOUNT | IDENTITY | POSTCODE_LABEL);
                    if next != 0 && next & tags == 0 {
                        tags = next;
                    } else if !token.is(FILLER) && next == 0 {
                        return None;
                    }
                    numbered |= token.is(NUMBER_WORD);
                    // `an order of 2500 pieces`
                    loose |= token.letters > 1 && token.is(SMALL) && !self.is_copula(at);
                }
                _ => return None,
            }
        }
        None
    }

    fn is_copula(&self, at: usize) -> bool {
        matches!(self.quote(at, at + 1).to_ascii_lowercase().as_str(), "is" | "was" | "ist" | "est" | "es" | "is:")
    }

    /// The value that begins here, if what stands here is one.
    fn value(&self, at: usize, tags: u32, numbered: bool, loose: bool) -> Option<Raw> {
        let mut end = self.atom(at);
        let quote = self.quote(at, end);
        let digits = quote.bytes().filter(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        if tags & POSTCODE_LABEL != 0 {
            return self.postcode(at, end, quote);
        }
        let spaced = tags & (ACCOUNT | IDENTITY) != 0;
        while spaced
            && end < at + 16
            && let Some(next) = self.token(end)
            && next.shape == Shape::Number
            && self.gap_is_space(end)
        {
            end = self.atom(end);
        }
        let quote = self.quote(at, end);
        let length = quote.chars().filter(|c| c.is_alphanumeric()).count();
        let all_digits = quote.bytes().all(|byte| byte.is_ascii_digit());
        let year = all_digits && length == 4 && (quote.starts_with("19") || quote.starts_with("20"));
        let measured = self
            .token(end)
            .is_some_and(|next| next.is(MEASURE) || matches!(next.shape, Shape::Sign('%' | '€' | '$' | '£')))
            || matches!(self.text.get(..self.token(at)?.start)?.chars().next_back(), Some('€' | '$' | '£'));
        if length < SHORTEST
            || is_date(quote)
            || is_decimal(quote)
            || is_time(quote)
            || (!numbered && (year || measured || loose))
        {
            return None;
        }
        // A word with a digit or two is a product as often as a number: `order Galaxy8`.
        if !numbered && digits < 3 {
            return None;
        }
        let kind = if tags & IDENTITY != 0 {
            Kind::NationalId
        } else if tags & ACCOUNT != 0 {
            Kind::AccountNumber
        } else {
            Kind::ReferenceNumber
        };
        self.raw(at, end, kind)
    }

    fn postcode(&self, at: usize, end: usize, quote: &str) -> Option<Raw> {
        let length = quote.chars().filter(|c| c.is_alphanumeric()).count();
        if !(2..=9).contains(&length) {
            return None;
        }
        // `394 13`, `7412 SL`, `SW1A 1AA`
        let more = self.token(end).is_some_and(|next| {
            self.gap_is_space(end) && next.letters <= 3 && (next.has_digit() || (next.all_upper() && next.letters == 2))
        });
        let end = if more { end + 1 } else { end };
        self.raw(at, end, Kind::PostalAddress).filter(|_| length >= SHORTEST || more)
    }

    fn gap_is_space(&self, at: usize) -> bool {
        let (Some(before), Some(token)) = (at.checked_sub(1).and_then(|before| self.token(before)), self.token(at))
        else {
            return false;
        };
        self.text.get(before.end..token.start).is_some_and(|gap| gap.len() <= 2 && gap.chars().all(|c| c == ' '))
    }

    /// Digits in groups behind a word that speaks of telephones: 6 to 15 of them.
    fn telephone(&self, cue: usize) -> Option<Raw> {
        // `account number is 12345678`
        let labels = cue.saturating_sub(3)..cue;
        if self.tokens.get(labels)?.iter().any(|token| token.is(ACCOUNT | REFERENCE | IDENTITY)) {
            return None;
        }
        let first = (cue + 1..=cue + 6).find(|at| {
            self.token(*at).is_some_and(|token| token.shape == Shape::Number || token.sign('+') || token.sign('('))
                || self.token(*at).is_none_or(|token| matches!(token.shape, Shape::Break(2..)))
        })?;
        let (mut digits, mut end) = (0, first);
        for at in first..first + 18 {
            let Some(token) = self.token(at) else { break };
            match token.shape {
                Shape::Number => {
                    digits += usize::from(token.letters);
                    end = at + 1;
                }
                Shape::Sign('+' | '(' | ')' | '-' | '.' | '/') => {}
                _ => break,
            }
        }
        let quote = self.quote(first, end);
        let next = self.token(end);
        let measured = next.is_some_and(|next| next.is(MEASURE) || next.sign('%') || next.sign('€'));
        let fits = (6..=15).contains(&digits) && !is_date(quote) && !measured;
        fits.then(|| self.raw(first, end, Kind::Phone)).flatten()
    }

    /// Numbers that no label needs to introduce.
    fn shaped(&self, at: usize) -> Option<Raw> {
        let token = self.token(at)?;
        let begins = at == 0 || !self.tight(at - 1);
        let before = at.checked_sub(1).and_then(|before| self.token(before));
        let word = self.text.get(token.start..token.end)?;
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if self.is_fraction(at) {
            return None;
        }
        // A long number, also with letters before it; what mixes both is a hash or a key.
        let number = word.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let long = number.len() >= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
        let hash = before.is_some_and(|before| before.sign('#')) && self.tight(at - 1);
        if (hash && digits >= 5) || long {
            return self.shape(at, self.atom_of_numbers(at));
        }
        // `F1628235`, `RE20240815`, `1Z999AA1`: capitals and at least five digits, no word of prose.
        if token.shape == Shape::Mixed && digits >= 5 && usize::from(token.upper) + digits == usize::from(token.letters)
        {
            return self.shape(at, self.atom(at));
        }
        if let Some(prefixed) = self.prefixed(at, digits) {
            return Some(prefixed);
        }
        let end = if begins { self.atom(at) } else { return None };
        let quote = self.quote(at, end);
        let all = quote.bytes().filter(u8::is_ascii_digit).count();
        let plain = quote.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let is_reference = (plain && quote.contains('-') && all >= 9 && !starts_with_date(quote)) || is_uuid(quote);
        if is_reference {
            return self.shape(at, end);
        }
        self.network_address(at)
    }

    /// Whether a number is the part of a decimal one before or behind its point.
    fn is_fraction(&self, at: usize) -> bool {
        let number = |place: Option<usize>| {
            place.and_then(|place| self.token(place)).is_some_and(|token| token.shape == Shape::Number)
        };
        let point =
            |place: Option<usize>| place.and_then(|place| self.token(place)).is_some_and(|token| token.sign('.'));
        let behind = at >= 2
            && point(at.checked_sub(1))
            && self.tight(at - 1)
            && self.tight(at - 2)
            && number(at.checked_sub(2));
        let point_before = at >= 4 && point(at.checked_sub(3)) && self.tight(at - 3);
        let point_after = point(Some(at + 1)) && self.tight(at) && self.tight(at + 1);
        behind && !point_before && !point_after && self.token(at - 2).is_some_and(|token| token.letters <= 6)
    }

    fn atom_of_numbers(&self, at: usize) -> usize {
        let end = self.atom(at);
        let quote = self.quote(at, end);
        if quote.contains(['.', ':']) { at + 1 } else { end }
    }

    /// `INV-2024-001`: letters that references begin with, or any two to six capitals before five digits.
    fn prefixed(&self, at: usize, digits: usize) -> Option<Raw> {
        let joint = at.checked_sub(1)?;
        let sign = self.token(joint)?;
        let prefix = self.token(joint.checked_sub(1)?)?;
        if !matches!(sign.shape, Shape::Sign('-' | '/' | '#' | '_')) || !self.tight(joint - 1) || !self.tight(joint) {
            return None;
        }
        let known = prefix.is(REFERENCE_PREFIX) && prefix.capital;
        let end = self.atom(at);
        let all = self.quote(at, end).bytes().filter(u8::is_ascii_digit).count();
        let any = prefix.all_upper() && (2..=6).contains(&prefix.letters) && digits >= 5;
        ((known && all >= 3) || any).then(|| self.shape(joint - 1, end)).flatten()
    }

    fn network_address(&self, at: usize) -> Option<Raw> {
        let mut end = at;
        let mut to = at + 1;
        while to < at + 16
            && self.tight(to - 1)
            && let Some(token) = self.token(to)
        {
            match token.shape {
                Shape::Sign('.' | ':') => {}
                _ if token.is_text() => end = to,
                _ => break,
            }
            to += 1;
        }
        let quote = self.quote(at, end + 1);
        let is_address = quote.parse::<std::net::Ipv4Addr>().is_ok()
            || (quote.matches(':').count() >= 2 && quote.parse::<std::net::Ipv6Addr>().is_ok());
        is_address.then(|| self.raw(at, end + 1, Kind::IpAddress)).flatten()
    }

    /// Dates behind `born`, `geboren am`, `DOB:`.
    fn births(&self) -> Vec<Raw> {
        let labels = self.tokens.iter().enumerate().filter(|(_, token)| token.is(BIRTH));
        let mut found = Vec::new();
        let mut done = 0;
        for (at, label) in labels.filter(|(_, label)| label.letters > 1) {
            // Dates are looked for in a piece behind the label only: their patterns are the slowest of all.
            let mut to = (label.end + 64).min(self.text.len());
            while !self.text.is_char_boundary(to) {
                to -= 1;
            }
            let piece = self.text.get(label.end..to).unwrap_or_default();
            if label.end < done {
                continue;
            }
            let Some(date) = find_dates(piece, None).into_iter().map(|date| date.span).find(|span| span.len() >= 6)
            else {
                continue;
            };
            let start = label.end + date.start();
            let between = self.tokens.iter().skip(at + 1).take_while(|token| token.start < start);
            let close = between.clone().count() <= 5
                && between.clone().all(|token| !token.is_text() || token.is(FILLER | SMALL | BIRTH));
            if close {
                done = label.end + date.end();
                found.push(Raw::new(start, done, Kind::BirthDate));
            }
        }
        found
    }
}

fn groups(quote: &str) -> Vec<&str> {
    quote.split(['-', '/', '.', ' ']).filter(|group| !group.is_empty()).collect()
}

/// Whether three groups can be a day, a month and a year in some order.
pub(crate) fn is_date(quote: &str) -> bool {
    let groups = groups(quote);
    let read = |place: usize| groups.get(place).and_then(|group| group.parse::<u32>().ok()).unwrap_or(u32::MAX);
    let (a, b, c) = (read(0), read(1), read(2));
    let small = |n: u32| (1..=31).contains(&n);
    let is_year = |n: u32, place: usize| {
        (1900..2200).contains(&n) || (n < 100 && groups.get(place).is_some_and(|g| g.len() == 2))
    };
    groups.len() == 3
        && small(b)
        && ((small(a) && is_year(c, 2) && a.min(b) <= 12) || ((1900..2200).contains(&a) && small(c) && b <= 12))
        && quote.contains(['-', '/', '.'])
}

fn starts_with_date(quote: &str) -> bool {
    quote.get(..10).is_some_and(is_date)
}

fn is_decimal(quote: &str) -> bool {
    let mut parts = quote.split('.');
    let tail = parts.nth(1).is_some_and(|tail| tail.len() <= 2 && tail.bytes().all(|byte| byte.is_ascii_digit()));
    tail && parts.next().is_none() && quote.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn is_time(quote: &str) -> bool {
    let parts: Vec<&str> = quote.split(':').collect();
    (2..=3).contains(&parts.len())
        && parts.iter().all(|part| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_uuid(quote: &str) -> bool {
    let lengths: Vec<usize> = quote.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && quote.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Every telephone number that its shape alone makes one, or that stands in groups and measures nothing.
pub(crate) fn find_telephones(text: &str, tokens: &[Token]) -> Vec<Raw> {
    let phones = rejoinder_recognise::contact::find_phones(text).into_iter();
    let kept = phones.filter(|phone| {
        let quote = phone.span.of(text).unwrap_or_default();
        let groups = quote.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).count();
        // `1 1 1 1 1 1 1`: a row of figures.
        let figures = phone.number.len() < 2 * groups;
        (phone.certain && !figures)
            || (groups > 1
                && !figures
                && !is_date(quote)
                && !starts_with_date(quote)
                && !is_measured(text, tokens, phone.span))
    });
    kept.map(|phone| Raw::new(phone.span.start(), phone.span.end(), Kind::Phone)).collect()
}

fn is_measured(text: &str, tokens: &[Token], span: Span) -> bool {
    let next = tokens.partition_point(|token| token.start < span.end());
    let after = tokens
        .get(next)
        .is_some_and(|token| token.is(MEASURE) || matches!(token.shape, Shape::Sign('%' | '€' | '$' | '£')));
    let before = text.get(..span.start()).and_then(|before| before.trim_end().chars().next_back());
    after || before.is_some_and(|sign| matches!(sign, '€' | '$' | '£'))
}
