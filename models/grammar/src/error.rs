//! What can be wrong with a form, a token table, or a step.

/// Why a form cannot be required, or why a step failed. Nothing is ever relaxed silently instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// A schema keyword that constrains values and cannot be enforced token by token.
    #[error("the schema's keyword `{keyword}` at `{pointer}` is not supported: {reason}")]
    UnsupportedKeyword {
        /// The keyword.
        keyword: String,
        /// JSON pointer (RFC 6901) of the subschema that holds the keyword; empty for the root.
        pointer: String,
        /// What exactly is not supported, and where possible what to write instead.
        reason: String,
    },
    /// The schema is not a JSON Schema, or no value can satisfy it.
    #[error("the schema at `{pointer}` is not valid: {reason}")]
    InvalidSchema {
        /// JSON pointer (RFC 6901) of the subschema; empty for the root.
        pointer: String,
        /// What is wrong.
        reason: String,
    },
    /// The form is larger than the limits allow, when it is compiled or while it is followed.
    #[error("the required form is too complex: {reason}")]
    TooComplex {
        /// Which limit was met.
        reason: String,
    },
    /// A regular expression that cannot be compiled.
    #[error("the regular expression is not valid: {reason}")]
    InvalidRegex {
        /// What is wrong.
        reason: String,
    },
    /// A list of choices that cannot be offered.
    #[error("the choices are not valid: {reason}")]
    InvalidChoice {
        /// What is wrong.
        reason: String,
    },
    /// A token table that no trie can be built of.
    #[error("the token table is not valid: {reason}")]
    InvalidTokens {
        /// What is wrong.
        reason: String,
    },
    /// A token that the form does not allow here. The matcher is as it was before.
    #[error("token {token} is not allowed here")]
    NotAllowed {
        /// The token's id.
        token: u32,
    },
    /// More tokens were to be taken back than were accepted. The matcher is as it was before.
    #[error("{requested} tokens cannot be taken back: {accepted} were accepted")]
    Rollback {
        /// Tokens to take back.
        requested: usize,
        /// Tokens accepted so far.
        accepted: usize,
    },
    /// The parser failed in a way that it should not.
    #[error("the grammar engine failed: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
}

impl GrammarError {
    /// Whether the one who asked for the form can repair it; otherwise the fault is ours.
    pub fn is_callers(&self) -> bool {
        !matches!(self, Self::InvalidTokens { .. } | Self::Engine { .. })
    }
}
