//! A draft written by a language model: prompt, answer, and everything that is checked about it.

use std::time::Instant;

use rejoinder_domain::{Address, CallContext, ErrorKind, GenerateRequest, LanguageModel, Priority, Purpose, SeamError};

use super::align::{Aligned, ShownSource, align};
use super::answer::{Attempt, Suggestion, Usage};
use super::checks::{Checked, Written as WrittenChecks};
use super::citation::Messages;
use super::fit::Fit;
use super::marks::MarkFilter;
use super::observe::{SuggestEvent, SuggestObserver};
use super::prompt::{DraftPrompt, INSTRUCTIONS, Material, NoPrompt};
use super::reject::{Judged, reject};
use super::support::{EarlierPeople, Support};
use super::{
    Case, EarlierCase, addresses, checks, commitment, confidence, injection, note_address, people_of_ticket, prompt,
    salutation, signed_name,
};
use crate::generation::{self, Heard, elapsed_ms};
use crate::prompt::{Fence, TEMPLATE_TOKENS};
use crate::ticket::TicketDirection;
use crate::{Assist, AssistError};

/// What came of asking the model.
pub(crate) struct Tried {
    /// The draft; `None` where the exemplar has to do.
    pub(crate) draft: Option<Suggestion>,
    /// Who was asked and how it went, at least one.
    pub(crate) attempts: Vec<Attempt>,
    /// Milliseconds from the start of the prompt until the first text; `None` where none came.
    pub(crate) first_token: Option<u64>,
    started: Instant,
}

impl Tried {
    /// Who wrote the text that is the last attempt's: provider and model.
    fn writer(&self) -> (String, String) {
        self.attempts.last().map(|attempt| (attempt.provider.clone(), attempt.model.clone())).unwrap_or_default()
    }
}

/// How often a prompt is shortened before it is given up.
const MOST_SHORTENINGS: u32 = 6;

/// Tokens for a prompt without half of what the sources take; without sources, with three quarters of the rest.
fn shorter(built: &DraftPrompt, model: &dyn LanguageModel) -> usize {
    let count = |text: &str| model.count_tokens(text).unwrap_or_default();
    let whole: usize = built.messages.iter().map(|message| count(&message.content)).sum();
    let sources: usize = built.sources.iter().map(|source| count(&source.text) + count(&source.question)).sum();
    let kept = if sources > 0 { whole.saturating_sub(sources.div_ceil(2)) } else { whole / 4 * 3 };
    kept + TEMPLATE_TOKENS
}

/// What the model wrote, before it is checked.
struct Raw {
    text: String,
    finish: rejoinder_domain::FinishReason,
    marks: MarkFilter,
}

impl Assist {
    /// Whether a model has anything to write from: sources, or what the agent wants said.
    pub(super) fn can_write(&self, case: &Case<'_>) -> bool {
        let asked = case.request.instructions.as_deref().is_some_and(|wish| !wish.trim().is_empty());
        self.language_model.is_some() && (asked || !case.found.exemplars.is_empty() || !case.found.passages.is_empty())
    }

    /// Lets the model write. Whatever it or its answer lacks is an attempt that failed, never an error; errors are those
    /// of the ledger.
    pub(super) async fn write(
        &self,
        case: &Case<'_>,
        model: &dyn LanguageModel,
        messages: &mut Messages<'_>,
        observer: Option<&dyn SuggestObserver>,
    ) -> Result<Tried, AssistError> {
        let mut tried = Tried { started: Instant::now(), draft: None, attempts: Vec::new(), first_token: None };
        let fence = self.fences.fence(case.tenant, &[&case.request.ticket.id, &case.request.ticket.subject]);
        let outcome = self.try_to_write(case, model, &fence, messages, observer, &mut tried).await?;
        if outcome != "ok"
            && tried.first_token.is_some()
            && let Some(observer) = observer
        {
            observer.event(SuggestEvent::Restart);
        }
        // What is thrown away was still written: the attempt that wrote it says why it is not the draft.
        match tried.attempts.last_mut() {
            Some(last) if ["ok", "cached"].contains(&last.outcome) && outcome != "ok" => last.outcome = outcome,
            Some(_) => {}
            None => tried.attempts.push(Attempt::by(model, outcome, tried.started, Usage::default())),
        }
        tracing::debug!(outcome, ms = elapsed_ms(tried.started), "the language model wrote");
        Ok(tried)
    }

