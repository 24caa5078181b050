//! What is done with a message that comes by itself: recorded, placed, embedded, stored.

use std::collections::HashMap;

use rejoinder_domain::{MailboxId, Message, MessageId, Pool};
use rejoinder_ledger::{
    ItemOutcome, ItemRecord, LedgerError, MailboxRecord, PlacedConversations, PlacedMessage, ReadState, Unit,
    WritingLock,
};
use rejoinder_mail::direction::Ownership;
use rejoinder_mail::thread::{Placement, ThreadIndex};

use crate::IngestError;
use crate::entry::Entry;
use crate::index::Window;
use crate::intake::{API_FORMAT, Accepted, Indexed, IndexedStatus, LEARNED_FORMAT, busy, mailbox_id};
use crate::job::Job;
use crate::record::Drafter;
use crate::threading::{Threaded, threaded};

/// How often a message is written again because something else changed it meanwhile.
const MAX_TRIES: usize = 5;

/// How many messages that a killed process left are placed at once.
const MAX_LEFT: u32 = 1000;

/// What is known of a tenant by heart.
pub(crate) struct Known {
    index: ThreadIndex,
    ids: Vec<MessageId>,
    numbers: HashMap<MessageId, usize>,
    ownership: Ownership,
    revision: u64,
}

impl Known {
    /// Of how many messages.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// One message on its way in.
pub(crate) struct Arrival<'a> {
    pub(crate) job: &'a Job,
    pub(crate) format: &'static str,
    pub(crate) name: &'a str,
}

