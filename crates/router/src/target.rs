//! The models a router can ask.

use std::sync::Arc;
use std::time::Duration;

use rejoinder_domain::{Cost, LanguageModel, TokenUsage};

/// A model and what is known of it.
#[derive(Clone)]
pub struct Target {
    /// Its name in configuration, answers, metrics and the audit. The model on this machine is `local`.
    pub name: String,
    /// The model.
    pub model: Arc<dyn LanguageModel>,
    /// What is known of it.
    pub options: TargetOptions,
}

/// Where a model runs: what egress policies are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Local,
    /// Elsewhere.
    Remote,
}

/// What is known of a target.
#[derive(Clone, Debug)]
pub struct TargetOptions {
    /// Where it runs.
    pub place: Place,
    /// What it can do.
    pub can: Capabilities,
    /// How long to wait for it.
    pub timeouts: Timeouts,
    /// What it costs.
    pub price: Price,
    /// Requests at the same time; 0 is no limit.
    pub concurrency: usize,
}

/// What a target can do. A request that needs more goes to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Call tools.
    pub tools: bool,
    /// Answer in a required form.
    pub structured_output: bool,
}

/// How long to wait for a target. Connecting is bounded by the target itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the answer begins.
    pub first_token: Duration,
    /// Between two parts of the answer.
    pub between_tokens: Duration,
    /// For the whole answer.
    pub whole: Duration,
}

/// Billionths of the currency per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Per token of the prompt.
    pub input: u64,
    /// Per token of the prompt that the provider had kept.
    pub cached_input: u64,
    /// Per token of the answer.
    pub output: u64,
}

impl Price {
    /// What `usage` costs.
    pub fn of(&self, usage: TokenUsage) -> Cost {
        let cached = usage.cached_input.min(usage.input) as u64;
        let fresh = usage.input as u64 - cached;
        let parts = [(self.input, fresh), (self.cached_input, cached), (self.output, usage.output as u64)];
        Cost {
            nanos: parts.iter().fold(0u64, |sum, (price, tokens)| sum.saturating_add(price.saturating_mul(*tokens))),
        }
    }

    /// For comparing targets.
    pub(crate) fn rank(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl TargetOptions {
    /// A model in this process: free, without tools, as patient as its callers.
    pub fn local() -> Self {
        let patient = Duration::from_mins(10);
        Self {
            place: Place::Local,
            can: Capabilities { tools: false, structured_output: true },
            timeouts: Timeouts { first_token: patient, between_tokens: patient, whole: patient },
            price: Price::default(),
            concurrency: 0,
        }
    }
}
