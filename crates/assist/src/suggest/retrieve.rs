//! What the archive knows about a ticket: earlier questions with their replies, and passages.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rejoinder_domain::{Filter, Hit, MessageId, Pool, Record, ReplyText, SeamError, SearchQuery, TenantId};

use super::answer::{AskedQuestion, SuggestRequest};
use crate::ticket::{ReadMessage, TicketDirection};
use crate::{Assist, AssistError, Rejection};

/// The question that a ticket asks.
pub(crate) struct Question {
    /// Subject without `Re:`.
    subject: String,
    /// What the customer last wrote.
    asked: String,
    /// Both: what is embedded.
    pub(crate) text: String,
    /// Its language, ISO 639-1.
    pub(crate) language: Option<String>,
}

impl Question {
    /// As it is told to the caller.
    pub(crate) fn into_asked(self) -> AskedQuestion {
        let mut terms: Vec<String> = content_words(&self.text).into_iter().collect();
        terms.sort_unstable();
        AskedQuestion { subject: self.subject, text: self.asked, terms }
    }
}

/// An earlier question with the reply that it got.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    /// The question's record.
    pub(crate) record: Record,
    /// The reply.
    pub(crate) reply: ReplyText,
    /// Cosine similarity of the questions; without an embedder the share of words in common.
    pub(crate) similarity: f32,
    rank: f32,
}

/// What was found.
pub(crate) struct Found {
    /// Similar enough questions with usable replies, best first, each reply different from those before it.
    pub(crate) exemplars: Vec<Exemplar>,
    /// Passages that are similar enough, best first, with their similarity.
    pub(crate) passages: Vec<(Record, f32)>,
    /// Whether only words were compared.
    pub(crate) by_words_only: bool,
    /// Why the embedder gave no vector, where one is configured.
    pub(crate) embedder_error: Option<SeamError>,
    /// The bound that similarities had to reach.
    pub(crate) bound: f32,
}

/// What is longer is no reply that anyone would send again.
const MAX_REPLY_BYTES: usize = 40_000;
/// More replies than drafts are looked at, for some are alike or empty.
const EXEMPLARS_PER_CANDIDATE: usize = 6;
/// What a newer and a word-alike question gain over one of the same similarity.
const RECENCY_BONUS: f32 = 0.02;
const WORDS_BONUS: f32 = 0.02;
/// What a question in another language loses.
const OTHER_LANGUAGE: f32 = 0.1;
/// What a reply loses for every time that people rejected it for other tickets, and the most that it can lose so.
const REJECTED: f32 = 0.05;
const MOST_REJECTED: f32 = 0.25;

impl Assist {
    /// The question of the ticket's last inbound message.
    pub(crate) fn question(&self, request: &SuggestRequest, read: &[ReadMessage]) -> Result<Question, AssistError> {
        let last = read.iter().rev().find(|message| message.direction == TicketDirection::Inbound);
        let Some(last) = last else {
            return Err(AssistError::invalid("/ticket/messages", "the ticket has no inbound message to reply to"));
        };
        // A message that is all quotation still asks something.
        let new_text =
            Some(last.new_text()).filter(|text| !text.is_empty()).unwrap_or_else(|| last.text.trim().to_owned());
        let subject = plain_subject(&request.ticket.subject);
        let text = format!("{subject}\n{new_text}").trim().to_owned();
        if text.is_empty() {
            return Err(AssistError::invalid("/ticket", "the ticket has neither a subject nor an inbound text"));
        }
        let language = request.language.clone().or_else(|| self.cleaner.language(&new_text));
        Ok(Question { subject: subject.to_owned(), asked: new_text, text, language })
    }

