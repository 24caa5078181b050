//! `GET /metrics`: what is measured, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Problem;
use crate::server::App;

/// `OpenMetrics` 1.0, which Prometheus reads.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn handle(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let mut text = String::new();
    if app.rejoinder.write_metrics(&mut text).and_then(|()| app.http_metrics.write(&app, &mut text)).is_err() {
        tracing::error!("the metrics could not be written");
        return Err(Problem::internal());
    }
    text.push_str("# EOF\n");
    Ok(([(CONTENT_TYPE, TEXT)], text).into_response())
}
