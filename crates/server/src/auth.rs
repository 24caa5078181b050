//! Who calls: the credential of a request, checked before anything of the request is read.
//!
//! Without any credential configured every request is the configured tenant's, with every role, and the server listens on
//! loopback only. As soon as there is one, a request without is refused.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use rejoinder::TenantId;
use rejoinder_access::{AuthError, CredentialKind, Permission, Principal, Role, Roles};

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::App;

/// The tenant of a request. Only [`require`] can have put it there.
pub(crate) struct Tenant(pub(crate) TenantId);

impl<S: Send + Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A route that nobody protects has no tenant to work for.
        let principal = parts.extensions.get::<Principal>().ok_or_else(Problem::internal)?;
        Ok(Self(principal.tenant.clone()))
    }
}

/// Middleware of a group of routes: lets in who has the permission, and leaves the [`Principal`] for what follows.
pub(crate) async fn require(
    State((app, permission)): State<(Arc<App>, Permission)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let principal = match principal(&app, &parts).await {
        Ok(principal) => principal,
        Err(problem) => return problem.into_response(),
    };
    if !principal.allows(permission) {
        tracing::info!(caller = principal.reference(), ?permission, "refused: the role is missing");
        return Problem::forbidden(needed(permission)).into_response();
    }
    parts.extensions.insert(principal);
    next.run(Request::from_parts(parts, body)).await
}

/// Who sends this request.
async fn principal(app: &App, request: &Parts) -> Result<Principal, Problem> {
    let Some(authenticator) = app.access.authenticator() else {
        return Ok(Principal {
            tenant: app.rejoinder.default_tenant().clone(),
            roles: Roles::from(Role::Admin),
            subject: "loopback".to_owned(),
            kind: CredentialKind::Key,
        });
    };
    let mut values = request.headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    if more.is_some() {
        return Err(Problem::unauthenticated("the request has more than one Authorization header"));
    }
    let text = match value.map(axum::http::HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(Problem::unauthenticated("the credential is not readable")),
    };
    authenticator.authenticate(text).await.map_err(|error| {
        let request_id = request.extensions.get::<RequestId>().map(RequestId::as_str);
        tracing::info!(request_id, code = error.code(), reason = error.reason(), "not let in");
        problem_of(&error)
    })
}

fn problem_of(error: &AuthError) -> Problem {
    match error {
        AuthError::Unavailable(_) => Problem::credentials_unavailable(error.to_string()),
        AuthError::NoTenant | AuthError::NoRole => Problem::forbidden(error.to_string()),
        _ => Problem::unauthenticated(error.to_string()),
    }
}

fn needed(permission: Permission) -> &'static str {
    match permission {
        Permission::Read => "this needs the role reader, agent or admin",
        Permission::Assist => "this needs the role agent or admin",
        Permission::Ingest => "this needs the role ingest or admin",
        Permission::Administer => "this needs the role admin",
    }
}
