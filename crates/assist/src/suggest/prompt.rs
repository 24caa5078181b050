//! The prompt for a draft: the ticket and what is known about it, within a budget of tokens.
//!
//! What changes least comes first, so that what was computed for an earlier prompt is of use: the system prompt is the
//! same for every request, the ticket's messages follow oldest first and are the same when the ticket grows, then come
//! the sources, which each new message finds anew, and the wishes. (A mark that belongs to the ticket alone fences all
//! mail; a new one for each request would leave nothing to reuse.)

use rejoinder_domain::{ChatMessage, ChatRole, Direction, LanguageModel, MessageId, Record, SeamError};

use super::align::ShownSource;
use super::answer::SuggestRequest;
use super::fit::AGENT_PLACEHOLDER;
use super::retrieve::{Exemplar, Found};
use crate::config::DraftConfig;
use crate::prompt::{Fence, TEMPLATE_TOKENS, is_hopeless, one_line, render};
use crate::ticket::{ReadMessage, TicketDirection};

const SYSTEM: &str = include_str!("../../prompts/suggest_system.md");
const TICKET: &str = include_str!("../../prompts/suggest_ticket.md");
const MESSAGE: &str = include_str!("../../prompts/suggest_message.md");
const PAIR: &str = include_str!("../../prompts/suggest_pair.md");
const PASSAGE: &str = include_str!("../../prompts/suggest_passage.md");
const TASK: &str = include_str!("../../prompts/suggest_task.md");

/// What the model is told to do: words of it in a draft are an echo.
pub(crate) const INSTRUCTIONS: [&str; 2] = [SYSTEM, TASK];

/// Longest subject or name that is shown, in characters.
const HEADER_CHARS: usize = 200;

/// What a prompt is made of.
pub(crate) struct Material<'a> {
    pub(crate) request: &'a SuggestRequest,
    pub(crate) read: &'a [ReadMessage],
    pub(crate) found: &'a Found,
    /// ISO 639-1 code of the language wanted.
    pub(crate) language: Option<&'a str>,
    pub(crate) fence: &'a Fence,
    pub(crate) config: &'a DraftConfig,
    /// Tokens that the answer may have.
    pub(crate) max_tokens: usize,
}

/// A prompt that fits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DraftPrompt {
    /// What the model reads.
    pub(crate) messages: Vec<ChatMessage>,
    /// The sources in it; the first is number 1.
    pub(crate) sources: Vec<ShownSource>,
    /// What is not in it.
    pub(crate) left_out: LeftOut,
    /// Texts that the draft will probably repeat in part.
    pub(crate) lookup: Vec<String>,
}

/// What a prompt does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// The oldest messages of the ticket, for want of room.
    pub(crate) messages: usize,
    /// Sources, the lowest-ranked ones, for want of room.
    pub(crate) sources: usize,
    /// Internal notes, always: a letter to the customer is no place for them.
    pub(crate) notes: usize,
}

/// Why there is no prompt.
#[derive(Debug)]
pub(crate) enum NoPrompt {
    /// The customer's newest message alone does not fit.
    TooLong,
    /// The model could not count.
    Model(SeamError),
}

impl From<SeamError> for NoPrompt {
    fn from(error: SeamError) -> Self {
        Self::Model(error)
    }
}

/// Room in a prompt.
struct Room<'a> {
    model: &'a dyn LanguageModel,
    left: usize,
}

impl Room<'_> {
    /// Takes room for `text` if there is enough.
    fn take(&mut self, text: &str) -> Result<bool, SeamError> {
        if is_hopeless(text.len(), self.left) {
            return Ok(false);
        }
        let tokens = self.model.count_tokens(text)?;
        if tokens > self.left {
            return Ok(false);
        }
        self.left -= tokens;
        Ok(true)
    }
}

/// A source before it is known whether there is room for it.
struct Candidate<'a> {
    shown: ShownSource,
    writer: &'static str,
    fence: &'a Fence,
}

impl Candidate<'_> {
    fn block(&self, number: usize) -> String {
        let (number, text) = (number.to_string(), self.fence.around(&self.shown.text));
        if self.shown.question.is_empty() {
            return render(PASSAGE, &[("number", &number), ("writer", self.writer), ("text", &text)]);
        }
        let question = self.fence.around(&self.shown.question);
        render(PAIR, &[("number", &number), ("question", &question), ("reply", &text)])
    }
}

