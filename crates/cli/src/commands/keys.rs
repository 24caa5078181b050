//! `rejoinder keys`: API keys, in a file of their own that a running server reads as well.

use std::path::PathBuf;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use rejoinder::TenantId;
use rejoinder_access::{KeyRecord, KeyStore, NewKey, Roles};
use serde_json::{Value, json};

use super::Outcome;
use crate::args::KeysCommand;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, command: &KeysCommand, as_json: bool) -> anyhow::Result<Outcome> {
    let path: PathBuf = settings.library.keys_path();
    let keys = KeyStore::open(&path).with_context(|| format!("the file of keys {}", path.display()))?;
    match command {
        KeysCommand::Create { name, roles, expires, owner } => {
            let tenant = owner.as_ref().unwrap_or(&settings.library.tenant);
            create(&keys, tenant, name, *roles, *expires, as_json)
        }
        KeysCommand::List => list(&keys, as_json),
        KeysCommand::Revoke { id } => {
            let record = keys.revoke(id)?;
            if as_json {
                println!("{}", shown(&record));
            } else {
                println!("revoked {}: no request with this key is let in from now on", record.id);
            }
            Ok(Outcome::Complete)
        }
    }
}

fn create(
    keys: &KeyStore,
    tenant: &TenantId,
    name: &str,
    roles: Roles,
    expires: Option<u32>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let after = |days: u32| Timestamp::now().checked_add(SignedDuration::from_hours(24 * i64::from(days)));
    let expires_at = expires.map(after).transpose().context("--expires is too far away")?;
    let key = NewKey { tenant: tenant.clone(), name: name.to_owned(), roles, expires_at };
    let (record, secret) = keys.create(key)?;
    if as_json {
        let mut shown = shown(&record);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("key".to_owned(), Value::from(secret.expose()));
        }
        println!("{shown}");
    } else {
        // The key alone on standard output, so that a script can take it.
        eprintln!("key {} for tenant {tenant} with roles {roles}; it is shown only now:", record.id);
        println!("{}", secret.expose());
    }
    Ok(Outcome::Complete)
}

fn list(keys: &KeyStore, as_json: bool) -> anyhow::Result<Outcome> {
    let all = keys.list(None)?;
    if as_json {
        println!("{}", json!({ "data": all.iter().map(shown).collect::<Vec<_>>() }));
        return Ok(Outcome::Complete);
    }
    if all.is_empty() {
        println!("no keys: the server listens on loopback only and needs no credential");
    }
    let now = Timestamp::now();
    for key in &all {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {at:.0}"),
            (None, Some(at)) if at <= now => format!("expired {at:.0}"),
            (None, Some(at)) => format!("valid until {at:.0}"),
            (None, None) => "valid".to_owned(),
        };
        let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {at:.0}"));
        println!(
            "  {}  {:<20} {:<24} {:<28} {state}, {used}",
            key.id,
            key.tenant.as_str(),
            key.roles.to_string(),
            key.name
        );
    }
    Ok(Outcome::Complete)
}

fn shown(key: &KeyRecord) -> Value {
    json!({
        "id": key.id,
        "tenant": key.tenant.as_str(),
        "name": key.name,
        "roles": key.roles,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    })
}
