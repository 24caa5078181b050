//! Answers that are kept, and questions that are being answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use moka::sync::Cache;
use rejoinder_domain::{
    Egress, GenerateRequest, Generated, MessageId, ModelAttempt, OutputFormat, TenantId, ToolChoice,
};
use sha2::{Digest as _, Sha256};

use crate::config::CacheConfig;
use crate::flight::Flight;

/// What makes two questions the same, as a SHA-256 sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

/// An answer that was given.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) text: String,
    pub(crate) generated: Generated,
    pub(crate) provider: String,
    pub(crate) model: String,
    tenant: TenantId,
    rests_on: Vec<MessageId>,
}

impl Kept {
    pub(crate) fn new(request: &GenerateRequest, text: String, generated: Generated, by: &ModelAttempt) -> Self {
        let (provider, model) = (by.provider.clone(), by.model.clone());
        let (tenant, rests_on) = (request.tenant.clone(), request.context.rests_on.clone());
        Self { text, generated, provider, model, tenant, rests_on }
    }

    fn bytes(&self) -> u32 {
        let ids: usize = self.rests_on.iter().map(|id| id.as_str().len() + size_of::<MessageId>()).sum();
        u32::try_from(size_of::<Self>() + size_of::<Key>() + self.text.len() + ids).unwrap_or(u32::MAX)
    }
}

/// Answers by question. Nothing of one tenant is ever found by another: the tenant is part of the question.
pub(crate) struct Answers {
    kept: Option<Cache<Key, Arc<Kept>>>,
    flights: Mutex<HashMap<Key, Weak<Flight>>>,
    /// Counts erasures: an answer that began before one is not kept after it.
    erasures: AtomicU64,
}

impl Answers {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        let kept = (config.max_bytes > 0).then(|| {
            Cache::builder()
                .max_capacity(config.max_bytes)
                .weigher(|_, kept: &Arc<Kept>| kept.bytes())
                .time_to_live(Duration::from_secs(config.ttl_seconds))
                .build()
        });
        Self { kept, flights: Mutex::default(), erasures: AtomicU64::new(0) }
    }

    /// The answer that was given to the question.
    pub(crate) fn kept(&self, key: &Key) -> Option<Arc<Kept>> {
        self.kept.as_ref()?.get(key)
    }

    /// A mark of now, for [`Self::keep`].
    pub(crate) fn mark(&self) -> u64 {
        self.erasures.load(Ordering::SeqCst)
    }

    /// Keeps an answer that began at `mark`, unless something was erased since.
    pub(crate) fn keep(&self, key: Key, kept: Kept, mark: u64) {
        if let Some(cache) = &self.kept
            && self.mark() == mark
        {
            cache.insert(key, Arc::new(kept));
            // An erasure between the look and the insertion did not see the answer.
            if self.mark() != mark {
                cache.invalidate(&key);
            }
        }
    }

    /// Forgets what rests on `messages`, or everything of the tenant.
    pub(crate) fn forget(&self, tenant: &TenantId, messages: Option<&[MessageId]>) {
        self.erasures.fetch_add(1, Ordering::SeqCst);
        let Some(cache) = &self.kept else { return };
        // Looked at now and not by moka's lazy predicates: what was erased must be gone when this returns.
        let doomed = |kept: &Kept| {
            kept.tenant == *tenant
                && messages.is_none_or(|messages| kept.rests_on.iter().any(|id| messages.contains(id)))
        };
        let keys: Vec<Key> = cache.iter().filter(|(_, kept)| doomed(kept)).map(|(key, _)| *key).collect();
        for key in &keys {
            cache.invalidate(key);
        }
        cache.run_pending_tasks();
    }

    /// Joins the flight that answers the question, or begins one.
    pub(crate) fn fly(&self, key: Key, begin: impl FnOnce() -> Arc<Flight>) -> (Arc<Flight>, bool) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).and_then(Weak::upgrade) {
            return (flight, true);
        }
        let flight = begin();
        // Flights that nobody follows any more are swept now and then, so that the table follows the load.
        if flights.len() >= 64 && flights.len().is_power_of_two() {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        flights.insert(key, Arc::downgrade(&flight));
        (flight, false)
    }

    /// The question's flight is over.
    pub(crate) fn landed(&self, key: &Key) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Bytes and answers that are kept.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.kept.as_ref().map_or((0, 0), |cache| (cache.weighted_size(), cache.entry_count()))
    }
}

