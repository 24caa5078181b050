//! The third phase: what is pending goes through the model into the store.
//!
//! Three threads with a window of records each and bounded queues between them: one loads messages and cuts them, one
//! embeds, one writes. A window is announced in the ledger, written to the store, and only then confirmed in the ledger; for
//! these three steps the tenant's writing lock is held, so that messages that come by themselves get their turn in between.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use rejoinder_domain::{Embedder, ErrorKind, Message, MessageId, Pool, Record, RecordId, Role, SeamError};
use rejoinder_ledger::{PendingPair, StoredUnit, Unit};

use crate::IngestError;
use crate::job::Job;
use crate::progress::add;
use crate::record::{Draft, Drafter, pool_of, record_id};

/// How many ids are fetched from the ledger at once.
const PAGE: u32 = 1000;

/// Bytes of text after which a window is passed on even if it could take more records.
const WINDOW_BYTES: usize = 4 << 20;

/// How many units are deleted from the store at once.
const DELETE_PAGE: u32 = 1000;

/// Units of one pool that are embedded and written together.
pub(crate) struct Window {
    pub(crate) pool: Pool,
    pub(crate) units: Vec<Unit>,
    pub(crate) drafts: Vec<Draft>,
    /// Of text in the drafts.
    bytes: usize,
}

impl Window {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, units: Vec::new(), drafts: Vec::new(), bytes: 0 }
    }
}

impl Job {
    /// Brings the store to what the ledger says it should hold. Returns how many units were written.
    pub(crate) fn index(&self) -> Result<u64, IngestError> {
        self.finish_erasure()?;
        self.delete_stale()?;
        let (messages, pairs) = self.ledger.count_pending(&self.tenant, &self.version)?;
        self.gauge.units_total.store(messages + pairs, Ordering::Relaxed);
        let (to_model, from_preparing) = sync_channel(self.config.queue_windows);
        let (to_store, from_model) = sync_channel(self.config.queue_windows);
        thread::scope(|scope| {
            // Each end of a queue lives in its stage: a stage that fails drops both, which ends the others.
            let preparing = scope.spawn(move || self.prepare_all(&to_model));
            let embedding = scope.spawn(move || self.embed_all(from_preparing, &to_store));
            let stored = self.store_all(from_model);
            let embedded = join(embedding);
            let prepared = join(preparing);
            stored.and_then(|written| embedded.and(prepared).map(|()| written))
        })
        .and_then(|written| {
            if !self.gauge.is_cancelled() {
                self.delete_superseded()?;
            }
            Ok(written)
        })
    }

    /// Rids the store of what was erased when it could not be reached, or when the program ended too soon.
    fn finish_erasure(&self) -> Result<(), IngestError> {
        let _lock = self.ledger.lock_writing(&self.tenant)?;
        if let Some(scope) = self.ledger.to_erase(&self.tenant)? {
            self.runtime.block_on(self.store.erase(&self.tenant, &scope)).map_err(IngestError::Store)?;
            self.ledger.erased_from_store(&self.tenant, &scope)?;
        }
        Ok(())
    }

    /// Deletes records of messages and pairs that are no more, then forgets them.
    fn delete_stale(&self) -> Result<(), IngestError> {
        loop {
            let _lock = self.ledger.lock_writing(&self.tenant)?;
            let stale = self.ledger.stale_units(&self.tenant, &self.version, DELETE_PAGE)?;
            if stale.is_empty() {
                return Ok(());
            }
            self.delete_units(&stale)?;
        }
    }

    /// Deletes records of units that are no more, then forgets them. Under the writing lock.
    pub(crate) fn delete_units(&self, stale: &[StoredUnit]) -> Result<(), IngestError> {
        let ids =
            |pool| stale.iter().filter(move |unit| pool_of(unit.reply.as_ref()) == pool).flat_map(|u| ids_of(u, 0));
        for pool in Pool::ALL {
            self.delete(pool, &ids(pool).collect::<Vec<_>>())?;
        }
        Ok(self.ledger.forget(&self.tenant, &self.version, stale)?)
    }

