//! Records as rows of an Arrow table, and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use jiff::Timestamp;
use rejoinder_domain::{ErrorKind, MailboxId, MessageId, Pool, Record, RecordId, ReplyText, SeamError, Span};

use crate::records::{direction_name, direction_of};
use crate::space::EmbeddingSpace;

/// Version of this layout. A table of another version is not read: see [`check_schema`].
const SCHEMA_VERSION: &str = "1";
const VERSION_KEY: &str = "rejoinder.schema";
const EMBEDDER_KEY: &str = "rejoinder.embedder";
/// There where texts are sealed and terms blind.
const ENCRYPTED_KEY: &str = "rejoinder.encrypted";

/// The columns that make a [`Record`] again, its vector excepted.
pub(super) const RECORD_COLUMNS: [&str; 19] = [
    "id",
    "message_id",
    "mailboxes",
    "direction",
    "sent_at",
    "sent_at_nanos",
    "participants",
    "subject",
    "author",
    "language",
    "span_start",
    "span_end",
    "text",
    "reply_message_id",
    "reply_text",
    "reply_author",
    "reply_sent_at",
    "reply_sent_at_nanos",
    "has_reply",
];

/// The layout of a table: records with `space`'s vectors, or without any, with texts that are `encrypted` or not.
pub(super) fn schema(space: Option<&EmbeddingSpace>, encrypted: bool) -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let optional = |name, data_type| Field::new(name, data_type, true);
    let list = |name| Field::new(name, DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), false);
    let mut fields = vec![
        text("id"),
        text("message_id"),
        list("mailboxes"),
        text("direction"),
        // Microseconds since 1970, which cover every date there is, and the nanoseconds below them.
        optional("sent_at", DataType::Int64),
        optional("sent_at_nanos", DataType::Int32),
        list("participants"),
        text("subject"),
        text("author"),
        optional("language", DataType::Utf8),
        Field::new("span_start", DataType::UInt64, false),
        Field::new("span_end", DataType::UInt64, false),
        text("text"),
        Field::new("has_reply", DataType::Boolean, false),
        optional("reply_message_id", DataType::Utf8),
        optional("reply_text", DataType::Utf8),
        optional("reply_author", DataType::Utf8),
        optional("reply_sent_at", DataType::Int64),
        optional("reply_sent_at_nanos", DataType::Int32),
        // What the full-text index reads: the analysed subject and text, a space between terms.
        text("terms"),
    ];
    let mut metadata = vec![(VERSION_KEY.to_owned(), SCHEMA_VERSION.to_owned())];
    if encrypted {
        metadata.push((ENCRYPTED_KEY.to_owned(), "true".to_owned()));
    }
    if let Some(space) = space {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        fields.push(optional("vector", DataType::FixedSizeList(item, space.dims as i32)));
        metadata.push((EMBEDDER_KEY.to_owned(), space.id.clone()));
    }
    Arc::new(Schema::new_with_metadata(fields, metadata.into_iter().collect()))
}

/// Refuses a table of another layout.
pub(super) fn check_schema(found: &Schema, expected: &Schema, table: &str) -> Result<(), SeamError> {
    let version = found.metadata().get(VERSION_KEY).map(String::as_str);
    if version == Some(SCHEMA_VERSION) && found.fields() == expected.fields() {
        return Ok(());
    }
    Err(SeamError::new(
        ErrorKind::Corrupt,
        format!(
            "the index table {table} has layout version {}, this program reads version {SCHEMA_VERSION}: remove the \
             index folder and ingest again, or use the program version that wrote it",
            version.unwrap_or("unknown")
        ),
    ))
}

/// Whether a table of this layout was made by a store that encrypts.
pub(super) fn is_encrypted(schema: &Schema) -> bool {
    schema.metadata().contains_key(ENCRYPTED_KEY)
}

