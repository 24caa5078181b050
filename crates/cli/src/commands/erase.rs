//! `rejoinder erase`.

use anyhow::{Context as _, bail};
use rejoinder::{EraseTarget, MailboxId, MessageId};
use rejoinder_access::KeyStore;
use rejoinder_server::erase::Receipt;

use super::{Outcome, open};
use crate::args::EraseArguments;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, asked: &EraseArguments, as_json: bool) -> anyhow::Result<Outcome> {
    let keys = settings.library.keys_path();
    let rejoinder = open(settings).await?;
    let tenant = rejoinder.default_tenant();
    let target = match asked {
        EraseArguments { message: Some(id), .. } => EraseTarget::Message(MessageId::from_stored(id.clone())),
        EraseArguments { mailbox: Some(id), .. } => EraseTarget::Mailbox(MailboxId::from_stored(id.clone())),
        EraseArguments { person: Some(email), .. } if email.contains('@') => EraseTarget::Person(email.clone()),
        EraseArguments { person: Some(_), .. } => bail!("a person is named by an e-mail address"),
        EraseArguments { whole_tenant: Some(named), .. } if named == tenant => EraseTarget::Tenant,
        _ => bail!("the tenant in use is {tenant}; name that one, or choose another with --tenant"),
    };
    let receipt = rejoinder.erase(tenant, &target).await?;
    // Last, so that a failure leaves the tenant able to ask again.
    let keys = if target == EraseTarget::Tenant && keys.exists() {
        KeyStore::open(&keys).and_then(|keys| keys.erase_tenant(tenant)).context("the API keys")?
    } else {
        0
    };
    if keys > 0 {
        eprintln!("{keys} API keys of the tenant are gone too");
    }
    if as_json {
        let answer = serde_json::to_string(&Receipt::from(receipt.clone()))?;
        println!("{answer}");
    } else {
        println!(
            "erased {} messages, {} passages and reply pairs, {} suggestions; asking again found {}",
            receipt.messages, receipt.records, receipt.suggestions, receipt.left
        );
    }
    if receipt.left > 0 {
        bail!("not everything is gone: run the same command again");
    }
    Ok(Outcome::Complete)
}
