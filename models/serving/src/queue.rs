//! The way into the scheduler: how many may wait, and where they wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rejoinder_domain::{ErrorKind, Priority, SeamError};

use crate::options::ServingOptions;

/// Counts who waits and refuses whom there is no room for.
#[derive(Debug)]
pub(crate) struct Places {
    /// Places for both priorities together.
    total: usize,
    /// Places that batch requests may take of those.
    batch: usize,
    /// Answers written at the same time.
    width: usize,
    state: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    interactive: usize,
    batch: usize,
    closed: bool,
    refused: u64,
    /// How long an answer takes, on a moving average.
    service: Duration,
}

/// One of the places, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    priority: Priority,
}

impl Places {
    /// No one waits.
    pub(crate) fn new(options: &ServingOptions) -> Arc<Self> {
        let state = Waiting { interactive: 0, batch: 0, closed: false, refused: 0, service: Duration::from_secs(1) };
        Arc::new(Self {
            total: options.queue_length,
            batch: options.queue_length - options.queue_length / 4,
            width: options.max_sequences,
            state: Mutex::new(state),
        })
    }

    /// Takes a place, or says when to try again.
    pub(crate) fn take(self: &Arc<Self>, priority: Priority) -> Result<Place, SeamError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(closed());
        }
        let waiting = state.interactive + state.batch;
        if waiting >= self.total || (priority == Priority::Batch && state.batch >= self.batch) {
            state.refused += 1;
            let rounds = u32::try_from(waiting / self.width + 1).unwrap_or(u32::MAX);
            let wait = state.service.saturating_mul(rounds).clamp(Duration::from_secs(1), Duration::from_mins(1));
            let message = format!("{waiting} requests are waiting for the local model");
            return Err(SeamError::new(ErrorKind::RateLimited { retry_after: Some(wait) }, message));
        }
        *state.count(priority) += 1;
        Ok(Place { places: Arc::clone(self), priority })
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// Learns how long an answer took from its first step to its end.
    pub(crate) fn served(&self, took: Duration) {
        let mut state = lock(&self.state);
        state.service = (state.service * 7 + took) / 8;
    }

    /// Interactive and batch requests waiting, and requests refused so far.
    pub(crate) fn counts(&self) -> (usize, usize, u64) {
        let state = lock(&self.state);
        (state.interactive, state.batch, state.refused)
    }
}

impl Waiting {
    fn count(&mut self, priority: Priority) -> &mut usize {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Batch => &mut self.batch,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.places.state).count(self.priority) -= 1;
    }
}

/// The error of a model that is shutting down.
pub(crate) fn closed() -> SeamError {
    SeamError::new(ErrorKind::Unavailable, "the local model is shutting down")
}

/// Items for one thread: interactive ones first, first come first served within a priority.
///
/// It is not bounded itself: a [`Place`] bounds what comes in.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<Items<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Items<T> {
    interactive: VecDeque<T>,
    batch: VecDeque<T>,
    closed: bool,
}

impl<T> Inbox<T> {
    /// An empty inbox.
    pub(crate) fn new() -> Self {
        let items = Items { interactive: VecDeque::new(), batch: VecDeque::new(), closed: false };
        Self { state: Mutex::new(items), changed: Condvar::new() }
    }

    /// Adds an item; gives it back when the inbox is closed.
    pub(crate) fn push(&self, priority: Priority, item: T) -> Result<(), T> {
        let mut items = lock(&self.state);
        if items.closed {
            return Err(item);
        }
        match priority {
            Priority::Interactive => items.interactive.push_back(item),
            Priority::Batch => items.batch.push_back(item),
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Takes no more items. What is in it can still be taken.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// The next item if there is one.
    pub(crate) fn try_pop(&self) -> Option<T> {
        lock(&self.state).pop()
    }

    /// Waits for the next item. `None` when the inbox is closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let items = lock(&self.state);
        let waits = |items: &mut Items<T>| items.is_empty() && !items.closed;
        self.changed.wait_while(items, waits).unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Waits until there is an item. False when the inbox is closed and empty.
    pub(crate) fn wait(&self) -> bool {
        let items = lock(&self.state);
        let waits = |items: &mut Items<T>| items.is_empty() && !items.closed;
        !self.changed.wait_while(items, waits).unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl<T> Items<T> {
    fn pop(&mut self) -> Option<T> {
        self.interactive.pop_front().or_else(|| self.batch.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.interactive.is_empty() && self.batch.is_empty()
    }
}

/// The lock's content. A panic elsewhere cannot leave these structures half changed, so poison says nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rejoinder_domain::{ErrorKind, Priority};

    use super::{Inbox, Places};
    use crate::options::ServingOptions;

    #[test]
    fn a_full_queue_refuses_with_a_time_and_keeps_room_for_people() {
        let places = Places::new(&ServingOptions { queue_length: 8, max_sequences: 2, ..ServingOptions::default() });
        places.served(Duration::from_secs(33));
        let batch: Vec<_> = (0..6).map(|_| places.take(Priority::Batch).unwrap()).collect();
        assert!(matches!(places.take(Priority::Batch).unwrap_err().kind, ErrorKind::RateLimited { .. }));
        let interactive: Vec<_> = (0..2).map(|_| places.take(Priority::Interactive).unwrap()).collect();
        // Eight wait, two at a time, some five seconds each.
        let ErrorKind::RateLimited { retry_after } = places.take(Priority::Interactive).unwrap_err().kind else {
            panic!("refused for another reason")
        };
        assert_eq!(retry_after, Some(Duration::from_secs(25)));
        assert_eq!(places.counts(), (2, 6, 2));
        drop(batch);
        assert!(places.take(Priority::Batch).is_ok());
        drop(interactive);
        assert_eq!(places.counts(), (0, 0, 2));
        places.close();
        assert_eq!(places.take(Priority::Interactive).unwrap_err().kind, ErrorKind::Unavailable);
    }

    #[test]
    fn interactive_items_come_first_and_a_closed_inbox_is_emptied() {
        let inbox = Inbox::new();
        inbox.push(Priority::Batch, 1).unwrap();
        inbox.push(Priority::Interactive, 2).unwrap();
        inbox.push(Priority::Interactive, 3).unwrap();
        inbox.close();
        assert_eq!(inbox.push(Priority::Batch, 4), Err(4));
        assert!(inbox.wait());
        assert_eq!([inbox.pop(), inbox.try_pop(), inbox.pop(), inbox.pop()], [Some(2), Some(3), Some(1), None]);
        assert!(!inbox.wait());
    }
}
