//! From a question to a request that can be run: tokens, form, sampler. It happens on a thread of its own, so that neither
//! the caller's runtime nor the inference thread waits for a tokenizer or a grammar compiler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rejoinder_domain::{ChatMessage, ChatRole, ErrorKind, GenerateRequest, OutputFormat, SeamError, TenantId};
use rejoinder_grammar::{Grammar, GrammarError, GrammarFactory, GrammarOptions, Matcher, TokenTable};
use rejoinder_vocabulary::{ChatTemplate, Prompt, TokenKind, Vocabulary};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::error::{ServingError, internal, invalid};
use crate::lookup::Lookup;
use crate::queue::{Inbox, Place, closed};
use crate::sampler::Sampler;
use crate::scheduler::{Clock, Order};
use crate::sequence::Request;
use crate::stream::Event;
use crate::writer::{Writer, WriterParts};

/// Compiled forms that are kept; extraction asks with the same schema again and again.
const KEPT_FORMS: usize = 32;
/// Bytes of lookup texts that are looked at, over all texts of a request. What is beyond cannot be found.
const LOOKUP_BYTES: usize = 1 << 20;

/// A question on its way to the preparing thread.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The question.
    pub(crate) request: GenerateRequest,
    /// Where the answer goes.
    pub(crate) sender: UnboundedSender<Event>,
    /// Its place in the queue.
    pub(crate) place: Place,
    /// When it was asked.
    pub(crate) arrived: Instant,
    /// Whether it can be run.
    pub(crate) reply: oneshot::Sender<Result<(), SeamError>>,
}

/// Makes requests of questions.
pub(crate) struct Preparer {
    vocabulary: Arc<Vocabulary>,
    template: ChatTemplate,
    factory: GrammarFactory,
    context: usize,
    proposals: usize,
    clock: Clock,
    /// The most recently used last.
    forms: Vec<(TenantId, OutputFormat, Matcher)>,
}

/// What a preparer is made of.
pub(crate) struct PreparerParts {
    /// The tokenizer.
    pub(crate) vocabulary: Arc<Vocabulary>,
    /// How messages become a prompt.
    pub(crate) template: ChatTemplate,
    /// Logits in a row, at least one for each token.
    pub(crate) logits: usize,
    /// Tokens of prompt and answer.
    pub(crate) context: usize,
    /// Tokens proposed at once.
    pub(crate) proposals: usize,
    /// The time.
    pub(crate) clock: Clock,
}

impl Preparer {
    /// Builds what grammars need of the vocabulary.
    pub(crate) fn new(parts: PreparerParts) -> Result<Self, ServingError> {
        let factory = factory(&parts.vocabulary, parts.logits)?;
        Ok(Self {
            vocabulary: parts.vocabulary,
            template: parts.template,
            factory,
            context: parts.context,
            proposals: parts.proposals,
            clock: parts.clock,
            forms: Vec::new(),
        })
    }

    /// Works until the inbox is closed and empty.
    pub(crate) fn run(mut self, inbox: &Inbox<Asked>, orders: &Inbox<Order>) {
        while let Some(asked) = inbox.pop() {
            let priority = asked.request.priority;
            let Asked { request, sender, place, arrived, reply } = asked;
            if sender.is_closed() {
                continue;
            }
            let prepared = catch_unwind(AssertUnwindSafe(|| self.prepare(request, sender, arrived)))
                .unwrap_or_else(|_| Err(internal("the local model panicked while it read the request")));
            let outcome = prepared.and_then(|mut request| {
                request.place = Some(place);
                orders.push(priority, Order::Run(Box::new(request))).map_err(|_| closed())
            });
            // Who asked may be gone; then the scheduler finds the closed channel.
            let _ = reply.send(outcome);
        }
    }

    /// Reads a question. [`ErrorKind::ContextTooLong`] where prompt and answer do not fit, [`ErrorKind::Invalid`] where it
    /// cannot be honoured, [`ErrorKind::DeadlineExceeded`].
    pub(crate) fn prepare(
        &mut self,
        request: GenerateRequest,
        sender: UnboundedSender<Event>,
        arrived: Instant,
    ) -> Result<Request, SeamError> {
        check(&request)?;
        let deadline = request.deadline.and_then(|time| arrived.checked_add(time));
        let prompt = self.prompt(&request)?;
        let tokens = prompt.tokens.len().saturating_add(request.max_tokens);
        if tokens > self.context {
            let message = format!(
                "the prompt has {} tokens and the answer may have {}; the context of the local model is {} tokens",
                prompt.tokens.len(),
                request.max_tokens,
                self.context
            );
            return Err(SeamError::new(ErrorKind::ContextTooLong, message));
        }
        let system_tokens = leading_system(&request, &prompt);
        let matcher = self.form(&request.tenant, &request.output)?;
        let lookup = self.lookup(&request.lookup, &prompt.tokens);
        if deadline.is_some_and(|deadline| deadline <= (self.clock)()) {
            return Err(SeamError::new(ErrorKind::DeadlineExceeded, "the request's time was over before it began"));
        }
        let writer = Writer::new(WriterParts {
            vocabulary: Arc::clone(&self.vocabulary),
            sender,
            sampler: Sampler::new(request.sampling),
            stop: request.stop,
            matcher,
            max_tokens: request.max_tokens,
        });
        Ok(Request {
            tenant: request.tenant,
            priority: request.priority,
            prompt: prompt.tokens,
            system_tokens,
            lookup,
            writer,
            arrived,
            deadline,
            place: None,
        })
    }

