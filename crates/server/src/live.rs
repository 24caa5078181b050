//! Streamed suggestions that outlive a broken connection: what was said is kept for a while, so that a client that comes back
//! with `Last-Event-ID` is told the rest.
//!
//! The work runs in a task of its own and writes into a log; every connection reads the log. When the last reader hangs up,
//! the task is dropped, and the model stops with it. A reader that comes later finds the log where it ended: complete, or cut
//! off, and then the work starts again after a `restart` event.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rejoinder::TenantId;
use rejoinder::assist::SuggestRequest;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::problem::Problem;
use crate::request_id::RequestId;

/// One event: name and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: &'static str,
    pub(crate) data: Arc<str>,
}

/// The log of one suggestion.
pub(crate) struct Live {
    id: String,
    tenant: TenantId,
    /// Digest of the request, so that a repeated one is known to be the same.
    digest: [u8; 32],
    request: SuggestRequest,
    state: Mutex<State>,
    /// Why there is no answer, where the work failed before it said anything.
    failure: Mutex<Option<Problem>>,
    /// How many events there are, and whether more may come.
    news: watch::Sender<(usize, bool)>,
}

struct State {
    events: Vec<Said>,
    bytes: usize,
    readers: usize,
    worker: Option<AbortHandle>,
    /// The last event ends the answer.
    complete: bool,
    /// Since when nobody reads.
    left: Instant,
}

/// All logs. Bounded by number and by age after the last reader left.
pub(crate) struct LiveLog {
    kept: Mutex<HashMap<String, Arc<Live>>>,
    keep: Duration,
    most: usize,
}

/// More of one answer is not kept: it cannot be resumed then.
const MAX_BYTES: usize = 4 << 20;

impl LiveLog {
    pub(crate) fn new(keep: Duration, most: usize) -> Self {
        Self { kept: Mutex::default(), keep, most }
    }

    /// A new log for the request; the work is started by the first [`Live::read`].
    pub(crate) fn begin(&self, id: String, tenant: TenantId, digest: [u8; 32], request: SuggestRequest) -> Arc<Live> {
        let state =
            State { events: Vec::new(), bytes: 0, readers: 0, worker: None, complete: false, left: Instant::now() };
        let news = watch::Sender::new((0, true));
        let live =
            Arc::new(Live { id, tenant, digest, request, state: Mutex::new(state), failure: Mutex::default(), news });
        let mut kept = lock(&self.kept);
        kept.retain(|_, other| !other.is_over(self.keep));
        // The one that was left first makes room; those that are read stay.
        while kept.len() >= self.most {
            let oldest = kept.iter().filter_map(|(id, other)| Some((other.left()?, id.clone()))).min();
            let Some((_, id)) = oldest else { break };
            kept.remove(&id);
        }
        kept.insert(live.id.clone(), Arc::clone(&live));
        live
    }

    /// The log of a suggestion of this tenant, if it is still kept.
    pub(crate) fn find(&self, tenant: &TenantId, id: &str) -> Option<Arc<Live>> {
        let kept = lock(&self.kept);
        kept.get(id).filter(|live| live.tenant == *tenant && !live.is_over(self.keep)).map(Arc::clone)
    }

    /// Forgets what the tenant's answers said; after an erasure.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        lock(&self.kept).retain(|_, live| live.tenant != *tenant);
    }
}

impl Live {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn request(&self) -> &SuggestRequest {
        &self.request
    }

    /// Whether this is the log of that request.
    pub(crate) fn is_of(&self, digest: &[u8; 32]) -> bool {
        self.digest == *digest
    }

    /// Begins to read after the event with number `after` (0: from the start). Starts `work` where none runs and the log is
    /// not complete; work that begins anew says so by `restart` where something was said before.
    pub(crate) fn read<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        after: usize,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Reader {
        let mut state = lock(&self.state);
        state.readers += 1;
        let runs = state.worker.as_ref().is_some_and(|worker| !worker.is_finished());
        if !state.complete && !runs {
            if !state.events.is_empty() {
                self.push(&mut state, "restart", "{}".into());
            }
            state.worker = Some(tokio::spawn(work(Arc::clone(self))).abort_handle());
        }
        let next = after.min(state.events.len());
        drop(state);
        Reader { live: Arc::clone(self), next, news: self.news.subscribe() }
    }

    /// Adds an event.
    pub(crate) fn say(&self, name: &'static str, data: String) {
        self.push(&mut lock(&self.state), name, data);
    }

    /// Adds the last event.
    pub(crate) fn end(&self, name: &'static str, data: String) {
        let mut state = lock(&self.state);
        state.complete = true;
        self.push(&mut state, name, data);
    }

    /// Ends the answer with a problem.
    pub(crate) fn fail(&self, problem: Problem, request_id: &RequestId) {
        let document = problem.document(request_id);
        if lock(&self.state).events.is_empty() {
            *lock(&self.failure) = Some(problem);
        }
        self.end("error", document);
    }

