use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use proptest::prelude::*;
use rejoinder_domain::{AttemptId, Cost, Egress, Spending, TenantId, TokenUsage};

use super::*;

fn attempt(provider: &str, outcome: AttemptOutcome) -> ModelAttempt {
    ModelAttempt {
        provider: provider.to_owned(),
        model: "a-model".to_owned(),
        outcome,
        ms: 1400,
        first_token_ms: Some(400),
        usage: TokenUsage { input: 1000, cached_input: 600, output: 51 },
        cost: Some(Cost { nanos: 1_500_000 }),
        redactions: 3,
        unrestored: 0,
    }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

/// A small history and its text.
fn history() -> String {
    let mut registry = Registry::default();
    let metrics = RouterMetrics::register(&mut registry);
    metrics.attempt(&attempt("cloud", AttemptOutcome::Ok), Purpose::Suggest);
    metrics.attempt(&ModelAttempt { unrestored: 2, ..attempt("cloud", AttemptOutcome::Ok) }, Purpose::Suggest);
    let refused =
        ModelAttempt { first_token_ms: None, ms: 20, ..attempt("cloud", AttemptOutcome::Failed(ErrorKind::Auth)) };
    metrics.attempt(&ModelAttempt { usage: TokenUsage::default(), cost: None, ..refused }, Purpose::Chat);
    metrics.attempt(&attempt("local", AttemptOutcome::Skipped("circuit_open")), Purpose::Chat);
    metrics.attempt(&attempt("local", AttemptOutcome::Cached), Purpose::Extract);
    metrics.attempt(&attempt("local", AttemptOutcome::Failed(ErrorKind::DeadlineExceeded)), Purpose::Extract);
    metrics.egress(&EgressRecord {
        attempt: AttemptId("att_1".to_owned()),
        at: Timestamp::UNIX_EPOCH,
        tenant: TenantId::new("secret-tenant").unwrap(),
        request_id: "secret-request".to_owned(),
        purpose: Purpose::Suggest,
        provider: "cloud".to_owned(),
        model: "a-model".to_owned(),
        policy: Egress::RedactThenRemote,
        bytes: 4096,
        redactions: BTreeMap::from([("email".to_owned(), 2), ("iban".to_owned(), 1)]),
        reserved: Spending::default(),
    });
    metrics.breaker("local", BreakerState::Open { until: Instant::now() });
    metrics.breaker("cloud", BreakerState::Closed);
    metrics.restart();
    metrics.hedge("local");
    metrics.over_budget("cloud");
    metrics.cache_hit();
    metrics.cache_miss();
    metrics.cache_miss();
    metrics.cache_joined();
    metrics.cache_size(2048, 3);
    text(&registry)
}

#[test]
fn a_history_is_told_line_by_line() {
    let text = history();
    for line in [
        r#"rejoinder_model_attempts_total{target="cloud",purpose="suggest",outcome="ok"} 2"#,
        r#"rejoinder_model_attempts_total{target="cloud",purpose="chat",outcome="auth"} 1"#,
        r#"rejoinder_model_attempts_total{target="local",purpose="chat",outcome="circuit_open"} 1"#,
        r#"rejoinder_model_attempts_total{target="local",purpose="extract",outcome="cached"} 1"#,
        r#"rejoinder_model_attempts_total{target="local",purpose="extract",outcome="timeout"} 1"#,
        r#"rejoinder_model_alarms_total{target="cloud",outcome="auth"} 1"#,
        r#"rejoinder_model_first_token_seconds_bucket{le="0.25",target="cloud"} 0"#,
        r#"rejoinder_model_first_token_seconds_bucket{le="0.5",target="cloud"} 2"#,
        r#"rejoinder_model_first_token_seconds_count{target="cloud"} 2"#,
        r#"rejoinder_model_output_token_seconds_bucket{le="0.01",target="cloud"} 0"#,
        r#"rejoinder_model_output_token_seconds_bucket{le="0.02",target="cloud"} 2"#,
        r#"rejoinder_model_attempt_seconds_count{target="cloud"} 3"#,
        r#"rejoinder_model_attempt_seconds_count{target="local"} 1"#,
        r#"rejoinder_model_tokens_total{target="cloud",purpose="suggest",kind="input"} 2000"#,
        r#"rejoinder_model_tokens_total{target="cloud",purpose="suggest",kind="cached_input"} 1200"#,
        r#"rejoinder_model_tokens_total{target="cloud",purpose="suggest",kind="output"} 102"#,
        r#"rejoinder_model_tokens_total{target="local",purpose="extract",kind="output"} 51"#,
        r#"rejoinder_model_cost_total{target="cloud",purpose="suggest"} 0.003"#,
        r#"rejoinder_model_breaker_state{target="local"} 2"#,
        r#"rejoinder_model_breaker_state{target="cloud"} 0"#,
        "rejoinder_model_restarts_total 1",
        r#"rejoinder_model_hedges_total{target="local"} 1"#,
        r#"rejoinder_budget_refusals_total{target="cloud"} 1"#,
        r#"rejoinder_answer_cache_requests_total{result="hit"} 1"#,
        r#"rejoinder_answer_cache_requests_total{result="miss"} 2"#,
        r#"rejoinder_answer_cache_requests_total{result="joined"} 1"#,
        "rejoinder_answer_cache_bytes 2048",
        "rejoinder_answer_cache_entries 3",
        r#"rejoinder_egress_requests_total{target="cloud"} 1"#,
        r#"rejoinder_egress_bytes_total{target="cloud"} 4096"#,
        r#"rejoinder_redactions_total{kind="email"} 2"#,
        r#"rejoinder_redactions_total{kind="iban"} 1"#,
        r#"rejoinder_redactions_unrestored_total{target="cloud"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing from\n{text}");
    }
    assert!(!text.contains("output_token_seconds_count{target=\"local\"}"), "it has no whole answer");
    assert!(!text.contains("secret"), "no label tells who asked");
}

#[test]
fn the_table_names_every_metric() {
    let text = history();
    let said = include_str!("../metrics.rs");
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let names: BTreeSet<&str> = names.collect();
    assert_eq!(names.len(), 18);
    for name in names {
        let short = name.rsplit_once('_').map_or(name, |(_, last)| last);
        assert!(
            said.contains(&format!("`{name}")) || said.contains(&format!("`_{short}`")),
            "{name} is not in the table"
        );
    }
}

/// What a line of the text format of metrics looks like, as far as it is used here.
fn is_line(line: &str, declared: &mut BTreeSet<String>) -> bool {
    let name_is_good = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    if line == "# EOF" {
        return true;
    }
    if let Some(declaration) = line.strip_prefix("# ") {
        let mut words = declaration.splitn(3, ' ');
        let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else { return false };
        declared.insert(name.to_owned());
        return name_is_good(name)
            && match what {
                "HELP" => rest.ends_with('.') && !rest.ends_with(".."),
                "TYPE" => ["counter", "gauge", "histogram"].contains(&rest),
                "UNIT" => name.ends_with(&format!("_{rest}")),
                _ => false,
            };
    }
    let Some((series, value)) = line.rsplit_once(' ') else { return false };
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')),
        None => (series, Some("")),
    };
    let family = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let is_declared = declared.contains(name) || family.is_some_and(|family| declared.contains(family));
    is_declared && value.parse::<f64>().is_ok_and(f64::is_finite) && labels.is_some_and(are_labels)
}

