//! Awkward and broken MIME of several projects' test suites.

use std::path::Path;

use rejoinder_mail::{Limits, parse_rfc5322};

use crate::{corpus, json_lines, unpacked_tar, verbose};

fn sorted(mut list: Vec<String>) -> String {
    list.sort();
    list.join(" ")
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[test]
fn every_file_is_read_or_refused_in_words() {
    let Some(corpus) = corpus() else { return };
    let folder = unpacked_tar(&corpus.join("mime/fixtures.tar.zst"));
    let mut files = Vec::new();
    walk(folder.path(), &mut files);
    let (mut read, mut refused) = (0, 0);
    for path in &files {
        let raw = std::fs::read(path).unwrap();
        match parse_rfc5322(&raw, &Limits::default()) {
            Ok((message, _)) => {
                read += 1;
                let end = message.body.segments.last().map_or(0, |segment| segment.span.end());
                assert_eq!(end, message.body.text.len(), "{}", path.display());
            }
            Err(skipped) => {
                refused += 1;
                assert!(!skipped.reason.is_empty());
            }
        }
    }
    println!("{} files: {read} read, {refused} refused", files.len());
    assert!(files.len() > 900);
}

#[test]
fn agrees_with_an_independent_parser_where_that_agrees_with_itself() {
    let Some(corpus) = corpus() else { return };
    let folder = unpacked_tar(&corpus.join("mime/fixtures.tar.zst"));
    let mut all = (0usize, 0usize);
    for suite in ["mime-cpython-test_email", "mime-mikel", "mime-mime4j", "mime-nodemailer", "mime-rspamd"] {
        let root = folder.path().join(suite);
        let (mut same, mut compared) = (0usize, 0usize);
        for line in json_lines(&root.join("derived/mime_gold.jsonl")) {
            let name = line["path"].as_str().unwrap();
            let raw = std::fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let Ok((message, _)) = parse_rfc5322(&raw, &Limits::default()) else { continue };
            let agreed: Vec<&str> =
                line["agree"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
            let gold = &line["gold"];
            let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut check = |field: &str, theirs: String, ours: String| {
                if agreed.contains(&field) {
                    compared += 1;
                    same += usize::from(theirs == ours);
                    if theirs != ours && verbose() {
                        println!("{name} {field}\n  gold {theirs:?}\n  ours {ours:?}");
                    }
                }
            };
            check("Subject", squeeze(gold["Subject"].as_str().unwrap_or("")), message.subject.clone());
            check(
                "Date",
                gold["Date"].as_f64().map(|at| (at as i64).to_string()).unwrap_or_default(),
                message.sent_at.map(|at| at.as_second().to_string()).unwrap_or_default(),
            );
            let emails = |name: &str| {
                let list = gold[name].as_array().cloned().unwrap_or_default();
                sorted(list.iter().map(|a| a.as_str().unwrap_or("").to_lowercase()).collect())
            };
            check("From", emails("From"), message.from.iter().map(|a| a.email.clone()).collect::<Vec<_>>().join(" "));
            let to = message.to.iter().map(|a| a.email.clone()).filter(|email| !email.is_empty()).collect();
            check("To", emails("To"), sorted(to));
            // The gold does not list embedded messages and reports; every file that it lists has to be in ours. A multipart
            // without its parts, which it lists as a file, is body text for us.
            let ours: Vec<String> = message
                .attachments
                .iter()
                .map(|a| {
                    format!(
                        "{} {} {} {}",
                        a.media_type,
                        a.name,
                        a.bytes,
                        &a.sha256.as_deref().unwrap_or("0000000000000000")[..16]
                    )
                })
                .collect();
            for theirs in gold["attachments"].as_array().unwrap() {
                let part = |at: usize| theirs[at].as_str().unwrap_or("");
                if !part(0).starts_with("multipart/") {
                    let theirs = format!("{} {} {} {}", part(0), squeeze(part(1)), theirs[2], part(3));
                    let found = if ours.contains(&theirs) { theirs.clone() } else { ours.join(", ") };
                    check("attachments", theirs, found);
                }
            }
        }
        println!("{suite}: {same} of {compared} fields agree ({:.1} %)", 100.0 * same as f64 / compared as f64);
        all = (all.0 + same, all.1 + compared);
    }
    println!("all: {} of {} fields agree", all.0, all.1);
    assert!(all.0 as f64 >= 0.97 * all.1 as f64);
}
