//! Suggesting a reply: question, retrieval from two pools, draft, checks, citations.
//!
//! The first draft is the exemplar: the reply that our side gave to the most similar message, fitted to this ticket. It
//! is there at once. Where a language model is configured, it then writes a draft from the ticket and what was found;
//! its numbers for sources are taken out of the text and replaced by verified quotations, and what nothing supports is
//! marked. A model that fails, or that writes what must not be sent, leaves the exemplar as the answer.
//!
//! Modules in reading order: [`answer`] (what is asked and answered), [`observe`] (what is known before), `retrieve`,
//! `salutation`, `support` (what a draft may state), `fit`, `citation`, [`injection`], `checks`, [`confidence`]; for a
//! language model `prompt`, `marks`, `reject`, `align`, `commitment`, `write`.

pub(crate) mod align;
pub mod answer;
mod checks;
mod citation;
pub(crate) mod commitment;
pub mod confidence;
mod fit;
pub mod injection;
pub(crate) mod marks;
pub mod observe;
mod prompt;
pub(crate) mod reject;
mod retrieve;
mod salutation;
mod support;
#[cfg(test)]
mod tests;
mod write;
#[cfg(test)]
mod write_tests;

use std::time::Instant;

use rejoinder_domain::{Address, Message, Record, Span, TenantId};

use crate::generation::elapsed_ms;
use crate::ticket::{ReadMessage, TicketDirection, check_chars};
use crate::{Assist, AssistError, Ticket};
use answer::{Attempt, Citation, NoSuggestion, SuggestAnswer, SuggestRequest, Suggestion, Timings, Usage};
use checks::Checked;
use citation::{Claim, Messages};
use fit::Fit;
use observe::{SuggestEvent, SuggestObserver};
use retrieve::{Exemplar, Found, Question};
use salutation::PersonName;
use support::{EarlierPeople, Support};

#[cfg(test)]
pub(crate) use prompt::INSTRUCTIONS;

/// The tier that drafts without a language model.
const PROVIDER: &str = "exemplar";
/// What it draws from.
const MODEL: &str = "reply-pairs";
/// The most drafts of one request.
const MAX_CANDIDATES: u32 = 5;

impl Assist {
    /// Drafts a reply to the ticket's last inbound message, or says that nothing similar is known. With a language model
    /// its draft is the answer; where it fails or writes what must not be sent, the earlier reply is, and the attempts
    /// say why.
    pub async fn suggest(&self, tenant: &TenantId, request: &SuggestRequest) -> Result<SuggestAnswer, AssistError> {
        self.suggest_with(tenant, request, None).await
    }

    /// The same, and `observer` is told what is known before the answer is. Dropping the future ends the model's work.
    pub async fn suggest_observed(
        &self,
        tenant: &TenantId,
        request: &SuggestRequest,
        observer: &dyn SuggestObserver,
    ) -> Result<SuggestAnswer, AssistError> {
        self.suggest_with(tenant, request, Some(observer)).await
    }

    async fn suggest_with(
        &self,
        tenant: &TenantId,
        request: &SuggestRequest,
        observer: Option<&dyn SuggestObserver>,
    ) -> Result<SuggestAnswer, AssistError> {
        let started = Instant::now();
        self.check_request(request)?;
        let read = request.ticket.read(self.cleaner.as_ref());
        let question = self.question(request, &read)?;
        let found = self.retrieve(tenant, request, &question).await?;
        let mut attempts = embedder_attempt(self, &found);
        let retrieved = elapsed_ms(started);

        let mut messages = Messages::new(self.messages.as_ref(), tenant);
        let case = Case::of(self, tenant, request, &read, &question, &found);
        if let Some(observer) = observer {
            observer.event(SuggestEvent::Retrieval(case.sources(&mut messages)?));
        }
        let mut suggestions = Vec::new();
        let mut first_draft = 0;
        for exemplar in found.exemplars.iter().take(request.candidates as usize) {
            suggestions.push(self.draft(&case, exemplar, &mut messages)?);
            if suggestions.len() == 1 {
                first_draft = elapsed_ms(started);
            }
        }
        if let (Some(observer), Some(draft)) = (observer, suggestions.first()) {
            observer.event(SuggestEvent::Draft(Box::new(draft.clone())));
        }
        attempts.push(Attempt {
            provider: PROVIDER.to_owned(),
            model: MODEL.to_owned(),
            outcome: if suggestions.is_empty() { NoSuggestion::NothingSimilar.code() } else { "ok" },
            ms: elapsed_ms(started),
            usage: Usage::default(),
        });
        if let Some(model) = self.language_model.as_deref().filter(|_| self.can_write(&case)) {
            let before = elapsed_ms(started);
            let tried = self.write(&case, model, &mut messages, observer).await?;
            attempts.extend(tried.attempts);
            if let Some(draft) = tried.draft {
                first_draft = before + tried.first_token.unwrap_or_default();
                suggestions.insert(0, draft);
                suggestions.truncate(request.candidates as usize);
            }
        }
        let nearest = if suggestions.is_empty() { case.nearest(&mut messages)? } else { Vec::new() };
        let total = elapsed_ms(started);
        tracing::debug!(%tenant, drafts = suggestions.len(), retrieved, total, "suggested");
        Ok(SuggestAnswer {
            ticket_id: request.ticket.id.clone(),
            question: question.into_asked(),
            no_suggestion_reason: suggestions.is_empty().then_some(NoSuggestion::NothingSimilar),
            suggestions,
            nearest,
            usage: Usage::sum(&attempts),
            attempts,
            timings: Timings { retrieve: retrieved, first_token: first_draft, total },
        })
    }

