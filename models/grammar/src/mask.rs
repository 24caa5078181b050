//! The set of tokens that may come next.

use toktrie::SimpleVob;

/// Which tokens may come next, one bit per token of the vocabulary.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenMask {
    bits: SimpleVob,
}

impl std::fmt::Debug for TokenMask {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenMask").field("allowed", &self.count()).field("of", &self.vocabulary()).finish()
    }
}

impl TokenMask {
    pub(crate) fn new(bits: SimpleVob) -> Self {
        Self { bits }
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.bits.len()
    }

    /// Whether `token` may come next; false for a token outside of the vocabulary.
    pub fn allows(&self, token: u32) -> bool {
        let index = token as usize;
        index < self.bits.len() && self.bits.get(index)
    }

    /// How many tokens may come next.
    pub fn count(&self) -> usize {
        self.bits.num_set()
    }

    /// The only token that may come next, if there is only one.
    pub fn single(&self) -> Option<u32> {
        if self.count() == 1 { self.bits.first_bit_set().map(|index| index as u32) } else { None }
    }

    /// The ids of the tokens that may come next, ascending.
    pub fn tokens(&self) -> Vec<u32> {
        self.bits.to_list()
    }

    /// Sets the logits of tokens that may not come next to minus infinity.
    ///
    /// `logits` has one value per token of the model's vocabulary; values beyond this mask's vocabulary (rows that
    /// pad the model's table) become minus infinity too.
    pub fn apply(&self, logits: &mut [f32]) {
        let mut chunks = logits.chunks_mut(u32::BITS as usize);
        for (&word, chunk) in self.bits.as_slice().iter().zip(chunks.by_ref()) {
            match word {
                u32::MAX => {}
                0 => chunk.fill(f32::NEG_INFINITY),
                _ => {
                    for (bit, logit) in chunk.iter_mut().enumerate() {
                        if word & (1 << bit) == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
        for chunk in chunks {
            chunk.fill(f32::NEG_INFINITY);
        }
    }
}
