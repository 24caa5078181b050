//! Texts of records, sealed before a store has them and opened when they come back.
//!
//! A sealed record is a record: subject, author, text and the reply's text and author are sealed texts, and the participants
//! are blind terms, which a filter still finds, after one sealed text that holds the addresses themselves. So every store
//! keeps a sealed record as it keeps any other. The terms that the full-text index reads are blind as well.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use rejoinder_domain::{ErrorKind, Filter, Record, SeamError, TenantId};
use rejoinder_vault::{Blinder, Plain, Sealer, VaultError};

use crate::records::index_terms;

/// What seals a store's texts.
#[derive(Clone)]
pub(crate) struct Seal(Arc<dyn Sealer>);

impl Seal {
    /// Without a sealer texts stay as they are.
    pub(crate) fn new(sealer: Option<Arc<dyn Sealer>>) -> Self {
        Self(sealer.unwrap_or_else(|| Arc::new(Plain)))
    }

    /// Whether texts are sealed.
    pub(crate) fn is_sealing(&self) -> bool {
        self.0.is_sealing()
    }

    /// For one call that a store serves.
    pub(crate) fn of<'a>(&'a self, tenant: &'a TenantId) -> Result<TenantSeal<'a>, SeamError> {
        Ok(TenantSeal { sealer: &*self.0, tenant, blinder: self.0.blinder(tenant).map_err(failed)? })
    }

    /// Refuses a place that was written with a key and is opened without, or the other way round: its words could not be found.
    ///
    /// `place` is the name of the table or collection, `sealed` whether it was made by a store that seals.
    pub(crate) fn check(&self, place: &str, sealed: bool) -> Result<(), SeamError> {
        match (sealed, self.is_sealing()) {
            (true, false) => Err(SeamError::new(
                ErrorKind::Unavailable,
                format!("{place} is encrypted and no master key is configured: configure the one it was written with"),
            )),
            (false, true) => Err(SeamError::new(
                ErrorKind::Unavailable,
                format!(
                    "{place} was written without encryption and a master key is configured: remove the index and ingest \
                     again, or leave the key out"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// What seals one tenant's texts.
pub(crate) struct TenantSeal<'a> {
    sealer: &'a dyn Sealer,
    tenant: &'a TenantId,
    blinder: Blinder,
}

impl TenantSeal<'_> {
    /// The terms that the index is to hold for `record`, in order and with repeats. Before it is sealed.
    pub(crate) fn index_terms(&self, record: &Record) -> Vec<String> {
        self.blind(index_terms(record))
    }

    /// Terms as the index holds them.
    pub(crate) fn blind(&self, mut terms: Vec<String>) -> Vec<String> {
        if self.blinder.is_blinding() {
            for term in &mut terms {
                *term = self.blinder.blind(term).into_owned();
            }
        }
        terms
    }

    /// `filter` as it applies to sealed records.
    pub(crate) fn filter<'f>(&self, filter: &'f Filter) -> Cow<'f, Filter> {
        if !self.blinder.is_blinding() || filter.participants.is_empty() {
            return Cow::Borrowed(filter);
        }
        Cow::Owned(Filter { participants: self.blind(filter.participants.clone()), ..filter.clone() })
    }

    /// Seals what `record` says.
    pub(crate) fn seal(&self, mut record: Record) -> Result<Record, SeamError> {
        let id = record.id.as_str().to_owned();
        let pool = record.pool.as_str();
        for (field, text) in texts(&mut record) {
            if !text.is_empty() {
                let place = context(pool, &id, field);
                *text = self.sealer.seal_text(self.tenant, &place, text).map_err(failed)?.into_owned();
            }
        }
        if self.blinder.is_blinding() && !record.participants.is_empty() {
            let all = joined(&record.participants);
            let place = context(pool, &id, "participants");
            let sealed = self.sealer.seal_text(self.tenant, &place, &all).map_err(failed)?.into_owned();
            let blind = self.blind(std::mem::take(&mut record.participants));
            record.participants = std::iter::once(sealed).chain(blind).collect();
        }
        Ok(record)
    }

    /// Opens what [`TenantSeal::seal`] gave.
    pub(crate) fn open(&self, mut record: Record) -> Result<Record, SeamError> {
        let id = record.id.as_str().to_owned();
        let pool = record.pool.as_str();
        for (field, text) in texts(&mut record) {
            if !text.is_empty() {
                let place = context(pool, &id, field);
                *text = self.sealer.open_text(self.tenant, &place, std::mem::take(text)).map_err(failed)?;
            }
        }
        if self.blinder.is_blinding()
            && let Some(sealed) = record.participants.first_mut()
        {
            let place = context(pool, &id, "participants");
            let all = self.sealer.open_text(self.tenant, &place, std::mem::take(sealed)).map_err(failed)?;
            record.participants = parted(&all).ok_or_else(|| {
                SeamError::new(ErrorKind::Corrupt, format!("the participants of record {id} are damaged"))
            })?;
        }
        Ok(record)
    }
}

fn failed(error: VaultError) -> SeamError {
    SeamError::new(error.kind(), error.to_string()).caused_by(error)
}

/// The texts that are sealed, with their names.
fn texts(record: &mut Record) -> impl Iterator<Item = (&'static str, &mut String)> {
    let reply =
        record.reply.as_mut().map(|reply| [("reply_text", &mut reply.text), ("reply_author", &mut reply.author)]);
    let own = [("subject", &mut record.subject), ("author", &mut record.author), ("text", &mut record.text)];
    own.into_iter().chain(reply.into_iter().flatten())
}

/// The place that a text is bound to.
fn context(pool: &str, id: &str, field: &str) -> String {
    format!("store/{pool}/{id}/{field}")
}

/// One text of several: each after its length in bytes and a colon.
fn joined(texts: &[String]) -> String {
    let mut all = String::new();
    for text in texts {
        // Writing to a string cannot fail.
        let _ = write!(all, "{}:{text}", text.len());
    }
    all
}

/// The texts that [`joined`] made one; `None` for anything else.
fn parted(mut all: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !all.is_empty() {
        let (length, rest) = all.split_once(':')?;
        let (text, rest) = rest.split_at_checked(length.parse().ok()?)?;
        texts.push(text.to_owned());
        all = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::{joined, parted};

    #[test]
    fn texts_come_apart_as_they_were() {
        for texts in [vec![], vec![""], vec!["a:1", "", "ü", "3:x"]] {
            let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
            assert_eq!(parted(&joined(&texts)), Some(texts));
        }
        for bad in ["x", "9:a", "1:ü", ":", "-1:a"] {
            assert_eq!(parted(bad), None, "{bad}");
        }
    }
}
