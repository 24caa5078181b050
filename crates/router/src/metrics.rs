//! What the router counts, for Prometheus.
//!
//! Labels are names of targets and purposes, stable codes and kinds of redactions: all from the configuration or from fixed
//! lists, so that their number is bounded. No label tells of a tenant, a request or a text.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `rejoinder_model_attempts_total` | target, purpose, outcome | attempts, also those that were skipped or cached |
//! | `rejoinder_model_alarms_total` | target, outcome | attempts that failed by `auth` or `invalid`: wait for a person |
//! | `rejoinder_model_first_token_seconds` | target | from asking to the first text |
//! | `rejoinder_model_output_token_seconds` | target | per further token of an answer, on average over the answer |
//! | `rejoinder_model_attempt_seconds` | target | attempts that were made, whatever became of them |
//! | `rejoinder_model_tokens_total` | target, purpose, kind | `input`, `cached_input` (a part of `input`) and `output` |
//! | `rejoinder_model_cost_total` | target, purpose | in units of the prices' currency |
//! | `rejoinder_model_breaker_state` | target | 0 closed, 1 half open, 2 open |
//! | `rejoinder_model_restarts_total` | | answers that began again at another target |
//! | `rejoinder_model_hedges_total` | target | second targets asked because this one was slow to begin |
//! | `rejoinder_budget_refusals_total` | target | attempts that a budget forbade |
//! | `rejoinder_answer_cache_requests_total` | result | `hit`, `miss`, `joined` (waited for an equal request) |
//! | `rejoinder_answer_cache_bytes`, `_entries` | | what is kept |
//! | `rejoinder_egress_requests_total`, `rejoinder_egress_bytes_total` | target | prompts that left the machine |
//! | `rejoinder_redactions_total` | kind | values replaced before a prompt left the machine |
//! | `rejoinder_redactions_unrestored_total` | target | placeholders in answers that stand for nothing |

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rejoinder_domain::{AttemptOutcome, EgressRecord, ErrorKind, ModelAttempt, Purpose};

use crate::breaker::BreakerState;

/// Seconds until the first token: from a warm local model to a long prompt on a slow machine.
const FIRST_TOKEN_SECONDS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

/// Seconds per further token: from 500 tokens a second to one.
const OUTPUT_TOKEN_SECONDS: [f64; 9] = [0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.4, 1.0];