/// What makes a question what it is, for these targets under this policy. `None` where two answers may differ: the tokens are
/// drawn without a seed, or tools are in play.
pub(crate) fn key(request: &GenerateRequest, policy: Egress, targets: &[(&str, &str)]) -> Option<Key> {
    let deterministic = request.sampling.temperature <= 0.0 || request.sampling.seed.is_some();
    if !deterministic || !request.tools.is_empty() || request.tool_choice != ToolChoice::Auto {
        return None;
    }
    let mut hasher = Hasher(Sha256::new());
    hasher.add(request.tenant.as_str());
    hasher.add(policy.as_str());
    hasher.add(request.context.purpose.as_str());
    hasher.add(&request.context.index_version);
    for (name, model) in targets {
        hasher.add(name);
        hasher.add(model);
    }
    hasher.count(request.messages.len());
    for message in &request.messages {
        hasher.add(message.role.as_str());
        hasher.add(&message.content);
        hasher.add(message.tool_call_id.as_deref().unwrap_or_default());
        hasher.count(message.tool_calls.len());
        for call in &message.tool_calls {
            hasher.add(&call.id);
            hasher.add(&call.name);
            hasher.add(&call.arguments);
        }
    }
    hasher.count(request.context.people.len());
    for person in &request.context.people {
        hasher.add(&person.name);
        hasher.add(&person.email);
    }
    match &request.output {
        OutputFormat::Text => hasher.add("text"),
        OutputFormat::Json(schema) => hasher.add(&format!("json {schema}")),
        OutputFormat::Regex(regex) => hasher.add(&format!("regex {regex}")),
        OutputFormat::Choice(choices) => hasher.add(&format!("choice {choices:?}")),
    }
    hasher.add(&format!("{:?} {} {:?}", request.sampling, request.max_tokens, request.stop));
    Some(Key(hasher.0.finalize().into()))
}

/// Texts with their lengths, so that no two lists of texts look alike.
struct Hasher(Sha256);

impl Hasher {
    fn add(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::{
        Address, AttemptOutcome, ChatMessage, ChatRole, Egress, FinishReason, GenerateRequest, Generated, MessageId,
        TenantId, TokenUsage,
    };

    use super::{Answers, Kept, key};
    use crate::attempt::free;
    use crate::config::CacheConfig;

    fn request(tenant: &str, text: &str) -> GenerateRequest {
        let messages = vec![ChatMessage::new(ChatRole::User, text)];
        GenerateRequest::new(TenantId::new(tenant).unwrap(), messages, 10)
    }

    fn kept(tenant: &str, rests_on: &str) -> Kept {
        let mut request = request(tenant, "x");
        request.context.rests_on = vec![MessageId::from_stored(rests_on)];
        let generated = Generated { finish: FinishReason::Stop, usage: TokenUsage::default() };
        let told = free("local".to_owned(), "m".to_owned(), AttemptOutcome::Ok);
        Kept::new(&request, "an answer".to_owned(), generated, &told)
    }

    #[test]
    fn everything_that_matters_is_in_the_key() {
        let targets = [("local", "m")];
        let base = request("a", "question");
        let of = |request: &GenerateRequest| key(request, Egress::LocalOnly, &targets);
        assert_eq!(of(&base), of(&base.clone()));
        let changed: [fn(&mut GenerateRequest); 9] = [
            |r| r.tenant = TenantId::new("b").unwrap(),
            |r| r.messages[0].content.push('?'),
            |r| r.messages[0].role = ChatRole::System,
            |r| r.messages.push(ChatMessage::new(ChatRole::User, "")),
            |r| r.max_tokens = 11,
            |r| r.stop.push("x".to_owned()),
            |r| r.context.index_version.push('2'),
            |r| r.sampling.seed = Some(1),
            |r| r.context.people.push(Address { name: "Eva Roth".to_owned(), email: String::new() }),
        ];
        for change in changed {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(of(&base), of(&other));
        }
        assert_ne!(of(&base), key(&base, Egress::RemoteAllowed, &targets));
        assert_ne!(of(&base), key(&base, Egress::LocalOnly, &[("local", "n")]));
        let mut drawn = base.clone();
        drawn.sampling.temperature = 1.0;
        assert_eq!(of(&drawn), None);
    }

    #[test]
    fn what_rests_on_erased_mail_is_gone_at_once_and_does_not_come_back() {
        let answers = Answers::new(&CacheConfig::default());
        let keys: Vec<_> =
            ["p", "q", "r"].iter().map(|q| key(&request("a", q), Egress::LocalOnly, &[]).unwrap()).collect();
        for (key, kept) in keys.iter().zip([kept("a", "m1"), kept("a", "m2"), kept("b", "m1")]) {
            answers.keep(*key, kept, answers.mark());
        }
        let late = answers.mark();
        answers.forget(&TenantId::new("a").unwrap(), Some(&[MessageId::from_stored("m1")]));
        let found: Vec<bool> = keys.iter().map(|key| answers.kept(key).is_some()).collect();
        assert_eq!(found, [false, true, true]);
        answers.keep(keys[0], kept("a", "m1"), late);
        assert!(answers.kept(&keys[0]).is_none(), "it was being answered while the mail was erased");
        answers.forget(&TenantId::new("a").unwrap(), None);
        let found: Vec<bool> = keys.iter().map(|key| answers.kept(key).is_some()).collect();
        assert_eq!(found, [false, false, true]);
    }

    #[test]
    fn bytes_are_bounded() {
        let answers = Answers::new(&CacheConfig { max_bytes: 10_000, ttl_seconds: 60 });
        for number in 0..1000 {
            let key = key(&request("a", &number.to_string()), Egress::LocalOnly, &[]).unwrap();
            answers.keep(key, kept("a", "m"), answers.mark());
        }
        answers.kept.as_ref().unwrap().run_pending_tasks();
        assert!(answers.size().0 <= 10_000 && answers.size().1 > 0, "{:?}", answers.size());
    }
}
