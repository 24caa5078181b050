//! Constrained decoding: JSON Schema, regular expressions and choices as masks over a model's tokens.
//!
//! A small model that is asked for JSON writes something like JSON. Here it cannot write anything else: before each
//! token the [`Matcher`] says which tokens keep the text on the way to the required form, and the others get no
//! probability. What must come next anyway (the names of properties, punctuation) comes as forced tokens, for which the
//! model is not asked at all. llguidance does the parsing; this crate gives it the tokenizer, and stands between it and
//! schemas of strangers: nothing that constrains is silently relaxed, nothing that is left open is unbounded, and no
//! schema costs more than [`Limits`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use rejoinder_grammar::{Grammar, GrammarFactory, GrammarOptions, TokenTable};
//!
//! // A vocabulary of single bytes; token 256 ends an answer.
//! let mut table = TokenTable::new(257, &[256])?;
//! for byte in 0..=255u8 {
//!     table.set_text(u32::from(byte), &[byte])?;
//! }
//! let encode = |text: &str| text.bytes().map(u32::from).collect();
//! let factory = GrammarFactory::new(&table, Arc::new(encode))?;
//!
//! let schema = serde_json::json!({"type": "object", "properties": {"days": {"type": "integer", "minimum": 1,
//!     "maximum": 9}}, "required": ["days"], "additionalProperties": false});
//! let mut matcher = factory.matcher(&Grammar::Json(schema), &GrammarOptions::default())?;
//! let mut text = String::new();
//! while !matcher.is_complete() {
//!     let mut next = matcher.forced_tokens();
//!     if next.is_empty() {
//!         let mut logits = vec![0.0; 257];
//!         matcher.mask()?.apply(&mut logits);
//!         // A real generator asks the model; this one takes the first token that is allowed.
//!         next = logits.iter().position(|logit| logit.is_finite()).map(|token| token as u32).into_iter().collect();
//!     }
//!     for token in next {
//!         matcher.accept(token)?;
//!         text.push(char::from(token as u8));
//!     }
//! }
//! assert_eq!(text, r#"{"days": 1}"#);
//! # Ok::<(), rejoinder_grammar::GrammarError>(())
//! ```
//!
//! Invariants: what follows the masks to [`Matcher::is_complete`] has the form, always; a form that cannot be honoured
//! is an error that names the keyword and its place, never a wider form; properties come in the order of the schema;
//! masks, forced tokens and speculation agree with each other; a refused token changes nothing. With caps every
//! generated value ends by itself, but for recursive schemas and objects that both name optional properties and
//! describe others: those end at the generator's limit on tokens. The crate knows nothing of models, sampling or
//! requests.
//!
//! Modules in reading order: [`factory`], [`matcher`], [`mask`], [`tokens`], [`options`], `schema` (from JSON Schema to
//! the engine's dialect), `engine`, [`mod@walk`], [`error`].

mod engine;
pub mod error;
pub mod factory;
pub mod mask;
pub mod matcher;
pub mod options;
mod schema;
pub mod tokens;
pub mod walk;

pub use error::GrammarError;
pub use factory::{Grammar, GrammarFactory};
pub use mask::TokenMask;
pub use matcher::{Matcher, Speculation};
pub use options::{Caps, GrammarOptions, Limits, Spacing};
pub use tokens::{Encode, TokenTable};
pub use walk::{Verdict, Walk, walk};