    async fn try_to_write(
        &self,
        case: &Case<'_>,
        model: &dyn LanguageModel,
        fence: &Fence,
        messages: &mut Messages<'_>,
        observer: Option<&dyn SuggestObserver>,
        tried: &mut Tried,
    ) -> Result<&'static str, AssistError> {
        let mut config = self.config.draft.clone();
        let max_tokens = case.request.max_tokens.map_or(config.max_tokens, |most| config.max_tokens.min(most as usize));
        let mut shortened = 0;
        let (built, raw) = loop {
            let material = Material {
                request: case.request,
                read: case.read,
                found: case.found,
                language: case.language,
                fence,
                config: &config,
                max_tokens,
            };
            let built = match prompt::build(&material, model) {
                Ok(built) => built,
                Err(NoPrompt::TooLong) => return Ok("context_too_long"),
                Err(NoPrompt::Model(error)) => return Ok(failed(&error)),
            };
            let mut request = GenerateRequest::new(case.tenant.clone(), built.messages.clone(), max_tokens);
            request.sampling = config.sampling();
            request.priority = Priority::Interactive;
            request.lookup.clone_from(&built.lookup);
            // A small model that copies a source goes on to the line that closes its fence; the letter was over before.
            request.stop = vec![fence.mark().to_owned(), "<<<MAIL".to_owned()];
            request.context = self.context(case, &built, messages)?;
            match self.stream(model, request, observer, tried).await {
                Ok(raw) => break (built, raw),
                // No model takes that much: the same with less of what was found, the lowest ranks first.
                Err(error) if error.kind == ErrorKind::ContextTooLong && shortened < MOST_SHORTENINGS => {
                    config.prompt_tokens = shorter(&built, model);
                    shortened += 1;
                }
                Err(error) => return Ok(failed(&error)),
            }
        };
        let said = |direction| -> String {
            let of = case.read.iter().filter(|message| message.direction == direction);
            of.map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n")
        };
        let written_in = self.cleaner.language(&raw.text);
        let rejected = reject(&Judged {
            draft: &raw.text,
            finish: raw.finish,
            languages: (case.language, written_in.as_deref()),
            fence,
            instructions: &INSTRUCTIONS,
            customer: &said(TicketDirection::Inbound),
            sources: &built.sources.iter().map(|source| source.text.as_str()).collect::<Vec<_>>().join("\n"),
        });
        if let Some(outcome) = rejected {
            return Ok(outcome);
        }
        let draft = self.check(case, &tried.writer(), &built, &raw, written_in, messages)?;
        if let Some(observer) = observer {
            draft.citations.iter().cloned().map(SuggestEvent::Citation).for_each(|event| observer.event(event));
        }
        tried.draft = Some(draft);
        Ok("ok")
    }

    /// What a router has to know about the prompt.
    fn context(
        &self,
        case: &Case<'_>,
        built: &DraftPrompt,
        messages: &mut Messages<'_>,
    ) -> Result<CallContext, AssistError> {
        let caller = &case.request.caller;
        let mut people = people_of_ticket(&case.request.ticket, case.agent_name());
        let mut rests_on = Vec::new();
        for source in &built.sources {
            rests_on.push(source.message_id.clone());
            let exemplar = case.found.exemplars.iter().find(|found| found.reply.message_id == source.message_id);
            rests_on.extend(exemplar.map(|exemplar| exemplar.record.message_id.clone()));
            rests_on.dedup();
            let writer = exemplar.map(|exemplar| exemplar.reply.author.clone()).unwrap_or_default();
            people.push(Address { name: writer, email: String::new() });
        }
        for id in &rests_on {
            if let Some(message) = messages.get(id)? {
                people.extend(addresses(message).into_iter().cloned());
                people.extend(named_in(&message.body.text));
            }
        }
        // Who is greeted need not stand in a header: on a list the greeting alone says whom a mail is for.
        people.extend(case.read.iter().flat_map(|message| named_in(&message.text)));
        people.extend(built.sources.iter().flat_map(|source| named_in(&source.text).chain(named_in(&source.question))));
        people.retain(|person| !person.name.is_empty() || !person.email.is_empty());
        people.sort_by(|one, other| (&one.name, &one.email).cmp(&(&other.name, &other.email)));
        people.dedup();
        Ok(CallContext {
            request_id: caller.request_id.clone(),
            purpose: Purpose::Suggest,
            egress: caller.egress,
            wanted: None,
            candidates: case.request.candidates,
            people,
            rests_on,
            index_version: self.index_version.clone(),
            first_token: Some(self.config.draft.first_token()),
        })
    }

    /// Takes the model's text as it comes, without citation numbers.
    async fn stream(
        &self,
        model: &dyn LanguageModel,
        request: GenerateRequest,
        observer: Option<&dyn SuggestObserver>,
        tried: &mut Tried,
    ) -> Result<Raw, SeamError> {
        let before = elapsed_ms(tried.started);
        let mut marks = MarkFilter::default();
        let show = |part: String| {
            if let (Some(observer), false) = (observer, part.is_empty()) {
                observer.event(SuggestEvent::Delta(part));
            }
        };
        let mut hear = |heard: Heard<'_>| match heard {
            Heard::Text(part) => show(marks.push(part)),
            Heard::Restart => {
                marks = MarkFilter::default();
                if let Some(observer) = observer {
                    observer.event(SuggestEvent::Restart);
                }
            }
        };
        let whole = self.config.draft.deadline();
        let generation = generation::generate(model, request, whole, self.timer.as_deref(), &mut hear).await;
        tried.first_token = generation.first_token.map(|time| before + time);
        tried.attempts.extend(generation.attempts);
        let written = generation.result?;
        show(marks.finish());
        Ok(Raw { text: marks.text().trim_end().to_owned(), finish: written.generated.finish, marks })
    }

    /// Aligns, fits and checks what the model wrote.
    fn check(
        &self,
        case: &Case<'_>,
        (provider, model): &(String, String),
        built: &DraftPrompt,
        raw: &Raw,
        language: Option<String>,
        messages: &mut Messages<'_>,
    ) -> Result<Suggestion, AssistError> {
        let sources = &built.sources;
        let aligned = align(&raw.text, raw.marks.marks(), sources, &case.known());
        let verified = messages.verify(&aligned.claims(sources), &case.request.retrieval.mailboxes)?;
        let quoted_facts = self.quoted_facts(&aligned, sources);
        let people = earlier_people(case, sources, messages)?;
        let fit = Fit {
            customer: case.customer.as_ref(),
            agent_name: case.agent_name(),
            earlier_agent: people.agent.as_ref(),
            people: &people.people,
            support: &case.support.with_quoted(quoted_facts.0, quoted_facts.1),
            language: language.as_deref(),
        };
        let fitted = fit.apply(&raw.text);
        let promises = commitment::unsupported(&raw.text, &case.our_words(sources));
        let mut addressed = case.addresses_model.clone();
        for source in sources {
            note_address(&mut addressed, "retrieved mail", &injection::addresses_model(&source.text));
            note_address(&mut addressed, "retrieved mail", &injection::addresses_model(&source.question));
        }
        let similarity = sources.iter().map(|source| source.score).fold(0.0_f32, f32::max);
        let closeness = confidence::closeness(similarity, case.found.bound);
        let checks = checks::run(&Checked {
            draft: &fitted.text,
            unsupported: &fitted.marked,
            citations: (verified.citations.len(), verified.dropped),
            languages: (case.language, language.as_deref()),
            addresses_model: &addressed,
            similarity: (similarity, case.found.bound),
            closeness,
            by_words_only: case.found.by_words_only,
            unfollowed_instructions: false,
            written: Some(WrittenChecks { aligned: &aligned, promises: &promises, left_out: built.left_out }),
        });
        let review_reasons = checks::review_reasons(&checks);
        Ok(Suggestion {
            text: fitted.text,
            provider: provider.clone(),
            model: model.clone(),
            fitted_from: None,
            language,
            confidence: confidence::confidence(closeness, case.found.by_words_only, &checks),
            needs_review: !review_reasons.is_empty(),
            review_reasons,
            checks,
            citations: verified.citations,
        })
    }

    /// What the quotations state, and what the questions stated that they answered.
    fn quoted_facts(&self, aligned: &Aligned, sources: &[ShownSource]) -> (Support, Support) {
        let (mut quotations, mut earlier) = (Support::default(), Support::default());
        for (index, span) in &aligned.quoted {
            let Some(source) = sources.get(*index) else { continue };
            let language = self.cleaner.language(&source.text);
            quotations.add(span.of(&source.text).unwrap_or_default(), language.as_deref());
            earlier.add(&source.question, language.as_deref());
            if !source.is_ours {
                earlier.add(&source.text, language.as_deref());
            }
        }
        (quotations, earlier)
    }
}

