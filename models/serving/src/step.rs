//! One step: what is computed together, and what becomes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rejoinder_domain::{FinishReason, SeamError};
use rejoinder_grammar::TokenMask;

use crate::engine::{Engine, EngineCache, EngineError, EngineStep, Rows};
use crate::error::internal;
use crate::form::PendingMasks;
use crate::options::SHORT_RUN;
use crate::prefix::common_prefix;
use crate::scheduler::Scheduler;

/// The part of one sequence in a step.
#[derive(Debug)]
struct Share {
    /// Which of the running sequences.
    index: usize,
    /// What is computed: known tokens, then proposed ones.
    tokens: Vec<u32>,
    /// The proposed ones.
    proposed: Vec<u32>,
    rows: Rows,
    masks: ShareMasks,
}

/// The masks of a share, empty where any text will do.
#[derive(Debug)]
enum ShareMasks {
    Pending(Option<PendingMasks>),
    Ready(Result<Vec<TokenMask>, SeamError>),
}

impl Share {
    fn row_count(&self) -> usize {
        match self.rows {
            Rows::None => 0,
            Rows::Last => 1,
            Rows::All => self.tokens.len(),
        }
    }
}

/// Why a step brought nothing.
enum Failure {
    Full,
    Other(SeamError),
    /// The caches may be half written.
    Panic,
}

impl<E: Engine> Scheduler<E> {
    /// Computes one step of what runs.
    pub(crate) fn step(&mut self) {
        self.begin();
        let mut shares = self.plan();
        if shares.is_empty() {
            return;
        }
        let started = (self.clock)();
        for share in shares.iter_mut().filter(|share| share.rows != Rows::None) {
            if let Some(sequence) = self.running.get_mut(share.index) {
                let proposed = share.proposed.clone();
                share.masks = ShareMasks::Pending(sequence.request.writer.begin_masks(&self.masks, proposed));
            }
        }
        let outcome = self.forward_with_room(&mut shares);
        self.collect_masks(&mut shares);
        self.metrics.steps += 1;
        let before = self.metrics.output_tokens;
        match outcome {
            Ok(rows) => self.distribute(shares, rows),
            Err(failure) => self.blame(&shares, failure),
        }
        let took = (self.clock)().saturating_duration_since(started);
        self.metrics.tokens_per_second = self.speed.add(self.metrics.output_tokens - before, took);
    }

    /// Writes what the form forces at the very beginning, so that it is computed together with the prompt.
    fn begin(&mut self) {
        let now = (self.clock)();
        let mut ended = Vec::new();
        for (index, sequence) in self.running.iter_mut().enumerate().filter(|(_, sequence)| sequence.started.is_none())
        {
            sequence.started = Some(now);
            let outcome =
                catch_unwind(AssertUnwindSafe(|| sequence.write_forced())).unwrap_or_else(|_| Err(panicked()));
            let forced = sequence.request.writer.forced() as u64;
            self.metrics.output_tokens += forced;
            self.metrics.forced_tokens += forced;
            match outcome {
                Ok(None) => {}
                Ok(Some(reason)) => ended.push((index, Ok(reason))),
                Err(error) => ended.push((index, Err(error))),
            }
        }
        self.end(ended);
    }

