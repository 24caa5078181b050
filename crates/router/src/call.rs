//! One question on its way through the targets, and what of it leaves the machine.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Instant;

use rejoinder_domain::{
    ChatMessage, ChatRole, Egress, ErrorKind, GenerateRequest, LanguageModel, OutputFormat, SeamError, ToolCall,
};
use rejoinder_redaction::{PLACEHOLDER_NOTE, Redactor, Session};

use crate::target::Place;

/// Tokens that a message needs around its text in a provider's own format.
const TOKENS_PER_MESSAGE: usize = 8;

/// A question, under the policy that is in force for it.
pub(crate) struct Call {
    pub(crate) request: GenerateRequest,
    pub(crate) policy: Egress,
    pub(crate) deadline: Option<Instant>,
    redacted: OnceLock<Result<Outgoing, ErrorKind>>,
}

/// A prompt as it leaves the machine.
pub(crate) struct Outgoing {
    pub(crate) request: GenerateRequest,
    /// Puts the values back; `None` where nothing was replaced because the policy lets everything go.
    pub(crate) session: Option<Session>,
    pub(crate) redactions: BTreeMap<String, u32>,
}

impl Call {
    pub(crate) fn new(request: GenerateRequest, policy: Egress) -> Self {
        let deadline = request.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        Self { request, policy, deadline, redacted: OnceLock::new() }
    }

    /// Whether the policy lets the prompt go there. Asked again for every target, right before its turn.
    pub(crate) fn may_go(&self, place: Place) -> bool {
        place == Place::Local || self.policy > Egress::LocalOnly
    }

    /// The prompt as a remote target gets it. Under `redact_then_remote` the values are replaced once, for all targets.
    pub(crate) fn outgoing(&self, redactor: &Redactor) -> Result<&Outgoing, SeamError> {
        let prepared = self.redacted.get_or_init(|| match self.policy {
            Egress::LocalOnly => Err(ErrorKind::Unavailable),
            Egress::RedactThenRemote => redact(&self.request, redactor),
            Egress::RemoteAllowed => {
                let request = stripped(self.request.clone());
                Ok(Outgoing { request, session: None, redactions: BTreeMap::new() })
            }
        });
        prepared.as_ref().map_err(|kind| {
            let why = match kind {
                ErrorKind::Unavailable => "the policy keeps this prompt on the machine, where no model is ready",
                _ => "a name in the schema or an expression holds personal data, which the policy keeps on the machine",
            };
            SeamError::new(kind.clone(), why)
        })
    }
}

/// Leaves out what a remote target must not see or has no use for.
fn stripped(mut request: GenerateRequest) -> GenerateRequest {
    request.lookup.clear();
    request.context.people.clear();
    request.context.rests_on.clear();
    request
}

/// Replaces personal data in everything that is sent: messages, calls and results of tools, schemas, stop texts.
fn redact(request: &GenerateRequest, redactor: &Redactor) -> Result<Outgoing, ErrorKind> {
    let mut session = redactor.session(&request.context.people);
    let refused = |_| ErrorKind::Invalid;
    for text in texts(request) {
        session.learn(text);
    }
    for schema in schemas(request) {
        session.learn_json(schema);
    }
    let mut sent = stripped(request.clone());
    for message in &mut sent.messages {
        redact_message(message, &mut session);
    }
    sent.stop.iter_mut().for_each(|stop| *stop = session.redact(stop));
    for tool in &mut sent.tools {
        tool.description = tool.description.as_deref().map(|text| session.redact(text));
        tool.parameters = session.redact_json(&tool.parameters).map_err(refused)?;
        if session.redact(&tool.name) != tool.name {
            return Err(ErrorKind::Invalid);
        }
    }
    sent.output = match &request.output {
        OutputFormat::Text => OutputFormat::Text,
        OutputFormat::Json(schema) => OutputFormat::Json(session.redact_json(schema).map_err(refused)?),
        OutputFormat::Choice(choices) => {
            OutputFormat::Choice(choices.iter().map(|choice| session.redact(choice)).collect())
        }
        // An expression with a placeholder in it would mean something else.
        OutputFormat::Regex(regex) if session.redact(regex) == *regex => OutputFormat::Regex(regex.clone()),
        OutputFormat::Regex(_) => return Err(ErrorKind::Invalid),
    };
    let redactions: BTreeMap<String, u32> =
        session.counts().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    if !redactions.is_empty() {
        explain_placeholders(&mut sent.messages);
    }
    Ok(Outgoing { request: sent, session: Some(session), redactions })
}

/// Tells the model what the placeholders are, in the instructions.
fn explain_placeholders(messages: &mut Vec<ChatMessage>) {
    match messages.iter_mut().find(|message| message.role == ChatRole::System) {
        Some(instructions) => {
            instructions.content.push_str("\n\n");
            instructions.content.push_str(PLACEHOLDER_NOTE);
        }
        None => messages.insert(0, ChatMessage::new(ChatRole::System, PLACEHOLDER_NOTE)),
    }
}

fn redact_message(message: &mut ChatMessage, session: &mut Session) {
    message.content = session.redact(&message.content);
    for call in &mut message.tool_calls {
        call.arguments = match serde_json::from_str(&call.arguments) {
            // Keys that are personal data are values of the model's own making: the text as a whole is replaced then.
            Ok(arguments) => match session.redact_json(&arguments) {
                Ok(arguments) => arguments.to_string(),
                Err(_) => session.redact(&call.arguments),
            },
            Err(_) => session.redact(&call.arguments),
        };
        call.name = session.redact(&call.name);
    }
}

fn texts(request: &GenerateRequest) -> impl Iterator<Item = &str> {
    let messages = request.messages.iter().flat_map(|message| {
        let calls = message.tool_calls.iter().map(|call: &ToolCall| call.arguments.as_str());
        std::iter::once(message.content.as_str()).chain(calls)
    });
    let tools = request.tools.iter().filter_map(|tool| tool.description.as_deref());
    let choices: &[String] = match &request.output {
        OutputFormat::Choice(choices) => choices,
        _ => &[],
    };
    messages.chain(tools).chain(choices.iter().map(String::as_str)).chain(request.stop.iter().map(String::as_str))
}

fn schemas(request: &GenerateRequest) -> impl Iterator<Item = &serde_json::Value> {
    let output = match &request.output {
        OutputFormat::Json(schema) => Some(schema),
        _ => None,
    };
    request.tools.iter().map(|tool| &tool.parameters).chain(output)
}

/// UTF-8 bytes of what a prompt is made of.
pub(crate) fn bytes(request: &GenerateRequest) -> u64 {
    let names = request.tools.iter().map(|tool| tool.name.len());
    let texts: usize = texts(request).map(str::len).chain(names).sum();
    let schemas: usize = schemas(request).map(|schema| schema.to_string().len()).sum();
    (texts + schemas) as u64
}

/// About how many tokens the prompt has, rather too many than too few. A local model counts exactly and slowly, and costs
/// nothing: its prompts are estimated by their bytes.
pub(crate) fn input_tokens(request: &GenerateRequest, model: &dyn LanguageModel, place: Place) -> usize {
    let around = TOKENS_PER_MESSAGE * (request.messages.len() + request.tools.len());
    let by_bytes = |text: &str| text.len().div_ceil(3);
    let count = |text: &str| match place {
        Place::Local => by_bytes(text),
        Place::Remote => model.count_tokens(text).unwrap_or_else(|_| by_bytes(text)),
    };
    let schemas: usize = schemas(request).map(|schema| by_bytes(&schema.to_string())).sum();
    around + schemas + texts(request).map(count).sum::<usize>()
}
