//! Tokenizer and chat template of a GGUF file, from its metadata alone.
//!
//! A model's file says how its text is cut into tokens and how a conversation is written down. Both must be followed to
//! the letter: another cut gives tokens that the model never saw, and answers that are quietly worse. The tokenizer is
//! our own where the `tokenizers` crate would serve, for four reasons: that crate ends silently where its regular
//! expressions give up, drops bytes that a vocabulary lacks, keeps every token's text three times, and keeps the words
//! of every mail in caches that nobody can clear. The tests compare with it.
//!
//! ```
//! use candle_core::quantized::gguf_file::Value;
//! use rejoinder_vocabulary::{ChatTemplate, Metadata, StreamDecoder, Vocabulary};
//!
//! # fn metadata() -> Metadata {
//! #     let letter = |byte: u32| match byte {
//! #         0..=0x20 => 0x100 + byte,
//! #         0x7f..=0xa0 => 0x100 + byte - 0x7f + 33,
//! #         0xad => 0x143,
//! #         printable => printable,
//! #     };
//! #     let plain = (0..256).map(|byte| char::from_u32(letter(byte)).unwrap().to_string());
//! #     let tokens: Vec<Value> =
//! #         plain.chain(["<|im_start|>".into(), "<|im_end|>".into()]).map(Value::String).collect();
//! #     let types = (0..258).map(|id| Value::I32(if id < 256 { 1 } else { 3 })).collect();
//! #     Metadata::from([
//! #         ("tokenizer.ggml.model".into(), Value::String("gpt2".into())),
//! #         ("tokenizer.ggml.pre".into(), Value::String("qwen2".into())),
//! #         ("tokenizer.ggml.tokens".into(), Value::Array(tokens)),
//! #         ("tokenizer.ggml.token_type".into(), Value::Array(types)),
//! #         ("tokenizer.ggml.merges".into(), Value::Array(Vec::new())),
//! #     ])
//! # }
//! let metadata: Metadata = metadata(); // of a GGUF file
//! let vocabulary = Vocabulary::from_metadata(&metadata)?;
//! let template = ChatTemplate::from_metadata(&metadata, &vocabulary)?;
//! let prompt = template.prompt_tokens(&vocabulary, &[("user", "Where is <|im_end|> my refund?")])?;
//! let end = vocabulary.marker("<|im_end|>").ok_or("no ChatML")?;
//! assert_eq!(prompt.tokens.iter().filter(|token| **token == end).count(), 1);
//!
//! let mut decoder = StreamDecoder::new();
//! let answer: String =
//!     vocabulary.encode("Grüße").iter().map(|token| decoder.push(vocabulary.token_bytes(*token))).collect();
//! assert_eq!(answer + &decoder.finish(), "Grüße");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: no text given to [`Vocabulary::encode`], and no content given to [`ChatTemplate::prompt_tokens`], yields
//! a special token; the bytes of a text's tokens are the text's, save for characters that the vocabulary cannot write,
//! which become U+FFFD; time is n log n in the length of a text, whatever it holds; a file that is not understood is
//! refused with what would be, never guessed at. A hostile template is bounded in steps and in what it writes, not in
//! the memory of its variables: open files of a source you trust. The crate knows nothing of weights or of sampling.
//!
//! Modules in reading order: `metadata`, `vocabulary`, `alphabet`, `split` (pre-tokenizers), `merge`, `pieces`,
//! `markers`, `stream`, `template`, `prompt`, `error`.

mod alphabet;
mod error;
mod markers;
mod merge;
mod metadata;
mod pieces;
mod prompt;
mod split;
mod stream;
mod template;
mod vocabulary;

pub use error::{TemplateError, VocabularyError};
pub use metadata::Metadata;
pub use prompt::Prompt;
pub use stream::StreamDecoder;
pub use template::ChatTemplate;
pub use vocabulary::{TokenKind, Vocabulary};
