//! Records and queries to check with.

use jiff::Timestamp;
use rejoinder_domain::{
    Direction, Filter, Hit, MailboxId, MessageId, Pool, Record, RecordId, ReplyText, SearchQuery, Span, TenantId,
    VectorStore,
};

use super::Outcome;

/// Dimensions of every sample vector.
pub(super) const DIMS: usize = 8;

/// The tenant most checks use.
pub(super) fn tenant() -> TenantId {
    named_tenant("acme")
}

pub(super) fn named_tenant(name: &str) -> TenantId {
    let tenant = TenantId::new(name);
    assert!(tenant.is_ok(), "the samples' tenant names are well formed");
    tenant.unwrap_or_else(|_| unreachable!("checked in the line before"))
}

/// The moment `seconds` after 1970.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

/// A passage with an id that sorts by `number`, of message `msg_<number>`.
pub(super) fn passage(number: usize, text: &str) -> Record {
    Record {
        id: RecordId::from_stored(format!("rec_{number:05}")),
        pool: Pool::Passage,
        message_id: MessageId::from_stored(format!("msg_{number:05}")),
        mailboxes: vec![MailboxId::from_stored("box_a")],
        direction: Direction::Inbound,
        sent_at: Some(at(1_700_000_000 + number as i64)),
        participants: vec!["anna@weber.example".to_owned(), "desk@firm.example".to_owned()],
        subject: String::new(),
        author: "Anna Weber".to_owned(),
        language: Some("en".to_owned()),
        span: Span::whole(text),
        text: text.to_owned(),
        reply: None,
        vector: Some(direction_of(number)),
    }
}

/// A reply pair of question `msg_<number>`, answered by `msg_<reply>`.
pub(super) fn reply_pair(number: usize, reply: usize, text: &str) -> Record {
    Record {
        pool: Pool::ReplyPair,
        reply: Some(ReplyText {
            message_id: MessageId::from_stored(format!("msg_{reply:05}")),
            text: format!("An answer to: {text}"),
            author: "Desk".to_owned(),
            sent_at: Some(at(1_700_001_000 + reply as i64)),
        }),
        ..passage(number, text)
    }
}

/// A unit vector that depends on `seed` alone.
pub(super) fn direction_of(seed: usize) -> Vec<f32> {
    let mut random = Random::new(seed as u64 + 1);
    unit((0..DIMS).map(|_| random.below(2_001) as f32 / 1_000.0 - 1.0).collect())
}

/// `vector` scaled to length 1.
pub(super) fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.into_iter().map(|value| value / length).collect()
}

/// Cosine of two unit vectors.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A search of the passages without restrictions.
pub(super) fn query(vector: Option<Vec<f32>>, text: Option<&str>, limit: usize) -> SearchQuery {
    SearchQuery {
        pool: Pool::Passage,
        vector,
        text: text.map(str::to_owned),
        language: Some("en".to_owned()),
        limit,
        dense_weight: 0.7,
        filter: Filter::default(),
    }
}

/// The ids of hits, in order.
pub(super) fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.record.id.as_str()).collect()
}

/// Panics unless a search for `text` finds exactly the records `expected`, in any order.
pub(super) async fn finds(store: &dyn VectorStore, text: &str, language: Option<&str>, expected: &[&str]) -> Outcome {
    let query = SearchQuery { language: language.map(str::to_owned), ..query(None, Some(text), 100) };
    let hits = store.search(&tenant(), &query).await?;
    let mut found = ids(&hits);
    found.sort_unstable();
    assert_eq!(found, expected, "searched for {text:?} in {language:?}");
    Ok(())
}

/// A small generator (xorshift64*), so that a failure is the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}
