//! The scheduler on an engine whose every token depends on every token before it, stepped by hand: no threads to wait for,
//! no sleeps. What each answer must be is computed by `harness::expected`, which knows no cache, batch or proposal.

mod answers;
mod faults;
mod harness;
mod memory;
mod queueing;
mod random_load;
mod threads;
mod toy;