    /// Searches both pools.
    pub(crate) async fn retrieve(
        &self,
        tenant: &TenantId,
        request: &SuggestRequest,
        question: &Question,
    ) -> Result<Found, AssistError> {
        let limit = self.limit(request.retrieval.limit, "/retrieval/limit")?;
        let (vector, embedder_error) = match self.embed_one(tenant, &question.text).await {
            Ok(vector) => (vector, None),
            Err(error) => (None, Some(error)),
        };
        let by_words_only = vector.is_none();
        let query = |pool, limit| SearchQuery {
            pool,
            vector: vector.clone(),
            text: Some(question.text.clone()),
            language: question.language.clone(),
            limit,
            dense_weight: self.config.dense_weight,
            filter: Filter {
                since: request.retrieval.since,
                mailboxes: request.retrieval.mailboxes.clone(),
                ..Filter::default()
            },
        };
        let pairs = query(Pool::ReplyPair, (request.candidates as usize * EXEMPLARS_PER_CANDIDATE).max(limit));
        let pairs = self.store.search(tenant, &pairs).await?;
        let passages = self.store.search(tenant, &query(Pool::Passage, limit)).await?;

        let bound = if by_words_only { self.config.min_word_overlap } else { self.config.min_similarity };
        let words = content_words(&question.text);
        let own = OwnMessages::of(request);
        let similarity = |hit: &Hit| match hit.similarity {
            Some(similarity) if !by_words_only => similarity,
            // A record that was stored without a vector cannot be compared by meaning; its words then have to do.
            _ => word_overlap(
                &words,
                &content_words(&format!("{}\n{}", plain_subject(&hit.record.subject), hit.record.text)),
            ),
        };
        let rejections = self.rejections(tenant, request, &pairs)?;
        let exemplars: Vec<Exemplar> = pairs
            .into_iter()
            .filter(|hit| !own.has(&hit.record))
            .filter_map(|hit| {
                let rejection = hit.record.reply.as_ref().and_then(|reply| rejections.get(&reply.message_id));
                if rejection.is_some_and(|rejection| rejection.here) {
                    return None;
                }
                let rejected = rejection.map_or(0.0, |rejection| REJECTED * rejection.elsewhere as f32);
                let similarity = similarity(&hit);
                let reply = hit.record.reply.clone().filter(|reply| is_usable(&reply.text))?;
                let other_language = differ(question.language.as_deref(), hit.record.language.as_deref());
                let overlap = word_overlap(&words, &content_words(&hit.record.text));
                let rank = similarity + WORDS_BONUS * overlap
                    - if other_language { OTHER_LANGUAGE } else { 0.0 }
                    - rejected.min(MOST_REJECTED);
                (similarity >= bound).then_some(Exemplar { record: hit.record, reply, similarity, rank })
            })
            .collect();
        let passages = passages.into_iter().filter(|hit| !own.has(&hit.record)).filter_map(|hit| {
            let similarity = similarity(&hit);
            (similarity >= bound).then_some((hit.record, similarity))
        });
        let passages = passages.collect();
        // A model learns from more replies than the request wants drafts; of the same list the drafts are the first.
        let shown = self.language_model.as_ref().map_or(0, |_| self.config.draft.exemplars);
        let exemplars = distinct(ranked(exemplars), shown.max(request.candidates as usize));
        Ok(Found { exemplars, passages, by_words_only, embedder_error, bound })
    }
}

impl Assist {
    /// Which of the replies that were found people rejected.
    fn rejections(
        &self,
        tenant: &TenantId,
        request: &SuggestRequest,
        pairs: &[Hit],
    ) -> Result<HashMap<MessageId, Rejection>, AssistError> {
        let Some(history) = &self.history else { return Ok(HashMap::new()) };
        let replies = pairs.iter().filter_map(|hit| hit.record.reply.as_ref());
        let replies: Vec<MessageId> = replies.map(|reply| reply.message_id.clone()).collect();
        if replies.is_empty() {
            return Ok(HashMap::new());
        }
        let rejections = history.rejections(tenant, &request.ticket.id, &replies)?;
        Ok(rejections.into_iter().map(|rejection| (rejection.reply.clone(), rejection)).collect())
    }
}

/// Best first: by similarity, with a little for the newer and a little for the same words; then by id, to be stable.
fn ranked(mut exemplars: Vec<Exemplar>) -> Vec<Exemplar> {
    let newest = exemplars.iter().filter_map(|exemplar| exemplar.reply.sent_at).max();
    for exemplar in &mut exemplars {
        exemplar.rank += RECENCY_BONUS * recency(exemplar.reply.sent_at, newest);
    }
    exemplars.sort_by(|one, other| match other.rank.total_cmp(&one.rank) {
        Ordering::Equal => one.record.id.cmp(&other.record.id),
        order => order,
    });
    exemplars
}

/// 1 for the newest reply, half for one that is a year older, and so on; 0 where no time is known.
fn recency(sent_at: Option<Timestamp>, newest: Option<Timestamp>) -> f32 {
    let (Some(sent_at), Some(newest)) = (sent_at, newest) else { return 0.0 };
    let years = (newest.as_second() - sent_at.as_second()) as f32 / (365.25 * 86_400.0);
    0.5_f32.powf(years.max(0.0))
}

/// The first `count` whose replies say different things.
fn distinct(exemplars: Vec<Exemplar>, count: usize) -> Vec<Exemplar> {
    let mut kept: Vec<(Exemplar, HashSet<String>)> = Vec::new();
    for exemplar in exemplars {
        let words = content_words(&exemplar.reply.text);
        let alike = kept.iter().any(|(other, other_words)| {
            other.reply.message_id == exemplar.reply.message_id || word_overlap(other_words, &words) > 0.85
        });
        if !alike && kept.len() < count {
            kept.push((exemplar, words));
        }
    }
    kept.into_iter().map(|(exemplar, _)| exemplar).collect()
}

