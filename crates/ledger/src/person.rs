//! What is held on a person, who is an address: for an export and for an erasure.
//!
//! Every message is opened for this. An index of addresses would be as quick for headers only, would make every ingest
//! slower, and would keep addresses outside the messages that they stand in.

use rejoinder_domain::{Address, MailboxId, Message, MessageId, TenantId};
use rusqlite::params;

use crate::sealing::place;
use crate::{Erased, LearnedPair, Ledger, LedgerError};

/// Messages and suggestions that are looked at in one go.
const PAGE: u32 = 500;

/// Id of a suggestion; its terms, its answer, and the reason of its outcome.
type PackedSuggestion = (String, [Option<Vec<u8>>; 3]);

/// What is held on a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldOnPerson {
    /// Messages that the address sent or got, or in whose text it stands, quoted, attached or not, by id. Also those that no
    /// mailbox holds any more and that are not erased yet.
    pub messages: Vec<MessageId>,
    /// Suggestions that rest on one of these, or in whose text or outcome the address stands, by id.
    pub suggestions: Vec<String>,
    /// Pairs that were learned from one of these, or that one of the messages is part of, by suggestion.
    pub learned: Vec<LearnedPair>,
}

impl Ledger {
    /// What is held on the person of this address; case does not matter. `anna@a.example` does not stand in
    /// `joanna@a.example` or `anna@a.example.org`.
    pub fn held_on_person(&self, tenant: &TenantId, email: &str) -> Result<HeldOnPerson, LedgerError> {
        let email = email.trim().to_lowercase();
        if email.is_empty() {
            return Ok(HeldOnPerson::default());
        }
        let messages = self.messages_of_person(tenant, &email)?;
        let mut suggestions = self.suggestions_naming(tenant, &email)?;
        let mut learned = Vec::new();
        {
            let connection = self.reader()?;
            let mut citing = connection
                .prepare_cached("SELECT suggestion FROM suggestion_message WHERE tenant = ?1 AND message = ?2")?;
            for message in &messages {
                let rows = citing.query_map(params![tenant.as_str(), message.as_str()], |row| row.get(0))?;
                suggestions.extend(rows.collect::<Result<Vec<String>, _>>()?);
            }
            suggestions.sort_unstable();
            suggestions.dedup();
            let columns = "SELECT suggestion, question, reply, mailbox FROM learned WHERE tenant = ?1 AND";
            let mut of_message = connection.prepare_cached(&format!("{columns} (question = ?2 OR reply = ?2)"))?;
            for message in &messages {
                let rows = of_message.query_map(params![tenant.as_str(), message.as_str()], learned_of)?;
                learned.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            let mut of_suggestion = connection.prepare_cached(&format!("{columns} suggestion = ?2"))?;
            for suggestion in &suggestions {
                let rows = of_suggestion.query_map(params![tenant.as_str(), suggestion], learned_of)?;
                learned.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
        }
        learned.sort_unstable_by(|a: &LearnedPair, b| a.suggestion.cmp(&b.suggestion));
        learned.dedup();
        Ok(HeldOnPerson { messages, suggestions, learned })
    }

    /// Erases what is held on a person, as [`Ledger::erase_messages`] and [`Ledger::erase_suggestions`] do. To be called while
    /// no ingest of the tenant runs.
    pub fn erase_person(&self, tenant: &TenantId, email: &str) -> Result<Erased, LedgerError> {
        let held = self.held_on_person(tenant, email)?;
        self.erase_all(tenant, &held.messages, &held.suggestions)
    }

    /// From an address in lower case.
    fn messages_of_person(&self, tenant: &TenantId, email: &str) -> Result<Vec<MessageId>, LedgerError> {
        let mut found = Vec::new();
        let mut after: Option<MessageId> = None;
        loop {
            let page = self.held_messages(tenant, after.as_ref(), PAGE)?;
            found.extend(page.iter().filter(|message| concerns(message, email)).map(|message| message.id.clone()));
            match page.into_iter().last() {
                Some(last) => after = Some(last.id),
                None => return Ok(found),
            }
        }
    }

    /// Suggestions in whose answer, terms or outcome the address stands.
    fn suggestions_naming(&self, tenant: &TenantId, email: &str) -> Result<Vec<String>, LedgerError> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.packed_suggestions(tenant, &after)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after.clone_from(last);
            for (id, texts) in page {
                let mut is_named = false;
                for (column, packed) in ["suggestion.terms", "suggestion.body", "outcome.reason"].iter().zip(texts) {
                    let Some(packed) = packed else { continue };
                    let text = self.unpack_text(tenant, &place(column, &[&id]), packed)?;
                    // JSON escapes nothing that an address is made of.
                    is_named |= names(&String::from_utf8_lossy(&text), email);
                }
                if is_named {
                    found.push(id);
                }
            }
        }
    }

