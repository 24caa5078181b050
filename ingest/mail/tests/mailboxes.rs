//! Mailboxes on the disk: what is found, in which order, how reading resumes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use rejoinder_mail::{Format, Limits, discover, open};

fn mail(subject: &str) -> String {
    format!("From: a@b.example\nTo: c@d.example\nSubject: {subject}\n\nHello\n")
}

fn mbox(subjects: &[&str]) -> String {
    subjects.iter().fold(String::new(), |text, subject| {
        text + "From a@b.example Thu Jan  1 00:00:00 1970\n" + &mail(subject) + "\n"
    })
}

fn subjects(source: impl Iterator<Item = rejoinder_mail::SourceItem>) -> Vec<String> {
    source
        .map(|item| {
            item.outcome.map_or_else(|skipped| format!("skipped: {}", skipped.reason), |message| message.subject)
        })
        .collect()
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_folder_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(&root.join("archive.mbox"), mbox(&["1", "2"]));
    write(&root.join("no-extension"), mbox(&["3"]));
    write(&root.join("letters/b.eml"), mail("b"));
    write(&root.join("letters/a.eml"), mail("a"));
    write(&root.join("letters/c.txt"), mail("c"));
    write(&root.join("box/cur/1:2,S"), mail("seen"));
    write(&root.join("box/new/2"), mail("new"));
    write(&root.join("box/tmp/3"), mail("half written"));
    write(&root.join("box/.Sent/cur/4:2,S"), mail("sent"));
    fs::create_dir_all(root.join("box/.Sent/new")).unwrap();
    write(&root.join("picture.png"), [0x89, b'P', b'N', b'G', 0, 1, 2]);
    write(&root.join("note.msg"), [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0]);
    #[cfg(unix)]
    std::os::unix::fs::symlink(root, root.join("letters/loop")).unwrap();

    let discovery = discover(root).unwrap();
    let found: Vec<(String, Format)> = discovery
        .mailboxes
        .iter()
        .map(|found| (found.path.strip_prefix(root).unwrap().display().to_string(), found.format))
        .collect();
    assert_eq!(
        found,
        [
            ("archive.mbox".to_owned(), Format::Mbox),
            ("box".to_owned(), Format::Maildir),
            ("letters".to_owned(), Format::Eml),
            ("no-extension".to_owned(), Format::Mbox),
        ]
    );
    let skipped: Vec<&str> =
        discovery.skipped.iter().map(|skipped| skipped.place.rsplit('/').next().unwrap()).collect();
    assert_eq!(skipped, ["note.msg", "picture.png"]);
    assert!(discovery.skipped[0].reason.contains("not supported yet"));

    let read = |at: usize| subjects(open(&discovery.mailboxes[at], &Limits::default()).unwrap());
    assert_eq!(read(0), ["1", "2"]);
    assert_eq!(read(1), ["seen", "new", "sent"]);
    assert_eq!(read(2), ["a", "b", "c"]);
    let maildir: Vec<bool> =
        open(&discovery.mailboxes[1], &Limits::default()).unwrap().map(|item| item.in_sent_folder).collect();
    assert_eq!(maildir, [false, false, true]);
}

#[test]
fn reading_resumes_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a.mbox"), mbox(&["1", "2", "3", "4"]));
    for name in ["1", "2", "3", "4"] {
        write(&folder.path().join("eml").join(name).with_extension("eml"), mail(name));
    }
    for found in discover(folder.path()).unwrap().mailboxes {
        let whole: Vec<_> =
            open(&found, &Limits::default()).unwrap().map(|item| (item.position, item.provenance)).collect();
        assert_eq!(whole.len(), 4);
        let mut source = open(&found, &Limits::default()).unwrap();
        source.skip_to(2).unwrap();
        let rest: Vec<_> = source.by_ref().map(|item| (item.position, item.provenance)).collect();
        assert_eq!(rest, whole[2..]);
        assert!(source.skip_to(1).is_err(), "there is no way back");
        let mut source = open(&found, &Limits::default()).unwrap();
        source.skip_to(99).unwrap();
        assert!(source.next().is_none());
    }
}

#[test]
fn the_fingerprint_changes_with_the_content_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbox");
    write(&path, mbox(&["1"]));
    let info = |path: &Path| {
        let found = discover(path).unwrap().mailboxes.remove(0);
        open(&found, &Limits::default()).unwrap().mailbox().clone()
    };
    let before = info(&path);
    assert_eq!(before, info(&path));
    write(&path, mbox(&["1", "2"]));
    let after = info(&path);
    assert_ne!(before.fingerprint, after.fingerprint);
    assert_eq!(before.id, after.id, "the same path is the same mailbox");
}

#[test]
fn one_bad_item_does_not_end_a_mailbox() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbox");
    let big = format!("From a@b.example Thu Jan  1 00:00:00 1970\nSubject: big\n\n{}\n\n", "x".repeat(5000));
    let broken = "From a@b.example Thu Jan  1 00:00:00 1970\n\nno header at all\n\n";
    write(&path, format!("{}{big}{broken}{}", mbox(&["1"]), mbox(&["2"])));
    let found = discover(&path).unwrap().mailboxes.remove(0);
    let limits = Limits { max_item_bytes: 2000, ..Limits::default() };
    let read = subjects(open(&found, &limits).unwrap());
    assert_eq!(read.len(), 4);
    assert_eq!((read[0].as_str(), read[3].as_str()), ("1", "2"));
    assert!(read[1].contains("over the limit of 2000"));
    assert!(read[2].contains("no header field"));
}
