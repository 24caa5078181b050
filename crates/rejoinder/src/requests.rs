//! Requests that are carried out once, however often they are sent; the keys and answers are in the ledger.

use std::sync::Arc;

use jiff::Timestamp;
use rejoinder_domain::TenantId;
use rejoinder_ledger::{Begun, RequestKey, StoredResponse};

use crate::Error;
use crate::feedback::blocking;
use crate::rejoinder::Rejoinder;

impl Rejoinder {
    /// Takes a key for the request with this SHA-256.
    pub async fn begin_request(
        &self,
        tenant: &TenantId,
        route: &str,
        key: &str,
        digest: [u8; 32],
    ) -> Result<Begun, Error> {
        let (ledger, of, route, key) =
            (Arc::clone(&self.parts.ledger), tenant.clone(), route.to_owned(), key.to_owned());
        blocking(move || Ok(ledger.begin(&of, RequestKey { route: &route, key: &key }, &digest, Timestamp::now())?))
            .await
    }

    /// Keeps the answer of a request that was begun. `holds_text` says whether words of a message or a ticket can stand in it:
    /// an erasure removes such answers.
    pub async fn finish_request(
        &self,
        tenant: &TenantId,
        route: &str,
        key: &str,
        (response, holds_text): (StoredResponse, bool),
    ) -> Result<(), Error> {
        let (ledger, of, route, key) =
            (Arc::clone(&self.parts.ledger), tenant.clone(), route.to_owned(), key.to_owned());
        let finish = move || Ok(ledger.finish(&of, RequestKey { route: &route, key: &key }, &response, holds_text)?);
        blocking(finish).await.map(|_| ())
    }

    /// Lets go of a key whose request came to nothing.
    pub async fn abandon_request(&self, tenant: &TenantId, route: &str, key: &str) -> Result<(), Error> {
        let (ledger, of, route, key) =
            (Arc::clone(&self.parts.ledger), tenant.clone(), route.to_owned(), key.to_owned());
        blocking(move || Ok(ledger.abandon(&of, RequestKey { route: &route, key: &key })?)).await
    }
}
