//! Benchmarks and quality figures, each beside a named peer in the same run where there is one.
//!
//! `make bench` runs all of them, `make bench BENCH=pst` one. None is a test: they print figures, and a person judges.

mod calibration;
mod embedding;
mod ingest;
mod pst;
mod retrieval;
mod suggest;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rejoinder::models::{CandleEmbedder, EmbedderOptions, Manifest, ModelStore};

/// Every benchmark, in the order in which `all` runs them.
const NAMES: [&str; 6] = ["pst", "embedding", "retrieval", "calibration", "ingest", "suggest"];

fn main() -> anyhow::Result<()> {
    if let Some(done) = pst::run_as_child() {
        return done;
    }
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "all".to_owned());
    let json = arguments.any(|argument| argument == "--json");
    let chosen: Vec<&str> = match name.as_str() {
        "all" => NAMES.to_vec(),
        one => NAMES.iter().copied().filter(|known| *known == one).collect(),
    };
    if chosen.is_empty() {
        bail!("no benchmark {name:?}; there are: all, {}", NAMES.join(", "));
    }
    for name in chosen {
        println!("\n== {name}");
        // One that cannot run here says why and does not keep the others from running.
        if let Err(error) = run(name, json) {
            println!("not measured: {error:#}");
        }
    }
    Ok(())
}

fn run(name: &str, json: bool) -> anyhow::Result<()> {
    match name {
        "pst" => pst::run(&pst::Options { bytes: 1 << 30, work_dir: work_dir()?, json }),
        "embedding" => embedding::run(&embedding::Options::default()),
        "retrieval" => retrieval::run(&retrieval::Options {
            folder: corpus()?.join("retrieval-fiqa"),
            split: "dev".to_owned(),
            embedder: embedder()?.as_ref(),
            cache: Some(work_dir()?),
            weights: vec![0.6, 0.65, 0.7],
        }),
        "calibration" => calibration::run(corpus().ok().as_deref(), embedder()?.as_ref()),
        "ingest" => ingest::run(&work_dir()?),
        "suggest" => suggest::run(&corpus()?, &work_dir()?),
        _ => bail!("not a benchmark"),
    }
}

/// Where generated files are kept, so that a second run need not make them again.
fn work_dir() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("REJOINDER_BENCH_DIR")
        .map_or_else(|| std::env::temp_dir().join("rejoinder-bench"), PathBuf::from);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn corpus() -> anyhow::Result<PathBuf> {
    std::env::var_os("REJOINDER_CORPUS")
        .map(PathBuf::from)
        .context("REJOINDER_CORPUS does not name the folder of corpora")
}

fn embedder() -> anyhow::Result<Arc<CandleEmbedder>> {
    let manifest = Manifest::embedded()?;
    let files = ModelStore::of_user().locate(manifest.get("all-MiniLM-L6-v2")?)?;
    Ok(Arc::new(CandleEmbedder::load(&files, &EmbedderOptions::default())?))
}
