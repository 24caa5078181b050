//! Where master keys come from, and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use rejoinder_domain::ErrorKind;
use rejoinder_vault::{Keyring, VaultConfig, VaultError};

#[test]
fn a_generated_line_is_a_ring() {
    let (one, two) = (Keyring::generate("2026-11").unwrap(), Keyring::generate("2025_old.1").unwrap());
    let ring = Keyring::parse(&format!("# the keys\n\n{}\r\n  {}  \n", *one, *two)).unwrap();
    assert_eq!(ring.active(), "2026-11");
    assert_eq!(ring.ids().collect::<Vec<_>>(), ["2026-11", "2025_old.1"]);
    assert_eq!(format!("{ring:?}"), r#"["2026-11", "2025_old.1"]"#, "no key is printed");
}

#[test]
fn base64_is_taken_in_both_alphabets_with_and_without_padding() {
    let line = loop {
        let line = Keyring::generate("a").unwrap();
        if line.contains('+') && line.contains('/') {
            break line;
        }
    };
    for text in [line.replace('=', ""), line.replace('+', "-").replace('/', "_")] {
        assert_eq!(Keyring::parse(&text).unwrap().active(), "a");
    }
}

#[test]
fn what_is_no_key_is_refused_and_not_printed() {
    let good = Keyring::generate("a").unwrap();
    let secret = good.split_once(':').unwrap().1;
    let zeros = "A".repeat(43);
    let cases = [
        (String::new(), "there is no master key"),
        ("# nothing\n".into(), "there is no master key"),
        (secret.to_owned(), "master key number 1: it is to be written as `id:base64`"),
        (format!(":{secret}"), "master key number 1: its id"),
        (format!("a b:{secret}"), "master key number 1: its id"),
        (format!("a:{}", &secret[..20]), "master key number 1: what follows its id"),
        (format!("a:{secret}{secret}"), "master key number 1: what follows its id"),
        (format!("a:{zeros}"), "master key number 1: it is one byte"),
        (
            format!("{}\na:{}", *good, Keyring::generate("b").unwrap().split_once(':').unwrap().1),
            "number 2: the same id",
        ),
        (format!("{}\nb:{secret}", *good), "number 2: the same id or the same key"),
    ];
    for (text, expected) in cases {
        let error = Keyring::parse(&text).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains(&secret[..10]) && !format!("{error:?}").contains(&secret[..10]));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert!(Keyring::generate("not an id").is_err());
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, Keyring::generate("a").unwrap().as_bytes()).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = Keyring::from_file(&path).unwrap_err();
        assert!(matches!(error, VaultError::KeyFileShared { mode: found, .. } if found == mode));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Keyring::from_file(&path).unwrap().active(), "a");
    }
}

#[test]
fn a_source_that_is_configured_must_be_there() {
    assert!(VaultConfig::default().keyring().unwrap().is_none());
    let from_env = VaultConfig { key_env: Some("REJOINDER_TEST_NO_SUCH_VARIABLE".into()), key_file: None };
    assert!(matches!(from_env.keyring(), Err(VaultError::KeyVariable { .. })));
    let from_file = VaultConfig { key_env: None, key_file: Some("/nonexistent/keys".into()) };
    assert!(matches!(from_file.keyring(), Err(VaultError::KeyFile { .. })));
    let both = VaultConfig { key_env: from_env.key_env, key_file: from_file.key_file };
    assert!(matches!(both.keyring(), Err(VaultError::TwoSources)));
}
