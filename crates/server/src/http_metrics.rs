//! How many requests there are, how they end and how long they take, by route. No tenant is a label.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::server::App;

/// Seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    method: &'static str,
    /// As it is configured, `/v1/suggestions/{id}`: an id is no label.
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    route: String,
}

/// The server's own figures.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: Family<Ended, Counter>,
    seconds: Family<Of, Histogram, fn() -> Histogram>,
    waiting: Gauge<i64>,
    working: Gauge<i64>,
    jobs_queued: Gauge<i64>,
    jobs_running: Gauge<i64>,
    limited: Counter<u64, AtomicU64>,
}

impl HttpMetrics {
    pub(crate) fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            waiting: Gauge::default(),
            working: Gauge::default(),
            jobs_queued: Gauge::default(),
            jobs_running: Gauge::default(),
            limited: Counter::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("rejoinder_http_requests", "Requests by route and status", self.requests.clone());
        registry.register(
            "rejoinder_http_request_seconds",
            "Time until an answer begins, in seconds",
            self.seconds.clone(),
        );
        registry.register("rejoinder_http_waiting", "Requests that wait for a place", self.waiting.clone());
        registry.register("rejoinder_http_working", "Requests that have a place", self.working.clone());
        registry.register("rejoinder_jobs_queued", "Jobs of ingestion that wait", self.jobs_queued.clone());
        registry.register("rejoinder_jobs_running", "Jobs of ingestion that run", self.jobs_running.clone());
        registry.register("rejoinder_rate_limited", "Requests over a tenant's allowance", self.limited.clone());
        self
    }

    /// Writes what is known now, without the end mark.
    pub(crate) fn write(&self, app: &App, text: &mut impl Write) -> fmt::Result {
        let load = app.access.load();
        self.waiting.set(i64::try_from(load.waiting).unwrap_or(i64::MAX));
        self.working.set(i64::try_from(load.running).unwrap_or(i64::MAX));
        let (queued, running) = app.rejoinder.job_load();
        self.jobs_queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
        self.jobs_running.set(i64::try_from(running).unwrap_or(i64::MAX));
        encode_registry(text, &self.registry)
    }
}

/// Middleware: counts a request when its answer begins.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        _ => "other",
    };
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let metrics = &app.http_metrics;
    if status == 429 {
        metrics.limited.inc();
    }
    metrics.seconds.get_or_create(&Of { route: route.clone() }).observe(started.elapsed().as_secs_f64());
    metrics.requests.get_or_create(&Ended { method, route, status }).inc();
    response
}
