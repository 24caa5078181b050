//! The tenants of a test, and of each what it was told that it has: the model that the server is compared with.
//!
//! Whatever belongs to a tenant carries its marker, a made-up word such as `mk07vorn`: its name, every address, subject,
//! text, ticket and schema. So a leak is found by looking for words of that shape, wherever they turn up.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::call::{Call, Caller, number};
use crate::random::Random;

/// Shape of a marker: this, two digits, `vorn`.
const MARK: &[u8] = b"mk";

/// An answer of the language model: this and twelve digits.
const SAID: &str = "said";

/// One tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) number: usize,
    /// Its name, which is its marker.
    pub(crate) name: String,
    /// A key with every role.
    pub(crate) admin: String,
    /// A key that may only read.
    pub(crate) reader: String,
    held: Mutex<Held>,
    pub(crate) counts: Counts,
}

/// How often something was begun and ended, so that a count of the server can be told to lie between.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Suggestions that were asked for, and that were answered.
    pub(crate) asked: AtomicU64,
    pub(crate) answered: AtomicU64,
    /// Erasures that were begun, and that were ended.
    pub(crate) erasing: AtomicU64,
    pub(crate) erased: AtomicU64,
    /// Suggestions that went with what was erased.
    pub(crate) gone: AtomicU64,
    /// Suggestions that were looked for and not there.
    missed: AtomicU64,
}

impl Counts {
    /// Erasures so far, and whether one is under way.
    pub(crate) fn erasures(&self) -> (u64, bool) {
        let (begun, ended) = (self.erasing.load(Ordering::SeqCst), self.erased.load(Ordering::SeqCst));
        (begun, begun != ended)
    }

    /// Whether one more suggestion may not be there: no more are missed than receipts say went with what was erased.
    pub(crate) fn may_miss(&self) -> bool {
        let missed = self.missed.fetch_add(1, Ordering::SeqCst) + 1;
        self.erasures().1 || missed <= self.gone.load(Ordering::SeqCst)
    }
}

/// What a tenant was told that it has.
#[derive(Debug, Default)]
struct Held {
    messages: Vec<Message>,
    suggestions: Vec<Suggestion>,
    jobs: Vec<String>,
    erased: HashSet<String>,
}

/// A message that is indexed.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// A word that is in this message only.
    pub(crate) word: String,
    /// As it was sent.
    pub(crate) body: Value,
}

/// A suggestion that was given.
#[derive(Clone, Debug)]
pub(crate) struct Suggestion {
    pub(crate) id: String,
    pub(crate) ticket: String,
    /// Where its events were streamed: the id of the first.
    pub(crate) first_event: Option<String>,
    /// What was recorded about it.
    pub(crate) outcome: Option<&'static str>,
    /// Messages that it rests on: it goes with them.
    pub(crate) sources: Vec<String>,
}

impl Tenant {
    pub(crate) fn marker(number: usize) -> String {
        format!("mk{number:02}vorn")
    }

    pub(crate) fn new(number: usize, admin: String, reader: String) -> Self {
        Self { number, name: Self::marker(number), admin, reader, held: Mutex::default(), counts: Counts::default() }
    }

    /// A new word of this tenant.
    pub(crate) fn word(&self) -> String {
        format!("{}w{:07}", self.name, number())
    }

    /// A new message as the route takes it, and the word that only it has.
    pub(crate) fn write(&self, random: &mut Random) -> (String, Value) {
        let word = self.word();
        let person = self.person(random.below(40));
        let body = json!({"mailbox": format!("{}-box", self.name), "message": {
            "message_id": format!("<{word}@customers.example>"),
            "from": person, "to": [format!("desk@{}.firm.example", self.name)],
            "subject": format!("Question {word}"), "sent_at": "2026-06-22T08:41:00Z", "direction": "inbound",
            "text": format!("Good morning,\n\nplease look at the matter {word} of {}. It is about delivery number {}.\n", self.name, random.below(100_000)),
        }});
        (word, body)
    }

