use super::*;

struct Clock(Instant);

impl Clock {
    fn seconds(&mut self, seconds: u64) -> Instant {
        self.0 += Duration::from_secs(seconds);
        self.0
    }
}

fn breaker(change: impl FnOnce(&mut BreakerConfig)) -> (Breaker, Clock) {
    let mut config = BreakerConfig::default();
    change(&mut config);
    config.validate().unwrap();
    let clock = Clock(Instant::now());
    (Breaker::new(config, clock.0), clock)
}

fn attempts(breaker: &Breaker, now: Instant, outcomes: impl IntoIterator<Item = bool>) {
    for success in outcomes {
        let permit = breaker.permit(now).unwrap();
        if success { permit.succeeded(now) } else { permit.failed(now) }
    }
}

#[test]
fn a_share_of_failures_opens_it_once_enough_was_tried() {
    let (breaker, mut clock) = breaker(|_| ());
    let now = clock.seconds(1);
    attempts(&breaker, now, (0..19).map(|n| n % 2 == 0));
    assert_eq!(
        breaker.health(now).state,
        BreakerState::Closed,
        "nine of nineteen failed, and that is too few to judge"
    );
    attempts(&breaker, now, [false]);
    let until = now + Duration::from_secs(30);
    assert_eq!(breaker.health(now), BreakerHealth { state: BreakerState::Open { until }, requests: 20, failures: 10 });
    assert_eq!(breaker.permit(clock.seconds(29)).unwrap_err(), Open { until });
}

#[test]
fn fewer_failures_than_the_share_never_open_it() {
    let (breaker, mut clock) = breaker(|_| ());
    for _ in 0..200 {
        attempts(&breaker, clock.seconds(1), [false, true, true, false, true]);
    }
    assert_eq!(breaker.health(clock.0).state, BreakerState::Closed);
    assert!((breaker.health(clock.0).error_share() - 0.4).abs() < 1e-9);
}

#[test]
fn what_is_older_than_the_window_does_not_count() {
    let (breaker, mut clock) = breaker(|config| config.failures_in_a_row = 0);
    attempts(&breaker, clock.seconds(1), [false; 19]);
    let now = clock.seconds(66);
    assert_eq!(breaker.health(now).requests, 0);
    attempts(&breaker, now, [false; 19]);
    assert_eq!(breaker.health(now).state, BreakerState::Closed);
    assert_eq!(breaker.health(clock.seconds(30)).failures, 19, "still within the window");
}

#[test]
fn failures_in_a_row_open_it_however_slowly_they_come() {
    let (breaker, mut clock) = breaker(|_| ());
    for _ in 0..7 {
        attempts(&breaker, clock.seconds(3600), [false]);
    }
    attempts(&breaker, clock.seconds(3600), [true]);
    for _ in 0..7 {
        attempts(&breaker, clock.seconds(3600), [false]);
    }
    assert_eq!(breaker.health(clock.0).state, BreakerState::Closed, "a success lies between them");
    attempts(&breaker, clock.seconds(3600), [false]);
    assert!(matches!(breaker.health(clock.0).state, BreakerState::Open { .. }));
}

#[test]
fn probes_close_it_and_the_past_is_forgotten() {
    let (breaker, mut clock) = breaker(|_| ());
    attempts(&breaker, clock.0, [false; 8]);
    let now = clock.seconds(30);
    assert_eq!(breaker.health(now).state, BreakerState::HalfOpen);
    let (first, second) = (breaker.permit(now).unwrap(), breaker.permit(now).unwrap());
    assert_eq!(breaker.permit(now).unwrap_err(), Open { until: now }, "both probes are under way");
    first.succeeded(now);
    assert_eq!(breaker.health(now).state, BreakerState::HalfOpen);
    second.succeeded(now);
    assert_eq!(breaker.health(now), BreakerHealth { state: BreakerState::Closed, requests: 0, failures: 0 });
}

