//! When keys were last used: noted in memory, written once a minute by a thread of its own.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::KeyError;

/// The least time between two writings.
const INTERVAL: Duration = Duration::from_mins(1);

type Notes = HashMap<String, Timestamp>;

/// Takes notes of use. Dropping it writes those that are left.
pub(super) struct Used {
    state: Mutex<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    notes: Notes,
    written_at: Option<Timestamp>,
    /// Room for one batch: while one is being written, notes gather here.
    writer: Option<SyncSender<Notes>>,
}

impl Used {
    pub(super) fn start(connection: Connection) -> Result<Self, KeyError> {
        let (writer, batches) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("rejoinder-keys".to_owned())
            .spawn(move || write_all(connection, &batches))?;
        let state = State { notes: Notes::new(), written_at: None, writer: Some(writer) };
        Ok(Self { state: Mutex::new(state), thread: Some(thread) })
    }

    /// Never waits for the disk.
    pub(super) fn note(&self, id: &str, now: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.notes.get_mut(id) {
            Some(at) => *at = now,
            None => {
                state.notes.insert(id.to_owned(), now);
            }
        }
        let is_due = state.written_at.is_none_or(|at| now.duration_since(at).unsigned_abs() >= INTERVAL);
        if is_due {
            state.hand_over(now);
        }
    }
}

impl State {
    fn hand_over(&mut self, now: Timestamp) {
        let Some(writer) = &self.writer else { return };
        match writer.try_send(std::mem::take(&mut self.notes)) {
            Ok(()) => self.written_at = Some(now),
            // The disk is slow: they are handed over with a later request.
            Err(TrySendError::Full(notes)) => self.notes = notes,
            Err(TrySendError::Disconnected(_)) => self.writer = None,
        }
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = state.writer.take() {
            let notes = std::mem::take(&mut state.notes);
            if !notes.is_empty() && writer.send(notes).is_err() {
                tracing::warn!("the last use of keys could not be written");
            }
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the last use of keys failed");
        }
    }
}

fn write_all(mut connection: Connection, batches: &Receiver<Notes>) {
    while let Ok(notes) = batches.recv() {
        if let Err(error) = write(&mut connection, &notes) {
            // Only a note for the operator is lost.
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, keys = notes.len(), "the last use of keys could not be written");
        }
    }
}

fn write(connection: &mut Connection, notes: &Notes) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        // A key may have been erased since.
        let mut statement = transaction.prepare_cached(
            "INSERT INTO used (id, at) SELECT id, ?2 FROM key WHERE id = ?1
             ON CONFLICT (id) DO UPDATE SET at = max(at, excluded.at)",
        )?;
        for (id, at) in notes {
            statement.execute(params![id, at.as_microsecond()])?;
        }
    }
    transaction.commit()
}
