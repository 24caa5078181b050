//! A possible value, and who found it.

use rejoinder_domain::Span;
use serde_json::Value;

/// A possible value.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Index of the source.
    pub(crate) source: usize,
    /// Where.
    pub(crate) span: Span,
    /// The value.
    pub(crate) value: Value,
    /// The other reading, where the words can be read in two ways.
    pub(crate) alternative: Option<Value>,
    /// How sure, 0 to 1.
    pub(crate) score: f32,
    /// How well it is named, 0 to 1.
    pub(crate) label: f32,
    /// Who found it.
    pub(crate) origin: Origin,
    /// What the other said.
    pub(crate) agreement: Agreement,
}

/// Who found a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Recognisers.
    Recognisers,
    /// A language model; recognisers found no other.
    Model,
    /// Both.
    Both,
}

impl Origin {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recognisers => "recognisers",
            Self::Model => "model",
            Self::Both => "both",
        }
    }
}

/// What recognisers and language model say of each other's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The other found nothing, or there is no other.
    Alone,
    /// Both found this value.
    Agrees,
    /// The model pointed to these words and read another value in them; this is what recognisers read.
    Corrected,
    /// The other found another value elsewhere: see the conflicts.
    Conflicts,
}

impl Agreement {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Agrees => "agrees",
            Self::Corrected => "corrected",
            Self::Conflicts => "conflicts",
        }
    }
}
