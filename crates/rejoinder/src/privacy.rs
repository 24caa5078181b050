//! What is held on a person, and how long anything is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rejoinder_domain::{ErrorKind, Message, MessageId, TenantId};
use rejoinder_ledger::KnownSuggestion;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::feedback::blocking;
use crate::rejoinder::Rejoinder;

/// Messages that are erased at a time.
const BATCH: u32 = 500;

/// `[retention]`: for how many days mail and what was made of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days after which mail, suggestions and their outcomes are erased; none: they are kept.
    pub days: Option<u32>,
    /// The same for single tenants; 0 keeps everything.
    pub tenants: BTreeMap<TenantId, u32>,
    /// Days for finished jobs, and for usage and audit records of months that are over.
    pub records_days: u32,
    /// How often the task looks, minutes.
    pub every_minutes: u64,
    /// Hours for which an answer is given again to the same `Idempotency-Key`.
    pub replay_hours: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { days: None, tenants: BTreeMap::new(), records_days: 400, every_minutes: 60, replay_hours: 24 }
    }
}

impl RetentionConfig {
    /// Days for which the tenant's mail is kept; `None` keeps it.
    pub fn days_of(&self, tenant: &TenantId) -> Option<u32> {
        self.tenants.get(tenant).copied().or(self.days).filter(|days| *days > 0)
    }

    /// Checks what serde cannot.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [("every_minutes", self.every_minutes), ("replay_hours", u64::from(self.replay_hours))];
        if self.records_days < 32 {
            return Err("records_days must be at least 32: budgets count the month that runs".to_owned());
        }
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name} must be at least 1")),
            None if self.days == Some(0) => Err("days must be at least 1, or left out to keep everything".to_owned()),
            None => Ok(()),
        }
    }
}

/// How often it is looked whether the store is to be rid of something that it refused to erase.
const ERASURES_EVERY: Duration = Duration::from_mins(1);

/// What a round of the retention task erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Messages.
    pub messages: u64,
    /// Suggestions.
    pub suggestions: u64,
    /// Jobs and stored answers.
    pub records: u64,
    /// Tenants whose mail could not be erased now, because an ingest runs or the store failed. The next round tries again.
    pub put_off: u64,
}

/// For how long a tenant's mail is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RetentionStatus {
    /// Days after which mail, suggestions and their outcomes are erased.
    pub days: u32,
    /// Messages that are older and still there: a server erases them with its next round.
    pub messages_due: u64,
    /// Suggestions likewise.
    pub suggestions_due: u64,
}

/// A page of what is held on a person.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonExport {
    /// All messages.
    pub messages: usize,
    /// All suggestions.
    pub suggestions: usize,
    /// All reply pairs that were learned.
    pub learned_pairs: usize,
    /// Messages of this page, in full.
    pub page: Vec<HeldMessage>,
    /// All suggestions, with the first page only.
    pub held_suggestions: Vec<KnownSuggestion>,
    /// Where there is more: the cursor for it.
    pub next: Option<String>,
}

/// A message and where it is held.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldMessage {
    /// The message.
    pub message: Message,
    /// The names of the mailboxes that hold it.
    pub mailboxes: Vec<String>,
}

