//! What the `OpenAPI` document says of the OpenAI-shaped routes.
//!
//! Their bodies are read member by member (`fields`), so that every error names its place as OpenAI's do; the types here only
//! describe what `request`, `messages`, `tools` and `embeddings` take. Null stands for a member that is left out.

use serde_json::{Value, json};
use utoipa::ToSchema;

use super::chat::Completion;
use super::embeddings::EmbeddingList;
use super::models::{ModelDto, ModelList};
use crate::openapi::route::{Needs, Route, word};

const TAG: &str = "openai";

/// Operations of this module.
pub(crate) fn routes() -> Vec<Route> {
    let policies = word(&["local_only", "redact_then_remote", "remote_allowed"]);
    vec![
        Route::post("/v1/chat/completions", "create_chat_completion", "Have a model answer a chat")
            .of(TAG, Needs::Agent)
            .openai()
            .described(
                "As OpenAI's API has it, through the same router as suggestions. A parameter that is not honoured is refused by \
                 its name. With `stream: true` the answer is `text/event-stream` of `chat.completion.chunk` objects and ends \
                 with `data: [DONE]`; a failure on the way is an event with an error and no `[DONE]`.",
            )
            .header("x-rejoinder-egress", "Narrows what of this request may leave the machine.", policies)
            .takes::<ChatCompletionRequest>(&json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}))
            .keeps_key()
            .answers::<Completion>(200, "The answer.", None)
            .answers_events(200, "data: {\"object\": \"chat.completion.chunk\"}\n\ndata: [DONE]\n\n")
            .with_header(200, "x-rejoinder-provider", "Who gave the answer.")
            .with_header(200, "x-rejoinder-attempts", "Every attempt, as `provider=outcome`.")
            .may_fail(&[404, 502, 504]),
        Route::post("/v1/embeddings", "create_embedding", "Vectors of texts")
            .of(TAG, Needs::Agent)
            .openai()
            .header("x-rejoinder-role", "What the texts are; `passage` without it.", word(&["passage", "query"]))
            .takes::<EmbeddingRequest>(&json!({"model": "auto", "input": ["payment terms"]}))
            .keeps_key()
            .answers::<EmbeddingList>(200, "The vectors, in the order of the texts.", None)
            .may_fail(&[404, 502, 504]),
        Route::get("/v1/models", "list_models", "The models that are ready")
            .of(TAG, Needs::Reader)
            .openai()
            .answers::<ModelList>(200, "All of them.", None),
        Route::get("/v1/models/{model}", "get_model", "One model")
            .of(TAG, Needs::Reader)
            .openai()
            .path("model", "The model's name, which may have slashes in it.", "all-MiniLM-L6-v2")
            .answers::<ModelDto>(200, "The model.", None),
    ]
}

/// What `POST /v1/chat/completions` takes.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct ChatCompletionRequest {
    /// A model's or a target's name; `auto` leaves the choice to the server.
    model: String,
    #[schema(min_items = 1, max_items = 1024)]
    messages: Vec<ChatMessage>,
    stream: Option<bool>,
    /// Only with `stream`.
    stream_options: Option<StreamOptions>,
    /// The same as `max_completion_tokens`; one of the two.
    #[schema(minimum = 1)]
    max_tokens: Option<u64>,
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u64>,
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    #[schema(minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    #[schema(minimum = 0)]
    seed: Option<u64>,
    stop: Option<Stop>,
    response_format: Option<ResponseFormat>,
    #[schema(min_items = 1, max_items = 128)]
    tools: Option<Vec<Tool>>,
    /// Needs `tools`.
    tool_choice: Option<ToolChoice>,
    /// Needs `tools`.
    parallel_tool_calls: Option<bool>,
    prediction: Option<Prediction>,
    #[schema(pattern = "^(auto|default|flex|priority|scale)$")]
    service_tier: Option<String>,
    /// 1.
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u64>,
    /// 0.
    #[schema(minimum = 0, maximum = 0)]
    frequency_penalty: Option<f64>,
    /// 0.
    #[schema(minimum = 0, maximum = 0)]
    presence_penalty: Option<f64>,
    /// Changes nothing, as do the next ones.
    user: Option<Value>,
    metadata: Option<Value>,
    safety_identifier: Option<Value>,
    prompt_cache_key: Option<Value>,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is read member by member")]
enum ChatMessage {
    Given(GivenMessage),
    Assistant(AssistantMessage),
    Tool(ToolMessage),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct GivenMessage {
    #[schema(pattern = "^(developer|system|user)$")]
    role: String,
    content: Content,
    name: Option<Value>,
}

/// Needs a content, a refusal or tool calls.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct AssistantMessage {
    #[schema(pattern = "^assistant$")]
    role: String,
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<AssistantCall>>,
    name: Option<Value>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct AssistantCall {
    id: String,
    #[schema(pattern = "^function$")]
    r#type: String,
    function: AssistantFunction,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct AssistantFunction {
    name: String,
    /// JSON as text.
    arguments: String,
}

/// The result of a call in an earlier message.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct ToolMessage {
    #[schema(pattern = "^tool$")]
    role: String,
    content: Content,
    tool_call_id: String,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is read member by member")]
enum Content {
    Text(String),
    Parts(Vec<TextPart>),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct TextPart {
    #[schema(pattern = "^text$")]
    r#type: String,
    text: String,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct StreamOptions {
    include_usage: Option<bool>,
    include_obfuscation: Option<bool>,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is read member by member")]
enum Stop {
    One(FilledText),
    Several(StopTexts),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct ResponseFormat {
    #[schema(pattern = "^(text|json_object|json_schema)$")]
    r#type: String,
    /// Only with the type `json_schema`.
    json_schema: Option<NamedForm>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct NamedForm {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    name: String,
    description: Option<String>,
    /// Enforced whether it is asked for or not.
    strict: Option<bool>,
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct Tool {
    #[schema(pattern = "^function$")]
    r#type: String,
    function: ToolFunction,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct ToolFunction {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    name: String,
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    strict: Option<bool>,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is read member by member")]
enum ToolChoice {
    Word(ToolChoiceWord),
    Named(NamedTool),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct NamedTool {
    #[schema(pattern = "^function$")]
    r#type: String,
    function: FunctionName,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct FunctionName {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    name: String,
}

/// A text that the answer is likely to have in it; it makes the answer faster and never another one.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct Prediction {
    #[schema(pattern = "^content$")]
    r#type: String,
    content: Content,
}

/// What `POST /v1/embeddings` takes.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct EmbeddingRequest {
    /// A model's name; `auto` leaves the choice to the server.
    model: String,
    input: EmbeddingInput,
    /// Only the model's own number.
    #[schema(minimum = 1)]
    dimensions: Option<u64>,
    #[schema(pattern = "^(float|base64)$")]
    encoding_format: Option<String>,
    /// Changes nothing.
    user: Option<Value>,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is read member by member")]
enum EmbeddingInput {
    One(FilledText),
    Many(TextList),
}

#[derive(ToSchema)]
#[schema(min_length = 1)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct FilledText(String);

#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 2048)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct TextList(Vec<FilledText>);

#[derive(ToSchema)]
#[schema(max_items = 4)]
#[expect(dead_code, reason = "it describes what is read member by member")]
struct StopTexts(Vec<FilledText>);

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what is read member by member")]
enum ToolChoiceWord {
    Auto,
    None,
    Required,
}
