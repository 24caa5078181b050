//! From a behaviour to the bytes of its response.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure::{Failure, Garbage, RetryAfter};
use crate::script::{Answer, Behaviour, Usage};
use crate::turn::{Piece, Turn};
use crate::{Received, anthropic, openai};

/// What comes before the headers.
pub(crate) enum Before {
    Wait(Duration),
    Hang,
    Close,
}

/// What comes after the last piece.
pub(crate) enum Ending {
    /// The end of the body.
    Clean,
    /// The connection closes.
    Cut,
    /// Nothing, for ever.
    Stall,
    /// This, for ever.
    Repeat(Bytes),
}

/// A response.
pub(crate) struct Delivery {
    pub(crate) before: Before,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) chunk_delay: Duration,
    pub(crate) ending: Ending,
    /// The name in the counts when all of it was delivered.
    pub(crate) outcome: &'static str,
    /// Tokens of the prompt that are charged as soon as the headers are sent.
    pub(crate) input: usize,
    /// Tokens of the answer that are charged when all was delivered; else what the chunks held.
    pub(crate) output: Option<usize>,
}

impl Delivery {
    pub(crate) fn new(behaviour: &Behaviour, received: &Received) -> Self {
        match behaviour {
            Behaviour::Answer(answer) => Self::answer(answer, None, received),
            Behaviour::Fail(failure, answer) => Self::failure(failure, answer, received),
        }
    }

    /// The list of models.
    pub(crate) fn models() -> Self {
        Self::body(200, "answered", openai::models().to_string())
    }

    /// A path that does not exist.
    pub(crate) fn no_such_path() -> Self {
        Self::body(404, "no_such_path", openai::error("invalid_request_error", None, "unknown path").to_string())
    }

    fn answer(answer: &Answer, failure: Option<&Failure>, received: &Received) -> Self {
        let turn = Turn::new(answer, failure, received);
        let streams = received.streams();
        let pieces = match (streams, received.is_anthropic()) {
            (true, true) => anthropic::stream(&turn),
            (true, false) => openai::stream(&turn, received.wants_usage()),
            (false, true) => vec![Piece::frame(anthropic::whole(&turn).to_string())],
            (false, false) => vec![Piece::frame(openai::whole(&turn).to_string())],
        };
        let content_type = if streams { "text/event-stream; charset=utf-8" } else { "application/json" };
        Self {
            before: Before::Wait(answer.first_delay),
            status: 200,
            headers: vec![("content-type", content_type.into()), ("x-request-id", format!("req_{}", received.number))],
            pieces,
            chunk_delay: answer.chunk_delay,
            ending: Ending::Clean,
            outcome: "answered",
            input: turn.input,
            output: Some(turn.output),
        }
    }

