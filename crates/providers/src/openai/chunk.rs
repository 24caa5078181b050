//! What an answer consists of, <https://platform.openai.com/docs/api-reference/chat/streaming>.
//!
//! Only what is used is read, and everything may be missing or null: no two servers send the same.

use serde::Deserialize;
use serde_json::Value;

use rejoinder_domain::{SeamError, ToolCallPart};

use crate::answer::{Ended, Reader, Writer};
use crate::failure::{Broken, of_event};
use crate::thoughts::Thoughts;

/// An event in a frame of ours: what the provider said cannot be taken for what we say about it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Framed {
    /// A chunk, or a whole answer.
    Chunk(Box<Chunk>),
    /// An event that says of itself that it is an error.
    Error(Value),
    /// There will be no more that is a chunk.
    Broken(Broken),
    /// The provider said that it is done.
    Done,
}

#[derive(Deserialize)]
pub(crate) struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
    /// `error` where an old vLLM fails.
    object: Option<Value>,
    message: Option<Value>,
    code: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

/// A text; or parts, of which some are thoughts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    index: Option<usize>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<usize>,
    completion_tokens: Option<usize>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<usize>,
}

/// Puts chunks together.
#[derive(Default)]
pub(crate) struct ChunkReader {
    /// The calls in the order in which they began: the server's index, the id, and whether it is the answer.
    calls: Vec<(usize, Option<String>, bool)>,
    thoughts: Thoughts,
}

impl Reader for ChunkReader {
    type Item = Result<Framed, SeamError>;

    fn take(&mut self, frame: Result<Framed, SeamError>, writer: &mut Writer) -> Result<bool, SeamError> {
        match frame? {
            Framed::Chunk(chunk) => self.chunk(*chunk, writer).map(|()| false),
            Framed::Error(error) => Err(of_event(&writer.name, &error)),
            Framed::Broken(_) if writer.has_ended() => Ok(true),
            Framed::Broken(broken) => Err(broken.error(&writer.name)),
            Framed::Done => Ok(true),
        }
    }
}

impl ChunkReader {
    fn chunk(&mut self, chunk: Chunk, writer: &mut Writer) -> Result<(), SeamError> {
        if let Some(error) = chunk.error {
            return Err(of_event(&writer.name, &error));
        }
        if chunk.object == Some(Value::from("error")) {
            let error = serde_json::json!({"message": chunk.message, "code": chunk.code});
            return Err(of_event(&writer.name, &error));
        }
        if let Some(usage) = chunk.usage {
            let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
            if let Some(input) = usage.prompt_tokens {
                writer.input(input, cached);
            }
            if let Some(output) = usage.completion_tokens {
                writer.output(output);
            }
        }
        // One answer is asked for; a server that sends more is not listened to.
        let choices = chunk.choices.unwrap_or_default();
        for choice in choices.into_iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            if let Some(delta) = choice.delta {
                self.delta(delta, writer)?;
            }
            if choice.finish_reason.is_some() {
                writer.text(self.thoughts.finish());
            }
            match choice.finish_reason.as_deref() {
                None | Some("") => {}
                Some("stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence") => writer.ended(Ended::Stop),
                Some("length" | "max_tokens" | "model_length") => writer.ended(Ended::Length),
                Some("tool_calls" | "function_call") => writer.ended(Ended::ToolCalls),
                Some("content_filter") => writer.ended(Ended::Refused),
                // `error`, `abort`, and whatever is invented: nobody knows whether the answer is complete.
                Some(_) => writer.ended(Ended::Failed),
            }
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta, writer: &mut Writer) -> Result<(), SeamError> {
        if delta.refusal.is_some_and(|refusal| !refusal.is_empty()) {
            return Err(crate::failure::refused(&writer.name));
        }
        match delta.content {
            None => {}
            Some(Content::Text(text)) => writer.text(self.thoughts.push(text)),
            Some(Content::Parts(parts)) => {
                for part in parts.into_iter().filter(|part| part.kind.as_deref().is_none_or(|kind| kind == "text")) {
                    writer.text(self.thoughts.push(part.text.unwrap_or_default()));
                }
            }
        }
        for (position, call) in delta.tool_calls.unwrap_or_default().into_iter().enumerate() {
            self.call(position, call, writer)?;
        }
        Ok(())
    }

    fn call(&mut self, position: usize, call: Call, writer: &mut Writer) -> Result<(), SeamError> {
        // A whole answer does not number its calls.
        let theirs = call.index.unwrap_or(position);
        let (name, arguments) = call.function.map_or((None, None), |function| (function.name, function.arguments));
        let name = name.filter(|name| !name.is_empty());
        let arguments = arguments.unwrap_or_default();
        let id = call.id.filter(|id| !id.is_empty());
        // Some servers give every call the same number, and tell them apart by their ids.
        let known = self
            .calls
            .iter()
            .rposition(|(index, known, _)| *index == theirs && (id.is_none() || known.is_none() || *known == id));
        let index = known.unwrap_or(self.calls.len());
        if known.is_none() {
            let answers = writer.is_answer_tool(name.as_deref());
            self.calls.push((theirs, id.clone(), answers));
        }
        if self.calls.get(index).is_some_and(|(_, _, answers)| *answers) {
            writer.answer_text(arguments);
            return Ok(());
        }
        let before = self.calls.iter().take(index).filter(|(_, _, answers)| *answers).count();
        let (id, name) = if known.is_none() { (id, name) } else { (None, None) };
        writer.call(ToolCallPart { index: index - before, id, name, arguments })
    }
}
