//! The form that an answer must have, followed on a thread of its own.
//!
//! The masks for the tokens after the next forward pass depend on tokens that are known before it. So they are computed
//! while it runs: the matcher travels to the thread and comes back with the masks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use rejoinder_grammar::{GrammarError, Matcher, Speculation, TokenMask};

use crate::error::ServingError;

/// One mask for the token after what is known, and one after each proposed token that the form allows.
pub(crate) type Masks = Result<Vec<TokenMask>, FormError>;

/// Why a form could not be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    /// The form's own reason.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A defect: the matcher panicked or the thread is gone.
    #[error("the matcher of the required form is lost")]
    Lost,
}

/// Computes masks on a thread of its own, first come first served.
#[derive(Debug)]
pub(crate) struct MaskThread {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    matcher: Matcher,
    proposed: Vec<u32>,
    done: std::sync::mpsc::SyncSender<(Matcher, Masks)>,
}

/// Masks that are being computed, and the matcher that computes them.
#[derive(Debug)]
pub(crate) struct PendingMasks {
    done: Receiver<(Matcher, Masks)>,
}

impl PendingMasks {
    /// Waits for the masks. The matcher is as it was; it is gone after [`FormError::Lost`].
    pub(crate) fn wait(self) -> (Option<Matcher>, Masks) {
        match self.done.recv() {
            Ok((matcher, masks)) => (Some(matcher), masks),
            Err(_) => (None, Err(FormError::Lost)),
        }
    }
}

impl MaskThread {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Self, ServingError> {
        let (jobs, queue) = channel::<Job>();
        let work = move || {
            for Job { mut matcher, proposed, done } in queue {
                // A panic loses this matcher alone: `done` is dropped and the one who waits is told.
                let masks = catch_unwind(AssertUnwindSafe(|| matcher.speculate(&proposed)));
                if let Ok(masks) = masks {
                    let masks = masks.map(|Speculation { masks, .. }| masks).map_err(FormError::from);
                    // The one who waits may be gone; then nobody needs the masks.
                    let _ = done.send((matcher, masks));
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("rejoinder-masks".to_owned()).spawn(work).map_err(ServingError::Thread)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Begins to compute the masks along `proposed`.
    pub(crate) fn begin(&self, matcher: Matcher, proposed: Vec<u32>) -> PendingMasks {
        let (done, receiver) = sync_channel(1);
        if let Some(jobs) = &self.jobs {
            // If the thread is gone, `done` is dropped with the job and waiting reports it.
            let _ = jobs.send(Job { matcher, proposed, done });
        }
        PendingMasks { done: receiver }
    }
}

impl Drop for MaskThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches panics; should it have died all the same, there is nothing left to end.
            let _ = thread.join();
        }
    }
}
