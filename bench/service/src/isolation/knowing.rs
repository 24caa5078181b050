//! Operations that ask for something.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{Checked, Turn, expect};
use crate::call::{Answer, Call};
use crate::tenants::{Suggestion, sources};

impl Turn<'_> {
    /// A message is found by the word that only it has.
    pub(super) async fn search(&mut self) -> Checked {
        let Some(message) = self.me.take(&mut self.random) else { return self.add().await };
        let found = self.find(&message.word).await;
        let result = match found {
            Ok(found) if found.contains(&message.id) => Ok(()),
            Ok(found) => Err(anyhow::anyhow!("{} is not among the {} found", message.id, found.len())),
            Err(error) => Err(error),
        };
        self.me.keep(message);
        result
    }

    /// Somebody else's word finds nothing of theirs.
    pub(super) async fn search_for_others(&mut self) -> Checked {
        let word = self.other.some_word(&mut self.random).unwrap_or_else(|| self.other.name.clone());
        let query = json!({"query": word, "limit": 50, "participants": [], "mailboxes": []});
        let call = Call::json("/v1/search", &query).by(&self.me.admin);
        expect(&self.world.send_strictly(Some(self.me.number), call).await?, &[200])?;
        let query = json!({"query": "matter delivery", "limit": 50, "mailboxes": [format!("{}-box", self.other.name)]});
        let call = Call::json("/v1/search", &query).by(&self.me.admin);
        expect(&self.world.send_strictly(Some(self.me.number), call).await?, &[200, 422])
    }

    fn ticket(&mut self) -> Value {
        let word = self.me.some_word(&mut self.random).unwrap_or_else(|| self.me.word());
        let from = self.me.person(self.random.below(40));
        json!({"id": format!("T-{}", self.me.word()), "subject": format!("About {word}"), "customer": {"email": from},
            "messages": [{"direction": "inbound", "from": from, "sent_at": "2026-06-23T08:00:00Z",
                "text": format!("What became of the matter {word}? I asked you about it.")}]})
    }

    fn remember(&self, answer: &Value, id: &str, ticket: &Value, first_event: Option<String>) {
        self.world.owners.give(id, self.me.number);
        let ticket = ticket.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.me.keep_suggestion(Suggestion {
            id: id.to_owned(),
            ticket,
            first_event,
            outcome: None,
            sources: sources(answer),
        });
        self.me.counts.answered.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) async fn suggest(&mut self) -> Checked {
        let ticket = self.ticket();
        self.me.counts.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.call(Call::json("/v1/suggest-reply", &json!({"ticket": ticket}))).await?;
        expect(&answer, &[200])?;
        let id = answer.string("/id").context("no id")?;
        self.remember(&answer.json(), &id, &ticket, None);
        Ok(())
    }

    /// Streamed, and taken up again after the first event: the same events.
    pub(super) async fn suggest_streamed(&mut self) -> Checked {
        let ticket = self.ticket();
        self.me.counts.asked.fetch_add(1, Ordering::SeqCst);
        let body = json!({"ticket": ticket, "stream": true});
        let answer = self.call(Call::json("/v1/suggest-reply", &body)).await?;
        expect(&answer, &[200])?;
        let events = answer.events();
        let (name, _, done) = events.last().context("no events")?;
        ensure!(name == "done", "the last event is {name}");
        let id = done.get("id").and_then(Value::as_str).context("no id")?.to_owned();
        let first = events.first().map(|(_, id, _)| id.clone()).context("no first event")?;
        ensure!(first.starts_with(&format!("{id}:")), "an event of {id} has the id {first}");
        let again = Call::get(format!("/v1/suggest-reply/{id}/events")).with("last-event-id", first.clone());
        let again = self.call(again).await?;
        // What is kept for those who come back goes with every erasure.
        expect(&again, &[200, 404])?;
        ensure!(
            again.status == 404 || again.events() == events.get(1..).unwrap_or_default(),
            "other events than before"
        );
        self.remember(done, &id, &ticket, Some(first));
        Ok(())
    }

    /// What was said is told again as it was, with what was made of it.
    pub(super) async fn read_suggestion(&mut self) -> Checked {
        let Some(suggestion) = self.me.take_suggestion(&mut self.random) else { return self.suggest().await };
        let there = self.call(Call::get(format!("/v1/suggestions/{}", suggestion.id))).await?;
        if there.status == 404 {
            // It went with a message that it rests on, cited or not.
            ensure!(self.me.counts.may_miss(), "the suggestion {} is gone, which no receipt tells of", suggestion.id);
            return Ok(());
        }
        let result = self.told_again(&suggestion).await;
        if self.me.may_be_gone(&suggestion) {
            return Ok(());
        }
        self.me.keep_suggestion(suggestion);
        result
    }

    async fn told_again(&self, suggestion: &Suggestion) -> Checked {
        let answer = self.call(Call::get(format!("/v1/suggestions/{}", suggestion.id))).await?;
        expect(&answer, &[200])?;
        ensure!(answer.string("/ticket_id").as_ref() == Some(&suggestion.ticket), "another ticket: {}", answer.text());
        ensure!(
            answer.string("/outcome/outcome").as_deref() == suggestion.outcome,
            "not as recorded: {}",
            answer.text()
        );
        let list = self.call(Call::get(format!("/v1/suggestions?ticket_id={}", suggestion.ticket))).await?;
        expect(&list, &[200])?;
        let ids: Vec<Value> = list.data().iter().filter_map(|entry| entry.get("id").cloned()).collect();
        ensure!(ids == [json!(suggestion.id)], "the ticket's suggestions are {ids:?}");
        Ok(())
    }

    pub(super) async fn extract(&mut self) -> Checked {
        let word = self.me.word();
        let text = format!("The reference is {word}. EUR 1,250.00 were refunded to the customer on 3 July 2026.");
        let schema = if self.random.percent(50) { "close_out" } else { &self.me.name };
        let body =
            json!({"text": text, "schema_name": schema, "current": {"reference": format!("{}old", self.me.name)}});
        let answer = self.call(Call::json("/v1/extract-attributes", &body)).await?;
        expect(&answer, &[200])?;
        ensure!(answer.json().get("attributes").is_some_and(Value::is_object), "no attributes: {}", answer.text());
        Ok(())
    }

    /// Every page of every list holds one's own entries, each once.
    pub(super) async fn lists(&mut self) -> Checked {
        let before = self.me.jobs();
        let entries = self.every_page("/v1/ingest/jobs?limit=50").await?;
        let ids: Vec<&str> = entries.iter().filter_map(|job| job.get("id").and_then(Value::as_str)).collect();
        ensure!(before.iter().all(|id| ids.contains(&id.as_str())), "a job is missing in the list");
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        ensure!(distinct.len() == ids.len(), "a job is listed twice");
        // Where others' list goes on, one's own does not.
        let theirs = self
            .world
            .send(Some(self.other.number), Call::get("/v1/ingest/jobs?limit=1").by(&self.other.admin))
            .await?;
        if let Some(cursor) = theirs.string("/next_cursor") {
            let call = Call::get(format!("/v1/ingest/jobs?limit=50&cursor={cursor}")).by(&self.me.admin);
            expect(&self.world.send_strictly(Some(self.me.number), call).await?, &[200, 422])?;
        }
        // The newest: an audit only grows, and to read all of it again and again would take all the time there is.
        expect(&self.call(Call::get("/v1/audit?limit=50")).await?, &[200])
    }

    async fn every_page(&self, address: &str) -> anyhow::Result<Vec<Value>> {
        let mut entries = Vec::new();
        let mut cursor = String::new();
        for _ in 0..1000 {
            let answer = self.call(Call::get(format!("{address}{cursor}"))).await?;
            expect(&answer, &[200])?;
            entries.extend(answer.data());
            match answer.string("/next_cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(entries),
            }
        }
        bail!("the list {address} does not end")
    }

    /// The counts are one's own: between what was answered before and what was asked for until then.
    pub(super) async fn statistics(&mut self) -> Checked {
        let now = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let counts = &self.me.counts;
        let (answered, ended) = (now(&counts.answered), now(&counts.erased));
        let answer = self.call(Call::get("/v1/stats")).await?;
        expect(&answer, &[200])?;
        let (most, gone, begun) = (now(&counts.asked), now(&counts.gone), now(&counts.erasing));
        // While something is erased nobody can say how many suggestions went with it.
        let least = if begun == ended { answered.saturating_sub(gone) } else { 0 };
        let counted = answer.json().get("suggestions").and_then(Value::as_u64).context("no count")?;
        ensure!((least..=most).contains(&counted), "{counted} suggestions and not {least} to {most}");
        expect(&self.call(Call::get("/v1/usage")).await?, &[200])
    }

    /// What is held on a person is one's own; on another tenant's person nothing is.
    pub(super) async fn person(&mut self) -> Checked {
        let mine = self.me.person(self.random.below(40));
        let answer = self.call(Call::get(format!("/v1/subjects/{mine}"))).await?;
        expect(&answer, &[200, 404])?;
        let theirs = self.other.person(self.random.below(40));
        let answer = self.call(Call::get(format!("/v1/subjects/{theirs}"))).await?;
        expect(&answer, &[200, 404])?;
        let nothing = answer.status == 404 || !mentions_message(&answer);
        ensure!(nothing, "an export about another tenant's person: {}", answer.text());
        Ok(())
    }

    pub(super) async fn models_and_schemas(&mut self) -> Checked {
        for path in ["/v1/models", "/v1/schemas"] {
            expect(&self.call(Call::get(path)).await?, &[200])?;
        }
        expect(&self.call(Call::get(format!("/v1/schemas/{}", self.me.name))).await?, &[200])?;
        self.must_not_find(Call::get(format!("/v1/schemas/{}", self.other.name))).await?;
        // Everybody asks the same, so that an answer that is kept for one could be given to another.
        let chat = json!({"model": "auto", "messages": [{"role": "user", "content": format!("Say something about {}.", self.random.below(20))}]});
        let answer = self.call(Call::json("/v1/chat/completions", &chat)).await?;
        expect(&answer, &[200])?;
        let said = answer.string("/choices/0/message/content").context("no answer")?;
        ensure!(said.starts_with("Thank you"), "not what the model says: {said}");
        let embed = json!({"model": "all-MiniLM-L6-v2", "input": self.me.name});
        expect(&self.call(Call::json("/v1/embeddings", &embed).once()).await?, &[404, 503])
    }
}

/// Whether an export names a message of anybody.
fn mentions_message(answer: &Answer) -> bool {
    answer.json().get("messages") != Some(&json!(0)) || !answer.data().is_empty()
}
