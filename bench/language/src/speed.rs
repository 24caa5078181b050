//! Tokens per second and memory, beside llama.cpp.
//!
//! Two processes load the same file with as many threads and are asked in turn, so that what else the machine does falls
//! on both. Tokens are a fixed series, nothing is sampled, logits are computed for the last token of a prompt and for each
//! decoded one. Memory is each process's peak over the whole series (contexts of [`Plan::context`] tokens held), less
//! what it took before it loaded.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::engine::Size;
use crate::process::{Engine, machine_seconds};
use crate::protocol::{Filled, Peak, Question, Took};

/// Tokens of a measured prompt.
const PREFILL: usize = 512;
/// Tokens of a measured answer.
const DECODE: usize = 64;
/// Sequences decoded together.
const BATCHES: [usize; 2] = [1, 4];

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Plan {
    /// Threads of both engines
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Tokens already there, comma separated, rising
    #[arg(long, value_delimiter = ',', default_values_t = [0, 512, 4096])]
    pub(crate) depths: Vec<usize>,
    /// Measurements of each; the median counts
    #[arg(long, default_value_t = 3)]
    pub(crate) repetitions: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { threads: 2, depths: vec![0, 512, 4096], repetitions: 3 }
    }
}

impl Plan {
    fn context(&self) -> usize {
        // llama.cpp rounds up to a multiple of 256; so both get as much.
        (self.depths.iter().copied().max().unwrap_or(0) + PREFILL.max(DECODE)).next_multiple_of(256)
    }
}

/// Measures one file and prints a table.
pub(crate) fn run(model: &Path, plan: &Plan) -> anyhow::Result<()> {
    let name = model.file_stem().unwrap_or_default().to_string_lossy();
    println!("\n{name}, {} threads", plan.threads);
    for sequences in BATCHES {
        let size = Size { threads: plan.threads, context: plan.context(), sequences };
        let mut ours = Engine::ours("engine", model, size)?;
        let mut peer = match Engine::peer(model, size)? {
            Ok(peer) => Some(peer),
            Err(missing) => {
                println!("llama.cpp is not measured: {missing} (REJOINDER_LLAMA_PYTHON names a Python that has it)");
                None
            }
        };
        series(&mut ours, peer.as_mut(), sequences, plan)?;
    }
    Ok(())
}

/// One row of the table.
struct Row {
    what: String,
    ours: f64,
    peer: Option<f64>,
    unit: &'static str,
    /// Whether more is better.
    more: bool,
}

fn series(ours: &mut Engine, mut peer: Option<&mut Engine>, sequences: usize, plan: &Plan) -> anyhow::Result<()> {
    let begun = Instant::now();
    let busy = others(ours, peer.as_deref())?;
    let mut rows = vec![Row {
        what: "load".to_owned(),
        ours: ours.load,
        peer: peer.as_deref().map(|peer| peer.load),
        unit: "s",
        more: false,
    }];
    let mut both = Both { ours, peer: peer.as_deref_mut() };
    for &depth in &plan.depths {
        both.each(|engine| engine.ask::<Filled>(&Question::Fill { depth }).map(|_| ()))?;
        if sequences == 1 {
            let question = Question::Prefill { depth, tokens: PREFILL };
            rows.push(both.speed(format!("prefill {PREFILL} at {depth}"), PREFILL, &question, plan.repetitions)?);
        }
        let question = Question::Decode { depth, tokens: DECODE };
        let what = format!("decode {DECODE} at {depth}, batch {sequences}");
        rows.push(both.speed(what, DECODE * sequences, &question, plan.repetitions)?);
    }
    let mebibytes = |engine: &mut Engine| {
        Ok::<_, anyhow::Error>(engine.ask::<Peak>(&Question::Memory {})?.bytes as f64 / f64::from(1 << 20))
    };
    rows.push(Row {
        what: format!("memory, {sequences} x {} tokens", plan.context()),
        ours: mebibytes(both.ours)?,
        peer: both.peer.as_deref_mut().map(mebibytes).transpose()?,
        unit: "MiB",
        more: false,
    });
    let other = (others(ours, peer.as_deref())? - busy) / begun.elapsed().as_secs_f64();
    print(&rows, peer.as_deref().map(|peer| peer.name.as_str()), other);
    Ok(())
}

/// Processor seconds that neither engine used.
pub(crate) fn others(ours: &Engine, peer: Option<&Engine>) -> anyhow::Result<f64> {
    let peer = peer.map_or(Ok(0.0), Engine::processor_seconds)?;
    Ok(machine_seconds()? - ours.processor_seconds()? - peer)
}

struct Both<'a> {
    ours: &'a mut Engine,
    peer: Option<&'a mut Engine>,
}

impl Both<'_> {
    fn each(&mut self, mut ask: impl FnMut(&mut Engine) -> anyhow::Result<()>) -> anyhow::Result<()> {
        ask(self.ours)?;
        self.peer.as_deref_mut().map_or(Ok(()), ask)
    }

    /// The median of several measurements, in turn, after one that does not count.
    fn speed(&mut self, what: String, tokens: usize, question: &Question, repetitions: usize) -> anyhow::Result<Row> {
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for _ in 0..=repetitions.max(1) {
            ours.push(tokens as f64 / self.ours.ask::<Took>(question)?.seconds);
            if let Some(engine) = self.peer.as_deref_mut() {
                peer.push(tokens as f64 / engine.ask::<Took>(question)?.seconds);
            }
        }
        let peer = if peer.is_empty() { None } else { Some(median(peer.split_off(1))) };
        Ok(Row { what, ours: median(ours.split_off(1)), peer, unit: "tokens/s", more: true })
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(rows: &[Row], peer: Option<&str>, other: f64) {
    println!("{:32} {:>10} {:>10} {:>8}  ours / {}", "", "rejoinder", "peer", "ratio", peer.unwrap_or("no peer"));
    for row in rows {
        let mut line = format!("{:32} {:>10.1}", row.what, row.ours);
        if let Some(peer) = row.peer {
            let better = if row.more { "more is better" } else { "less is better" };
            let _ = write!(line, " {peer:>10.1} {:>8.2}  {}, {better}", row.ours / peer, row.unit);
        } else {
            let _ = write!(line, " {:>10} {:>8}  {}", "-", "-", row.unit);
        }
        println!("{line}");
    }
    println!("other programs took {other:.2} cores meanwhile");
}
