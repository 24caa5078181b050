//! Operations that must come to nothing, and routes that are open to everybody.

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::{Checked, Turn, expect};
use crate::call::Call;

impl Turn<'_> {
    /// Nothing of another tenant exists for this one, whatever is tried with its id.
    pub(super) async fn try_others_ids(&mut self) -> Checked {
        if let Some(id) = self.other.some_message(&mut self.random) {
            // Erasing what is not there may be a success that erased nothing.
            let receipt = self.call(Call::delete(format!("/v1/messages/{id}"))).await?;
            expect(&receipt, &[200, 404])?;
            let nothing =
                ["messages", "records", "suggestions"].iter().all(|what| receipt.json().get(what) == Some(&json!(0)));
            ensure!(receipt.status == 404 || nothing, "another tenant's message was erased: {}", receipt.text());
        }
        if let Some(theirs) = self.other.some_suggestion(&mut self.random) {
            let id = &theirs.id;
            self.must_not_find(Call::get(format!("/v1/suggestions/{id}"))).await?;
            let outcome = json!({"suggestion_id": id, "candidate": 0, "outcome": "accepted"});
            self.must_not_find(Call::json("/v1/feedback", &outcome)).await?;
            self.must_not_find(Call::get(format!("/v1/suggest-reply/{id}/events"))).await?;
            if let Some(event) = &theirs.first_event {
                let call = Call::get(format!("/v1/suggest-reply/{id}/events")).with("last-event-id", event.clone());
                self.must_not_find(call).await?;
            }
            let list = self.call(Call::get(format!("/v1/suggestions?ticket_id={}", theirs.ticket))).await?;
            expect(&list, &[200])?;
            ensure!(list.data().is_empty(), "another tenant's ticket has suggestions: {}", list.text());
        }
        if let Some(id) = self.other.some_job(&mut self.random) {
            self.must_not_find(Call::get(format!("/v1/ingest/jobs/{id}"))).await?;
            self.must_not_find(Call::get(format!("/v1/ingest/jobs/{id}/items?status=indexed"))).await?;
            self.must_not_find(Call::get(format!("/v1/ingest/jobs/{id}/events"))).await?;
            self.must_not_find(Call::json(format!("/v1/ingest/jobs/{id}/cancel"), &json!({}))).await?;
        }
        Ok(())
    }

    /// Errors tell of nobody else, and a key opens no more than its roles.
    pub(super) async fn refused(&mut self) -> Checked {
        let malformed =
            Call::raw("/v1/search", "application/json", format!("{{\"query\": \"{}", self.me.name).into_bytes());
        expect(&self.call(malformed).await?, &[400])?;
        let wrong = json!({"query": 7, "tenant": self.other.name});
        expect(&self.call(Call::json("/v1/search", &wrong)).await?, &[422])?;
        let (_, body) = self.me.write(&mut self.random);
        let reading = Call::json("/v1/messages", &body).by(&self.me.reader);
        let answer = self.world.send(Some(self.me.number), reading).await?;
        expect(&answer, &[403]).context("a reader writes")?;
        let audit = self.world.send(Some(self.me.number), Call::get("/v1/audit").by(&self.me.reader)).await?;
        expect(&audit, &[403]).context("a reader reads the audit")?;
        let nobody = self.world.send(None, Call::json("/v1/search", &json!({"query": "matter"}))).await?;
        expect(&nobody, &[401])?;
        ensure!(nobody.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")), "401 does not say how");
        // One's own key with a changed letter, which must not open another's door either.
        let other = |letter| if letter == '_' { '-' } else { '_' };
        let changed = |(at, letter)| if at == 3 { other(letter) } else { letter };
        let forged: String = self.me.admin.chars().rev().enumerate().map(changed).collect();
        let forged: String = forged.chars().rev().collect();
        let answer = self.world.send(None, Call::json("/v1/search", &json!({"query": "matter"})).by(&forged)).await?;
        expect(&answer, &[401])?;
        // A tenant cannot be chosen, by any name that other products give it.
        let other = Call::json("/v1/search", &json!({"query": "matter", "limit": 50}));
        let other = other.with("x-tenant", self.other.name.clone()).with("x-tenant-id", self.other.name.clone());
        let call = other.by(&self.me.admin);
        expect(&self.world.send_strictly(Some(self.me.number), call).await?, &[200])
    }

    /// What is open to everybody tells of nobody.
    pub(super) async fn open_routes(&mut self) -> Checked {
        for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
            expect(&self.world.send_strictly(None, Call::get(path)).await?, &[200]).context(path)?;
        }
        let metrics = Call::get("/metrics").by(&self.me.admin);
        expect(&self.world.send_strictly(None, metrics).await?, &[200])?;
        let nobody = self.world.send_strictly(None, Call::get("/metrics")).await?;
        expect(&nobody, &[401]).context("/metrics without a key")
    }
}
