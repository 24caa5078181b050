//! Suggestions that were made.
//!
//! A suggestion names every message that it rests on and goes when one of them is erased, with its outcome and what was
//! learned from it. It is stale when its ticket was seen in another state since.

use jiff::Timestamp;
use rejoinder_domain::{MailboxId, MessageId, TenantId};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::sealing::place;
use crate::{Ledger, LedgerError, Outcome, cursor, time};

/// The columns of [`Ledger::suggestion_of`], in order; those of an outcome may be `NULL`.
const COLUMNS: &str =
    "suggestion.id, suggestion.ticket, suggestion.state, messages, created, found, provider, model, source,
    terms, body, ticket_state.state IS NOT NULL AND ticket_state.state <> suggestion.state,
    candidate, kind, edit_class, edit_ratio, reason, final_digest, recorded";

/// Where [`COLUMNS`] come from.
const TABLES: &str = "suggestion
    LEFT JOIN ticket_state ON ticket_state.tenant = suggestion.tenant AND ticket_state.ticket = suggestion.ticket
    LEFT JOIN outcome ON outcome.tenant = suggestion.tenant AND outcome.suggestion = suggestion.id";

/// A suggestion as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct SuggestionRecord {
    /// `sug_...`, unique within the tenant.
    pub id: String,
    /// The ticket that it is for.
    pub ticket: String,
    /// Digest of the ticket as the suggestion saw it, best of its newest message.
    pub ticket_state: String,
    /// How many messages the ticket had.
    pub ticket_messages: u32,
    /// When it was made.
    pub created: Timestamp,
    /// What the question was about, for grouping what nothing was found for.
    pub terms: Vec<String>,
    /// Whether anything was found to draft from.
    pub found: bool,
    /// Who wrote the first draft.
    pub provider: String,
    /// With which model.
    pub model: String,
    /// The mailbox of what the first draft rests on most; `None` where it rests on nothing that a mailbox holds.
    pub source: Option<MailboxId>,
    /// Every message that it rests on. Order and repeats do not matter and are not kept.
    pub cited: Vec<MessageId>,
    /// The whole answer.
    pub body: serde_json::Value,
}

/// A suggestion with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownSuggestion {
    /// The suggestion; its cited messages in order of their ids.
    pub suggestion: SuggestionRecord,
    /// Whether its ticket was seen in another state since.
    pub stale: bool,
    /// What a person made of it.
    pub outcome: Option<Outcome>,
}

/// A page of suggestions, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuggestionPage {
    /// The suggestions.
    pub suggestions: Vec<KnownSuggestion>,
    /// Where there is more: the cursor for it.
    pub next: Option<String>,
}

