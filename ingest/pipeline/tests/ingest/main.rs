//! The pipeline from mailbox files to a store: the account, resuming, changes, and `kill -9` at many points.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod corpus;
mod fakes;
mod jobs;
mod kill;
mod killed;
mod mailboxes;
mod runs;
mod single;
mod state;
