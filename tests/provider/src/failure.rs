//! The ways in which a provider fails.

use std::time::Duration;

/// A way to fail. `after` counts streamed chunks of the answer's text; an answer that is not streamed breaks off in its
/// middle.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// 429, with or without saying for how long.
    RateLimited(Option<RetryAfter>),
    /// 429 because the account has no money left: waiting does not help.
    QuotaExhausted,
    /// A status from 500 on, or 408, 409, 425: 529 is Anthropic's overload.
    Status(u16, Option<RetryAfter>),
    /// 400: the prompt is too long, in these words.
    ContextTooLong(Wording),
    /// 400 (or 422): something else is wrong with the request.
    BadRequest(u16),
    /// 401 or 403.
    Unauthorised(u16),
    /// 404.
    UnknownModel,
    /// The answer stops after some chunks because of what it says.
    ContentFilter {
        /// Chunks delivered before.
        after: usize,
    },
    /// The model declines.
    Refusal,
    /// The connection closes in the middle.
    Cut {
        /// Chunks delivered before.
        after: usize,
    },
    /// The connection closes before there is an answer.
    Close,
    /// The stream ends in good order, without saying that the answer is complete.
    NoEnd {
        /// Chunks delivered before.
        after: usize,
    },
    /// Something else than the answer.
    Garbage(Garbage),
    /// Nothing comes any more, and the connection stays.
    Stall {
        /// Chunks delivered before.
        after: usize,
    },
    /// No headers come, and the connection stays.
    Hang,
    /// The answer comes, after a while.
    Slow(Duration),
    /// JSON that does not fit the schema that was asked for.
    WrongSchema,
    /// An error in the middle of the stream.
    ErrorEvent {
        /// Chunks delivered before.
        after: usize,
        /// Whether it says that there is too much work.
        overloaded: bool,
    },
    /// Chunks without end.
    Endless,
    /// A single line without end.
    EndlessLine,
    /// 307 to this place.
    Redirect(String),
}

/// How long to wait, as a header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// An HTTP date so many seconds from now.
    Date(u64),
    /// Milliseconds, in the header `retry-after-ms`.
    Millis(u64),
}

/// Who says that the prompt is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// The provider that the path belongs to: OpenAI or Anthropic.
    Own,
    /// llama.cpp's server.
    LlamaCpp,
    /// vLLM.
    Vllm,
    /// vLLM since its errors are nested.
    VllmNested,
    /// Anthropic, of prompt and answer together.
    PromptAndAnswer,
}

/// What comes instead of an answer, with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// Events, or a body, that are not JSON.
    NotJson,
    /// A page of HTML.
    Html,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// The first half of a line of JSON, and then the end.
    HalfLine,
    /// JSON of another shape.
    OtherShape,
    /// An empty body.
    Empty,
}

impl Failure {
    /// One of each kind that a provider shows at random. Those that only a wrong configuration brings about
    /// (credentials, unknown models, redirects) and those without end are not among them.
    pub fn passing() -> Vec<Self> {
        vec![
            Self::RateLimited(None),
            Self::RateLimited(Some(RetryAfter::Seconds(1))),
            Self::Status(500, None),
            Self::Status(502, None),
            Self::Status(503, None),
            Self::Status(529, None),
            Self::Cut { after: 2 },
            Self::Close,
            Self::NoEnd { after: 2 },
            Self::Garbage(Garbage::NotJson),
            Self::Garbage(Garbage::Html),
            Self::Garbage(Garbage::NotUtf8),
            Self::Garbage(Garbage::HalfLine),
            Self::Garbage(Garbage::OtherShape),
            Self::Stall { after: 2 },
            Self::Stall { after: 0 },
            Self::Hang,
            Self::Slow(Duration::from_millis(100)),
            Self::WrongSchema,
            Self::ErrorEvent { after: 2, overloaded: true },
        ]
    }

    /// A stable name, for counts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RateLimited(_) => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Status(..) => "status",
            Self::ContextTooLong(_) => "context_too_long",
            Self::BadRequest(_) => "bad_request",
            Self::Unauthorised(_) => "unauthorised",
            Self::UnknownModel => "unknown_model",
            Self::ContentFilter { .. } => "content_filter",
            Self::Refusal => "refusal",
            Self::Cut { .. } => "cut",
            Self::Close => "close",
            Self::NoEnd { .. } => "no_end",
            Self::Garbage(_) => "garbage",
            Self::Stall { .. } => "stall",
            Self::Hang => "hang",
            Self::Slow(_) => "slow",
            Self::WrongSchema => "wrong_schema",
            Self::ErrorEvent { .. } => "error_event",
            Self::Endless => "endless",
            Self::EndlessLine => "endless_line",
            Self::Redirect(_) => "redirect",
        }
    }
}
