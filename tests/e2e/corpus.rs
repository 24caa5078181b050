//! Real mail, where `REJOINDER_CORPUS` names its folder: nothing lost, nothing crashes.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::product::{Product, corpus};

#[test]
fn a_real_mailbox_of_2500_messages_is_ingested_with_nothing_lost() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rejoinder.toml");
    std::fs::write(&config, "tenant = \"vendor\"\n[models]\nembedder = \"none\"\n").unwrap();
    let product = Product::with_config(&config);
    let mailbox = folder.path().join("support.mbox");
    let packed = corpus.join("vendor-support-list/mailbox.mbox.zst");
    let unpacked = Command::new("zstd").arg("-dqf").arg(&packed).arg("-o").arg(&mailbox).status();
    assert!(unpacked.expect("zstd is on this machine").success(), "{} must be there", packed.display());

    let report = product.json(&["ingest", mailbox.to_str().unwrap()], 0);
    let number = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(number("seen"), 2500, "{report}");
    assert_eq!(number("seen"), number("indexed") + number("duplicate") + number("skipped"));
    assert_eq!(number("skipped"), 0, "{report}");

    let indexed: BTreeSet<String> =
        product.messages().iter().filter_map(|message| message["message_id"].as_str().map(str::to_owned)).collect();
    let gold = std::fs::read_to_string(corpus.join("vendor-support-list/mime_gold.jsonl")).expect("the gold file");
    let missing: Vec<String> = gold
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
        .filter_map(|entry| entry["gold"]["Message-ID"].as_str().map(|id| id.trim_matches(['<', '>', ' ']).to_owned()))
        .filter(|id| !id.is_empty() && !indexed.contains(id))
        .collect();
    assert!(missing.len() <= 12, "{} of 2500 ids are not in the index", missing.len());
}

#[test]
fn every_real_pst_is_inspected_without_a_crash() {
    let Some(corpus) = corpus() else { return };
    let product = Product::new();
    let mut files = 0;
    for entry in std::fs::read_dir(corpus.join("pst/files")).expect("the PST files") {
        let path = entry.expect("an entry").path();
        let output = product.run(&["inspect", path.to_str().expect("UTF-8"), "--json"]);
        let code = output.status.code().expect("it ends by itself");
        assert!((0..=2).contains(&code), "{}: {code}", path.display());
        let inspection: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let status = inspection["status"].as_str().expect("a status");
        assert_eq!(code == 1, status == "refused", "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 30);
}
