//! What became of suggestions: they are kept when they are given, people say what they did with them, and later ones learn
//! from it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use rejoinder_assist::{Rejection, ReplyHistory, SuggestRequest, TicketDirection};
use rejoinder_domain::{Address, ErrorKind, MessageId, SeamError, TenantId};
use rejoinder_ledger::{
    EditClass, KnownSuggestion, LearnedPair, Ledger, LedgerError, Outcome, OutcomeKind, OutcomeRecorded, Stats,
    SuggestionPage, SuggestionRecord,
};
use rejoinder_pipeline::Lesson;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::rejoinder::{Rejoinder, Suggested, fresh_id};

/// Longer texts are compared by their first words.
const COMPARED_WORDS: usize = 3000;
/// What a person is given to compare: at most so many characters of a reply or a reason.
const MAX_CHARS: usize = 200_000;

/// What a person did with a suggestion.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// `sug_...`.
    pub suggestion: String,
    /// Which of its drafts, from 0.
    pub candidate: u32,
    /// What was done with it.
    pub kind: OutcomeKind,
    /// What was sent. For an accepted draft `None` is the draft itself; an edited one needs it.
    pub final_text: Option<String>,
    /// Why, in the person's words.
    pub reason: Option<String>,
}

/// What is kept with a suggestion beside the answer that the caller saw.
struct Kept<'a> {
    body: &'a Value,
}

impl Kept<'_> {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// A draft's text.
    fn draft(&self, candidate: u32) -> Option<&str> {
        self.text(&format!("/answer/suggestions/{candidate}/text"))
    }

    /// The earlier replies that a draft was made from.
    fn replies(&self, candidate: u32) -> Vec<MessageId> {
        let fitted = self.body.pointer(&format!("/fitted_from/{candidate}")).and_then(Value::as_str);
        fitted.into_iter().map(MessageId::from_stored).collect()
    }
}

impl Rejoinder {
    /// An id for a suggestion that is about to be made: `sug_...`, unique.
    pub fn new_suggestion_id(&self) -> String {
        fresh_id("sug")
    }

    /// Keeps a suggestion as it is given, so that its outcome can be told and it can be read again. `answer` is what the
    /// caller is shown. Durable when this returns. [`ErrorKind::Transient`] where it cites mail that was erased
    /// meanwhile: it is not kept, must not be shown, and can be made anew.
    pub async fn keep_suggestion(
        &self,
        tenant: &TenantId,
        request: &SuggestRequest,
        suggested: &Suggested,
        answer: Value,
    ) -> Result<(), Error> {
        let first = suggested.answer.suggestions.first();
        let cited = suggested.answer.suggestions.iter().flat_map(|suggestion| &suggestion.citations);
        let mut cited: Vec<MessageId> = cited.map(|citation| citation.message_id.clone()).collect();
        cited.extend(suggested.answer.nearest.iter().map(|citation| citation.message_id.clone()));
        cited.extend(suggested.answer.suggestions.iter().filter_map(|suggestion| suggestion.fitted_from.clone()));
        cited.sort_unstable();
        cited.dedup();
        let fitted: Vec<Option<&str>> = suggested
            .answer
            .suggestions
            .iter()
            .map(|suggestion| suggestion.fitted_from.as_ref().map(MessageId::as_str))
            .collect();
        let question = &suggested.answer.question;
        let mut record = SuggestionRecord {
            id: suggested.id.clone(),
            ticket: request.ticket.id.clone(),
            ticket_state: ticket_state(request),
            ticket_messages: request.ticket.messages.len() as u32,
            created: Timestamp::now(),
            terms: question.terms.iter().take(64).cloned().collect(),
            found: first.is_some(),
            provider: first.map_or("none", |first| first.provider.as_str()).to_owned(),
            model: first.map_or("none", |first| first.model.as_str()).to_owned(),
            source: None,
            cited,
            body: json!({
                "answer": answer,
                "asked": {
                    "subject": question.subject,
                    "text": question.text,
                    "email": request.ticket.customer.email,
                    "name": request.ticket.customer.name,
                },
                "fitted_from": fitted,
            }),
        };
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        let best = first.and_then(|first| {
            let cited = first.citations.first().map(|citation| (citation.message_id.clone(), citation.mailbox.clone()));
            cited.or_else(|| first.fitted_from.clone().map(|reply| (reply, String::new())))
        });
        let kept = blocking(move || {
            if let Some((message, mailbox)) = best {
                // One message can be in several mailboxes: the one that is shown.
                let holders = ledger.named_mailboxes_of(&of, &message)?;
                let shown = holders.iter().find(|(_, name)| *name == mailbox).or(holders.first());
                record.source = shown.map(|(id, _)| id.clone());
            }
            match ledger.record_suggestion(&of, &record) {
                // The same request was answered before and nobody heard it: this answer takes the other's place.
                Err(LedgerError::Exists(_)) => {
                    ledger.erase_suggestions(&of, std::slice::from_ref(&record.id))?;
                    Ok(ledger.record_suggestion(&of, &record)?)
                }
                recorded => Ok(recorded?),
            }
        })
        .await?;
        if kept {
            return Ok(());
        }
        Err(failed(ErrorKind::Transient, "mail that this suggestion cites was erased meanwhile"))
    }

