//! The part of an answer that is the same for all providers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Sleep;

use rejoinder_domain::{
    ChatMessage, ErrorKind, FinishReason, GenerateEvent, Generated, OutputFormat, SeamError, TokenUsage, Tool,
    ToolCallPart,
};

use crate::estimate::{estimate_tokens, prompt_tokens};
use crate::failure::{Broken, refused};
use crate::stops::Stops;

/// After the end was said, the end of the response is waited for so long, so that its connection can be used again.
const LINGER: Duration = Duration::from_millis(50);
/// Calls in one answer at most.
const MAX_CALLS: usize = 256;

/// Why a provider says that its answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Stop,
    Length,
    ToolCalls,
    Refused,
    /// For a reason that does not say that it is complete.
    Failed,
}

/// What a request needs to read its answer.
pub(crate) struct Expected {
    pub(crate) name: Arc<str>,
    pub(crate) output: OutputFormat,
    /// The tool whose arguments are the answer.
    pub(crate) answer_tool: bool,
    /// Stop texts that the provider does not know of.
    pub(crate) stops: Vec<String>,
    /// For an estimate, where the provider does not say what the prompt cost.
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) tools: Vec<Tool>,
}

/// Puts an answer together.
pub(crate) struct Writer {
    pub(crate) name: Arc<str>,
    output: OutputFormat,
    answer_tool: bool,
    messages: Vec<ChatMessage>,
    tools: Vec<Tool>,
    stops: Stops,
    /// Everything that the model wrote, for an estimate and for choices.
    written: String,
    /// Tokens of the prompt and how many of them were cached, where the provider says so.
    input: Option<(usize, usize)>,
    /// Tokens of the answer, where it does.
    output_tokens: Option<usize>,
    calls: usize,
    ended: Option<Ended>,
    over: bool,
    events: VecDeque<GenerateEvent>,
}

impl Writer {
    pub(crate) fn new(expected: Expected) -> Self {
        Self {
            name: expected.name,
            output: expected.output,
            answer_tool: expected.answer_tool,
            messages: expected.messages,
            tools: expected.tools,
            stops: Stops::new(expected.stops),
            written: String::new(),
            input: None,
            output_tokens: None,
            calls: 0,
            ended: None,
            over: false,
            events: VecDeque::new(),
        }
    }

    /// Whether the answer's text is the arguments of a tool.
    pub(crate) fn is_answer_tool(&self, name: Option<&str>) -> bool {
        self.answer_tool && name == Some(ANSWER_TOOL)
    }

    /// The next part of the text, as the model writes it beside calls.
    pub(crate) fn text(&mut self, part: String) {
        // What a model says before it calls the tool that takes its answer is not the answer.
        if !self.answer_tool {
            self.answer_text(part);
        }
    }

    /// The next part of the answer's text.
    pub(crate) fn answer_text(&mut self, part: String) {
        if part.is_empty() || self.over {
            return;
        }
        self.written.push_str(&part);
        // A choice is known when it is whole.
        if matches!(self.output, OutputFormat::Choice(_)) {
            return;
        }
        let (text, stopped) = self.stops.push(part);
        if !text.is_empty() {
            self.events.push_back(GenerateEvent::Text(text));
        }
        if stopped {
            self.ended = Some(Ended::Stop);
            self.over = true;
        }
    }

    /// The next part of a call.
    pub(crate) fn call(&mut self, part: ToolCallPart) -> Result<(), SeamError> {
        if part.index >= MAX_CALLS {
            return Err(Broken::NotAnAnswer.error(&self.name));
        }
        self.calls = self.calls.max(part.index + 1);
        self.written.push_str(part.name.as_deref().unwrap_or_default());
        self.written.push_str(&part.arguments);
        self.events.push_back(GenerateEvent::ToolCall(part));
        Ok(())
    }

    /// What the provider says that the prompt cost; later figures replace earlier ones.
    pub(crate) fn input(&mut self, input: usize, cached: usize) {
        self.input = Some((input, cached.min(input)));
    }

    /// What the provider says that the answer cost so far.
    pub(crate) fn output(&mut self, output: usize) {
        self.output_tokens = Some(output);
    }

