//! Suggest a reply, extract attributes: the application logic of Rejoinder.
//!
//! A ticket comes in; what the firm answered to the most similar message goes out as a draft, fitted to this ticket and
//! with everything marked that belongs to the earlier case. Every quotation is verified against the message it names.
//!
//! ```
//! use rejoinder_assist::AssistConfig;
//!
//! assert_eq!(AssistConfig::default().validate(), Ok(()));
//! ```
//!
//! Invariants: assist knows traits only (`VectorStore`, [`QueryEmbedder`], [`MessageLookup`], [`TextCleaner`]), no database, no
//! model, no HTTP, no async runtime; no draft keeps a figure, date, name, identifier or link of an earlier case without a
//! mark; confidence comes from similarity and checks; nothing here logs text.
//!
//! Modules in reading order: `ticket`, `seams`, `config`, `error`, [`recognise`], [`suggest`], [`extract`], `assist`.

mod assist;
mod config;
#[cfg(test)]
mod corpus;
mod error;
pub mod extract;
#[cfg(test)]
mod fakes;
pub mod recognise;
mod seams;
pub mod suggest;
mod ticket;

pub use assist::{Assist, AssistParts, SearchRequest, SearchResult};
pub use config::{AssistConfig, RequestLimits};
pub use error::{AssistError, SchemaError};
pub use extract::{Change, Evidence, ExtractAnswer, ExtractInput, ExtractRequest};
pub use seams::{InlineEmbedder, MessageLookup, QueryEmbedder, TextCleaner};
pub use suggest::answer::{
    Attempt, Check, Citation, NoSuggestion, Retrieval, SuggestAnswer, SuggestRequest, Suggestion, Timings, Usage,
};
pub use suggest::confidence::calibrate;
pub use ticket::{Customer, Ticket, TicketDirection, TicketMessage};
