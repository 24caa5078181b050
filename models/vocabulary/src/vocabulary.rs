//! Text to tokens and back.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::alphabet::bytes_of;
use crate::markers::{Markers, Part};
use crate::merge::BytePairs;
use crate::metadata::{Metadata, flag, integers, text, texts, token_id};
use crate::pieces::Pieces;
use crate::split::Splitter;
use crate::{StreamDecoder, VocabularyError};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// Above this many tokens a file is not a model's; the largest published vocabularies have a quarter of it.
const TOKENS_LIMIT: usize = 1 << 20;
/// Bytes of all tokens together, at most.
const TOKEN_BYTES_LIMIT: usize = 1 << 26;

/// Texts of control tokens that end an answer whatever the file's `eos_token_id` says: many a file names the end of a
/// document there, and its template ends messages with another token.
const ENDS: &[&str] =
    &["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>", "<|end|>", "</s>"];

/// What a token is, as `tokenizer.ggml.token_type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A piece of text.
    Plain,
    /// Stands for what the vocabulary cannot write.
    Unknown,
    /// Steers the model: the beginning of a message, the end of an answer.
    Control,
    /// Text that the model's makers gave a token of its own, such as `<think>`. It is written like text, but no text is
    /// read as it.
    Added,
    /// A number without a meaning; files are padded with them.
    Unused,
}

/// The tokenizer of a GGUF file.
pub struct Vocabulary {
    pieces: Pieces,
    kinds: Vec<TokenKind>,
    splitter: Splitter,
    pairs: BytePairs,
    markers: Markers,
    begin: Option<u32>,
    adds_begin: bool,
    ends: Vec<u32>,
}

impl Vocabulary {
    /// Reads a byte-level BPE vocabulary (`tokenizer.ggml.model` = `gpt2`) and checks it.
    ///
    /// Errors: [`VocabularyError::Unsupported`] for another tokenizer or pre-tokenizer, with what is supported; the
    /// other kinds for metadata that is missing, of wrong type, inconsistent, or larger than any model's.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, VocabularyError> {
        let model = text(metadata, MODEL)?.ok_or(VocabularyError::Missing { key: MODEL })?;
        if model != "gpt2" {
            let (found, supported) = (model.chars().take(64).collect(), "gpt2 (byte-level BPE)".to_owned());
            return Err(VocabularyError::Unsupported { key: MODEL, found, supported });
        }
        let pre = text(metadata, PRE)?.ok_or(VocabularyError::Missing { key: PRE })?;
        let splitter = Splitter::named(pre)?;
        let names = texts(metadata, TOKENS, TOKENS_LIMIT)?.ok_or(VocabularyError::Missing { key: TOKENS })?;
        let begin = token_id(metadata, "tokenizer.ggml.bos_token_id", names.len())?;
        let mut kinds = kinds(metadata, names.len())?;
        let ends = ends(metadata, &names, &mut kinds)?;
        let pieces = pieces(&names, &kinds)?;

        let merges = texts(metadata, MERGES, BytePairs::limit())?.ok_or(VocabularyError::Missing { key: MERGES })?;
        // Llama 3's tokenizer takes a piece that is a token as it is, even where no merges lead to it.
        let ignore_merges = matches!(pre, "llama-bpe" | "llama-v3" | "llama3");
        let pairs = BytePairs::new(&plain(&names, &kinds)?, &merges, &pieces, ignore_merges)?;
        if let Some(byte) = "\u{fffd}".bytes().chain(*b" \n").find(|byte| !pairs.has(*byte)) {
            return Err(VocabularyError::Unencodable { byte });
        }
        let markers = Markers::new(&names, &kinds);
        let adds_begin = flag(metadata, "tokenizer.ggml.add_bos_token")?.unwrap_or(ignore_merges) && begin.is_some();
        Ok(Self { pieces, kinds, splitter, pairs, markers, begin, adds_begin, ends })
    }

    /// How many tokens there are; ids are below this.
    #[expect(clippy::len_without_is_empty, reason = "a vocabulary is never empty")]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The tokens of a text, none of which is special: what looks like a control token in it is written out in letters,
    /// so that a mail cannot end its own message.
    ///
    /// A character that the vocabulary has no bytes for (in some, a few control characters) becomes U+FFFD. Nothing
    /// else is changed, so decoding gives the text back; in particular the text is not brought to a normal form.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        self.encode_into(text, &mut tokens);
        tokens
    }

    /// The tokens of bytes that need not be whole characters, as a grammar forces them.
    ///
    /// Errors: [`VocabularyError::Unencodable`] for a byte that no token writes.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Result<Vec<u32>, VocabularyError> {
        if let Some(&byte) = bytes.iter().find(|byte| !self.pairs.has(**byte)) {
            return Err(VocabularyError::Unencodable { byte });
        }
        let mut tokens = Vec::with_capacity(bytes.len() / 3);
        for chunk in bytes.utf8_chunks() {
            self.encode_into(chunk.valid(), &mut tokens);
            self.pairs.encode(chunk.invalid(), &self.pieces, &mut tokens);
        }
        Ok(tokens)
    }

    /// The tokens of a text by the program itself or by a template, in which special tokens are read as such.
    pub fn encode_markup(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for part in self.markers.parts(text) {
            match part {
                Part::Text(text) => self.encode_into(text, &mut tokens),
                Part::Marker(token) => tokens.push(token),
            }
        }
        tokens
    }

    /// The bytes that a token writes: its text, also where it is special; nothing for an id outside of the vocabulary.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.pieces.get(token)
    }

    /// What a token is; [`TokenKind::Unused`] for an id outside of the vocabulary.
    pub fn kind(&self, token: u32) -> TokenKind {
        self.kinds.get(token as usize).copied().unwrap_or(TokenKind::Unused)
    }

    /// Whether a token is no part of an answer's text: control tokens, the unknown token, numbers without a meaning.
    pub fn is_special(&self, token: u32) -> bool {
        !matches!(self.kind(token), TokenKind::Plain | TokenKind::Added)
    }

    /// The token of this very text that is not plain: `<|im_end|>`, `<think>`.
    pub fn marker(&self, text: &str) -> Option<u32> {
        self.markers.named(text)
    }

    /// The tokens that end an answer, in ascending order.
    pub fn end_tokens(&self) -> &[u32] {
        &self.ends
    }

    /// The token that begins a text, where the model has one.
    pub fn begin_token(&self) -> Option<u32> {
        self.begin
    }

    /// Whether every text given to the model should begin with [`Vocabulary::begin_token`].
    pub fn adds_begin(&self) -> bool {
        self.adds_begin
    }

    /// The text of tokens. Special tokens write nothing; bytes that are no characters become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut decoder = StreamDecoder::new();
        let plain = tokens.iter().filter(|token| !self.is_special(**token));
        let mut text: String = plain.map(|token| decoder.push(self.token_bytes(*token))).collect();
        text.push_str(&decoder.finish());
        text
    }

    pub(crate) fn markup<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Part<'t>> {
        self.markers.parts(text)
    }

    pub(crate) fn encode_into(&self, text: &str, tokens: &mut Vec<u32>) {
        for piece in self.splitter.split(&self.writable(text)) {
            self.pairs.encode(piece.as_bytes(), &self.pieces, tokens);
        }
    }

    fn writable<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.bytes().all(|byte| self.pairs.has(byte)) {
            return Cow::Borrowed(text);
        }
        let mut buffer = [0; 4];
        let mut writable =
            |character: &char| character.encode_utf8(&mut buffer).bytes().all(|byte| self.pairs.has(byte));
        let replaced = |character| if writable(&character) { character } else { char::REPLACEMENT_CHARACTER };
        Cow::Owned(text.chars().map(replaced).collect())
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vocabulary")
            .field("tokens", &self.len())
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

