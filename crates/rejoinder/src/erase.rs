//! Erasure for good: ledger, store, what is kept in memory, usage and audit.
//!
//! The ledger goes first and keeps what the store is to be rid of until it is: where the store fails, or the program ends in
//! between, [`Rejoinder::finish_erasures`] or the tenant's next ingest does the rest.

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
    /// [`ErrorKind::Transient`] while an ingest of the tenant runs that is not over in ten seconds. [`Error::ErasedButStore`]
    /// where the store fails; all else is erased then, and [`Rejoinder::finish_erasures`] erases from the store what it refused.
    pub async fn erase(&self, tenant: &TenantId, target: &EraseTarget) -> Result<EraseReceipt, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        let (asked, of, version) = (target.clone(), tenant.clone(), self.parts.pipeline.index_version());
        let work = blocking(move || {
            let locks = Locks::take(&ledger, &of)?;
            let (erased, messages) = erase_from_ledger(&ledger, &of, &asked, &version)?;
            Ok((erased, messages, ledger.to_erase(&of)?, locks))
        });
        let (erased, messages, scope, locks) = work.await?;
        if *target == EraseTarget::Tenant {
            let (journal, of) = (Arc::clone(&self.parts.routing.journal), tenant.clone());
            tokio::task::spawn_blocking(move || journal.erase_tenant(&of)).await.map_err(Error::Worker)??;
            self.erase_uploads(tenant).await?;
        }
        let stored = self.erase_from_store(tenant, scope.as_ref()).await;
        drop(locks);
        // Answers that rest on what is gone; a person's words can stand in any answer.
        let about = matches!(target, EraseTarget::Message(_)).then_some(erased.messages.as_slice());
        self.forget(tenant, about);
        let records = stored?;
        if matches!(target, EraseTarget::Mailbox(_)) {
            self.index_again(tenant).await?;
        }
        let left = self.left(tenant, target, &erased, scope.as_ref()).await?;
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

    /// Erases from the store what it refused, or what the program did not come to any more. Returns for how many tenants there is
    /// something left to do: the store fails still, or an ingest or an erasure of theirs runs.
    pub async fn finish_erasures(&self) -> Result<u64, Error> {
        let mut left = 0;
        for tenant in self.unfinished_erasures().await? {
            if let Err(error) = self.finish_erasures_of(&tenant).await {
                tracing::warn!(%tenant, kind = ?error.kind(), "what was erased could not be removed from the store yet");
                left += 1;
            }
        }
        Ok(left)
    }

    /// The tenants of which the store may still hold something that was erased.
    pub async fn unfinished_erasures(&self) -> Result<Vec<TenantId>, Error> {
        let ledger = Arc::clone(&self.parts.ledger);
        blocking(move || Ok(ledger.tenants_to_erase()?)).await
    }

    async fn finish_erasures_of(&self, tenant: &TenantId) -> Result<(), Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        let (scope, locks) = blocking(move || {
            let locks = Locks::take(&ledger, &of)?;
            Ok((ledger.to_erase(&of)?, locks))
        })
        .await?;
        if scope.is_none() {
            // Another task was at it.
            return Ok(());
        }
        let records = self.erase_from_store(tenant, scope.as_ref()).await?;
        drop(locks);
        self.forget(tenant, None);
        tracing::info!(%tenant, records, "an erasure was finished");
        // A mailbox of the same name may have come again in between.
        let (ledger, of, version) =
            (Arc::clone(&self.parts.ledger), tenant.clone(), self.parts.pipeline.index_version());
        let pending = blocking(move || Ok(ledger.count_pending(&of, &version)?)).await?;
        if pending == (0, 0) { Ok(()) } else { self.index_again(tenant).await }
    }

    /// Returns how many records went. Under the tenant's locks, which were held since the ledger told the scope.
    async fn erase_from_store(&self, tenant: &TenantId, scope: Option<&EraseScope>) -> Result<u64, Error> {
        let Some(scope) = scope else { return Ok(0) };
        let records = self.parts.store.erase(tenant, scope).await.map_err(Error::ErasedButStore)?;
        let (ledger, of, scope) = (Arc::clone(&self.parts.ledger), tenant.clone(), scope.clone());
        blocking(move || Ok(ledger.erased_from_store(&of, &scope)?)).await?;
        Ok(records)
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
        let (erased, scope, locks) = blocking(move || {
            let locks = Locks::take(&ledger, &of)?;
            Ok((ledger.erase_messages(&of, &messages)?, ledger.to_erase(&of)?, locks))
        })
        .await?;
        let stored = self.erase_from_store(tenant, scope.as_ref()).await;
        drop(locks);
        self.forget(tenant, None);
        stored?;
        Ok(erased.messages.len() as u64)
    }

    /// Asks again for all that was erased.
    async fn left(
        &self,
        tenant: &TenantId,
        target: &EraseTarget,
        erased: &Erased,
        scope: Option<&EraseScope>,
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
        let in_store = match scope {
            Some(scope) => self.parts.store.remaining(tenant, scope).await?,
            None => 0,
        };
        Ok(in_ledger + in_store)
    }
}

/// What was erased, and how many messages that were.
fn erase_from_ledger(
    ledger: &Ledger,
    tenant: &TenantId,
    target: &EraseTarget,
    version: &str,
) -> Result<(Erased, u64), Error> {
    let erased = match target {
        EraseTarget::Tenant => {
            let messages = ledger.totals(tenant, version)?.messages;
            ledger.erase_tenant(tenant)?;
            return Ok((Erased::default(), messages));
        }
        EraseTarget::Message(id) if ledger.message(tenant, id)?.is_none() => {
            // Where the store refused it before, it is the store's turn again.
            if !matches!(ledger.to_erase(tenant)?, Some(EraseScope::Messages(refused)) if refused.contains(id)) {
                return Err(SeamError::new(ErrorKind::NotFound, "there is no such message").into());
            }
            Erased::default()
        }
        EraseTarget::Message(id) => ledger.erase_messages(tenant, std::slice::from_ref(id))?,
        EraseTarget::Mailbox(named) => ledger.erase_mailbox(tenant, &the_mailbox(ledger, tenant, named)?)?,
        EraseTarget::Person(email) => ledger.erase_person(tenant, email)?,
    };
    let messages = erased.messages.len() as u64;
    Ok((erased, messages))
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