    /// Refuses a request that is over a limit.
    fn check_request(&self, request: &SuggestRequest) -> Result<(), AssistError> {
        request.ticket.check(&self.config.limits, "/ticket")?;
        if !(1..=MAX_CANDIDATES).contains(&request.candidates) {
            return Err(AssistError::invalid("/candidates", format!("candidates is 1 to {MAX_CANDIDATES}")));
        }
        if self.language_model.is_none() {
            return Ok(());
        }
        if request.max_tokens == Some(0) {
            return Err(AssistError::invalid("/max_tokens", "a draft has at least 1 token"));
        }
        for (pointer, wish) in [("/instructions", &request.instructions), ("/tone", &request.tone)] {
            check_chars(wish.as_deref().unwrap_or_default(), &self.config.limits, pointer)?;
        }
        Ok(())
    }

    /// Fits one exemplar to the ticket, checks and cites it.
    fn draft(
        &self,
        case: &Case<'_>,
        exemplar: &Exemplar,
        messages: &mut Messages<'_>,
    ) -> Result<Suggestion, AssistError> {
        let earlier = EarlierCase::of(exemplar, messages)?;
        let reply_language = self.cleaner.language(&exemplar.reply.text);
        let fit = Fit {
            customer: case.customer.as_ref(),
            agent_name: case.agent_name(),
            earlier_agent: earlier.agent.as_ref(),
            people: &earlier.people,
            support: &case.support,
            language: reply_language.as_deref(),
        };
        let fitted = fit.apply(&exemplar.reply.text);

        let claims: Vec<Claim<'_>> = exemplar_claims(exemplar).chain(passage_claims(case.found)).collect();
        let verified = messages.verify(&claims, &case.request.retrieval.mailboxes)?;
        let mut addressed = case.addresses_model.clone();
        for claim in &claims {
            note_address(&mut addressed, "retrieved mail", &injection::addresses_model(claim.text));
        }
        addressed.dedup();

        let closeness = confidence::closeness(exemplar.similarity, case.found.bound);
        let checks = checks::run(&Checked {
            draft: &fitted.text,
            unsupported: &fitted.marked,
            citations: (verified.citations.len(), verified.dropped),
            languages: (case.language, reply_language.as_deref()),
            addresses_model: &addressed,
            similarity: (exemplar.similarity, case.found.bound),
            closeness,
            by_words_only: case.found.by_words_only,
            unfollowed_instructions: case.asks_for_more,
            written: None,
        });
        let review_reasons = checks::review_reasons(&checks);
        Ok(Suggestion {
            text: fitted.text,
            provider: PROVIDER.to_owned(),
            model: MODEL.to_owned(),
            fitted_from: Some(exemplar.reply.message_id.clone()),
            language: reply_language,
            confidence: confidence::confidence(closeness, case.found.by_words_only, &checks),
            needs_review: !review_reasons.is_empty(),
            review_reasons,
            checks,
            citations: verified.citations,
        })
    }
}

/// What all drafts of one request share.
struct Case<'a> {
    tenant: &'a TenantId,
    request: &'a SuggestRequest,
    read: &'a [ReadMessage],
    found: &'a Found,
    customer: Option<PersonName>,
    support: Support,
    language: Option<&'a str>,
    addresses_model: Vec<String>,
    asks_for_more: bool,
}