/// Seconds of a whole attempt: from a refused connection to the longest time-out.
const ATTEMPT_SECONDS: [f64; 12] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// The router's metrics. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct RouterMetrics {
    attempts: Family<OutcomeLabels, Counter>,
    alarms: Family<AlarmLabels, Counter>,
    first_token: Family<TargetLabel, Histogram, Buckets>,
    output_token: Family<TargetLabel, Histogram, Buckets>,
    attempt: Family<TargetLabel, Histogram, Buckets>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<PurposeLabels, Counter<f64, AtomicU64>>,
    breaker: Family<TargetLabel, Gauge>,
    restarts: Counter,
    hedges: Family<TargetLabel, Counter>,
    over_budget: Family<TargetLabel, Counter>,
    cache_requests: Family<ResultLabel, Counter>,
    cache_bytes: Gauge<u64, AtomicU64>,
    cache_entries: Gauge<u64, AtomicU64>,
    egress_requests: Family<TargetLabel, Counter>,
    egress_bytes: Family<TargetLabel, Counter>,
    redactions: Family<KindLabel, Counter>,
    unrestored: Family<TargetLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PurposeLabels {
    target: Arc<str>,
    purpose: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    target: Arc<str>,
    purpose: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    target: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    target: Arc<str>,
    purpose: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// Makes a histogram for every target.
#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl RouterMetrics {
    /// Registers all of them. The registry has no prefix of its own.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            attempts: Family::default(),
            alarms: Family::default(),
            first_token: Family::new_with_constructor(Buckets(&FIRST_TOKEN_SECONDS)),
            output_token: Family::new_with_constructor(Buckets(&OUTPUT_TOKEN_SECONDS)),
            attempt: Family::new_with_constructor(Buckets(&ATTEMPT_SECONDS)),
            tokens: Family::default(),
            cost: Family::default(),
            breaker: Family::default(),
            restarts: Counter::default(),
            hedges: Family::default(),
            over_budget: Family::default(),
            cache_requests: Family::default(),
            cache_bytes: Gauge::default(),
            cache_entries: Gauge::default(),
            egress_requests: Family::default(),
            egress_bytes: Family::default(),
            redactions: Family::default(),
            unrestored: Family::default(),
        };
        metrics.register_models(registry.sub_registry_with_prefix("rejoinder_model"));
        metrics.register_others(registry.sub_registry_with_prefix("rejoinder"));
        metrics
    }

    fn register_models(&self, model: &mut Registry) {
        model.register("attempts", "Attempts to get an answer from a model", self.attempts.clone());
        model.register("alarms", "Attempts that fail until a person changes something", self.alarms.clone());
        let seconds = |model: &mut Registry, name, help, family: &Family<TargetLabel, Histogram, Buckets>| {
            model.register_with_unit(name, help, Unit::Seconds, family.clone());
        };
        seconds(model, "first_token", "From asking a model to its first text", &self.first_token);
        seconds(model, "output_token", "Time per further token of an answer", &self.output_token);
        seconds(model, "attempt", "Time of attempts that were made", &self.attempt);
        model.register("tokens", "Tokens of prompts and answers", self.tokens.clone());
        model.register("cost", "What attempts cost, in units of the prices' currency", self.cost.clone());
        model.register("breaker_state", "0 closed, 1 half open, 2 open", self.breaker.clone());
        model.register("restarts", "Answers that began again at another target", self.restarts.clone());
        model.register("hedges", "Second targets asked because this one was slow to begin", self.hedges.clone());
    }

    fn register_others(&self, own: &mut Registry) {
        own.register("budget_refusals", "Attempts that a budget forbade", self.over_budget.clone());
        let requests = "Requests whose answer may be kept, by what was found";
        own.register("answer_cache_requests", requests, self.cache_requests.clone());
        own.register_with_unit("answer_cache", "Kept answers and their keys", Unit::Bytes, self.cache_bytes.clone());
        own.register("answer_cache_entries", "Kept answers", self.cache_entries.clone());
        own.register("egress_requests", "Prompts that left the machine", self.egress_requests.clone());
        own.register_with_unit("egress", "Text that left the machine", Unit::Bytes, self.egress_bytes.clone());
        let redactions = "Values replaced by placeholders before a prompt left the machine";
        own.register("redactions", redactions, self.redactions.clone());
        let unrestored = "Placeholders in answers that stand for nothing";
        own.register("redactions_unrestored", unrestored, self.unrestored.clone());
    }

    /// An attempt is over.
    pub fn attempt(&self, attempt: &ModelAttempt, purpose: Purpose) {
        let target: Arc<str> = attempt.provider.as_str().into();
        let purpose = purpose.as_str();
        let outcome = attempt.outcome.code();
        self.attempts.get_or_create(&OutcomeLabels { target: Arc::clone(&target), purpose, outcome }).inc();
        if matches!(attempt.outcome, AttemptOutcome::Cached | AttemptOutcome::Skipped(_)) {
            return;
        }
        if matches!(attempt.outcome, AttemptOutcome::Failed(ErrorKind::Auth | ErrorKind::Invalid)) {
            self.alarms.get_or_create(&AlarmLabels { target: Arc::clone(&target), outcome }).inc();
        }
        let usage = attempt.usage;
        for (kind, count) in [("input", usage.input), ("cached_input", usage.cached_input), ("output", usage.output)] {
            if count > 0 {
                let labels = TokenLabels { target: Arc::clone(&target), purpose, kind };
                self.tokens.get_or_create(&labels).inc_by(count as u64);
            }
        }
        if let Some(cost) = attempt.cost.filter(|cost| cost.nanos > 0) {
            self.cost.get_or_create(&PurposeLabels { target: Arc::clone(&target), purpose }).inc_by(cost.units());
        }
        let label = TargetLabel { target };
        self.attempt.get_or_create(&label).observe(attempt.ms as f64 / 1000.0);
        if let Some(first) = attempt.first_token_ms {
            self.first_token.get_or_create(&label).observe(first as f64 / 1000.0);
            // Of an answer that was cut short, nobody knows how many tokens took the time.
            if attempt.outcome == AttemptOutcome::Ok && usage.output > 1 {
                let further = attempt.ms.saturating_sub(first) as f64 / 1000.0 / (usage.output - 1) as f64;
                self.output_token.get_or_create(&label).observe(further);
            }
        }
        if attempt.unrestored > 0 {
            self.unrestored.get_or_create(&label).inc_by(attempt.unrestored.into());
        }
    }

    /// A prompt is about to leave the machine.
    pub fn egress(&self, record: &EgressRecord) {
        let label = TargetLabel { target: record.provider.as_str().into() };
        self.egress_requests.get_or_create(&label).inc();
        self.egress_bytes.get_or_create(&label).inc_by(record.bytes);
        for (kind, count) in &record.redactions {
            self.redactions.get_or_create(&KindLabel { kind: kind.clone() }).inc_by((*count).into());
        }
    }

    /// How a target's breaker is now.
    pub fn breaker(&self, target: &str, state: BreakerState) {
        let value = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open { .. } => 2,
        };
        self.breaker.get_or_create(&TargetLabel { target: target.into() }).set(value);
    }

    /// An answer begins again at another target.
    pub fn restart(&self) {
        self.restarts.inc();
    }

    /// `target` was slow to begin, and a second one is asked.
    pub fn hedge(&self, target: &str) {
        self.hedges.get_or_create(&TargetLabel { target: target.into() }).inc();
    }

    /// A budget forbade to ask `target`.
    pub fn over_budget(&self, target: &str) {
        self.over_budget.get_or_create(&TargetLabel { target: target.into() }).inc();
    }

    /// The answer was kept.
    pub fn cache_hit(&self) {
        self.cache_requests.get_or_create(&ResultLabel { result: "hit" }).inc();
    }

    /// It was not.
    pub fn cache_miss(&self) {
        self.cache_requests.get_or_create(&ResultLabel { result: "miss" }).inc();
    }

    /// An equal request is being answered.
    pub fn cache_joined(&self) {
        self.cache_requests.get_or_create(&ResultLabel { result: "joined" }).inc();
    }

    /// What is kept now.
    pub fn cache_size(&self, bytes: u64, entries: u64) {
        self.cache_bytes.set(bytes);
        self.cache_entries.set(entries);
    }
}

#[cfg(test)]
mod tests;
