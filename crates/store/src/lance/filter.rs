//! Restrictions as typed expressions: no value ever passes through SQL text, so none needs escaping.

use jiff::Timestamp;
use lancedb::datafusion::functions_nested::expr_fn::{array_has_any, make_array};
use lancedb::expr::{DfExpr, col, is_in, lit};
use rejoinder_domain::{Filter, MailboxId, MessageId, RecordId};

use super::rows::split;
use crate::records::direction_name;

/// What `filter` lets through; `None` where it lets everything through.
pub(super) fn expression(filter: &Filter) -> Option<DfExpr> {
    let mut parts = Vec::new();
    parts.extend(filter.since.map(not_before));
    parts.extend(filter.until.map(before));
    if !filter.mailboxes.is_empty() {
        parts.push(holds_any("mailboxes", filter.mailboxes.iter().map(MailboxId::as_str)));
    }
    if !filter.directions.is_empty() {
        let names = filter.directions.iter().map(|&direction| lit(direction_name(direction))).collect();
        parts.push(is_in(col("direction"), names));
    }
    if !filter.participants.is_empty() {
        parts.push(holds_any("participants", filter.participants.iter().map(String::as_str)));
    }
    if !filter.exclude_messages.is_empty() {
        parts.push(DfExpr::Not(Box::new(one_of("message_id", filter.exclude_messages.iter().map(MessageId::as_str)))));
    }
    parts.into_iter().reduce(DfExpr::and)
}

/// The records with these ids.
pub(super) fn with_ids(ids: &[RecordId]) -> DfExpr {
    one_of("id", ids.iter().map(RecordId::as_str))
}

/// The records of these messages, and the reply pairs whose reply is one of them.
pub(super) fn of_messages(messages: &[MessageId]) -> DfExpr {
    let ids = || messages.iter().map(MessageId::as_str);
    one_of("message_id", ids()).or(one_of("reply_message_id", ids()))
}

fn one_of<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> DfExpr {
    is_in(col(column), values.map(lit).collect())
}

fn holds_any<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> DfExpr {
    array_has_any(col(column), make_array(values.map(lit).collect()))
}

fn before(at: Timestamp) -> DfExpr {
    let (micros, nanos) = split(at);
    let earlier = col("sent_at").lt(lit(micros));
    if nanos == 0 {
        return earlier;
    }
    earlier.or(col("sent_at").eq(lit(micros)).and(col("sent_at_nanos").lt(lit(nanos))))
}

fn not_before(at: Timestamp) -> DfExpr {
    let (micros, nanos) = split(at);
    if nanos == 0 {
        return col("sent_at").gt_eq(lit(micros));
    }
    col("sent_at").gt(lit(micros)).or(col("sent_at").eq(lit(micros)).and(col("sent_at_nanos").gt_eq(lit(nanos))))
}
