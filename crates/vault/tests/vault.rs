//! The vault from outside: sealing, moving, rotating, erasing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use rejoinder_domain::{ErrorKind, TenantId};
use rejoinder_vault::{KeyId, KeyTable as _, Keyring, MemoryKeys, Plain, Sealer, Vault, VaultError};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn keyring(ids: &[(&str, u8)]) -> Keyring {
    let lines: Vec<String> = ids.iter().map(|(id, seed)| format!("{id}:{}", key(*seed))).collect();
    Keyring::parse(&lines.join("\n")).unwrap()
}

/// Base64 of 32 bytes, different for every seed.
fn key(seed: u8) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = (0..32).map(|at| seed.wrapping_mul(41).wrapping_add(at)).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn vault() -> (Vault, Arc<MemoryKeys>) {
    let table = Arc::new(MemoryKeys::default());
    (Vault::new(keyring(&[("one", 1)]), table.clone()), table)
}

proptest! {
    #[test]
    fn what_is_sealed_opens(bytes in prop::collection::vec(any::<u8>(), 0..2000), text in ".*", context in ".*") {
        let (vault, _) = vault();
        let tenant = tenant("acme");
        for sealer in [&vault as &dyn Sealer, &Plain] {
            let sealed = sealer.seal(&tenant, &context, &bytes).unwrap().into_owned();
            prop_assert_eq!(&sealer.open(&tenant, &context, sealed).unwrap(), &bytes);
            let sealed = sealer.seal_text(&tenant, &context, &text).unwrap().into_owned();
            prop_assert_eq!(&sealer.open_text(&tenant, &context, sealed).unwrap(), &text);
        }
    }

    /// Any change of any byte is noticed: what comes out is never another text than what went in.
    #[test]
    fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (vault, _) = vault();
        let tenant = tenant("acme");
        let mut sealed = vault.seal(&tenant, "place", &bytes).unwrap().into_owned();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        match vault.open(&tenant, "place", sealed.clone()) {
            // A change of the mark makes a plain text of it, which comes out as it lies there.
            Ok(plain) => prop_assert!(at < 4 && sealed.ends_with(&plain)),
            Err(error) => {
                let expected = matches!(
                    error,
                    VaultError::Damaged | VaultError::KeyGone { .. } | VaultError::Format { .. }
                );
                prop_assert!(expected, "{}", error);
            }
        }
    }

    /// Whatever lies in a column, opening it never panics.
    #[test]
    fn hostile_columns_are_refused_or_plain(rest in prop::collection::vec(any::<u8>(), 0..100), text in ".{0,60}") {
        let (vault, _) = vault();
        let tenant = tenant("acme");
        let _ = vault.open(&tenant, "place", [b"\xa5rj".to_vec(), rest].concat());
        for format in ["", "0:", "1:", "2:", "-1:", "1:AAAA"] {
            let _ = vault.open_text(&tenant, "place", format!("\u{1}rj{format}{text}"));
        }
    }

    /// Equal terms, and only they, are equal when blinded; a blind term is one token that nothing changes.
    #[test]
    fn blinding_keeps_terms_apart(terms in prop::collection::hash_set("\\PC{1,12}", 1..50)) {
        let (vault, _) = vault();
        let blinder = vault.blinder(&tenant("acme")).unwrap();
        let blind: HashSet<String> = terms.iter().map(|term| blinder.blind(term).into_owned()).collect();
        prop_assert_eq!(blind.len(), terms.len());
        for term in &blind {
            prop_assert_eq!(term.len(), 26);
            prop_assert!(term.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)));
        }
        let again = vault.blinder(&tenant("acme")).unwrap();
        prop_assert!(terms.iter().all(|term| blind.contains(&*again.blind(term))));
    }
}

#[test]
fn a_sealed_text_says_nothing_and_never_twice_the_same() {
    let (vault, _) = vault();
    let tenant = tenant("acme");
    let text = "The pump in Regensburg leaks again.";
    let sealed = vault.seal(&tenant, "place", text.as_bytes()).unwrap().into_owned();
    assert!(!String::from_utf8_lossy(&sealed).contains("pump"));
    assert_eq!(sealed.len(), text.len() + 52, "the documented overhead");
    let as_text = vault.seal_text(&tenant, "place", text).unwrap();
    assert_eq!(as_text.len(), 5 + 16 + ((24 + text.len() + 16) * 4).div_ceil(3), "the documented overhead");
    assert!(as_text.contains(&vault.prepare(&tenant).unwrap().unwrap().to_string()), "the key id is readable");
    assert_ne!(sealed, *vault.seal(&tenant, "place", text.as_bytes()).unwrap());
    assert_ne!(vault.seal_text(&tenant, "place", text).unwrap(), vault.seal_text(&tenant, "place", text).unwrap());
}

