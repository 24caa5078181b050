use proptest::prelude::*;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn tokens(tokens: u64) -> Spending {
    Spending { tokens, cost: Cost::default() }
}

fn per(per: Period, limit: u64) -> BudgetRule {
    BudgetRule { tenant: None, purpose: None, target: None, per, tokens: Some(limit), cost: None }
}

fn left(budgets: &Budgets, who: &str, now: Timestamp) -> Vec<Option<u64>> {
    budgets.left(&tenant(who), now).into_iter().map(|left| left.tokens).collect()
}

#[test]
fn what_is_reserved_is_not_there_for_others_and_what_is_not_used_comes_back() {
    let budgets = Budgets::new(vec![per(Period::Day, 100)]);
    let now = at("2026-02-28T12:00:00Z");
    let ask = |wanted| budgets.reserve(&tenant("acme"), Purpose::Chat, "cloud", tokens(wanted), now);
    let first = ask(60).unwrap();
    let refused = ask(41).unwrap_err();
    assert_eq!(
        refused,
        OverBudget {
            rule: 0,
            per: Period::Day,
            resets_at: at("2026-03-01T00:00:00Z"),
            resets_in: Duration::from_hours(12),
            never: false,
        }
    );
    first.settle(tokens(10));
    ask(90).unwrap().settle(tokens(90));
    assert_eq!(left(&budgets, "acme", now), [Some(0)]);
    assert!(ask(1).is_err());
    ask(0).unwrap().settle(tokens(0));
    assert!(ask(101).unwrap_err().never, "more than the rule ever allows");
    assert!(
        budgets.reserve(&tenant("other"), Purpose::Chat, "cloud", tokens(100), now).is_ok(),
        "each tenant for itself"
    );
}

#[test]
fn a_call_that_costs_more_than_reserved_counts_fully_and_a_lost_reservation_too() {
    let budgets = Budgets::new(vec![per(Period::Day, 100)]);
    let now = at("2026-02-28T12:00:00Z");
    let ask = |wanted| budgets.reserve(&tenant("acme"), Purpose::Chat, "cloud", tokens(wanted), now);
    ask(10).unwrap().settle(tokens(70));
    assert_eq!(left(&budgets, "acme", now), [Some(30)]);
    drop(ask(20).unwrap());
    assert_eq!(left(&budgets, "acme", now), [Some(10)]);
    assert!(ask(11).is_err());
}

#[test]
fn a_rule_that_refuses_leaves_the_others_untouched() {
    let money = BudgetRule { cost: Some(0.5), tokens: None, ..per(Period::Month, 0) };
    let budgets = Budgets::new(vec![per(Period::Minute, 1000), money]);
    let now = at("2026-11-21T18:00:30Z");
    let costly = Spending { tokens: 10, cost: Cost { nanos: 500_000_001 } };
    let refused = budgets.reserve(&tenant("acme"), Purpose::Suggest, "cloud", costly, now).unwrap_err();
    assert_eq!((refused.rule, refused.resets_at, refused.never), (1, at("2026-12-01T00:00:00Z"), true));
    let all = budgets.left(&tenant("acme"), now);
    assert_eq!((all[0].tokens, all[1].cost), (Some(1000), Some(Cost { nanos: 500_000_000 })));
    // Both refuse: the caller has to wait for the one that resets last.
    let both = Spending { tokens: 1001, ..costly };
    assert_eq!(budgets.reserve(&tenant("acme"), Purpose::Suggest, "cloud", both, now).unwrap_err().rule, 1);
}

#[test]
fn conditions_choose_what_counts() {
    let rules = vec![
        BudgetRule { tenant: Some(tenant("acme")), ..per(Period::Day, 10) },
        BudgetRule { purpose: Some(Purpose::Extract), ..per(Period::Day, 20) },
        BudgetRule { target: Some("cloud".to_owned()), ..per(Period::Day, 30) },
    ];
    let budgets = Budgets::new(rules);
    let now = at("2026-02-28T12:00:00Z");
    budgets.reserve(&tenant("acme"), Purpose::Chat, "local", tokens(1), now).unwrap().settle(tokens(1));
    budgets.reserve(&tenant("acme"), Purpose::Extract, "cloud", tokens(2), now).unwrap().settle(tokens(2));
    budgets.reserve(&tenant("other"), Purpose::Extract, "cloud", tokens(20), now).unwrap().settle(tokens(20));
    assert_eq!(left(&budgets, "acme", now), [Some(7), Some(18), Some(28)]);
    assert_eq!(left(&budgets, "other", now), [Some(0), Some(10)], "a rule of another tenant is not told");
}

