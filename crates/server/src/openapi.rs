//! The description of the API, `OpenAPI` 3.1: `GET /openapi.json`, `rejoinder openapi`.
//!
//! The schemas come from the types that the routes read and write; what is said of each route stands in `routes`, in one
//! table. Tests hold that every route of the server is in the document and the other way round, and that the document is
//! the one that is checked in. The server reads it too: a query parameter that it does not have is refused (`strict`).

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths};

use route::{BEARER, Route};

use crate::problem::Problem;

pub(crate) mod codes;
pub(crate) mod route;
mod routes;
#[cfg(test)]
mod tests;

/// What is said before the routes.
const INTRODUCTION: &str = "Rejoinder reads a company's mail archive and drafts the next reply; a person approves.\n\n\
    **Credentials.** `Authorization: Bearer` with an API key (`rejoinder keys create`) or a token of the configured \
    identity provider. The tenant comes from the credential alone. Without configured credentials the server listens on \
    loopback only and asks for none.\n\n\
    **Errors** are problem documents (RFC 9457) with a stable `code`; on the OpenAI-shaped routes they have OpenAI's shape. \
    A path that does not exist is 404, a method that a path does not have 405 with `Allow`.\n\n\
    **Strictness.** Unknown keys of a body and unknown parameters are refused, so that a misspelt option never passes for \
    one that was honoured. `Accept` is not looked at: each route has one media type. HEAD is answered wherever GET is. The \
    limits in this document are those of the default configuration.\n\n\
    **Lists** are `{\"data\": [], \"next_cursor\": null}`; `cursor` takes the `next_cursor` of the page before.";

/// The document of all routes.
pub(crate) fn document() -> OpenApi {
    build(all())
}

/// The same as text, as it is served and checked in. It fails only where a schema could not be written as JSON, which is a
/// defect.
pub fn openapi() -> Result<String, serde_json::Error> {
    document().to_pretty_json()
}

/// Every operation.
pub(crate) fn all() -> Vec<Route> {
    let mut all = routes::all();
    all.extend(crate::openai::document::routes());
    all
}

fn build(routes: Vec<Route>) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new();
    for mut route in routes {
        let operation = route.operation();
        paths.add_path_operation(route.path, vec![route.method.clone()], operation);
        components = components.schemas_from_iter(std::mem::take(&mut route.schemas));
        components = components.responses_from_iter(std::mem::take(&mut route.responses));
    }
    for (name, header) in route::headers() {
        components = components.header(name, header);
    }
    let words = "An API key, `rj_<id>_<secret>`, or a JWT of the configured identity provider.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(words)).build();
    let components = components.security_scheme(BEARER, SecurityScheme::Http(scheme)).build();
    OpenApiBuilder::new().info(info()).paths(paths).components(Some(components)).build()
}

fn info() -> Info {
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    InfoBuilder::new()
        .title("Rejoinder")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!("{INTRODUCTION}\n\n**Codes of problems.**\n\n{}", codes::listed())))
        .license(Some(license))
        .build()
}

/// `GET /openapi.json`.
pub(crate) async fn serve() -> Result<Response, Problem> {
    static TEXT: LazyLock<Option<String>> = LazyLock::new(|| openapi().ok());
    let text = TEXT.as_deref().ok_or_else(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}
