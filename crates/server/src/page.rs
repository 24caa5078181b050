//! Lists in pages: their parameters, and reading them where it may block.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use rejoinder::ErrorKind;
use serde::Deserialize;

use crate::problem::Problem;

/// Entries of a page at most.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Limit(u32);

impl Limit {
    const MOST: u32 = 1000;

    /// The limit, 1 to [`Limit::MOST`].
    pub(crate) fn get(self) -> Result<u32, Problem> {
        if (1..=Self::MOST).contains(&self.0) {
            return Ok(self.0);
        }
        Err(Problem::parameter("limit", format!("a page has 1 to {} entries", Self::MOST)))
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

/// The parameters of a query, or what is wrong with them.
pub(crate) fn parameters<T>(read: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let Query(parameters) = read.map_err(|rejection| {
        let text = rejection.body_text();
        let detail = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
        Problem::parameter("", detail)
    })?;
    Ok(parameters)
}

/// Reads on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, rejoinder::Error> + Send + 'static,
) -> Result<T, Problem> {
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())?;
    read.map_err(|error| problem_of(&error))
}

/// What only the cursor can be wrong about is told as such.
pub(crate) fn problem_of(error: &rejoinder::Error) -> Problem {
    match error.kind() {
        ErrorKind::Invalid => Problem::parameter("cursor", "this is no cursor of this list"),
        _ => Problem::from_library(error),
    }
}
