//! Records as points of a collection, and back.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use qdrant_client::qdrant::{
    DenseVector, ListValue, NamedVectors, PointId, PointStruct, SparseVector, Value, Vector, Vectors, VectorsOutput,
    point_id, value, vector, vector_output, vectors, vectors_output,
};
use rejoinder_domain::{ErrorKind, MailboxId, MessageId, Pool, Record, RecordId, ReplyText, SeamError, Span, TenantId};
use sha2::{Digest, Sha256};

use crate::records::{direction_name, direction_of};

/// The names of the two vectors of a point.
pub(super) const DENSE: &str = "dense";
pub(super) const WORDS: &str = "words";

/// BM25's parameters, the same as LanceDB's.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// The fields of a point.
pub(super) mod key {
    pub(in crate::qdrant) const TENANT: &str = "tenant";
    pub(in crate::qdrant) const POOL: &str = "pool";
    pub(in crate::qdrant) const ID: &str = "id";
    pub(in crate::qdrant) const MESSAGE: &str = "message_id";
    pub(in crate::qdrant) const MAILBOXES: &str = "mailboxes";
    pub(in crate::qdrant) const DIRECTION: &str = "direction";
    pub(in crate::qdrant) const SENT_SECONDS: &str = "sent_s";
    pub(in crate::qdrant) const SENT_NANOS: &str = "sent_ns";
    pub(in crate::qdrant) const PARTICIPANTS: &str = "participants";
    pub(in crate::qdrant) const SUBJECT: &str = "subject";
    pub(in crate::qdrant) const AUTHOR: &str = "author";
    pub(in crate::qdrant) const LANGUAGE: &str = "language";
    pub(in crate::qdrant) const SPAN_START: &str = "span_start";
    pub(in crate::qdrant) const SPAN_END: &str = "span_end";
    pub(in crate::qdrant) const TEXT: &str = "text";
    pub(in crate::qdrant) const REPLY_MESSAGE: &str = "reply_message_id";
    pub(in crate::qdrant) const REPLY_TEXT: &str = "reply_text";
    pub(in crate::qdrant) const REPLY_AUTHOR: &str = "reply_author";
    pub(in crate::qdrant) const REPLY_SENT_SECONDS: &str = "reply_sent_s";
    pub(in crate::qdrant) const REPLY_SENT_NANOS: &str = "reply_sent_ns";
    /// The numbers of the record's terms, for counting in how many records a term is.
    pub(in crate::qdrant) const TERMS: &str = "terms";

    /// The fields that make a record again.
    pub(in crate::qdrant) const RECORD: [&str; 20] = [
        TENANT,
        POOL,
        ID,
        MESSAGE,
        MAILBOXES,
        DIRECTION,
        SENT_SECONDS,
        SENT_NANOS,
        PARTICIPANTS,
        SUBJECT,
        AUTHOR,
        LANGUAGE,
        SPAN_START,
        SPAN_END,
        TEXT,
        REPLY_MESSAGE,
        REPLY_TEXT,
        REPLY_AUTHOR,
        REPLY_SENT_SECONDS,
        REPLY_SENT_NANOS,
    ];
}

/// One pool of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) pool: Pool,
}

impl Place {
    pub(super) fn new(tenant: &TenantId, pool: Pool) -> Self {
        Self { tenant: tenant.clone(), pool }
    }

