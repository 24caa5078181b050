//! API keys, in an SQLite file of their own.
//!
//! A request costs microseconds: all keys are in memory, and one look at the file (`PRAGMA data_version`, which reads the
//! shared index of the write-ahead log) tells whether another connection, of this process or another, has changed it. So a
//! key that the command line creates or revokes counts from the next request on. When that look fails, nobody is let in.

mod format;
mod schema;
mod used;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rusqlite::{Connection, Row, TransactionBehavior, params};
use subtle::ConstantTimeEq;

use crate::{AuthError, CredentialKind, KeyError, Principal, Roles};
pub(crate) use format::PREFIX;
pub use format::Secret;
use used::Used;

/// Characters of a key's name at most.
const LONGEST_NAME: usize = 128;

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Whose mail it opens.
    pub tenant: TenantId,
    /// What it is for, in words for the operator: 1 to 128 characters without control characters.
    pub name: String,
    /// What it allows, at least one.
    pub roles: Roles,
    /// From when on it is not valid. `None`: it is until it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// What is known of a key. Its secret is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The 8 characters after `rj_`, which name the key.
    pub id: String,
    /// Whose mail it opens.
    pub tenant: TenantId,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub roles: Roles,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not valid.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, written down once a minute; the last minute before a crash is lost.
    pub last_used_at: Option<Timestamp>,
}

/// The keys. Cheap to share (`Arc<KeyStore>`). [`KeyStore::authenticate`] takes microseconds; what changes or lists keys waits
/// for the disk, so an async caller enters by a blocking thread.
pub struct KeyStore {
    path: PathBuf,
    writer: Mutex<Connection>,
    cache: Mutex<Cache>,
    used: Used,
}

/// All keys, and a connection that only watches: `data_version` does not tell of what its own connection wrote.
struct Cache {
    watcher: Connection,
    data_version: i64,
    revision: i64,
    keys: HashMap<String, Cached>,
}

struct Cached {
    digest: [u8; 32],
    tenant: TenantId,
    roles: Roles,
    expires_at: Option<Timestamp>,
    revoked: bool,
}

impl KeyStore {
    /// Opens the file, creating it (readable by its owner only) and its folder where they are missing and migrating an older
    /// one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref().to_path_buf();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        make_private(&path)?;
        let mut writer = connect(&path, Duration::from_secs(30))?;
        schema::migrate(&mut writer)?;
        // A request must not wait for long; a writer never blocks a reader but for moments when the log is recovered.
        let watcher = connect(&path, Duration::from_secs(1))?;
        watcher.pragma_update(None, "query_only", true)?;
        let mut cache = Cache { watcher, data_version: 0, revision: -1, keys: HashMap::new() };
        cache.refresh()?;
        let used = Used::start(connect(&path, Duration::from_secs(30))?)?;
        Ok(Self { path, writer: Mutex::new(writer), cache: Mutex::new(cache), used })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a key. It is on the disk when this returns. The secret cannot be shown again.
    pub fn create(&self, key: NewKey) -> Result<(KeyRecord, Secret), KeyError> {
        let created_at = microseconds(Timestamp::now())?;
        let expires_at = key.expires_at.map(microseconds).transpose()?;
        check(&key, created_at)?;
        let fresh = self.insert(&key, created_at, expires_at)?;
        let record = KeyRecord {
            id: fresh.id,
            tenant: key.tenant,
            name: key.name,
            roles: key.roles,
            created_at,
            expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        Ok((record, fresh.secret))
    }

    /// All keys, or those of one tenant, revoked and expired ones included, the oldest first.
    pub fn list(&self, tenant: Option<&TenantId>) -> Result<Vec<KeyRecord>, KeyError> {
        let writer = self.writer()?;
        let mut statement = writer
            .prepare_cached(&format!("{SELECT_RECORD} WHERE ?1 IS NULL OR tenant = ?1 ORDER BY created, key.id"))?;
        let mut rows = statement.query(params![tenant.map(TenantId::as_str)])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(record(row)?);
        }
        Ok(records)
    }

