//! The store of keys, on a disk, in two programs at once, and after a `kill -9`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::{Timestamp, ToSpan};
use rejoinder_access::{AuthError, CredentialKind, KeyError, KeyStore, NewKey, Role, Roles, Secret};
use rejoinder_domain::{ErrorKind, TenantId};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn new_key(owner: &str, name: &str) -> NewKey {
    NewKey { tenant: tenant(owner), name: name.into(), roles: Roles::from(Role::Agent), expires_at: None }
}

fn open(folder: &Path) -> KeyStore {
    KeyStore::open(folder.join("keys.sqlite")).unwrap()
}

#[test]
fn a_key_opens_its_tenant_with_its_roles_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (acme, secret) = store.create(new_key("acme", "the CRM")).unwrap();
    let (_, other) = store.create(new_key("beta", "theirs")).unwrap();
    let now = Timestamp::now();
    let principal = store.authenticate(secret.expose(), now).unwrap();
    assert_eq!((principal.tenant, principal.kind), (tenant("acme"), CredentialKind::Key));
    assert_eq!((principal.subject, principal.roles), (acme.id.clone(), acme.roles));
    assert_eq!(store.authenticate(other.expose(), now).unwrap().tenant, tenant("beta"));

    // The id of one key with the secret of another, an id that there is not, a secret with one character changed.
    let wrong = format!("rj_{}_{}", acme.id, &other.expose()[12..]);
    let unknown = format!("rj_{}_{}", "a".repeat(8), &secret.expose()[12..]);
    let mut changed = secret.expose().to_owned();
    let first = if changed.as_bytes()[12] == b'A' { "B" } else { "A" };
    changed.replace_range(12..13, first);
    for bad in [wrong, unknown, changed] {
        assert_eq!(store.authenticate(&bad, now), Err(AuthError::Invalid("no such key")), "{bad}");
    }
}

#[test]
fn expiry_and_revocation_are_told_to_who_has_the_whole_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let expires_at = Timestamp::now() + 1.hour();
    let (record, secret) = store.create(NewKey { expires_at: Some(expires_at), ..new_key("acme", "short") }).unwrap();
    let expires_at = record.expires_at.unwrap();
    assert!(store.authenticate(secret.expose(), expires_at - 1.microsecond()).is_ok());
    assert_eq!(store.authenticate(secret.expose(), expires_at), Err(AuthError::Expired));
    assert_eq!((store.active(Timestamp::now()).unwrap(), store.active(expires_at).unwrap()), (1, 0));

    let revoked = store.revoke(&record.id).unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(store.authenticate(secret.expose(), Timestamp::now()), Err(AuthError::Revoked));
    assert_eq!(store.revoke(&record.id).unwrap().revoked_at, revoked.revoked_at, "the first time stays");
    assert_eq!(store.active(Timestamp::now()).unwrap(), 0);
    for id in ["", "nonesuch", "%"] {
        let error = store.revoke(id).unwrap_err();
        assert!(matches!(error, KeyError::NotFound) && error.kind() == ErrorKind::NotFound);
    }
    let tampered = secret.expose().replacen('_', "-", 1);
    assert!(matches!(store.authenticate(&tampered, Timestamp::now()), Err(AuthError::Malformed(_))));
}

#[test]
fn what_cannot_be_a_key_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let refused = [
        NewKey { name: String::new(), ..new_key("acme", "") },
        NewKey { name: "x".repeat(129), ..new_key("acme", "") },
        NewKey { name: "a\u{1b}[2J".into(), ..new_key("acme", "") },
        NewKey { roles: Roles::NONE, ..new_key("acme", "none") },
        NewKey { expires_at: Some(Timestamp::now() - 1.second()), ..new_key("acme", "late") },
    ];
    for key in refused {
        assert_eq!(store.create(key).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(store.list(None).unwrap().is_empty());
}

/// The command line is another process with a store of its own; here it is another store on the same file.
#[test]
fn what_another_program_does_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, command_line) = (open(folder.path()), open(folder.path()));
    assert_eq!(server.active(Timestamp::now()).unwrap(), 0);
    for round in 0..20 {
        let (record, secret) = command_line.create(new_key("acme", &format!("key {round}"))).unwrap();
        assert!(server.authenticate(secret.expose(), Timestamp::now()).is_ok(), "round {round}");
        command_line.revoke(&record.id).unwrap();
        assert_eq!(server.authenticate(secret.expose(), Timestamp::now()), Err(AuthError::Revoked), "round {round}");
    }
    let (_, secret) = server.create(new_key("acme", "from the server")).unwrap();
    assert!(server.authenticate(secret.expose(), Timestamp::now()).is_ok(), "also what it did itself");
    command_line.erase_tenant(&tenant("acme")).unwrap();
    assert_eq!(server.authenticate(secret.expose(), Timestamp::now()), Err(AuthError::Invalid("no such key")));
}

