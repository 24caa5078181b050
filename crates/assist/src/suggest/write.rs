//! A draft written by a language model: prompt, answer, and everything that is checked about it.

use std::time::Instant;

use rejoinder_domain::{GenerateRequest, LanguageModel, Priority, SeamError};

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
use super::{Case, EarlierCase, checks, commitment, confidence, injection, note_address, prompt};
use crate::generation::{self, Patience, elapsed_ms};
use crate::prompt::Fence;
use crate::ticket::TicketDirection;
use crate::{Assist, AssistError};

/// What came of asking the model.
pub(crate) struct Tried {
    /// The draft; `None` where the exemplar has to do.
    pub(crate) draft: Option<Suggestion>,
    /// How it went.
    pub(crate) attempt: Attempt,
    /// What it cost, as far as the model said.
    pub(crate) usage: Usage,
    /// Milliseconds from the start of the prompt until the first text; `None` where none came.
    pub(crate) first_token: Option<u64>,
    started: Instant,
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
        let mut tried = Tried {
            started: Instant::now(),
            draft: None,
            attempt: Attempt {
                provider: model.provider().to_owned(),
                model: model.model().to_owned(),
                outcome: "ok",
                ms: 0,
            },
            usage: Usage::default(),
            first_token: None,
        };
        let fence = self.fences.fence(case.tenant, &[&case.request.ticket.id, &case.request.ticket.subject]);
        let outcome = self.try_to_write(case, model, &fence, messages, observer, &mut tried).await?;
        if outcome != "ok"
            && tried.first_token.is_some()
            && let Some(observer) = observer
        {
            observer.event(SuggestEvent::Restart);
        }
        tried.attempt.outcome = outcome;
        tried.attempt.ms = elapsed_ms(tried.started);
        tracing::debug!(outcome, ms = tried.attempt.ms, "the language model wrote");
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
        let config = &self.config.draft;
        let max_tokens = case.request.max_tokens.map_or(config.max_tokens, |most| config.max_tokens.min(most as usize));
        let material = Material {
            request: case.request,
            read: case.read,
            found: case.found,
            language: case.language,
            fence,
            config,
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
        let raw = match self.stream(model, request, observer, tried).await {
            Ok(raw) => raw,
            Err(error) => return Ok(failed(&error)),
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
        let draft = self.check(case, model, &built, &raw, written_in, messages)?;
        if let Some(observer) = observer {
            draft.citations.iter().cloned().map(SuggestEvent::Citation).for_each(|event| observer.event(event));
        }
        tried.draft = Some(draft);
        Ok("ok")
    }

    /// Takes the model's text as it comes, without citation numbers.
    async fn stream(
        &self,
        model: &dyn LanguageModel,
        request: GenerateRequest,
        observer: Option<&dyn SuggestObserver>,
        tried: &mut Tried,
    ) -> Result<Raw, SeamError> {
        let config = &self.config.draft;
        let patience = Patience { first_token: Some(config.first_token()), whole: config.deadline() };
        let started = tried.started;
        let mut marks = MarkFilter::default();
        let mut first_token = None;
        let show = |part: String| {
            if let (Some(observer), false) = (observer, part.is_empty()) {
                observer.event(SuggestEvent::Delta(part));
            }
        };
        let mut on_text = |part: &str| {
            first_token.get_or_insert_with(|| elapsed_ms(started));
            show(marks.push(part));
        };
        let written = generation::generate(model, request, patience, self.timer.as_deref(), &mut on_text).await;
        tried.first_token = first_token;
        let written = written?;
        show(marks.finish());
        tried.usage = Usage::of(written.generated.usage);
        Ok(Raw { text: marks.text().trim_end().to_owned(), finish: written.generated.finish, marks })
    }

    /// Aligns, fits and checks what the model wrote.
    fn check(
        &self,
        case: &Case<'_>,
        model: &dyn LanguageModel,
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
            provider: model.provider().to_owned(),
            model: model.model().to_owned(),
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
