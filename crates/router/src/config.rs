//! The `[router]` section.

use std::collections::BTreeMap;
use std::time::Duration;

use rejoinder_domain::{Egress, Purpose, TenantId};
use rejoinder_redaction::RedactionOptions;
use serde::Deserialize;

use crate::breaker::BreakerConfig;
use crate::budget::BudgetRule;

/// Who answers, in which order, within which limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouterConfig {
    /// What may leave the machine, for tenants that have no policy of their own.
    pub egress: Egress,
    /// Puts the local model before all others, whatever the order of targets says. Rules and a tenant's own order stand
    /// above it.
    pub prefer_local: bool,
    /// Targets by name per purpose; a purpose without a list takes all targets as they are configured.
    pub order: OrderConfig,
    /// Exceptions from the order; the first that applies decides.
    pub rules: Vec<Rule>,
    /// Tenants with a policy or an order of their own.
    pub tenants: BTreeMap<TenantId, TenantPolicy>,
    /// What to do when a model will not answer.
    pub on_refusal: OnRefusal,
    /// Trying the same target again.
    pub retry: RetryConfig,
    /// Leaving a failing target alone.
    pub breaker: BreakerConfig,
    /// Asking a second target when the first is slow to begin.
    pub hedge: HedgeConfig,
    /// Keeping answers.
    pub cache: CacheConfig,
    /// What is replaced before a prompt leaves the machine under `redact_then_remote`.
    pub redaction: RedactionOptions,
    /// What may be spent.
    pub budgets: Vec<BudgetRule>,
}

/// Targets by name, per purpose.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderConfig {
    /// Who drafts replies.
    pub suggest: Vec<String>,
    /// Who fills schemas.
    pub extract: Vec<String>,
    /// Who answers the OpenAI-shaped routes.
    pub chat: Vec<String>,
}

impl OrderConfig {
    /// The list for `purpose`.
    pub(crate) fn of(&self, purpose: Purpose) -> &[String] {
        match purpose {
            Purpose::Suggest => &self.suggest,
            Purpose::Extract => &self.extract,
            Purpose::Chat => &self.chat,
        }
    }
}

/// Sends what it applies to elsewhere. A condition that is left out always holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only for this purpose.
    #[serde(default)]
    pub purpose: Option<Purpose>,
    /// Only for these tenants.
    #[serde(default)]
    pub tenants: Vec<TenantId>,
    /// Only if more different answers than this are asked for.
    #[serde(default)]
    pub candidates_over: Option<u32>,
    /// Only if the prompt has more tokens than this, as the first target counts them.
    #[serde(default)]
    pub input_tokens_over: Option<usize>,
    /// The targets, by name.
    pub order: Vec<String>,
}

/// What is different for one tenant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantPolicy {
    /// What of its text may leave the machine.
    pub egress: Option<Egress>,
    /// Its targets, by name, for every purpose.
    pub order: Option<Vec<String>>,
}

/// What to do when a model will not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefusal {
    /// Ask the next target.
    #[default]
    Next,
    /// Fail.
    Fail,
}

/// Trying the same target again after a failure that may pass.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Tries beyond the first, per target.
    pub extra_tries: u32,
    /// Longest wait before the first of them, milliseconds; it doubles with each. The wait is drawn between half of it and
    /// all of it.
    pub base_ms: u64,
    /// Longest wait of all, milliseconds; a target that asks for more is left for the next one.
    pub max_ms: u64,
    /// How long a request waits for a free place at a target with a limit of concurrent requests, milliseconds.
    pub slot_wait_ms: u64,
}

/// Asking a second target while the first is slow to begin.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeConfig {
    /// Whether to. It can cost two answers.
    pub enabled: bool,
    /// The share of the target's earlier answers that had begun by then.
    pub quantile: f64,
    /// No hedging before this many answers are known.
    pub min_samples: usize,
}

