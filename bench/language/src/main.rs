//! The language model beside llama.cpp, on the same file, with the same threads, in the same run.
//!
//! A crate of its own, because the decoder builds in minutes without the store that the other benchmarks need.

mod engine;
mod extraction;
mod local;
mod process;
mod protocol;
mod speed;
mod vocabulary;
mod weights;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rejoinder_models::{Manifest, ModelStore};

/// The model that is measured with its real weights.
const REAL: &str = "SmolLM2-135M-Instruct";

/// The language model beside llama.cpp; without a command, everything
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Tokens per second and memory
    Speed {
        #[command(flatten)]
        plan: speed::Plan,
        /// GGUF files or names of pulled models; without any, Qwen3-0.6B's shape (generated) and SmolLM2-135M
        models: Vec<String>,
    },
    /// Seconds for one extracted object
    Extraction {
        /// Threads of both engines
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// A GGUF file or the name of a pulled model whose chat template is `ChatML`
        #[arg(default_value = REAL)]
        model: String,
    },
    /// Write generated weights in the shape of a real model
    Weights {
        /// Whose shape
        #[arg(long, default_value = "qwen3-0.6b")]
        shape: weights::Shape,
        /// In which formats
        #[arg(long)]
        quant: weights::Mix,
        /// The file
        out: PathBuf,
    },
    /// Answer the questions of `speed`
    #[command(hide = true)]
    Engine {
        model: PathBuf,
        #[command(flatten)]
        size: engine::Size,
    },
    /// Answer the questions of `extraction`
    #[command(hide = true)]
    Local {
        model: PathBuf,
        #[command(flatten)]
        size: engine::Size,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        None => {
            speed_of(&[], &speed::Plan::default())?;
            measured(extraction_of(REAL, speed::Plan::default().threads));
            Ok(())
        }
        Some(Command::Speed { plan, models }) => speed_of(&models, &plan),
        Some(Command::Extraction { threads, model }) => extraction_of(&model, threads),
        Some(Command::Weights { shape, quant, out }) => weights::write(shape, quant, &out),
        Some(Command::Engine { model, size }) => engine::serve(&model, size),
        Some(Command::Local { model, size }) => local::serve(&model, size),
    }
}

fn speed_of(models: &[String], plan: &speed::Plan) -> anyhow::Result<()> {
    if models.is_empty() {
        for model in generated()? {
            speed::run(&model, plan)?;
        }
        measured(locate(REAL).and_then(|model| speed::run(&model, plan)));
        return Ok(());
    }
    models.iter().try_for_each(|model| speed::run(&locate(model)?, plan))
}

fn extraction_of(model: &str, threads: usize) -> anyhow::Result<()> {
    extraction::run(&locate(model)?, threads)
}

/// One that cannot run here says why and does not keep the others from running.
fn measured(result: anyhow::Result<()>) {
    if let Err(error) = result {
        println!("not measured: {error:#}");
    }
}

fn locate(name_or_path: &str) -> anyhow::Result<PathBuf> {
    ModelStore::of_user()
        .gguf(&Manifest::embedded()?, name_or_path)
        .with_context(|| format!("{name_or_path} is not here; `rejoinder models pull {name_or_path}` may fetch it"))
}

/// The generated files, made where they are not there yet.
fn generated() -> anyhow::Result<Vec<PathBuf>> {
    let folder = std::env::var_os("REJOINDER_BENCH_DIR")
        .map_or_else(|| std::env::temp_dir().join("rejoinder-bench"), PathBuf::from);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    [weights::Mix::Q4KM, weights::Mix::Q80].into_iter().map(|mix| generate(&folder, mix)).collect()
}

fn generate(folder: &Path, mix: weights::Mix) -> anyhow::Result<PathBuf> {
    let shape = weights::Shape::Qwen3Small;
    let path = folder.join(format!("{}-{}.gguf", shape.name(), mix.name()));
    if !path.exists() {
        weights::write(shape, mix, &path)?;
    }
    Ok(path)
}
