//! Restrictions as conditions that the server checks.

use qdrant_client::qdrant::{Condition, Filter as Conditions, Range};
use rejoinder_domain::{Filter, MailboxId, MessageId, RecordId, TenantId};

use super::points::{Place, key, split};
use crate::records::direction_name;

/// The records of `place` that `filter` lets through.
pub(super) fn of_place(place: &Place, filter: &Filter) -> Conditions {
    let mut must = vec![tenant(&place.tenant), Condition::matches(key::POOL, place.pool.as_str().to_owned())];
    let mut must_not = Vec::new();
    if let Some(since) = filter.since {
        let (seconds, nanos) = split(since);
        must.push(at_or_after(seconds, nanos));
    }
    if let Some(until) = filter.until {
        let (seconds, nanos) = split(until);
        must.push(before(seconds, nanos));
    }
    if !filter.mailboxes.is_empty() {
        must.push(any_of(key::MAILBOXES, filter.mailboxes.iter().map(MailboxId::as_str)));
    }
    if !filter.directions.is_empty() {
        must.push(any_of(key::DIRECTION, filter.directions.iter().map(|&direction| direction_name(direction))));
    }
    if !filter.participants.is_empty() {
        must.push(any_of(key::PARTICIPANTS, filter.participants.iter().map(String::as_str)));
    }
    if !filter.exclude_messages.is_empty() {
        must_not.push(any_of(key::MESSAGE, filter.exclude_messages.iter().map(MessageId::as_str)));
    }
    Conditions { must, must_not, ..Conditions::default() }
}

/// The records of `place` with these ids.
pub(super) fn with_ids(place: &Place, ids: &[RecordId]) -> Conditions {
    let mut conditions = of_place(place, &Filter::default());
    conditions.must.push(Condition::has_id(ids.iter().map(|id| place.point_id(id))));
    conditions
}

/// The records of `place` that have the term of this number.
pub(super) fn with_term(place: &Place, dimension: u32) -> Conditions {
    let mut conditions = of_place(place, &Filter::default());
    conditions.must.push(Condition::matches(key::TERMS, i64::from(dimension)));
    conditions
}

/// Everything of a tenant.
pub(super) fn of_tenant(who: &TenantId) -> Conditions {
    Conditions::must([tenant(who)])
}

/// The tenant's records of these messages, and the reply pairs whose reply is one of them.
pub(super) fn of_messages(who: &TenantId, messages: &[MessageId]) -> Conditions {
    let ids = || messages.iter().map(MessageId::as_str);
    let should = vec![any_of(key::MESSAGE, ids()), any_of(key::REPLY_MESSAGE, ids())];
    Conditions { must: vec![tenant(who)], should, ..Conditions::default() }
}

fn tenant(who: &TenantId) -> Condition {
    Condition::matches(key::TENANT, who.as_str().to_owned())
}

fn any_of<'a>(field: &str, values: impl Iterator<Item = &'a str>) -> Condition {
    Condition::matches(field, values.map(str::to_owned).collect::<Vec<String>>())
}

fn before(seconds: i64, nanos: i64) -> Condition {
    let earlier = Condition::range(key::SENT_SECONDS, Range { lt: Some(seconds as f64), ..Range::default() });
    if nanos == 0 {
        return earlier;
    }
    let rest = Condition::range(key::SENT_NANOS, Range { lt: Some(nanos as f64), ..Range::default() });
    Conditions::should([earlier, same_second(seconds, rest)]).into()
}

fn at_or_after(seconds: i64, nanos: i64) -> Condition {
    if nanos == 0 {
        return Condition::range(key::SENT_SECONDS, Range { gte: Some(seconds as f64), ..Range::default() });
    }
    let later = Condition::range(key::SENT_SECONDS, Range { gt: Some(seconds as f64), ..Range::default() });
    let rest = Condition::range(key::SENT_NANOS, Range { gte: Some(nanos as f64), ..Range::default() });
    Conditions::should([later, same_second(seconds, rest)]).into()
}

fn same_second(seconds: i64, rest: Condition) -> Condition {
    Conditions::must([Condition::matches(key::SENT_SECONDS, seconds), rest]).into()
}
