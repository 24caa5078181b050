//! Patterns that are part of the program.

use regex::Regex;

/// Compiles a pattern that is a constant of the program.
///
/// # Panics
///
/// Where the constant is not a regular expression, so it must never be given anything that a caller or a configuration
/// says.
#[expect(clippy::expect_used, reason = "only constant patterns come here, and the tests compile every one of them")]
pub fn constant_pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}
