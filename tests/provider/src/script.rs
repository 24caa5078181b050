//! What the provider does, request by request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::{Failure, Mixture, Received};

/// What the provider does with its requests, in the order in which they arrive.
pub struct Script(Box<dyn FnMut(&Received) -> Behaviour + Send>);

impl Script {
    /// The same for all.
    pub fn always(behaviour: impl Into<Behaviour>) -> Self {
        let behaviour = behaviour.into();
        Self(Box::new(move |_| behaviour.clone()))
    }

    /// One after the other; the last one again and again. An empty sequence echoes.
    pub fn sequence<B: Into<Behaviour>>(behaviours: impl IntoIterator<Item = B>) -> Self {
        let mut left: VecDeque<Behaviour> = behaviours.into_iter().map(Into::into).collect();
        Self(Box::new(move |_| match left.len() {
            0 => Answer::echo().into(),
            1 => left.front().cloned().unwrap_or_else(|| Answer::echo().into()),
            _ => left.pop_front().unwrap_or_else(|| Answer::echo().into()),
        }))
    }

    /// Whatever the function says of the request; [`Received::number`] counts from 0.
    pub fn each(function: impl FnMut(&Received) -> Behaviour + Send + 'static) -> Self {
        Self(Box::new(function))
    }

    /// Answers and failures at random; which request fails how depends on the seed and its number alone.
    pub fn mixture(mixture: Mixture) -> Self {
        Self(Box::new(move |received| mixture.behaviour(received)))
    }

    pub(crate) fn next(&mut self, received: &Received) -> Behaviour {
        (self.0)(received)
    }
}

/// What the provider does with one request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// It answers.
    Answer(Answer),
    /// It fails; where the failure begins as an answer, as this one.
    Fail(Failure, Answer),
}

impl From<Answer> for Behaviour {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<Failure> for Behaviour {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure, Answer::echo())
    }
}

/// An answer and how it is delivered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The text.
    pub content: Content,
    /// The calls that the model asks for, after the text.
    pub tool_calls: Vec<ScriptedCall>,
    /// What the model thinks before it answers; no part of the answer.
    pub reasoning: Option<String>,
    /// What is charged.
    pub usage: Usage,
    /// Characters in a streamed chunk, at least 1.
    pub chunk_chars: usize,
    /// Wait before the headers are sent.
    pub first_delay: Duration,
    /// Wait between two chunks.
    pub chunk_delay: Duration,
}

impl Answer {
    /// The last message of the user.
    pub fn echo() -> Self {
        Self::of(Content::EchoLastUser)
    }

    /// This text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Content::Text(text.into()))
    }

    /// This value, as text; as the arguments of the tool that the request forces, where it forces one.
    pub fn json(value: Value) -> Self {
        Self::of(Content::Json(value))
    }

    /// What the function makes of the request.
    pub fn computed(function: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        Self::of(Content::Computed(Computed(Arc::new(function))))
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            tool_calls: Vec::new(),
            reasoning: None,
            usage: Usage::Counted,
            chunk_chars: 8,
            first_delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
        }
    }

    /// Asks for this call too.
    #[must_use]
    pub fn with_call(mut self, name: &str, arguments: Value) -> Self {
        let id = format!("call_{}", self.tool_calls.len() + 1);
        self.tool_calls.push(ScriptedCall { id, name: name.into(), arguments });
        self
    }

    /// Thinks this before.
    #[must_use]
    pub fn with_reasoning(mut self, text: &str) -> Self {
        self.reasoning = Some(text.into());
        self
    }

    /// Charges this.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Streams so many characters at a time.
    #[must_use]
    pub fn in_chunks_of(mut self, chars: usize) -> Self {
        self.chunk_chars = chars.max(1);
        self
    }

    /// Waits before the headers and between two chunks.
    #[must_use]
    pub fn with_delays(mut self, first: Duration, between: Duration) -> Self {
        self.first_delay = first;
        self.chunk_delay = between;
        self
    }
}

/// Where an answer's text comes from.
#[derive(Clone, Debug)]
pub enum Content {
    /// The test.
    Text(String),
    /// The test, as JSON.
    Json(Value),
    /// The last message of the user.
    EchoLastUser,
    /// A function of the request.
    Computed(Computed),
}

/// A function from a request to the text of its answer.
#[derive(Clone)]
pub struct Computed(Arc<dyn Fn(&Received) -> String + Send + Sync>);

impl std::fmt::Debug for Computed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Computed(..)")
    }
}

impl Content {
    pub(crate) fn resolve(&self, received: &Received) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Json(value) => value.to_string(),
            Self::EchoLastUser => received.last_user_text(),
            Self::Computed(function) => (function.0)(received),
        }
    }
}

/// A call that the model asks for.
#[derive(Clone, Debug)]
pub struct ScriptedCall {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments.
    pub arguments: Value,
}

/// What is charged for an answer, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A token for every four characters of the prompt's texts and of the answer, rounded up.
    Counted,
    /// So many for a whole answer; an answer that breaks off costs a token for every four characters delivered.
    Fixed {
        /// Tokens of the prompt, with those that were cached.
        input: usize,
        /// Tokens of the prompt that were cached.
        cached: usize,
        /// Tokens of the answer.
        output: usize,
    },
    /// Counted, and not told.
    Untold,
}

/// Tokens of a text at four characters each.
pub fn counted_tokens(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}