impl<'a> Case<'a> {
    fn of(
        assist: &Assist,
        tenant: &'a TenantId,
        request: &'a SuggestRequest,
        read: &'a [ReadMessage],
        question: &'a Question,
        found: &'a Found,
    ) -> Self {
        let mut support = Support::default();
        let language = question.language.as_deref();
        support.add(&request.ticket.subject, language);
        for message in read {
            support.add(&message.text, assist.cleaner.language(&message.text).as_deref());
        }
        let customer = &request.ticket.customer;
        // What the agent asks for and who signs are as good as the ticket.
        for text in [&customer.name, &customer.email, &request.instructions, &request.agent_name].into_iter().flatten()
        {
            support.add(text, language);
        }
        let mut addresses_model = Vec::new();
        note_address(&mut addresses_model, "subject", &injection::addresses_model(&request.ticket.subject));
        for message in read.iter().filter(|message| message.direction == TicketDirection::Inbound) {
            let place = format!("ticket message {}", message.index + 1);
            note_address(&mut addresses_model, &place, &injection::addresses_model(&message.text));
            let html = request.ticket.messages.get(message.index).and_then(|message| message.html.as_deref());
            note_address(&mut addresses_model, &place, &injection::html_addresses_model(html.unwrap_or_default()));
        }
        let asks = |wish: &Option<String>| wish.as_deref().is_some_and(|wish| !wish.trim().is_empty());
        Self {
            tenant,
            request,
            read,
            found,
            customer: customer.name.as_deref().and_then(PersonName::parse),
            support,
            language,
            addresses_model,
            asks_for_more: asks(&request.instructions) || asks(&request.tone),
        }
    }

    /// Everything that was found, verified.
    fn sources(&self, messages: &mut Messages<'_>) -> Result<Vec<Citation>, AssistError> {
        let claims = self.found.exemplars.iter().flat_map(exemplar_claims).chain(passage_claims(self.found));
        let claims: Vec<Claim<'_>> = claims.collect();
        Ok(messages.verify(&claims, &self.request.retrieval.mailboxes)?.citations)
    }

    /// The passages that were found, verified.
    fn nearest(&self, messages: &mut Messages<'_>) -> Result<Vec<Citation>, AssistError> {
        let claims: Vec<Claim<'_>> = passage_claims(self.found).collect();
        Ok(messages.verify(&claims, &self.request.retrieval.mailboxes)?.citations)
    }

    /// Who signs, where that is known.
    fn agent_name(&self) -> Option<&'a str> {
        self.request.agent_name.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }

    /// What the ticket and the agent say, together.
    fn known(&self) -> String {
        let said = self.read.iter().map(|message| message.text.as_str());
        let wish = self.request.instructions.as_deref();
        let all: Vec<&str> = said.chain([self.request.ticket.subject.as_str()]).chain(wish).collect();
        all.join("\n")
    }

    /// What our side wrote or wants: earlier replies, this ticket's outbound messages, the agent's instructions.
    fn our_words<'b>(&'b self, sources: &'b [align::ShownSource]) -> Vec<&'b str> {
        let outbound = self.read.iter().filter(|message| message.direction == TicketDirection::Outbound);
        let shown = sources.iter().filter(|source| source.is_ours).map(|source| source.text.as_str());
        let wish = self.request.instructions.as_deref();
        outbound.map(|message| message.text.as_str()).chain(shown).chain(wish).collect()
    }
}

/// The people of an earlier case.
struct EarlierCase {
    people: EarlierPeople,
    agent: Option<PersonName>,
}

impl EarlierCase {
    fn of(exemplar: &Exemplar, messages: &mut Messages<'_>) -> Result<Self, AssistError> {
        let reply = messages.get(&exemplar.reply.message_id)?.cloned();
        let question = messages.get(&exemplar.record.message_id)?.cloned();
        let agent_address = reply.as_ref().and_then(|reply| reply.from.clone()).unwrap_or_default();
        let agent = PersonName::parse(&exemplar.reply.author).or_else(|| PersonName::parse(&agent_address.name));
        let mut people = EarlierPeople::default();
        people.add(&exemplar.record.author, "");
        for address in question.iter().chain(&reply).flat_map(addresses) {
            let is_agent = address.email == agent_address.email && !address.email.is_empty();
            if !is_agent && (address.name.is_empty() || address.name != exemplar.reply.author) {
                people.add(&address.name, &address.email);
                people.add(&name_from_address(&address.email), "");
            }
        }
        for email in &exemplar.record.participants {
            people.add("", email);
        }
        let signed = signed_name(&exemplar.record.text);
        people.add(signed.and_then(|name| name.of(&exemplar.record.text)).unwrap_or_default(), "");
        people.without_company_of(&agent_address.email);
        Ok(Self { people, agent })
    }
}

