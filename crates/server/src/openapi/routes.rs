//! What is said of each route. The order is the reader's: suggestions first, operations last.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Schema, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat};

use super::route::{Needs, Route, text, time, word};
use crate::{
    audit, erase, extract, health, jobs, messages, schemas, search, stats, subjects, suggest, suggestions, usage,
};

const ASSIST: &str = "assist";
const MAIL: &str = "mail";
const REVIEW: &str = "review";
const PRIVACY: &str = "privacy";
const ACCOUNT: &str = "account";

/// Every operation but the OpenAI-shaped ones.
pub(super) fn all() -> Vec<Route> {
    let mut all = assist();
    all.extend(review());
    all.extend(mail());
    all.extend(jobs());
    all.extend(privacy());
    all.extend(account());
    all.extend(operations());
    all
}

fn ticket() -> Value {
    json!({"id": "T-1042", "subject": "Invoice 4711", "customer": {"email": "anna@weberbau.example", "name": "Anna Weber"},
        "messages": [{"direction": "inbound", "from": "anna@weberbau.example", "sent_at": "2026-03-02T09:15:00Z",
            "text": "When is invoice 4711 due?"}]})
}

const EVENTS: &str = "With `stream: true` the answer is `text/event-stream`: `retrieval` (the citations found), `draft` (the \
    exemplar draft, at once), `delta` (`{\"text\"}`), `citation`, `restart` (a provider failed and another begins: discard what \
    was shown), then `done` with the whole answer or `error` with a problem. Each event's `id` is `<suggestion id>:<number>`; \
    comments in between are signs of life. A client that hangs up ends the work.";

fn assist() -> Vec<Route> {
    vec![
        Route::post("/v1/suggest-reply", "suggest_reply", "Draft the reply to a ticket")
            .of(ASSIST, Needs::Agent)
            .described(EVENTS)
            .header("Last-Event-ID", "Continues a stream after this event; the body must be the same.", text())
            .takes::<suggest::SuggestReplyRequest>(&json!({"ticket": ticket()}))
            .keeps_key()
            .answers::<suggest::SuggestReplyAnswer>(200, "The drafts, with the mail they rest on.", None)
            .answers_events(200, "id: sug_1:1\nevent: retrieval\ndata: {\"citations\": []}\n\n")
            .may_fail(&[404, 504]),
        Route::get("/v1/suggest-reply/{id}/events", "suggest_reply_events", "Continue the stream of a suggestion")
            .of(ASSIST, Needs::Agent)
            .described("What followed the event in `Last-Event-ID`; all events without it.")
            .path("id", "The suggestion, `sug_...`.", "sug_1")
            .header("Last-Event-ID", "`<suggestion id>:<number>` of the last event that was seen.", text())
            .answers_events(200, "id: sug_1:2\nevent: done\ndata: {}\n\n"),
        Route::post("/v1/extract-attributes", "extract_attributes", "Fill the attributes of a schema from a text or ticket")
            .of(ASSIST, Needs::Agent)
            .described(
                "Send either `text` or `ticket`, and either `schema` or `schema_name`. What the text does not say is in \
                 `abstained`, not guessed. A schema that uses an unsupported keyword is 422 and names it; a `$ref` is \
                 followed within the schema only.",
            )
            .takes::<extract::ExtractAttributesRequest>(&json!({"text": "Please pay EUR 1,250 by 31 March 2026.",
                "schema": {"type": "object", "properties": {"amount": {"type": "number"}, "due": {"type": "string", "format": "date"}}}}))
            .keeps_key()
            .answers::<extract::ExtractAttributesAnswer>(200, "The attributes, each with its place in the text.", None)
            .may_fail(&[504]),
        Route::post("/v1/search", "search", "Search the mail by meaning and by words")
            .of(ASSIST, Needs::Reader)
            .takes::<search::SearchBody>(&json!({"query": "payment terms", "limit": 5}))
            .answers::<search::SearchAnswer>(200, "Passages, best first.", None)
            .may_fail(&[504]),
        Route::get("/v1/schemas", "list_schemas", "The attribute schemas that have a name")
            .of(ASSIST, Needs::Reader)
            .answers::<schemas::SchemaList>(200, "All of the tenant, in one page.", None),
        Route::get("/v1/schemas/{name}", "get_schema", "One named schema")
            .of(ASSIST, Needs::Reader)
            .path("name", "The name; with `@` and a version exactly that one.", "close_out")
            .answers::<schemas::SchemaDto>(200, "The schema.", None),
    ]
}

