//! Traces of attempts, with the attributes of OpenTelemetry's semantic conventions for generative AI. No text, unless
//! the configuration asks for it.

use rejoinder_domain::{AttemptOutcome, GenerateRequest, ModelAttempt};
use tracing::Span;
use tracing::field::Empty;

use crate::target::Target;

/// The span of one attempt. `otel.name` and `otel.kind` are what `tracing-opentelemetry` makes name and kind of.
pub(crate) fn attempt(request: &GenerateRequest, target: &Target) -> Span {
    let name = format!("chat {}", target.model.model());
    tracing::info_span!(
        target: "trace::rejoinder",
        "model_attempt",
        otel.name = name,
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = target.name,
        gen_ai.request.model = target.model.model(),
        gen_ai.request.max_tokens = request.max_tokens,
        gen_ai.request.temperature = f64::from(request.sampling.temperature),
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        error.r#type = Empty,
        rejoinder.request_id = request.context.request_id,
        rejoinder.purpose = request.context.purpose.as_str(),
        rejoinder.outcome = Empty,
        rejoinder.first_token_ms = Empty,
        rejoinder.redactions = Empty,
    )
}

/// The texts of an attempt, for traces alone: the log never shows this target. Only what the policy lets leave the machine
/// comes here, and only if somebody listens.
pub(crate) fn content(span: &Span, request: &GenerateRequest, answer: &str) {
    if tracing::enabled!(target: "trace::content", tracing::Level::INFO) {
        let messages = request.messages.iter().map(|message| {
            serde_json::json!({"role": message.role.as_str(), "parts": [{"type": "text", "content": message.content}]})
        });
        let input = serde_json::Value::Array(messages.collect()).to_string();
        let output =
            serde_json::json!([{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]).to_string();
        tracing::event!(
            target: "trace::content",
            parent: span,
            tracing::Level::INFO,
            { gen_ai.input.messages = input, gen_ai.output.messages = output },
            "content"
        );
    }
}

/// What became of it.
pub(crate) fn ended(span: &Span, attempt: &ModelAttempt) {
    span.record("rejoinder.outcome", attempt.outcome.code());
    span.record("gen_ai.usage.input_tokens", attempt.usage.input as u64);
    span.record("gen_ai.usage.output_tokens", attempt.usage.output as u64);
    span.record("rejoinder.redactions", attempt.redactions);
    if let Some(first_token) = attempt.first_token_ms {
        span.record("rejoinder.first_token_ms", first_token);
    }
    if let AttemptOutcome::Failed(kind) = &attempt.outcome {
        span.record("error.type", kind.outcome());
        span.record("otel.status_code", "ERROR");
    }
}
