//! Operations that change something.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{Checked, Turn, expect};
use crate::call::{Answer, Call};
use crate::tenants::{Message, Suggestion};

/// How often a job is asked whether it is done, and how long between.
const POLLS: u32 = 600;
const BETWEEN: Duration = Duration::from_millis(100);

impl Turn<'_> {
    pub(super) async fn add(&mut self) -> Checked {
        let (word, body) = self.me.write(&mut self.random);
        let answer = self.call(Call::json("/v1/messages", &body)).await?;
        expect(&answer, &[201])?;
        let reply = self.random.percent(40).then(|| self.me.reply(&body));
        self.keep(&answer, word, body)?;
        // Answered, so that there is something to suggest for the next one.
        let Some((word, reply)) = reply else { return Ok(()) };
        let answer = self.call(Call::json("/v1/messages", &reply)).await?;
        expect(&answer, &[201])?;
        self.keep(&answer, word, reply)
    }

    fn keep(&self, answer: &Answer, word: String, body: Value) -> Checked {
        let id = answer.string("/id").context("no id")?;
        self.world.owners.give(&id, self.me.number);
        if let Some(thread) = answer.string("/thread_id") {
            self.world.owners.give(&thread, self.me.number);
        }
        self.me.keep(Message { id, word, body });
        Ok(())
    }

    /// The same bytes that another program would hand over: kept under the same rules.
    pub(super) async fn add_raw(&mut self) -> Checked {
        let (word, body) = self.me.write(&mut self.random);
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let raw = format!(
            "From: {}\r\nTo: desk@{}.firm.example\r\nMessage-ID: {}\r\nSubject: {}\r\nDate: Mon, 22 Jun 2026 08:41:00 +0000\r\n\r\n{}",
            text("/message/from"),
            self.me.name,
            text("/message/message_id"),
            text("/message/subject"),
            text("/message/text").replace('\n', "\r\n"),
        );
        let path = format!("/v1/messages?mailbox={}-box", self.me.name);
        let answer = self.call(Call::raw(path, "message/rfc822", raw.into_bytes())).await?;
        expect(&answer, &[201])?;
        let id = answer.string("/id").context("no id")?;
        self.world.owners.give(&id, self.me.number);
        // Repeated as JSON it would be a message of another content, so it is not kept for that.
        self.me.keep(Message { id, word, body: Value::Null });
        Ok(())
    }

    /// The same message again is a duplicate and has the same id.
    pub(super) async fn repeat(&mut self) -> Checked {
        let Some(message) = self.me.take(&mut self.random) else { return self.add().await };
        let result = if message.body.is_null() { Ok(()) } else { self.again(&message).await };
        self.me.keep(message);
        result
    }

    async fn again(&self, message: &Message) -> Checked {
        let answer = self.call(Call::json("/v1/messages", &message.body)).await?;
        expect(&answer, &[200])?;
        ensure!(answer.string("/id").as_deref() == Some(&message.id), "another id than before: {}", answer.text());
        ensure!(answer.string("/status").as_deref() == Some("duplicate"), "no duplicate: {}", answer.text());
        Ok(())
    }

    /// What is erased is not found any more.
    pub(super) async fn erase(&mut self) -> Checked {
        let Some(message) = self.me.take(&mut self.random) else { return self.add().await };
        self.me.forget(&message.id);
        self.erased(format!("/v1/messages/{}", message.id)).await?;
        let found = self.find(&message.word).await?;
        ensure!(!found.contains(&message.id), "an erased message is found");
        Ok(())
    }

    /// Erases what the path names; the receipt must say that nothing is left.
    async fn erased(&self, path: String) -> Checked {
        self.me.counts.erasing.fetch_add(1, Ordering::SeqCst);
        let answer = self.call(Call::delete(path)).await?;
        expect(&answer, &[200])?;
        let gone = answer.json().get("suggestions").and_then(Value::as_u64).unwrap_or_default();
        self.me.counts.gone.fetch_add(gone, Ordering::SeqCst);
        self.me.counts.erased.fetch_add(1, Ordering::SeqCst);
        ensure!(answer.json().get("left") == Some(&json!(0)), "something is left: {}", answer.text());
        Ok(())
    }

    /// A person, or a mailbox, goes with its mail when its own tenant says so and not when another does.
    pub(super) async fn erase_person_or_mailbox(&mut self) -> Checked {
        let (word, mut body) = self.me.write(&mut self.random);
        let person = format!("once.{word}@customers.example");
        for (pointer, value) in [("/message/from", &person), ("/mailbox", &format!("{}-once-{word}", self.me.name))] {
            *body.pointer_mut(pointer).context("a message has it")? = json!(value);
        }
        let answer = self.call(Call::json("/v1/messages", &body)).await?;
        expect(&answer, &[201])?;
        let id = answer.string("/id").context("no id")?;
        self.world.owners.give(&id, self.me.number);
        let held = self.call(Call::get(format!("/v1/subjects/{person}"))).await?;
        expect(&held, &[200])?;
        ensure!(held.string("/data/0/id").as_ref() == Some(&id), "not what is held on a person: {}", held.text());
        let mailbox = held.string("/data/0/mailboxes/0").context("no mailbox")?;
        self.world.owners.give(&mailbox, self.me.number);
        let paths = [format!("/v1/subjects/{person}"), format!("/v1/mailboxes/{mailbox}")];
        for path in &paths {
            let call = Call::delete(path.clone()).by(&self.other.admin);
            // To the other it is an erasure too, which finds nothing but lets its kept answers go.
            self.other.counts.erasing.fetch_add(1, Ordering::SeqCst);
            let answer = self.world.send(Some(self.other.number), call).await;
            self.other.counts.erased.fetch_add(1, Ordering::SeqCst);
            let answer = answer?;
            expect(&answer, &[200, 404])?;
            let nothing = answer.json().get("messages") == Some(&json!(0));
            ensure!(answer.status == 404 || nothing, "another tenant's mail was erased: {}", answer.text());
        }
        ensure!(self.find(&word).await?.contains(&id), "a message is gone that its tenant did not erase");
        self.me.forget(&id);
        let path = self.random.pick(&paths).cloned().context("two paths")?;
        self.erased(path).await?;
        ensure!(!self.find(&word).await?.contains(&id), "an erased message is found");
        let held = self.call(Call::get(format!("/v1/subjects/{person}"))).await?;
        ensure!(held.json().get("messages") == Some(&json!(0)), "still held: {}", held.text());
        Ok(())
    }

    /// Ids of messages that a search for this word finds.
    pub(super) async fn find(&self, word: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.call(Call::json("/v1/search", &json!({"query": word, "limit": 20}))).await?;
        expect(&answer, &[200])?;
        let id = |result: &Value| result.get("message_id").and_then(Value::as_str).map(str::to_owned);
        Ok(answer.data().iter().filter_map(id).collect())
    }

    /// A mailbox that is uploaded: every message of it is there once the job is done.
    pub(super) async fn job(&mut self) -> Checked {
        let mut mailbox = Vec::new();
        let mut words = Vec::new();
        for _ in 0..3 {
            let (word, body) = self.me.write(&mut self.random);
            let text = body.pointer("/message/text").and_then(Value::as_str).unwrap_or_default();
            let head = format!("From: {}\nTo: desk@{}.firm.example\n", self.me.person(1), self.me.name);
            mailbox.push(format!(
                "From someone Mon Jun 22 08:41:00 2026\n{head}Message-ID: <{word}@customers.example>\nSubject: {word}\n\
                 Date: Mon, 22 Jun 2026 08:41:00 +0000\n\n{text}\n"
            ));
            words.push(word);
        }
        let filename = format!("{}.mbox", self.me.word());
        let answer = self.call(Call::upload("/v1/ingest/jobs", &filename, mailbox.concat().as_bytes())).await?;
        expect(&answer, &[202])?;
        let id = answer.string("/id").context("no id")?;
        self.world.owners.give(&id, self.me.number);
        self.me.keep_job(id.clone());
        self.until_completed(&id).await?;
        let items = self.call(Call::get(format!("/v1/ingest/jobs/{id}/items?status=indexed"))).await?;
        expect(&items, &[200])?;
        ensure!(items.data().len() == words.len(), "{} items of {}: {}", items.data().len(), words.len(), items.text());
        for word in words {
            let found = self.find(&word).await?;
            let id = found.first().with_context(|| format!("{word} of a completed job is not found"))?;
            self.world.owners.give(id, self.me.number);
            self.me.keep(Message { id: id.clone(), word, body: Value::Null });
        }
        Ok(())
    }

    async fn until_completed(&self, id: &str) -> Checked {
        for _ in 0..POLLS {
            let answer = self.call(Call::get(format!("/v1/ingest/jobs/{id}"))).await?;
            expect(&answer, &[200])?;
            match answer.string("/state").as_deref() {
                Some("completed") => return Ok(()),
                Some("queued" | "running") => tokio::time::sleep(BETWEEN).await,
                _ => bail!("the job ended otherwise: {}", answer.text()),
            }
        }
        bail!("the job did not end within a minute")
    }

    /// What was made of a suggestion is recorded once.
    pub(super) async fn feedback(&mut self) -> Checked {
        let Some(mut suggestion) = self.me.take_suggestion(&mut self.random) else { return self.suggest().await };
        let result = self.judge(&mut suggestion).await;
        if self.me.may_be_gone(&suggestion) {
            return Ok(());
        }
        self.me.keep_suggestion(suggestion);
        result
    }

    async fn judge(&mut self, suggestion: &mut Suggestion) -> Checked {
        let outcome = *self.random.pick(&["accepted", "edited", "rejected"]).context("three outcomes")?;
        let mut body = json!({"suggestion_id": suggestion.id, "candidate": 0, "outcome": outcome});
        if let (Value::Object(members), "edited") = (&mut body, outcome) {
            members.insert("final_text".to_owned(), json!(format!("We looked at it, {}.", self.me.name)));
        }
        let answer = self.call(Call::json("/v1/feedback", &body)).await?;
        match suggestion.outcome {
            None if answer.status == 204 => suggestion.outcome = Some(outcome),
            // A suggestion without a candidate has nothing that could be accepted.
            None => expect(&answer, &[404, 422])?,
            Some(before) if before == outcome => expect(&answer, &[204, 409])?,
            Some(_) => expect(&answer, &[409])?,
        }
        Ok(())
    }

    /// Two tenants may choose the same key: neither gets the other's answer, nor a conflict because of it.
    pub(super) async fn idempotency(&mut self) -> Checked {
        // The same few keys for everybody, each with one body per tenant.
        let slot = self.random.below(50);
        let word = format!("{}kept{slot}", self.me.name);
        let body = json!({"text": format!("The reference is {word}."), "schema_name": self.me.name});
        let call = || Call::json("/v1/extract-attributes", &body).with("idempotency-key", format!("everybodys-{slot}"));
        let before = self.me.counts.erasures();
        let first = self.call(call()).await?;
        if first.status == 409 {
            // After an erasure the other body may have been the first with this key.
            let code = first.string("/code").unwrap_or_default();
            let erased = code == "idempotency_conflict" && before.0 > 0;
            ensure!(erased || code == "idempotency_in_progress", "{}", first.text());
            return Ok(());
        }
        expect(&first, &[200])?;
        let second = self.call(call()).await?;
        let other = Call::json("/v1/extract-attributes", &json!({"text": "Another.", "schema_name": self.me.name}));
        let conflict = self.call(other.with("idempotency-key", format!("everybodys-{slot}"))).await?;
        if before.1 || self.me.counts.erasures() != before {
            // Kept answers go with every erasure of the tenant: the key was free again.
            return Ok(());
        }
        expect(&second, &[200])?;
        ensure!(second.header("idempotency-replayed") == Some("true"), "done again: {}", second.headers);
        ensure!(first.body == second.body, "{} and then {}", first.text(), second.text());
        expect(&conflict, &[409])
    }
}
