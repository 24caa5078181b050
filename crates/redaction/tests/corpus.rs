//! What is found of the personal data that a public data set labels. It runs where `REJOINDER_CORPUS` names the data
//! folder, and prints what it measures.
//!
//! The texts are made from templates, with addresses put together at random out of the conventions of some thirty
//! countries. The rules were written looking at the texts whose template has an even number; the odd ones are templates
//! that were not looked at.
//!
//! A labelled value counts as found where all of its letters and digits are replaced: one that is left would be sent. A
//! finding is right where it meets a value that is labelled as one of the same kinds, whichever: an account number that
//! is taken for a telephone number is hidden all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use rejoinder_domain::Address;
use rejoinder_redaction::{Kind, Redactor};
use serde_json::Value;

/// The labels that stand for kinds of ours. The others (towns and countries alone, organisations, occupations, ages, dates,
/// nationalities, host names) are none.
const LABELS: [&str; 10] = [
    "CREDIT_CARD",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "IP_ADDRESS",
    "PERSON",
    "PHONE_NUMBER",
    "STREET_ADDRESS",
    "US_DRIVER_LICENSE",
    "US_SSN",
    "ZIP_CODE",
];

#[derive(Default, Clone, Copy)]
struct Score {
    found: usize,
    labelled: usize,
}

impl Score {
    fn add(&mut self, found: bool) {
        self.labelled += 1;
        self.found += usize::from(found);
    }

    fn share(self) -> f64 {
        self.found as f64 / self.labelled.max(1) as f64
    }
}

#[derive(Default)]
struct Half {
    recall: BTreeMap<String, Score>,
    precision: BTreeMap<&'static str, Score>,
    letters: usize,
    letters_too_many: usize,
}

impl Half {
    fn all(scores: impl Iterator<Item = Score>) -> Score {
        scores.fold(Score::default(), |sum, score| Score {
            found: sum.found + score.found,
            labelled: sum.labelled + score.labelled,
        })
    }

    fn print(&self, name: &str) -> (f64, f64) {
        let line = |what: &str, score: Score| {
            println!("  {what:<18} {:.3}  ({} of {})", score.share(), score.found, score.labelled);
        };
        println!("{name}: recall of labelled values");
        self.recall.iter().for_each(|(label, score)| line(label, *score));
        let recall = Self::all(self.recall.values().copied());
        line("all", recall);
        println!("{name}: precision of findings");
        self.precision.iter().for_each(|(kind, score)| line(kind, *score));
        let precision = Self::all(self.precision.values().copied());
        line("all", precision);
        let share = self.letters_too_many as f64 / self.letters.max(1) as f64;
        println!("  letters and digits replaced that no label of any kind covers: {:.2} %\n", share * 100.0);
        (recall.share(), precision.share())
    }
}

fn lines() -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("REJOINDER_CORPUS").map(PathBuf::from) else {
        println!("REJOINDER_CORPUS is not set: nothing was measured");
        return None;
    };
    let path = folder.join("pii/presidio.dev.jsonl.zst");
    let output = Command::new("zstd").arg("-dc").arg(&path).output().unwrap();
    assert!(output.status.success(), "{} cannot be read", path.display());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Each labelled value: label, first character, one past the last.
fn labels(line: &Value) -> Vec<(String, usize, usize)> {
    let at = |span: &Value, index: usize| usize::try_from(span[index].as_u64().unwrap()).unwrap();
    let spans = line["spans"].as_array().unwrap().iter();
    spans.map(|span| (span[0].as_str().unwrap().to_owned(), at(span, 1), at(span, 2))).collect()
}

fn people(text: &str, labels: &[(String, usize, usize)]) -> Vec<Address> {
    let name = |start: usize, end: usize| text.chars().skip(start).take(end - start).collect();
    let persons = labels.iter().filter(|(label, ..)| label == "PERSON");
    persons.map(|(_, start, end)| Address { name: name(*start, *end), email: String::new() }).collect()
}

fn measure(half: &mut Half, line: &Value, redactor: &Redactor, show: bool) {
    let text = line["text"].as_str().unwrap();
    let labels = labels(line);
    let people = people(text, &labels);
    let chars: Vec<char> = text.chars().collect();
    let mut covered = vec![false; chars.len()];
    let findings: Vec<(Kind, usize, usize)> = redactor
        .find(text, &people)
        .into_iter()
        .map(|finding| {
            let (start, end) = finding.span.in_chars(text).unwrap();
            covered[start..end].fill(true);
            (finding.kind, start, end)
        })
        .collect();
    let ours = |label: &str| LABELS.contains(&label);
    let mut labelled = vec![false; chars.len()];
    for (label, start, end) in &labels {
        labelled[*start..*end].fill(true);
        if ours(label) {
            let hidden = (*start..*end).all(|at| covered[at] || !chars[at].is_alphanumeric());
            half.recall.entry(label.clone()).or_default().add(hidden);
            if show && !hidden {
                println!("missed {label}: {:?} in {text:?}", chars[*start..*end].iter().collect::<String>());
            }
        }
    }
    for (kind, start, end) in findings {
        let right = labels.iter().any(|(label, from, to)| ours(label) && *from < end && start < *to);
        half.precision.entry(kind.as_str()).or_default().add(right);
        if show && !right {
            println!("wrong {}: {:?} in {text:?}", kind.as_str(), chars[start..end].iter().collect::<String>());
        }
    }
    for at in (0..chars.len()).filter(|at| chars[*at].is_alphanumeric()) {
        half.letters += 1;
        half.letters_too_many += usize::from(covered[at] && !labelled[at]);
    }
}

#[test]
fn labelled_personal_data() {
    let Some(lines) = lines() else { return };
    let redactor = Redactor::default();
    let show = std::env::var_os("REJOINDER_SHOW_MISSES").is_some();
    let (mut even, mut odd) = (Half::default(), Half::default());
    for line in &lines {
        if line["template"].as_u64().unwrap().is_multiple_of(2) {
            measure(&mut even, line, &redactor, show);
        } else {
            measure(&mut odd, line, &redactor, false);
        }
    }
    for (recall, precision) in [even.print("templates looked at"), odd.print("templates not looked at")] {
        assert!(recall >= 0.95, "{recall}");
        assert!(precision >= 0.85, "{precision}");
    }
}

#[test]
fn every_text_comes_back_and_no_value_is_left() {
    let Some(lines) = lines() else { return };
    let redactor = Redactor::default();
    for line in &lines {
        let text = line["text"].as_str().unwrap();
        let people = people(text, &labels(line));
        let mut session = redactor.session(&people);
        let redacted = session.redact(text);
        assert_eq!(session.restore(&redacted), text);
        for finding in redactor.find(text, &people) {
            let value = finding.span.of(text).unwrap();
            assert!(value.chars().count() < 5 || !redacted.contains(value), "{value:?} in {redacted:?}");
        }
    }
    println!("{} texts restored", lines.len());
}