fn review() -> Vec<Route> {
    vec![
        Route::get("/v1/suggestions", "list_suggestions", "What was suggested, newest first")
            .of(REVIEW, Needs::Reader)
            .query("ticket_id", "Only those for this ticket.", text())
            .list()
            .answers::<suggestions::SuggestionList>(200, "Suggestions with their outcomes.", None),
        Route::get("/v1/suggestions/{id}", "get_suggestion", "One suggestion and its outcome")
            .of(REVIEW, Needs::Reader)
            .path("id", "The suggestion, `sug_...`.", "sug_1")
            .answers::<suggestions::KnownSuggestionDto>(
                200,
                "As it was given; `stale` where the ticket went on since.",
                None,
            ),
        Route::post("/v1/feedback", "feedback", "Tell what a person made of a suggestion")
            .of(REVIEW, Needs::Agent)
            .described("An accepted or edited reply becomes an example for later ones; a rejected one is avoided.")
            .takes::<suggestions::FeedbackRequest>(
                &json!({"suggestion_id": "sug_1", "candidate": 0, "outcome": "edited",
                "final_text": "Invoice 4711 is due on 31 March.", "reason": null}),
            )
            .keeps_key()
            .answers_nothing(204, "Recorded, or recorded before.")
            .may_fail(&[404, 409]),
        Route::get("/v1/stats", "stats", "Acceptance, edits and unanswered questions")
            .of(REVIEW, Needs::Reader)
            .query("since", "From this time on.", time())
            .query("until", "Before this time; later than `since`.", time())
            .answers::<stats::StatsAnswer>(200, "Counts and rates.", None),
    ]
}

fn mail() -> Vec<Route> {
    let file =
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    vec![
        Route::post("/v1/messages", "create_message", "Index one message now")
            .of(MAIL, Needs::Ingest)
            .described(
                "As JSON, or the message itself (RFC 5322) as `message/rfc822` with the mailbox in the query. The parameters \
                 belong to the second alone.",
            )
            .query("mailbox", "The mailbox that the message is listed under.", text().min_length(Some(1)).max_length(Some(200)))
            .query("ticket_id", "The CRM's ticket that it belongs to.", text().min_length(Some(1)))
            .takes::<messages::MessageRequest>(&json!({"mailbox": "crm", "message": {"message_id": "<1@weberbau.example>",
                "from": "Anna Weber <anna@weberbau.example>", "to": ["billing@firm.example"], "subject": "Invoice 4711",
                "sent_at": "2026-03-02T09:15:00Z", "text": "When is invoice 4711 due?"}}))
            .takes_also("message/rfc822", file)
            .keeps_key()
            .answers::<messages::IndexedDto>(201, "Indexed; searches find it from now on.", None)
            .answers::<messages::IndexedDto>(200, "It was there already (`duplicate`).", None)
            .may_fail(&[504]),
    ]
}

fn jobs() -> Vec<Route> {
    let id = |route: Route| route.path("id", "The job, `job_...`.", "job_1");
    let files = ObjectBuilder::new()
        .property(
            "file",
            utoipa::openapi::ArrayBuilder::new()
                .items(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))))
                .min_items(Some(1))
                .max_items(Some(1000)),
        )
        .required("file")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    vec![
        Route::post("/v1/ingest/jobs", "create_job", "Ingest mailboxes, in the background")
            .of(MAIL, Needs::Ingest)
            .described(
                "Either a `multipart/form-data` upload with parts called `file`, whose names tell their formats and which go \
                 to the disk as they arrive, or the path of something in the server's inbox folder. An upload takes no \
                 `Idempotency-Key`: the messages in it are known again by themselves.",
            )
            .takes::<jobs::InboxJob>(&json!({"path": "2026/march.pst"}))
            .takes_also("multipart/form-data", files)
            .keeps_key()
            .answers::<jobs::JobDto>(202, "The job, which is queued.", None)
            .with_header(202, "Location", "The job's path.")
            .may_fail(&[504]),
        Route::get("/v1/ingest/jobs", "list_jobs", "Jobs, newest first")
            .of(MAIL, Needs::Ingest)
            .list()
            .answers::<jobs::JobList>(200, "Jobs with their progress.", None),
        id(Route::get("/v1/ingest/jobs/{id}", "get_job", "One job"))
            .of(MAIL, Needs::Ingest)
            .answers::<jobs::JobDto>(200, "The job with its progress.", None),
        id(Route::get("/v1/ingest/jobs/{id}/items", "list_job_items", "What became of each item of a job"))
            .of(MAIL, Needs::Ingest)
            .query("status", "Only items of this outcome.", word(&["indexed", "duplicate", "skipped", "salvaged"]))
            .list()
            .answers::<jobs::ItemList>(200, "Items in the order in which they were read.", None),
        id(Route::post("/v1/ingest/jobs/{id}/cancel", "cancel_job", "Stop a job"))
            .of(MAIL, Needs::Ingest)
            .described("It stops within one batch. What it has indexed stays.")
            .answers::<jobs::JobDto>(202, "The job, which stops or has ended.", None),
        id(Route::get("/v1/ingest/jobs/{id}/events", "job_events", "Follow a job"))
            .of(MAIL, Needs::Ingest)
            .described("`progress` whenever something changed, then `done`; each with the whole job.")
            .header("Last-Event-ID", "Only continues the numbering: each event tells the whole state.", text())
            .answers_events(200, "id: job_1:1\nevent: progress\ndata: {}\n\n"),
    ]
}