    /// The firm's reply to a message.
    pub(crate) fn reply(&self, to: &Value) -> (String, Value) {
        let word = self.word();
        let of = |pointer: &str| to.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let question = of("/message/message_id");
        let body = json!({"mailbox": format!("{}-box", self.name), "message": {
            "message_id": format!("<{word}@{}.firm.example>", self.name),
            "from": format!("desk@{}.firm.example", self.name), "to": [of("/message/from")],
            "subject": format!("Re: {}", of("/message/subject")), "sent_at": "2026-06-22T10:00:00Z", "direction": "outbound",
            "in_reply_to": question, "references": [question],
            "text": format!("Dear customer,\n\nwe have looked at the matter: it is settled, and {} will write to you about the delivery under {word}.\n\nKind regards\n", self.name),
        }});
        (word, body)
    }

    /// Hands over so many questions with their replies.
    pub(crate) async fn correspond(&self, caller: &Caller, pairs: usize, random: &mut Random) -> anyhow::Result<()> {
        for _ in 0..pairs {
            let (_, question) = self.write(random);
            let (_, reply) = self.reply(&question);
            for body in [question, reply] {
                let answer = caller.insist(&Call::json("/v1/messages", &body).by(&self.admin)).await?;
                ensure!(answer.status == 201, "a message is not taken: {} {}", answer.status, answer.text());
            }
        }
        Ok(())
    }

    /// A ticket of a customer who asks what [`Self::write`] asks, so that an earlier reply is offered as a draft.
    pub(crate) fn ticket(&self, random: &mut Random) -> Value {
        let person = self.person(random.below(40));
        let text = format!(
            "Good morning,\n\nplease look at my matter of {}. It is about delivery number {}.\n",
            self.name,
            random.below(100_000)
        );
        let message = json!({"direction": "inbound", "from": person, "sent_at": "2026-06-23T08:00:00Z", "text": text});
        json!({"id": self.word(), "subject": "Question", "customer": {"email": person}, "messages": [message]})
    }

    /// One of its customers.
    pub(crate) fn person(&self, number: usize) -> String {
        format!("person{number}.{}@customers.example", self.name)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, message: Message) {
        self.held().messages.push(message);
    }

    /// Takes one of the messages out, so that nobody else deals with it meanwhile. [`Self::keep`] puts it back.
    pub(crate) fn take(&self, random: &mut Random) -> Option<Message> {
        let mut held = self.held();
        let place = random.below(held.messages.len());
        (!held.messages.is_empty()).then(|| held.messages.swap_remove(place))
    }

    /// The id of one of the messages.
    pub(crate) fn some_message(&self, random: &mut Random) -> Option<String> {
        random.pick(&self.held().messages).map(|message| message.id.clone())
    }

    /// The word of one of the messages.
    pub(crate) fn some_word(&self, random: &mut Random) -> Option<String> {
        random.pick(&self.held().messages).map(|message| message.word.clone())
    }

    pub(crate) fn messages(&self) -> usize {
        self.held().messages.len()
    }

    pub(crate) fn keep_suggestion(&self, suggestion: Suggestion) {
        self.held().suggestions.push(suggestion);
    }

    /// Takes one of the suggestions out; [`Self::keep_suggestion`] puts it back.
    pub(crate) fn take_suggestion(&self, random: &mut Random) -> Option<Suggestion> {
        let mut held = self.held();
        let place = random.below(held.suggestions.len());
        (!held.suggestions.is_empty()).then(|| held.suggestions.swap_remove(place))
    }

    pub(crate) fn some_suggestion(&self, random: &mut Random) -> Option<Suggestion> {
        random.pick(&self.held().suggestions).cloned()
    }

    pub(crate) fn keep_job(&self, id: String) {
        self.held().jobs.push(id);
    }

    pub(crate) fn some_job(&self, random: &mut Random) -> Option<String> {
        random.pick(&self.held().jobs).cloned()
    }

    pub(crate) fn jobs(&self) -> Vec<String> {
        self.held().jobs.clone()
    }

    /// From now on nothing that rests on this message has to be there.
    pub(crate) fn forget(&self, message: &str) {
        self.held().erased.insert(message.to_owned());
    }

    /// Whether a suggestion may be gone, with a message that it rests on.
    pub(crate) fn may_be_gone(&self, suggestion: &Suggestion) -> bool {
        let held = self.held();
        suggestion.sources.iter().any(|message| held.erased.contains(message))
    }
}

