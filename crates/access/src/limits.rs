//! How much each tenant may use in a time.
//!
//! Each quantity of a tenant has a bucket that holds what is allowed in one period and fills evenly. What a request costs
//! is taken from it before, or charged after where it is known only then (tokens of a model); a charge can leave a debt,
//! and the tenant waits until it is repaid. One tenant's bucket is no other's business.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rejoinder_domain::{ErrorKind, TenantId};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::{Clock, ConfigError};

/// The `[limits]` section: what holds for every tenant, and what is different for some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// For every tenant. What is not given here is [`TenantLimits::default`].
    pub default: LimitsOverride,
    /// By tenant. What is not given here is as in `default`.
    pub tenants: BTreeMap<TenantId, LimitsOverride>,
}

/// Limits as they are written down: a number, `"unlimited"`, or absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsOverride {
    /// HTTP requests in a minute. Default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<Limit>,
    /// Tokens of language models in a minute, prompts and answers together. Default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<Limit>,
    /// Bytes of mail brought in in an hour. Default unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_bytes_per_hour: Option<Limit>,
    /// Requests worked on at once. Default 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<Limit>,
    /// Requests that may wait to be worked on; one more is turned away. Default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_length: Option<Limit>,
}

/// One limit as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Written `"unlimited"`.
    Unlimited,
    /// Written as a number.
    AtMost(u64),
}

/// The limits of one tenant; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantLimits {
    /// HTTP requests in a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens of language models in a minute.
    pub tokens_per_minute: Option<u64>,
    /// Bytes of mail brought in in an hour.
    pub ingest_bytes_per_hour: Option<u64>,
    /// Requests worked on at once.
    pub concurrent_requests: Option<u64>,
    /// Requests that may wait.
    pub queue_length: Option<u64>,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            requests_per_minute: None,
            tokens_per_minute: None,
            ingest_bytes_per_hour: None,
            concurrent_requests: Some(32),
            queue_length: Some(64),
        }
    }
}

impl Limit {
    /// As a number, `None` where it is unlimited.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::AtMost(number) => Some(number),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => serializer.serialize_str("unlimited"),
            Self::AtMost(number) => serializer.serialize_u64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrWord;

        impl Visitor<'_> for NumberOrWord {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number that is not negative, or \"unlimited\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit, E> {
                Ok(Limit::AtMost(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Limit, E> {
                u64::try_from(number)
                    .map(Limit::AtMost)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Limit, E> {
                if word == "unlimited" {
                    Ok(Limit::Unlimited)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(word), &self))
                }
            }
        }

        deserializer.deserialize_any(NumberOrWord)
    }
}

impl LimitsConfig {
    /// What holds for a tenant.
    pub fn of(&self, tenant: &TenantId) -> TenantLimits {
        let own = self.tenants.get(tenant);
        let pick = |field: fn(&LimitsOverride) -> Option<Limit>, otherwise: Option<u64>| {
            own.and_then(field).or_else(|| field(&self.default)).map_or(otherwise, Limit::number)
        };
        let otherwise = TenantLimits::default();
        TenantLimits {
            requests_per_minute: pick(|limits| limits.requests_per_minute, otherwise.requests_per_minute),
            tokens_per_minute: pick(|limits| limits.tokens_per_minute, otherwise.tokens_per_minute),
            ingest_bytes_per_hour: pick(|limits| limits.ingest_bytes_per_hour, otherwise.ingest_bytes_per_hour),
            concurrent_requests: pick(|limits| limits.concurrent_requests, otherwise.concurrent_requests),
            queue_length: pick(|limits| limits.queue_length, otherwise.queue_length),
        }
    }

    /// Says what to change where a value makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sections = self.tenants.iter().map(|(tenant, limits)| (format!("limits.tenants.{tenant}"), limits));
        for (section, limits) in std::iter::once(("limits.default".to_owned(), &self.default)).chain(sections) {
            let positive = [
                ("requests_per_minute", limits.requests_per_minute),
                ("tokens_per_minute", limits.tokens_per_minute),
                ("ingest_bytes_per_hour", limits.ingest_bytes_per_hour),
                ("concurrent_requests", limits.concurrent_requests),
            ];
            if let Some((name, _)) = positive.iter().find(|(_, limit)| *limit == Some(Limit::AtMost(0))) {
                return Err(ConfigError::Invalid(format!(
                    "{section}: {name} must be at least 1 or \"unlimited\"; to lock a tenant out, revoke its keys"
                )));
            }
        }
        Ok(())
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// HTTP requests, by the minute.
    Requests,
    /// Tokens of language models, by the minute.
    Tokens,
    /// Bytes of mail brought in, by the hour.
    IngestBytes,
}

impl Quantity {
    const COUNT: usize = 3;

    /// The stable name, for metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::IngestBytes => "ingest_bytes",
        }
    }

    /// In which time the limit is allowed once.
    pub fn period(self) -> Duration {
        match self {
            Self::Requests | Self::Tokens => Duration::from_mins(1),
            Self::IngestBytes => Duration::from_hours(1),
        }
    }

    fn limit(self, limits: &TenantLimits) -> Option<u64> {
        match self {
            Self::Requests => limits.requests_per_minute,
            Self::Tokens => limits.tokens_per_minute,
            Self::IngestBytes => limits.ingest_bytes_per_hour,
        }
    }
}

/// How a bucket stands after a request was let through: what the `x-ratelimit-*` headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What is allowed in a period.
    pub limit: u64,
    /// What is left of it, 0 while there is a debt.
    pub remaining: u64,
    /// When all of it is there again.
    pub reset: Duration,
}