/// The name that a text is signed with, where it closes with words of closing and a name.
pub(crate) fn signed_name(text: &str) -> Option<Span> {
    salutation::find_sign_off(text).and_then(|sign_off| sign_off.name)
}

/// Everybody on a message.
fn addresses(message: &Message) -> Vec<&Address> {
    let one = message.from.iter().chain(&message.sender);
    one.chain(&message.to).chain(&message.cc).chain(&message.reply_to).collect()
}

/// Everybody who takes part in the ticket: their names are no business of a remote model.
pub(crate) fn people_of_ticket(ticket: &Ticket, agent_name: Option<&str>) -> Vec<Address> {
    let customer = Address {
        name: ticket.customer.name.clone().unwrap_or_default(),
        email: ticket.customer.email.clone().unwrap_or_default(),
    };
    let writers = ticket.messages.iter().map(|message| address(&message.from));
    let agent = agent_name.map(|name| Address { name: name.to_owned(), email: String::new() });
    std::iter::once(customer).chain(writers).chain(agent).collect()
}

/// `Anna Weber <anna@weber.example>`, a name alone or an address alone.
fn address(from: &str) -> Address {
    let from = from.trim();
    match from.rsplit_once('<') {
        Some((name, email)) => Address {
            name: name.trim().trim_matches('"').to_owned(),
            email: email.trim_end().trim_end_matches('>').to_owned(),
        },
        None if from.contains('@') => Address { name: String::new(), email: from.to_owned() },
        None => Address { name: from.to_owned(), email: String::new() },
    }
}

/// `Anna Weber` for `anna.weber@...`; empty where the address is not made like that.
fn name_from_address(email: &str) -> String {
    let local = email.split('@').next().unwrap_or_default();
    let parts: Vec<&str> = local.split(['.', '_', '-']).collect();
    let alphabetic = |part: &&str| part.chars().count() > 1 && part.chars().all(char::is_alphabetic);
    if parts.len() < 2 || !parts.iter().all(alphabetic) {
        return String::new();
    }
    let capital = |part: &&str| {
        let mut letters = part.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    parts.iter().map(capital).collect::<Vec<_>>().join(" ")
}

/// An earlier reply and the question that it answered, to be quoted.
fn exemplar_claims(exemplar: &Exemplar) -> impl Iterator<Item = Claim<'_>> {
    let (reply, score) = (&exemplar.reply, exemplar.similarity);
    let claim = Claim { message_id: &reply.message_id, text: &reply.text, span: None, score };
    std::iter::once(claim).chain(record_claim(&exemplar.record, score))
}

/// The passages that were found, to be quoted.
fn passage_claims(found: &Found) -> impl Iterator<Item = Claim<'_>> {
    found.passages.iter().filter_map(|(record, similarity)| record_claim(record, *similarity))
}

/// What a record says, to be quoted; `None` for one that stands for a subject, which is no part of a body.
fn record_claim(record: &Record, score: f32) -> Option<Claim<'_>> {
    let claim = Claim { message_id: &record.message_id, text: &record.text, span: Some(record.span), score };
    (!record.span.is_empty()).then_some(claim)
}

fn note_address(notes: &mut Vec<String>, place: &str, signs: &[injection::ModelAddress]) {
    if !signs.is_empty() {
        let kinds: Vec<&str> = signs.iter().map(|sign| sign.kind).collect();
        let note = format!("{place}: {}", kinds.join(", "));
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// The embedder's failure, where it failed.
fn embedder_attempt(assist: &Assist, found: &Found) -> Vec<Attempt> {
    let (Some(embedder), Some(error)) = (&assist.embedder, &found.embedder_error) else { return Vec::new() };
    let outcome = error.kind.outcome();
    vec![Attempt {
        provider: "embedder".to_owned(),
        model: embedder.id().to_owned(),
        outcome,
        ms: 0,
        usage: Usage::default(),
    }]
}
