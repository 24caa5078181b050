//! What every [`VectorStore`] must do, as checks that run on any of them.
//!
//! A store's tests implement [`Harness`] and call [`run`]; a check that fails panics with its name. The checks know the
//! trait's documentation and nothing of the store, so that a second store can be put in the place of the first.

mod erasing;
mod filters;
pub mod ranking;
mod records;
mod samples;
mod searching;
mod tenants;
mod words;

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use rejoinder_domain::{SeamError, VectorStore};

/// Opens the store under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the place of this name, with an embedder of `dims` dimensions or with none. A place is empty when it is
    /// opened first; opened again after its store was dropped, it has what was written.
    async fn open(&self, place: &str, dims: Option<usize>) -> Result<Box<dyn VectorStore>, SeamError>;
}

/// What a check returns: a broken promise panics, an error of the store is handed on.
type Outcome = Result<(), SeamError>;
type Check = for<'a> fn(&'a dyn Harness) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Every check with its name.
const CHECKS: [(&str, Check); 25] = [
    ("an empty store answers", |h| Box::pin(records::empty_store(h))),
    ("records come back as they were", |h| Box::pin(records::round_trip(h))),
    ("an upsert replaces", |h| Box::pin(records::upsert_replaces(h))),
    ("the last of equal ids wins", |h| Box::pin(records::last_of_equal_ids(h))),
    ("what cannot be stored is refused", |h| Box::pin(records::refuses(h))),
    ("a delete counts what was there", |h| Box::pin(records::delete(h))),
    ("records outlive the store object", |h| Box::pin(records::persistence(h))),
    ("hostile strings are only strings", |h| Box::pin(records::hostile_strings(h))),
    ("many small upserts stay whole", |h| Box::pin(records::many_small_upserts(h))),
    ("the nearest vector is first", |h| Box::pin(searching::dense_order(h))),
    ("ties go by id", |h| Box::pin(searching::ties(h))),
    ("limits are kept", |h| Box::pin(searching::limits(h))),
    ("vectors and words are fused by weight", |h| Box::pin(searching::fusion(h))),
    ("the ranking is the documented one", |h| Box::pin(ranking::documented(h))),
    ("records without vectors are found by words", |h| Box::pin(searching::without_vectors(h))),
    ("a store without embedder finds words", |h| Box::pin(searching::without_embedder(h))),
    ("queries that cannot be are refused", |h| Box::pin(searching::refuses(h))),
    ("searching goes on while writing", |h| Box::pin(searching::while_writing(h))),
    ("each filter restricts", |h| Box::pin(filters::each(h))),
    ("filters combine", |h| Box::pin(filters::combined(h))),
    ("words are found in every language", |h| Box::pin(words::languages(h))),
    ("identifiers are found", |h| Box::pin(words::identifiers(h))),
    ("words are found before and after an optimize", |h| Box::pin(words::before_and_after_optimize(h))),
    ("tenants never meet", |h| Box::pin(tenants::never_meet(h))),
    ("what is erased is gone", |h| Box::pin(erasing::messages_and_tenant(h))),
];

/// Runs every check.
///
/// # Panics
/// When the store breaks a promise, or fails where it must not.
pub async fn run(harness: &dyn Harness) {
    for (name, check) in CHECKS {
        // The name is on the standard output for the reader of a failure.
        println!("conformance: {name}");
        let outcome = check(harness).await;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}
