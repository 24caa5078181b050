//! Puts the values back, also into an answer whose parts end anywhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::kind::Kind;
use crate::placeholder::{Scan, may_begin, scan};

/// What the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Text: values are put in as they are.
    #[default]
    Text,
    /// JSON: placeholders stand within strings, and values are escaped for them.
    Json,
}

/// Puts values back into one answer, part by part.
#[derive(Clone)]
pub struct Restorer {
    values: Arc<HashMap<String, String>>,
    form: Form,
    held: String,
    before: Option<char>,
    flagged: u32,
}

/// How much it holds, and none of it.
impl fmt::Debug for Restorer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (values, held) = (self.values.len(), self.held.len());
        let mut shown = formatter.debug_struct("Restorer");
        shown.field("values", &values).field("held", &held).field("flagged", &self.flagged).finish_non_exhaustive()
    }
}

impl Restorer {
    pub(crate) fn new(values: Arc<HashMap<String, String>>, form: Form) -> Self {
        Self { values, form, held: String::new(), before: None, flagged: 0 }
    }

    /// Takes the next part and gives what can be shown by now: all of it but an end that may be the beginning of a
    /// placeholder.
    pub fn push(&mut self, part: &str) -> String {
        self.held.push_str(part);
        self.advance(false)
    }

    /// Gives what is left at the answer's end.
    pub fn finish(&mut self) -> String {
        self.advance(true)
    }

    /// How many placeholders came that the model mangled or invented; each is shown as `[[check: e-mail address]]`.
    pub fn flagged(&self) -> u32 {
        self.flagged
    }

    fn advance(&mut self, last: bool) -> String {
        let held = std::mem::take(&mut self.held);
        let mut shown = String::with_capacity(held.len());
        let mut at = 0;
        while let Some(c) = held.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = held.get(at..).unwrap_or_default();
            let scanned = if may_begin(c) { scan(rest, self.before, last) } else { Scan::Nothing };
            match scanned {
                Scan::More => {
                    rest.clone_into(&mut self.held);
                    break;
                }
                Scan::Found { length, kind } => {
                    let written = rest.get(..length).unwrap_or_default();
                    self.put(written, kind, &mut shown);
                    self.before = written.chars().next_back();
                    at += length;
                }
                Scan::Nothing => {
                    shown.push(c);
                    self.before = Some(c);
                    at += c.len_utf8();
                }
            }
        }
        shown
    }

    fn put(&mut self, written: &str, kind: Option<Kind>, shown: &mut String) {
        match (self.values.get(written), self.form) {
            (Some(value), Form::Text) => shown.push_str(value),
            (Some(value), Form::Json) => {
                let escaped = serde_json::to_string(value).unwrap_or_default();
                shown.push_str(escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default());
            }
            (None, _) => {
                self.flagged += 1;
                shown.push_str("[[check: ");
                shown.push_str(kind.map_or("value", Kind::label));
                shown.push_str("]]");
            }
        }
    }
}
