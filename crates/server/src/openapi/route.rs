//! One operation of the document, with what all operations have in common written once.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Schema, SchemaFormat, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Header, HeaderBuilder, HttpMethod, ObjectBuilder, Ref, RefOr, Required};

/// The name of the security scheme.
pub(super) const BEARER: &str = "bearer";
/// Media type of errors.
const PROBLEM: &str = "application/problem+json";
/// Media type of everything else, unless said otherwise.
const JSON: &str = "application/json";

/// Schemas by name, as they are collected.
pub(crate) type Schemas = Vec<(String, RefOr<Schema>)>;

/// The shape of an operation's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errors {
    /// RFC 9457.
    Problems,
    /// As OpenAI's clients read them.
    OpenAi,
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Everybody.
    Nothing,
    Reader,
    Agent,
    Ingest,
    Admin,
}

/// One operation.
pub(crate) struct Route {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: String,
    tag: &'static str,
    needs: Needs,
    errors: Errors,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: BTreeMap<u16, ResponseBuilder>,
    problems: Vec<u16>,
    keeps_key: bool,
    pub(super) schemas: Schemas,
    /// Failures, by name.
    pub(super) responses: Vec<(String, Response)>,
}

impl Route {
    pub(crate) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Get, path, id, summary)
    }

    pub(crate) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Post, path, id, summary)
    }

    pub(crate) fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Delete, path, id, summary)
    }

    fn new(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            description: String::new(),
            tag: "operations",
            needs: Needs::Nothing,
            errors: Errors::Problems,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: Vec::new(),
            keeps_key: false,
            schemas: Schemas::new(),
            responses: Vec::new(),
        }
    }

    /// Group, and who may call.
    pub(crate) fn of(self, tag: &'static str, needs: Needs) -> Self {
        Self { tag, needs, ..self }
    }

    pub(crate) fn described(self, description: &str) -> Self {
        Self { description: description.to_owned(), ..self }
    }

    pub(crate) fn openai(self) -> Self {
        Self { errors: Errors::OpenAi, ..self }
    }

    /// A parameter of the path.
    pub(crate) fn path(self, name: &str, description: &str, example: &str) -> Self {
        self.path_like(name, description, example, text().min_length(Some(1)))
    }

    /// A parameter of the path that has a form.
    pub(crate) fn path_like(
        self,
        name: &str,
        description: &str,
        example: &str,
        schema: impl Into<RefOr<Schema>>,
    ) -> Self {
        self.parameter(name, ParameterIn::Path, description, schema.into(), Some(json!(example))).may_fail(&[400, 404])
    }

    /// A parameter of the query.
    pub(crate) fn query(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.parameter(name, ParameterIn::Query, description, schema.into(), None)
    }

    /// A header of the request, beyond those that every request may have.
    pub(crate) fn header(self, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.parameter(name, ParameterIn::Header, description, schema.into(), None)
    }

    /// The parameters of a list.
    pub(crate) fn list(self) -> Self {
        let limit = integer().minimum(Some(1)).maximum(Some(1000)).default(Some(json!(100)));
        self.query("limit", "Entries of a page at most.", limit).query(
            "cursor",
            "`next_cursor` of the page before; only a cursor of this list is taken.",
            text(),
        )
    }

    fn parameter(
        mut self,
        name: &str,
        place: ParameterIn,
        description: &str,
        schema: RefOr<Schema>,
        example: Option<Value>,
    ) -> Self {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(schema))
            .example(example);
        self.parameters.push(parameter.build());
        self
    }

    /// A JSON body.
    pub(crate) fn takes<T: ToSchema>(mut self, example: &Value) -> Self {
        let content = ContentBuilder::new().schema(Some(self.named::<T>())).example(Some(sorted(example)));
        self.content(JSON, content.build()).may_fail(&[400, 408, 413, 415])
    }

    /// A body that is not JSON, beside one that is or alone.
    pub(crate) fn takes_also(self, media_type: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        self.content(media_type, content).may_fail(&[400, 408, 413, 415])
    }

    fn content(mut self, media_type: &str, content: utoipa::openapi::Content) -> Self {
        let body = self.body.take().map_or_else(RequestBodyBuilder::new, RequestBodyBuilder::from);
        self.body = Some(body.required(Some(Required::True)).content(media_type, content).build());
        self
    }

    /// It may be sent again under an `Idempotency-Key`.
    pub(crate) fn keeps_key(mut self) -> Self {
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]+$"));
        let words = "Makes the request safe to send again: the same key with the same body gets the first answer, with the \
                     header `idempotency-replayed: true`; with another body it is 409.";
        self.keeps_key = true;
        self.header("Idempotency-Key", words, key).may_fail(&[409])
    }

    /// A JSON answer.
    pub(crate) fn answers<T: ToSchema>(mut self, status: u16, description: &str, example: Option<Value>) -> Self {
        let content = ContentBuilder::new().schema(Some(self.named::<T>())).example(example).build();
        self.answer(status, description, JSON, content)
    }

    /// An answer of another media type.
    pub(crate) fn answers_as(self, status: u16, description: &str, media_type: &str, example: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(text())).example(Some(json!(example))).build();
        self.answer(status, description, media_type, content)
    }

    /// Any JSON object.
    pub(crate) fn answers_object(self, status: u16, description: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
        self.answer(status, description, JSON, content)
    }

    fn answer(mut self, status: u16, description: &str, media_type: &str, content: utoipa::openapi::Content) -> Self {
        let known = self.answers.remove(&status);
        let response = known.unwrap_or_else(|| ResponseBuilder::new().description(description));
        self.answers.insert(status, response.content(media_type, content));
        self
    }

    /// A stream of events. A stream has no schema of its own in `OpenAPI` 3.1: what is described is one event.
    pub(crate) fn answers_events(self, status: u16, example: &str) -> Self {
        let event = ObjectBuilder::new()
            .property("id", text())
            .property("event", text())
            .property("data", text().description(Some("JSON.")))
            .required("data")
            .description(Some("One event of the stream."));
        let content = ContentBuilder::new().schema(Some(event)).example(Some(json!(example))).build();
        self.answer(status, "Events.", "text/event-stream", content)
    }

    /// An answer without a body.
    pub(crate) fn answers_nothing(mut self, status: u16, description: &str) -> Self {
        self.answers.insert(status, ResponseBuilder::new().description(description));
        self
    }

    /// A header of a good answer.
    pub(crate) fn with_header(mut self, status: u16, name: &str, description: &str) -> Self {
        if let Some(response) = self.answers.remove(&status) {
            self.answers.insert(status, response.header(name, words_header(description)));
        }
        self
    }

    /// Errors beyond those that every operation of the kind can have.
    pub(crate) fn may_fail(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    /// The method, as the server has it.
    pub(crate) fn http_method(&self) -> axum::http::Method {
        match self.method {
            HttpMethod::Post => axum::http::Method::POST,
            HttpMethod::Delete => axum::http::Method::DELETE,
            _ => axum::http::Method::GET,
        }
    }

    /// The path with its parameters in braces.
    pub(crate) fn path_template(&self) -> &'static str {
        self.path
    }

    /// The parameters of the query.
    pub(crate) fn query_names(&self) -> impl Iterator<Item = &str> {
        let of_query = |parameter: &&Parameter| parameter.parameter_in == ParameterIn::Query;
        self.parameters.iter().filter(of_query).map(|parameter| parameter.name.as_str())
    }

    fn named<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(name).into()
    }

    /// The finished operation.
    pub(super) fn operation(&mut self) -> Operation {
        let mut problems = std::mem::take(&mut self.problems);
        problems.extend([400, 422]);
        if self.needs != Needs::Nothing {
            problems.extend([401, 403, 429, 500, 503]);
        }
        problems.sort_unstable();
        problems.dedup();
        // OpenAI's clients know 400 for what is 422 elsewhere; 422 stays for the parameters of the address.
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag)
            .summary(Some(self.summary))
            .description(Some(self.told()))
            .parameters(Some(self.all_parameters()))
            .request_body(self.body.take());
        for (status, response) in std::mem::take(&mut self.answers) {
            let response = self.usual_headers(response, status);
            operation = operation.response(status.to_string(), response);
        }
        for status in problems {
            let response = self.problem(status);
            operation = operation.response(status.to_string(), response);
        }
        if self.needs != Needs::Nothing {
            operation = operation.security(SecurityRequirement::new(BEARER, Vec::<String>::new()));
        }
        operation.build()
    }

    fn told(&self) -> String {
        let needs = match self.needs {
            Needs::Nothing => "Needs no credential.",
            Needs::Reader => "Needs the role `reader`, `agent` or `admin`.",
            Needs::Agent => "Needs the role `agent` or `admin`.",
            Needs::Ingest => "Needs the role `ingest` or `admin`.",
            Needs::Admin => "Needs the role `admin`.",
        };
        if self.description.is_empty() { needs.to_owned() } else { format!("{}\n\n{needs}", self.description) }
    }

    fn all_parameters(&mut self) -> Vec<Parameter> {
        let mut parameters = std::mem::take(&mut self.parameters);
        if self.needs != Needs::Nothing {
            let words = "The caller's id for the request, 1 to 128 letters, digits, `-`, `_` and `.`; another one is made \
                         where it is missing or something else. It is in the answer and in the log.";
            let schema = ObjectBuilder::new().schema_type(Type::String);
            parameters.push(
                ParameterBuilder::new()
                    .name("x-request-id")
                    .parameter_in(ParameterIn::Header)
                    .required(Required::False)
                    .description(Some(words))
                    .schema(Some(schema))
                    .example(Some(json!("crm-7f3a")))
                    .build(),
            );
        }
        parameters
    }

    fn usual_headers(&self, mut response: ResponseBuilder, status: u16) -> Response {
        response = common(response, self.needs != Needs::Nothing);
        if status == 503 {
            response = refer(response, "Retry-After");
        }
        if self.keeps_key && status < 300 {
            response = refer(response, "idempotency-replayed");
        }
        response.build()
    }

    /// A failure is described once, among the components.
    fn problem(&mut self, status: u16) -> RefOr<Response> {
        let (media_type, schema, shape) = match self.errors {
            Errors::Problems => (PROBLEM, self.named::<crate::problem::ProblemBody<'static>>(), "Problem"),
            Errors::OpenAi => (JSON, self.named::<crate::openai::ErrorDocument<'static>>(), "OpenAiError"),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let mut response = ResponseBuilder::new().description(meaning(status)).content(media_type, content);
        response = common(response, !matches!(status, 401 | 403));
        if matches!(status, 429 | 503) {
            response = refer(response, "Retry-After");
        }
        if status == 401 {
            response = refer(response, "WWW-Authenticate");
        }
        let name = format!("{shape}{status}");
        self.responses.push((name.clone(), response.build()));
        Ref::from_response_name(name).into()
    }
}

/// Headers by name, which responses refer to.
pub(super) fn headers() -> Vec<(&'static str, Header)> {
    vec![
        ("x-request-id", words_header("The request's id, as it is in the log.")),
        (
            "x-ratelimit-limit",
            number_header("Requests of the tenant that are allowed at once; only where they are limited."),
        ),
        ("x-ratelimit-remaining", number_header("Requests that are left of them.")),
        ("x-ratelimit-reset", number_header("Seconds until all of them are there again.")),
        ("Retry-After", number_header("Seconds after which to try again.")),
        ("WWW-Authenticate", words_header("`Bearer`.")),
        ("idempotency-replayed", words_header("`true` where the answer is a kept one.")),
    ]
}

fn common(response: ResponseBuilder, is_counted: bool) -> ResponseBuilder {
    let response = refer(response, "x-request-id");
    if !is_counted {
        return response;
    }
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].into_iter().fold(response, refer)
}

fn refer(response: ResponseBuilder, name: &str) -> ResponseBuilder {
    response.header_ref(name, Ref::new(format!("#/components/headers/{name}")))
}

/// What a status means on every route.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The body is not JSON (or not what its type says), or the address is not well formed.",
        401 => "No credential, or none that is valid (`unauthenticated`).",
        403 => "The credential does not allow this (`forbidden`), or the policy does not (`egress_denied`).",
        404 => "There is no such thing, or not for this tenant (`not_found`).",
        408 => "The body did not arrive within its time (`request_timeout`).",
        409 => {
            "It contradicts an earlier request (`conflict`, `idempotency_conflict`, `idempotency_in_progress`, `erased`)."
        }
        413 => "Over a limit on size, which the detail names (`too_large`).",
        415 => "The body has another media type than the route takes (`unsupported_media_type`).",
        422 => {
            "Well formed, but not what the route takes; `errors` names the places (`invalid_request`, `unsupported_schema`)."
        }
        429 => "The tenant's allowance is used up for the moment (`rate_limited`, `over_budget`).",
        502 => "The model's answer does not have the required form.",
        503 => "Busy or not ready (`busy`, `unavailable`); try again after the time in `Retry-After`.",
        504 => "It was not done within the configured time (`timeout`).",
        _ => "A defect, or damaged data (`internal`); the cause is in the log under the request's id.",
    }
}

/// The same with the keys of objects in order, whatever order the JSON library of a build keeps them in.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(sorted).collect(),
        Value::Object(members) => {
            let members: BTreeMap<&String, &Value> = members.iter().collect();
            members.into_iter().map(|(name, member)| (name.clone(), sorted(member))).collect()
        }
        other => other.clone(),
    }
}

/// A text.
pub(crate) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A whole number.
pub(crate) fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

/// A time, RFC 3339.
pub(crate) fn time() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
}

/// One of these words.
pub(crate) fn word(words: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(words.iter().copied()))
}

fn words_header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(text())).description(Some(description)).build()
}

fn number_header(description: &str) -> Header {
    HeaderBuilder::new().schema(Some(integer().minimum(Some(0)))).description(Some(description)).build()
}