#[test]
fn a_text_opens_for_its_tenant_and_place_alone() {
    let (vault, _) = vault();
    let (acme, other) = (tenant("acme"), tenant("other"));
    let sealed = vault.seal(&acme, "message/1", b"text").unwrap().into_owned();
    assert!(matches!(vault.open(&acme, "message/2", sealed.clone()), Err(VaultError::Damaged)));
    vault.prepare(&other).unwrap();
    assert!(matches!(vault.open(&other, "message/1", sealed.clone()), Err(VaultError::KeyGone { .. })));
    assert_eq!(vault.open(&acme, "message/1", sealed).unwrap(), b"text");
}

/// Even with the same wrapped key in the table of another tenant.
#[test]
fn a_data_key_cannot_be_given_to_another_tenant() {
    let (vault, table) = vault();
    let (acme, other) = (tenant("acme"), tenant("other"));
    vault.prepare(&acme).unwrap();
    table.add(&other, &table.load(&acme).unwrap()[0]).unwrap();
    let error = vault.prepare(&other).unwrap_err();
    assert!(matches!(&error, VaultError::WrongMaster { id } if id == "one"), "{error}");
}

#[test]
fn text_from_before_there_was_a_key_opens_as_it_is() {
    let (vault, _) = vault();
    let tenant = tenant("acme");
    assert_eq!(vault.open(&tenant, "place", b"\x28\xb5\x2f\xfd".to_vec()).unwrap(), b"\x28\xb5\x2f\xfd");
    assert_eq!(vault.open_text(&tenant, "place", "{}".into()).unwrap(), "{}");
}

/// A folder may be called whatever the sender of a mailbox likes.
#[test]
fn no_plain_text_passes_for_a_sealed_one() {
    let (vault, _) = vault();
    let tenant = tenant("acme");
    let genuine = vault.seal_text(&tenant, "place", "secret").unwrap().into_owned();
    for hostile in [genuine.as_str(), "\u{1}rj", "\u{1}rj0:", "\u{1}rj1:", "\u{1}rj9:x", "\u{1}rj0:\u{1}rj0:x"] {
        let stored = Plain.seal_text(&tenant, "place", hostile).unwrap().into_owned();
        assert_eq!(Plain.open_text(&tenant, "place", stored.clone()).unwrap(), hostile);
        assert_eq!(vault.open_text(&tenant, "place", stored).unwrap(), hostile, "and after a key was configured");
    }
    let stored = Plain.seal(&tenant, "place", b"\xa5rj\x01x").unwrap().into_owned();
    assert_eq!(vault.open(&tenant, "place", stored).unwrap(), b"\xa5rj\x01x");
}

#[test]
fn without_the_key_there_is_an_error_and_no_garbage() {
    let (vault, _) = vault();
    let tenant = tenant("acme");
    let sealed = vault.seal(&tenant, "place", b"text").unwrap().into_owned();
    let text = vault.seal_text(&tenant, "place", "text").unwrap().into_owned();
    let error = Plain.open(&tenant, "place", sealed).unwrap_err();
    assert!(matches!(error, VaultError::NoKey) && error.kind() == ErrorKind::Unavailable);
    assert!(matches!(Plain.open_text(&tenant, "place", text), Err(VaultError::NoKey)));
}

#[test]
fn the_master_key_changes_and_no_text_does() {
    let (vault, table) = vault();
    let tenants: Vec<TenantId> = (0..5).map(|number| tenant(&format!("t{number}"))).collect();
    let sealed: Vec<Vec<u8>> =
        tenants.iter().map(|tenant| vault.seal(tenant, "place", b"text").unwrap().into_owned()).collect();
    let blind = vault.blinder(&tenants[0]).unwrap().blind("pump").into_owned();

    let both = Vault::new(keyring(&[("two", 2), ("one", 1)]), table.clone());
    both.check().unwrap();
    let done = both.rewrap().unwrap();
    assert_eq!((done.tenants, done.keys, done.unchanged), (5, 6, 0));
    let again = both.rewrap().unwrap();
    assert_eq!((again.tenants, again.keys, again.unchanged), (0, 0, 6));
    let status = both.status().unwrap();
    assert_eq!((status.active_master.as_str(), status.masters["one"], status.masters["two"]), ("two", 0, 6));

    let new = Vault::new(keyring(&[("two", 2)]), table.clone());
    new.check().unwrap();
    for (tenant, sealed) in tenants.iter().zip(sealed) {
        assert_eq!(new.open(tenant, "place", sealed).unwrap(), b"text");
    }
    assert_eq!(new.blinder(&tenants[0]).unwrap().blind("pump"), blind);

    let old = Vault::new(keyring(&[("one", 1)]), table.clone());
    assert!(matches!(old.check(), Err(VaultError::UnknownMaster { id }) if id == "two"));
    let wrong = Vault::new(keyring(&[("two", 3)]), table);
    assert!(matches!(wrong.check(), Err(VaultError::WrongMaster { id }) if id == "two"));
}