/// There is not enough left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tenant's limit of {} {} is used up", .state.limit, .quantity.as_str())]
pub struct Limited {
    /// Of what.
    pub quantity: Quantity,
    /// How the bucket stands. Nothing was taken.
    pub state: Taken,
    /// When there will be enough, at least one second.
    pub retry_after: Duration,
}

impl Limited {
    /// What to decide on.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::RateLimited { retry_after: Some(self.retry_after) }
    }
}

/// The buckets of all tenants. Cheap to share; calls hold a lock for well below a microsecond.
pub struct RateLimiter {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    config: Arc<LimitsConfig>,
    tenants: HashMap<TenantId, [Option<Bucket>; Quantity::COUNT]>,
    /// When so many tenants are held, those that owe nothing are dropped.
    sweep_at: usize,
}

/// Fewer tenants than this are never worth a sweep.
const SWEEP_FROM: usize = 1024;

#[derive(Clone, Copy)]
struct Bucket {
    /// What is in it; below zero it is a debt. Whole numbers to 2^53 are exact.
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Lets in what came since the last call.
    fn fill(&mut self, limit: u64, period: Duration, now: Instant) {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + since * limit as f64 / period.as_secs_f64()).min(limit as f64);
        self.at = self.at.max(now);
    }

    /// How long until the level is `wanted`.
    fn wait(&self, wanted: f64, limit: u64, period: Duration) -> Duration {
        let seconds = (wanted - self.level).max(0.0) * period.as_secs_f64() / limit as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn state(&self, limit: u64, period: Duration) -> Taken {
        // A level that is below a whole number by less than arithmetic can tell is that number.
        let remaining = (self.level + 1e-6).floor().max(0.0) as u64;
        Taken { limit, remaining, reset: self.wait(limit as f64, limit, period) }
    }
}

impl RateLimiter {
    /// All buckets full.
    pub fn new(config: Arc<LimitsConfig>, clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::new(State { config, tenants: HashMap::new(), sweep_at: SWEEP_FROM }) }
    }

    /// Changes the limits. What was used stays used.
    pub fn reconfigure(&self, config: Arc<LimitsConfig>) {
        self.lock().config = config;
    }

    /// Takes `amount`, or nothing. `None` where the tenant has no such limit. An amount of 0 takes nothing and asks whether
    /// one unit would be given, for what is charged after. An amount above the limit is given when the bucket is full, and
    /// leaves a debt: else it could never be given.
    pub fn take(&self, tenant: &TenantId, quantity: Quantity, amount: u64) -> Result<Option<Taken>, Limited> {
        self.change(tenant, quantity, |bucket, limit, period| {
            let needed = amount.clamp(1, limit) as f64;
            if bucket.level + 1e-6 >= needed {
                bucket.level -= amount as f64;
                return Ok(bucket.state(limit, period));
            }
            let retry_after = bucket.wait(needed, limit, period).max(Duration::from_secs(1));
            Err(Limited { quantity, state: bucket.state(limit, period), retry_after })
        })
        .transpose()
    }

    /// Charges what was used already, also where there is not enough.
    pub fn charge(&self, tenant: &TenantId, quantity: Quantity, amount: u64) -> Option<Taken> {
        self.change(tenant, quantity, |bucket, limit, period| {
            bucket.level -= amount as f64;
            bucket.state(limit, period)
        })
    }

    /// Gives back what was taken and not used.
    pub fn refund(&self, tenant: &TenantId, quantity: Quantity, amount: u64) -> Option<Taken> {
        self.change(tenant, quantity, |bucket, limit, period| {
            bucket.level = (bucket.level + amount as f64).min(limit as f64);
            bucket.state(limit, period)
        })
    }

    /// How many tenants are held in memory.
    pub fn tenants(&self) -> usize {
        self.lock().tenants.len()
    }

    fn change<T>(
        &self,
        tenant: &TenantId,
        quantity: Quantity,
        change: impl FnOnce(&mut Bucket, u64, Duration) -> T,
    ) -> Option<T> {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        let limit = quantity.limit(&state.config.of(tenant))?;
        if !state.tenants.contains_key(tenant) {
            state.make_room(now);
        }
        let bucket = state.tenants.entry(tenant.clone()).or_default().get_mut(quantity as usize)?;
        let bucket = bucket.get_or_insert(Bucket { level: limit as f64, at: now });
        bucket.fill(limit, quantity.period(), now);
        Some(change(bucket, limit, quantity.period()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A bucket is whole after every statement, so a thread that died with the lock left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the tenants whose buckets are full: a new bucket is the same. Done whenever their number has doubled, so that
    /// it costs each request a constant.
    fn make_room(&mut self, now: Instant) {
        if self.tenants.len() < self.sweep_at {
            return;
        }
        let config = Arc::clone(&self.config);
        self.tenants.retain(|tenant, buckets| {
            let limits = config.of(tenant);
            [Quantity::Requests, Quantity::Tokens, Quantity::IngestBytes].into_iter().zip(buckets).any(
                |(quantity, bucket)| {
                    let (Some(bucket), Some(limit)) = (bucket, quantity.limit(&limits)) else { return false };
                    bucket.fill(limit, quantity.period(), now);
                    bucket.level < limit as f64
                },
            )
        });
        self.sweep_at = SWEEP_FROM.max(self.tenants.len() * 2);
    }
}