    /// A suggestion with what became of it; its `body` holds the answer under `answer`.
    pub async fn suggestion(&self, tenant: &TenantId, id: &str) -> Result<Option<KnownSuggestion>, Error> {
        let (ledger, of, id) = (Arc::clone(&self.parts.ledger), tenant.clone(), id.to_owned());
        blocking(move || Ok(ledger.suggestion(&of, &id)?)).await
    }

    /// A page of suggestions, newest first, of one ticket or of all.
    pub async fn suggestions(
        &self,
        tenant: &TenantId,
        ticket: Option<String>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<SuggestionPage, Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        blocking(move || Ok(ledger.suggestions(&of, ticket.as_deref(), cursor.as_deref(), limit)?)).await
    }

    /// Keeps what a person did with a suggestion. What was sent becomes a reply pair that later suggestions find, what was
    /// rejected is avoided. [`ErrorKind::NotFound`] for an unknown suggestion or draft, [`ErrorKind::Invalid`] where a text is
    /// missing; whether another outcome was recorded before is in the answer.
    pub async fn feedback(&self, tenant: &TenantId, feedback: Feedback) -> Result<OutcomeRecorded, Error> {
        let Some(known) = self.suggestion(tenant, &feedback.suggestion).await? else {
            return Ok(OutcomeRecorded::NotFound);
        };
        let kept = Kept { body: &known.suggestion.body };
        let Some(draft) = kept.draft(feedback.candidate) else {
            return Err(failed(ErrorKind::NotFound, "the suggestion has no such draft"));
        };
        let (sent, outcome) = judge(draft, &feedback)?;
        let replies = kept.replies(feedback.candidate);
        let (ledger, of, id) = (Arc::clone(&self.parts.ledger), tenant.clone(), feedback.suggestion.clone());
        let is_rejected = feedback.kind == OutcomeKind::Rejected;
        let recorded = blocking(move || {
            let recorded = ledger.record_outcome(&of, &id, &outcome)?;
            let counts = matches!(recorded, OutcomeRecorded::Recorded | OutcomeRecorded::Same);
            if counts && is_rejected {
                ledger.record_rejected(&of, &id, &replies, outcome.recorded)?;
            }
            Ok(recorded)
        })
        .await?;
        // Told again, the pair may be missing still: the process can have died between the two.
        if let (OutcomeRecorded::Recorded | OutcomeRecorded::Same, Some(sent)) = (&recorded, sent) {
            self.learn(tenant, &known, sent).await?;
        }
        // What is answered from memory knows nothing of this yet.
        self.forget(tenant, None);
        Ok(recorded)
    }

