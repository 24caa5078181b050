//! The router as a library: what it adds to a call by `rejoinder-providers`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use rejoinder_domain::language::collect;
use rejoinder_domain::{Egress, Journal, LanguageModel};
use rejoinder_ledger::{UsageJournal, UsageOptions};
use rejoinder_providers::{OpenAiCompatible, RemoteOptions};
use rejoinder_router::{
    BudgetRule, CacheConfig, Capabilities, Period, Place, Price, Router, RouterConfig, RouterParts, Target,
    TargetOptions, Timeouts,
};

use crate::children::{Process, Server};
use crate::load::Way;
use crate::prompt::{ANSWER, Question};
use crate::{Plan, memory, report};

/// Measures and prints.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<()> {
    let provider = Server::own(&["provider"])?;
    let proxy = Server::own(&["proxy", &provider.url])?;
    let folder = tempfile::tempdir_in(report::folder()?)?;
    let straight = model(&provider.url)?;
    let redacting = router(&folder.path().join("redacting"), &straight, Egress::RedactThenRemote)?;
    let ways: Vec<Arc<dyn Way>> = vec![
        way("straight to the provider", Arc::clone(&straight)),
        way("through a bare reverse proxy", model(&proxy.url)?),
        way("router", router(&folder.path().join("plain"), &straight, Egress::RemoteAllowed)?),
        way("router, redacting", Arc::clone(&redacting)),
    ];
    report::measure("The router as a library (budgets, audit on disk, metrics, cache)", &ways, plan).await?;
    memory::watch(&way("router, redacting", redacting), Process(None), plan.memory_requests).await
}

fn way(name: &'static str, model: Arc<dyn LanguageModel>) -> Arc<dyn Way> {
    Arc::new(ModelWay { name, model })
}

struct ModelWay {
    name: &'static str,
    model: Arc<dyn LanguageModel>,
}

#[async_trait]
impl Way for ModelWay {
    fn name(&self) -> &str {
        self.name
    }

    fn process(&self) -> Process {
        Process(None)
    }

    async fn ask(&self, question: Question) -> anyhow::Result<()> {
        let (text, _) = collect(self.model.generate(question.request()?).await?).await?;
        anyhow::ensure!(text == ANSWER, "the answer came as {text:?}");
        Ok(())
    }
}

fn model(url: &str) -> anyhow::Result<Arc<dyn LanguageModel>> {
    Ok(Arc::new(OpenAiCompatible::new(RemoteOptions::new("loopback", format!("{url}/v1"), "scripted"))?))
}

/// Everything on; what bounds calls is so high that it never says no.
fn router(folder: &Path, model: &Arc<dyn LanguageModel>, egress: Egress) -> anyhow::Result<Arc<dyn LanguageModel>> {
    let journal = Arc::new(UsageJournal::open(folder.join("usage.sqlite"), UsageOptions::default())?);
    let budget = |per| BudgetRule {
        tenant: None,
        purpose: None,
        target: None,
        per,
        tokens: Some(1_000_000_000_000),
        cost: Some(1e6),
    };
    let config = RouterConfig {
        egress,
        budgets: Period::ALL.map(budget).to_vec(),
        // Small, so that it is full soon when memory is looked at.
        cache: CacheConfig { max_bytes: 1 << 20, ttl_seconds: 3600 },
        ..RouterConfig::default()
    };
    let options = TargetOptions {
        place: Place::Remote,
        can: Capabilities { tools: true, structured_output: true },
        timeouts: Timeouts {
            first_token: Duration::from_secs(30),
            between_tokens: Duration::from_secs(30),
            whole: Duration::from_mins(1),
        },
        price: Price { input: 150, cached_input: 75, output: 600 },
        concurrency: 0,
    };
    let targets = vec![Target { name: "loopback".to_owned(), model: Arc::clone(model), options }];
    let mut metrics = Registry::default();
    let journal = journal as Arc<dyn Journal>;
    Ok(Arc::new(Router::new(RouterParts { config, targets, journal, metrics: &mut metrics })?))
}
