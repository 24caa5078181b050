//! Embedding speed: our encoder against ONNX Runtime in single precision, through fastembed and called directly, on the
//! same texts in one run.
//!
//! Every engine gets its turn in each round, so that what else the machine does falls on all of them. Besides the wall
//! clock the CPU time per text is given: on a shared machine it is the steadier figure.

#[cfg(feature = "fastembed")]
mod onnx;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rejoinder_domain::{Embedder, Role};
use rejoinder_models::{CandleEmbedder, EmbedderOptions, Manifest, ModelFiles, ModelStore};

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Name of the model in the manifest; it must have been pulled.
    pub model: String,
    /// The same model as ONNX; without it only our encoder is measured.
    pub onnx: Option<PathBuf>,
    /// Texts per round.
    pub texts: usize,
    /// Rounds; the median counts.
    pub rounds: usize,
    /// Threads of every engine.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        let onnx = std::env::var_os("REJOINDER_BENCH_ONNX").map(PathBuf::from);
        Self { model: "all-MiniLM-L6-v2".to_owned(), onnx, texts: 96, rounds: 3, threads: 2 }
    }
}

/// One engine with its measurements.
struct Contestant {
    name: &'static str,
    engine: Box<dyn Engine>,
    resident_bytes: u64,
    wall: Vec<f64>,
    cpu: Vec<f64>,
    query: Vec<f64>,
    vectors: Vec<Vec<f32>>,
}

trait Engine {
    fn embed(&mut self, texts: &[&str]) -> anyhow::Result<Vec<Vec<f32>>>;
}

/// Runs the benchmark and prints a table.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.texts > 0 && options.rounds > 0, "there must be at least one text and one round");
    let manifest = Manifest::embedded()?;
    let files = ModelStore::of_user().locate(manifest.get(&options.model)?)?;
    let settings = EmbedderOptions { workers: options.threads, ..EmbedderOptions::default() };
    let ours = CandleEmbedder::load(&files, &settings)?;
    let passages = passages(options.texts, &ours)?;
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    drop(ours);

    let mut contestants = contestants(options, &files, &settings)?;
    for contestant in &mut contestants {
        // A first round warms caches and grows buffers.
        contestant.engine.embed(&passages)?;
    }
    for _ in 0..options.rounds {
        for contestant in &mut contestants {
            contestant.measure(&passages)?;
        }
    }
    print_table(&contestants, passages.len());
    Ok(())
}

fn contestants(options: &Options, files: &ModelFiles, settings: &EmbedderOptions) -> anyhow::Result<Vec<Contestant>> {
    let ours = contestant("ours (candle)", || Ok(Box::new(Ours(CandleEmbedder::load(files, settings)?))))?;
    #[cfg(feature = "fastembed")]
    if let Some(path) = &options.onnx {
        let mut all = vec![ours];
        all.extend(onnx::contestants(path, files, settings)?);
        return Ok(all);
    }
    println!(
        "ONNX Runtime is not measured: build with the feature fastembed, name the model as ONNX in REJOINDER_BENCH_ONNX \
         (models/tests/reference/export_onnx.py makes it) and libonnxruntime in ORT_DYLIB_PATH (the Python package \
         onnxruntime holds one); asked for {:?}",
        options.onnx
    );
    Ok(vec![ours])
}

fn contestant(
    name: &'static str,
    load: impl FnOnce() -> anyhow::Result<Box<dyn Engine>>,
) -> anyhow::Result<Contestant> {
    let before = resident_bytes();
    let mut engine = load().with_context(|| format!("loading {name}"))?;
    engine.embed(&["one text, so that what is loaded late is counted too"])?;
    let resident_bytes = resident_bytes().saturating_sub(before);
    Ok(Contestant {
        name,
        engine,
        resident_bytes,
        wall: Vec::new(),
        cpu: Vec::new(),
        query: Vec::new(),
        vectors: Vec::new(),
    })
}