#[test]
fn a_running_vault_takes_another_ring() {
    let (vault, table) = vault();
    vault.prepare(&tenant("acme")).unwrap();
    assert!(matches!(vault.use_keyring(keyring(&[("two", 2)])), Err(VaultError::UnknownMaster { .. })));
    assert_eq!(vault.status().unwrap().active_master, "one", "the ring that works stays");
    vault.use_keyring(keyring(&[("two", 2), ("one", 1)])).unwrap();
    vault.prepare(&tenant("new")).unwrap();
    assert_eq!(table.load(&tenant("new")).unwrap()[0].master, "two");
}

#[test]
fn a_data_key_is_rotated_and_old_texts_stay_readable() {
    let (vault, table) = vault();
    let tenant = tenant("acme");
    let first = vault.prepare(&tenant).unwrap().unwrap();
    let old = vault.seal(&tenant, "place", b"old").unwrap().into_owned();
    // Another process rotates.
    let second = Vault::new(keyring(&[("one", 1)]), table).rotate(&tenant).unwrap();
    assert_ne!(first, second);
    let foreign = {
        vault.forget(&tenant);
        assert_eq!(vault.prepare(&tenant).unwrap(), Some(second));
        vault.seal(&tenant, "place", b"new").unwrap().into_owned()
    };
    assert_eq!(foreign[4..12], second.number().to_be_bytes(), "new texts take the new key");
    assert_eq!(vault.open(&tenant, "place", old).unwrap(), b"old");
    assert_eq!(vault.open(&tenant, "place", foreign).unwrap(), b"new");
    let status = vault.status().unwrap();
    assert_eq!((status.tenants[0].text_keys, status.tenants[0].current), (2, Some(second)));
}

#[test]
fn a_text_that_another_process_sealed_with_a_new_key_opens() {
    let (vault, table) = vault();
    let tenant = tenant("acme");
    vault.prepare(&tenant).unwrap();
    let other = Vault::new(keyring(&[("one", 1)]), table);
    other.rotate(&tenant).unwrap();
    let sealed = other.seal(&tenant, "place", b"text").unwrap().into_owned();
    assert_eq!(vault.open(&tenant, "place", sealed).unwrap(), b"text");
}

#[test]
fn an_erased_tenant_is_unreadable_and_begins_anew() {
    let (vault, table) = vault();
    let tenant = tenant("acme");
    let old = vault.seal(&tenant, "place", b"text").unwrap().into_owned();
    let blind = vault.blinder(&tenant).unwrap().blind("pump").into_owned();
    table.remove(&tenant);
    vault.forget(&tenant);
    assert!(matches!(vault.open(&tenant, "place", old.clone()), Err(VaultError::KeyGone { .. })));
    assert_ne!(vault.blinder(&tenant).unwrap().blind("pump"), blind, "the index of before says nothing of the new one");
    let new = vault.seal(&tenant, "place", b"new").unwrap().into_owned();
    assert_eq!(vault.open(&tenant, "place", new).unwrap(), b"new");
    assert!(matches!(vault.open(&tenant, "place", old), Err(VaultError::KeyGone { .. })));
}

#[test]
fn many_threads_make_one_key_and_one_way_of_blinding() {
    let table = Arc::new(MemoryKeys::default());
    // Two vaults are two processes.
    let vaults: Vec<Arc<Vault>> = (0..2).map(|_| Arc::new(Vault::new(keyring(&[("one", 1)]), table.clone()))).collect();
    let tenant = tenant("acme");
    let results: Vec<(Vec<u8>, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (vault, tenant) = (&vaults[number % 2], &tenant);
                scope.spawn(move || {
                    let sealed = vault.seal(tenant, "place", b"text").unwrap().into_owned();
                    (sealed, vault.blinder(tenant).unwrap().blind("pump").into_owned())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let blind: HashSet<&String> = results.iter().map(|(_, blind)| blind).collect();
    assert_eq!(blind.len(), 1, "all of them blind alike");
    for vault in &vaults {
        for (sealed, _) in &results {
            assert_eq!(vault.open(&tenant, "place", sealed.clone()).unwrap(), b"text");
        }
    }
    let keys = table.load(&tenant).unwrap();
    assert!(keys.len() <= 3, "one key per process and one for terms");
    assert_eq!(keys.iter().filter(|key| key.id == KeyId::TERMS).count(), 1);
}

#[test]
fn blind_terms_of_two_tenants_do_not_compare() {
    let (vault, _) = vault();
    let (acme, other) = (vault.blinder(&tenant("acme")).unwrap(), vault.blinder(&tenant("other")).unwrap());
    assert_ne!(acme.blind("pump"), other.blind("pump"));
    assert_eq!(acme.blind_all(["a", "b"]), format!("{} {}", acme.blind("a"), acme.blind("b")));
    assert!(acme.is_blinding());
    let clear = Plain.blinder(&tenant("acme")).unwrap();
    assert_eq!((clear.blind_all(["a", "b"]).as_str(), clear.is_blinding()), ("a b", false));
}
