//! The first phase: every item of every mailbox into the ledger.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rejoinder_domain::Skipped;
use rejoinder_ledger::{ItemOutcome, ItemRecord, MailboxRecord, ReadState};
use rejoinder_mail::{Found, MailSource, MailboxInfo, SourceError, SourceItem};

use crate::IngestError;
use crate::entry::Entry;
use crate::job::{Job, Reading};
use crate::progress::{Phase, add};

impl Job {
    /// Reads what is new. An unchanged mailbox is not parsed again; one that was begun goes on after the last batch.
    pub(crate) fn read(&self) -> Result<Reading, IngestError> {
        self.gauge.enter(Phase::Discovering);
        let mut reading = Reading::default();
        let found = self.discover(&mut reading);
        self.gauge.mailboxes_total.store(found.len() as u64, Ordering::Relaxed);
        self.gauge.enter(Phase::Reading);
        for found in &found {
            if self.gauge.is_cancelled() {
                break;
            }
            match rejoinder_mail::open(found, &self.config.limits) {
                Ok(source) => self.read_mailbox(source, &mut reading)?,
                Err(error) => reading.refused.push(refusal(&found.path.display().to_string(), &error)),
            }
            add(&self.gauge.mailboxes_done, 1);
        }
        reading.mailboxes.sort_unstable();
        add(&self.gauge.skipped, reading.refused.len() as u64);
        Ok(reading)
    }

    /// The mailboxes under all paths, each once, in order of the paths as they were given.
    fn discover(&self, reading: &mut Reading) -> Vec<Found> {
        let mut known: BTreeSet<PathBuf> = BTreeSet::new();
        let mut all = Vec::new();
        for path in &self.paths {
            match rejoinder_mail::discover(path) {
                Ok(discovery) => {
                    reading.refused.extend(discovery.skipped);
                    let new = |found: &Found| {
                        known.insert(std::fs::canonicalize(&found.path).unwrap_or_else(|_| found.path.clone()))
                    };
                    all.extend(discovery.mailboxes.into_iter().filter(new));
                }
                Err(error) => reading.refused.push(refusal(&path.display().to_string(), &error)),
            }
        }
        // Overlapping paths find the same file twice.
        reading.refused.sort_unstable_by(|a, b| (&a.place, &a.reason).cmp(&(&b.place, &b.reason)));
        reading.refused.dedup();
        all
    }

    fn read_mailbox(&self, mut source: Box<dyn MailSource>, reading: &mut Reading) -> Result<(), IngestError> {
        let mailbox = record_of(source.mailbox());
        let (_, size) = source.size_hint_bytes();
        let before = self.gauge.bytes_done.load(Ordering::Relaxed);
        add(&self.gauge.bytes_total, size);
        reading.mailboxes.push(mailbox.id.clone());
        let state = self.ledger.begin_read(&self.tenant, &mailbox)?;
        if let Some(on_mailbox) = &self.on_mailbox {
            on_mailbox(&mailbox.id)?;
        }
        if state != ReadState::Start {
            self.gauge.count(&self.ledger.read_counts(&self.tenant, &mailbox.id)?);
        }
        match state {
            ReadState::Complete => {
                add(&self.gauge.bytes_done, size);
                return Ok(());
            }
            ReadState::Start => {}
            ReadState::After(position) => {
                if let Err(error) = source.skip_to(position + 1) {
                    reading.refused.push(refusal(&mailbox.path, &error));
                    return Ok(());
                }
            }
        }
        tracing::debug!(tenant = %self.tenant, mailbox = %mailbox.id, "reading");
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(item) = source.next() {
            bytes += size_of_item(&item);
            batch.push(item);
            if batch.len() >= self.config.read_batch_items || bytes >= self.config.read_batch_bytes {
                reading.items += self.write_batch(&mailbox, &batch)?;
                batch.clear();
                bytes = 0;
                self.gauge.bytes_done.store(before + source.size_hint_bytes().0, Ordering::Relaxed);
                if self.gauge.is_cancelled() {
                    return Ok(());
                }
            }
        }
        reading.items += self.write_batch(&mailbox, &batch)?;
        let vanished = self.ledger.finish_read(&self.tenant, &mailbox.id)?;
        reading.vanished += vanished.places;
        self.gauge.bytes_done.store(before + size, Ordering::Relaxed);
        Ok(())
    }

    fn write_batch(&self, mailbox: &MailboxRecord, batch: &[SourceItem]) -> Result<u64, IngestError> {
        let records = batch.iter().map(item_record).collect::<Result<Vec<_>, _>>()?;
        self.gauge.count(&self.ledger.record_items(&self.tenant, &mailbox.id, &records)?);
        add(&self.gauge.items, batch.len() as u64);
        Ok(batch.len() as u64)
    }
}

fn item_record(item: &SourceItem) -> Result<ItemRecord<'_>, IngestError> {
    let (place, outcome) = match &item.outcome {
        Ok(message) => {
            let thread_entry = Entry::of(message).to_bytes()?;
            (item.provenance.place.as_str(), ItemOutcome::Read { message, thread_entry })
        }
        Err(skipped) => (skipped.place.as_str(), ItemOutcome::Skipped { reason: &skipped.reason }),
    };
    Ok(ItemRecord {
        position: item.position,
        folder: &item.provenance.folder,
        place,
        in_sent_folder: item.in_sent_folder,
        outcome,
        losses: &item.losses,
    })
}

/// About how much memory the item holds.
fn size_of_item(item: &SourceItem) -> usize {
    const OVERHEAD: usize = 4 << 10;
    let text = item.outcome.as_ref().map_or(0, |message| {
        let attachments = message.attachments.iter().filter_map(|attachment| attachment.text.as_ref());
        message.body.text.len() + attachments.map(String::len).sum::<usize>()
    });
    OVERHEAD + text
}

fn record_of(mailbox: &MailboxInfo) -> MailboxRecord {
    MailboxRecord {
        id: mailbox.id.clone(),
        name: mailbox.name.clone(),
        path: mailbox.path.display().to_string(),
        format: mailbox.format.to_string(),
        fingerprint: mailbox.fingerprint.clone(),
        owner: mailbox.owner.as_ref().map(|owner| owner.email.clone()).filter(|email| !email.is_empty()),
    }
}

/// A path or mailbox that cannot be opened, with the cause in words.
fn refusal(place: &str, error: &SourceError) -> Skipped {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    Skipped { place: place.to_owned(), reason }
}
