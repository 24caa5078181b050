//! A few threads that do one thing together, many thousand times a second.
//!
//! A decoded token is some two hundred products, each of some ten microseconds: a general thread pool spends as long on
//! waking its threads. The members of a team wait by spinning between two jobs and sleep only when there is nothing to do.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a member spins for the next job before it sleeps.
const SPIN: Duration = Duration::from_micros(200);

/// A job: a closure that every member calls once and that shares out its work itself.
type Job = *const (dyn Fn() + Sync);

struct Shared {
    /// Valid while `open` is the number of a job; written by the owner of the team while no member is inside.
    job: UnsafeCell<Option<Job>>,
    /// Number of the job that members may enter, 0 while there is none.
    open: AtomicUsize,
    /// Members that may be inside the job.
    inside: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    /// One per helper: whether it sleeps.
    asleep: Vec<AtomicBool>,
}

// SAFETY: `job` is the only part that is not shared by itself. It is written by the thread that owns the team (`run` takes
// `&mut self`) while `open` is 0 and nobody is inside, and read by members that have found `open` not 0 after they had
// announced themselves in `inside`; both orders are sequentially consistent, so that writer and reader never meet.
#[expect(unsafe_code, reason = "the protocol above")]
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is only followed while its owner waits inside `run`.
#[expect(unsafe_code, reason = "the protocol above")]
unsafe impl Send for Shared {}

/// Threads that work together: the caller's and its helpers.
pub(crate) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<(Thread, Option<JoinHandle<()>>)>,
    last_job: usize,
}

impl Team {
    /// A team of `threads`, the caller's included.
    pub(crate) fn new(threads: usize) -> Self {
        let helper_count = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            job: UnsafeCell::new(None),
            open: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: (0..helper_count).map(|_| AtomicBool::new(false)).collect(),
        });
        let mut helpers = Vec::new();
        for index in 0..helper_count {
            let member = Arc::clone(&shared);
            let spawned = thread::Builder::new().name(format!("decoder-{index}")).spawn(move || member.serve(index));
            match spawned {
                Ok(handle) => helpers.push((handle.thread().clone(), Some(handle))),
                // Fewer threads are slower and give the same answers.
                Err(error) => tracing::warn!(%error, "a thread of the decoder cannot be started"),
            }
        }
        Self { shared, helpers, last_job: 0 }
    }

    /// Members, the caller included.
    pub(crate) fn size(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Calls `work` with every chunk of `grain` items (the last may be shorter) and its index, in any order and on any
    /// member, and returns when all are done.
    pub(crate) fn for_each<T: Send>(&mut self, items: &mut [T], grain: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        let (length, grain) = (items.len(), grain.max(1));
        let chunks = length.div_ceil(grain);
        if chunks <= 1 || self.helpers.is_empty() {
            for (index, chunk) in items.chunks_mut(grain).enumerate() {
                work(index, chunk);
            }
            return;
        }
        let base = Base(items.as_mut_ptr());
        let next = AtomicUsize::new(0);
        self.run(&|| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= chunks {
                    return;
                }
                let start = index * grain;
                // SAFETY: `items` is borrowed for the whole of `run`; every index is drawn once, so that chunks do not
                // overlap; `start` is below `length` because `index` is below `chunks`.
                #[expect(unsafe_code, reason = "disjoint chunks of one slice")]
                let chunk = unsafe { std::slice::from_raw_parts_mut(base.get().add(start), grain.min(length - start)) };
                work(index, chunk);
            }
        });
    }

    /// Lets every member call `job`, and returns when none is inside any more. Not every member need come: `job` ends
    /// when its work is done, whoever did it.
    fn run(&mut self, job: &(dyn Fn() + Sync)) {
        self.last_job = self.last_job.wrapping_add(1).max(1);
        // SAFETY: only the lifetime is erased; the pointer is gone from `job` before this function returns.
        #[expect(unsafe_code, reason = "a borrowed closure that other threads call while this one waits")]
        let erased: Job = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(job) };
        // SAFETY: `open` is 0 and nobody is inside, see `Shared`.
        #[expect(unsafe_code, reason = "the protocol of Shared")]
        unsafe {
            *self.shared.job.get() = Some(erased);
        }
        self.shared.open.store(self.last_job, Ordering::SeqCst);
        for (asleep, (thread, _)) in self.shared.asleep.iter().zip(&self.helpers) {
            if asleep.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let outcome = catch_unwind(AssertUnwindSafe(job));
        self.shared.open.store(0, Ordering::SeqCst);
        let mut spins = 0_u32;
        while self.shared.inside.load(Ordering::SeqCst) != 0 {
            relax(&mut spins);
        }
        let helper_panicked = self.shared.panicked.swap(false, Ordering::SeqCst);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        assert!(!helper_panicked, "a thread of the decoder panicked");
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for (thread, handle) in &mut self.helpers {
            thread.unpark();
            if let Some(handle) = handle.take() {
                // A member catches its panics, so that there is nothing to report.
                let _ = handle.join();
            }
        }
    }
}