/// Whom a text greets and who signs it.
fn named_in(text: &str) -> impl Iterator<Item = Address> {
    let greeted = salutation::find_salutation(text).and_then(|found| found.name);
    let names = [greeted, signed_name(text)].into_iter().flatten().filter_map(|span| span.of(text));
    let person = |name: &str| Address { name: name.to_owned(), email: String::new() };
    names.filter(|name| !salutation::addresses_anyone(name)).map(person).collect::<Vec<_>>().into_iter()
}

/// Everybody of the cases that the sources are from.
fn earlier_people(
    case: &Case<'_>,
    sources: &[ShownSource],
    messages: &mut Messages<'_>,
) -> Result<EarlierCase, AssistError> {
    let mut all = EarlierCase { people: EarlierPeople::default(), agent: None };
    for source in sources {
        let exemplar = case.found.exemplars.iter().find(|exemplar| exemplar.reply.message_id == source.message_id);
        if let Some(exemplar) = exemplar {
            let one = EarlierCase::of(exemplar, messages)?;
            all.people.add_all(&one.people);
            match (&all.agent, one.agent) {
                (None, agent) => all.agent = agent,
                // The first agent's name gives way to who signs; another one's has no place in this letter either.
                (Some(first), Some(other)) if *first != other => all.people.add(&other.full(), ""),
                _ => {}
            }
        } else if !source.is_ours
            && let Some(message) = messages.get(&source.message_id)?
        {
            let author = message.from.clone().unwrap_or_default();
            all.people.add(&author.name, &author.email);
        }
    }
    Ok(all)
}

fn failed(error: &SeamError) -> &'static str {
    tracing::warn!(kind = ?error.kind, "the language model failed; the exemplar is the draft");
    error.kind.outcome()
}