/// Rows of `records`, in the layout of [`schema`]. `terms` has the text that the full-text index reads, for each.
pub(super) fn encode(
    records: &[Record],
    terms: &[String],
    schema: &SchemaRef,
    dims: Option<usize>,
) -> Result<RecordBatch, SeamError> {
    let reply = |part: fn(&ReplyText) -> &str| -> ArrayRef {
        Arc::new(records.iter().map(|record| record.reply.as_ref().map(part)).collect::<StringArray>())
    };
    let sent_at = |record: &Record| record.sent_at;
    let reply_sent_at = |record: &Record| record.reply.as_ref().and_then(|reply| reply.sent_at);
    let mut columns: BTreeMap<&str, ArrayRef> = BTreeMap::from([
        ("id", texts(records, |record| record.id.as_str())),
        ("message_id", texts(records, |record| record.message_id.as_str())),
        ("mailboxes", lists(records, |record| record.mailboxes.iter().map(MailboxId::as_str).collect())),
        ("direction", texts(records, |record| direction_name(record.direction))),
        ("sent_at", micros(records, sent_at)),
        ("sent_at_nanos", nanos(records, sent_at)),
        ("participants", lists(records, |record| record.participants.iter().map(String::as_str).collect())),
        ("subject", texts(records, |record| &record.subject)),
        ("author", texts(records, |record| &record.author)),
        (
            "language",
            Arc::new(records.iter().map(|record| record.language.as_deref()).collect::<StringArray>()) as ArrayRef,
        ),
        ("span_start", numbers(records, |record| record.span.start())),
        ("span_end", numbers(records, |record| record.span.end())),
        ("text", texts(records, |record| &record.text)),
        (
            "has_reply",
            Arc::new(records.iter().map(|record| Some(record.reply.is_some())).collect::<BooleanArray>()) as ArrayRef,
        ),
        ("reply_message_id", reply(|reply| reply.message_id.as_str())),
        ("reply_text", reply(|reply| &reply.text)),
        ("reply_author", reply(|reply| &reply.author)),
        ("reply_sent_at", micros(records, reply_sent_at)),
        ("reply_sent_at_nanos", nanos(records, reply_sent_at)),
        ("terms", Arc::new(StringArray::from_iter_values(terms))),
    ]);
    if let Some(dims) = dims {
        columns.insert("vector", vectors(records, dims));
    }
    let ordered = schema.fields().iter().filter_map(|field| columns.remove(field.name().as_str())).collect();
    RecordBatch::try_new(Arc::clone(schema), ordered)
        .map_err(|error| SeamError::new(ErrorKind::Internal, "records do not fit the table's layout").caused_by(error))
}

fn texts<'a>(records: &'a [Record], part: impl Fn(&'a Record) -> &'a str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(records.iter().map(part)))
}

fn numbers(records: &[Record], part: impl Fn(&Record) -> usize) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(records.iter().map(|record| part(record) as u64)))
}