impl Shared {
    /// A helper's life.
    fn serve(&self, index: usize) {
        let mut done = 0;
        while let Some(number) = self.next_job(index, done) {
            done = number;
            self.inside.fetch_add(1, Ordering::SeqCst);
            // The job may have ended, or another may have begun, between the look and the announcement.
            if self.open.load(Ordering::SeqCst) == number {
                // SAFETY: the job is open and this member is announced, so that `run` waits; see the impl of `Sync`.
                #[expect(unsafe_code, reason = "the protocol of Shared")]
                if let Some(job) = unsafe { *self.job.get() }
                    && catch_unwind(AssertUnwindSafe(|| unsafe { (*job)() })).is_err()
                {
                    self.panicked.store(true, Ordering::SeqCst);
                }
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for a job that this member has not seen; `None` when the team is dissolved.
    fn next_job(&self, index: usize, done: usize) -> Option<usize> {
        let waiting_since = Instant::now();
        let mut spins = 0_u32;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let open = self.open.load(Ordering::SeqCst);
            if open != 0 && open != done {
                return Some(open);
            }
            relax(&mut spins);
            if spins.is_multiple_of(64) && waiting_since.elapsed() > SPIN {
                self.sleep(index, done);
            }
        }
    }

    fn sleep(&self, index: usize, done: usize) {
        let Some(asleep) = self.asleep.get(index) else { return };
        asleep.store(true, Ordering::SeqCst);
        loop {
            let open = self.open.load(Ordering::SeqCst);
            if (open != 0 && open != done) || self.stop.load(Ordering::SeqCst) {
                break;
            }
            thread::park();
        }
        asleep.store(false, Ordering::SeqCst);
    }
}

/// Waits a moment; where the wait is long, lets another thread have the core.
fn relax(spins: &mut u32) {
    *spins = spins.wrapping_add(1);
    if spins.is_multiple_of(1024) { thread::yield_now() } else { std::hint::spin_loop() }
}

/// The first item of the slice that is shared out.
struct Base<T>(*mut T);

impl<T> Base<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

// SAFETY: members take disjoint parts of the slice, and `T` may be sent to them.
#[expect(unsafe_code, reason = "the base of disjoint chunks")]
unsafe impl<T: Send> Sync for Base<T> {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Team;

    #[test]
    fn every_chunk_is_done_once() {
        for threads in [1, 2, 5] {
            let mut team = Team::new(threads);
            assert_eq!(team.size(), threads);
            for length in [0_usize, 1, 7, 64, 1000] {
                let mut items = vec![0_usize; length];
                let calls = AtomicUsize::new(0);
                team.for_each(&mut items, 7, |index, chunk| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    for (place, item) in chunk.iter_mut().enumerate() {
                        *item += index * 7 + place + 1;
                    }
                });
                assert_eq!(calls.into_inner(), length.div_ceil(7));
                assert!(items.iter().enumerate().all(|(index, item)| *item == index + 1));
            }
        }
    }

    #[test]
    fn a_team_that_slept_wakes_up_and_many_jobs_follow_each_other() {
        let mut team = Team::new(3);
        let mut items = vec![0_u64; 30];
        for round in 0..2_000 {
            if round % 500 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            team.for_each(&mut items, 1, |_, chunk| chunk.iter_mut().for_each(|item| *item += 1));
        }
        assert!(items.iter().all(|item| *item == 2_000));
    }

    #[test]
    fn a_panic_in_the_work_reaches_the_caller_and_the_team_goes_on() {
        let mut team = Team::new(2);
        let mut items = vec![0_u8; 100];
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            team.for_each(&mut items, 1, |index, _| assert!(index != 57, "on purpose"));
        }));
        assert!(panicked.is_err());
        team.for_each(&mut items, 1, |_, chunk| chunk.fill(1));
        assert!(items.iter().all(|item| *item == 1));
    }
}