/// Keeping answers for equal questions.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Bytes of prompts' keys and answers; 0 keeps none.
    pub max_bytes: u64,
    /// Seconds that an answer is kept.
    pub ttl_seconds: u64,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            egress: Egress::LocalOnly,
            prefer_local: true,
            order: OrderConfig::default(),
            rules: Vec::new(),
            tenants: BTreeMap::new(),
            on_refusal: OnRefusal::default(),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
            hedge: HedgeConfig::default(),
            cache: CacheConfig::default(),
            redaction: RedactionOptions::default(),
            budgets: Vec::new(),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { extra_tries: 1, base_ms: 250, max_ms: 4000, slot_wait_ms: 1000 }
    }
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self { enabled: false, quantile: 0.95, min_samples: 20 }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, ttl_seconds: 3600 }
    }
}

impl RouterConfig {
    /// The policy of a tenant.
    pub fn policy(&self, tenant: &TenantId) -> Egress {
        self.tenants.get(tenant).and_then(|own| own.egress).unwrap_or(self.egress)
    }

    /// Checks what serde cannot, for targets of these names; the error is a sentence that says what to change.
    pub fn validate(&self, targets: &[&str]) -> Result<(), String> {
        for (place, names) in self.lists() {
            // The model on this machine may be switched off and stay in the lists.
            let known = |name: &str| name == "local" || targets.contains(&name);
            if let Some(unknown) = names.iter().find(|name| !known(name)) {
                let known = if targets.is_empty() { "none".to_owned() } else { targets.join(", ") };
                return Err(format!(
                    "{place} names the target {unknown:?}, which is not configured; known are: {known}"
                ));
            }
        }
        if let Some(rule) = self.rules.iter().position(|rule| rule.order.is_empty()) {
            return Err(format!("rules[{rule}].order is empty; name at least one target"));
        }
        if self.retry.base_ms == 0 || self.retry.max_ms < self.retry.base_ms {
            return Err("retry: set 1 <= base_ms <= max_ms".to_owned());
        }
        if !(0.5..1.0).contains(&self.hedge.quantile) {
            return Err("hedge.quantile must be at least 0.5 and below 1".to_owned());
        }
        if self.cache.max_bytes > 0 && self.cache.ttl_seconds == 0 {
            return Err(
                "cache.ttl_seconds is 0, so that nothing is ever kept; set max_bytes = 0 to keep nothing".to_owned()
            );
        }
        self.breaker.validate().map_err(|problem| format!("breaker: {problem}"))?;
        for (index, rule) in self.budgets.iter().enumerate() {
            rule.validate().map_err(|problem| format!("budgets[{index}]: {problem}"))?;
            if let Some(target) = rule.target.as_ref().filter(|target| !targets.contains(&target.as_str())) {
                return Err(format!("budgets[{index}] names the target {target:?}, which is not configured"));
            }
        }
        Ok(())
    }

    /// Every list of targets, with where it stands.
    fn lists(&self) -> Vec<(String, &[String])> {
        let purposes = Purpose::ALL.map(|purpose| (format!("order.{}", purpose.as_str()), self.order.of(purpose)));
        let rules = self.rules.iter().enumerate().map(|(index, rule)| (format!("rules[{index}].order"), &*rule.order));
        let tenants = self.tenants.iter();
        let tenants = tenants.filter_map(|(id, own)| Some((format!("tenants.{id}.order"), own.order.as_deref()?)));
        purposes.into_iter().chain(rules).chain(tenants).collect()
    }
}

impl RetryConfig {
    /// The longest wait before try number `retry` (from 1), and the longest of all.
    pub(crate) fn bounds(&self, retry: u32) -> (Duration, Duration) {
        let doubled = self.base_ms.saturating_mul(1 << retry.saturating_sub(1).min(16));
        (Duration::from_millis(doubled.min(self.max_ms)), Duration::from_millis(self.max_ms))
    }
}