    /// Decides what is computed: next tokens of all answers, and of prompts as much as the chunk allows, the most urgent
    /// first.
    fn plan(&mut self) -> Vec<Share> {
        let suspect = self.running.iter().position(|sequence| sequence.suspect);
        let writing = self.running.iter().any(|sequence| sequence.cache.len() > 0 && sequence.pending() <= SHORT_RUN);
        let mut budget = if writing { self.options.prefill_chunk_shared } else { self.options.prefill_chunk };
        let mut shares = Vec::new();
        for index in 0..self.running.len() {
            if suspect.is_some_and(|suspect| suspect != index) || !self.reuse(index, suspect.is_some()) {
                continue;
            }
            let most = self.options.proposals();
            let Some(sequence) = self.running.get_mut(index) else { continue };
            let pending = sequence.pending();
            let short = pending <= SHORT_RUN && sequence.cache.len() > 0;
            let count = if short { pending } else { pending.min(budget) };
            budget -= if short { 0 } else { count };
            if count == 0 {
                continue;
            }
            let computed = sequence.cache.len();
            let mut tokens = sequence.tokens.get(computed..computed + count).unwrap_or_default().to_vec();
            let room = sequence.request.writer.room().saturating_sub(1);
            let proposed = if short { sequence.propose(most.min(room)) } else { Vec::new() };
            let rows = match (count == pending, proposed.is_empty()) {
                (false, _) => Rows::None,
                (true, true) => Rows::Last,
                (true, false) => Rows::All,
            };
            tokens.extend_from_slice(&proposed);
            shares.push(Share { index, tokens, proposed, rows, masks: ShareMasks::Pending(None) });
        }
        shares
    }

    /// Gives an empty cache the longest beginning that is known of its tenant. False where a more urgent request is just
    /// computing more of the same beginning, which is worth waiting for; never where it runs alone.
    fn reuse(&mut self, index: usize, alone: bool) -> bool {
        let Some((before, rest)) = self.running.split_at_mut_checked(index) else { return false };
        let Some((sequence, after)) = rest.split_first_mut() else { return false };
        if sequence.cache.len() > 0 {
            return true;
        }
        let tenant = &sequence.request.tenant;
        let same_tenant = |other: &&crate::sequence::Sequence<E::Cache>| other.request.tenant == *tenant;
        let computing = before
            .iter()
            .filter(same_tenant)
            .any(|other| common_prefix(&sequence.tokens, &other.tokens) > other.cache.len() + SHORT_RUN);
        if computing && !alone {
            return false;
        }
        let most = sequence.tokens.len().saturating_sub(1);
        let live = before
            .iter()
            .chain(after.iter())
            .filter(same_tenant)
            .map(|other| (common_prefix(&sequence.tokens, other.computed()).min(most), other))
            .max_by_key(|(common, _)| *common)
            .filter(|(common, _)| *common > 0);
        let kept = self.kept.find(tenant, &sequence.tokens);
        let cache = match (live, kept) {
            (Some((common, other)), kept) if kept.as_ref().is_none_or(|kept| kept.len() < common) => {
                let mut cache = other.cache.fork();
                cache.truncate(common);
                Some(cache)
            }
            (_, kept) => kept,
        };
        if let Some(cache) = cache {
            let reused = cache.len().min(sequence.request.prompt.len());
            // After a preemption, what was reused before is not counted twice.
            self.metrics.cached_input_tokens += reused.saturating_sub(sequence.cached_input) as u64;
            sequence.cached_input = sequence.cached_input.max(reused);
            sequence.cache = cache;
        }
        true
    }

    /// Computes the shares; where memory is short, takes it from what is least urgent and goes on with the rest.
    fn forward_with_room(&mut self, shares: &mut Vec<Share>) -> Result<Vec<Vec<f32>>, Failure> {
        loop {
            match self.forward(shares) {
                Err(Failure::Full) => {}
                outcome => return outcome,
            }
            // Matchers must be at home before their sequences leave.
            self.collect_masks(shares);
            if !self.make_room() {
                return Err(Failure::Full);
            }
            shares.retain(|share| share.index < self.running.len());
            if shares.is_empty() {
                return Ok(Vec::new());
            }
        }
    }

