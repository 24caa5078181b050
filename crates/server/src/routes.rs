//! Every route: what answers it, what its caller must be allowed, and what surrounds it.
//!
//! From the outside in: security headers, the request's id, its span, its caller (`auth`), the tenant's allowance (`access`), a
//! place to work at, the key of a repeated request (`idempotency`), the handler.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post};
use rejoinder_access::Permission;

use crate::problem::Problem;
use crate::server::{App, security_headers};
use crate::work::{place, place_without_end};
use crate::{
    access, audit, auth, cors, docs, erase, extract, health, http_metrics, idempotency, jobs, messages, metrics,
    openai, openapi, request_id, schemas, search, stats, strict, subjects, suggest, suggest_stream, suggestions, trace,
    usage,
};

/// How a route's requests are worked on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Reads: no place is taken.
    Quick,
    /// Takes a place for a bounded time.
    Work,
    /// Takes a place for a bounded time and can be sent again with its `Idempotency-Key`.
    Once,
    /// The same, and models work for it: not while the tenant owes tokens.
    Model,
    /// Takes a place as long as the client sends.
    Upload,
}

pub(crate) fn all(app: &Arc<App>) -> Router {
    use Permission::{Administer, Assist, Ingest, Read};
    let routes = Router::new()
        .merge(group(app, Assist, Kind::Model, |router| {
            router
                .route("/v1/suggest-reply", post(suggest::handle))
                .route("/v1/extract-attributes", post(extract::handle))
        }))
        .merge(group(app, Assist, Kind::Work, |router| {
            router.route("/v1/suggest-reply/{id}/events", get(suggest_stream::events))
        }))
        .merge(group(app, Assist, Kind::Once, |router| router.route("/v1/feedback", post(suggestions::feedback))))
        .merge(group(app, Read, Kind::Work, |router| {
            router.route("/v1/search", post(search::handle)).route("/v1/stats", get(stats::handle))
        }))
        .merge(group(app, Read, Kind::Quick, |router| {
            router
                .route("/v1/suggestions", get(suggestions::list))
                .route("/v1/suggestions/{id}", get(suggestions::one))
                .route("/v1/schemas", get(schemas::list))
                .route("/v1/schemas/{name}", get(schemas::one))
                .route("/v1/usage", get(usage::handle))
        }))
        .merge(group(app, Ingest, Kind::Once, |router| router.route("/v1/messages", post(messages::create))))
        .merge(group(app, Ingest, Kind::Upload, |router| router.route("/v1/ingest/jobs", post(jobs::create))))
        .merge(group(app, Ingest, Kind::Quick, |router| {
            router
                .route("/v1/ingest/jobs", get(jobs::list))
                .route("/v1/ingest/jobs/{id}", get(jobs::one))
                .route("/v1/ingest/jobs/{id}/items", get(jobs::items))
                .route("/v1/ingest/jobs/{id}/cancel", post(jobs::cancel))
                .route("/v1/ingest/jobs/{id}/events", get(jobs::events))
        }))
        .merge(group(app, Administer, Kind::Work, |router| {
            let subject: MethodRouter<Arc<App>> = get(subjects::export).delete(erase::subject);
            router
                .route("/v1/messages/{id}", delete(erase::message))
                .route("/v1/mailboxes/{id}", delete(erase::mailbox))
                .route("/v1/subjects/{email}", subject)
        }))
        .merge(group(app, Administer, Kind::Quick, |router| router.route("/v1/audit", get(audit::handle))))
        .merge(openai::routes(app))
        .merge(metrics_route(app))
        .merge(open_routes())
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(Arc::clone(app), http_metrics::count))
        .layer(from_fn(trace::request))
        .layer(from_fn(request_id::assign))
        .layer(from_fn_with_state(app.config.tls.is_some(), security_headers))
        .with_state(Arc::clone(app));
    match app.config.cors.clone().map(Arc::new) {
        Some(cors) => routes.layer(from_fn_with_state(cors, cors::allow)),
        None => routes,
    }
}

/// Routes of one permission and kind, with what surrounds them.
fn group(
    app: &Arc<App>,
    permission: Permission,
    kind: Kind,
    routes: impl FnOnce(Router<Arc<App>>) -> Router<Arc<App>>,
) -> Router<Arc<App>> {
    surround(app, permission, kind, routes(Router::new()))
}

/// The routes of models in OpenAI's shape.
pub(crate) fn model_routes(app: &Arc<App>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    surround(app, Permission::Assist, Kind::Model, routes)
}

/// Routes that only read.
pub(crate) fn read_routes(app: &Arc<App>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    surround(app, Permission::Read, Kind::Quick, routes)
}

fn surround(app: &Arc<App>, permission: Permission, kind: Kind, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    let state = || Arc::clone(app);
    let mut routes = routes.layer(DefaultBodyLimit::max(app.config.max_body_bytes));
    if matches!(kind, Kind::Once | Kind::Model | Kind::Upload) {
        routes = routes.layer(from_fn_with_state(state(), idempotency::replay));
    }
    routes = match kind {
        Kind::Quick => routes,
        Kind::Upload => routes.layer(from_fn_with_state(state(), place_without_end)),
        Kind::Work | Kind::Once | Kind::Model => routes.layer(from_fn_with_state(state(), place)),
    };
    if kind == Kind::Model {
        routes = routes.layer(from_fn_with_state(state(), access::tokens));
    }
    routes
        .layer(from_fn_with_state(state(), access::count))
        .layer(from_fn(strict::check))
        .layer(from_fn_with_state((state(), permission), auth::require))
}

/// Routes that everybody may call: nothing of a tenant is in their answers.
fn open_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::serve))
        .route("/docs", get(docs::serve))
        .layer(from_fn(strict::check))
}

/// For a scraper without a credential where the configuration says so: there is nothing of a tenant in it.
fn metrics_route(app: &Arc<App>) -> Router<Arc<App>> {
    let route = Router::new().route("/metrics", get(metrics::handle)).layer(from_fn(strict::check));
    if app.config.metrics_open {
        return route;
    }
    route.layer(from_fn_with_state((Arc::clone(app), Permission::Administer), auth::require))
}
