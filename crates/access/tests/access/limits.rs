//! What each tenant may use in a time.

use std::sync::Arc;
use std::time::Duration;

use rejoinder_access::{Limit, LimitsConfig, LimitsOverride, Quantity, RateLimiter, Taken};
use rejoinder_domain::{ErrorKind, TenantId};

use crate::hand_clock::HandClock;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn config(json: &str) -> Arc<LimitsConfig> {
    let config: LimitsConfig = serde_json::from_str(json).unwrap();
    config.validate().unwrap();
    Arc::new(config)
}

fn limiter(json: &str) -> (RateLimiter, Arc<HandClock>) {
    let clock = Arc::new(HandClock::new());
    (RateLimiter::new(config(json), clock.clone()), clock)
}

#[test]
fn a_minute_has_so_many_requests_and_they_come_back_evenly() {
    let (limiter, clock) = limiter(r#"{"default": {"requests_per_minute": 60}}"#);
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let take = |tenant: &TenantId| limiter.take(tenant, Quantity::Requests, 1);
    for left in (0..60).rev() {
        let taken = take(&acme).unwrap().unwrap();
        assert_eq!((taken.limit, taken.remaining), (60, left));
        assert_eq!(taken.reset.as_secs_f64().round() as u64, 60 - left);
    }
    let refusal = take(&acme).unwrap_err();
    assert_eq!(refusal.retry_after, Duration::from_secs(1));
    assert_eq!(refusal.state, Taken { limit: 60, remaining: 0, reset: Duration::from_mins(1) });
    assert_eq!(refusal.kind(), ErrorKind::RateLimited { retry_after: Some(Duration::from_secs(1)) });
    assert!(take(&beta).is_ok(), "another tenant has its own");
    clock.advance(0.9);
    assert!(take(&acme).is_err());
    clock.advance(0.1);
    assert!(take(&acme).is_ok() && take(&acme).is_err());
    clock.advance(3600.0);
    assert_eq!(take(&acme).unwrap().unwrap().remaining, 59, "what is not used is not saved up");
}

/// Whoever asks whenever he likes never gets more than a bucket and what flows into it.
#[test]
fn no_pattern_of_asking_gives_more_than_the_limit() {
    let (limiter, clock) = limiter(r#"{"default": {"ingest_bytes_per_hour": 36000}}"#);
    let acme = tenant("acme");
    let mut random = 88_172_645_463_325_252_u64;
    let (mut given, mut passed) = (0, 0.0);
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let amount = random % 500;
        if limiter.take(&acme, Quantity::IngestBytes, amount).is_ok() {
            given += amount;
        } else if let Err(refusal) = limiter.take(&acme, Quantity::IngestBytes, amount) {
            // As long as it says, less a bit, is too short; then it is enough.
            assert!(refusal.retry_after >= Duration::from_secs(1));
        }
        let seconds = (random >> 32) as f64 % 30.0;
        clock.advance(seconds);
        passed += seconds;
    }
    let allowed = 36_000.0 + passed * 10.0;
    assert!(given as f64 <= allowed + 1.0 && given as f64 > allowed * 0.95, "{given} of {allowed}");
}

#[test]
fn what_was_used_already_is_charged_and_must_be_repaid() {
    let (limiter, clock) = limiter(r#"{"default": {"tokens_per_minute": 600}}"#);
    let acme = tenant("acme");
    let ask = || limiter.take(&acme, Quantity::Tokens, 0);
    assert_eq!(ask().unwrap().unwrap().remaining, 600, "an amount of 0 takes nothing");
    let state = limiter.charge(&acme, Quantity::Tokens, 1500).unwrap();
    assert_eq!((state.remaining, state.reset), (0, Duration::from_secs(150)));
    let refusal = ask().unwrap_err();
    assert!(
        (refusal.retry_after.as_secs_f64() - 90.1).abs() < 1e-3,
        "900 tokens of debt and one more, at 10 in a second"
    );
    clock.advance(refusal.retry_after.as_secs_f64());
    assert!(ask().is_ok());
    limiter.refund(&acme, Quantity::Tokens, 10_000);
    assert_eq!(ask().unwrap().unwrap().remaining, 600, "never more than the bucket holds");
}

#[test]
fn an_amount_above_the_limit_is_given_once_and_leaves_a_debt() {
    let (limiter, clock) = limiter(r#"{"default": {"ingest_bytes_per_hour": 3600}}"#);
    let acme = tenant("acme");
    assert!(limiter.take(&acme, Quantity::IngestBytes, 36_000).is_ok());
    let refusal = limiter.take(&acme, Quantity::IngestBytes, 1).unwrap_err();
    assert_eq!(refusal.retry_after.as_secs_f64().round() as u64, 32_401);
    clock.advance(refusal.retry_after.as_secs_f64());
    assert!(limiter.take(&acme, Quantity::IngestBytes, 1).is_ok());
    assert!(limiter.take(&acme, Quantity::IngestBytes, 3601).is_err(), "only from a full bucket");
    assert!(limiter.take(&acme, Quantity::IngestBytes, u64::MAX).is_err());
}

#[test]
fn without_a_limit_nothing_is_counted() {
    let (limiter, _) = limiter("{}");
    for quantity in [Quantity::Requests, Quantity::Tokens, Quantity::IngestBytes] {
        assert_eq!(limiter.take(&tenant("acme"), quantity, u64::MAX), Ok(None));
        assert_eq!(limiter.charge(&tenant("acme"), quantity, u64::MAX), None);
    }
    assert_eq!(limiter.tenants(), 0);
}

#[test]
fn a_tenant_may_have_limits_of_its_own_and_they_change_under_way() {
    let (limiter, clock) = limiter(
        r#"{"default": {"requests_per_minute": 6},
            "tenants": {"big": {"requests_per_minute": 6000}, "free": {"requests_per_minute": "unlimited"}}}"#,
    );
    let limit = |name: &str| limiter.take(&tenant(name), Quantity::Requests, 1).unwrap().map(|taken| taken.limit);
    assert_eq!((limit("small"), limit("big"), limit("free")), (Some(6), Some(6000), None));
    limiter.reconfigure(config(
        r#"{"default": {"requests_per_minute": 12}, "tenants": {"big": {"requests_per_minute": 3}}}"#,
    ));
    let state = limiter.take(&tenant("small"), Quantity::Requests, 1).unwrap().unwrap();
    assert_eq!((state.limit, state.remaining), (12, 4), "what was used stays used");
    let state = limiter.take(&tenant("big"), Quantity::Requests, 1).unwrap().unwrap();
    assert_eq!((state.limit, state.remaining), (3, 2), "never more than the new limit");
    clock.advance(60.0);
    assert_eq!(limiter.take(&tenant("small"), Quantity::Requests, 1).unwrap().unwrap().remaining, 11);
}

#[test]
fn idle_tenants_take_no_memory() {
    let (limiter, clock) = limiter(r#"{"default": {"requests_per_minute": 60, "tokens_per_minute": 60}}"#);
    let debtor = tenant("debtor");
    limiter.charge(&debtor, Quantity::Tokens, 1_000_000);
    for number in 0..100_000 {
        limiter.take(&tenant(&format!("t{number}")), Quantity::Requests, 1).unwrap();
        clock.advance(0.01);
    }
    assert!(limiter.tenants() <= 2048, "{} are held, where 100 are busy at a time", limiter.tenants());
    assert!(limiter.take(&debtor, Quantity::Tokens, 0).is_err(), "a debt is not forgotten");
}

#[test]
fn limits_are_read_and_what_makes_no_sense_is_refused() {
    let read = serde_json::from_str::<LimitsConfig>;
    let config = read(
        r#"{"default": {"tokens_per_minute": 1000, "queue_length": 0, "concurrent_requests": "unlimited"},
            "tenants": {"acme": {"concurrent_requests": 5}}}"#,
    )
    .unwrap();
    let acme = config.of(&tenant("acme"));
    assert_eq!((acme.tokens_per_minute, acme.queue_length, acme.concurrent_requests), (Some(1000), Some(0), Some(5)));
    assert_eq!(config.of(&tenant("beta")).concurrent_requests, None);
    assert_eq!(LimitsConfig::default().of(&tenant("beta")).concurrent_requests, Some(32));
    assert_eq!(serde_json::from_str::<LimitsConfig>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    for bad in [
        r#"{"default": {"requests_per_minute": -1}}"#,
        r#"{"default": {"requests_per_minute": 1.5}}"#,
        r#"{"default": {"requests_per_minute": "many"}}"#,
        r#"{"default": {"requests_a_minute": 1}}"#,
        r#"{"tenants": {"NOT A TENANT": {}}}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let zero = LimitsOverride { concurrent_requests: Some(Limit::AtMost(0)), ..LimitsOverride::default() };
    let config = LimitsConfig { tenants: [(tenant("acme"), zero)].into(), ..LimitsConfig::default() };
    assert!(config.validate().unwrap_err().to_string().contains("limits.tenants.acme: concurrent_requests"));
}