/// Labels with their values in quotation marks, where a backslash escapes itself, a quotation mark and a line break.
fn are_labels(mut rest: &str) -> bool {
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once("=\"") else { return false };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            return false;
        }
        let mut end = None;
        let mut characters = after.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' if !matches!(characters.next(), Some((_, '\\' | '"' | 'n'))) => return false,
                '\n' => return false,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let Some(end) = end else { return false };
        let tail = &after[end + 1..];
        match tail.strip_prefix(',') {
            Some(next) if !next.is_empty() => rest = next,
            Some(_) => return false,
            None => return tail.is_empty(),
        }
    }
    true
}

fn check(text: &str) {
    let mut declared = BTreeSet::new();
    for line in text.lines() {
        assert!(is_line(line, &mut declared), "not a line of the format: {line}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_text_has_the_format() {
    check(&history());
    let mut declared = BTreeSet::from(["a".to_owned()]);
    for wrong in ["a 1e", "b 1", "a{x=\"1\" 1", "a{x=\"1\",} 1", "a{x=\"\\q\"} 1", "a{x=1} 1", "# HELP a", "a NaN"] {
        assert!(!is_line(wrong, &mut declared), "{wrong} must be refused");
    }
}

proptest! {
    #[test]
    fn any_name_of_a_target_keeps_the_format(name in "\\PC{0,12}|[\"\\\\\n{},= ]{0,6}") {
        let mut registry = Registry::default();
        let metrics = RouterMetrics::register(&mut registry);
        metrics.attempt(&attempt(&name, AttemptOutcome::Ok), Purpose::Chat);
        metrics.over_budget(&name);
        check(&text(&registry));
    }
}