/// Builds the prompt. Room goes first to the customer's newest message and the wishes, then to the best source (a draft
/// without any would be invented), then to the ticket's other messages from the newest back, then to the other sources.
pub(crate) fn build(material: &Material<'_>, model: &dyn LanguageModel) -> Result<DraftPrompt, NoPrompt> {
    let context = model.context_tokens().saturating_sub(material.max_tokens);
    let left = material.config.prompt_tokens.min(context).saturating_sub(TEMPLATE_TOKENS);
    let mut room = Room { model, left };
    let task = task(material);
    let conversation: Vec<&ReadMessage> =
        material.read.iter().filter(|message| message.direction != TicketDirection::Note).collect();
    let blocks: Vec<String> = conversation.iter().map(|message| message_block(message, material.fence)).collect();
    let newest = conversation.iter().rposition(|message| message.direction == TicketDirection::Inbound).unwrap_or(0);
    // The note about what is left out may be needed, so that it is counted in any case.
    let frame = format!("{SYSTEM}{}{task}", ticket_head(material, 99));
    let required = format!("{frame}{}", blocks.get(newest).map_or("", String::as_str));
    if !room.take(&required)? {
        return Err(NoPrompt::TooLong);
    }

    let mut chosen = Chosen::default();
    let mut candidates = candidates(material).into_iter();
    // The best that fits; one that is too long on its own leaves its place to the next.
    while chosen.sources.is_empty()
        && let Some(candidate) = candidates.next()
    {
        chosen.offer(candidate, &mut room)?;
    }
    let mut first = conversation.len();
    for (index, block) in blocks.iter().enumerate().rev() {
        if index != newest && !room.take(block)? {
            break;
        }
        first = index;
    }
    for candidate in candidates {
        chosen.offer(candidate, &mut room)?;
    }
    // Where even messages after the newest one of the customer's had no room, that one stands alone.
    let kept: Vec<usize> = if first > newest { vec![newest] } else { (first..blocks.len()).collect() };
    let left_out = LeftOut {
        messages: blocks.len() - kept.len(),
        sources: chosen.refused,
        notes: material.read.len() - conversation.len(),
    };

    let mut user = ticket_head(material, left_out.messages);
    user.extend(kept.iter().filter_map(|index| blocks.get(*index)).map(String::as_str));
    if !chosen.sources.is_empty() {
        user.push_str("# Sources\n\n");
    }
    user.extend(chosen.blocks);
    user.push_str(&task);
    let lookup = chosen.sources.iter().map(|source| material.fence.defused(&source.text));
    let said = kept.iter().filter_map(|index| conversation.get(*index));
    Ok(DraftPrompt {
        messages: vec![ChatMessage::new(ChatRole::System, SYSTEM.trim_end()), ChatMessage::new(ChatRole::User, user)],
        lookup: lookup.chain(said.map(|message| material.fence.defused(&message.said()))).collect(),
        sources: chosen.sources,
        left_out,
    })
}

/// The sources that had room.
#[derive(Default)]
struct Chosen {
    sources: Vec<ShownSource>,
    blocks: Vec<String>,
    refused: usize,
}

impl Chosen {
    fn offer(&mut self, candidate: Candidate<'_>, room: &mut Room<'_>) -> Result<(), SeamError> {
        let block = candidate.block(self.sources.len() + 1);
        if room.take(&block)? {
            self.blocks.push(block);
            self.sources.push(candidate.shown);
        } else {
            self.refused += 1;
        }
        Ok(())
    }
}

fn ticket_head(material: &Material<'_>, left_out: usize) -> String {
    let ticket = &material.request.ticket;
    let mut header = format!("Subject: {}", one_line(&ticket.subject, HEADER_CHARS));
    if let Some(name) = ticket.customer.name.as_deref().filter(|name| !name.trim().is_empty()) {
        header = format!("{header}\nCustomer: {}", one_line(name, HEADER_CHARS));
    }
    let omitted = match left_out {
        0 => String::new(),
        1 => "(The oldest message of this ticket is left out for want of room.)\n".to_owned(),
        _ => format!("({left_out} messages of this ticket are left out for want of room.)\n"),
    };
    render(TICKET, &[("header", &material.fence.around(&header)), ("omitted", &omitted)])
}

