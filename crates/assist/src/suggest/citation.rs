//! Quotations that are verified against the message they name.

use std::collections::HashMap;

use rejoinder_domain::{MailboxId, Message, MessageId, Span, TenantId};

use super::answer::Citation;
use crate::{AssistError, MessageLookup};

/// The longest quotation, in characters: enough to judge, short enough to read.
const MAX_QUOTE_CHARS: usize = 400;

/// What a citation is to quote.
pub(crate) struct Claim<'a> {
    /// The message.
    pub(crate) message_id: &'a MessageId,
    /// The words that the index holds.
    pub(crate) text: &'a str,
    /// Where the index says they are in the message's body, if it says.
    pub(crate) span: Option<Span>,
    /// Similarity to the question, 0 to 1.
    pub(crate) score: f32,
}

/// Verified citations and how many claims could not be verified.
#[derive(Default)]
pub(crate) struct Verified {
    /// In the order of the claims, numbered from 1.
    pub(crate) citations: Vec<Citation>,
    /// Claims whose message is gone or does not hold the words.
    pub(crate) dropped: usize,
}

/// Messages of one request, each looked up once.
pub(crate) struct Messages<'a> {
    lookup: &'a dyn MessageLookup,
    tenant: &'a TenantId,
    seen: HashMap<MessageId, Option<Message>>,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(lookup: &'a dyn MessageLookup, tenant: &'a TenantId) -> Self {
        Self { lookup, tenant, seen: HashMap::new() }
    }

    /// The message, if the tenant has it.
    pub(crate) fn get(&mut self, id: &MessageId) -> Result<Option<&Message>, AssistError> {
        if !self.seen.contains_key(id) {
            let message = self.lookup.message(self.tenant, id)?;
            self.seen.insert(id.clone(), message);
        }
        Ok(self.seen.get(id).and_then(Option::as_ref))
    }

    /// Quotes every claim whose words are in its message; two claims to the same words give one citation. `allowed` are
    /// the mailboxes that the request may see; empty allows all.
    pub(crate) fn verify(&mut self, claims: &[Claim<'_>], allowed: &[MailboxId]) -> Result<Verified, AssistError> {
        let mut verified = Verified::default();
        for claim in claims {
            let quoted =
                self.get(claim.message_id)?.and_then(|message| Some((quote(message, claim)?, message.clone())));
            let Some(((span, start, end), message)) = quoted else {
                verified.dropped += 1;
                continue;
            };
            let same =
                |other: &Citation| other.message_id == *claim.message_id && other.start == start && other.end == end;
            if verified.citations.iter().any(same) {
                continue;
            }
            verified.citations.push(Citation {
                n: verified.citations.len() as u32 + 1,
                message_id: claim.message_id.clone(),
                mailbox: self.mailbox(claim.message_id, allowed)?,
                subject: message.subject.clone(),
                sent_at: message.sent_at,
                from: author(&message),
                quote: span.of(&message.body.text).unwrap_or_default().to_owned(),
                start,
                end,
                score: claim.score.clamp(0.0, 1.0),
            });
        }
        Ok(verified)
    }

    /// The name of a mailbox that holds the message: one that the request asked for, if it named any.
    fn mailbox(&self, id: &MessageId, allowed: &[MailboxId]) -> Result<String, AssistError> {
        let mailboxes = self.lookup.mailboxes_of(self.tenant, id)?;
        let preferred = mailboxes.iter().find(|(mailbox, _)| allowed.contains(mailbox));
        Ok(preferred.or(mailboxes.first()).map(|(_, name)| name.clone()).unwrap_or_default())
    }
}

/// Display name, or the address where there is none.
fn author(message: &Message) -> String {
    let from = message.from.as_ref();
    from.map(|from| if from.name.is_empty() { from.email.clone() } else { from.name.clone() }).unwrap_or_default()
}

/// Where the claim's words, or as much of them as a quotation holds, are in the message: bytes, then code points.
/// `None` where they are not.
fn quote(message: &Message, claim: &Claim<'_>) -> Option<(Span, usize, usize)> {
    let body = &message.body.text;
    let at_span = claim.span.filter(|span| span.of(body).is_some_and(|words| words.trim() == claim.text.trim()));
    let whole = at_span.or_else(|| find(body, claim.text.trim())).or_else(|| {
        // The index joins the parts of a message; each part is still there verbatim. The longest says most.
        let paragraphs = claim.text.split("\n\n").chain(claim.text.lines()).map(str::trim);
        let longest = paragraphs.filter(|part| part.chars().count() >= 12).filter_map(|part| find(body, part));
        longest.max_by_key(|span| span.len())
    })?;
    let trimmed = trim(body, whole)?;
    let short = shorten(body, trimmed)?;
    let (start, end) = short.in_chars(body)?;
    (!short.is_empty()).then_some((short, start, end))
}

