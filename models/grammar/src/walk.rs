//! Judging a given text by a form, mask by mask: for tests and measurements.

use std::time::{Duration, Instant};

use crate::{GrammarError, Matcher};

/// How a text fared.
#[derive(Clone, Debug)]
pub struct Walk {
    /// What the form says of the text.
    pub verdict: Verdict,
    /// How long each mask took, in the order of the tokens.
    pub masks: Vec<Duration>,
    /// Tokens that a generator would have written without asking the model.
    pub forced: usize,
}

/// What a form says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The text has the form.
    Accepted,
    /// The token with this index is not allowed.
    Refused(usize),
    /// The text is the beginning of something that has the form.
    Unfinished,
}

/// Writes `tokens` to `matcher`, computing each mask as a generator would.
///
/// The text decides, not its cut: where forced text is cut in another way than the tokenizer would, it is accepted.
pub fn walk(matcher: &mut Matcher, tokens: &[u32]) -> Result<Walk, GrammarError> {
    let mut masks = Vec::with_capacity(tokens.len() + 1);
    let mut forced = 0;
    let refused = |index, masks, forced| Ok(Walk { verdict: Verdict::Refused(index), masks, forced });
    for (index, &token) in tokens.iter().enumerate() {
        let start = Instant::now();
        let mask = matcher.mask()?;
        masks.push(start.elapsed());
        forced += usize::from(mask.single().is_some());
        if !mask.allows(token) && matcher.allowed_prefix(&[token])? == 0 {
            return refused(index, masks, forced);
        }
        match matcher.accept(token) {
            Ok(()) => {}
            Err(GrammarError::NotAllowed { .. }) => return refused(index, masks, forced),
            Err(error) => return Err(error),
        }
    }
    let verdict = if matcher.may_end() { Verdict::Accepted } else { Verdict::Unfinished };
    Ok(Walk { verdict, masks, forced })
}
