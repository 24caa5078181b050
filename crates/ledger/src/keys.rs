//! The table of data keys, over a connection of its own.
//!
//! A key may be made while another thread writes the text that it will seal. The vault cannot wait for the ledger's own
//! connection then, whose lock that thread may hold.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use rejoinder_domain::{SeamError, TenantId};
use rejoinder_vault::{KeyId, KeyPurpose, KeyTable, WrappedKey};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use crate::{LedgerError, ledger};

/// The data keys of a ledger.
pub(crate) struct LedgerKeys {
    connection: Mutex<Connection>,
}

impl LedgerKeys {
    /// Of a ledger whose file is up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self { connection: Mutex::new(ledger::connect(path)?) })
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>, LedgerError> {
        self.connection.lock().map_err(|_| LedgerError::Poisoned)
    }

    fn read(&self, tenant: &TenantId) -> Result<Vec<WrappedKey>, LedgerError> {
        let connection = self.connection()?;
        let mut statement =
            connection.prepare_cached("SELECT id, number, purpose, master, wrapped FROM data_key WHERE tenant = ?1")?;
        let mut rows = statement.query([tenant.as_str()])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            keys.push(key_of(row)?);
        }
        Ok(keys)
    }

    fn insert(&self, tenant: &TenantId, key: &WrappedKey) -> Result<(), LedgerError> {
        self.connection()?
            .prepare_cached(
                "INSERT INTO data_key (tenant, id, number, purpose, master, wrapped, made)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                tenant.as_str(),
                key.id.to_string(),
                key.number,
                key.purpose.as_str(),
                key.master,
                key.wrapped,
                Timestamp::now().as_millisecond(),
            ])?;
        Ok(())
    }

    fn replace(&self, tenant: &TenantId, keys: &[WrappedKey]) -> Result<(), LedgerError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for key in keys {
            transaction
                .prepare_cached("UPDATE data_key SET master = ?3, wrapped = ?4 WHERE tenant = ?1 AND id = ?2")?
                .execute(params![tenant.as_str(), key.id.to_string(), key.master, key.wrapped])?;
        }
        Ok(transaction.commit()?)
    }

    fn holders(&self) -> Result<Vec<TenantId>, LedgerError> {
        let connection = self.connection()?;
        let mut statement = connection.prepare_cached("SELECT DISTINCT tenant FROM data_key ORDER BY tenant")?;
        let tenants: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        tenants.into_iter().map(|tenant| TenantId::new(tenant).map_err(|_| LedgerError::Corrupt("tenant"))).collect()
    }
}

impl KeyTable for LedgerKeys {
    fn load(&self, tenant: &TenantId) -> Result<Vec<WrappedKey>, SeamError> {
        self.read(tenant).map_err(seam)
    }

    fn add(&self, tenant: &TenantId, key: &WrappedKey) -> Result<(), SeamError> {
        self.insert(tenant, key).map_err(seam)
    }

    fn rewrap(&self, tenant: &TenantId, keys: &[WrappedKey]) -> Result<(), SeamError> {
        self.replace(tenant, keys).map_err(seam)
    }

    fn tenants(&self) -> Result<Vec<TenantId>, SeamError> {
        self.holders().map_err(seam)
    }
}

fn key_of(row: &Row<'_>) -> Result<WrappedKey, LedgerError> {
    let damaged = || LedgerError::Corrupt("data key");
    let (id, purpose): (String, String) = (row.get(0)?, row.get(2)?);
    Ok(WrappedKey {
        id: KeyId::new(u64::from_str_radix(&id, 16).map_err(|_| damaged())?),
        number: row.get(1)?,
        purpose: KeyPurpose::from_name(&purpose).ok_or_else(damaged)?,
        master: row.get(3)?,
        wrapped: row.get(4)?,
    })
}

fn seam(error: LedgerError) -> SeamError {
    SeamError::new(error.kind(), error.to_string()).caused_by(error)
}
