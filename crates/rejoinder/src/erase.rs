//! Erasure for good: ledger, store, what is kept in memory, usage and audit.
//!
//! The ledger goes first: what it no longer announces, the next ingest removes from the store, so that a crash in between
//! leaves nothing behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rejoinder_domain::{EraseScope, ErrorKind, MailboxId, MessageId, SeamError, TenantId};
use rejoinder_ledger::{Erased, IngestLock, Ledger, LedgerError, WritingLock};
use rejoinder_pipeline::IngestError;

use crate::feedback::blocking;
use crate::mailboxes::the_mailbox;
use crate::rejoinder::fresh_id;
use crate::{Error, Rejoinder};

/// How long an erasure waits for an ingest that runs, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// What to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseTarget {
    /// One message, from every mailbox that holds it. It stays out when a mailbox is read again.
    Message(MessageId),
    /// A mailbox, by its id or by a name that no other has, and every message that no other mailbox holds. Reading it again takes it in again.
    Mailbox(MailboxId),
    /// Every message that this address sent or got, or in whose text it stands, quoted or not.
    Person(String),
    /// Everything of the tenant, with usage and audit.
    Tenant,
}

impl EraseTarget {
    /// The stable name of the kind.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Mailbox(_) => "mailbox",
            Self::Person(_) => "person",
            Self::Tenant => "tenant",
        }
    }
}

/// What was erased, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseReceipt {
    /// `era_...`, unique.
    pub id: String,
    /// When it was done.
    pub at: Timestamp,
    /// The kind of what was asked for.
    pub target: &'static str,
    /// Messages that were removed.
    pub messages: u64,
    /// Passages and reply pairs that were removed from the store.
    pub records: u64,
    /// Stored suggestions that cited one of the messages, and were removed with them.
    pub suggestions: u64,
    /// What asking again still found, in ledger and store: 0.
    pub left: u64,
}

