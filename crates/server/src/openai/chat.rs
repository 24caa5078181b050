//! `POST /v1/chat/completions`: the handler, and the answer in one piece.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_core::Stream;
use jiff::Timestamp;
use rejoinder::{
    Egress, ErrorKind, FinishReason, GenerateEvent, GenerateStream, Generated, ModelAttempt, ModelInfo, ModelKind,
    SeamError, TenantId, TokenUsage, ToolCallPart,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::{self, RoutingDto, UsageDto};
use super::error::OpenAiError;
use super::models::find;
use super::request::{self, Defaults, Delivery};
use super::stream;
use crate::auth::Tenant;
use crate::json;
use crate::request_id::{RequestId, unique};
use crate::server::App;
use crate::sse::next_item;

/// Narrows what of this request may leave the machine.
const EGRESS: &str = "x-rejoinder-egress";

#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletion)]
pub(crate) struct Completion {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
    choices: [Choice; 1],
    usage: Option<UsageDto>,
    system_fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejoinder: Option<RoutingDto>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatChoice)]
struct Choice {
    index: u32,
    message: Message,
    logprobs: Option<Value>,
    finish_reason: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatAnswerMessage)]
struct Message {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallDto>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ToolCall)]
struct CallDto {
    id: String,
    r#type: &'static str,
    function: FunctionDto,
}

#[derive(Default, Serialize, ToSchema)]
#[schema(as = CalledFunction)]
struct FunctionDto {
    name: String,
    arguments: String,
}

/// What all chunks of an answer have in common.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// `chatcmpl-...`, unique.
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// The model, as far as it is known before the answer is.
    pub(crate) model: String,
}

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: json::Body,
) -> Result<Response, OpenAiError> {
    let body: Value = json::read(&headers, body, &app.config)?;
    let deadline = Duration::from_secs(app.config.request_timeout_seconds);
    let asked = request::read(body, &Defaults { tenant: &tenant, config: &app.config.openai, deadline })?;
    let models = app.rejoinder.models();
    let wanted = find(&models, &asked.model, ModelKind::Chat)?;
    let mut question = asked.generate;
    question.context.request_id = request_id.as_str().to_owned();
    question.context.egress = egress(&headers)?;
    question.context.wanted = wanted.map(|_| asked.model.clone());
    let head = Head {
        id: format!("chatcmpl-{}", unique()),
        created: Timestamp::now().as_second(),
        model: label(&models, wanted).unwrap_or(asked.model),
    };
    let stream = app.rejoinder.generate(&tenant, question).await.map_err(|error| OpenAiError::from_library(&error))?;
    let stream: GenerateStream = Box::pin(Charged { stream, app: Arc::clone(&app), tenant });
    if asked.delivery.stream {
        return stream::respond(stream, head, asked.delivery, app.config.heartbeat()).await;
    }
    whole(stream, head, asked.delivery).await
}

/// An answer whose tokens are taken from the tenant's allowance when it ends.
struct Charged {
    stream: GenerateStream,
    app: Arc<App>,
    tenant: TenantId,
}

impl Stream for Charged {
    type Item = Result<GenerateEvent, SeamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(self.stream.as_mut().poll_next(context));
        if let Some(Ok(GenerateEvent::Done(generated))) = &next {
            let tokens = generated.usage.input + generated.usage.output;
            self.app.access.charge_tokens(&self.tenant, tokens as u64);
        }
        Poll::Ready(next)
    }
}

/// The narrowest thing that a header can say is a misspelt policy: it is refused.
pub(crate) fn egress(headers: &HeaderMap) -> Result<Option<Egress>, OpenAiError> {
    let Some(value) = headers.get(EGRESS) else { return Ok(None) };
    let known = [Egress::LocalOnly, Egress::RedactThenRemote, Egress::RemoteAllowed];
    let policy = known.into_iter().find(|policy| value.as_bytes() == policy.as_str().as_bytes());
    let message = format!("the header {EGRESS} must be local_only, redact_then_remote or remote_allowed");
    policy.map(Some).ok_or_else(|| OpenAiError::invalid("", message))
}

/// The wanted model's name, or that of the only one there is.
fn label(models: &[ModelInfo], wanted: Option<&ModelInfo>) -> Option<String> {
    let mut chat = models.iter().filter(|model| model.kind == ModelKind::Chat);
    let only = chat.next().filter(|_| chat.next().is_none());
    wanted.or(only).map(|model| model.id.clone())
}

async fn whole(stream: GenerateStream, head: Head, delivery: Delivery) -> Result<Response, OpenAiError> {
    let mut gathered = Gathered::default();
    let (finish, usage) = match gathered.all(stream).await {
        Ok(generated) => (generated.finish, Some(generated.usage)),
        Err(error) if error.kind == ErrorKind::OutputIncomplete => (FinishReason::Length, gathered.tokens()),
        Err(error) => {
            let mut response = OpenAiError::of_call(&error, &gathered.attempts).into_response();
            answer::tell(response.headers_mut(), &gathered.attempts);
            return Ok(response);
        }
    };
    let Gathered { text, calls, attempts } = gathered;
    let most = if delivery.one_tool_call { 1 } else { usize::MAX };
    let tool_calls: Vec<CallDto> = calls.into_values().take(most).collect();
    let content = Some(text).filter(|text| !text.is_empty() || tool_calls.is_empty());
    let completion = Completion {
        id: head.id,
        object: "chat.completion",
        created: head.created,
        model: answer::winner(&attempts).map_or(head.model, |attempt| attempt.model.clone()),
        choices: [Choice {
            index: 0,
            message: Message { role: "assistant", content, refusal: None, tool_calls },
            logprobs: None,
            finish_reason: answer::finish_reason(finish),
        }],
        usage: usage.map(UsageDto::from),
        system_fingerprint: None,
        rejoinder: answer::routing(&attempts),
    };
    let mut response = Json(completion).into_response();
    answer::tell(response.headers_mut(), &attempts);
    Ok(response)
}

/// An answer that is being put together.
#[derive(Default)]
struct Gathered {
    text: String,
    calls: BTreeMap<usize, CallDto>,
    attempts: Vec<ModelAttempt>,
}

impl Gathered {
    async fn all(&mut self, mut stream: GenerateStream) -> Result<Generated, SeamError> {
        while let Some(event) = next_item(&mut stream).await {
            match event? {
                GenerateEvent::Text(part) => self.text.push_str(&part),
                GenerateEvent::ToolCall(part) => self.call(part),
                GenerateEvent::Attempt(attempt) => self.attempts.push(attempt),
                GenerateEvent::Restart => {
                    self.text.clear();
                    self.calls.clear();
                }
                GenerateEvent::Done(generated) => return Ok(generated),
            }
        }
        Err(SeamError::new(ErrorKind::Internal, "the model's answer broke off without an end"))
    }

    fn call(&mut self, part: ToolCallPart) {
        let call = self.calls.entry(part.index).or_insert_with(|| CallDto {
            id: format!("call_{}", unique()),
            r#type: "function",
            function: FunctionDto::default(),
        });
        if let Some(id) = part.id {
            call.id = id;
        }
        if let Some(name) = part.name {
            call.function.name = name;
        }
        call.function.arguments.push_str(&part.arguments);
    }

    /// What a form that was not complete has cost, where a router said it.
    fn tokens(&self) -> Option<TokenUsage> {
        self.attempts.last().map(|attempt| attempt.usage)
    }
}