    /// Ids and packed texts of the suggestions after this id.
    fn packed_suggestions(&self, tenant: &TenantId, after: &str) -> Result<Vec<PackedSuggestion>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(
            "SELECT id, terms, body, reason FROM suggestion LEFT JOIN outcome
                ON outcome.tenant = suggestion.tenant AND outcome.suggestion = suggestion.id
             WHERE suggestion.tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let rows = statement.query_map(params![tenant.as_str(), after, PAGE], |row| {
            Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn learned_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<LearnedPair> {
    Ok(LearnedPair {
        suggestion: row.get(0)?,
        question: MessageId::from_stored(row.get::<_, String>(1)?),
        reply: MessageId::from_stored(row.get::<_, String>(2)?),
        mailbox: MailboxId::from_stored(row.get::<_, String>(3)?),
    })
}

/// Whether the person of this address, in lower case, sent or got the message or stands in its text.
fn concerns(message: &Message, email: &str) -> bool {
    let lists = [&message.reply_to, &message.to, &message.cc, &message.bcc];
    let mut addresses = message.from.iter().chain(&message.sender).chain(lists.into_iter().flatten());
    let is_theirs = |address: &Address| address.email.to_lowercase() == email || names(&address.name, email);
    addresses.any(is_theirs)
        || names(&message.body.text, email)
        || names(&message.subject, email)
        || message.conversation_topic.as_deref().is_some_and(|topic| names(topic, email))
        || message.attachments.iter().any(|attachment| {
            names(&attachment.name, email) || attachment.text.as_deref().is_some_and(|text| names(text, email))
        })
}

/// Whether the address, in lower case, stands in the text and is not a part of a longer address. Marks around it, as of
/// emphasis, are not part of it.
fn names(text: &str, email: &str) -> bool {
    let text = text.to_lowercase();
    let is_joint = |c: &char| matches!(c, '.' | '_' | '-' | '+' | '%');
    text.match_indices(email).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default().chars().rev().find(|c| !is_joint(c));
        let mut behind = text.get(at + email.len()..).unwrap_or_default().chars();
        let longer_behind = match behind.next() {
            Some('.' | '-') => behind.next().is_some_and(char::is_alphanumeric),
            Some(next) => next.is_alphanumeric(),
            None => false,
        };
        !before.is_some_and(char::is_alphanumeric) && !longer_behind
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn an_address_is_no_part_of_a_longer_one() {
        let anna = "anna@weber.example";
        for text in [
            "anna@weber.example",
            "Write to Anna@Weber.example.",
            "<anna@weber.example>",
            "mailto:anna@weber.example?subject=x",
            "_anna@weber.example_",
            "...anna@weber.example",
            "anna@weber.example, joanna@weber.example",
            "joanna@weber.example, anna@weber.example",
            "anna@weber.example-",
        ] {
            assert!(names(text, anna), "{text:?}");
        }
        for text in [
            "joanna@weber.example",
            "jo.anna@weber.example",
            "jo_anna@weber.example",
            "anna@weber.example.org",
            "anna@weber.examples",
            "anna@weber.example-bank.example",
            "anna@weber",
            "",
        ] {
            assert!(!names(text, anna), "{text:?}");
        }
    }
}
