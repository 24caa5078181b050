//! What an answer consists of, <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use rejoinder_domain::{SeamError, ToolCallPart};

use crate::answer::{Ended, Reader, Writer};
use crate::failure::{Broken, of_event};
use crate::sse::Event;

/// An event, or a whole answer, which is told by its type as well. Only what is used is read.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    index: Option<usize>,
    message: Option<Start>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<Usage>,
    error: Option<Value>,
    /// Of a whole answer.
    content: Option<Vec<Block>>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Start {
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "input_tokens")]
    input: Option<usize>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Option<usize>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<usize>,
    #[serde(rename = "output_tokens")]
    output: Option<usize>,
}

/// What a block of the content is, by its index.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Answer,
    /// Which call of the answer.
    Call(usize),
    /// Thoughts, and whatever will be invented.
    Other,
}

/// Puts events together.
#[derive(Default)]
pub(crate) struct MessageReader {
    blocks: BTreeMap<usize, Kind>,
    calls: usize,
}

/// Blocks in one answer at most.
const MAX_BLOCKS: usize = 1024;

impl Reader for MessageReader {
    type Item = Result<Event, Broken>;

    fn take(&mut self, event: Result<Event, Broken>, writer: &mut Writer) -> Result<bool, SeamError> {
        let event = match event {
            Ok(event) => event,
            Err(_) if writer.has_ended() => return Ok(true),
            Err(broken) => return Err(broken.error(&writer.name)),
        };
        let said: Said = serde_json::from_str(&event.data).map_err(|_| Broken::NotAnAnswer.error(&writer.name))?;
        if let Some(usage) = said.usage.as_ref().or_else(|| said.message.as_ref()?.usage.as_ref()) {
            tell_usage(usage, writer);
        }
        match said.kind.as_str() {
            "content_block_start" => {
                let (index, block) =
                    said.index.zip(said.content_block).ok_or_else(|| Broken::NotAnAnswer.error(&writer.name))?;
                self.start(index, block, writer)?;
            }
            "content_block_delta" => {
                let (index, delta) =
                    said.index.zip(said.delta).ok_or_else(|| Broken::NotAnAnswer.error(&writer.name))?;
                self.delta(index, delta, writer)?;
            }
            "message_delta" => stop(said.delta.and_then(|delta| delta.stop_reason).as_deref(), writer),
            "message_stop" => return Ok(true),
            "error" => return Err(of_event(&writer.name, said.error.as_ref().unwrap_or(&Value::Null))),
            "message" => {
                for (index, block) in said.content.unwrap_or_default().into_iter().enumerate() {
                    self.whole(index, block, writer)?;
                }
                stop(said.stop_reason.as_deref(), writer);
            }
            // The documentation asks clients to pass over events that they do not know, such as `ping`.
            _ => {}
        }
        Ok(false)
    }
}

impl MessageReader {
    fn start(&mut self, index: usize, block: Block, writer: &mut Writer) -> Result<(), SeamError> {
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(Broken::NotAnAnswer.error(&writer.name));
        }
        let kind = match block.kind.as_str() {
            "text" => Kind::Text,
            "tool_use" if writer.is_answer_tool(block.name.as_deref()) => Kind::Answer,
            "tool_use" => Kind::Call(self.calls),
            _ => Kind::Other,
        };
        self.blocks.insert(index, kind);
        match kind {
            Kind::Text => writer.text(block.text.unwrap_or_default()),
            Kind::Call(call) => {
                self.calls += 1;
                writer.call(ToolCallPart { index: call, id: block.id, name: block.name, arguments: String::new() })?;
            }
            Kind::Answer | Kind::Other => {}
        }
        Ok(())
    }

    fn delta(&mut self, index: usize, delta: Delta, writer: &mut Writer) -> Result<(), SeamError> {
        let kind = self.blocks.get(&index).copied().ok_or_else(|| Broken::NotAnAnswer.error(&writer.name))?;
        match (kind, delta.kind.as_deref()) {
            (Kind::Text, Some("text_delta")) => writer.text(delta.text.unwrap_or_default()),
            (Kind::Answer, Some("input_json_delta")) => writer.answer_text(delta.partial_json.unwrap_or_default()),
            (Kind::Call(call), Some("input_json_delta")) => {
                let arguments = delta.partial_json.unwrap_or_default();
                if !arguments.is_empty() {
                    writer.call(ToolCallPart { index: call, arguments, ..ToolCallPart::default() })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A block of an answer that was not streamed.
    fn whole(&mut self, index: usize, mut block: Block, writer: &mut Writer) -> Result<(), SeamError> {
        let input = block.input.take();
        self.start(index, block, writer)?;
        let (Some(kind), Some(input)) = (self.blocks.get(&index).copied(), input) else { return Ok(()) };
        match kind {
            Kind::Answer => writer.answer_text(input.to_string()),
            Kind::Call(call) => {
                writer.call(ToolCallPart { index: call, arguments: input.to_string(), ..ToolCallPart::default() })?;
            }
            Kind::Text | Kind::Other => {}
        }
        Ok(())
    }
}

/// What was read from a cache or written to one is not among the input tokens here, and is among ours.
fn tell_usage(usage: &Usage, writer: &mut Writer) {
    if let Some(input) = usage.input {
        let cached = usage.cache_read.unwrap_or(0);
        writer.input(input + cached + usage.cache_creation.unwrap_or(0), cached);
    }
    if let Some(output) = usage.output {
        writer.output(output);
    }
}

fn stop(reason: Option<&str>, writer: &mut Writer) {
    match reason {
        None => {}
        Some("max_tokens" | "model_context_window_exceeded") => writer.ended(Ended::Length),
        Some("tool_use") => writer.ended(Ended::ToolCalls),
        Some("refusal") => writer.ended(Ended::Refused),
        Some("end_turn" | "stop_sequence") => writer.ended(Ended::Stop),
        // `pause_turn`, which only tools bring about that run at the provider, and whatever is invented.
        Some(_) => writer.ended(Ended::Failed),
    }
}
