//! What masks cost: compiles each schema of a folder for a model's own vocabulary, writes a random value that it
//! allows, and times every mask on the way through that value.
//!
//! `cargo run -p rejoinder-grammar --example schema_bench -- FOLDER MODEL.gguf [EVERY]`, where each folder in FOLDER is
//! a family of schemas, and only each `EVERY`th schema is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::quantized::gguf_file::Content;
use rejoinder_grammar::{
    Caps, Grammar, GrammarError, GrammarFactory, GrammarOptions, Matcher, TokenTable, Verdict, walk,
};
use rejoinder_vocabulary::Vocabulary;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, model, rest @ ..] = arguments.as_slice() else {
        return Err("usage: schema_bench FOLDER MODEL.gguf [EVERY]".into());
    };
    let every = rest.first().map_or(Ok(1), |every| every.parse())?;
    let (factory, vocabulary) = load(Path::new(model))?;
    println!("family | compiled | compile ms p50 / p99 | masks | mask us p50 / p99 / max | forced | not compiled");
    let mut all = Row::default();
    for family in sorted(Path::new(folder))?.into_iter().filter(|path| path.is_dir()) {
        let mut row = Row::default();
        for file in sorted(&family)?.iter().step_by(every) {
            row.measure(&serde_json::from_slice(&std::fs::read(file)?)?, &factory, &vocabulary)?;
        }
        println!("{}", row.line(&family.file_name().unwrap_or_default().to_string_lossy()));
        all.add(row);
    }
    println!("{}", all.line("all"));
    Ok(())
}

fn load(model: &Path) -> Result<(GrammarFactory, Arc<Vocabulary>), Failure> {
    let metadata = Content::read(&mut std::io::BufReader::new(std::fs::File::open(model)?))?.metadata;
    let vocabulary = Arc::new(Vocabulary::from_metadata(&metadata)?);
    let start = Instant::now();
    let mut table = TokenTable::new(vocabulary.len(), vocabulary.end_tokens())?;
    for token in 0..vocabulary.len() as u32 {
        if vocabulary.is_special(token) {
            table.set_special(token, &vocabulary.decode(&[token]))?;
        } else {
            table.set_text(token, vocabulary.token_bytes(token))?;
        }
    }
    let encoder = Arc::clone(&vocabulary);
    let factory = GrammarFactory::new(&table, Arc::new(move |text: &str| encoder.encode(text)))?;
    println!("{} tokens, factory built in {:?}", vocabulary.len(), start.elapsed());
    Ok((factory, vocabulary))
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

/// The figures of a family.
#[derive(Default)]
struct Row {
    schemas: usize,
    compiled: usize,
    compile: Vec<Duration>,
    masks: Vec<Duration>,
    forced: usize,
    failures: BTreeMap<String, usize>,
}

impl Row {
    fn measure(
        &mut self,
        schema: &serde_json::Value,
        factory: &GrammarFactory,
        vocabulary: &Vocabulary,
    ) -> Result<(), GrammarError> {
        self.schemas += 1;
        let grammar = Grammar::Json(schema.clone());
        let options = GrammarOptions::default();
        let start = Instant::now();
        let compiled = factory.matcher(&grammar, &options);
        let took = start.elapsed();
        let mut matcher = match compiled {
            Ok(matcher) => matcher,
            Err(error) => return self.failed(error),
        };
        self.compiled += 1;
        self.compile.push(took);
        // Short values, of the size that extraction writes.
        let caps = Caps { string_chars: 40, array_items: 3, map_entries: 3, any_depth: 1, ..Caps::default() };
        let short = GrammarOptions { caps: Some(caps), ..options };
        let text = match factory.matcher(&grammar, &short).and_then(|mut matcher| random_text(&mut matcher, vocabulary))
        {
            Ok(text) => text,
            Err(error) => return self.failed(error),
        };
        match walk(&mut matcher, &vocabulary.encode(&text)) {
            Ok(walked) => {
                self.masks.extend(walked.masks);
                self.forced += walked.forced;
                if walked.verdict != Verdict::Accepted {
                    *self.failures.entry("(unfinished)".to_owned()).or_default() += 1;
                }
                Ok(())
            }
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: GrammarError) -> Result<(), GrammarError> {
        let kind = match error {
            GrammarError::UnsupportedKeyword { keyword, .. } => keyword,
            GrammarError::InvalidSchema { .. } => "(invalid)".to_owned(),
            GrammarError::TooComplex { .. } => "(too complex)".to_owned(),
            other => return Err(other),
        };
        *self.failures.entry(kind).or_default() += 1;
        Ok(())
    }

    fn add(&mut self, mut other: Self) {
        self.schemas += other.schemas;
        self.compiled += other.compiled;
        self.compile.append(&mut other.compile);
        self.masks.append(&mut other.masks);
        self.forced += other.forced;
        for (kind, count) in other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
    }

    fn line(&mut self, name: &str) -> String {
        let share = 100.0 * self.compiled as f64 / self.schemas.max(1) as f64;
        let forced = 100.0 * self.forced as f64 / self.masks.len().max(1) as f64;
        let (compile, masks) = (&mut self.compile, &mut self.masks);
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        format!(
            "{name} | {} of {} ({share:.1} %) | {:.2} / {:.1} | {} | {:.0} / {:.0} / {:.0} | {forced:.0} % | {:?}",
            self.compiled,
            self.schemas,
            millis(quantile(compile, 50)),
            millis(quantile(compile, 99)),
            masks.len(),
            micros(quantile(masks, 50)),
            micros(quantile(masks, 99)),
            micros(quantile(masks, 100)),
            self.failures,
        )
    }
}

/// The value below which `percent` of the durations lie; zero of none.
fn quantile(durations: &mut [Duration], percent: usize) -> Duration {
    durations.sort_unstable();
    let last = durations.len().saturating_sub(1);
    durations.get(last * percent / 100).copied().unwrap_or_default()
}

/// Random allowed tokens until the end, at most some thousand.
fn random_text(matcher: &mut Matcher, vocabulary: &Vocabulary) -> Result<String, GrammarError> {
    const MAX_TOKENS: usize = 4000;
    let (mut bytes, mut dice) = (Vec::new(), 0x9E37_79B9_7F4A_7C15_u64);
    for _ in 0..MAX_TOKENS {
        let mut next = matcher.forced_tokens();
        if next.is_empty() {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let tokens = matcher.mask()?.tokens();
            next.extend(tokens.get((dice >> 33) as usize % tokens.len().max(1)));
        }
        for token in next {
            matcher.accept(token)?;
            if vocabulary.end_tokens().contains(&token) {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            bytes.extend_from_slice(vocabulary.token_bytes(token));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