#[test]
fn keys_are_listed_by_tenant_with_their_last_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (first, secret) = store.create(new_key("acme", "first")).unwrap();
    let (second, _) = store.create(new_key("acme", "second")).unwrap();
    let (third, _) = store.create(new_key("beta", "third")).unwrap();
    let names = |keys: Vec<rejoinder_access::KeyRecord>| keys.into_iter().map(|key| key.name).collect::<Vec<_>>();
    assert_eq!(names(store.list(None).unwrap()), ["first", "second", "third"]);
    assert_eq!(names(store.list(Some(&tenant("acme"))).unwrap()), ["first", "second"]);
    assert_eq!(store.list(Some(&tenant("beta"))).unwrap(), [third]);
    let now = Timestamp::now();
    for second in 0..30 {
        assert!(store.authenticate(secret.expose(), now + second.seconds()).is_ok());
    }
    // What was noted in memory is written when the store is closed.
    drop(store);
    let listed = open(folder.path()).list(Some(&tenant("acme"))).unwrap();
    assert_eq!(listed[0].last_used_at.unwrap().as_microsecond(), (now + 29.seconds()).as_microsecond());
    assert_eq!(listed[1], second);
    assert_eq!((listed[0].id.as_str(), listed[0].created_at), (first.id.as_str(), first.created_at));
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