    /// The point of a record: its id's hash, with those of tenant and pool, in the form of a UUID of version 8.
    pub(super) fn point_id(&self, id: &RecordId) -> PointId {
        let mut bytes: [u8; 16] = self.digest(b"point", id.as_str());
        let [_, _, _, _, _, _, version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = (*version & 0x0f) | 0x80;
        *variant = (*variant & 0x3f) | 0x80;
        let mut uuid = format!("{:032x}", u128::from_be_bytes(bytes));
        for dash in [20, 16, 12, 8] {
            uuid.insert(dash, '-');
        }
        PointId { point_id_options: Some(point_id::PointIdOptions::Uuid(uuid)) }
    }

    /// The number of a term. A term has another number in every pool of every tenant, so that no posting list of the server
    /// holds two tenants' records and nothing can be counted over both. Of 100,000 terms of a pool about one meets another.
    pub(super) fn dimension(&self, term: &str) -> u32 {
        u32::from_be_bytes(self.digest(b"term", term))
    }

    fn digest<const N: usize>(&self, what: &[u8], text: &str) -> [u8; N] {
        let mut hasher = Sha256::new();
        // Neither of the first three has a zero in it.
        for part in [what, self.tenant.as_str().as_bytes(), self.pool.as_str().as_bytes()] {
            hasher.update(part);
            hasher.update([0]);
        }
        hasher.update(text.as_bytes());
        hasher.finalize().first_chunk().copied().unwrap_or([0; N])
    }

    /// The part of BM25 that a record has of itself: the weight of every term by how often it occurs and how long the record is.
    fn words(&self, terms: &[String], average_terms: f32) -> BTreeMap<u32, f32> {
        let mut often: BTreeMap<u32, f32> = BTreeMap::new();
        for term in terms {
            *often.entry(self.dimension(term)).or_default() += 1.0;
        }
        let norm = K1 * (1.0 - B + B * terms.len() as f32 / average_terms);
        for weight in often.values_mut() {
            *weight = (K1 + 1.0) * *weight / (*weight + norm);
        }
        often
    }

    /// The point of `record`, sealed already, whose index has `terms`.
    pub(super) fn point(&self, record: Record, terms: &[String], average_terms: f32) -> Sized {
        let id = self.point_id(&record.id);
        let words = self.words(terms, average_terms);
        let mut vectors = HashMap::new();
        let mut bytes = 1_000 + words.len() * 20;
        if let Some(data) = record.vector {
            bytes += data.len() * 4;
            vectors.insert(
                DENSE.to_owned(),
                Vector { vector: Some(vector::Vector::Dense(DenseVector { data })), ..Vector::default() },
            );
        }
        let numbers = words.keys().map(|&number| integer(i64::from(number))).collect();
        let sparse = SparseVector { indices: words.keys().copied().collect(), values: words.into_values().collect() };
        vectors.insert(WORDS.to_owned(), Vector { vector: Some(vector::Vector::Sparse(sparse)), ..Vector::default() });
        let mut payload = Payload::default();
        payload.text(key::TENANT, self.tenant.as_str());
        payload.text(key::POOL, self.pool.as_str());
        payload.text(key::ID, record.id.as_str());
        payload.text(key::MESSAGE, record.message_id.as_str());
        payload.list(key::MAILBOXES, record.mailboxes.iter().map(|id| string(id.as_str())).collect());
        payload.text(key::DIRECTION, direction_name(record.direction));
        payload.time(key::SENT_SECONDS, key::SENT_NANOS, record.sent_at);
        payload.list(key::PARTICIPANTS, record.participants.iter().map(|text| string(text)).collect());
        payload.text(key::SUBJECT, &record.subject);
        payload.text(key::AUTHOR, &record.author);
        if let Some(language) = &record.language {
            payload.text(key::LANGUAGE, language);
        }
        payload.put(key::SPAN_START, integer(record.span.start() as i64));
        payload.put(key::SPAN_END, integer(record.span.end() as i64));
        payload.text(key::TEXT, &record.text);
        if let Some(reply) = &record.reply {
            payload.text(key::REPLY_MESSAGE, reply.message_id.as_str());
            payload.text(key::REPLY_TEXT, &reply.text);
            payload.text(key::REPLY_AUTHOR, &reply.author);
            payload.time(key::REPLY_SENT_SECONDS, key::REPLY_SENT_NANOS, reply.sent_at);
        }
        payload.list(key::TERMS, numbers);
        bytes += payload.bytes;
        let vectors = Vectors { vectors_options: Some(vectors::VectorsOptions::Vectors(NamedVectors { vectors })) };
        Sized { point: PointStruct { id: Some(id), payload: payload.fields, vectors: Some(vectors) }, bytes }
    }

    /// The record of a point, still sealed.
    pub(super) fn record(
        &self,
        payload: HashMap<String, Value>,
        vectors: Option<VectorsOutput>,
    ) -> Result<Record, SeamError> {
        let mut fields = Fields(payload);
        if fields.text(key::TENANT)? != self.tenant.as_str() || fields.text(key::POOL)? != self.pool.as_str() {
            return Err(SeamError::new(ErrorKind::Internal, "the index answered with a record that was not asked for"));
        }
        let reply = match fields.optional_text(key::REPLY_MESSAGE)? {
            None => None,
            Some(id) => Some(ReplyText {
                message_id: MessageId::from_stored(id),
                text: fields.text(key::REPLY_TEXT)?,
                author: fields.text(key::REPLY_AUTHOR)?,
                sent_at: fields.time(key::REPLY_SENT_SECONDS, key::REPLY_SENT_NANOS)?,
            }),
        };
        Ok(Record {
            id: RecordId::from_stored(fields.text(key::ID)?),
            pool: self.pool,
            message_id: MessageId::from_stored(fields.text(key::MESSAGE)?),
            mailboxes: fields.texts(key::MAILBOXES)?.into_iter().map(MailboxId::from_stored).collect(),
            direction: direction_of(&fields.text(key::DIRECTION)?).ok_or_else(|| damaged(key::DIRECTION))?,
            sent_at: fields.time(key::SENT_SECONDS, key::SENT_NANOS)?,
            participants: fields.texts(key::PARTICIPANTS)?,
            subject: fields.text(key::SUBJECT)?,
            author: fields.text(key::AUTHOR)?,
            language: fields.optional_text(key::LANGUAGE)?,
            span: Span::new(fields.size(key::SPAN_START)?, fields.size(key::SPAN_END)?)
                .ok_or_else(|| damaged(key::SPAN_END))?,
            text: fields.text(key::TEXT)?,
            reply,
            vector: dense(vectors),
        })
    }
}

/// A point and about how many bytes it takes on the wire.
pub(super) struct Sized {
    pub(super) point: PointStruct,
    pub(super) bytes: usize,
}

/// The whole seconds since 1970, rounded down, and the nanoseconds that are left. Numbers of this size pass the server's filters,
/// which compare as 64-bit floats, without loss; microseconds since 1970 would not after the year 2255.
pub(super) fn split(at: Timestamp) -> (i64, i64) {
    let nanoseconds = at.as_nanosecond();
    (nanoseconds.div_euclid(1_000_000_000) as i64, nanoseconds.rem_euclid(1_000_000_000) as i64)
}

/// Fields that are being written.
#[derive(Default)]
struct Payload {
    fields: HashMap<String, Value>,
    bytes: usize,
}

impl Payload {
    fn put(&mut self, name: &str, value: Value) {
        self.bytes += name.len() + 16;
        self.fields.insert(name.to_owned(), value);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.bytes += text.len();
        self.put(name, string(text));
    }