    /// Revokes a key: it is refused from the next request on, in every process. A key that was revoked before keeps its time.
    pub fn revoke(&self, id: &str) -> Result<KeyRecord, KeyError> {
        let now = Timestamp::now().as_microsecond();
        self.write(|transaction| {
            transaction.execute("UPDATE key SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL", params![id, now])?;
            let mut statement = transaction.prepare(&format!("{SELECT_RECORD} WHERE key.id = ?1"))?;
            let mut rows = statement.query([id])?;
            rows.next()?.map_or(Err(KeyError::NotFound), record)
        })
    }

    /// Deletes all keys of a tenant and returns how many. Their names are overwritten in the file and gone from the log; a reader
    /// in another process can hold up the latter until the next erasure or the last close.
    pub fn erase_tenant(&self, tenant: &TenantId) -> Result<u64, KeyError> {
        let erased = self.write(|transaction| {
            Ok(transaction.execute("DELETE FROM key WHERE tenant = ?1", [tenant.as_str()])? as u64)
        })?;
        self.writer()?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(erased)
    }

    /// How many keys are valid at `now`.
    pub fn active(&self, now: Timestamp) -> Result<u64, KeyError> {
        let mut cache = self.cache()?;
        cache.refresh()?;
        Ok(cache.keys.values().filter(|key| !key.revoked && !key.is_expired(now)).count() as u64)
    }

    /// Writes a copy of the file as it is at this moment to `path`, where nothing may be yet.
    pub fn back_up(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let path = path.as_ref();
        if path.exists() {
            return Err(KeyError::Invalid("the backup of the keys exists already"));
        }
        let name = path.to_str().ok_or(KeyError::Invalid("the name of the backup must be UTF-8"))?;
        make_private(path)?;
        self.writer()?.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    }

