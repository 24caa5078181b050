//! What share of an ingest is not embedding: the rest is ours to keep small.
//!
//! A generated mailbox is ingested with the product's own defaults into an empty data folder.

use std::path::Path;

use anyhow::ensure;
use rejoinder::{Config, Rejoinder, TenantId};
use rejoinder_pst_writer::generate::{GenerateOptions, mailbox};

/// Size of the generated PST, bytes: some hundred messages, a few minutes of embedding.
const BYTES: u64 = 8 << 20;

/// Ingests and prints the account of the time.
pub(crate) fn run(work_dir: &Path) -> anyhow::Result<()> {
    let file = work_dir.join("ingest.pst");
    mailbox(&file, GenerateOptions { bytes: BYTES, ..GenerateOptions::default() })?;
    let data = tempfile::tempdir_in(work_dir)?;
    let tenant = TenantId::new("bench")?;
    let config = Config::new(tenant.clone(), data.path());
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        let rejoinder = Rejoinder::open(config).await?;
        rejoinder.ingest(&tenant, &[file], &()).await
    })?;
    ensure!(report.embedding_seconds > 0.0, "no embedder: pull the weights first");
    let rest = report.seconds - report.embedding_seconds;
    println!(
        "{} items, {} passages, {} reply pairs in {:.1} s: {:.1} s embedding, {:.1} s not ({:.1} %)",
        report.seen,
        report.chunks,
        report.pairs,
        report.seconds,
        report.embedding_seconds,
        rest,
        100.0 * rest / report.seconds
    );
    println!("peak memory {:.0} MB", report.peak_rss_bytes as f64 / 1e6);
    Ok(())
}