fn holds(folder: &Path, text: &str) -> bool {
    files(folder).iter().any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[test]
fn no_secret_is_on_the_disk_and_what_is_erased_is_gone_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (_, secret) = store.create(new_key("acme-to-forget", "Weber's laptop")).unwrap();
    let (_, kept) = store.create(new_key("beta", "kept")).unwrap();
    assert!(store.authenticate(secret.expose(), Timestamp::now()).is_ok());
    assert!(holds(folder.path(), "Weber's laptop") && !holds(folder.path(), &secret.expose()[12..]));
    assert_eq!(store.erase_tenant(&tenant("acme-to-forget")).unwrap(), 1);
    assert_eq!(store.erase_tenant(&tenant("acme-to-forget")).unwrap(), 0);
    for gone in ["Weber's laptop", "acme-to-forget", &secret.expose()[3..11]] {
        assert!(!holds(folder.path(), gone), "{gone}");
    }
    assert_eq!(store.authenticate(secret.expose(), Timestamp::now()), Err(AuthError::Invalid("no such key")));
    assert!(store.authenticate(kept.expose(), Timestamp::now()).is_ok());
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.sqlite");
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
    let store = open(folder.path());
    store.create(new_key("acme", "one")).unwrap();
    store.back_up(folder.path().join("copy.sqlite")).unwrap();
    let names: Vec<String> = files(folder.path()).into_iter().map(|(name, _)| name).collect();
    assert!(names.len() >= 3, "the file, its log and its copy: {names:?}");
    for name in names {
        let mode = std::fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn a_backup_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (_, secret) = store.create(new_key("acme", "one")).unwrap();
    let copy = folder.path().join("copy.sqlite");
    store.back_up(&copy).unwrap();
    assert_eq!(store.back_up(&copy).unwrap_err().kind(), ErrorKind::Invalid, "nothing is overwritten");
    store.erase_tenant(&tenant("acme")).unwrap();
    let restored = KeyStore::open(&copy).unwrap();
    assert!(restored.authenticate(secret.expose(), Timestamp::now()).is_ok());
}

#[test]
fn a_file_that_is_no_store_or_of_a_newer_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.sqlite");
    std::fs::write(&path, "no database at all".repeat(100)).unwrap();
    assert_eq!(KeyStore::open(&path).err().unwrap().kind(), ErrorKind::Corrupt);
    assert_eq!(std::fs::read(&path).unwrap(), "no database at all".repeat(100).as_bytes());

    let newer = folder.path().join("newer.sqlite");
    drop(KeyStore::open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = KeyStore::open(&newer).err().unwrap();
    assert!(matches!(error, KeyError::TooNew { found: 99, .. }));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn nobody_is_let_in_when_the_file_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (_, secret) = store.create(new_key("acme", "one")).unwrap();
    assert!(store.authenticate(secret.expose(), Timestamp::now()).is_ok());
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute("UPDATE key SET roles = 'no role'", []).unwrap();
    let answer = store.authenticate(secret.expose(), Timestamp::now());
    assert!(matches!(answer, Err(AuthError::Unavailable(_))), "{answer:?}");
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    other.execute("UPDATE key SET roles = 'reader'", []).unwrap();
    assert_eq!(store.authenticate(secret.expose(), Timestamp::now()).unwrap().roles, Roles::from(Role::Reader));
}

#[test]
fn many_threads_use_the_store_while_keys_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (_, stays) = store.create(new_key("acme", "stays")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, stays) = (&store, &stays);
            scope.spawn(move || {
                for round in 0..25 {
                    let (record, secret) = store.create(new_key("acme", &format!("{thread}-{round}"))).unwrap();
                    assert!(store.authenticate(secret.expose(), Timestamp::now()).is_ok());
                    store.revoke(&record.id).unwrap();
                    assert_eq!(store.authenticate(secret.expose(), Timestamp::now()), Err(AuthError::Revoked));
                    assert!(store.authenticate(stays.expose(), Timestamp::now()).is_ok());
                }
            });
        }
    });
    assert_eq!(store.active(Timestamp::now()).unwrap(), 1);
    assert_eq!(store.list(None).unwrap().len(), 101);
}

/// The other process of the next test: makes and revokes keys as fast as it can and says so after each.
#[test]
#[ignore = "runs in a process of its own, which is killed"]
fn make_keys_until_killed() {
    let Ok(folder) = std::env::var("REJOINDER_TEST_KEYS") else { return };
    let store = open(Path::new(&folder));
    loop {
        let (_, secret) = store.create(new_key("acme", "kept")).unwrap();
        println!("made {}", secret.expose());
        let (record, secret) = store.create(new_key("acme", "revoked")).unwrap();
        store.revoke(&record.id).unwrap();
        println!("revoked {}", secret.expose());
    }
}

#[test]
fn no_acknowledged_key_or_revocation_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut made: Vec<(bool, String)> = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keys::make_keys_until_killed", "--ignored", "--nocapture"])
            .env("REJOINDER_TEST_KEYS", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = lines.filter_map(|line| {
            // The harness writes to the same stream, so a line may begin with what it said.
            let line = &line[line.find("made rj_").or_else(|| line.find("revoked rj_"))?..];
            let (what, key) = line.split_once(' ')?;
            Some((what == "revoked", key.to_owned()))
        });
        made.extend(said.by_ref().take(8 + round));
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said before the kill was taken by the pipe.
        made.extend(said.filter(|(_, key)| key.len() == 55));
        let store = open(folder.path());
        for (revoked, key) in &made {
            let expected = if *revoked { Err(AuthError::Revoked) } else { Ok(tenant("acme")) };
            assert_eq!(store.authenticate(key, Timestamp::now()).map(|principal| principal.tenant), expected);
        }
    }
    assert!(made.len() >= 40);
}

#[test]
fn a_secret_is_not_shown_by_debug() {
    let folder = tempfile::tempdir().unwrap();
    let (_, secret): (_, Secret) = open(folder.path()).create(new_key("acme", "one")).unwrap();
    assert!(!format!("{secret:?}").contains(&secret.expose()[12..]));
}