fn find(body: &str, words: &str) -> Option<Span> {
    if words.is_empty() {
        return None;
    }
    let start = body.find(words)?;
    Span::new(start, start + words.len())
}

fn trim(body: &str, span: Span) -> Option<Span> {
    let words = span.of(body)?;
    let start = span.start() + (words.len() - words.trim_start().len());
    Span::new(start, start + words.trim().len())
}

/// At most [`MAX_QUOTE_CHARS`] characters, up to the end of a sentence or line where one is not too early.
fn shorten(body: &str, span: Span) -> Option<Span> {
    let words = span.of(body)?;
    let Some((limit, _)) = words.char_indices().nth(MAX_QUOTE_CHARS) else { return Some(span) };
    let head = words.get(..limit)?;
    let sentence = head.rfind(['\n', '.', '!', '?']).map(|at| at + 1).filter(|at| *at > limit / 2);
    let word = head.rfind(char::is_whitespace).filter(|at| *at > limit / 2);
    let end = sentence.or(word).unwrap_or(limit);
    let head = words.get(..end)?.trim_end();
    Span::new(span.start(), span.start() + head.len())
}

#[cfg(test)]
mod tests {
    use super::{Claim, Messages};
    use crate::fakes::{FakeLookup, message, tenant};
    use rejoinder_domain::Span;

    #[test]
    fn a_quotation_is_verbatim_and_counted_in_code_points() {
        let message = message("Re: Größe", "Anna", "anna@weber.example", "Grüße — ä.\nDie Größe passt.\n> alt");
        let text = message.body.text.clone();
        let start = text.find("Die").unwrap();
        let span = Span::new(start, start + "Die Größe passt.".len());
        let lookup = FakeLookup::of([message.clone()]);
        let tenant = tenant();
        let claims = [Claim { message_id: &message.id, text: "Die Größe passt.", span, score: 0.9 }];
        let verified = Messages::new(&lookup, &tenant).verify(&claims, &[]).unwrap();
        let citation = &verified.citations[0];
        let quoted: String = text.chars().skip(citation.start).take(citation.end - citation.start).collect();
        assert_eq!(quoted, citation.quote);
        assert_eq!((citation.quote.as_str(), citation.start, citation.n), ("Die Größe passt.", 11, 1));
        assert_eq!((citation.mailbox.as_str(), citation.from.as_str()), ("Inbox of ours", "Anna"));
    }

    #[test]
    fn what_is_not_there_is_dropped_and_counted() {
        let message = message("s", "Anna", "anna@weber.example", "We ship on Monday, as agreed.");
        let other = super::MessageId::from_stored("msg_gone");
        let lookup = FakeLookup::of([message.clone()]);
        let tenant = tenant();
        let claim = |message_id, text, span| Claim { message_id, text, span, score: 0.5 };
        let claims = [
            claim(&message.id, "We ship on Tuesday, as agreed.", Span::new(0, 30)),
            claim(&other, "We ship on Monday", None),
            claim(&message.id, "We ship on Monday", Span::new(3, 900)),
            claim(&message.id, "", Some(Span::whole(""))),
        ];
        let verified = Messages::new(&lookup, &tenant).verify(&claims, &[]).unwrap();
        assert_eq!(verified.dropped, 3);
        assert_eq!(verified.citations.len(), 1, "a wrong span is looked up again");
        assert_eq!(verified.citations[0].quote, "We ship on Monday");
    }

    #[test]
    fn a_long_quotation_ends_at_a_sentence() {
        let sentence = "Der Vertrag läuft bis auf Weiteres fort. ";
        let message = message("s", "Anna", "anna@weber.example", &sentence.repeat(40));
        let lookup = FakeLookup::of([message.clone()]);
        let tenant = tenant();
        let claims = [Claim { message_id: &message.id, text: message.body.text.trim(), span: None, score: 0.5 }];
        let verified = Messages::new(&lookup, &tenant).verify(&claims, &[]).unwrap();
        let quote = &verified.citations[0].quote;
        assert!(quote.chars().count() <= 400 && quote.ends_with("fort."), "{quote}");
    }
}
