//! Mailboxes as callers name them: by id, or by the name that answers show.

use std::borrow::Cow;
use std::sync::Arc;

use rejoinder_assist::AssistError;
use rejoinder_domain::{ErrorKind, MailboxId, SeamError, TenantId};
use rejoinder_ledger::{Ledger, MailboxRecord};

use crate::feedback::blocking;
use crate::{Error, Rejoinder};

impl Rejoinder {
    /// The request with ids put where it has `named` mailboxes; as it is where it names none.
    pub(crate) async fn with_ids<'a, T: Clone>(
        &self,
        tenant: &TenantId,
        request: &'a T,
        named: &[MailboxId],
        put: impl FnOnce(&mut T, Vec<MailboxId>),
    ) -> Result<Cow<'a, T>, Error> {
        if named.is_empty() {
            return Ok(Cow::Borrowed(request));
        }
        let ids = self.mailbox_ids(tenant, named).await?;
        let mut request = request.clone();
        put(&mut request, ids);
        Ok(Cow::Owned(request))
    }

    /// The ids of mailboxes that are named by id or name. A name that several have stands for all of them, and one that nobody
    /// has for a mailbox without mail.
    async fn mailbox_ids(&self, tenant: &TenantId, named: &[MailboxId]) -> Result<Vec<MailboxId>, Error> {
        let (ledger, of, named) = (Arc::clone(&self.parts.ledger), tenant.clone(), named.to_vec());
        blocking(move || {
            let all = ledger.mailboxes(&of)?;
            let mut ids = Vec::new();
            for name in named {
                let found = matching(&all, &name);
                ids.extend(found.into_iter().map(|mailbox| mailbox.id.clone()));
                ids.push(name);
            }
            ids.sort();
            ids.dedup();
            Ok(ids)
        })
        .await
    }
}

/// The one mailbox that is meant. [`ErrorKind::NotFound`] without one, [`ErrorKind::Invalid`] where several have the name.
pub(crate) fn the_mailbox(ledger: &Ledger, tenant: &TenantId, named: &MailboxId) -> Result<MailboxId, Error> {
    let all = ledger.mailboxes(tenant)?;
    match matching(&all, named).as_slice() {
        [] => Err(SeamError::new(ErrorKind::NotFound, "there is no such mailbox").into()),
        [one] => Ok(one.id.clone()),
        several => {
            let ids: Vec<&str> = several.iter().map(|mailbox| mailbox.id.as_str()).collect();
            let message = format!("several mailboxes are called so; name one by its id: {}", ids.join(", "));
            Err(AssistError::Invalid { pointer: String::new(), message }.into())
        }
    }
}

/// The mailbox of this id, else those of this name.
fn matching<'a>(all: &'a [MailboxRecord], named: &MailboxId) -> Vec<&'a MailboxRecord> {
    let by_id = all.iter().find(|mailbox| mailbox.id == *named);
    by_id.map_or_else(|| all.iter().filter(|mailbox| mailbox.name == named.as_str()).collect(), |one| vec![one])
}
