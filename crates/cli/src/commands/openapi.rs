//! `rejoinder openapi`: the HTTP API as a document.

use super::Outcome;

pub(crate) fn run() -> anyhow::Result<Outcome> {
    println!("{}", rejoinder_server::openapi()?);
    Ok(Outcome::Complete)
}