fn message_block(message: &ReadMessage, fence: &Fence) -> String {
    let writer = match message.direction {
        TicketDirection::Inbound => "from the customer",
        TicketDirection::Outbound => "from the company",
        TicketDirection::Note => "an internal note",
    };
    let sent_at = message.sent_at.map(|at| format!(", {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
    let (number, text) = ((message.index + 1).to_string(), fence.around(&message.said()));
    render(MESSAGE, &[("number", &number), ("writer", writer), ("sent_at", &sent_at), ("text", &text)])
}

/// Tone and what the agent wants, then language and signature. They come from our own side and are no mail. The order to
/// write stands last, for what a small model reads last is what it does.
fn task(material: &Material<'_>) -> String {
    let request = material.request;
    let language = match material.language {
        Some(code) => language_name(code).map_or_else(|| format!("the language with the code {code}"), str::to_owned),
        None => "the language of the newest message".to_owned(),
    };
    let said =
        |wish: &Option<String>| wish.as_deref().map(str::trim).filter(|wish| !wish.is_empty()).map(str::to_owned);
    let tone = said(&request.tone).map(|tone| format!("The tone of the letter is: {tone}\n"));
    let instructions = said(&request.instructions).map(|wish| format!("The support agent wants this in it: {wish}\n"));
    let wishes: String = tone.into_iter().chain(instructions).collect();
    let wishes = if wishes.is_empty() { wishes } else { format!("{wishes}\n") };
    let signer = request.agent_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let has_sources = !material.found.exemplars.is_empty() || !material.found.passages.is_empty();
    let answer = if has_sources {
        "Answer the newest message with what the sources say, each sentence followed by the number of its source, like [1]."
    } else {
        "Answer the newest message."
    };
    let values = [
        ("wishes", wishes.as_str()),
        ("language", &language),
        ("signer", signer.unwrap_or(AGENT_PLACEHOLDER)),
        ("answer", answer),
    ];
    render(TASK, &values)
}

/// Earlier questions with their replies first, then passages that are not of the same messages, each by similarity.
fn candidates<'a>(material: &Material<'a>) -> Vec<Candidate<'a>> {
    let exemplars: Vec<&Exemplar> = material.found.exemplars.iter().take(material.config.exemplars).collect();
    let pair = |exemplar: &&Exemplar| Candidate {
        shown: ShownSource {
            message_id: exemplar.reply.message_id.clone(),
            text: exemplar.reply.text.clone(),
            question: exemplar.record.text.clone(),
            is_ours: true,
            score: exemplar.similarity,
        },
        writer: "the company",
        fence: material.fence,
    };
    let is_shown =
        |id: &MessageId| exemplars.iter().any(|one| one.reply.message_id == *id || one.record.message_id == *id);
    // What we wrote among ourselves is not for a letter to a customer.
    let may_show = |record: &Record| record.direction != Direction::Internal && !is_shown(&record.message_id);
    let passages = material.found.passages.iter().filter(|(record, _)| may_show(record));
    let passage = |(record, similarity): &(Record, f32)| Candidate {
        shown: ShownSource {
            message_id: record.message_id.clone(),
            text: record.text.clone(),
            question: String::new(),
            is_ours: record.direction == Direction::Outbound,
            score: *similarity,
        },
        writer: match record.direction {
            Direction::Outbound => "the company",
            Direction::Inbound => "another customer",
            _ => "the company or a customer",
        },
        fence: material.fence,
    };
    let passages = passages.take(material.config.passages).map(passage);
    exemplars.iter().map(pair).chain(passages).collect()
}

/// The English name of a language by its ISO 639-1 code.
fn language_name(code: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 24] = [
        ("en", "English"),
        ("de", "German"),
        ("fr", "French"),
        ("es", "Spanish"),
        ("it", "Italian"),
        ("nl", "Dutch"),
        ("pt", "Portuguese"),
        ("pl", "Polish"),
        ("cs", "Czech"),
        ("sk", "Slovak"),
        ("sv", "Swedish"),
        ("da", "Danish"),
        ("nb", "Norwegian"),
        ("no", "Norwegian"),
        ("fi", "Finnish"),
        ("hu", "Hungarian"),
        ("ro", "Romanian"),
        ("tr", "Turkish"),
        ("el", "Greek"),
        ("ru", "Russian"),
        ("uk", "Ukrainian"),
        ("ja", "Japanese"),
        ("zh", "Chinese"),
        ("ko", "Korean"),
    ];
    NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}
