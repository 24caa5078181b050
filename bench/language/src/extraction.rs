//! Seconds for one extracted object, beside llama.cpp with its own grammar, on the same schemas and texts.
//!
//! Each object is asked for once, so that neither engine has its prompt from before; the beginning that the objects of a
//! schema share may be kept by both. Time is from the question to the whole object: compiling the schema, the prompt, the
//! answer. llama.cpp's grammar comes from the same JSON Schema by llama-cpp-python's converter.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Deserialize;

use crate::engine::Size;
use crate::process::Engine;
use crate::protocol::{Extracted, Question};
use crate::speed::{median, others};

/// Tokens of an object at most.
const MAX_TOKENS: usize = 200;
/// How llama.cpp asks its grammar: about the best token first, as its server does, or about all of them each time, as
/// llama-cpp-python does.
const WAYS: [&str; 2] = ["checked", "masked"];

#[derive(Deserialize)]
struct Case {
    name: String,
    schema: serde_json::Value,
    texts: Vec<String>,
}

/// What one engine did with the texts of one schema.
#[derive(Default)]
struct Sum {
    objects: usize,
    /// Those that parse as JSON with every required field.
    whole: usize,
    tokens: usize,
    /// Of each object.
    seconds: Vec<f64>,
}

/// Measures one file and prints a table.
pub(crate) fn run(model: &Path, threads: usize) -> anyhow::Result<()> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../extraction.json"))?;
    let size = Size { threads, context: 2048, sequences: 1 };
    println!("\nextraction with {}, {threads} threads", model.file_stem().unwrap_or_default().to_string_lossy());
    let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    let mut ours = Engine::ours("local", model, size)?;
    let mut peer = match Engine::peer(model, size)? {
        Ok(peer) => Some(peer),
        Err(missing) => {
            println!("llama.cpp is not measured: {missing} (REJOINDER_LLAMA_PYTHON names a Python that has it)");
            None
        }
    };
    let begun = Instant::now();
    let busy = others(&ours, peer.as_ref())?;
    // In turn, so that what else the machine does falls on both; a whole round for each way, so that llama.cpp does not
    // find its last prompt there.
    for way in WAYS {
        for case in &cases {
            for text in &case.texts {
                if way == WAYS[0] {
                    let extracted = ours.ask(&question(case, text, way))?;
                    sums.entry((&case.name, "rejoinder")).or_default().add(case, &extracted);
                }
                if let Some(peer) = &mut peer {
                    let extracted = peer.ask(&question(case, text, way))?;
                    sums.entry((&case.name, way)).or_default().add(case, &extracted);
                }
            }
        }
    }
    let other = (others(&ours, peer.as_ref())? - busy) / begun.elapsed().as_secs_f64();
    print(&cases, &sums, peer.as_ref().map(|peer| peer.name.as_str()));
    println!("other programs took {other:.2} cores meanwhile");
    Ok(())
}

fn question(case: &Case, text: &str, way: &str) -> Question {
    let system = format!(
        "You read a message and fill in a form. Take every value from the message. The form, as JSON Schema: {}",
        case.schema
    );
    Question::Extract {
        system,
        user: text.to_owned(),
        schema: case.schema.clone(),
        tokens: MAX_TOKENS,
        way: way.to_owned(),
    }
}

impl Sum {
    fn add(&mut self, case: &Case, extracted: &Extracted) {
        let object: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&extracted.text).ok();
        let required = case.schema.get("required").and_then(serde_json::Value::as_array);
        let whole = object.is_some_and(|object| {
            required.into_iter().flatten().filter_map(serde_json::Value::as_str).all(|name| object.contains_key(name))
        });
        self.objects += 1;
        self.whole += usize::from(whole);
        self.tokens += extracted.tokens;
        self.seconds.push(extracted.seconds);
    }

    fn plus(&mut self, other: &Self) {
        self.objects += other.objects;
        self.whole += other.whole;
        self.tokens += other.tokens;
        self.seconds.extend(&other.seconds);
    }
}

fn print(cases: &[Case], sums: &BTreeMap<(&str, &str), Sum>, peer: Option<&str>) {
    println!("peer: {}; tokens (mean) and seconds (median) for one object", peer.unwrap_or("none"));
    println!("{:14} {:12} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "", "objects", "whole", "tokens", "seconds", "ratio");
    let names = cases.iter().map(|case| case.name.as_str()).chain(["all"]);
    for name in names {
        let of = |engine: &str| {
            let mut total = Sum::default();
            sums.iter()
                .filter(|((case, by), _)| *by == engine && (name == "all" || *case == name))
                .for_each(|(_, sum)| total.plus(sum));
            total
        };
        let ours = median(of("rejoinder").seconds);
        for engine in ["rejoinder", WAYS[0], WAYS[1]] {
            let sum = of(engine);
            if sum.objects == 0 {
                continue;
            }
            let seconds = median(sum.seconds);
            println!(
                "{name:14} {engine:12} {:>8} {:>8} {:>8.1} {:>8.3} {:>8.2}",
                sum.objects,
                sum.whole,
                sum.tokens as f64 / sum.objects as f64,
                seconds,
                seconds / ours
            );
        }
    }
    println!("(ratio: seconds by rejoinder's; `checked` and `masked` are llama.cpp)");
}
