//! What the local model did and does, for Prometheus.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rejoinder_serving::{LocalModel, Metrics};

/// Reads the local model's counts when they are asked for.
pub(crate) struct LocalModelCollector(Arc<LocalModel>);

impl LocalModelCollector {
    pub(crate) fn new(model: Arc<LocalModel>) -> Self {
        Self(model)
    }
}

impl std::fmt::Debug for LocalModelCollector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LocalModelCollector")
    }
}

/// A name, what it says, and how to read it.
type Entry = (&'static str, &'static str, fn(&Metrics) -> u64);

const GAUGES: [Entry; 6] = [
    ("rejoinder_local_waiting_interactive", "Interactive requests that wait for a place", |m| {
        m.waiting_interactive as u64
    }),
    ("rejoinder_local_waiting_batch", "Batch requests that wait for a place", |m| m.waiting_batch as u64),
    ("rejoinder_local_running", "Answers that are being written", |m| m.running as u64),
    ("rejoinder_local_cache_bytes", "Key-value cache in use", |m| m.cache_bytes as u64),
    ("rejoinder_local_reuse_entries", "Beginnings of earlier prompts that are kept", |m| m.reuse_entries as u64),
    ("rejoinder_local_reuse_bytes", "Their bytes", |m| m.reuse_bytes as u64),
];

/// Prometheus adds `_total` to these.
const COUNTERS: [Entry; 13] = [
    ("rejoinder_local_finished", "Answers that were finished", |m| m.finished),
    ("rejoinder_local_cancelled", "Requests whose caller went away", |m| m.cancelled),
    ("rejoinder_local_expired", "Requests that were not done in time", |m| m.expired),
    ("rejoinder_local_failed", "Requests that failed otherwise", |m| m.failed),
    ("rejoinder_local_refused", "Requests refused because too many were waiting", |m| m.refused),
    ("rejoinder_local_preempted", "Answers that gave their place to another for a while", |m| m.preempted),
    ("rejoinder_local_steps", "Forward passes", |m| m.steps),
    ("rejoinder_local_input_tokens", "Tokens of prompts", |m| m.input_tokens),
    ("rejoinder_local_cached_input_tokens", "Tokens of prompts that were not computed", |m| m.cached_input_tokens),
    ("rejoinder_local_output_tokens", "Tokens of answers", |m| m.output_tokens),
    ("rejoinder_local_forced_tokens", "Tokens that a required form left no choice about", |m| m.forced_tokens),
    ("rejoinder_local_proposed_tokens", "Tokens that prompt lookup proposed", |m| m.proposed_tokens),
    ("rejoinder_local_accepted_tokens", "Proposed tokens that were right", |m| m.accepted_tokens),
];

impl Collector for LocalModelCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let metrics = self.0.metrics();
        for (name, help, read) in GAUGES {
            let gauge = ConstGauge::new(i64::try_from(read(&metrics)).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, read) in COUNTERS {
            let counter = ConstCounter::new(read(&metrics));
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}