    /// What another index version left in this store: records that this version has too were replaced, the others go.
    fn delete_superseded(&self) -> Result<(), IngestError> {
        loop {
            let units = self.ledger.superseded_units(&self.tenant, &self.version, DELETE_PAGE)?;
            if units.is_empty() {
                return Ok(());
            }
            for pool in Pool::ALL {
                let of_pool = units.iter().filter(|(_, unit, _)| pool_of(unit.reply.as_ref()) == pool);
                let ids: Vec<RecordId> = of_pool.flat_map(|(_, unit, kept)| ids_of(unit, *kept)).collect();
                self.delete(pool, &ids)?;
            }
            // They are ordered by version.
            for of_version in units.chunk_by(|(a, ..), (b, ..)| a == b) {
                let Some((version, ..)) = of_version.first() else { continue };
                let forgotten: Vec<StoredUnit> = of_version.iter().map(|(_, unit, _)| unit.clone()).collect();
                self.ledger.forget(&self.tenant, version, &forgotten)?;
            }
        }
    }

    fn delete(&self, pool: Pool, ids: &[RecordId]) -> Result<(), IngestError> {
        if !ids.is_empty() {
            self.runtime.block_on(self.store.delete(&self.tenant, pool, ids)).map_err(IngestError::Store)?;
        }
        Ok(())
    }

