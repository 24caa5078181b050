//! The allowed edges between our crates, held over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Which of our crates each crate may depend on (beside `rejoinder-domain`, which all but the PST crates may).
const ALLOWED: &[(&str, &[&str])] = &[
    ("rejoinder-domain", &[]),
    ("rejoinder-access", &["rejoinder-domain"]),
    ("rejoinder-vault", &["rejoinder-domain"]),
    ("rejoinder-store", &["rejoinder-domain", "rejoinder-vault"]),
    ("rejoinder-ledger", &["rejoinder-domain", "rejoinder-vault"]),
    ("rejoinder-assist", &["rejoinder-domain", "rejoinder-recognise"]),
    ("rejoinder-recognise", &["rejoinder-domain"]),
    ("rejoinder-redaction", &["rejoinder-domain", "rejoinder-recognise"]),
    ("rejoinder-router", &["rejoinder-domain", "rejoinder-redaction"]),
    ("rejoinder-providers", &["rejoinder-domain"]),
    ("rejoinder-pst", &[]),
    ("rejoinder-mail", &["rejoinder-domain", "rejoinder-pst"]),
    ("rejoinder-models", &["rejoinder-domain"]),
    ("rejoinder-decoder", &[]),
    ("rejoinder-grammar", &[]),
    ("rejoinder-vocabulary", &["rejoinder-domain"]),
    ("rejoinder-serving", &["rejoinder-decoder", "rejoinder-domain", "rejoinder-grammar", "rejoinder-vocabulary"]),
    ("rejoinder-pipeline", &["rejoinder-domain", "rejoinder-ledger", "rejoinder-mail"]),
    (
        "rejoinder",
        &[
            "rejoinder-domain",
            "rejoinder-store",
            "rejoinder-vault",
            "rejoinder-ledger",
            "rejoinder-assist",
            "rejoinder-mail",
            "rejoinder-models",
            "rejoinder-pipeline",
            "rejoinder-providers",
            "rejoinder-pst",
            "rejoinder-router",
            "rejoinder-serving",
        ],
    ),
    ("rejoinder-server", &["rejoinder", "rejoinder-access"]),
    ("rejoinder-cli", &["rejoinder", "rejoinder-access", "rejoinder-server"]),
    ("rejoinder-pst-writer", &[]),
    ("rejoinder-scripted-provider", &[]),
];

/// Crates that no product crate may depend on; they may depend on everything.
const TOOLS: &[&str] = &[
    "rejoinder-bench",
    "rejoinder-bench-language",
    "rejoinder-bench-router",
    "rejoinder-bench-service",
    "rejoinder-sample",
];

#[test]
fn our_crates_depend_only_in_the_allowed_direction() {
    let edges = edges();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(name, to)| (*name, to.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for (from, targets) in &edges {
        if TOOLS.contains(&from.as_str()) {
            continue;
        }
        let Some(allowed) = allowed.get(from.as_str()) else {
            wrong.push(format!("{from} is not in the list; add it with its edges"));
            continue;
        };
        wrong.extend(targets.iter().filter(|to| !allowed.contains(to.as_str())).map(|to| format!("{from} -> {to}")));
    }
    assert!(wrong.is_empty(), "edges that are not allowed: {wrong:#?}");
    assert!(edges.len() >= ALLOWED.len(), "cargo metadata must list every crate of the workspace");
}

/// Normal and build dependencies on workspace members; tests may use what they like.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let ours = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .filter_map(|dependency| dependency["name"].as_str())
                .filter(|name| names.contains(name))
                .map(str::to_owned)
                .collect();
            (package["name"].as_str().expect("a name").to_owned(), ours)
        })
        .collect()
}