    pub(crate) fn ended(&mut self, why: Ended) {
        self.ended = Some(why);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Appends [`GenerateEvent::Done`], or says why the answer is none.
    fn finish(&mut self) -> Result<(), SeamError> {
        let finish = match self.ended {
            None => return Err(Broken::BrokeOff.error(&self.name)),
            Some(Ended::Failed) => return Err(Broken::NotAnAnswer.error(&self.name)),
            Some(Ended::Refused) => return Err(refused(&self.name)),
            Some(Ended::Length) => FinishReason::Length,
            // Some servers say that they stop where they wait for tools.
            Some(Ended::Stop | Ended::ToolCalls) if self.calls > 0 => FinishReason::ToolCalls,
            Some(Ended::Stop | Ended::ToolCalls) => FinishReason::Stop,
        };
        if finish == FinishReason::Length && self.output != OutputFormat::Text {
            let message = format!("{}: the answer's form was not complete within its tokens", self.name);
            return Err(SeamError::new(ErrorKind::OutputIncomplete, message));
        }
        if finish != FinishReason::ToolCalls {
            self.choose()?;
        }
        let held = self.stops.finish();
        // After a stop text nothing is left that belongs to the answer.
        if !held.is_empty() && !self.over {
            self.events.push_back(GenerateEvent::Text(held));
        }
        let (input, cached_input) = self.input.unwrap_or_else(|| (prompt_tokens(&self.messages, &self.tools), 0));
        let output = match self.output_tokens {
            Some(output) if !self.over => output,
            // A provider that was left at a stop text has not said all.
            said => said.unwrap_or(0).max(estimate_tokens(&self.written)),
        };
        let usage = TokenUsage { input, cached_input, output };
        self.over = true;
        self.events.push_back(GenerateEvent::Done(Generated { finish, usage }));
        Ok(())
    }

    /// Takes the choice out of the object that it was asked for in.
    fn choose(&mut self) -> Result<(), SeamError> {
        let OutputFormat::Choice(choices) = &self.output else { return Ok(()) };
        let value: Option<serde_json::Value> = serde_json::from_str(&self.written).ok();
        let chosen = value.as_ref().and_then(|value| value.get(CHOICE_FIELD)).and_then(serde_json::Value::as_str);
        let chosen = chosen.unwrap_or(self.written.trim());
        let Some(choice) = choices.iter().find(|choice| choice.as_str() == chosen) else {
            return Err(SeamError::new(
                ErrorKind::OutputInvalid,
                format!("{}: the answer is none of the choices", self.name),
            ));
        };
        if !choice.is_empty() {
            self.events.push_back(GenerateEvent::Text(choice.clone()));
        }
        Ok(())
    }
}

/// The tool that takes an answer in JSON, and the name of the schema.
pub(crate) const ANSWER_TOOL: &str = "answer";
/// The field that holds a choice.
pub(crate) const CHOICE_FIELD: &str = "answer";

/// Reads what one provider sends.
pub(crate) trait Reader {
    /// What comes, breaks of the connection included.
    type Item;

    /// Takes the next of it. True where nothing that matters follows. A break after the answer's end is no failure.
    fn take(&mut self, item: Self::Item, writer: &mut Writer) -> Result<bool, SeamError>;
}

/// An answer while it comes.
pub(crate) struct Answering<S, R> {
    /// None when it is over: the connection is then closed, or was given back.
    source: Option<Pin<Box<S>>>,
    reader: R,
    writer: Writer,
    linger: Option<Pin<Box<Sleep>>>,
    failed: Option<SeamError>,
}

impl<S, R> Answering<S, R> {
    pub(crate) fn new(source: Pin<Box<S>>, reader: R, writer: Writer) -> Self {
        Self { source: Some(source), reader, writer, linger: None, failed: None }
    }

    fn finish(&mut self) {
        self.source = None;
        self.failed = self.writer.finish().err();
    }
}

// Nothing in it is pinned by its place: what is polled is boxed.
impl<S, R> Unpin for Answering<S, R> {}

impl<S, R> Stream for Answering<S, R>
where
    S: Stream<Item = R::Item>,
    R: Reader,
{
    type Item = Result<GenerateEvent, SeamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.writer.events.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if let Some(error) = this.failed.take() {
                return Poll::Ready(Some(Err(error)));
            }
            let Some(source) = this.source.as_mut() else { return Poll::Ready(None) };
            if this.writer.over {
                // Our own stop text: the rest is not wanted, and leaving stops the model.
                this.finish();
                continue;
            }
            let polled = source.as_mut().poll_next(context);
            if let Some(linger) = this.linger.as_mut() {
                // The provider has said that all was said; only the end of the response is missing.
                let patience_ends = linger.as_mut().poll(context).is_ready();
                match polled {
                    Poll::Ready(Some(_)) if !patience_ends => continue,
                    Poll::Pending if !patience_ends => return Poll::Pending,
                    _ => this.finish(),
                }
                continue;
            }
            match std::task::ready!(polled) {
                Some(item) => match this.reader.take(item, &mut this.writer) {
                    Ok(false) => {}
                    Ok(true) => this.linger = Some(Box::pin(tokio::time::sleep(LINGER))),
                    Err(error) => {
                        this.source = None;
                        this.failed = Some(error);
                    }
                },
                None => this.finish(),
            }
        }
    }
}
