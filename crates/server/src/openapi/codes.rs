//! The codes of problems: what a program may decide on. They stay; what is said in `detail` may change.

/// Every code with the statuses it comes with and what it means.
pub(crate) const CODES: [(&str, &str, &str); 23] = [
    ("malformed_json", "400", "the body is not JSON, or broke off"),
    ("malformed_multipart", "400", "the body is not multipart/form-data, or broke off"),
    ("malformed_address", "400", "an escape in the path or query is broken or no UTF-8"),
    ("unauthenticated", "401", "no credential, or none that is valid"),
    ("forbidden", "403", "the credential is valid and lacks the role"),
    ("not_found", "404", "no such route, or no such thing for this tenant"),
    ("method_not_allowed", "405", "the path does not take the method; Allow names those it takes"),
    ("request_timeout", "408", "the head or the body of the request came too slowly"),
    ("conflict", "409", "another outcome of the suggestion was recorded before"),
    ("idempotency_conflict", "409", "the Idempotency-Key belongs to a request with another body"),
    ("idempotency_in_progress", "409", "the request with the Idempotency-Key is being carried out"),
    ("erased", "409", "the message was erased on request and is not taken in again"),
    ("too_large", "413", "over a limit on size, which the detail names"),
    ("unsupported_media_type", "415", "the body has another type than the route takes"),
    ("invalid_request", "422", "well formed, but not what the route takes; errors names the places"),
    ("unsupported_schema", "422", "the schema uses a keyword that extraction does not support"),
    ("rate_limited", "429", "the tenant's allowance is used up; Retry-After tells when there is some"),
    ("over_budget", "429", "the budget is used up; Retry-After tells when there is some"),
    ("internal", "500", "a defect or damaged data; the log has the cause under the request's id"),
    ("busy", "503", "too many requests or connections at once; see Retry-After"),
    ("unavailable", "503", "a part of the service is not ready; see /readyz and Retry-After"),
    ("timeout", "504", "not done within the configured time"),
    (
        "egress_denied",
        "403",
        "the policy keeps the prompt on the machine, where no model is ready (OpenAI-shaped routes)",
    ),
];

/// Whether a code is one of them.
pub(crate) fn is_known(code: &str) -> bool {
    CODES.iter().any(|(known, ..)| *known == code)
}

/// The list for a reader.
pub(super) fn listed() -> String {
    let lines: Vec<String> =
        CODES.iter().map(|(code, status, meaning)| format!("- `{code}` ({status}): {meaning}")).collect();
    lines.join("\n")
}
