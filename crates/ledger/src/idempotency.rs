//! Requests that are answered once, however often they are sent.
//!
//! A request takes its key with [`Ledger::begin`], and keeps its answer with [`Ledger::finish`] or lets go of the key with
//! [`Ledger::abandon`]. A process that dies in between leaves a key that nobody works on any more: once the ledger is opened
//! again, the same request begins afresh. What the first one had done by then is done again, so whatever stands behind a key
//! has to bear that: ids made from content, jobs of a given id, outcomes that are the same. Two processes that serve one
//! ledger at the same time would take each other's requests for dead ones; one serves.

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rusqlite::{OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::sealing::{hexadecimal, place};
use crate::{Ledger, LedgerError};

/// The largest answer that is kept, in bytes of its body.
pub const MAX_STORED_BODY: usize = 4 << 20;

/// What a request is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey<'a> {
    /// The route, method included: one key on two routes is two keys.
    pub route: &'a str,
    /// What the caller sent as `Idempotency-Key`. Only its digest is kept.
    pub key: &'a str,
}

/// An answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub content_type: String,
    /// Further headers that are part of the answer (`Location`), by name and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What becomes of a request with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first of its key, or the first after a crash: carry it out, then call [`Ledger::finish`] or
    /// [`Ledger::abandon`].
    Fresh,
    /// It was answered before, with this.
    Replay(StoredResponse),
    /// The key belongs to another request.
    Conflict,
    /// The same request is being carried out.
    InProgress,
}

impl Ledger {
    /// Takes a key for the request whose body (and whatever else makes it this request) has the SHA-256 `request`.
    pub fn begin(
        &self,
        tenant: &TenantId,
        key: RequestKey<'_>,
        request: &[u8; 32],
        now: Timestamp,
    ) -> Result<Begun, LedgerError> {
        let digest = digest(key.key);
        self.write(|transaction| {
            let known = transaction
                .prepare_cached(
                    "SELECT request, process, status, content_type, headers, body FROM idempotency
                     WHERE tenant = ?1 AND route = ?2 AND key = ?3",
                )?
                .query_row(params![tenant.as_str(), key.route, digest], |row| {
                    let known: (Vec<u8>, String, Option<u16>) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    let texts: (Option<String>, Option<Vec<u8>>, Option<Vec<u8>>) =
                        (row.get(3)?, row.get(4)?, row.get(5)?);
                    Ok((known, texts))
                })
                .optional()?;
            match known {
                Some(((of, ..), _)) if of != request => return Ok(Begun::Conflict),
                Some(((_, _, Some(status)), (content_type, headers, body))) => {
                    let damaged = LedgerError::Corrupt("stored answer");
                    let (Some(content_type), Some(headers), Some(body)) = (content_type, headers, body) else {
                        return Err(damaged);
                    };
                    return Ok(Begun::Replay(StoredResponse {
                        status,
                        content_type,
                        headers: self.unpack_json(tenant, &answer_place("headers", key), headers)?,
                        body: self.unpack_text(tenant, &answer_place("body", key), body)?,
                    }));
                }
                Some(((_, process, None), _)) if process == self.process() => return Ok(Begun::InProgress),
                Some(_) | None => {}
            }
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO idempotency (tenant, route, key, request, began, process, void, holds_text)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1)",
                )?
                .execute(params![
                    tenant.as_str(),
                    key.route,
                    digest,
                    request.as_slice(),
                    now.as_millisecond(),
                    self.process(),
                ])?;
            Ok(Begun::Fresh)
        })
    }

    /// Keeps the answer of a request that [`Begun::Fresh`] let through. `holds_text` says whether words of a message or a ticket
    /// can stand in it: an erasure removes such answers, and those whose request began before the erasure are not kept.
    ///
    /// Returns whether it is kept. [`LedgerError::TooLarge`] for a body over [`MAX_STORED_BODY`]. In both cases the key is free
    /// again and the answer itself is as good as any.
    pub fn finish(
        &self,
        tenant: &TenantId,
        key: RequestKey<'_>,
        response: &StoredResponse,
        holds_text: bool,
    ) -> Result<bool, LedgerError> {
        if response.body.len() > MAX_STORED_BODY {
            self.abandon(tenant, key)?;
            return Err(LedgerError::TooLarge { bytes: response.body.len(), limit: MAX_STORED_BODY });
        }
        let headers = self.pack_json(tenant, &answer_place("headers", key), &response.headers)?;
        let body = self.pack_text(tenant, &answer_place("body", key), &response.body)?;
        let digest = digest(key.key);
        self.write(|transaction| {
            let mine = params![tenant.as_str(), key.route, digest, self.process(), holds_text];
            transaction
                .prepare_cached(
                    "DELETE FROM idempotency WHERE tenant = ?1 AND route = ?2 AND key = ?3 AND process = ?4
                        AND status IS NULL AND void = 1 AND ?5",
                )?
                .execute(mine)?;
            let kept = transaction
                .prepare_cached(
                    "UPDATE idempotency SET status = ?5, content_type = ?6, headers = ?7, body = ?8, holds_text = ?9
                     WHERE tenant = ?1 AND route = ?2 AND key = ?3 AND process = ?4 AND status IS NULL",
                )?
                .execute(params![
                    tenant.as_str(),
                    key.route,
                    digest,
                    self.process(),
                    response.status,
                    response.content_type,
                    headers,
                    body,
                    holds_text,
                ])?;
            Ok(kept > 0)
        })
    }

    /// Lets go of the key of a request that came to nothing, so that it can be sent again.
    pub fn abandon(&self, tenant: &TenantId, key: RequestKey<'_>) -> Result<(), LedgerError> {
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "DELETE FROM idempotency WHERE tenant = ?1 AND route = ?2 AND key = ?3 AND process = ?4
                        AND status IS NULL",
                )?
                .execute(params![tenant.as_str(), key.route, digest(key.key), self.process()])?;
            Ok(())
        })
    }

    /// Forgets, for all tenants, keys whose request began before `time`, except those that this process works on. Returns how
    /// many.
    pub fn expire_idempotency(&self, before: Timestamp) -> Result<u64, LedgerError> {
        self.write(|transaction| {
            let expired = transaction.execute(
                "DELETE FROM idempotency WHERE began < ?1 AND NOT (status IS NULL AND process = ?2)",
                params![before.as_millisecond(), self.process()],
            )?;
            Ok(expired as u64)
        })
    }
}

/// Where a part of a stored answer is kept.
fn answer_place(part: &str, key: RequestKey<'_>) -> String {
    place(&format!("idempotency.{part}"), &[key.route, &hexadecimal(&digest(key.key))])
}

fn digest(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}
