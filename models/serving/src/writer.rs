//! From tokens to the caller: bytes to characters, stop texts, the form, the count.

use std::sync::Arc;

use rejoinder_domain::{ErrorKind, FinishReason, GenerateEvent, Generated, SeamError, TokenUsage};
use rejoinder_grammar::{Matcher, TokenMask};
use rejoinder_vocabulary::{StreamDecoder, Vocabulary};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::internal;
use crate::form::{FormError, MaskThread, PendingMasks};
use crate::sampler::Sampler;
use crate::stop::StopTexts;
use crate::stream::Event;

/// Writes one answer.
#[derive(Debug)]
pub(crate) struct Writer {
    vocabulary: Arc<Vocabulary>,
    sender: UnboundedSender<Event>,
    sampler: Sampler,
    characters: StreamDecoder,
    stops: StopTexts,
    stopped: bool,
    /// Absent where any text will do, and while it travels.
    matcher: Option<Matcher>,
    has_form: bool,
    written: usize,
    forced: usize,
    max_tokens: usize,
}

/// What a writer is made of.
#[derive(Debug)]
pub(crate) struct WriterParts {
    /// Bytes of tokens, and which of them end an answer.
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// The caller.
    pub(crate) sender: UnboundedSender<Event>,
    /// How tokens are chosen.
    pub(crate) sampler: Sampler,
    /// Where the answer ends early.
    pub(crate) stop: Vec<String>,
    /// The form, if one is required.
    pub(crate) matcher: Option<Matcher>,
    /// Tokens at most.
    pub(crate) max_tokens: usize,
}

/// What follows a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The next one.
    More,
    /// The end.
    End(FinishReason),
}

impl Writer {
    /// A writer that has written nothing.
    pub(crate) fn new(parts: WriterParts) -> Self {
        Self {
            vocabulary: parts.vocabulary,
            sender: parts.sender,
            sampler: parts.sampler,
            characters: StreamDecoder::new(),
            stops: StopTexts::new(parts.stop),
            stopped: false,
            has_form: parts.matcher.is_some(),
            matcher: parts.matcher,
            written: 0,
            forced: 0,
            max_tokens: parts.max_tokens,
        }
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Tokens written.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Tokens written that the form left no choice about.
    pub(crate) fn forced(&self) -> usize {
        self.forced
    }

    /// Tokens that may still be written.
    pub(crate) fn room(&self) -> usize {
        self.max_tokens.saturating_sub(self.written)
    }

    /// How many of the proposed tokens the form would allow.
    pub(crate) fn allowed(&mut self, proposed: &[u32]) -> Result<usize, SeamError> {
        match &mut self.matcher {
            Some(matcher) => matcher.allowed_prefix(proposed).map_err(|error| form_failed(error.into())),
            None => Ok(proposed.len()),
        }
    }

    /// Sends the matcher to the thread for the masks along `proposed`. `None` where any text will do.
    pub(crate) fn begin_masks(&mut self, thread: &MaskThread, proposed: Vec<u32>) -> Option<PendingMasks> {
        self.matcher.take().map(|matcher| thread.begin(matcher, proposed))
    }

    /// Takes the matcher back. The masks are empty where any text will do.
    pub(crate) fn take_masks(&mut self, pending: Option<PendingMasks>) -> Result<Vec<TokenMask>, SeamError> {
        let Some(pending) = pending else { return Ok(Vec::new()) };
        let (matcher, masks) = pending.wait();
        self.matcher = matcher;
        masks.map_err(form_failed)
    }

    /// Chooses the next token. `None` is the end of the answer.
    pub(crate) fn choose(&self, logits: &mut [f32], mask: Option<&TokenMask>) -> Result<Option<u32>, SeamError> {
        if self.has_form && mask.is_none() {
            return Err(internal("the mask of the required form is missing"));
        }
        let token = self
            .sampler
            .choose(logits, mask, self.written)
            .ok_or_else(|| internal("the model's logits are not numbers, or the required form allows no token"))?;
        Ok((!self.vocabulary.end_tokens().contains(&token)).then_some(token))
    }

    /// Writes a token that was chosen.
    pub(crate) fn write(&mut self, token: u32) -> Result<Flow, SeamError> {
        if let Some(matcher) = &mut self.matcher {
            matcher.accept(token).map_err(|error| form_failed(error.into()))?;
        }
        self.sampler.record(token);
        self.written += 1;
        // Other control tokens than the end are no part of the text, but they count: they cost a step each.
        let bytes = if self.vocabulary.is_special(token) { &[] } else { self.vocabulary.token_bytes(token) };
        let text = self.characters.push(bytes);
        let passed = self.stops.push(&text);
        self.send_text(passed.text);
        self.stopped = passed.stopped;
        if self.stopped || self.matcher.as_mut().is_some_and(Matcher::is_complete) {
            Ok(Flow::End(FinishReason::Stop))
        } else if self.room() == 0 {
            Ok(Flow::End(FinishReason::Length))
        } else {
            Ok(Flow::More)
        }
    }

    /// Writes what the form forces next, and says what that was.
    pub(crate) fn write_forced(&mut self) -> Result<(Vec<u32>, Flow), SeamError> {
        let mut tokens = Vec::new();
        let mut flow = Flow::More;
        while flow == Flow::More {
            let forced = self.matcher.as_mut().map(Matcher::forced_tokens).unwrap_or_default();
            if forced.is_empty() {
                break;
            }
            for token in forced {
                flow = self.write(token)?;
                self.forced += 1;
                tokens.push(token);
                if flow != Flow::More {
                    break;
                }
            }
        }
        Ok((tokens, flow))
    }

    /// Writes what was held back, and says what [`Self::end`] is to tell the caller.
    pub(crate) fn finish(
        &mut self,
        reason: FinishReason,
        input: usize,
        cached_input: usize,
    ) -> Result<Generated, SeamError> {
        if reason == FinishReason::Length && self.matcher.as_mut().is_some_and(|matcher| !matcher.may_end()) {
            let message = format!("the answer did not have the required form within {} tokens", self.max_tokens);
            return Err(SeamError::new(ErrorKind::OutputIncomplete, message));
        }
        if !self.stopped {
            let rest = self.characters.finish();
            let passed = self.stops.push(&rest);
            self.send_text(passed.text);
            let held = self.stops.finish();
            self.send_text(held);
        }
        let usage = TokenUsage { input, cached_input, output: self.written };
        Ok(Generated { finish: reason, usage })
    }

    /// Ends the answer.
    pub(crate) fn end(&self, outcome: Result<Generated, SeamError>) {
        self.send(outcome.map(GenerateEvent::Done));
    }

    fn send_text(&self, text: String) {
        if !text.is_empty() {
            self.send(Ok(GenerateEvent::Text(text)));
        }
    }

    fn send(&self, event: Event) {
        // A closed channel means that nobody listens; `is_abandoned` tells the scheduler.
        let _ = self.sender.send(event);
    }
}

fn form_failed(error: FormError) -> SeamError {
    let kind = match &error {
        FormError::Grammar(grammar) if grammar.is_callers() => ErrorKind::Invalid,
        FormError::Grammar(_) | FormError::Lost => ErrorKind::Internal,
    };
    SeamError::new(kind, "the required form could not be followed").caused_by(error)
}