    fn body(status: u16, outcome: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            before: Before::Wait(Duration::ZERO),
            status,
            headers: vec![("content-type", "application/json".into())],
            pieces: vec![Piece::frame(body)],
            chunk_delay: Duration::ZERO,
            ending: Ending::Clean,
            outcome,
            input: 0,
            output: Some(0),
        }
    }

    fn failure(failure: &Failure, answer: &Answer, received: &Received) -> Self {
        let named = |mut delivery: Self| {
            delivery.outcome = failure.name();
            delivery
        };
        if let Some((status, body, wait)) = refusal_of(failure, received) {
            let mut delivery = Self::body(status, failure.name(), body.to_string());
            delivery.headers.extend(wait.map(wait_header));
            if let Failure::Redirect(to) = failure {
                delivery.headers.push(("location", to.clone()));
            }
            return delivery;
        }
        let mut delivery = named(Self::answer(answer, Some(failure), received));
        match failure {
            Failure::Slow(wait) => delivery.before = Before::Wait(*wait),
            Failure::Hang => delivery.before = Before::Hang,
            Failure::Close => delivery.before = Before::Close,
            Failure::Cut { after } => delivery.break_off(*after, Ending::Cut),
            Failure::NoEnd { after } => delivery.break_off(*after, Ending::Clean),
            Failure::Stall { after } => delivery.break_off(*after, Ending::Stall),
            Failure::ContentFilter { after } => delivery.filter(*after),
            Failure::ErrorEvent { after, overloaded } => delivery.error_event(*after, *overloaded, received),
            Failure::Endless => delivery.endless(received),
            Failure::EndlessLine => {
                delivery.break_off(0, Ending::Repeat(Bytes::from(vec![b'x'; 16 * 1024])));
                delivery.pieces.push(Piece::frame("data: \""));
            }
            Failure::Garbage(garbage) => delivery.garbage(*garbage, received),
            _ => {}
        }
        // A hung or closed request is charged nothing: the model never saw it.
        if matches!(failure, Failure::Hang | Failure::Close) {
            delivery.input = 0;
            delivery.output = Some(0);
        }
        if answer.usage == Usage::Untold && delivery.output.is_none() {
            delivery.input = 0;
        }
        delivery
    }

    /// Keeps the first chunks of the text; of a body that is not streamed, the first half.
    fn break_off(&mut self, after: usize, ending: Ending) {
        if let [only] = self.pieces.as_mut_slice()
            && only.chunk.is_none()
        {
            only.bytes.truncate(only.bytes.len() / 2);
        } else {
            let mut seen = 0;
            let keep = self.pieces.iter().position(|piece| {
                seen += usize::from(piece.chunk.is_some());
                seen > after
            });
            // An answer shorter than that loses its end all the same.
            let last_chunk = self.pieces.iter().rposition(|piece| piece.chunk.is_some()).map_or(1, |last| last + 1);
            self.pieces.truncate(keep.unwrap_or(last_chunk));
        }
        self.ending = ending;
        self.output = None;
    }

    /// Drops the chunks after the first ones, and keeps the end, which says why.
    fn filter(&mut self, after: usize) {
        let mut seen = 0;
        self.pieces.retain(|piece| {
            seen += usize::from(piece.chunk.is_some());
            piece.chunk.is_none() || seen <= after
        });
    }

    fn error_event(&mut self, after: usize, overloaded: bool, received: &Received) {
        let (kind, message) =
            if overloaded { ("overloaded_error", "Overloaded") } else { ("api_error", "Internal server error") };
        let event = match (received.is_anthropic(), received.streams()) {
            (true, true) => format!("event: error\ndata: {}\n\n", anthropic::error(kind, message)),
            (false, true) => format!("data: {}\n\n", openai::error(kind, None, message)),
            (true, false) => anthropic::error(kind, message).to_string(),
            (false, false) => openai::error(kind, None, message).to_string(),
        };
        if received.streams() {
            self.break_off(after, Ending::Clean);
        } else {
            self.pieces.clear();
            self.output = None;
        }
        self.pieces.push(Piece::frame(event));
    }

    fn endless(&mut self, received: &Received) {
        let event = if received.is_anthropic() {
            anthropic::delta(0, &json!({"type": "text_delta", "text": "and so on "}))
        } else {
            let choices = json!([{"index": 0, "delta": {"content": "and so on "}, "finish_reason": null}]);
            format!("data: {}\n\n", json!({"id": "chatcmpl-0", "object": "chat.completion.chunk", "choices": choices}))
        };
        self.break_off(0, Ending::Repeat(Bytes::from(event.repeat(256))));
    }

    fn garbage(&mut self, garbage: Garbage, received: &Received) {
        let streams = received.streams();
        let prefix = if streams { "data: " } else { "" };
        let after = if streams { "\n\n" } else { "" };
        let bytes: Vec<u8> = match garbage {
            Garbage::NotJson => format!("{prefix}surely not {{JSON{after}").into_bytes(),
            Garbage::Html => b"<!DOCTYPE html>\n<html><body><h1>Welcome to the proxy</h1></body></html>\n".to_vec(),
            Garbage::NotUtf8 => {
                [prefix.as_bytes(), b"{\"id\":\"\xff\xfe\xc3\x28\",\"choices\":[]}", after.as_bytes()].concat()
            }
            Garbage::HalfLine => format!("{prefix}{{\"id\":\"chatcmpl-1\",\"choices\":[{{\"ind").into_bytes(),
            Garbage::OtherShape => format!("{prefix}{{\"choices\":{{\"delta\":[7]}},\"type\":42}}{after}").into_bytes(),
            Garbage::Empty => Vec::new(),
        };
        if garbage == Garbage::Html {
            self.headers.retain(|(name, _)| *name != "content-type");
            self.headers.push(("content-type", "text/html".into()));
        }
        self.pieces = vec![Piece::frame(bytes)];
        self.output = None;
    }
}

/// Failures that are a status with a body.
fn refusal_of(failure: &Failure, received: &Received) -> Option<(u16, Value, Option<RetryAfter>)> {
    let say = |status: u16, kind: &str, code: Option<&str>, message: &str| {
        let body = if received.is_anthropic() {
            anthropic::error(anthropic_type(status), message)
        } else {
            openai::error(kind, code, message)
        };
        Some((status, body, None))
    };
    let waiting = |reply: Option<(u16, Value, Option<RetryAfter>)>, wait: Option<RetryAfter>| {
        reply.map(|(status, body, _)| (status, body, wait))
    };
    match failure {
        Failure::RateLimited(wait) => {
            waiting(say(429, "requests", Some("rate_limit_exceeded"), "Rate limit reached for requests"), *wait)
        }
        Failure::QuotaExhausted if received.is_anthropic() => {
            let message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.";
            Some((400, anthropic::error("invalid_request_error", message), None))
        }
        Failure::QuotaExhausted => {
            say(429, "insufficient_quota", Some("insufficient_quota"), "You exceeded your current quota")
        }
        Failure::Status(status, wait) => {
            waiting(say(*status, "server_error", None, "The server had an error while processing your request"), *wait)
        }
        Failure::ContextTooLong(wording) if received.is_anthropic() => Some((400, anthropic::too_long(*wording), None)),
        Failure::ContextTooLong(wording) => Some((400, openai::too_long(*wording), None)),
        Failure::BadRequest(status) => {
            say(*status, "invalid_request_error", Some("unsupported_value"), "Unsupported value: 'temperature'")
        }
        Failure::Unauthorised(status) => {
            say(*status, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided: sk-wrong")
        }
        Failure::UnknownModel => say(
            404,
            "invalid_request_error",
            Some("model_not_found"),
            "The model does not exist or you do not have access to it",
        ),
        Failure::Redirect(_) => say(307, "redirect", None, "elsewhere"),
        _ => None,
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

fn wait_header(wait: RetryAfter) -> (&'static str, String) {
    match wait {
        RetryAfter::Seconds(seconds) => ("retry-after", seconds.to_string()),
        RetryAfter::Millis(millis) => ("retry-after-ms", millis.to_string()),
        RetryAfter::Date(seconds) => {
            let then = jiff::Timestamp::now() + Duration::from_secs(seconds);
            ("retry-after", then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
    }
}
