//! An answer of the model, before it is put into a provider's words.

use bytes::Bytes;
use serde_json::Value;

use crate::script::{Answer, ScriptedCall, Usage, counted_tokens};
use crate::{Failure, Received};

/// Why the model stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Done,
    Length,
    ToolCalls,
    Filtered,
    Refused,
}

/// An answer with everything decided.
pub(crate) struct Turn {
    pub(crate) number: usize,
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<ScriptedCall>,
    pub(crate) reasoning: Option<String>,
    pub(crate) stop: Stop,
    pub(crate) input: usize,
    pub(crate) cached: usize,
    pub(crate) output: usize,
    pub(crate) tells_usage: bool,
    pub(crate) chunk_chars: usize,
}

impl Turn {
    pub(crate) fn new(answer: &Answer, failure: Option<&Failure>, received: &Received) -> Self {
        let mut text = match failure {
            Some(Failure::WrongSchema) => r#"{"unexpected":[1,2,3]}"#.to_owned(),
            _ => answer.content.resolve(received),
        };
        let mut calls = answer.tool_calls.clone();
        // A forced tool is called with what would have been the answer: so structured output by a tool looks.
        if let Some(name) = received.forced_tool()
            && calls.is_empty()
            && let Ok(arguments) = serde_json::from_str::<Value>(&text)
        {
            calls.push(ScriptedCall { id: "call_1".into(), name: name.to_owned(), arguments });
            text.clear();
        }
        let mut stop = if calls.is_empty() { Stop::Done } else { Stop::ToolCalls };
        if let Some(limit) = received.max_tokens()
            && counted_tokens(&text) > limit
        {
            text = text.chars().take(limit.saturating_mul(4)).collect();
            stop = Stop::Length;
        }
        match failure {
            Some(Failure::ContentFilter { .. }) => stop = Stop::Filtered,
            Some(Failure::Refusal) => stop = Stop::Refused,
            _ => {}
        }
        let written = counted_tokens(&text)
            + calls.iter().map(|call| counted_tokens(&call.arguments.to_string())).sum::<usize>()
            + answer.reasoning.as_deref().map_or(0, counted_tokens);
        let (input, cached, output) = match answer.usage {
            Usage::Fixed { input, cached, output } => (input, cached, output),
            Usage::Counted | Usage::Untold => (counted_tokens(&received.prompt_text()), 0, written),
        };
        Self {
            number: received.number,
            model: received.model().to_owned(),
            text,
            calls,
            reasoning: answer.reasoning.clone(),
            stop,
            input,
            cached,
            output,
            tells_usage: answer.usage != Usage::Untold,
            chunk_chars: answer.chunk_chars.max(1),
        }
    }
}

/// A part of a stream.
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Tokens delivered with it, in a chunk of the answer.
    pub(crate) chunk: Option<usize>,
}

impl Piece {
    pub(crate) fn frame(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), chunk: None }
    }

    pub(crate) fn chunk(bytes: impl Into<Bytes>, text: &str) -> Self {
        Self { bytes: bytes.into(), chunk: Some(counted_tokens(text)) }
    }
}

/// `text` in parts of `chars` characters; none of an empty text.
pub(crate) fn parts(text: &str, chars: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.chunks(chars.max(1)).map(|part| part.iter().collect()).collect()
}

/// The chunks of a text: `event` is written once around a mark, and every part takes the mark's place.
pub(crate) fn chunks(parts: &[String], event: &str, pieces: &mut Vec<Piece>) {
    let (before, after) = event.split_once(MARK).unwrap_or((event, ""));
    pieces.extend(parts.iter().map(|part| {
        let text = Value::from(part.as_str());
        Piece::chunk(format!("{before}{text}{after}"), part)
    }));
}

/// Stands for a text in an event, with its quotation marks.
const MARK: &str = "\"(a part)\"";
/// The same as a value.
pub(crate) const MARKED: &str = "(a part)";