#[test]
fn a_failed_probe_opens_it_for_twice_as_long_up_to_the_longest() {
    let (breaker, mut clock) = breaker(|_| ());
    attempts(&breaker, clock.0, [false; 8]);
    for pause in [30, 60, 120, 240, 300, 300] {
        assert!(breaker.permit(clock.seconds(pause - 1)).is_err(), "within {pause} s");
        attempts(&breaker, clock.seconds(1), [false]);
    }
    attempts(&breaker, clock.seconds(300), [true, true]);
    attempts(&breaker, clock.0, [false; 8]);
    assert!(breaker.permit(clock.seconds(29)).is_err());
    assert!(breaker.permit(clock.seconds(1)).is_ok(), "having worked again, it begins with the short pause");
}

#[test]
fn a_dropped_permit_counts_as_nothing_and_frees_its_probe() {
    let (breaker, mut clock) = breaker(|config| config.probes = 1);
    drop(breaker.permit(clock.0).unwrap());
    assert_eq!(breaker.health(clock.0).requests, 0);
    attempts(&breaker, clock.0, [false; 8]);
    let now = clock.seconds(30);
    let probe = breaker.permit(now).unwrap();
    assert!(breaker.permit(now).is_err());
    drop(probe);
    breaker.permit(now).unwrap().succeeded(now);
    assert_eq!(breaker.health(now).state, BreakerState::Closed);
}

#[test]
fn what_was_begun_before_a_change_says_nothing_after_it() {
    let (breaker, mut clock) = breaker(|config| config.probes = 1);
    let early: Vec<Permit> = (0..4).map(|_| breaker.permit(clock.0).unwrap()).collect();
    attempts(&breaker, clock.0, [false; 8]);
    let mut early = early.into_iter();
    early.next().unwrap().succeeded(clock.0);
    assert!(matches!(breaker.health(clock.0).state, BreakerState::Open { .. }));
    let now = clock.seconds(30);
    let probe = breaker.permit(now).unwrap();
    early.next().unwrap().failed(now);
    drop(early.next());
    assert!(breaker.permit(now).is_err(), "the only probe is still under way");
    probe.succeeded(now);
    early.next().unwrap().failed(now);
    assert_eq!(breaker.health(now), BreakerHealth { state: BreakerState::Closed, requests: 0, failures: 0 });
}

#[test]
fn instants_out_of_order_are_counted_where_they_fall() {
    let (breaker, mut clock) = breaker(|_| ());
    let before = clock.0.checked_sub(Duration::from_secs(5)).unwrap();
    attempts(&breaker, before, [true]);
    let now = clock.seconds(61);
    attempts(&breaker, now, [true]);
    // Falls into the slot that the newest one has taken over.
    attempts(&breaker, now.checked_sub(Duration::from_mins(1)).unwrap(), [true]);
    assert_eq!(breaker.health(now).requests, 2);
}

#[test]
fn probes_never_exceed_their_number_whatever_many_threads_do() {
    let (breaker, mut clock) = breaker(|config| config.probes = 3);
    attempts(&breaker, clock.0, [false; 8]);
    let now = clock.seconds(30);
    let out = std::sync::atomic::AtomicI64::new(0);
    let most = std::sync::atomic::AtomicI64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    if let Ok(permit) = breaker.permit(now) {
                        use std::sync::atomic::Ordering::SeqCst;
                        most.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                        out.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.into_inner()));
    assert_eq!(breaker.health(now).state, BreakerState::HalfOpen);
}

#[test]
fn senseless_values_are_refused_with_a_sentence() {
    type Change = fn(&mut BreakerConfig);
    let wrong: [(Change, &str); 8] = [
        (|c| c.window_seconds = 0, "window_seconds"),
        (|c| c.min_requests = 0, "min_requests"),
        (|c| c.error_share = 0.0, "error_share"),
        (|c| c.error_share = 1.1, "error_share"),
        (|c| c.error_share = f64::NAN, "error_share"),
        (|c| c.open_seconds = 0, "open_seconds"),
        (|c| c.max_open_seconds = 29, "max_open_seconds"),
        (|c| c.probes = 0, "probes"),
    ];
    for (change, field) in wrong {
        let mut config = BreakerConfig::default();
        change(&mut config);
        assert!(config.validate().unwrap_err().contains(field));
    }
    assert!(serde_json::from_str::<BreakerConfig>(r#"{"windowseconds": 3}"#).is_err());
    assert_eq!(serde_json::from_str::<BreakerConfig>("{}").unwrap(), BreakerConfig::default());
}