    fn list(&mut self, name: &str, values: Vec<Value>) {
        let length = |value: &Value| match &value.kind {
            Some(value::Kind::StringValue(text)) => text.len() + 8,
            _ => 12,
        };
        self.bytes += values.iter().map(length).sum::<usize>();
        self.put(name, Value { kind: Some(value::Kind::ListValue(ListValue { values })) });
    }

    fn time(&mut self, seconds: &str, nanos: &str, at: Option<Timestamp>) {
        if let Some((whole, rest)) = at.map(split) {
            self.put(seconds, integer(whole));
            self.put(nanos, integer(rest));
        }
    }
}

fn string(text: &str) -> Value {
    Value { kind: Some(value::Kind::StringValue(text.to_owned())) }
}

fn integer(number: i64) -> Value {
    Value { kind: Some(value::Kind::IntegerValue(number)) }
}

/// Fields that are being read.
struct Fields(HashMap<String, Value>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<value::Kind> {
        match self.0.remove(name)?.kind? {
            value::Kind::NullValue(_) => None,
            kind => Some(kind),
        }
    }

    fn optional_text(&mut self, name: &str) -> Result<Option<String>, SeamError> {
        match self.take(name) {
            None => Ok(None),
            Some(value::Kind::StringValue(text)) => Ok(Some(text)),
            Some(_) => Err(damaged(name)),
        }
    }

    fn text(&mut self, name: &str) -> Result<String, SeamError> {
        self.optional_text(name)?.ok_or_else(|| damaged(name))
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, SeamError> {
        let Some(value::Kind::ListValue(list)) = self.take(name) else { return Err(damaged(name)) };
        let text = |value: Value| match value.kind {
            Some(value::Kind::StringValue(text)) => Ok(text),
            _ => Err(damaged(name)),
        };
        list.values.into_iter().map(text).collect()
    }

    fn number(&mut self, name: &str) -> Result<Option<i64>, SeamError> {
        match self.take(name) {
            None => Ok(None),
            Some(value::Kind::IntegerValue(number)) => Ok(Some(number)),
            Some(_) => Err(damaged(name)),
        }
    }

    fn size(&mut self, name: &str) -> Result<usize, SeamError> {
        let number = self.number(name)?.ok_or_else(|| damaged(name))?;
        usize::try_from(number).map_err(|_| damaged(name))
    }

    fn time(&mut self, seconds: &str, nanos: &str) -> Result<Option<Timestamp>, SeamError> {
        let Some(whole) = self.number(seconds)? else { return Ok(None) };
        let rest = self.number(nanos)?.ok_or_else(|| damaged(nanos))?;
        let nanoseconds = i128::from(whole) * 1_000_000_000 + i128::from(rest);
        Timestamp::from_nanosecond(nanoseconds).map(Some).map_err(|_| damaged(seconds))
    }
}

/// The dense vector of an answer, where it has one.
fn dense(vectors: Option<VectorsOutput>) -> Option<Vec<f32>> {
    let vectors_output::VectorsOptions::Vectors(mut named) = vectors?.vectors_options? else { return None };
    match named.vectors.remove(DENSE)?.into_vector() {
        vector_output::Vector::Dense(vector) => Some(vector.data),
        _ => None,
    }
}

fn damaged(field: &str) -> SeamError {
    SeamError::new(ErrorKind::Corrupt, format!("field {field} of the index does not hold what was written"))
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::point_id::PointIdOptions;
    use rejoinder_domain::{Pool, RecordId, TenantId};

    use super::Place;

    fn place(tenant: &str, pool: Pool) -> Place {
        Place::new(&TenantId::new(tenant).unwrap(), pool)
    }

    #[test]
    fn no_two_places_share_a_point_or_a_number() {
        let id = RecordId::from_stored("rec_1");
        let one = place("acme", Pool::Passage);
        let Some(PointIdOptions::Uuid(uuid)) = one.point_id(&id).point_id_options else { panic!("not a UUID") };
        assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'8'));
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        assert_eq!(one.point_id(&id), place("acme", Pool::Passage).point_id(&id));
        for other in [place("acme", Pool::ReplyPair), place("acme2", Pool::Passage)] {
            assert_ne!(one.point_id(&id), other.point_id(&id));
            assert_ne!(one.dimension("pump"), other.dimension("pump"));
        }
    }

    #[test]
    fn weights_are_those_of_bm25() {
        let place = place("acme", Pool::Passage);
        let terms = ["pump", "pump", "leak", "oil"].map(str::to_owned);
        let words = place.words(&terms, 4.0);
        // At the average length: 2.2 f / (f + 1.2).
        assert!((words[&place.dimension("leak")] - 1.0).abs() < 1e-6);
        assert!((words[&place.dimension("pump")] - 4.4 / 3.2).abs() < 1e-6);
        // A longer record than the average counts its terms for less.
        assert!(place.words(&terms, 2.0)[&place.dimension("leak")] < 1.0);
    }
}
