//! Mailbox files written for the tests: a firm's inbox and sent mail, with threads, copies and damage.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Topics, so that texts differ in more than a number.
const TOPICS: [&str; 6] =
    ["invoice", "contract renewal", "delivery date", "credit note", "annual audit", "payment terms"];

/// Which conversations a set of mailboxes holds.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Names of the mailboxes, in the order in which they are read.
pub(crate) const NAMES: [&str; 3] = ["Archive.mbox", "Inbox.mbox", "Sent.mbox"];

/// Writes the mailboxes: per conversation a question, its reply, and for every third a follow-up with the reply quoted.
/// Every fifth question also lies in the archive (a copy), and the first item of the inbox is too large.
pub(crate) fn write(folder: &Path, plan: Plan) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    let mut inbox = item("giant", "", "Too large", &"x".repeat(200_000), 0);
    let (mut archive, mut sent) = (String::new(), String::new());
    for n in plan.first..plan.last {
        let topic = TOPICS[n % TOPICS.len()];
        let question = question(n, topic);
        inbox.push_str(&question);
        if n % 5 == 0 {
            archive.push_str(&question);
        }
        sent.push_str(&reply(n, topic));
        if n % 3 == 0 {
            inbox.push_str(&follow_up(n, topic));
        }
    }
    let paths = paths(folder);
    for (path, text) in paths.iter().zip([archive, inbox, sent]) {
        std::fs::write(path, text).unwrap();
    }
    paths
}

/// Where the mailboxes of a folder are.
pub(crate) fn paths(folder: &Path) -> Vec<PathBuf> {
    NAMES.iter().map(|name| folder.join(name)).collect()
}

fn question(n: usize, topic: &str) -> String {
    let mut text = format!("Dear support,\n\nwe have a question about the {topic} number {n}.\n\n");
    for paragraph in 0..n % 7 {
        let _ = write!(text, "Point {paragraph} concerns item {}. ", n * 10 + paragraph);
        text.push_str(
            "It was agreed last month and we would like to see it confirmed in writing. Please let us know.\n\n",
        );
    }
    let _ = write!(text, "Kind regards\nCustomer {n}\n");
    item(&format!("q{n}"), "", &format!("Question about {topic} {n}"), &text, n)
}

fn reply(n: usize, topic: &str) -> String {
    let text = format!(
        "Dear customer {n},\n\nthank you for your message. The {topic} {n} is settled, you will get a confirmation by \
         post within three days.\n\nKind regards\nAnna Weber\n\nOn Monday customer{n}@else.example wrote:\n> we have a \
         question about the {topic} number {n}.\n"
    );
    let header = format!("In-Reply-To: <q{n}@else.example>\nReferences: <q{n}@else.example>\n");
    item(&format!("r{n}"), &header, &format!("Re: Question about {topic} {n}"), &text, n + 1)
}

fn follow_up(n: usize, topic: &str) -> String {
    let text = format!("Thanks, that helps us a lot with the {topic}.\n\n> The {topic} {n} is settled,\n");
    let header = format!("In-Reply-To: <r{n}@firm.example>\nReferences: <q{n}@else.example> <r{n}@firm.example>\n");
    item(&format!("f{n}"), &header, &format!("Re: Question about {topic} {n}"), &text, n + 2)
}

fn item(id: &str, header: &str, subject: &str, text: &str, minute: usize) -> String {
    let ours = id.starts_with('r');
    let n: String = id.chars().filter(char::is_ascii_digit).collect();
    let (from, to) = ("Anna Weber <anna@firm.example>".to_owned(), format!("Customer {n} <customer{n}@else.example>"));
    let (from, to) = if ours { (from, to) } else { (to, from) };
    let domain = if ours { "firm.example" } else { "else.example" };
    let (day, hour, minute) = (5 + (8 + minute / 60) / 24, (8 + minute / 60) % 24, minute % 60);
    format!(
        "From sender@mail.example Mon Jan  5 08:00:00 2026\nFrom: {from}\nTo: {to}\nSubject: {subject}\n\
         Message-ID: <{id}@{domain}>\nDate: {day} Jan 2026 {hour:02}:{minute:02}:00 +0000\n{header}\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n"
    )
}
