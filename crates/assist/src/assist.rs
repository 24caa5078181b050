//! The application's object: what it is made of, and search.

use std::sync::Arc;

use jiff::Timestamp;
use rejoinder_domain::{Direction, Filter, LanguageModel, MessageId, Pool, Role, SearchQuery, TenantId, VectorStore};

use crate::prompt::FenceKey;
use crate::{AssistConfig, AssistError, MessageLookup, QueryEmbedder, ReplyHistory, TextCleaner, Timer};

/// What [`Assist`] works with.
pub struct AssistParts {
    /// Where records are searched.
    pub store: Arc<dyn VectorStore>,
    /// The model whose vectors the store holds; without one everything goes by words.
    pub embedder: Option<Arc<dyn QueryEmbedder>>,
    /// Writes drafts and fills schemas; without one the exemplar is the draft and recognisers fill.
    pub language_model: Option<Arc<dyn LanguageModel>>,
    /// Ends the wait for a language model that is silent; without one only the model's own deadline does.
    pub timer: Option<Arc<dyn Timer>>,
    /// Where messages are read back to verify quotations.
    pub messages: Arc<dyn MessageLookup>,
    /// What people did with earlier suggestions; without one nothing is avoided.
    pub history: Option<Arc<dyn ReplyHistory>>,
    /// How mail text is divided.
    pub cleaner: Arc<dyn TextCleaner>,
    /// Which index the store holds: embedder and chunking.
    pub index_version: String,
    /// Configuration, already validated.
    pub config: AssistConfig,
}

/// Suggests replies, extracts attributes, searches: for one tenant per call.
pub struct Assist {
    pub(crate) store: Arc<dyn VectorStore>,
    pub(crate) embedder: Option<Arc<dyn QueryEmbedder>>,
    pub(crate) language_model: Option<Arc<dyn LanguageModel>>,
    pub(crate) timer: Option<Arc<dyn Timer>>,
    pub(crate) messages: Arc<dyn MessageLookup>,
    pub(crate) history: Option<Arc<dyn ReplyHistory>>,
    pub(crate) cleaner: Arc<dyn TextCleaner>,
    pub(crate) index_version: String,
    pub(crate) config: AssistConfig,
    pub(crate) fences: FenceKey,
}

/// A search over a tenant's mail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchRequest {
    /// What to look for.
    pub query: String,
    /// Results at most; `None` is the configured number.
    pub limit: Option<usize>,
    /// Restrictions.
    pub filter: Filter,
}

/// One passage that was found and is still in its message.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResult {
    /// The message.
    pub message_id: MessageId,
    /// The name of a mailbox that holds it; empty where none is known.
    pub mailbox: String,
    /// Its subject.
    pub subject: String,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Its author: display name, or the address where there is none.
    pub from: String,
    /// Which way it went.
    pub direction: Direction,
    /// The passage, verbatim.
    pub text: String,
    /// First code point in the message's body text.
    pub start: usize,
    /// One past the last code point; `start` where the message was found by its subject and `text` is that.
    pub end: usize,
    /// Fused score, 0 to 1, comparable within one search only.
    pub score: f32,
    /// Cosine similarity, -1 to 1; `None` without an embedder.
    pub similarity: Option<f32>,
    /// BM25 score; `None` where no word matched.
    pub lexical: Option<f32>,
}

impl Assist {
    /// Puts the parts together.
    pub fn new(parts: AssistParts) -> Self {
        let AssistParts { store, embedder, language_model, timer, messages, history, cleaner, index_version, config } =
            parts;
        let fences = FenceKey::random();
        Self { store, embedder, language_model, timer, messages, history, cleaner, index_version, config, fences }
    }

    /// The configuration.
    pub fn config(&self) -> &AssistConfig {
        &self.config
    }

    /// Finds passages by meaning and words, best first. A record whose message is gone or no longer holds the words is
    /// left out. Where the embedder fails, words alone decide.
    pub async fn search(&self, tenant: &TenantId, request: &SearchRequest) -> Result<Vec<SearchResult>, AssistError> {
        let query = request.query.trim();
        if query.is_empty() {
            return Err(AssistError::invalid("/query", "the query is empty"));
        }
        crate::ticket::check_chars(query, &self.config.limits, "/query")?;
        let limit = self.limit(request.limit, "/limit")?;
        let vector = self.embed_one(tenant, query).await.ok().flatten();
        let search = SearchQuery {
            pool: Pool::Passage,
            vector,
            text: Some(query.to_owned()),
            language: self.cleaner.language(query),
            limit,
            dense_weight: self.config.dense_weight * (1.0 - numbers(query)),
            filter: request.filter.clone(),
        };
        let mut results = Vec::new();
        for hit in self.store.search(tenant, &search).await? {
            let record = hit.record;
            let Some(message) = self.messages.message(tenant, &record.message_id)? else { continue };
            // A message without text of its own is found by its subject, at the empty span.
            let words = record.span.of(&message.body.text).filter(|_| !record.span.is_empty());
            let there = words.unwrap_or(&message.subject).trim() == record.text.trim();
            let Some((start, end)) = record.span.in_chars(&message.body.text).filter(|_| there) else { continue };
            let mailboxes = self.messages.mailboxes_of(tenant, &record.message_id)?;
            let allowed = mailboxes.iter().find(|(mailbox, _)| request.filter.mailboxes.contains(mailbox));
            results.push(SearchResult {
                message_id: record.message_id,
                mailbox: allowed.or(mailboxes.first()).map(|(_, name)| name.clone()).unwrap_or_default(),
                subject: record.subject,
                sent_at: record.sent_at,
                from: record.author,
                direction: record.direction,
                text: record.text,
                start,
                end,
                score: hit.score,
                similarity: hit.similarity,
                lexical: hit.lexical,
            });
        }
        Ok(results)
    }

    /// The number of results that a request gets.
    pub(crate) fn limit(&self, asked: Option<usize>, pointer: &str) -> Result<usize, AssistError> {
        let limit = asked.unwrap_or(self.config.limit);
        if limit == 0 || limit > self.config.max_limit {
            return Err(AssistError::invalid(pointer, format!("a limit is 1 to {}", self.config.max_limit)));
        }
        Ok(limit)
    }

    /// The query's vector: `Ok(None)` without an embedder, an error where it failed.
    pub(crate) async fn embed_one(
        &self,
        tenant: &TenantId,
        text: &str,
    ) -> Result<Option<Vec<f32>>, rejoinder_domain::SeamError> {
        let Some(embedder) = &self.embedder else { return Ok(None) };
        let vectors = embedder.embed(tenant, vec![text.to_owned()], Role::Query).await;
        if let Err(error) = &vectors {
            tracing::warn!(kind = ?error.kind, "the embedder failed; searching by words alone");
        }
        Ok(vectors?.into_iter().next())
    }
}

/// The share of words that are numbers or ids, such as `HM-2025-01942`: what an embedding makes of one says nothing.
fn numbers(query: &str) -> f32 {
    let is_one = |word: &&str| {
        word.chars().any(char::is_numeric) && word.chars().filter(|letter| letter.is_alphanumeric()).count() >= 4
    };
    let (words, ids) = (query.split_whitespace().count(), query.split_whitespace().filter(is_one).count());
    ids as f32 / words.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn ids_are_looked_for_by_their_words() {
        for (query, share) in [
            ("HM-2025-01942", 1.0),
            ("invoice HM-2025-01942", 0.5),
            ("lost invoice", 0.0),
            ("by 3 July 2026", 0.25),
            ("", 0.0),
        ] {
            assert!((numbers(query) - share).abs() < 1e-6, "{query}");
        }
    }
}