/// Every `message_id` in an answer.
pub(crate) fn sources(answer: &Value) -> Vec<String> {
    match answer {
        Value::Object(members) => {
            let own = members.get("message_id").and_then(Value::as_str).map(str::to_owned);
            members.values().flat_map(sources).chain(own).collect()
        }
        Value::Array(entries) => entries.iter().flat_map(sources).collect(),
        _ => Vec::new(),
    }
}

/// Whose every id is that any tenant was ever given.
#[derive(Debug, Default)]
pub(crate) struct Owners(RwLock<HashMap<String, usize>>);

impl Owners {
    pub(crate) fn give(&self, id: &str, to: usize) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), to);
    }

    /// What a language model said belongs to whoever it is told first.
    pub(crate) fn claim_said(&self, answer: &[u8], owner: usize) {
        let mut owners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for word in said(answer) {
            owners.entry(word).or_insert(owner);
        }
    }

    /// What in `answer` belongs to others than `owner`; words that the caller said itself are no leak.
    pub(crate) fn foreign(&self, owner: Option<usize>, answer: &[u8], said: &str) -> Vec<String> {
        let mut found: Vec<String> =
            markers(answer).filter(|(number, _)| Some(*number) != owner).map(|(_, word)| word).collect();
        let owners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        for word in answer.split(|byte| !part(byte)).filter(|word| word.len() >= 12) {
            let word = String::from_utf8_lossy(word);
            if owners.get(word.as_ref()).is_some_and(|whose| Some(*whose) != owner) {
                found.push(word.into_owned());
            }
        }
        found.retain(|word| !said.contains(word.as_str()));
        found
    }
}

/// An answer of the language model: each is given once.
pub(crate) fn saying(number: usize) -> String {
    format!("{SAID}{number:012}")
}

/// The answers of the language model in a text.
fn said(text: &[u8]) -> impl Iterator<Item = String> {
    let words = text.split(|byte| !byte.is_ascii_alphanumeric());
    let is_one = |word: &&[u8]| word.len() == SAID.len() + 12 && word.starts_with(SAID.as_bytes());
    words.filter(is_one).map(|word| String::from_utf8_lossy(word).into_owned())
}

/// The markers in a text: the tenant's number, and the word that begins with it.
fn markers(text: &[u8]) -> impl Iterator<Item = (usize, String)> {
    let at = |place: usize| {
        let digits = text.get(place + 2..place + 4)?;
        (text.get(place..place + 2) == Some(MARK) && text.get(place + 4..place + 8) == Some(b"vorn")).then_some(())?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let rest = text.get(place..).unwrap_or_default();
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        Some((number, String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned()))
    };
    (0..text.len().saturating_sub(7)).filter_map(at)
}

#[cfg(test)]
mod tests {
    use super::{Owners, Tenant, markers, saying};

    #[test]
    fn markers_are_found_wherever_they_stand() {
        let found: Vec<_> = markers(b"{\"a\":\"mk07vornw0000012\"} xmk03vorn, mk3vorn mk0").collect();
        assert_eq!(found, [(7, "mk07vornw0000012".to_owned()), (3, "mk03vorn".to_owned())]);
        assert_eq!(Tenant::marker(7), "mk07vorn");
    }

    #[test]
    fn what_the_caller_said_is_no_leak_and_an_id_of_another_is_one() {
        let owners = Owners::default();
        owners.give("sug_0123456789abcdef", 1);
        assert_eq!(owners.foreign(Some(1), b"sug_0123456789abcdef mk01vorn", ""), Vec::<String>::new());
        assert_eq!(owners.foreign(Some(2), b"\"sug_0123456789abcdef\"", ""), ["sug_0123456789abcdef"]);
        assert_eq!(owners.foreign(Some(2), b"mk01vornw3", "find mk01vornw3"), Vec::<String>::new());
        assert_eq!(owners.foreign(None, b"mk01vorn", ""), ["mk01vorn"]);
    }

    #[test]
    fn an_answer_of_the_model_belongs_to_whom_it_is_told_first() {
        let owners = Owners::default();
        let answer = format!("Good morning. {}.", saying(7));
        owners.claim_said(answer.as_bytes(), 1);
        owners.claim_said(answer.as_bytes(), 2);
        assert_eq!(owners.foreign(Some(1), answer.as_bytes(), ""), Vec::<String>::new());
        assert_eq!(owners.foreign(Some(2), answer.as_bytes(), ""), [saying(7)]);
    }
}
