//! Tokens that are read by their text in templates, and nowhere else: control tokens and added ones.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::TokenKind;

/// A part of a template's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// Text, not empty.
    Text(&'t str),
    /// A special token.
    Marker(u32),
}

/// The tokens with texts of their own.
#[derive(Debug)]
pub(crate) struct Markers {
    /// By first letter; within one, the longest first.
    by_first: HashMap<char, Vec<(Box<str>, u32)>>,
}

impl Markers {
    pub(crate) fn new(names: &[&str], kinds: &[TokenKind]) -> Self {
        let mut by_first: HashMap<char, Vec<(Box<str>, u32)>> = HashMap::new();
        for (id, (name, kind)) in names.iter().zip(kinds).enumerate() {
            if matches!(kind, TokenKind::Control | TokenKind::Added)
                && let Some(first) = name.chars().next()
            {
                by_first.entry(first).or_default().push(((*name).into(), id as u32));
            }
        }
        for markers in by_first.values_mut() {
            markers.sort_by_key(|(name, id)| (Reverse(name.len()), *id));
        }
        Self { by_first }
    }

    /// The marker of this very text.
    pub(crate) fn named(&self, text: &str) -> Option<u32> {
        let same = self.by_first.get(&text.chars().next()?)?.iter().find(|(name, _)| **name == *text);
        same.map(|(_, id)| *id)
    }

    /// `text` cut at its markers; of several that begin at one place the longest counts.
    pub(crate) fn parts<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Part<'t>> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let (at, length, token) = self.first(rest)?;
            let (part, after) = match at {
                0 => (Part::Marker(token), rest.get(length..)?),
                _ => (Part::Text(rest.get(..at)?), rest.get(at..)?),
            };
            rest = after;
            Some(part)
        })
    }

    /// Where the first marker of `text` is, how long, and which; the end of the text where there is none.
    fn first(&self, text: &str) -> Option<(usize, usize, u32)> {
        if text.is_empty() {
            return None;
        }
        for (at, first) in text.char_indices() {
            let Some(markers) = self.by_first.get(&first) else { continue };
            let rest = text.get(at..)?;
            if let Some((name, id)) = markers.iter().find(|(name, _)| rest.starts_with(&**name)) {
                return Some((at, name.len(), *id));
            }
        }
        Some((text.len(), 0, 0))
    }
}