impl Arrival<'_> {
    /// Does all of it. Passages are written last: where the index has them as they should be, nothing else is missing.
    pub(crate) fn take_in(&self, known: &mut Option<Known>, new: Accepted) -> Result<Indexed, IngestError> {
        let Self { job, .. } = self;
        let id = new.message.id.clone();
        let mailbox = mailbox_id(self.format, self.name);
        let before = job.ledger.standing_of(&job.tenant, &mailbox, &id)?;
        let erased = || Indexed {
            id: id.clone(),
            thread_id: None,
            status: IndexedStatus::Erased,
            chunks: 0,
            pairs: 0,
            losses: Vec::new(),
        };
        if before.erased {
            return Ok(erased());
        }
        let status = if before.known { IndexedStatus::Duplicate } else { IndexedStatus::Indexed };
        let written =
            before.in_mailbox && before.threaded && job.ledger.pending_of(&job.tenant, &job.version, &id)?.0.is_none();
        if !written && !self.write(known, &mailbox, &new)? {
            return Ok(erased());
        }
        let (chunks, pairs) = job.ledger.indexed_of(&job.tenant, &job.version, &id)?;
        let thread_id = job.ledger.thread_of(&job.tenant, &id)?;
        Ok(Indexed { id, thread_id, status, chunks, pairs, losses: new.losses })
    }

    /// Brings what is known by heart up to date, ahead of the next message. Returns of how many messages that is.
    pub(crate) fn warm(&self, known: &mut Option<Known>) -> Result<usize, IngestError> {
        let mut lock = self.job.ledger.lock_writing(&self.job.tenant)?;
        Ok(self.known(known, &mut lock)?.len())
    }

    /// `false` where the message was erased meanwhile.
    fn write(&self, known: &mut Option<Known>, mailbox: &MailboxId, new: &Accepted) -> Result<bool, IngestError> {
        let Self { job, .. } = self;
        let id = &new.message.id;
        for _ in 0..MAX_TRIES {
            let questions = {
                let mut lock = job.ledger.lock_writing(&job.tenant)?;
                // Others may have been quicker until the lock was there.
                let standing = job.ledger.standing_of(&job.tenant, mailbox, id)?;
                if standing.erased {
                    return Ok(false);
                }
                let known = self.known(known, &mut lock)?;
                if !standing.in_mailbox && !self.record(mailbox, new)? {
                    return Ok(false);
                }
                let Some(questions) = self.place(known, id)? else {
                    // Something that was known by heart is gone: an erasure. It is read again.
                    lock.advance()?;
                    continue;
                };
                questions
            };
            self.store(id, &questions)?;
            let after = job.ledger.standing_of(&job.tenant, mailbox, id)?;
            if after.erased || !after.known {
                return Ok(false);
            }
            if job.ledger.pending_of(&job.tenant, &job.version, id)?.0.is_none() {
                return Ok(true);
            }
        }
        Err(busy())
    }

    /// Brings what is known by heart up to date.
    fn known<'k>(&self, known: &'k mut Option<Known>, lock: &mut WritingLock) -> Result<&'k mut Known, IngestError> {
        let Self { job, .. } = self;
        if known.as_ref().is_none_or(|known| known.revision != lock.revision().unwrap_or(u64::MAX)) {
            *known = None;
            let mut fresh = self.load(lock)?;
            // What a killed process recorded and did not place.
            for left in job.ledger.unplaced_messages(&job.tenant, &[API_FORMAT, LEARNED_FORMAT], MAX_LEFT)? {
                self.place(&mut fresh, &left)?;
            }
            *known = Some(fresh);
        }
        known.as_mut().ok_or(IngestError::Internal("what is known of a tenant was lost"))
    }

    fn load(&self, lock: &mut WritingLock) -> Result<Known, IngestError> {
        let Self { job, .. } = self;
        // A message that comes by itself lies in no folder of sent mail, so it teaches nothing about whose mail it is.
        let ownership = job.whose_mail()?;
        let (messages, entries) = job.gather(&ownership)?;
        let (index, _) = ThreadIndex::new(entries);
        let ids: Vec<MessageId> = messages.into_iter().map(|message| message.id).collect();
        let numbers = ids.iter().enumerate().map(|(number, id)| (id.clone(), number)).collect();
        Ok(Known { index, ids, numbers, ownership, revision: lock.revision()? })
    }

    /// Writes the item and the message. `false` where the message was erased.
    fn record(&self, mailbox: &MailboxId, new: &Accepted) -> Result<bool, IngestError> {
        let Self { job, .. } = self;
        let mut entry = Entry::of(&new.message).with_direction(new.direction);
        if new.headers_only {
            entry.thread.keep_headers_only();
        }
        let thread_entry = entry.to_bytes()?;
        let item = ItemRecord {
            position: position(&new.message),
            folder: "",
            place: new.message.id.as_str(),
            in_sent_folder: false,
            outcome: ItemOutcome::Read { message: &new.message, thread_entry },
            losses: &new.losses,
        };
        let counts = match job.ledger.record_items(&job.tenant, mailbox, std::slice::from_ref(&item)) {
            Err(LedgerError::UnknownMailbox) => {
                self.open_mailbox(mailbox)?;
                job.ledger.record_items(&job.tenant, mailbox, std::slice::from_ref(&item))?
            }
            other => other?,
        };
        Ok(counts.skipped == 0)
    }

    /// Such a mailbox is never read: it is complete at any time.
    fn open_mailbox(&self, id: &MailboxId) -> Result<(), IngestError> {
        let Self { job, format, name } = self;
        let record = MailboxRecord {
            id: id.clone(),
            name: (*name).to_owned(),
            path: format!("{format}:{name}"),
            format: (*format).to_owned(),
            fingerprint: (*format).to_owned(),
            owner: None,
        };
        if job.ledger.begin_read(&job.tenant, &record)? != ReadState::Complete {
            job.ledger.finish_read(&job.tenant, id)?;
        }
        Ok(())
    }

    /// Finds the message's conversation and writes what changed. Returns the messages of all touched conversations; `None`
    /// where what is known by heart is out of date.
    fn place(&self, known: &mut Known, id: &MessageId) -> Result<Option<Vec<MessageId>>, IngestError> {
        let Self { job, .. } = self;
        let Some(facts) = job.ledger.facts_of(&job.tenant, id)? else { return Ok(None) };
        let entry = Entry::from_bytes(&facts.thread_entry)?;
        let (Threaded { direction, stamp, .. }, thread) = threaded(facts, entry, &known.ownership);
        let placement = if let Some(&number) = known.numbers.get(id) {
            known.index.set_direction(number, direction);
            known.index.place(number)
        } else {
            let (number, placement) = known.index.add(thread);
            known.ids.push(id.clone());
            known.numbers.insert(id.clone(), number);
            placement
        };
        let placed = conversations(
            known,
            &placement,
            PlacedConversations { changed: id.clone(), direction, stamp, messages: Vec::new(), pairs: Vec::new() },
        )?;
        if !job.ledger.place_conversations(&job.tenant, &placed)? {
            return Ok(None);
        }
        Ok(Some(placed.messages.into_iter().map(|placed| placed.message).collect()))
    }

    /// Writes what the index lacks: pairs first, the message's own passages last.
    fn store(&self, id: &MessageId, questions: &[MessageId]) -> Result<(), IngestError> {
        let Self { job, .. } = self;
        let drafter = Drafter { embedder: job.embedder.as_deref(), budget: job.config.budget() };
        let mut stale = Vec::new();
        let mut pairs = Window::new(Pool::ReplyPair);
        for question in questions {
            stale.extend(job.ledger.stale_pairs_of(&job.tenant, &job.version, question)?);
            for pending in job.ledger.pending_of(&job.tenant, &job.version, question)?.1 {
                let Some((asked, answered)) = job.load_pair(&pending.question, &pending.reply)? else { continue };
                let mailboxes = job.ledger.mailboxes_of(&job.tenant, &pending.question)?;
                let draft = drafter.pair(&asked, &answered, &mailboxes).map_err(IngestError::Embedder)?;
                pairs.units.push(Unit {
                    message: pending.question,
                    reply: Some(pending.reply),
                    stamp: pending.stamp,
                    records: u32::from(draft.is_some()),
                });
                pairs.drafts.extend(draft);
            }
        }
        if !stale.is_empty() {
            self.delete_stale(questions)?;
        }
        let mut windows = vec![pairs];
        if let (Some(stamp), _) = job.ledger.pending_of(&job.tenant, &job.version, id)?
            && let Some(message) = job.ledger.message(&job.tenant, id)?
        {
            let mailboxes = job.ledger.mailboxes_of(&job.tenant, id)?;
            let drafts = drafter.passages(&message, &mailboxes).map_err(IngestError::Embedder)?;
            let records = u32::try_from(drafts.len()).unwrap_or(u32::MAX);
            let mut passages = Window::new(Pool::Passage);
            passages.units.push(Unit { message: id.clone(), reply: None, stamp, records });
            passages.drafts = drafts;
            windows.push(passages);
        }
        for mut window in windows {
            if let Some(embedder) = &job.embedder {
                job.embed(embedder.as_ref(), &mut window.drafts).map_err(IngestError::Embedder)?;
            }
            job.store_window(window)?;
        }
        Ok(())
    }

    /// Asks again under the lock: a pair may have come back.
    fn delete_stale(&self, questions: &[MessageId]) -> Result<(), IngestError> {
        let Self { job, .. } = self;
        let _lock = job.ledger.lock_writing(&job.tenant)?;
        for question in questions {
            let stale = job.ledger.stale_pairs_of(&job.tenant, &job.version, question)?;
            if !stale.is_empty() {
                job.delete_units(&stale)?;
            }
        }
        Ok(())
    }
}

/// From numbers to ids.
fn conversations(
    known: &Known,
    placement: &Placement,
    mut placed: PlacedConversations,
) -> Result<PlacedConversations, IngestError> {
    let id = |number: usize| known.ids.get(number).cloned().ok_or(IngestError::Internal("a message has no number"));
    for one in &placement.placed {
        placed.messages.push(PlacedMessage {
            message: id(one.at)?,
            thread: one.thread.clone(),
            parent: one.parent.map(id).transpose()?,
        });
    }
    for pair in &placement.pairs {
        placed.pairs.push((id(pair.question)?, id(pair.reply)?));
    }
    Ok(placed)
}

/// The place of a message in a mailbox that has no order: the same in whichever order they come. From the id, 62 bits.
fn position(message: &Message) -> u64 {
    let digits = message.id.as_str().rsplit('_').next().unwrap_or_default();
    let first = digits.get(..digits.len().min(16)).unwrap_or_default();
    u64::from_str_radix(first, 16).unwrap_or(0) >> 2
}
