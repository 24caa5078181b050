//! A real mailbox, where `REJOINDER_CORPUS` names the folder that has it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::fakes::{Fuse, HashEmbedder};
use crate::state::Site;
use rejoinder_pipeline::IngestConfig;

#[test]
fn the_vendor_support_list_is_ingested_whole() {
    let Some(corpus) = std::env::var_os("REJOINDER_CORPUS").map(PathBuf::from) else {
        println!("REJOINDER_CORPUS is not set: nothing was tested");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mbox = folder.path().join("list.mbox");
    unpack(&corpus.join("vendor-support-list"), &mbox);
    let mut site = Site::open(&folder.path().join("data"));
    site.pipeline.config = IngestConfig::default();
    let mut embedder = HashEmbedder::new(Fuse::parse("none:0"));
    embedder.max_tokens = 256;
    site.pipeline.embedder = Some(std::sync::Arc::new(embedder));
    let first = site.ingest(std::slice::from_ref(&mbox));
    assert_eq!((first.seen, first.skipped, first.pending), (2500, 0, 0), "{:?}", first.skips);
    assert!(first.threads > 100 && first.pairs > 100 && first.chunks >= first.indexed);
    let second = site.ingest(std::slice::from_ref(&mbox));
    assert_eq!((second.read, second.written), (0, 0));
    for (name, report) in [("first", first), ("second", second)] {
        println!(
            "{name} run {:.2} s: reading {:.2}, threading {:.2}, indexing {:.2} with {:.2} in the model; {} passages, {} \
             threads, {} pairs, peak {} MiB",
            report.seconds,
            report.reading_seconds,
            report.threading_seconds,
            report.indexing_seconds,
            report.embedding_seconds,
            report.chunks,
            report.threads,
            report.pairs,
            report.peak_rss_bytes >> 20
        );
    }
}

/// The set's one mbox, decompressed by the `zstd` program.
fn unpack(set: &Path, to: &Path) {
    let is_mbox = |path: &PathBuf| path.to_string_lossy().contains(".mbox");
    let packed = std::fs::read_dir(set).unwrap().map(|entry| entry.unwrap().path()).find(is_mbox).unwrap();
    let output = std::process::Command::new("zstd").arg("-dc").arg(&packed).output().unwrap();
    assert!(output.status.success());
    std::fs::File::create(to).unwrap().write_all(&output.stdout).unwrap();
}
