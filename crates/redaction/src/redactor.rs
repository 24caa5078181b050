//! Finds personal data: all detectors, their claims settled.

use std::collections::BTreeSet;

use rejoinder_domain::{Address, Span};
use rejoinder_recognise::bank::{find_cards, find_ibans};
use rejoinder_recognise::contact::find_emails;
use rejoinder_recognise::identity::find_identities;
use serde::Deserialize;

use crate::address::find_addresses;
use crate::kind::Kind;
use crate::label::{find_labelled, find_telephones};
use crate::name::NameBook;
use crate::placeholder::{Scan, may_begin_byte, scan};
use crate::raw::{Raw, settle};
use crate::session::Session;
use crate::token::tokens;
use crate::view::View;
use crate::wrapped::find_wrapped;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedactionOptions {
    /// The kinds that are replaced; all by default. [`Kind::Literal`] always is.
    pub kinds: BTreeSet<Kind>,
}

impl Default for RedactionOptions {
    fn default() -> Self {
        Self { kinds: Kind::ALL.into_iter().collect() }
    }
}

/// A value in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: Kind,
}

/// Finds personal data. Cheap to copy; made once.
#[derive(Clone, Debug)]
pub struct Redactor {
    kinds: BTreeSet<Kind>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(&RedactionOptions::default())
    }
}

impl Redactor {
    /// Looks for the kinds that the options name.
    pub fn new(options: &RedactionOptions) -> Self {
        Self { kinds: options.kinds.clone() }
    }

    /// Every value of `text`, in order, without overlap. `people` are those whose names are looked for.
    pub fn find(&self, text: &str, people: &[Address]) -> Vec<Finding> {
        self.session(people).find(text)
    }

    /// Begins a request in which `people` take part.
    pub fn session(&self, people: &[Address]) -> Session {
        Session::new(self.clone(), people)
    }

    pub(crate) fn looks_for(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Every value but literals.
    pub(crate) fn detect(&self, text: &str, book: &NameBook) -> Vec<Raw> {
        let view = View::new(text);
        let plain = view.plain();
        let tokens = tokens(plain);
        let mut found: Vec<Raw> = Vec::new();
        let raw = |span: Span, kind: Kind| Raw::new(span.start(), span.end(), kind);
        if plain.contains('@') {
            for span in find_emails(plain) {
                // `?to=max@firma.example`
                let parameter = span.of(plain).and_then(|email| email.rfind('=')).map_or(0, |sign| sign + 1);
                found.push(Raw::new(span.start() + parameter, span.end(), Kind::Email));
            }
        }
        if plain.bytes().any(|byte| byte.is_ascii_digit()) {
            found.extend(find_ibans(plain).into_iter().map(|iban| raw(iban.span, Kind::Iban)));
            found.extend(find_cards(plain).into_iter().map(|card| raw(card.span, Kind::Card)));
            found.extend(find_wrapped(plain));
            let identities = find_identities(plain).into_iter().filter(|identity| identity.certain);
            found.extend(identities.map(|identity| raw(identity.span, Kind::NationalId)));
            // A telephone number beside a card must not take its digits for an extension.
            let apart = set_apart(plain, &found);
            found.extend(find_labelled(plain, &tokens));
            match apart {
                Some(apart) => found.extend(find_telephones(&apart, &crate::token::tokens(&apart))),
                None => found.extend(find_telephones(plain, &tokens)),
            }
        }
        found.extend(find_addresses(plain, &tokens));
        let name = |name: crate::name::NameFound| Raw {
            name: Some((name.person, name.form)),
            ..Raw::new(name.start, name.end, Kind::Person)
        };
        found.extend(book.find(&tokens).into_iter().map(name));
        found.retain(|raw| self.kinds.contains(&raw.kind));
        let mut settled = settle(found);
        for raw in &mut settled {
            (raw.start, raw.end) = view.locate(raw.start, raw.end);
        }
        // Two stretches of the plain form can share a character of the text, where one stands for several.
        settle(settled)
    }
}

/// The text with what was found in it crossed out, byte for byte; `None` where nothing was.
fn set_apart(text: &str, found: &[Raw]) -> Option<String> {
    let numbers = found.iter().filter(|raw| raw.kind != Kind::Email);
    let mut crossed: Option<String> = None;
    for raw in numbers {
        let inside = text.get(raw.start..raw.end).unwrap_or_default();
        if inside.is_ascii() {
            crossed.get_or_insert_with(|| text.to_owned()).replace_range(raw.start..raw.end, &";".repeat(inside.len()));
        }
    }
    crossed
}

/// What looks like a placeholder between two places of a text.
pub(crate) fn literals(text: &str, start: usize, end: usize) -> Vec<(usize, usize)> {
    let gap = text.get(start..end).unwrap_or_default();
    let mut found = Vec::new();
    let (mut at, mut cut) = (0, 0);
    while let Some(skip) = gap.get(at..).and_then(|rest| rest.bytes().position(may_begin_byte)) {
        at += skip;
        let Some(rest) = gap.get(at..) else { break };
        // Behind a value or another literal a placeholder's bracket will stand.
        let before = gap.get(cut..at).and_then(|before| before.chars().next_back());
        match scan(rest, before, true) {
            Scan::Found { length, .. } => {
                found.push((start + at, start + at + length));
                at += length;
                cut = at;
            }
            Scan::Nothing | Scan::More => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    found
}