    fn prompt(&self, request: &GenerateRequest) -> Result<Prompt, SeamError> {
        let messages: Vec<(&str, &str)> =
            request.messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
        let prompt = self.template.prompt_tokens(&self.vocabulary, &messages)?;
        if prompt.tokens.is_empty() { Err(invalid("the chat template makes an empty prompt")) } else { Ok(prompt) }
    }

    fn lookup(&self, texts: &[String], prompt: &[u32]) -> Lookup {
        let mut left = if self.proposals > 0 { LOOKUP_BYTES } else { 0 };
        let mut encoded = Vec::new();
        for text in texts {
            if text.len() <= left {
                left -= text.len();
                encoded.push(self.vocabulary.encode(text));
            }
        }
        Lookup::new(&encoded, prompt, self.proposals)
    }

    /// The matcher of a form; compiled once for each tenant as long as it is in use.
    fn form(&mut self, tenant: &TenantId, output: &OutputFormat) -> Result<Option<Matcher>, SeamError> {
        let grammar = match output {
            OutputFormat::Text => return Ok(None),
            OutputFormat::Json(schema) => Grammar::Json(schema.clone()),
            OutputFormat::Regex(regex) => Grammar::Regex(regex.clone()),
            OutputFormat::Choice(texts) => Grammar::Choice(texts.clone()),
        };
        let known = self.forms.iter().position(|(owner, form, _)| owner == tenant && form == output);
        let entry = if let Some(index) = known {
            self.forms.remove(index)
        } else {
            let matcher = self.factory.matcher(&grammar, &GrammarOptions::default()).map_err(form_refused)?;
            (tenant.clone(), output.clone(), matcher)
        };
        let matcher = entry.2.independent_copy();
        self.forms.push(entry);
        if self.forms.len() > KEPT_FORMS {
            self.forms.remove(0);
        }
        Ok(Some(matcher))
    }
}

/// What can be said about a request without a model.
fn check(request: &GenerateRequest) -> Result<(), SeamError> {
    if request.max_tokens == 0 {
        return Err(invalid("`max_tokens` must be at least 1"));
    }
    if request.messages.is_empty() {
        return Err(invalid("there are no messages"));
    }
    let of_tools = |message: &ChatMessage| message.role == ChatRole::Tool || !message.tool_calls.is_empty();
    if !request.tools.is_empty() || request.messages.iter().any(of_tools) {
        return Err(invalid("a local model calls no tools"));
    }
    if request.stop.iter().any(String::is_empty) {
        return Err(invalid("a stop text is empty"));
    }
    if request.output != OutputFormat::Text && !request.stop.is_empty() {
        return Err(invalid("stop texts would cut an answer that must have a form; give one or the other"));
    }
    Sampler::check(&request.sampling).map_err(invalid)
}

/// How many tokens the instructions at the beginning have.
fn leading_system(request: &GenerateRequest, prompt: &Prompt) -> usize {
    let system = request.messages.iter().take_while(|message| message.role == ChatRole::System).count();
    system.checked_sub(1).and_then(|last| prompt.message_ends.get(last)).copied().unwrap_or(0)
}

fn form_refused(error: GrammarError) -> SeamError {
    let kind = if error.is_callers() { ErrorKind::Invalid } else { ErrorKind::Internal };
    SeamError::new(kind, error.to_string()).caused_by(error)
}

pub(crate) fn factory(vocabulary: &Arc<Vocabulary>, logits: usize) -> Result<GrammarFactory, ServingError> {
    let mut table = TokenTable::new(logits.max(vocabulary.len()), vocabulary.end_tokens())?;
    for token in 0..vocabulary.len() as u32 {
        match vocabulary.kind(token) {
            TokenKind::Plain | TokenKind::Added => table.set_text(token, vocabulary.token_bytes(token))?,
            TokenKind::Control | TokenKind::Unknown => {
                table.set_special(token, &String::from_utf8_lossy(vocabulary.token_bytes(token)))?;
            }
            TokenKind::Unused => {}
        }
    }
    let vocabulary = Arc::clone(vocabulary);
    Ok(GrammarFactory::new(&table, Arc::new(move |text: &str| vocabulary.encode(text)))?)
}