impl Contestant {
    fn measure(&mut self, passages: &[&str]) -> anyhow::Result<()> {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        self.vectors = self.engine.embed(passages)?;
        self.wall.push(wall.elapsed().as_secs_f64());
        self.cpu.push(cpu_seconds() - cpu);
        for query in ["where is the refund for my order of last week", "invoice 2024-0817 paid twice", "Rechnung fehlt"]
        {
            for _ in 0..5 {
                let started = Instant::now();
                self.engine.embed(&[query])?;
                self.query.push(started.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }
}

fn print_table(contestants: &[Contestant], texts: usize) {
    let count = texts as f64;
    let reference = contestants.last().filter(|_| contestants.len() > 1);
    println!(
        "engine | texts/s | CPU ms/text | against direct, wall | against direct, CPU | query ms | RSS MB | worst cosine"
    );
    for one in contestants {
        let (wall, cpu) = (median(&one.wall), median(&one.cpu));
        let against = |own: f64, pick: fn(&Contestant) -> &[f64]| {
            reference.map_or_else(|| "-".to_owned(), |other| format!("{:.2}", median(pick(other)) / own))
        };
        let worst = reference.map_or(f32::NAN, |other| {
            let cosines =
                one.vectors.iter().zip(&other.vectors).map(|(a, b)| a.iter().zip(b).map(|(x, y)| x * y).sum());
            cosines.fold(f32::INFINITY, f32::min)
        });
        println!(
            "{} | {:.1} | {:.1} | {} | {} | {:.1} | {} | {worst:.7}",
            one.name,
            count / wall,
            1000.0 * cpu / count,
            against(wall, |c| &c.wall),
            against(cpu, |c| &c.cpu),
            1000.0 * median(&one.query),
            one.resident_bytes / 1_000_000,
        );
    }
}

/// Both embedders of the product, through their common trait.
struct Ours<E>(E);

impl<E: Embedder> Engine for Ours<E> {
    fn embed(&mut self, texts: &[&str]) -> anyhow::Result<Vec<Vec<f32>>> {
        Ok(self.0.embed(texts, Role::Passage)?)
    }
}

const WORDS: [&str; 64] = [
    "the",
    "payment",
    "of",
    "invoice",
    "we",
    "have",
    "received",
    "your",
    "account",
    "statement",
    "and",
    "will",
    "transfer",
    "amount",
    "to",
    "reference",
    "number",
    "custody",
    "fees",
    "quarter",
    "please",
    "confirm",
    "whether",
    "settlement",
    "date",
    "is",
    "correct",
    "Überweisung",
    "Rechnung",
    "Kunde",
    "bitte",
    "prüfen",
    "Konto",
    "Betrag",
    "virement",
    "facture",
    "relevé",
    "compte",
    "client",
    "merci",
    "portfolio",
    "valuation",
    "broker",
    "trade",
    "currency",
    "EUR",
    "1,250.00",
    "2024-08-17",
    "counterparty",
    "reconciliation",
    "discrepancy",
    "attached",
    "regards",
    "colleague",
    "tomorrow",
    "contract",
    "signed",
    "dividend",
    "withholding",
    "tax",
    "certificate",
    "securities",
    "lending",
    "desk",
];

/// Texts of words in a fixed random order, of the lengths that cutting mail into chunks gives: two thirds nearly fill the
/// model's 256 tokens, the rest are the short ends; 208 tokens on average.
fn passages(count: usize, embedder: &dyn Embedder) -> anyhow::Result<Vec<String>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut tokens = 0;
    let mut texts = Vec::with_capacity(count);
    for index in 0..count {
        let target = if index % 3 == 2 { 45 + random(205) } else { 225 + random(29) };
        let (mut text, mut length) = (String::new(), 2);
        while length < target {
            let word = WORDS.get(random(WORDS.len())).copied().unwrap_or("and");
            let word_tokens = embedder.token_spans(word)?.len();
            if length + word_tokens > 256 {
                break;
            }
            length += word_tokens;
            text.push_str(word);
            text.push(' ');
        }
        tokens += length;
        texts.push(text);
    }
    println!("{count} texts, {:.0} tokens on average", tokens as f64 / count as f64);
    Ok(texts)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU time of this process so far, user and system, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() * Duration::from_millis(10).as_secs_f64()
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