fn lists<'a>(records: &'a [Record], part: impl Fn(&'a Record) -> Vec<&'a str>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for record in records {
        for value in part(record) {
            builder.values().append_value(value);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}

fn vectors(records: &[Record], dims: usize) -> ArrayRef {
    let mut builder = FixedSizeListBuilder::new(Float32Builder::with_capacity(records.len() * dims), dims as i32);
    for record in records {
        match &record.vector {
            Some(vector) => builder.values().append_slice(vector),
            None => builder.values().append_nulls(dims),
        }
        builder.append(record.vector.is_some());
    }
    Arc::new(builder.finish())
}

fn micros(records: &[Record], part: impl Fn(&Record) -> Option<Timestamp>) -> ArrayRef {
    Arc::new(records.iter().map(|record| part(record).map(|at| split(at).0)).collect::<Int64Array>())
}

fn nanos(records: &[Record], part: impl Fn(&Record) -> Option<Timestamp>) -> ArrayRef {
    Arc::new(records.iter().map(|record| part(record).map(|at| split(at).1)).collect::<Int32Array>())
}

/// Whole microseconds since 1970, rounded down, and the nanoseconds that are left, 0 to 999.
pub(super) fn split(at: Timestamp) -> (i64, i32) {
    let nanoseconds = at.as_nanosecond();
    (nanoseconds.div_euclid(1000) as i64, nanoseconds.rem_euclid(1000) as i32)
}

/// The records of `batch`, which has [`RECORD_COLUMNS`] and may have `vector`.
pub(super) fn decode(batch: &RecordBatch, pool: Pool) -> Result<Vec<Record>, SeamError> {
    let rows = Rows { batch, pool };
    (0..batch.num_rows()).map(|row| rows.record(row)).collect()
}

/// Reads single cells.
struct Rows<'a> {
    batch: &'a RecordBatch,
    pool: Pool,
}

impl Rows<'_> {
    fn record(&self, row: usize) -> Result<Record, SeamError> {
        let direction = direction_of(self.text("direction", row)?).ok_or_else(|| damaged("direction"))?;
        let start = self.number("span_start", row)?;
        let end = self.number("span_end", row)?;
        let has_reply = self.column("has_reply")?.as_boolean_opt().ok_or_else(|| damaged("has_reply"))?.value(row);
        let reply = if has_reply {
            Some(ReplyText {
                message_id: MessageId::from_stored(self.text("reply_message_id", row)?),
                text: self.text("reply_text", row)?.to_owned(),
                author: self.text("reply_author", row)?.to_owned(),
                sent_at: self.timestamp("reply_sent_at", "reply_sent_at_nanos", row)?,
            })
        } else {
            None
        };
        Ok(Record {
            id: RecordId::from_stored(self.text("id", row)?),
            pool: self.pool,
            message_id: MessageId::from_stored(self.text("message_id", row)?),
            mailboxes: self.list("mailboxes", row)?.into_iter().map(MailboxId::from_stored).collect(),
            direction,
            sent_at: self.timestamp("sent_at", "sent_at_nanos", row)?,
            participants: self.list("participants", row)?,
            subject: self.text("subject", row)?.to_owned(),
            author: self.text("author", row)?.to_owned(),
            language: self.optional_text("language", row)?.map(str::to_owned),
            span: Span::new(start, end).ok_or_else(|| damaged("span_end"))?,
            text: self.text("text", row)?.to_owned(),
            reply,
            vector: self.vector(row)?,
        })
    }

    fn column(&self, name: &str) -> Result<&ArrayRef, SeamError> {
        self.batch.column_by_name(name).ok_or_else(|| damaged(name))
    }

    fn optional_text(&self, name: &str, row: usize) -> Result<Option<&str>, SeamError> {
        let column = self.column(name)?.as_string_opt::<i32>().ok_or_else(|| damaged(name))?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    }

    fn text(&self, name: &str, row: usize) -> Result<&str, SeamError> {
        self.optional_text(name, row)?.ok_or_else(|| damaged(name))
    }

    fn number(&self, name: &str, row: usize) -> Result<usize, SeamError> {
        let column = self.column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| damaged(name))?;
        usize::try_from(column.value(row)).map_err(|_| damaged(name))
    }

    fn list(&self, name: &str, row: usize) -> Result<Vec<String>, SeamError> {
        let column = self.column(name)?.as_list_opt::<i32>().ok_or_else(|| damaged(name))?;
        let values = column.value(row);
        let values = values.as_string_opt::<i32>().ok_or_else(|| damaged(name))?;
        Ok(values.iter().flatten().map(str::to_owned).collect())
    }

    fn timestamp(&self, name: &str, below: &str, row: usize) -> Result<Option<Timestamp>, SeamError> {
        let micros = self.column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| damaged(name))?;
        let nanos = self.column(below)?.as_primitive_opt::<Int32Type>().ok_or_else(|| damaged(below))?;
        if micros.is_null(row) {
            return Ok(None);
        }
        let nanoseconds = i128::from(micros.value(row)) * 1000 + i128::from(nanos.value(row));
        Timestamp::from_nanosecond(nanoseconds).map(Some).map_err(|_| damaged(name))
    }

    fn vector(&self, row: usize) -> Result<Option<Vec<f32>>, SeamError> {
        let Some(column) = self.batch.column_by_name("vector") else { return Ok(None) };
        let column = column.as_fixed_size_list_opt().ok_or_else(|| damaged("vector"))?;
        if column.is_null(row) {
            return Ok(None);
        }
        let values = column.value(row);
        let values = values.as_primitive_opt::<Float32Type>().ok_or_else(|| damaged("vector"))?;
        Ok(Some(values.values().to_vec()))
    }
}

fn damaged(column: &str) -> SeamError {
    SeamError::new(ErrorKind::Corrupt, format!("column {column} of the index does not hold what was written"))
}