impl Rejoinder {
    /// Erases what `target` names. [`ErrorKind::NotFound`] for a message or mailbox that is not there,
    /// [`ErrorKind::Transient`] while an ingest of the tenant runs that is not over in ten seconds.
    pub async fn erase(&self, tenant: &TenantId, target: &EraseTarget) -> Result<EraseReceipt, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        let (asked, of, version) = (target.clone(), tenant.clone(), self.parts.pipeline.index_version());
        let work = blocking(move || {
            let locks = Locks::take(&ledger, &of)?;
            let erased = match asked {
                EraseTarget::Tenant => {
                    let messages = ledger.totals(&of, &version)?.messages;
                    ledger.erase_tenant(&of)?;
                    return Ok((Erased::default(), messages, locks));
                }
                EraseTarget::Message(id) if ledger.message(&of, &id)?.is_none() => {
                    Err(SeamError::new(ErrorKind::NotFound, "there is no such message").into())
                }
                EraseTarget::Message(id) => Ok(ledger.erase_messages(&of, &[id])?),
                EraseTarget::Mailbox(named) => {
                    let id = the_mailbox(&ledger, &of, &named)?;
                    Ok(ledger.erase_mailbox(&of, &id)?)
                }
                EraseTarget::Person(email) => Ok(ledger.erase_person(&of, &email)?),
            };
            erased.map(|erased: Erased| {
                let messages = erased.messages.len() as u64;
                (erased, messages, locks)
            })
        });
        let (erased, messages, locks) = work.await?;
        let scope = match target {
            EraseTarget::Tenant => EraseScope::Tenant,
            _ => EraseScope::Messages(erased.messages.clone()),
        };
        let records = self.parts.store.erase(tenant, &scope).await?;
        drop(locks);
        if *target == EraseTarget::Tenant {
            let (journal, of) = (Arc::clone(&self.parts.routing.journal), tenant.clone());
            tokio::task::spawn_blocking(move || journal.erase_tenant(&of)).await.map_err(Error::Worker)??;
            self.erase_uploads(tenant).await?;
        }
        // Answers that rest on what is gone; a person's words can stand in any answer.
        let about = matches!(target, EraseTarget::Message(_)).then_some(erased.messages.as_slice());
        self.forget(tenant, about);
        if matches!(target, EraseTarget::Mailbox(_)) {
            self.index_again(tenant).await?;
        }
        let left = self.left(tenant, target, &erased, &scope).await?;
        tracing::info!(%tenant, what = target.as_str(), messages, records, left, "erased");
        Ok(EraseReceipt {
            id: fresh_id("era"),
            at: Timestamp::now(),
            target: target.as_str(),
            messages,
            records,
            suggestions: erased.suggestions,
            left,
        })
    }

    /// Records of messages that other mailboxes hold too still name the one that went. Where ingests run all the time, one of
    /// them or the next one sees to that: nothing is in these records that was to go, so the erasure is done all the same.
    async fn index_again(&self, tenant: &TenantId) -> Result<(), Error> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match self.ingest(tenant, &[], &()).await {
                Err(Error::Ingest(IngestError::Ledger(LedgerError::Busy))) if Instant::now() < patience => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(Error::Ingest(IngestError::Ledger(LedgerError::Busy))) => return Ok(()),
                done => return done.map(drop),
            }
        }
    }

    /// Erases messages that are too old to be kept. Returns how many.
    pub(crate) async fn let_go(&self, tenant: &TenantId, messages: Vec<MessageId>) -> Result<u64, Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        let (erased, locks) = blocking(move || {
            let locks = Locks::take(&ledger, &of)?;
            Ok((ledger.erase_messages(&of, &messages)?, locks))
        })
        .await?;
        let count = erased.messages.len() as u64;
        self.parts.store.erase(tenant, &EraseScope::Messages(erased.messages)).await?;
        drop(locks);
        self.forget(tenant, None);
        Ok(count)
    }

    /// Asks again for all that was erased.
    async fn left(
        &self,
        tenant: &TenantId,
        target: &EraseTarget,
        erased: &Erased,
        scope: &EraseScope,
    ) -> Result<u64, Error> {
        let (ledger, of, target) = (Arc::clone(&self.parts.ledger), tenant.clone(), target.clone());
        let version = self.parts.pipeline.index_version();
        let gone = erased.messages.clone();
        let asking = tokio::task::spawn_blocking(move || -> Result<u64, Error> {
            match target {
                EraseTarget::Person(email) => {
                    let held = ledger.held_on_person(&of, &email)?;
                    Ok((held.messages.len() + held.suggestions.len()) as u64)
                }
                EraseTarget::Tenant => Ok(ledger.totals(&of, &version)?.messages),
                EraseTarget::Message(_) | EraseTarget::Mailbox(_) => {
                    let mut found = 0;
                    for id in &gone {
                        found += u64::from(ledger.message(&of, id)?.is_some());
                    }
                    Ok(found)
                }
            }
        });
        let in_ledger = asking.await.map_err(Error::Worker)??;
        Ok(in_ledger + self.parts.store.erase(tenant, scope).await?)
    }
}

/// Held until ledger and store are rid of what is erased: no ingest runs, and no single message on its way puts back what
/// goes.
struct Locks {
    _ingest: IngestLock,
    _writing: WritingLock,
}

impl Locks {
    fn take(ledger: &Ledger, tenant: &TenantId) -> Result<Self, Error> {
        let patience = Instant::now() + PATIENCE;
        let ingest = loop {
            match ledger.lock_ingest(tenant) {
                // A small job is soon over.
                Err(LedgerError::Busy) if Instant::now() < patience => std::thread::sleep(LOOK),
                taken => break taken?,
            }
        };
        let mut writing = ledger.lock_writing(tenant)?;
        writing.advance()?;
        Ok(Self { _ingest: ingest, _writing: writing })
    }
}
