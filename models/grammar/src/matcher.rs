//! Following a form token by token.

use std::sync::Arc;

use crate::{GrammarError, TokenMask, engine};

/// The text so far, seen by the form that it must have: which tokens may come next, which must.
///
/// The loop of a generator: write [`Self::forced_tokens`] without asking the model, stop if [`Self::is_complete`],
/// otherwise compute [`Self::mask`] (on another thread while the model computes logits), apply it, choose a token and
/// [`Self::accept`] it. An end token may be accepted where [`Self::may_end`].
///
/// After [`GrammarError::TooComplex`] or [`GrammarError::Engine`] from a step the matcher only repeats that error.
#[derive(Clone)]
pub struct Matcher {
    inner: llguidance::Matcher,
    end_tokens: Arc<[u32]>,
    vocabulary: usize,
    /// Tokens accepted, without the end token.
    accepted: usize,
    ended: bool,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Matcher")
            .field("accepted", &self.accepted)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// What becomes of tokens that were proposed without the model.
#[derive(Clone, Debug)]
pub struct Speculation {
    /// How many of the proposed tokens the form allows, in a row.
    pub allowed: usize,
    /// `allowed + 1` masks: what may come at the place of each allowed token, and after the last of them.
    pub masks: Vec<TokenMask>,
}

impl Matcher {
    pub(crate) fn new(inner: llguidance::Matcher, end_tokens: Arc<[u32]>, vocabulary: usize) -> Self {
        Self { inner, end_tokens, vocabulary, accepted: 0, ended: false }
    }

    /// A copy that shares no lexer state with this one, so that both can work at the same time on two threads.
    /// [`Clone::clone`] is cheaper: the copies share what they learn about the form, and wait for each other.
    #[must_use]
    pub fn independent_copy(&self) -> Self {
        Self { inner: self.inner.deep_clone(), end_tokens: Arc::clone(&self.end_tokens), ..*self }
    }

    /// Which tokens may come next. Once the form is complete, end tokens only.
    ///
    /// Where [`Self::forced_tokens`] is not empty, its first token only: forced text is always cut as the tokenizer
    /// cuts it, because a model writes worse after a cut that it has never seen.
    pub fn mask(&mut self) -> Result<TokenMask, GrammarError> {
        self.inner.compute_mask_or_eos().map(TokenMask::new).map_err(|error| step_error(&error.to_string()))
    }

    /// Takes `token` as the next one. A token that is not allowed is refused and changes nothing. The mask need not
    /// have been computed before.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        if self.ended || token as usize >= self.vocabulary {
            return Err(GrammarError::NotAllowed { token });
        }
        if self.end_tokens.contains(&token) {
            if !self.may_end() {
                return Err(GrammarError::NotAllowed { token });
            }
            self.ended = true;
            return Ok(());
        }
        if self.inner.validate_tokens(&[token]).map_err(|error| step_error(&error.to_string()))? == 0 {
            return Err(GrammarError::NotAllowed { token });
        }
        self.inner.consume_token(token).map_err(|error| step_error(&error.to_string()))?;
        self.accepted += 1;
        Ok(())
    }

    /// Tokens that must come next whatever the model would say; they are not accepted yet. Empty where there is a
    /// choice, and where the form is complete.
    pub fn forced_tokens(&mut self) -> Vec<u32> {
        if self.ended || self.inner.is_stopped() { Vec::new() } else { self.inner.compute_ff_tokens() }
    }

    /// How many of `tokens` the form allows in a row, however its text is cut; nothing is accepted. For dropping
    /// proposals early; [`Self::speculate`] decides.
    pub fn allowed_prefix(&mut self, tokens: &[u32]) -> Result<usize, GrammarError> {
        if self.ended {
            return Ok(0);
        }
        let known = tokens.iter().take_while(|token| (**token as usize) < self.vocabulary).count();
        let tokens = tokens.get(..known).unwrap_or_default();
        self.inner.validate_tokens(tokens).map_err(|error| step_error(&error.to_string()))
    }

    /// The masks along `tokens`, which a speculating generator compares with the model's logits. Nothing is accepted.
    ///
    /// A token counts as allowed exactly where [`Self::mask`] would allow it, so that what is verified by these masks
    /// is what would have been generated one by one.
    pub fn speculate(&mut self, tokens: &[u32]) -> Result<Speculation, GrammarError> {
        let mut masks = Vec::with_capacity(tokens.len() + 1);
        let mut taken = 0;
        masks.push(self.mask()?);
        for &token in tokens {
            let allowed = masks.last().is_some_and(|mask| mask.allows(token)) && !self.end_tokens.contains(&token);
            if !allowed {
                break;
            }
            self.accept(token)?;
            taken += 1;
            masks.push(self.mask()?);
        }
        self.rollback(taken)?;
        Ok(Speculation { allowed: taken, masks })
    }

    /// Takes back the last `tokens` accepted tokens; an end token counts as one.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), GrammarError> {
        let accepted = self.accepted + usize::from(self.ended);
        if tokens > accepted {
            return Err(GrammarError::Rollback { requested: tokens, accepted });
        }
        if tokens == 0 {
            return Ok(());
        }
        let inner = tokens - usize::from(self.ended);
        self.inner.rollback(inner).map_err(|error| step_error(&error.to_string()))?;
        self.accepted -= inner;
        self.ended = false;
        Ok(())
    }

    /// Tokens accepted so far, with the end token.
    pub fn accepted(&self) -> usize {
        self.accepted + usize::from(self.ended)
    }

    /// Whether the text so far has the form as a whole, so that the answer may end here.
    pub fn may_end(&mut self) -> bool {
        self.ended || self.inner.is_accepting().unwrap_or(false)
    }

    /// Whether the text so far has the form as a whole and nothing can be added: the answer is done.
    pub fn is_complete(&mut self) -> bool {
        self.ended || (self.inner.is_stopped() && self.may_end())
    }
}

/// What the engine's error text means.
fn step_error(message: &str) -> GrammarError {
    let reason = engine::first_line(message);
    if engine::is_limit(message) { GrammarError::TooComplex { reason } } else { GrammarError::Engine { reason } }
}

#[cfg(test)]
mod tests {
    #[test]
    fn masks_can_be_computed_on_another_thread() {
        fn send<T: Send>() {}
        fn share<T: Send + Sync>() {}
        send::<super::Matcher>();
        share::<crate::GrammarFactory>();
    }
}
