//! A schema that was understood, and what its values have to satisfy.

use serde_json::Value;

use super::pattern::TextPattern;

/// A schema that was understood in full.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Every property that can hold a value, in the schema's order.
    pub(crate) properties: Vec<Property>,
    /// Every object, the root first: its pointer and the names that it requires.
    pub(crate) objects: Vec<(String, Vec<String>)>,
}

/// A property that holds a value or a list of values.
#[derive(Debug)]
pub(crate) struct Property {
    /// Names from the root.
    pub(crate) path: Vec<String>,
    /// Its title and further labels (`x-labels`), as written.
    pub(crate) titles: Vec<String>,
    /// Its description.
    pub(crate) description: String,
    /// What the value, or each item, may be.
    pub(crate) kind: Kind,
    /// Bounds of the list, for a list.
    pub(crate) list: Option<ListRule>,
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A text.
    Text(TextRule),
    /// A number.
    Number(NumberRule),
    /// Yes or no: recognisers always abstain from it, for silence is not a no.
    Boolean,
    /// One of these.
    Choice(Vec<Choice>),
    /// A list of these objects: recognisers always abstain from it, for which values of a text belong to the same item is
    /// not something that they know.
    Items(Schema),
}

/// How long a list may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListRule {
    /// Items at least.
    pub(crate) min: usize,
    /// Items at most.
    pub(crate) max: usize,
}

/// What a text has to satisfy.
#[derive(Debug, Default)]
pub(crate) struct TextRule {
    pub(crate) format: Option<Format>,
    pub(crate) pattern: Option<TextPattern>,
    /// The value is a heading of a table in the text (`"x-value": "heading"`), not what stands under it.
    pub(crate) heading: bool,
    /// `email` and `uri` are ASCII (RFC 5321, RFC 3986); `idn-email` and `iri` need not be.
    pub(super) ascii_only: bool,
    pub(super) min_length: usize,
    pub(super) max_length: Option<usize>,
}

/// A `format` that is found and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Date,
    DateTime,
    Email,
    Uri,
    Phone,
    Iban,
    Bic,
    Card,
    Currency,
    Uuid,
    Ipv4,
}

/// What a number has to satisfy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberRule {
    pub(crate) integer: bool,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_minimum: Option<f64>,
    pub(super) exclusive_maximum: Option<f64>,
    pub(super) multiple_of: Option<f64>,
}

/// One allowed value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    /// The value.
    pub(crate) value: Value,
    /// How people write it: the value itself and its title.
    pub(crate) labels: Vec<String>,
    /// What it means; empty where the schema does not say.
    pub(crate) description: String,
}

impl TextRule {
    /// Whether the text satisfies length and pattern; the format is what it was found by.
    pub(crate) fn allows(&self, text: &str) -> bool {
        let length = text.chars().count();
        length >= self.min_length
            && (!self.ascii_only || text.is_ascii())
            && self.max_length.is_none_or(|most| length <= most)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.allows(text))
    }
}

impl NumberRule {
    /// Whether the number satisfies every bound.
    pub(crate) fn allows(&self, value: &Value) -> bool {
        let Some(number) = value.as_f64() else { return false };
        let whole = value.is_i64() || value.is_u64();
        let is_multiple = |divisor: f64| {
            let quotient = number / divisor;
            (quotient - quotient.round()).abs() < 1e-9 * quotient.abs().max(1.0)
        };
        (whole || !self.integer)
            && self.minimum.is_none_or(|bound| number >= bound)
            && self.maximum.is_none_or(|bound| number <= bound)
            && self.exclusive_minimum.is_none_or(|bound| number > bound)
            && self.exclusive_maximum.is_none_or(|bound| number < bound)
            && self.multiple_of.is_none_or(is_multiple)
    }
}

/// The JSON pointer (RFC 6901) of a path of names.
pub(crate) fn pointer_of(path: &[String]) -> String {
    path.iter().flat_map(|name| ["/".to_owned(), escape(name)]).collect()
}

pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
