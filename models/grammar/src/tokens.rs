//! The vocabulary as the grammar engine needs it: bytes, a trie, and the model's own way of cutting text.

use std::sync::Arc;

use toktrie::{TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::GrammarError;

/// The bytes of the longest token that the trie can hold.
const MAX_TOKEN_BYTES: usize = 1000;
/// The tokens of the largest vocabulary that the trie can hold.
const MAX_TOKENS: usize = 2_000_000;

/// How the model's tokenizer cuts a text into tokens, without adding any token or any byte of its own.
///
/// What comes back is checked against the token table; where it spells another text, a greedy cut is used.
pub type Encode = dyn Fn(&str) -> Vec<u32> + Send + Sync;

/// The bytes of every token of a vocabulary.
#[derive(Clone, Debug)]
pub struct TokenTable {
    words: Vec<Vec<u8>>,
    end_tokens: Vec<u32>,
}

impl TokenTable {
    /// A table of `size` tokens that can never be written, to be filled by [`Self::set_text`] and
    /// [`Self::set_special`]. `size` is the number of the model's logits, `end_tokens` what ends an answer.
    pub fn new(size: usize, end_tokens: &[u32]) -> Result<Self, GrammarError> {
        if size == 0 || size > MAX_TOKENS {
            return Err(invalid(format!("{size} tokens; 1 to {MAX_TOKENS} are possible")));
        }
        if end_tokens.is_empty() {
            return Err(invalid("no token ends an answer".to_owned()));
        }
        if let Some(token) = end_tokens.iter().find(|token| **token as usize >= size) {
            return Err(invalid(format!("the end token {token} is outside of {size} tokens")));
        }
        let mut table = Self { words: vec![Vec::new(); size], end_tokens: end_tokens.to_vec() };
        for &token in end_tokens {
            table.set_special(token, &format!("<end {token}>"))?;
        }
        Ok(table)
    }

    /// Tokens of the vocabulary.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never true: a table has at least one token.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What ends an answer.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// `token` writes these bytes. End tokens stay what they are. Bytes that no UTF-8 text holds are never allowed.
    pub fn set_text(&mut self, token: u32, bytes: &[u8]) -> Result<(), GrammarError> {
        // The engine reads 0xFF as the beginning of a special token; no UTF-8 text holds that byte.
        let bytes = if bytes.contains(&TokTrie::SPECIAL_TOKEN_MARKER) { &[] } else { bytes };
        self.set(token, bytes.to_vec())
    }

    /// `token` is a control token, which no form allows, named `name`.
    pub fn set_special(&mut self, token: u32, name: &str) -> Result<(), GrammarError> {
        let mut bytes = vec![TokTrie::SPECIAL_TOKEN_MARKER];
        bytes.extend_from_slice(name.as_bytes());
        self.set(token, bytes)
    }

    fn set(&mut self, token: u32, bytes: Vec<u8>) -> Result<(), GrammarError> {
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(invalid(format!("token {token} has {} bytes; {MAX_TOKEN_BYTES} are possible", bytes.len())));
        }
        let size = self.words.len();
        let word = self
            .words
            .get_mut(token as usize)
            .ok_or_else(|| invalid(format!("token {token} is outside of {size} tokens")))?;
        if !self.end_tokens.contains(&token) || word.is_empty() {
            *word = bytes;
        }
        Ok(())
    }

    /// For every byte, whether a token of its own writes it.
    fn writable(&self) -> [bool; 256] {
        let mut seen = [false; 256];
        for word in &self.words {
            if let [byte] = word.as_slice()
                && let Some(seen) = seen.get_mut(usize::from(*byte))
            {
                *seen = true;
            }
        }
        seen
    }
}

/// What the engine sees of a tokenizer.
pub(crate) struct Tokenizer {
    trie: TokTrie,
    encode: Arc<Encode>,
    /// Some vocabularies lack control characters and the first bytes of rare alphabets: forced text is cut into tokens
    /// up to the first of these, and the rest is left to the masks.
    writable: [bool; 256],
}

impl Tokenizer {
    pub(crate) fn new(table: &TokenTable, encode: Arc<Encode>) -> Result<Self, GrammarError> {
        let first_end = table.end_tokens.first().copied().ok_or_else(|| invalid("no end token".to_owned()))?;
        let info = TokRxInfo::new(table.words.len() as u32, first_end);
        let trie = llguidance::panic_utils::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Ok(TokTrie::from(&info, &table.words).with_eos_tokens(&table.end_tokens))
        }))
        .map_err(|error| invalid(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
        Ok(Self { trie, encode, writable: table.writable() })
    }
}

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        let writable = |byte: &u8| self.writable.get(usize::from(*byte)).copied().unwrap_or(false);
        let end = bytes.iter().position(|byte| !writable(byte)).unwrap_or(bytes.len());
        let bytes = bytes.get(..end).unwrap_or_default();
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let tokens = (self.encode)(text);
            // A tokenizer may normalise, add a space, or read `<|..|>` in a text as a control token.
            if self.trie.decode_raw(&tokens) == text.as_bytes() {
                tokens
            } else {
                self.trie.greedy_tokenize(text.as_bytes())
            }
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        true
    }
}

fn invalid(reason: String) -> GrammarError {
    GrammarError::InvalidTokens { reason }
}