impl Rejoinder {
    /// What is held on the person of this address: a page of `limit` messages after `cursor`.
    pub async fn export_person(
        &self,
        tenant: &TenantId,
        email: &str,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<PersonExport, Error> {
        let (ledger, of, email) = (Arc::clone(&self.parts.ledger), tenant.clone(), email.to_owned());
        blocking(move || {
            let held = ledger.held_on_person(&of, &email)?;
            let after = cursor.as_deref().unwrap_or_default();
            let from = held.messages.partition_point(|id| id.as_str() <= after);
            let ids: Vec<&MessageId> = held.messages.iter().skip(from).take(limit as usize).collect();
            let mut page = Vec::with_capacity(ids.len());
            for id in &ids {
                let Some(message) = ledger.message(&of, id)? else { continue };
                let mailboxes = ledger.named_mailboxes_of(&of, id)?;
                page.push(HeldMessage { message, mailboxes: mailboxes.into_iter().map(|(_, name)| name).collect() });
            }
            let mut held_suggestions = Vec::new();
            if cursor.is_none() {
                for id in &held.suggestions {
                    held_suggestions.extend(ledger.suggestion(&of, id)?);
                }
            }
            let more = from + ids.len() < held.messages.len();
            let next = ids.last().filter(|_| more).map(|id| id.as_str().to_owned());
            Ok(PersonExport {
                messages: held.messages.len(),
                suggestions: held.suggestions.len(),
                learned_pairs: held.learned.len(),
                page,
                held_suggestions,
                next,
            })
        })
        .await
    }

    /// Erases what is older than the configuration lets it be. Mail is erased as on request: a copy of it that
    /// comes by again is skipped.
    pub async fn retain(&self) -> Result<Retained, Error> {
        let config = self.retention();
        let now = Timestamp::now();
        let before = |days| days_before(now, days);
        let mut done = Retained::default();
        let ledger = Arc::clone(&self.parts.ledger);
        let tenants = blocking(move || Ok(ledger.tenants()?)).await?;
        for tenant in tenants.clone() {
            let Some(days) = config.days_of(&tenant) else { continue };
            match self.retain_tenant(&tenant, before(days)).await {
                Ok((messages, suggestions)) => {
                    done.messages += messages;
                    done.suggestions += suggestions;
                }
                Err(error) => {
                    tracing::warn!(%tenant, kind = ?error.kind(), "old mail could not be erased now");
                    done.put_off += 1;
                }
            }
        }
        let (ledger, journal) = (Arc::clone(&self.parts.ledger), Arc::clone(&self.parts.routing.journal));
        let records = before(config.records_days);
        let replays =
            now.checked_sub(SignedDuration::from_hours(i64::from(config.replay_hours))).unwrap_or(Timestamp::MIN);
        done.records += blocking(move || {
            let mut jobs = 0;
            for tenant in &tenants {
                jobs += ledger.delete_jobs_before(tenant, records)?;
            }
            let answers = ledger.expire_idempotency(replays)?;
            // Budgets count the current month: nothing of it may go.
            journal.delete_before(records)?;
            Ok(jobs + answers)
        })
        .await?;
        if done != Retained::default() {
            tracing::info!(
                messages = done.messages,
                suggestions = done.suggestions,
                records = done.records,
                "retention"
            );
        }
        Ok(done)
    }

    async fn retain_tenant(&self, tenant: &TenantId, before: Timestamp) -> Result<(u64, u64), Error> {
        let mut messages = 0;
        loop {
            let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
            let old = blocking(move || Ok(ledger.messages_before(&of, before, BATCH)?)).await?;
            if old.is_empty() {
                break;
            }
            messages += self.let_go(tenant, old).await?;
        }
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        let suggestions = blocking(move || Ok(ledger.delete_suggestions_before(&of, before)?)).await?;
        Ok((messages, suggestions))
    }

    /// For how long the tenant's mail is kept, and what is older and still there.
    pub(crate) fn retention_of(&self, tenant: &TenantId) -> Result<Option<RetentionStatus>, Error> {
        let Some(days) = self.retention().days_of(tenant) else { return Ok(None) };
        let (messages_due, suggestions_due) =
            self.parts.ledger.count_before(tenant, days_before(Timestamp::now(), days))?;
        Ok(Some(RetentionStatus { days, messages_due, suggestions_due }))
    }

    /// The retention that is in force.
    pub fn retention(&self) -> RetentionConfig {
        self.parts.retention.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Puts another retention in force.
    pub fn set_retention(&self, config: RetentionConfig) -> Result<(), Error> {
        config.validate().map_err(|problem| Error::Config(format!("[retention] {problem}")))?;
        *self.parts.retention.write().unwrap_or_else(std::sync::PoisonError::into_inner) = config;
        Ok(())
    }

    /// Runs [`Rejoinder::retain`] again and again, and [`Rejoinder::finish_erasures`] every minute; drop the future to end it.
    pub async fn retain_forever(&self) {
        loop {
            if let Err(error) = self.retain().await {
                let temporary = matches!(error.kind(), ErrorKind::Transient | ErrorKind::Unavailable);
                tracing::warn!(kind = ?error.kind(), temporary, "the retention task failed; it tries again");
            }
            for _ in 0..self.retention().every_minutes {
                if let Err(error) = self.finish_erasures().await {
                    tracing::warn!(kind = ?error.kind(), "erasures could not be finished; it is tried again");
                }
                tokio::time::sleep(ERASURES_EVERY).await;
            }
        }
    }
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN)
}
