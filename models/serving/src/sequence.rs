//! One request while it waits and while its answer is written.

use std::cmp::Reverse;
use std::time::Instant;

use rejoinder_domain::{FinishReason, Priority, SeamError, TenantId};
use rejoinder_grammar::TokenMask;

use crate::engine::EngineCache;
use crate::lookup::Lookup;
use crate::queue::Place;
use crate::writer::{Flow, Writer};

/// A request that can be run: its prompt is tokens, its form is compiled.
#[derive(Debug)]
pub(crate) struct Request {
    /// Whose text it is.
    pub(crate) tenant: TenantId,
    /// Who waits.
    pub(crate) priority: Priority,
    /// The prompt, at least one token.
    pub(crate) prompt: Vec<u32>,
    /// How many of its first tokens are the instructions, which other requests of the tenant share.
    pub(crate) system_tokens: usize,
    /// What the answer may repeat.
    pub(crate) lookup: Lookup,
    /// The answer.
    pub(crate) writer: Writer,
    /// When it was asked.
    pub(crate) arrived: Instant,
    /// When it must be done.
    pub(crate) deadline: Option<Instant>,
    /// Its place in the queue, until it runs.
    pub(crate) place: Option<Place>,
}

/// A request and what was computed for it.
#[derive(Debug)]
pub(crate) struct Sequence<C> {
    /// The request.
    pub(crate) request: Request,
    /// The prompt and what was written. The last token is never in the cache: its logits are needed next.
    pub(crate) tokens: Vec<u32>,
    /// What was computed of `tokens`, from the beginning.
    pub(crate) cache: C,
    /// Its number in the order of arrival.
    pub(crate) arrival: u64,
    /// Its turn among those of all tenants.
    pub(crate) turn: u64,
    /// When its first step was; what earlier requests computed was looked for then.
    pub(crate) started: Option<Instant>,
    /// Tokens of the prompt that did not have to be computed.
    pub(crate) cached_input: usize,
    /// Whether a step with it failed, so that it must run alone until one works.
    pub(crate) suspect: bool,
    /// How many later interactive requests went before it.
    pub(crate) passed_over: usize,
    /// It waited so long that it counts as interactive.
    pub(crate) promoted: bool,
    /// Its cache was taken away for want of memory when so many requests had ended; it waits until one more has.
    pub(crate) waits_for_memory: Option<u64>,
}

/// What one step brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How the answer ended, if it did.
    pub(crate) ended: Option<FinishReason>,
    /// Proposed tokens that were right.
    pub(crate) accepted: usize,
}

impl<C: EngineCache> Sequence<C> {
    /// A request of which nothing is computed.
    pub(crate) fn new(request: Request, cache: C, arrival: u64, turn: u64) -> Self {
        Self {
            tokens: request.prompt.clone(),
            request,
            cache,
            arrival,
            turn,
            started: None,
            cached_input: 0,
            suspect: false,
            passed_over: 0,
            promoted: false,
            waits_for_memory: None,
        }
    }

    /// The priority that it is treated with.
    pub(crate) fn rank(&self) -> Priority {
        if self.promoted { Priority::Interactive } else { self.request.priority }
    }

    /// Sorts the most urgent first.
    pub(crate) fn urgency(&self) -> (Reverse<Priority>, u64, u64) {
        (Reverse(self.rank()), self.turn, self.arrival)
    }

    /// Tokens that are known and not computed, at least one.
    pub(crate) fn pending(&self) -> usize {
        self.tokens.len() - self.cache.len()
    }

    /// The tokens that are computed.
    pub(crate) fn computed(&self) -> &[u32] {
        self.tokens.get(..self.cache.len()).unwrap_or_default()
    }

    /// Tokens that probably come next, at most `most`; none that the form would refuse.
    pub(crate) fn propose(&mut self, most: usize) -> Vec<u32> {
        let mut proposed = self.request.lookup.propose(most);
        // A matcher that fails here fails again when the masks are computed, and is reported then.
        let allowed = self.request.writer.allowed(&proposed).unwrap_or(0);
        proposed.truncate(allowed);
        proposed
    }

    /// Chooses tokens from the rows of logits after everything known and after each of the `proposed` tokens, as long
    /// as the proposals are right. The cache, which holds all of them, then holds what is right.
    pub(crate) fn absorb(
        &mut self,
        rows: &mut [Vec<f32>],
        proposed: &[u32],
        masks: &[TokenMask],
    ) -> Result<Progress, SeamError> {
        let known = self.tokens.len();
        let mut progress = Progress::default();
        for (index, row) in rows.iter_mut().enumerate() {
            let Some(token) = self.request.writer.choose(row, masks.get(index))? else {
                progress.ended = Some(FinishReason::Stop);
                break;
            };
            let flow = self.request.writer.write(token)?;
            self.know(token);
            let right = proposed.get(index) == Some(&token);
            progress.accepted += usize::from(right);
            if let Flow::End(reason) = flow {
                progress.ended = Some(reason);
                break;
            }
            if !right {
                break;
            }
        }
        self.cache.truncate(known + progress.accepted);
        self.request.lookup.learn(proposed.len(), progress.accepted);
        if progress.ended.is_none() {
            progress.ended = self.write_forced()?;
        }
        Ok(progress)
    }

    /// Writes what the form forces next.
    pub(crate) fn write_forced(&mut self) -> Result<Option<FinishReason>, SeamError> {
        let (forced, flow) = self.request.writer.write_forced()?;
        for token in forced {
            self.know(token);
        }
        Ok(match flow {
            Flow::More => None,
            Flow::End(reason) => Some(reason),
        })
    }

    fn know(&mut self, token: u32) {
        self.tokens.push(token);
        self.request.lookup.push(token);
    }
}
