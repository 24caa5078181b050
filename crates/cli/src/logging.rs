//! The log: standard error, quiet by default, ids only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::args::Global;

/// Starts logging. `RUST_LOG` wins over `-v`.
pub(crate) fn start(global: &Global) {
    let level = match global.verbose {
        // What the hub's client says of a try that failed is in the pull's own report.
        0 => "warn,hf_hub=off,rejoinder=info,rejoinder_server=info",
        1 => "warn,rejoinder=debug,rejoinder_server=debug,rejoinder_pipeline=debug,rejoinder_store=debug",
        _ => "info,rejoinder=trace,rejoinder_server=trace,rejoinder_pipeline=trace,rejoinder_store=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    if global.log_json {
        builder.json().init();
    } else {
        builder.init();
    }
}
