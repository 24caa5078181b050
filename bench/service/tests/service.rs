//! Short runs of every subcommand against the built program, so that what the long ones rest on stays right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;

/// Runs a subcommand; does nothing, and says so, where the program was not built beside it (`make test` builds it).
fn run(arguments: &[&str]) {
    let tester = Path::new(env!("CARGO_BIN_EXE_rejoinder-bench-service"));
    let program = tester.with_file_name("rejoinder");
    if !program.is_file() {
        eprintln!("SKIPPED: {} is not built", program.display());
        return;
    }
    let output = Command::new(tester).args(arguments).arg("--rejoinder").arg(&program).output().expect("it starts");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}\n{said}\n{wrong}");
}

#[test]
fn nothing_of_one_tenant_reaches_another() {
    run(&["isolation", "--operations", "600", "--tenants", "4", "--concurrency", "8", "--seed", "1"]);
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_a_kill() {
    // How long a start takes is no matter of a test that shares the machine with others.
    run(&["kill", "--times", "3", "--longest", "1500", "--start", "60", "--seed", "1"]);
}

#[test]
fn hostile_requests_are_refused() {
    run(&["hostile"]);
}

#[test]
fn a_flood_leaves_no_request_without_an_answer() {
    let few = ["--clients", "24", "--quiet-clients", "8", "--tenants", "4", "--pause", "300"];
    // What the others notice of it is measured by a long run, on a machine of its own.
    let short = ["--quiet-seconds", "5", "--seconds", "10", "--factor", "1000", "--seed", "1"];
    run(&[&["load"], &few[..], &short[..]].concat());
}
