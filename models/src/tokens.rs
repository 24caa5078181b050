//! From a text to the token numbers that an encoder reads, and to the places of its tokens.

use rejoinder_domain::{ErrorKind, SeamError, Span};
use tokenizers::Tokenizer;

use crate::{ModelError, ModelFiles};

/// What a text of so many tokens can at most be long in bytes before it is cut for embedding: a token is a piece of a word
/// of at most 100 characters, and most are shorter than 8 bytes. It bounds the work on a text that never ends.
const BYTES_PER_TOKEN: usize = 256;

/// A tokenizer with the padding and truncation of its file switched off.
#[derive(Debug)]
pub(crate) struct TextTokenizer {
    tokenizer: Tokenizer,
    max_tokens: usize,
}

impl TextTokenizer {
    /// Reads `tokenizer.json`.
    pub(crate) fn load(files: &ModelFiles, max_tokens: usize) -> Result<Self, ModelError> {
        let format = |reason: String| ModelError::Format { path: files.path("tokenizer.json"), reason };
        let mut tokenizer =
            Tokenizer::from_bytes(files.read("tokenizer.json")?).map_err(|error| format(error.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| format(error.to_string()))?;
        // A text that happens to hold "[SEP]" is text, not structure.
        tokenizer.set_encode_special_tokens(true);
        Ok(Self { tokenizer, max_tokens })
    }

    /// The beginning of `text` that is read for embedding.
    pub(crate) fn bounded<'a>(&self, text: &'a str) -> &'a str {
        text.get(..text.floor_char_boundary(self.max_tokens * BYTES_PER_TOKEN)).unwrap_or(text)
    }

    /// Token numbers with special tokens, cut to the longest input; the last special token is kept.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, SeamError> {
        let encoding = self.tokenizer.encode_fast(self.bounded(text), true).map_err(failed)?;
        let mut tokens = encoding.get_ids().to_vec();
        if tokens.len() > self.max_tokens {
            let last = tokens.last().copied();
            tokens.truncate(self.max_tokens);
            if let (Some(slot), Some(last)) = (tokens.last_mut(), last) {
                *slot = last;
            }
        }
        Ok(tokens)
    }

    /// The place of every token of `text` without special tokens, in order.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Span>, SeamError> {
        let encoding = self.tokenizer.encode(text, false).map_err(failed)?;
        let span = |(start, end): &(usize, usize)| {
            // Offsets are bytes of the text as it was given; a token that is part of a decomposed character gets all of it.
            Span::new(text.floor_char_boundary(*start), text.ceil_char_boundary(*end))
        };
        encoding
            .get_offsets()
            .iter()
            .map(|offsets| {
                span(offsets).ok_or_else(|| SeamError::new(ErrorKind::Internal, "a token ends before it starts"))
            })
            .collect()
    }
}

fn failed(error: tokenizers::Error) -> SeamError {
    SeamError::new(ErrorKind::Internal, "the tokenizer failed").caused_by(error)
}