    /// Who sent `key`, the text after `Bearer`.
    ///
    /// Errors: [`AuthError::Malformed`] for what is no key, [`AuthError::Invalid`] for an unknown and a wrong one alike,
    /// [`AuthError::Revoked`] and [`AuthError::Expired`] only if the secret is right, [`AuthError::Unavailable`] if the file
    /// cannot be asked.
    pub fn authenticate(&self, key: &str, now: Timestamp) -> Result<Principal, AuthError> {
        let (id, digest) = format::parse(key).ok_or(AuthError::Malformed("not the form of a key"))?;
        let principal = {
            let mut cache = self.cache().map_err(|_| AuthError::Unavailable("keys: poisoned"))?;
            cache.refresh().map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "the keys cannot be read; nobody is let in");
                AuthError::Unavailable("keys: the file cannot be read")
            })?;
            cache.check(id, &digest, now)?
        };
        self.used.note(id, now);
        Ok(principal)
    }

    /// Two keys get the same id about once in a million keys; then another is drawn.
    fn insert(&self, key: &NewKey, created: Timestamp, expires: Option<Timestamp>) -> Result<format::Fresh, KeyError> {
        loop {
            let fresh = format::fresh()?;
            let inserted = self.write(|transaction| {
                Ok(transaction.execute(
                    "INSERT INTO key (id, secret, tenant, name, roles, created, expires)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
                    params![
                        fresh.id,
                        fresh.digest,
                        key.tenant.as_str(),
                        key.name,
                        key.roles.to_string(),
                        created.as_microsecond(),
                        expires.map(Timestamp::as_microsecond),
                    ],
                )?)
            })?;
            if inserted == 1 {
                return Ok(fresh);
            }
        }
    }

    fn writer(&self) -> Result<MutexGuard<'_, Connection>, KeyError> {
        self.writer.lock().map_err(|_| KeyError::Poisoned)
    }

    fn cache(&self) -> Result<MutexGuard<'_, Cache>, KeyError> {
        self.cache.lock().map_err(|_| KeyError::Poisoned)
    }

    /// Runs `change` in one transaction: all of it is durable when this returns, or none.
    fn write<T>(&self, change: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let mut writer = self.writer()?;
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

impl Cached {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

impl Cache {
    fn check(&self, id: &str, digest: &[u8; 32], now: Timestamp) -> Result<Principal, AuthError> {
        // An unknown id is compared like a known one, so that time does not tell which ids exist.
        let key = self.keys.get(id);
        let known = key.map_or(&[0; 32], |key| &key.digest);
        let equal = bool::from(known.ct_eq(digest));
        let key = key.filter(|_| equal).ok_or(AuthError::Invalid("no such key"))?;
        if key.revoked {
            return Err(AuthError::Revoked);
        }
        if key.is_expired(now) {
            return Err(AuthError::Expired);
        }
        Ok(Principal {
            tenant: key.tenant.clone(),
            roles: key.roles,
            subject: id.to_owned(),
            kind: CredentialKind::Key,
        })
    }

    /// Reads the keys again if another connection changed them.
    fn refresh(&mut self) -> Result<(), KeyError> {
        let ask = |watcher: &Connection, question| -> Result<i64, KeyError> {
            Ok(watcher.prepare_cached(question)?.query_row([], |row| row.get(0))?)
        };
        let data_version = ask(&self.watcher, "PRAGMA data_version")?;
        if data_version == self.data_version && self.revision >= 0 {
            return Ok(());
        }
        // The revision is read before the keys: a change in between makes the next request read them once more than needed.
        let revision = ask(&self.watcher, "SELECT number FROM revision")?;
        if revision != self.revision {
            self.keys = self.load()?;
            self.revision = revision;
        }
        self.data_version = data_version;
        Ok(())
    }

    fn load(&self) -> Result<HashMap<String, Cached>, KeyError> {
        let mut statement =
            self.watcher.prepare_cached("SELECT id, secret, tenant, roles, expires, revoked FROM key")?;
        let mut rows = statement.query([])?;
        let mut keys = HashMap::new();
        while let Some(row) = rows.next()? {
            let key = Cached {
                digest: row.get(1)?,
                tenant: tenant(row.get(2)?)?,
                roles: roles(&row.get::<_, String>(3)?)?,
                expires_at: time(row.get(4)?)?,
                revoked: row.get::<_, Option<i64>>(5)?.is_some(),
            };
            keys.insert(row.get(0)?, key);
        }
        Ok(keys)
    }
}

const SELECT_RECORD: &str = "SELECT key.id, tenant, name, roles, created, expires, revoked, used.at
                             FROM key LEFT JOIN used ON used.id = key.id";

/// Reads a row of [`SELECT_RECORD`].
fn record(row: &Row<'_>) -> Result<KeyRecord, KeyError> {
    Ok(KeyRecord {
        id: row.get(0)?,
        tenant: tenant(row.get(1)?)?,
        name: row.get(2)?,
        roles: roles(&row.get::<_, String>(3)?)?,
        created_at: time(Some(row.get(4)?))?.ok_or(KeyError::Corrupt("time"))?,
        expires_at: time(row.get(5)?)?,
        revoked_at: time(row.get(6)?)?,
        last_used_at: time(row.get(7)?)?,
    })
}

fn tenant(id: String) -> Result<TenantId, KeyError> {
    TenantId::new(id).map_err(|_| KeyError::Corrupt("tenant"))
}

fn roles(names: &str) -> Result<Roles, KeyError> {
    names.parse().map_err(|_| KeyError::Corrupt("role"))
}

fn time(microseconds: Option<i64>) -> Result<Option<Timestamp>, KeyError> {
    microseconds.map(Timestamp::from_microsecond).transpose().map_err(|_| KeyError::Corrupt("time"))
}

/// The time as it comes back from the file.
fn microseconds(time: Timestamp) -> Result<Timestamp, KeyError> {
    Timestamp::from_microsecond(time.as_microsecond()).map_err(|_| KeyError::Invalid("the time is out of range"))
}

fn check(key: &NewKey, now: Timestamp) -> Result<(), KeyError> {
    let length = key.name.chars().count();
    if length == 0 || length > LONGEST_NAME || key.name.chars().any(char::is_control) {
        return Err(KeyError::Invalid("the name of a key has 1 to 128 characters and no control characters"));
    }
    if key.roles.is_empty() {
        return Err(KeyError::Invalid("a key needs at least one role: reader, agent, ingest or admin"));
    }
    if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(KeyError::Invalid("the key would have expired already"));
    }
    Ok(())
}

/// Makes the file, empty, or takes others' rights to an existing one away. SQLite gives its log the rights of the file.
fn make_private(path: &Path) -> Result<(), KeyError> {
    let mut options = std::fs::File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(mode & 0o700))?;
        }
    }
    drop(file);
    Ok(())
}

fn connect(path: &Path, patience: Duration) -> Result<Connection, KeyError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A key that was shown, or a revocation that was confirmed, must survive a power failure.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    Ok(connection)
}
