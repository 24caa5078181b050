//! What cannot be redacted.

/// Why a JSON value cannot be redacted. The caller must not send it. Neither message holds what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactionError {
    /// A key of an object holds personal data: a key cannot be replaced without changing what the object means.
    #[error("a key of a JSON object holds personal data")]
    Key,
    /// A number is personal data: a placeholder in its place would not be a number.
    #[error("a number in JSON is personal data")]
    Number,
    /// Objects and arrays are nested more than 128 deep.
    #[error("JSON is nested too deeply")]
    Depth,
}