    fn forward(&mut self, shares: &[Share]) -> Result<Vec<Vec<f32>>, Failure> {
        let mut sequences = self.running.iter_mut().enumerate();
        let mut steps = Vec::with_capacity(shares.len());
        for share in shares {
            let Some((_, sequence)) = sequences.find(|(index, _)| *index == share.index) else {
                return Err(Failure::Other(internal("a step names a sequence that does not run")));
            };
            steps.push(EngineStep { cache: &mut sequence.cache, tokens: &share.tokens, rows: share.rows });
        }
        let engine = &mut self.engine;
        let rows = match catch_unwind(AssertUnwindSafe(|| engine.forward(&mut steps))) {
            Ok(Ok(rows)) => rows,
            Ok(Err(EngineError::Full)) => return Err(Failure::Full),
            Ok(Err(EngineError::Other(error))) => {
                return Err(Failure::Other(internal("the local model failed").caused_by(error)));
            }
            Err(_) => return Err(Failure::Panic),
        };
        let expected: usize = shares.iter().map(Share::row_count).sum();
        let width = self.engine.vocabulary();
        if rows.len() != expected || rows.iter().any(|row| row.len() != width) {
            return Err(Failure::Other(internal("the local model gave other logits than were asked for")));
        }
        Ok(rows)
    }

    fn collect_masks(&mut self, shares: &mut [Share]) {
        for share in shares {
            if let ShareMasks::Pending(pending) = &mut share.masks
                && let Some(sequence) = self.running.get_mut(share.index)
            {
                share.masks = ShareMasks::Ready(sequence.request.writer.take_masks(pending.take()));
            }
        }
    }

    /// Chooses the tokens of every share.
    fn distribute(&mut self, shares: Vec<Share>, rows: Vec<Vec<f32>>) {
        let mut rows = rows.into_iter();
        let mut ended = Vec::new();
        for share in shares {
            let count = share.row_count();
            let mut own: Vec<Vec<f32>> = rows.by_ref().take(count).collect();
            let Some(sequence) = self.running.get_mut(share.index) else { continue };
            sequence.suspect = false;
            if count == 0 {
                continue;
            }
            let choices = own.split_off(count - 1 - share.proposed.len());
            let (written, forced) = (sequence.request.writer.written(), sequence.request.writer.forced());
            let outcome = match share.masks {
                ShareMasks::Ready(Ok(masks)) => catch_unwind(AssertUnwindSafe(|| {
                    let mut choices = choices;
                    sequence.absorb(&mut choices, &share.proposed, &masks)
                }))
                .unwrap_or_else(|_| Err(panicked())),
                ShareMasks::Ready(Err(error)) => Err(error),
                ShareMasks::Pending(_) => Err(internal("the masks of a step were not collected")),
            };
            self.metrics.output_tokens += (sequence.request.writer.written() - written) as u64;
            self.metrics.forced_tokens += (sequence.request.writer.forced() - forced) as u64;
            self.metrics.proposed_tokens += share.proposed.len() as u64;
            match outcome {
                Ok(progress) => {
                    self.metrics.accepted_tokens += progress.accepted as u64;
                    if let Some(reason) = progress.ended {
                        ended.push((share.index, Ok(reason)));
                    }
                }
                Err(error) => ended.push((share.index, Err(error))),
            }
        }
        self.end(ended);
    }

    /// Finds out who made a step fail. Alone in the step, it is the one; otherwise everyone runs alone until a step works.
    fn blame(&mut self, shares: &[Share], failure: Failure) {
        let panic = matches!(failure, Failure::Panic);
        if let [share] = shares {
            let error = match failure {
                Failure::Full => self.no_room(),
                Failure::Other(error) => error,
                Failure::Panic => panicked(),
            };
            return self.end(vec![(share.index, Err(error))]);
        }
        for share in shares {
            if let Some(sequence) = self.running.get_mut(share.index) {
                sequence.suspect = true;
                if panic {
                    sequence.cache = self.engine.cache();
                }
            }
        }
    }

    /// Ends the running sequences named, in ascending order.
    fn end(&mut self, ended: Vec<(usize, Result<FinishReason, SeamError>)>) {
        for (index, outcome) in ended.into_iter().rev() {
            let sequence = self.running.remove(index);
            match outcome {
                Ok(reason) => self.finish(sequence, reason),
                Err(error) => self.fail(sequence, error),
            }
        }
    }
}

fn panicked() -> SeamError {
    internal("the local model panicked while it wrote this answer")
}