fn privacy() -> Vec<Route> {
    let erases = |route: Route| {
        route
            .of(PRIVACY, Needs::Admin)
            .described("From the index, the ledger, learned pairs and files. The receipt says what asking again found.")
            .answers::<erase::Receipt>(200, "The receipt.", None)
            .may_fail(&[504])
    };
    vec![
        erases(Route::delete("/v1/messages/{id}", "erase_message", "Erase one message")).path(
            "id",
            "The message's id, as answers give it.",
            "msg_1",
        ),
        erases(Route::delete("/v1/mailboxes/{id}", "erase_mailbox", "Erase a mailbox")).path(
            "id",
            "The mailbox's id, or its name where no other has it.",
            "crm",
        ),
        erases(Route::delete("/v1/subjects/{email}", "erase_subject", "Erase what is held on a person")).path_like(
            "email",
            "The person's e-mail address.",
            "anna@weberbau.example",
            text().pattern(Some("@")),
        ),
        Route::get("/v1/subjects/{email}", "export_subject", "Export what is held on a person")
            .of(PRIVACY, Needs::Admin)
            .path_like("email", "The person's e-mail address.", "anna@weberbau.example", text().pattern(Some("@")))
            .list()
            .answers::<subjects::SubjectAnswer>(200, "Messages and suggestions in full.", None),
    ]
}

fn account() -> Vec<Route> {
    vec![
        Route::get("/v1/usage", "usage", "What language models used")
            .of(ACCOUNT, Needs::Reader)
            .query("from", "From this time on; 30 days before `to` without it.", time())
            .query("to", "Before this time; now without it.", time())
            .query(
                "step",
                "The time that each sum covers; `day` without it.",
                word(&["minute", "hour", "day", "month"]),
            )
            .list()
            .answers::<usage::UsageAnswer>(200, "Sums by time, purpose and model, and what budgets have left.", None),
        Route::get("/v1/audit", "audit", "What left the machine, newest first")
            .of(ACCOUNT, Needs::Admin)
            .query("provider", "Only what went to this one.", text())
            .query("since", "From this time on.", time())
            .query("until", "Before this time.", time())
            .list()
            .answers::<audit::AuditAnswer>(200, "Sizes, counts and policies; never the text.", None),
    ]
}

fn operations() -> Vec<Route> {
    vec![
        Route::get("/healthz", "alive", "Whether the process lives").answers::<health::Alive>(200, "It does.", None),
        Route::get("/readyz", "ready", "Whether it can answer, and with what")
            .answers::<health::Ready>(200, "It can; `notes` tells what is missing for better answers.", None)
            .answers::<health::Alive>(503, "It cannot; `status` says why.", None),
        Route::get("/metrics", "metrics", "Measurements for Prometheus")
            .of("operations", Needs::Admin)
            .described("With `[server] metrics_open = true` no credential is needed.")
            .answers_as(
                200,
                "OpenMetrics 1.0.",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "# EOF\n",
            ),
        Route::get("/openapi.json", "openapi", "This document").answers_object(200, "OpenAPI 3.1."),
        Route::get("/docs", "docs", "This document as a page").answers_as(
            200,
            "HTML.",
            "text/html; charset=utf-8",
            "<!doctype html>",
        ),
    ]
}