    /// Makes a reply pair of the question and what was sent.
    async fn learn(&self, tenant: &TenantId, known: &KnownSuggestion, sent: String) -> Result<(), Error> {
        let kept = Kept { body: &known.suggestion.body };
        let asker = kept.text("/asked/email").map(|email| Address {
            name: kept.text("/asked/name").unwrap_or_default().to_owned(),
            email: email.to_owned(),
        });
        let lesson = Lesson {
            question_text: kept.text("/asked/text").unwrap_or_default().to_owned(),
            subject: kept.text("/asked/subject").unwrap_or_default().to_owned(),
            from: asker,
            reply_text: sent,
            reply_from: None,
            sent_at: known.suggestion.created,
        };
        let pair = self.parts.intake.index_learned(tenant, lesson).await?;
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        let pair = LearnedPair {
            suggestion: known.suggestion.id.clone(),
            question: pair.question.id,
            reply: pair.reply.id,
            mailbox: pair.mailbox,
        };
        blocking(move || Ok(ledger.record_learned(&of, &pair)?)).await?;
        Ok(())
    }

    /// What became of the suggestions of a time, and which questions nothing was found for.
    pub async fn stats(
        &self,
        tenant: &TenantId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Stats, Error> {
        let (ledger, of) = (Arc::clone(&self.parts.ledger), tenant.clone());
        blocking(move || Ok(ledger.stats(&of, since, until)?)).await
    }
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Worker)?
}

pub(crate) fn failed(kind: ErrorKind, message: &str) -> Error {
    SeamError::new(kind, message).into()
}

/// What was sent, where something was, and the outcome to be kept.
fn judge(draft: &str, feedback: &Feedback) -> Result<(Option<String>, Outcome), Error> {
    for text in [&feedback.final_text, &feedback.reason].into_iter().flatten() {
        if text.chars().count() > MAX_CHARS {
            return Err(failed(ErrorKind::Invalid, "a text is too long"));
        }
    }
    let given = feedback.final_text.as_deref().filter(|text| !text.trim().is_empty());
    let sent = match (feedback.kind, given) {
        (OutcomeKind::Rejected, _) => None,
        (OutcomeKind::Accepted, None) => Some(unmarked(draft)),
        (_, Some(text)) => Some(text.to_owned()),
        (OutcomeKind::Edited, None) => {
            return Err(failed(ErrorKind::Invalid, "an edited draft needs the text that was sent"));
        }
    };
    let ratio = sent.as_deref().map_or(0.0, |sent| edit_ratio(&unmarked(draft), sent));
    let outcome = Outcome {
        candidate: feedback.candidate,
        kind: feedback.kind,
        edit_class: edit_class(ratio),
        edit_ratio: ratio,
        reason: feedback.reason.clone(),
        final_digest: sent.as_deref().map(|sent| hex(&Sha256::digest(sent.as_bytes()))),
        recorded: Timestamp::now(),
    };
    Ok((sent, outcome))
}

/// The share of words that have to be put in, taken out or changed to make one text of the other (Levenshtein's distance over
/// words by the longer text's length), 0 to 1. White space does not count.
fn edit_ratio(draft: &str, sent: &str) -> f64 {
    let words = |text: &str| text.split_whitespace().take(COMPARED_WORDS).map(str::to_owned).collect::<Vec<String>>();
    let (one, other) = (words(draft), words(sent));
    let longer = one.len().max(other.len());
    if longer == 0 {
        return 0.0;
    }
    strsim::generic_levenshtein(&one, &other) as f64 / longer as f64
}

/// Up to a tenth of the words, three tenths, six tenths, more.
fn edit_class(ratio: f64) -> EditClass {
    match ratio {
        ratio if ratio <= 0.0 => EditClass::None,
        ratio if ratio <= 0.1 => EditClass::Light,
        ratio if ratio <= 0.3 => EditClass::Moderate,
        ratio if ratio <= 0.6 => EditClass::Heavy,
        _ => EditClass::Rewritten,
    }
}

