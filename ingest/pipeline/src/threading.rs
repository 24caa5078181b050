//! The second phase: directions, conversations and reply pairs, over all messages of the tenant.
//!
//! It is a pure function of what the ledger holds, so it is done anew in every run. Memory is one digest of some hundred
//! bytes per message.

use std::collections::BTreeMap;

use rejoinder_domain::{Address, Direction, MailboxId, MessageId};
use rejoinder_ledger::{MessageFacts, PairRow, ThreadRow};
use rejoinder_mail::direction::{Inference, Ownership};
use rejoinder_mail::thread::{self, ThreadEntry};
use sha2::{Digest, Sha256};

use crate::IngestError;
use crate::entry::Entry;
use crate::job::Job;

/// How many messages' facts are fetched from the ledger at once.
const PAGE: u32 = 2000;

/// A message as it is threaded; its entry is in a parallel list.
pub(crate) struct Threaded {
    pub(crate) id: MessageId,
    pub(crate) direction: Direction,
    pub(crate) stamp: String,
}

impl Job {
    /// Finds directions, conversations and pairs, and writes them in one transaction. A message that comes by itself waits
    /// meanwhile.
    pub(crate) fn thread(&self) -> Result<(), IngestError> {
        let mut lock = self.ledger.lock_writing(&self.tenant)?;
        // First: if it fails half way, what others know by heart must not count any more either.
        lock.advance()?;
        let ownership = self.whose_mail()?;
        let (messages, entries) = self.gather(&ownership)?;
        let threading = thread::full(&entries);
        let pairs = thread::reply_pairs(&entries, &threading);
        drop(entries);
        let mut rows = Vec::with_capacity(messages.len());
        for ((message, thread), parent) in messages.iter().zip(threading.thread).zip(threading.parent) {
            rows.push(ThreadRow {
                message: message.id.clone(),
                thread,
                parent: parent.and_then(|parent| messages.get(parent)).map(|parent| parent.id.clone()),
                direction: message.direction,
                stamp: message.stamp.clone(),
            });
        }
        let pairs: Vec<PairRow> = pairs
            .iter()
            .filter_map(|pair| {
                let (question, reply) = (messages.get(pair.question)?, messages.get(pair.reply)?);
                // What can change in a pair's record is what can change in its question's.
                Some(PairRow { question: question.id.clone(), reply: reply.id.clone(), stamp: question.stamp.clone() })
            })
            .collect();
        self.ledger.apply_threading(&self.tenant, &rows, &pairs)?;
        Ok(())
    }

    /// All messages of the tenant as they are threaded, in order of their ids.
    pub(crate) fn gather(&self, ownership: &Ownership) -> Result<(Vec<Threaded>, Vec<ThreadEntry>), IngestError> {
        let mut messages: Vec<Threaded> = Vec::new();
        let mut entries: Vec<ThreadEntry> = Vec::new();
        self.for_each_message(|facts, entry| {
            let (threaded, thread) = threaded(facts, entry, ownership);
            entries.push(thread);
            messages.push(threaded);
        })?;
        Ok((messages, entries))
    }

    /// Whose mail it is: as configured, else learned from each mailbox's owner and sent mail. All mailboxes of a tenant are one
    /// firm's, so what one teaches holds for all.
    pub(crate) fn whose_mail(&self) -> Result<Ownership, IngestError> {
        if !self.ownership.is_empty() {
            return Ok(self.ownership.clone());
        }
        let mut inferences: BTreeMap<MailboxId, Inference> = BTreeMap::new();
        for mailbox in self.ledger.mailboxes(&self.tenant)? {
            let owner = mailbox.owner.map(|email| Address { name: String::new(), email });
            inferences.insert(mailbox.id, Inference::new(owner.as_ref()));
        }
        self.for_each_message(|facts, entry| {
            let envelope = entry.envelope();
            for (mailbox, in_sent_folder) in &facts.mailboxes {
                if let Some(inference) = inferences.get_mut(mailbox) {
                    inference.observe(&envelope, *in_sent_folder);
                }
            }
        })?;
        let learned = inferences.values().map(Inference::ownership);
        Ok(learned.fold(Ownership::default(), Ownership::joined))
    }

    /// Calls `visit` for every message, in order of their ids.
    fn for_each_message(&self, mut visit: impl FnMut(MessageFacts, Entry)) -> Result<(), IngestError> {
        let mut after: Option<MessageId> = None;
        loop {
            let page = self.ledger.message_facts(&self.tenant, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for facts in page {
                let entry = Entry::from_bytes(&facts.thread_entry)?;
                visit(facts, entry);
            }
        }
    }
}

/// A message as it is threaded, and its entry, its direction set.
pub(crate) fn threaded(facts: MessageFacts, entry: Entry, ownership: &Ownership) -> (Threaded, ThreadEntry) {
    let in_sent_folder = facts.mailboxes.iter().any(|(_, sent)| *sent);
    let direction = entry.direction(in_sent_folder, ownership);
    let mut thread = entry.thread;
    thread.set_direction(direction);
    (Threaded { stamp: stamp(direction, &facts.mailboxes), id: facts.id, direction }, thread)
}

/// Digest of what can change in the stored records of a message.
fn stamp(direction: Direction, mailboxes: &[(MailboxId, bool)]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
        Direction::Internal => "internal",
        Direction::Unknown => "unknown",
    });
    for (mailbox, _) in mailboxes {
        hasher.update(",");
        hasher.update(mailbox.as_str());
    }
    let digest = hasher.finalize();
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}
