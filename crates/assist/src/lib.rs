//! Suggest a reply, extract attributes: the application logic of Rejoinder.
//!
//! A ticket comes in; what the firm answered to the most similar message goes out as a draft, fitted to this ticket and
//! with everything marked that belongs to the earlier case. A language model, where there is one, writes a better draft
//! from the same mail and fills what recognisers do not find; nothing that it says is trusted that the mail does not
//! say. Every quotation is verified against the message it names.
//!
//! ```
//! use rejoinder_assist::AssistConfig;
//!
//! assert_eq!(AssistConfig::default().validate(), Ok(()));
//! ```
//!
//! Invariants: assist knows traits only (`VectorStore`, `LanguageModel`, [`QueryEmbedder`], [`MessageLookup`],
//! [`ReplyHistory`], [`TextCleaner`], [`Timer`]), no database, no weights, no HTTP, no async runtime; no draft keeps a figure, date, name,
//! identifier or link of an earlier case without a mark (a language model may repeat a rule that it cites: figures that
//! stand in a verified quotation and not in the question that was answered there); mail in a prompt is fenced and cannot
//! end its fence; a language model that fails costs time and never the answer; confidence comes from similarity and
//! checks; nothing here logs text.
//!
//! Modules in reading order: `ticket`, `caller`, `seams`, `config`, `error`, `sentence`, `prompt`, `generation`,
//! [`suggest`], [`extract`], `assist`. The prompts themselves are files in `prompts/`.

mod assist;
mod caller;
mod config;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod corpus_model;
mod error;
pub mod extract;
#[cfg(test)]
mod fakes;
mod generation;
mod prompt;
mod seams;
mod sentence;
pub mod suggest;
mod ticket;

pub use assist::{Assist, AssistParts, SearchRequest, SearchResult};
pub use caller::Caller;
pub use config::{AssistConfig, DraftConfig, FillConfig, RequestLimits};
pub use error::{AssistError, SchemaError};
pub use extract::{Agreement, Change, Evidence, ExtractAnswer, ExtractInput, ExtractRequest, Origin};
pub use seams::{InlineEmbedder, MessageLookup, QueryEmbedder, Rejection, ReplyHistory, TextCleaner, Timer};
pub use suggest::answer::{
    AskedQuestion, Attempt, Check, Citation, NoSuggestion, Retrieval, SuggestAnswer, SuggestRequest, Suggestion,
    Timings, Usage,
};
pub use suggest::confidence::calibrate;
pub use suggest::observe::{SuggestEvent, SuggestObserver};
pub use ticket::{Customer, Ticket, TicketDirection, TicketMessage};