/// A draft without the marks around what was to be looked at.
fn unmarked(draft: &str) -> String {
    const OPEN: &str = "[[check: ";
    let mut text = String::with_capacity(draft.len());
    let mut rest = draft;
    while let Some((before, after)) = rest.split_once(OPEN) {
        text.push_str(before);
        if let Some((marked, after)) = after.split_once("]]") {
            text.push_str(marked);
            rest = after;
        } else {
            text.push_str(OPEN);
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

/// Two requests for a ticket in the same state have the same messages.
fn ticket_state(request: &SuggestRequest) -> String {
    let mut digest = Sha256::new();
    for message in &request.ticket.messages {
        let direction: &[u8] = match message.direction {
            TicketDirection::Inbound => b"in",
            TicketDirection::Outbound => b"out",
            TicketDirection::Note => b"note",
        };
        let html = message.html.as_deref().unwrap_or_default();
        for part in [direction, message.text.as_bytes(), html.as_bytes()] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What people did with earlier suggestions, out of the ledger.
pub(crate) struct LedgerHistory(pub(crate) Arc<Ledger>);

impl ReplyHistory for LedgerHistory {
    fn rejections(&self, tenant: &TenantId, ticket: &str, replies: &[MessageId]) -> Result<Vec<Rejection>, SeamError> {
        let seam = |error: rejoinder_ledger::LedgerError| {
            SeamError::new(error.kind(), "the ledger could not be read").caused_by(error)
        };
        let here: HashSet<MessageId> = self.0.rejected_for(tenant, ticket).map_err(seam)?.into_iter().collect();
        let counts = self.0.rejections(tenant, replies).map_err(seam)?;
        let mut rejections: Vec<Rejection> = counts
            .into_iter()
            .map(|(reply, count)| Rejection {
                here: here.contains(&reply),
                elsewhere: u32::try_from(count).unwrap_or(u32::MAX),
                reply,
            })
            .collect();
        rejections.sort_by(|one, other| one.reply.cmp(&other.reply));
        Ok(rejections)
    }
}

#[cfg(test)]
mod tests {
    use rejoinder_ledger::{EditClass, OutcomeKind};

    use super::{Feedback, edit_class, edit_ratio, judge, unmarked};

    #[test]
    fn marks_are_no_edit() {
        assert_eq!(unmarked("pay [[check: EUR 5]] by [[check: Monday]]."), "pay EUR 5 by Monday.");
        assert_eq!(unmarked("open [[check: end"), "open [[check: end");
        let feedback = |kind, text: Option<&str>| Feedback {
            suggestion: "sug_1".to_owned(),
            candidate: 0,
            kind,
            final_text: text.map(str::to_owned),
            reason: None,
        };
        let (sent, outcome) = judge("pay [[check: EUR 5]] now", &feedback(OutcomeKind::Accepted, None)).unwrap();
        assert_eq!((sent.as_deref(), outcome.edit_class), (Some("pay EUR 5 now"), EditClass::None));
        assert!(judge("x", &feedback(OutcomeKind::Edited, Some("  "))).is_err());
        let (sent, outcome) = judge("x", &feedback(OutcomeKind::Rejected, Some("y"))).unwrap();
        assert_eq!((sent, outcome.edit_ratio), (None, 0.0));
    }

    #[test]
    fn classes_of_edits() {
        let draft = "one two three four five six seven eight nine ten";
        for (sent, class) in [
            ("one  two three four five\nsix seven eight nine ten", EditClass::None),
            ("one two three four five six seven eight nine eleven", EditClass::Light),
            ("one two three four five six seven", EditClass::Moderate),
            ("one two three four five", EditClass::Heavy),
            ("something else", EditClass::Rewritten),
        ] {
            assert_eq!(edit_class(edit_ratio(draft, sent)), class, "{sent}");
        }
        assert!(edit_ratio("", "").abs() < f64::EPSILON);
    }
}
