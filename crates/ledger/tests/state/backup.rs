use std::sync::atomic::{AtomicBool, Ordering};

use rejoinder_domain::ErrorKind;
use rejoinder_ledger::{Ledger, LedgerError, UsageJournal, UsageOptions};

use crate::mail::{at, id, mailbox, message, open, read, suggestion, tenant};

#[test]
fn a_copy_made_while_others_write_is_one_moment_of_the_ledger() {
    let (folder, ledger) = open();
    let backups = folder.path().join("backups/daily");
    let is_over = AtomicBool::new(false);
    // Ticket and suggestion are written in one transaction each, in order of their numbers.
    let (written, copies) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !is_over.load(Ordering::Relaxed) {
                let mut one = suggestion(&format!("sug_{written:06}"));
                one.created = at(written);
                ledger.record_suggestion(&tenant(), &one).unwrap();
                written += 1;
            }
            written
        });
        let mut copies = Vec::new();
        for n in 0..5 {
            let path = backups.join(format!("{n}.sqlite"));
            let before = ledger.count_before(&tenant(), at(1 << 30)).unwrap().1;
            ledger.backup(&path).unwrap();
            copies.push((path, before));
        }
        is_over.store(true, Ordering::Relaxed);
        (writer.join().unwrap(), copies)
    });
    for (path, at_least) in copies {
        let whole = Ledger::check(&path).unwrap();
        assert_eq!(whole.bytes, std::fs::metadata(&path).unwrap().len());
        // What the copy has is everything up to one moment.
        let copy = Ledger::open(&path).unwrap();
        let count = copy.count_before(&tenant(), at(1 << 30)).unwrap().1;
        assert!(count >= at_least && count <= written as u64, "{at_least} {count} {written}");
        if let Some(last) = count.checked_sub(1) {
            assert!(copy.suggestion(&tenant(), &format!("sug_{last:06}")).unwrap().is_some());
        }
        assert!(copy.suggestion(&tenant(), &format!("sug_{count:06}")).unwrap().is_none());
    }
}

#[test]
fn a_restored_copy_is_the_ledger() {
    let (folder, ledger) = open();
    read(&ledger, &mailbox("a", "1"), &[message("x"), message("y")]);
    ledger.record_suggestion(&tenant(), &suggestion("sug_1")).unwrap();
    let copy = folder.path().join("copy.sqlite");
    ledger.backup(&copy).unwrap();
    ledger.erase_tenant(&tenant()).unwrap();
    drop(ledger);
    let path = folder.path().join("ledger.sqlite");
    Ledger::check(&copy).unwrap();
    std::fs::copy(&copy, &path).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.message(&tenant(), &id("x")).unwrap(), Some(message("x")));
    assert!(ledger.suggestion(&tenant(), "sug_1").unwrap().is_some());
}

#[test]
fn a_backup_takes_the_place_of_nothing() {
    let (folder, ledger) = open();
    let copy = folder.path().join("copy.sqlite");
    std::fs::write(&copy, "mine").unwrap();
    assert!(matches!(ledger.backup(&copy), Err(LedgerError::File(_))));
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    std::fs::remove_file(&copy).unwrap();
    // What a killed try left is no obstacle.
    std::fs::write(folder.path().join("copy.sqlite.partial"), "half").unwrap();
    ledger.backup(&copy).unwrap();
    assert!(!folder.path().join("copy.sqlite.partial").exists());
}

#[test]
fn a_check_tells_what_is_wrong_and_changes_nothing() {
    let (folder, ledger) = open();
    let messages: Vec<_> = (0..200).map(|n| message(&format!("m{n}"))).collect();
    read(&ledger, &mailbox("a", "1"), &messages);
    let path = |name: &str| folder.path().join(name);
    ledger.backup(path("whole.sqlite")).unwrap();
    assert!(Ledger::check(path("ledger.sqlite")).is_ok(), "also one that is in use");

    let whole = std::fs::read(path("whole.sqlite")).unwrap();
    let mut damaged = whole.clone();
    for byte in &mut damaged[whole.len() / 2..whole.len() / 2 + 8192] {
        *byte = 0xa5;
    }
    std::fs::write(path("damaged.sqlite"), &damaged).unwrap();
    let error = Ledger::check(path("damaged.sqlite")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert_eq!(std::fs::read(path("damaged.sqlite")).unwrap(), damaged);

    std::fs::write(path("cut.sqlite"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(Ledger::check(path("cut.sqlite")).unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(path("text.sqlite"), "no database, but long enough to be one. ".repeat(200)).unwrap();
    assert_eq!(Ledger::check(path("text.sqlite")).unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::write(path("empty.sqlite"), "").unwrap();
    assert!(matches!(Ledger::check(path("empty.sqlite")), Err(LedgerError::Damaged(_))));
    assert!(matches!(Ledger::check(path("missing.sqlite")), Err(LedgerError::File(_))));
    assert!(!path("missing.sqlite").exists());

    std::fs::write(path("dangling.sqlite"), &whole).unwrap();
    let connection = rusqlite::Connection::open(path("dangling.sqlite")).unwrap();
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    connection.execute("DELETE FROM message WHERE id = ?1", [id("m7").as_str()]).unwrap();
    drop(connection);
    assert!(matches!(Ledger::check(path("dangling.sqlite")), Err(LedgerError::Damaged(_))));

    std::fs::write(path("newer.sqlite"), &whole).unwrap();
    rusqlite::Connection::open(path("newer.sqlite")).unwrap().pragma_update(None, "user_version", 999).unwrap();
    assert!(matches!(Ledger::check(path("newer.sqlite")), Err(LedgerError::TooNew { found: 999, .. })));
    // A journal of usage is no ledger.
    drop(UsageJournal::open(path("usage.sqlite"), UsageOptions::default()).unwrap());
    assert!(matches!(Ledger::check(path("usage.sqlite")), Err(LedgerError::Damaged(_))));
    assert!(matches!(
        UsageJournal::check(path("whole.sqlite")),
        Err(LedgerError::Damaged(_) | LedgerError::TooNew { .. })
    ));
}
