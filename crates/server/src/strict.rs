//! What no route has to look at itself: addresses that are not well formed, and parameters that no route has.
//!
//! A parameter that is not in the `OpenAPI` document is refused. Dropping it in silence would answer a question that the
//! caller did not ask: `?mailboxes=sales` on a route that filters by something else would search all mail.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::openapi;
use crate::problem::Problem;

/// The parameters of every documented route, by method and path.
static KNOWN: LazyLock<HashMap<(Method, String), Vec<String>>> = LazyLock::new(|| {
    let of = |route: &openapi::route::Route| {
        let names = route.query_names().map(str::to_owned).collect();
        ((route.http_method(), route.path_template().to_owned()), names)
    };
    openapi::all().iter().map(of).collect()
});

/// Middleware.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    match problem_of(&request) {
        None => next.run(request).await,
        Some(problem) => problem.into_response(),
    }
}

fn problem_of(request: &Request) -> Option<Problem> {
    if decoded(request.uri().path()).is_none() {
        return Some(Problem::malformed_address("the path has an escape that is not %XX, or is not UTF-8"));
    }
    let query = request.uri().query().filter(|query| !query.is_empty())?;
    let method = if *request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let path = request.extensions().get::<MatchedPath>()?.as_str().replace("{*", "{");
    let known = KNOWN.get(&(method, path))?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(_)) = (decoded(name), decoded(value)) else {
            return Some(Problem::malformed_address("the query has an escape that is not %XX, or is not UTF-8"));
        };
        if !known.contains(&name) {
            let detail = if known.is_empty() {
                "this route has no parameters".to_owned()
            } else {
                format!("there is no such parameter; this route has {}", known.join(", "))
            };
            return Some(Problem::parameter(&shown(&name), detail));
        }
    }
    None
}

/// The start of a name that a client made up, fit for a sentence.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// The text without its escapes (RFC 3986); `None` where an escape is broken or the bytes are no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push((high * 16 + low) as u8);
            }
            // As forms have it; a plus in a path means itself, which makes no difference here.
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn escapes_are_whole_and_make_utf8() {
        assert_eq!(decoded("a%20b+c%C3%A4").as_deref(), Some("a b cä"));
        for broken in ["%", "%4", "%zz", "%+1", "%ff", "a%C3"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