    /// The problem, where it is all that there is. It is told once.
    pub(crate) fn take_failure(&self) -> Option<Problem> {
        lock(&self.failure).take()
    }

    fn push(&self, state: &mut State, name: &'static str, data: String) {
        state.bytes += data.len();
        state.events.push(Said { name, data: data.into() });
        self.news.send_replace((state.events.len(), !state.complete));
    }

    /// Since when nobody reads; `None` while somebody does.
    fn left(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.readers == 0).then_some(state.left)
    }

    fn is_over(&self, keep: Duration) -> bool {
        let large = lock(&self.state).bytes > MAX_BYTES;
        self.left().is_some_and(|left| large || left.elapsed() > keep)
    }
}

/// One connection's place in a log. Dropping the last one stops the work.
pub(crate) struct Reader {
    live: Arc<Live>,
    next: usize,
    news: watch::Receiver<(usize, bool)>,
}

impl Reader {
    /// The next event with its number, from 1; `None` after the last one, or where the work ended without one.
    pub(crate) async fn next(&mut self) -> Option<(usize, Said)> {
        loop {
            {
                let state = lock(&self.live.state);
                if let Some(said) = state.events.get(self.next) {
                    self.next += 1;
                    return Some((self.next, said.clone()));
                }
                let runs = state.worker.as_ref().is_some_and(|worker| !worker.is_finished());
                if state.complete || !runs {
                    return None;
                }
            }
            let _ = self.news.borrow_and_update();
            // A worker that died without a word is looked for now and then.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.wait()).await;
        }
    }

    async fn wait(&mut self) {
        let known = self.next;
        let _ = self.news.wait_for(|(count, more)| *count > known || !more).await;
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = lock(&self.live.state);
        state.readers -= 1;
        if state.readers == 0 {
            state.left = Instant::now();
            if let Some(worker) = state.worker.take() {
                worker.abort();
            }
        }
    }
}

/// A thread that panicked while it held a log left it whole: events are pushed as one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use rejoinder::TenantId;
    use rejoinder::assist::{SuggestRequest, Ticket};

    use super::{Live, LiveLog};

    fn log() -> (LiveLog, Arc<Live>) {
        let log = LiveLog::new(Duration::from_mins(1), 4);
        let tenant = TenantId::new("acme").unwrap();
        let live = log.begin("sug_1".to_owned(), tenant, [0; 32], SuggestRequest::new(Ticket::default()));
        (log, live)
    }

    /// Counts that it is alive until it is dropped.
    struct Alive(Arc<AtomicUsize>);

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn who_comes_back_is_told_the_rest_and_who_left_stops_the_work() {
        let (log, live) = log();
        let alive = Arc::new(AtomicUsize::new(0));
        let endless = |live: Arc<Live>| {
            let alive = Arc::clone(&alive);
            async move {
                alive.fetch_add(1, Ordering::SeqCst);
                let _alive = Alive(alive);
                live.say("draft", "1".to_owned());
                live.say("delta", "2".to_owned());
                std::future::pending::<()>().await;
            }
        };
        let mut reader = live.read(0, endless);
        assert_eq!(reader.next().await.map(|(number, said)| (number, said.name)), Some((1, "draft")));
        let mut second = live.read(1, endless);
        assert_eq!(second.next().await.map(|(number, said)| (number, said.name)), Some((2, "delta")));
        drop(reader);
        tokio::task::yield_now().await;
        assert_eq!(alive.load(Ordering::SeqCst), 1, "somebody still reads, and only one works");
        drop(second);
        while alive.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
        let acme = TenantId::new("acme").unwrap();
        let found = log.find(&acme, "sug_1").unwrap();
        let mut back = found.read(1, |live| async move { live.end("done", "all".to_owned()) });
        let mut names = Vec::new();
        while let Some((number, said)) = back.next().await {
            names.push((number, said.name));
        }
        assert_eq!(names, [(2, "delta"), (3, "restart"), (4, "done")]);
        assert!(log.find(&TenantId::new("other").unwrap(), "sug_1").is_none());
        log.forget(&acme);
        assert!(log.find(&acme, "sug_1").is_none());
    }

    #[tokio::test]
    async fn a_reader_ends_where_the_work_ends_without_a_word() {
        let (_, live) = log();
        let mut reader = live.read(0, |_| async {});
        assert_eq!(reader.next().await, None);
    }

    #[test]
    fn only_so_many_are_kept() {
        let (log, _) = log();
        let tenant = TenantId::new("acme").unwrap();
        for number in 2..10 {
            log.begin(format!("sug_{number}"), tenant.clone(), [0; 32], SuggestRequest::new(Ticket::default()));
        }
        let kept = (1..10).filter(|number| log.find(&tenant, &format!("sug_{number}")).is_some()).count();
        assert_eq!(kept, 4);
    }
}