    /// First stage: loads pending messages and pairs and cuts them into records.
    fn prepare_all(&self, to_model: &SyncSender<Window>) -> Result<(), IngestError> {
        let drafter = Drafter { embedder: self.embedder.as_deref(), budget: self.config.budget() };
        let mut window = Window::new(Pool::Passage);
        let mut after: Option<MessageId> = None;
        loop {
            let page = self.ledger.pending_messages(&self.tenant, &self.version, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (id, stamp) in page {
                let Some(message) = self.ledger.message(&self.tenant, &id)? else { continue };
                let mailboxes = self.ledger.mailboxes_of(&self.tenant, &id)?;
                let drafts = drafter.passages(&message, &mailboxes).map_err(IngestError::Embedder)?;
                if !self.add_unit(&mut window, Unit { message: id, reply: None, stamp, records: 0 }, drafts, to_model) {
                    return Ok(());
                }
            }
        }
        if to_model.send(window).is_err() {
            return Ok(());
        }
        self.prepare_pairs(&drafter, to_model)
    }

    fn prepare_pairs(&self, drafter: &Drafter<'_>, to_model: &SyncSender<Window>) -> Result<(), IngestError> {
        let mut window = Window::new(Pool::ReplyPair);
        let mut after: Option<PendingPair> = None;
        loop {
            let page = self.ledger.pending_pairs(&self.tenant, &self.version, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            for PendingPair { question, reply, stamp } in page {
                let drafts = match self.load_pair(&question, &reply)? {
                    Some((asked, answered)) => {
                        let mailboxes = self.ledger.mailboxes_of(&self.tenant, &question)?;
                        drafter.pair(&asked, &answered, &mailboxes).map_err(IngestError::Embedder)?
                    }
                    None => None,
                };
                let unit = Unit { message: question, reply: Some(reply), stamp, records: 0 };
                if !self.add_unit(&mut window, unit, drafts.into_iter().collect(), to_model) {
                    return Ok(());
                }
            }
        }
        // The receiver is gone only if a later stage failed, and then that failure is the one to report.
        let _ = to_model.send(window);
        Ok(())
    }

    pub(crate) fn load_pair(
        &self,
        question: &MessageId,
        reply: &MessageId,
    ) -> Result<Option<(Message, Message)>, IngestError> {
        let question = self.ledger.message(&self.tenant, question)?;
        let reply = self.ledger.message(&self.tenant, reply)?;
        Ok(question.zip(reply))
    }

    /// Adds a unit, whole, and passes the window on when it is full. Returns whether to go on.
    fn add_unit(&self, window: &mut Window, unit: Unit, drafts: Vec<Draft>, to_model: &SyncSender<Window>) -> bool {
        window.units.push(Unit { records: u32::try_from(drafts.len()).unwrap_or(u32::MAX), ..unit });
        window.bytes += drafts.iter().map(Draft::bytes).sum::<usize>();
        window.drafts.extend(drafts);
        let records = self.config.window_records;
        if window.drafts.len() >= records || window.units.len() >= records || window.bytes >= WINDOW_BYTES {
            let full = std::mem::replace(window, Window::new(window.pool));
            if to_model.send(full).is_err() {
                return false;
            }
        }
        !self.gauge.is_cancelled()
    }

    /// Second stage: adds the vectors.
    fn embed_all(&self, windows: Receiver<Window>, to_store: &SyncSender<Window>) -> Result<(), IngestError> {
        for mut window in windows {
            if self.gauge.is_cancelled() {
                break;
            }
            if let Some(embedder) = &self.embedder {
                self.embed(embedder.as_ref(), &mut window.drafts).map_err(IngestError::Embedder)?;
            }
            if to_store.send(window).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Embeds in batches of about the same length, so that little is padding.
    pub(crate) fn embed(&self, embedder: &dyn Embedder, drafts: &mut [Draft]) -> Result<(), SeamError> {
        // The id breaks ties, so that batches are the same in every run.
        drafts.sort_by(|a, b| (a.tokens, &a.record.id).cmp(&(b.tokens, &b.record.id)));
        let mut rest = drafts;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at_mut(batch_len(rest, self.config.max_batch_tokens));
            let texts: Vec<&str> = batch.iter().map(|draft| draft.passage.as_str()).collect();
            let started = Instant::now();
            let vectors = embedder.embed(&texts, Role::Passage)?;
            add(&self.gauge.embedding_us, started.elapsed().as_micros() as u64);
            let wrong = vectors.iter().any(|vector| vector.len() != embedder.dims());
            if vectors.len() != batch.len() || wrong {
                let message = "the embedding model returned vectors of another number or length than was asked for";
                return Err(SeamError::new(ErrorKind::Internal, message));
            }
            for (draft, vector) in batch.iter_mut().zip(vectors) {
                draft.record.vector = Some(vector);
            }
            rest = after;
        }
        Ok(())
    }

    /// Third stage.
    fn store_all(&self, windows: Receiver<Window>) -> Result<u64, IngestError> {
        let mut written = 0;
        for window in windows {
            let units = window.units.len() as u64;
            written += self.store_window(window)?;
            add(&self.gauge.units_done, units);
        }
        Ok(written)
    }

    /// Announces, writes, confirms. What the ledger does not ask for any more is left out: a message that came by itself
    /// changed it meanwhile and whoever brought that one writes it, or it was erased.
    pub(crate) fn store_window(&self, window: Window) -> Result<u64, IngestError> {
        let Window { pool, mut units, mut drafts, .. } = window;
        let _lock = self.ledger.lock_writing(&self.tenant)?;
        let mut outdated: HashSet<(MessageId, Option<MessageId>)> = HashSet::new();
        for unit in &units {
            if !self.ledger.is_current(&self.tenant, unit)? {
                outdated.insert((unit.message.clone(), unit.reply.clone()));
            }
        }
        if !outdated.is_empty() {
            units.retain(|unit| !outdated.contains(&(unit.message.clone(), unit.reply.clone())));
            drafts.retain(|draft| {
                let reply = draft.record.reply.as_ref().map(|reply| reply.message_id.clone());
                !outdated.contains(&(draft.record.message_id.clone(), reply))
            });
        }
        if units.is_empty() {
            return Ok(0);
        }
        self.ledger.intend(&self.tenant, &self.version, &units)?;
        let mut records: Vec<Record> = drafts.into_iter().map(|draft| draft.record).collect();
        records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        if !records.is_empty() {
            self.runtime.block_on(self.store.upsert(&self.tenant, pool, records)).map_err(IngestError::Store)?;
        }
        self.ledger.confirm(&self.tenant, &self.version, &units)?;
        Ok(units.len() as u64)
    }
}

/// How many of the drafts, shortest first, make a batch: their number times the longest is within the budget.
fn batch_len(drafts: &[Draft], max_batch_tokens: usize) -> usize {
    let within = |(index, draft): &(usize, &Draft)| (index + 1) * draft.tokens.max(1) <= max_batch_tokens;
    drafts.iter().enumerate().take_while(within).count().max(1)
}

/// The ids of a unit's records from the ordinal `first` on.
fn ids_of(unit: &StoredUnit, first: u32) -> impl Iterator<Item = RecordId> {
    (first..unit.records).map(|ordinal| record_id(&unit.message, unit.reply.as_ref(), ordinal as usize))
}

fn join(stage: thread::ScopedJoinHandle<'_, Result<(), IngestError>>) -> Result<(), IngestError> {
    stage.join().unwrap_or(Err(IngestError::Internal("a stage of the index phase panicked")))
}
