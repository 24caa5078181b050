//! The log: standard error, quiet by default, ids only. And traces, for who runs an OpenTelemetry collector.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::args::Global;

/// What never reaches the log, whatever `RUST_LOG` says: texts of prompts, which only a trace may hold, and what
/// async-openai prints of bodies that it cannot read.
const NEVER_LOGGED: [&str; 2] = ["trace::content=off", "async_openai=off"];
/// Where traces go: OpenTelemetry's own variables.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// Whether traces hold the texts of prompts and answers, as far as the egress policy lets them leave.
const CONTENT: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

/// What has to be ended with the program.
#[derive(Default)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    /// Sends what was not sent yet.
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("the last traces could not be sent: {error}");
        }
    }
}

/// Starts logging, and tracing where an endpoint is set. `RUST_LOG` wins over `-v`.
pub(crate) fn start(global: &Global) -> anyhow::Result<Telemetry> {
    let level = match global.verbose {
        // What the hub's client says of a try that failed is in the pull's own report.
        0 => "warn,hf_hub=off,rejoinder=info,rejoinder_server=info",
        1 => {
            "warn,rejoinder=debug,rejoinder_server=debug,rejoinder_router=debug,rejoinder_pipeline=debug,rejoinder_store=debug"
        }
        _ => {
            "info,rejoinder=trace,rejoinder_server=trace,rejoinder_router=trace,rejoinder_pipeline=trace,rejoinder_store=trace"
        }
    };
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    for directive in NEVER_LOGGED {
        filter = filter.add_directive(directive.parse().context("a directive of the log")?);
    }
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    let log = if global.log_json { log.json().boxed() } else { log.boxed() };
    let (traces, telemetry) = if ENDPOINTS.iter().any(|name| is_set(name)) { traces()? } else { Default::default() };
    tracing_subscriber::registry().with(log.with_filter(filter)).with(traces).init();
    Ok(telemetry)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Spans of requests and of attempts to get an answer, sent by OTLP over HTTP from a thread of its own.
fn traces<S>() -> anyhow::Result<(Option<BoxedLayer<S>>, Telemetry)>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build();
    let exporter = exporter.context("the traces' endpoint cannot be used")?;
    let mut resource = Resource::builder();
    if !is_set("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name("rejoinder");
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let content = std::env::var(CONTENT).is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    let content = if content { "trace::content=info" } else { "trace::content=off" };
    let filter = format!("off,trace::rejoinder=info,{content}");
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("rejoinder"))
        .with_location(false)
        .with_threads(false)
        .with_filter(EnvFilter::new(filter));
    Ok((Some(layer.boxed()), Telemetry(Some(provider))))
}