#[test]
fn windows_are_those_of_the_utc_calendar() {
    let cases = [
        (Period::Minute, "2026-02-28T23:59:59.999Z", "2026-02-28T23:59:00Z", "2026-03-01T00:00:00Z"),
        (Period::Day, "2026-02-28T23:59:59.999Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
        (Period::Month, "2026-02-28T23:59:59.999Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        (Period::Month, "2028-02-29T00:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        (Period::Month, "2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Period::Minute, "1969-12-31T23:59:30Z", "1969-12-31T23:59:00Z", "1970-01-01T00:00:00Z"),
    ];
    for (period, now, begin, end) in cases {
        assert_eq!(period.window(at(now)), Window { begin: at(begin), end: at(end) }, "{period:?} of {now}");
    }
}

#[test]
fn a_reservation_settles_into_the_window_it_was_made_in() {
    let budgets = Budgets::new(vec![per(Period::Minute, 100), per(Period::Day, 1000)]);
    let (before, after) = (at("2026-02-28T12:00:59Z"), at("2026-02-28T12:01:01Z"));
    let call = budgets.reserve(&tenant("acme"), Purpose::Chat, "cloud", tokens(80), before).unwrap();
    assert_eq!(left(&budgets, "acme", after), [Some(100), Some(920)]);
    call.settle(tokens(50));
    assert_eq!(left(&budgets, "acme", after), [Some(100), Some(950)]);
}

#[test]
fn a_clock_that_goes_back_gives_nothing_away_and_locks_nothing_up() {
    let budgets = Budgets::new(vec![per(Period::Minute, 100)]);
    let ask = |wanted, now| budgets.reserve(&tenant("acme"), Purpose::Chat, "cloud", tokens(wanted), now);
    ask(100, at("2026-02-28T12:01:00Z")).unwrap().settle(tokens(100));
    assert!(ask(1, at("2026-02-28T12:00:59Z")).is_err(), "a thread that read the clock a moment earlier");
    assert!(ask(1, at("2026-02-28T12:01:01Z")).is_err());
    assert!(ask(1, at("2026-02-28T11:30:00Z")).is_err(), "the clock was set back: what was spent stays spent");
    assert!(ask(1, at("2026-02-28T11:31:00Z")).is_ok());
}

#[test]
fn sums_are_restored_for_each_period() {
    let now = at("2026-11-21T18:30:30Z");
    let rules = vec![per(Period::Day, 100), BudgetRule { purpose: Some(Purpose::Suggest), ..per(Period::Month, 1000) }];
    let spent = |purpose, tokens| Spent {
        tenant: tenant("acme"),
        purpose,
        provider: "cloud".to_owned(),
        spending: Spending { tokens, cost: Cost::default() },
    };
    let mut asked = Vec::new();
    let budgets = Budgets::restore(rules, now, |since| {
        asked.push(since);
        let day = vec![spent(Purpose::Suggest, 30), spent(Purpose::Chat, 5)];
        let month = vec![spent(Purpose::Suggest, 900), spent(Purpose::Chat, 5)];
        Ok::<_, ()>(if asked.len() == 1 { day } else { month })
    });
    let budgets = budgets.unwrap();
    assert_eq!(asked, [at("2026-11-21T00:00:00Z"), at("2026-11-01T00:00:00Z")]);
    assert_eq!(left(&budgets, "acme", now), [Some(65), Some(100)]);
    assert!(Budgets::restore(vec![per(Period::Day, 1)], now, |_| Err("damaged")).is_err());
}

#[test]
fn tenants_without_a_current_window_are_forgotten() {
    let budgets = Budgets::new(vec![per(Period::Minute, 100)]);
    let mut now = at("2026-02-28T12:00:00Z");
    let known = |budgets: &Budgets| budgets.shared.tenants().accounts.len();
    let under_way = budgets.reserve(&tenant("patient"), Purpose::Chat, "cloud", tokens(1), now).unwrap();
    for minute in 0..50 {
        for n in 0..500 {
            let who = tenant(&format!("t{minute}-{n}"));
            budgets.reserve(&who, Purpose::Chat, "cloud", tokens(1), now).unwrap().settle(tokens(1));
        }
        now += 1.minute();
    }
    assert!(known(&budgets) <= 2 * SWEEP_AT_LEAST, "{} tenants are known", known(&budgets));
    let before = known(&budgets);
    assert_eq!(left(&budgets, "asks-only", now), [Some(100)]);
    assert_eq!(known(&budgets), before);
    under_way.settle(tokens(1));
}

#[test]
fn rules_that_limit_nothing_or_nonsense_are_refused() {
    let rule = |text: &str| serde_json::from_str::<BudgetRule>(text).map_err(|error| error.to_string());
    let parsed =
        rule(r#"{"tenant": "acme", "purpose": "suggest", "target": "cloud", "per": "month", "cost": 20.5}"#).unwrap();
    assert!(parsed.validate().is_ok());
    assert_eq!(parsed.limit(), Limit { tokens: None, nanos: Some(20_500_000_000) });
    assert!(rule(r#"{"per": "month"}"#).unwrap().validate().unwrap_err().contains("limits nothing"));
    assert!(rule(r#"{"per": "month", "cost": -1}"#).unwrap().validate().unwrap_err().contains("cost"));
    assert!(BudgetRule { cost: Some(f64::NAN), ..parsed }.validate().is_err());
    assert!(rule(r#"{"per": "week", "tokens": 1}"#).is_err());
    assert!(rule(r#"{"per": "day", "token": 1}"#).is_err());
    assert!(rule(r#"{"tenant": "", "per": "day", "tokens": 1}"#).is_err());
}

#[test]
fn many_threads_never_spend_together_what_only_one_of_them_may() {
    let money =
        BudgetRule { cost: Some(0.000_02), tokens: None, purpose: Some(Purpose::Suggest), ..per(Period::Month, 0) };
    let budgets = Budgets::new(vec![per(Period::Day, 60_000), money]);
    let now = at("2026-02-28T12:00:00Z");
    let granted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|thread| {
                let budgets = budgets.clone();
                scope.spawn(move || {
                    let mut granted = 0;
                    for n in 0..4000 {
                        let amount = (thread * 31 + n) % 7 + 1;
                        let wanted = Spending { tokens: amount * 2, cost: Cost { nanos: amount * 2 } };
                        let purpose = if n % 2 == 0 { Purpose::Suggest } else { Purpose::Chat };
                        let Ok(held) = budgets.reserve(&tenant("acme"), purpose, "cloud", wanted, now) else {
                            continue;
                        };
                        if n % 5 == 0 {
                            granted += wanted.tokens;
                            drop(held);
                        } else {
                            granted += amount;
                            held.settle(Spending { tokens: amount, cost: Cost { nanos: amount } });
                        }
                    }
                    granted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let left = budgets.left(&tenant("acme"), now);
    assert_eq!(granted + left[0].tokens.unwrap(), 60_000, "nothing was counted twice or not at all");
    assert!(left[0].tokens.unwrap() < 14, "more was asked for than there was");
    assert!(left[1].cost.unwrap().nanos < 14);
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Reserve { who: usize, purpose: usize, target: usize, tokens: u64, nanos: u64 },
    Settle { which: usize, tokens: u64, nanos: u64 },
    Drop { which: usize },
    Wait { seconds: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 0..3_usize, 0..2_usize, 0..60_u64, 0..60_u64)
            .prop_map(|(who, purpose, target, tokens, nanos)| Step::Reserve { who, purpose, target, tokens, nanos }),
        4 => (any::<usize>(), 0..80_u64, 0..80_u64)
            .prop_map(|(which, tokens, nanos)| Step::Settle { which, tokens, nanos }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
        2 => prop_oneof![1..90_i64, 3600..100_000_i64, Just(86_400 * 20)].prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn rule() -> impl Strategy<Value = BudgetRule> {
    let limits = prop_oneof![
        (0..150_u64).prop_map(|tokens| (Some(tokens), None)),
        (0..150_u64).prop_map(|nanos| (None, Some(nanos as f64 / 1e9))),
        (0..150_u64, 0..150_u64).prop_map(|(tokens, nanos)| (Some(tokens), Some(nanos as f64 / 1e9))),
    ];
    let conditions = (prop::option::of(0..3_usize), prop::option::of(0..3_usize), prop::option::of(0..2_usize));
    (conditions, 0..3_usize, limits).prop_map(|((who, purpose, target), per, (tokens, cost))| BudgetRule {
        tenant: who.map(|who| tenant(["a", "b", "c"][who])),
        purpose: purpose.map(|purpose| Purpose::ALL[purpose]),
        target: target.map(|target| ["local", "cloud"][target].to_owned()),
        per: Period::ALL[per],
        tokens,
        cost,
    })
}

/// What the histories are compared with: a list of every call, summed up anew for each question.
struct Call {
    who: TenantId,
    purpose: Purpose,
    target: &'static str,
    at: Timestamp,
    counts: Spending,
}

fn taken(calls: &[Call], rule: &BudgetRule, who: &TenantId, now: Timestamp) -> Spending {
    let same_window = |at: Timestamp| match rule.per {
        Period::Minute => at.to_string()[..16] == now.to_string()[..16],
        Period::Day => at.to_string()[..10] == now.to_string()[..10],
        Period::Month => at.to_string()[..7] == now.to_string()[..7],
    };
    let counted = calls.iter().filter(|call| {
        call.who == *who
            && same_window(call.at)
            && rule.tenant.as_ref().is_none_or(|only| *only == call.who)
            && rule.purpose.is_none_or(|only| only == call.purpose)
            && rule.target.as_deref().is_none_or(|only| only == call.target)
    });
    counted.fold(Spending::default(), |sum, call| plus(sum, call.counts))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_history_is_decided_as_a_list_of_all_calls_decides_it(
        rules in prop::collection::vec(rule(), 0..5),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let budgets = Budgets::new(rules.clone());
        let mut now = at("2026-02-27T23:58:30Z");
        let mut calls: Vec<Call> = Vec::new();
        let mut open: Vec<(usize, Reservation)> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve { who, purpose, target, tokens, nanos } => {
                    let call = Call {
                        who: tenant(["a", "b", "c"][who]),
                        purpose: Purpose::ALL[purpose],
                        target: ["local", "cloud"][target],
                        at: now,
                        counts: Spending { tokens, cost: Cost { nanos } },
                    };
                    let fits = rules.iter().filter(|rule| rule.applies(&call.who, call.purpose, call.target)).all(|rule| {
                        let sum = plus(taken(&calls, rule, &call.who, now), call.counts);
                        rule.tokens.is_none_or(|most| sum.tokens <= most)
                            && rule.cost.is_none_or(|most| sum.cost.nanos <= (most * 1e9).round() as u64)
                    });
                    let result = budgets.reserve(&call.who, call.purpose, call.target, call.counts, now);
                    prop_assert_eq!(result.is_ok(), fits);
                    match result {
                        Ok(held) => {
                            open.push((calls.len(), held));
                            calls.push(call);
                        }
                        Err(over) => {
                            prop_assert!(over.resets_at > now);
                            prop_assert!(!over.resets_in.is_zero());
                        }
                    }
                }
                Step::Settle { which, tokens, nanos } if !open.is_empty() => {
                    let (call, held) = open.swap_remove(which % open.len());
                    let actual = Spending { tokens, cost: Cost { nanos } };
                    held.settle(actual);
                    calls[call].counts = actual;
                }
                Step::Drop { which } if !open.is_empty() => drop(open.swap_remove(which % open.len())),
                Step::Settle { .. } | Step::Drop { .. } => {}
                Step::Wait { seconds } => now += seconds.seconds(),
            }
        }
        for who in ["a", "b", "c"].map(tenant) {
            for left in budgets.left(&who, now) {
                let rule = &rules[left.rule];
                let taken = taken(&calls, rule, &who, now);
                prop_assert_eq!(left.tokens, rule.tokens.map(|most| most.saturating_sub(taken.tokens)));
            }
        }
    }
}