fn kinds(metadata: &Metadata, tokens: usize) -> Result<Vec<TokenKind>, VocabularyError> {
    let Some(types) = integers(metadata, TYPES, TOKENS_LIMIT)? else { return Ok(vec![TokenKind::Plain; tokens]) };
    if types.len() != tokens {
        let reason = format!("{} types for {tokens} tokens", types.len());
        return Err(VocabularyError::Inconsistent { key: TYPES, reason });
    }
    let kind = |number: &i64| match number {
        1 => Ok(TokenKind::Plain),
        2 => Ok(TokenKind::Unknown),
        3 => Ok(TokenKind::Control),
        4 => Ok(TokenKind::Added),
        5 => Ok(TokenKind::Unused),
        other => Err(VocabularyError::Inconsistent { key: TYPES, reason: format!("there is no token type {other}") }),
    };
    types.iter().map(kind).collect()
}

/// The ends of an answer. What ends one is a control token, also where the file types it as text.
fn ends(metadata: &Metadata, names: &[&str], kinds: &mut [TokenKind]) -> Result<Vec<u32>, VocabularyError> {
    let mut ends = BTreeSet::new();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        ends.extend(token_id(metadata, key, names.len())?);
    }
    for (id, name) in names.iter().enumerate() {
        if ENDS.contains(name) {
            ends.insert(id as u32);
        }
    }
    for end in &ends {
        if let Some(kind) = kinds.get_mut(*end as usize) {
            *kind = TokenKind::Control;
        }
    }
    Ok(ends.into_iter().collect())
}

/// Plain tokens are written in the letters that stand for bytes, all others as they are.
fn pieces(names: &[&str], kinds: &[TokenKind]) -> Result<Pieces, VocabularyError> {
    let mut pieces = Pieces::default();
    for (name, kind) in names.iter().zip(kinds) {
        match kind {
            TokenKind::Plain => pieces.push(&bytes_of(name).unwrap_or_else(|| name.as_bytes().to_vec())),
            TokenKind::Unused => pieces.push(&[]),
            TokenKind::Unknown | TokenKind::Control | TokenKind::Added => pieces.push(name.as_bytes()),
        }
        if pieces.total_bytes() > TOKEN_BYTES_LIMIT {
            let (found, limit) = (pieces.total_bytes(), TOKEN_BYTES_LIMIT);
            return Err(VocabularyError::TooLarge { key: TOKENS, found, limit });
        }
    }
    Ok(pieces)
}

fn plain<'a>(names: &[&'a str], kinds: &[TokenKind]) -> Result<HashMap<&'a str, u32>, VocabularyError> {
    let mut plain = HashMap::with_capacity(names.len());
    for (id, (name, _)) in names.iter().zip(kinds).enumerate().filter(|(_, (_, kind))| **kind == TokenKind::Plain) {
        if let Some(first) = plain.insert(*name, id as u32) {
            let reason = format!("tokens {first} and {id} are the same text");
            return Err(VocabularyError::Inconsistent { key: TOKENS, reason });
        }
    }
    Ok(plain)
}