/// A reply that says something besides a greeting, and that is a letter rather than a file.
fn is_usable(reply: &str) -> bool {
    reply.len() <= MAX_REPLY_BYTES
        && reply.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count() >= 4
}

fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// The ticket's own messages, which may be indexed already and would answer themselves.
struct OwnMessages<'a> {
    subject: String,
    email: Option<String>,
    messages: Vec<(Option<Timestamp>, String)>,
    request: &'a SuggestRequest,
}

impl<'a> OwnMessages<'a> {
    fn of(request: &'a SuggestRequest) -> Self {
        let text = |message: &crate::TicketMessage| (message.sent_at, squeeze(&message.text));
        Self {
            subject: squeeze(plain_subject(&request.ticket.subject)),
            email: request.ticket.customer.email.as_ref().map(|email| email.to_lowercase()),
            messages: request.ticket.messages.iter().map(text).collect(),
            request,
        }
    }

    /// Whether the record is of one of them: sent at the same second with the same subject or text, or, where a time is
    /// missing, the same subject and text from the same customer. Another customer's identical question is not.
    fn has(&self, record: &Record) -> bool {
        let text = squeeze(&record.text);
        let same_subject = squeeze(plain_subject(&record.subject)) == self.subject;
        let same_person = self.email.as_ref().is_none_or(|email| record.participants.contains(email));
        let is_own = |(sent_at, own_text): &(Option<Timestamp>, String)| {
            let same_text = !text.is_empty() && own_text.contains(&text);
            match (sent_at, record.sent_at) {
                (Some(one), Some(other)) => one.as_second() == other.as_second() && (same_subject || same_text),
                _ => same_subject && same_text && same_person,
            }
        };
        !self.request.ticket.messages.is_empty() && self.messages.iter().any(is_own)
    }
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The subject without the prefixes that replying and forwarding put before it.
pub(crate) fn plain_subject(subject: &str) -> &str {
    const PREFIXES: [&str; 18] = [
        "re", "aw", "fw", "fwd", "wg", "sv", "vs", "antw", "antwort", "rv", "res", "enc", "tr", "rif", "r", "i",
        "doorst", "odp",
    ];
    let mut rest = subject.trim();
    while let Some((prefix, after)) = rest.split_once(':') {
        // `Re[2]:` counts the replies.
        let word = prefix.split('[').next().unwrap_or_default().trim().to_lowercase();
        if !PREFIXES.contains(&word.as_str()) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

/// Words that say what a text is about: at least four letters (or any with a digit), lower case.
pub(crate) fn content_words(text: &str) -> HashSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| word.chars().count() >= 4 || word.contains(|c: char| c.is_numeric()))
        .map(str::to_lowercase)
        .collect()
}

/// The share of two texts' words that they have in common (Dice's coefficient), 0 to 1.
fn word_overlap(one: &HashSet<String>, other: &HashSet<String>) -> f32 {
    let common = one.intersection(other).count();
    let all = one.len() + other.len();
    if all == 0 { 0.0 } else { 2.0 * common as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::{content_words, is_usable, plain_subject, recency, word_overlap};

    #[test]
    fn subjects_lose_their_prefixes() {
        for (subject, plain) in [
            ("Re: AW: Invoice", "Invoice"),
            ("RE[2]: Fwd: Invoice: late", "Invoice: late"),
            ("Invoice", "Invoice"),
            (" Antw: Größe", "Größe"),
            ("Re:", ""),
            ("Note: nothing", "Note: nothing"),
        ] {
            assert_eq!(plain_subject(subject), plain);
        }
    }

    #[test]
    fn overlap_is_symmetric_and_bounded() {
        let (a, b) = (content_words("invoice arrived twice"), content_words("The invoice never arrived"));
        assert!((word_overlap(&a, &b) - word_overlap(&b, &a)).abs() < 1e-6);
        assert!((word_overlap(&a, &a) - 1.0).abs() < 1e-6);
        assert!(word_overlap(&content_words(""), &content_words("")).abs() < 1e-6);
    }

    #[test]
    fn a_greeting_is_no_reply() {
        assert!(!is_usable("Hi Anna,\n\nPeter"));
        assert!(is_usable("It works again now."));
    }

    #[test]
    fn a_reply_a_year_older_has_half() {
        let at = |text: &str| text.parse().ok();
        let half = recency(at("2023-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z"));
        assert!((half - 0.5).abs() < 0.01, "{half}");
    }
}
