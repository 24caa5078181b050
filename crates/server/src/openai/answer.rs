//! What an answer holds beyond its text: who gave it, after which attempts, at what cost.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rejoinder::{AttemptOutcome, Cost, FinishReason, ModelAttempt, TokenUsage};
use serde::Serialize;
use utoipa::ToSchema;

/// Who gave the answer.
const PROVIDER: HeaderName = HeaderName::from_static("x-rejoinder-provider");
/// Every attempt in order, as `provider=outcome`.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-rejoinder-attempts");

/// OpenAI's `usage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CompletionUsage)]
pub(crate) struct UsageDto {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptTokensDto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PromptTokensDetails)]
struct PromptTokensDto {
    cached_tokens: usize,
}

/// The extra object of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Routing)]
pub(crate) struct RoutingDto {
    provider: Option<String>,
    attempts: Vec<AttemptDto>,
    /// Of all attempts together, in units of the configured currency; null where no target that was asked has a price.
    cost: Option<f64>,
    /// Values that were replaced by placeholders before the prompt left the machine.
    redactions: u32,
    /// Placeholders of the answer that stand for nothing.
    unrestored: u32,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RoutingAttempt)]
struct AttemptDto {
    provider: String,
    model: String,
    outcome: &'static str,
    ms: u64,
    first_token_ms: Option<u64>,
    input_tokens: usize,
    output_tokens: usize,
    cost: Option<f64>,
}

impl From<TokenUsage> for UsageDto {
    fn from(usage: TokenUsage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: PromptTokensDto { cached_tokens: usage.cached_input },
        }
    }
}

/// The attempt that gave the answer; there is none where no router was asked.
pub(crate) fn winner(attempts: &[ModelAttempt]) -> Option<&ModelAttempt> {
    attempts.iter().rev().find(|attempt| matches!(attempt.outcome, AttemptOutcome::Ok | AttemptOutcome::Cached))
}

/// The extra object; `None` where no router was asked.
pub(crate) fn routing(attempts: &[ModelAttempt]) -> Option<RoutingDto> {
    if attempts.is_empty() {
        return None;
    }
    let costs = attempts.iter().filter_map(|attempt| attempt.cost);
    let given = winner(attempts);
    Some(RoutingDto {
        provider: given.map(|attempt| attempt.provider.clone()),
        cost: costs.reduce(Cost::plus).map(Cost::units),
        redactions: given.map_or(0, |attempt| attempt.redactions),
        unrestored: given.map_or(0, |attempt| attempt.unrestored),
        attempts: attempts.iter().map(AttemptDto::from).collect(),
    })
}

impl From<&ModelAttempt> for AttemptDto {
    fn from(attempt: &ModelAttempt) -> Self {
        Self {
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            outcome: attempt.outcome.code(),
            ms: attempt.ms,
            first_token_ms: attempt.first_token_ms,
            input_tokens: attempt.usage.input,
            output_tokens: attempt.usage.output,
            cost: attempt.cost.map(Cost::units),
        }
    }
}

/// What is known of the attempts, in headers.
pub(crate) fn tell(headers: &mut HeaderMap, attempts: &[ModelAttempt]) {
    let told: Vec<String> =
        attempts.iter().map(|attempt| format!("{}={}", attempt.provider, attempt.outcome.code())).collect();
    // A target's name that no header can hold is in the body all the same.
    if let Some(value) = winner(attempts).and_then(|attempt| HeaderValue::from_str(&attempt.provider).ok()) {
        headers.insert(PROVIDER, value);
    }
    if let (false, Ok(value)) = (told.is_empty(), HeaderValue::from_str(&told.join(", "))) {
        headers.insert(ATTEMPTS, value);
    }
}

/// OpenAI's `finish_reason`.
pub(crate) fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
    }
}