impl Ledger {
    /// Keeps a suggestion and notes the state of its ticket. Returns whether it is kept: one that cites a message which is not
    /// there any more (it was erased meanwhile) is not. [`LedgerError::Exists`] where there is one of this id.
    pub fn record_suggestion(&self, tenant: &TenantId, suggestion: &SuggestionRecord) -> Result<bool, LedgerError> {
        let terms = self.pack_json(tenant, &place("suggestion.terms", &[&suggestion.id]), &suggestion.terms)?;
        let body = self.pack_json(tenant, &place("suggestion.body", &[&suggestion.id]), &suggestion.body)?;
        self.write(|transaction| {
            for message in &suggestion.cited {
                let is_there: bool = transaction
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE tenant = ?1 AND id = ?2)")?
                    .query_row(params![tenant.as_str(), message.as_str()], |row| row.get(0))?;
                if !is_there {
                    return Ok(false);
                }
            }
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO suggestion (tenant, id, ticket, state, messages, created, found, provider, model, source,
                        terms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    tenant.as_str(),
                    suggestion.id,
                    suggestion.ticket,
                    suggestion.ticket_state,
                    suggestion.ticket_messages,
                    suggestion.created.as_millisecond(),
                    suggestion.found,
                    suggestion.provider,
                    suggestion.model,
                    suggestion.source.as_ref().map(MailboxId::as_str).unwrap_or_default(),
                    terms,
                    body,
                ])?;
            if inserted == 0 {
                return Err(LedgerError::Exists("suggestion"));
            }
            let mut cite = transaction.prepare_cached("INSERT OR IGNORE INTO suggestion_message VALUES (?1, ?2, ?3)")?;
            for message in &suggestion.cited {
                cite.execute(params![tenant.as_str(), suggestion.id, message.as_str()])?;
            }
            note(transaction, tenant, &suggestion.ticket, &suggestion.ticket_state, suggestion.created)?;
            Ok(true)
        })
    }

    /// The suggestion of this id, with what became of it.
    pub fn suggestion(&self, tenant: &TenantId, id: &str) -> Result<Option<KnownSuggestion>, LedgerError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM {TABLES} WHERE suggestion.tenant = ?1 AND suggestion.id = ?2"
        ))?;
        let mut rows = statement.query(params![tenant.as_str(), id])?;
        rows.next()?.map(|row| self.suggestion_of(&connection, tenant, row)).transpose()
    }

    /// A page of up to `limit` suggestions (at least 1), newest first, from a cursor on: of one ticket, or of all.
    pub fn suggestions(
        &self,
        tenant: &TenantId,
        ticket: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<SuggestionPage, LedgerError> {
        let (before, [id]) = cursor::position(after)?;
        // Two statements, since each has an index of its own.
        let of_ticket = if ticket.is_some() { "suggestion.ticket = ?5" } else { "?5 IS NULL" };
        let connection = self.reader()?;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM {TABLES} WHERE suggestion.tenant = ?1 AND {of_ticket} AND created <= ?2
                AND (created, id) < (?2, ?3) ORDER BY created DESC, id DESC LIMIT ?4"
        ))?;
        let mut rows = statement.query(params![tenant.as_str(), before, id, i64::from(limit.max(1)) + 1, ticket])?;
        let mut suggestions = Vec::new();
        while let Some(row) = rows.next()? {
            suggestions.push(self.suggestion_of(&connection, tenant, row)?);
        }
        let next = cursor::more(&mut suggestions, limit).map(|last: &KnownSuggestion| {
            cursor::encode(&[&last.suggestion.created.as_millisecond().to_string(), &last.suggestion.id])
        });
        Ok(SuggestionPage { suggestions, next })
    }

    /// Notes that the ticket was seen in this state at this time: suggestions for another state of it are stale from then on.
    /// What was seen earlier never takes the place of what was seen later.
    pub fn note_ticket(&self, tenant: &TenantId, ticket: &str, state: &str, at: Timestamp) -> Result<(), LedgerError> {
        self.write(|transaction| note(transaction, tenant, ticket, state, at))
    }

    /// Whether the suggestion's ticket was seen in another state since; `None` where there is no such suggestion.
    pub fn stale(&self, tenant: &TenantId, id: &str) -> Result<Option<bool>, LedgerError> {
        let connection = self.reader()?;
        let stale = connection
            .prepare_cached(
                "SELECT ifnull(ticket_state.state <> suggestion.state, 0) FROM suggestion LEFT JOIN ticket_state
                    ON ticket_state.tenant = ?1 AND ticket_state.ticket = suggestion.ticket
                 WHERE suggestion.tenant = ?1 AND id = ?2",
            )?
            .query_row(params![tenant.as_str(), id], |row| row.get(0))
            .optional()?;
        Ok(stale)
    }

    fn suggestion_of(
        &self,
        connection: &Connection,
        tenant: &TenantId,
        row: &Row<'_>,
    ) -> Result<KnownSuggestion, LedgerError> {
        let id: String = row.get(0)?;
        let cited = connection
            .prepare_cached(
                "SELECT message FROM suggestion_message WHERE tenant = ?1 AND suggestion = ?2 ORDER BY message",
            )?
            .query_map(params![tenant.as_str(), id], |row| Ok(MessageId::from_stored(row.get::<_, String>(0)?)))?
            .collect::<Result<_, _>>()?;
        let suggestion = SuggestionRecord {
            ticket: row.get(1)?,
            ticket_state: row.get(2)?,
            ticket_messages: row.get(3)?,
            created: time::read(row.get(4)?)?,
            found: row.get(5)?,
            provider: row.get(6)?,
            model: row.get(7)?,
            source: row.get::<_, Option<String>>(8)?.filter(|id| !id.is_empty()).map(MailboxId::from_stored),
            terms: self.unpack_json(tenant, &place("suggestion.terms", &[&id]), row.get(9)?)?,
            cited,
            body: self.unpack_json(tenant, &place("suggestion.body", &[&id]), row.get(10)?)?,
            id: id.clone(),
        };
        Ok(KnownSuggestion { suggestion, stale: row.get(11)?, outcome: self.outcome_of(tenant, &id, row, 12)? })
    }
}

fn note(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    ticket: &str,
    state: &str,
    at: Timestamp,
) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "INSERT INTO ticket_state (tenant, ticket, state, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET state = excluded.state, at = excluded.at WHERE excluded.at >= at",
        )?
        .execute(params![tenant.as_str(), ticket, state, at.as_millisecond()])?;
    Ok(())
}
