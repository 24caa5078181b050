//! From which similarity on an earlier question is worth answering like: `assist.min_similarity`.
//!
//! Banking77's customer questions carry the intent that a person gave them. A part of the questions is the archive, the
//! rest are asked; two thirds of the intents are in the archive and one third is not, so that there are questions that
//! nothing answers. A nearest earlier question of the same intent counts as true. `calibrate` then finds the bound.
//!
//! Those are single sentences. The sample mailbox adds whole mails, in three languages: each conversation's first question
//! asks the others', and a nearest one of the same topic counts as true. Few, but what the product compares.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use rejoinder::assist::calibrate;
use rejoinder_domain::{Embedder, Role, SegmentKind};
use rejoinder_mail::{Limits, discover, open};
use serde_json::Value;

/// How many questions are embedded: enough for a bound to two digits, a minute on two cores.
const QUESTIONS: usize = 3000;

/// Prints precision and recall over the bound, and the bound that `calibrate` finds, for both sets.
pub(crate) fn run(corpus: Option<&Path>, embedder: &dyn Embedder) -> anyhow::Result<()> {
    println!("sample mailbox: each conversation's question asks the others'");
    print(&sample_pairs(embedder)?);
    let corpus = corpus.context("banking77: REJOINDER_CORPUS does not name the folder of corpora")?;
    println!("banking77: single sentences, an archive that knows two thirds of the 77 intents");
    print(&banking77_pairs(corpus, embedder)?);
    Ok(())
}

/// The nearest other conversation's question and whether it has the same topic, for each conversation.
fn sample_pairs(embedder: &dyn Embedder) -> anyhow::Result<Vec<(f32, bool)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/mailbox");
    let mut texts = HashMap::new();
    for source in ["haldenmarsh.pst", "support.mbox", "eml"] {
        for found in discover(&folder.join(source))?.mailboxes {
            for message in open(&found, &Limits::default())?.filter_map(|item| item.outcome.ok()) {
                let text = format!("{}\n{}", message.subject, message.body.text_of(SegmentKind::New));
                texts.insert(message.rfc_message_id.unwrap_or_default(), text);
            }
        }
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json"))?)?;
    let conversations = expected.get("conversations").and_then(Value::as_array).context("conversations")?;
    let first = |conversation: &Value| {
        let id = conversation.get("messages")?.get(0)?.as_str()?;
        Some((conversation.get("topic")?.as_str()?.to_owned(), texts.get(id)?.as_str()))
    };
    let (topics, questions): (Vec<String>, Vec<&str>) = conversations.iter().filter_map(first).unzip();
    let vectors = embedder.embed(&questions, Role::Query)?;
    let nearest = vectors.iter().enumerate().filter_map(|(place, vector)| {
        let others = vectors.iter().enumerate().filter(|(other, _)| *other != place);
        others
            .map(|(other, candidate)| (cosine(vector, candidate), topics.get(other) == topics.get(place)))
            .max_by(|one, other| one.0.total_cmp(&other.0))
    });
    Ok(nearest.collect())
}

fn print(pairs: &[(f32, bool)]) {
    println!("{} questions\nbound  drafts  right  precision  recall", pairs.len());
    let all_true = pairs.iter().filter(|(_, same)| *same).count();
    for bound in [0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8] {
        let drafts = pairs.iter().filter(|(similarity, _)| *similarity >= bound).count();
        let right = pairs.iter().filter(|(similarity, same)| *similarity >= bound && *same).count();
        let share = |of: usize| right as f64 / of.max(1) as f64;
        println!("{bound:.2}   {drafts:>6}  {right:>5}       {:.3}   {:.3}", share(drafts), share(all_true));
    }
    println!("calibrated bound: {:?}\n", calibrate(pairs));
}

fn banking77_pairs(corpus: &Path, embedder: &dyn Embedder) -> anyhow::Result<Vec<(f32, bool)>> {
    let questions = load(corpus)?;
    let mut vectors = Vec::with_capacity(questions.len());
    for batch in questions.chunks(64) {
        let texts: Vec<&str> = batch.iter().map(|question| question.text.as_str()).collect();
        vectors.extend(embedder.embed(&texts, Role::Query)?);
    }
    let archived =
        |place: usize| place.is_multiple_of(2) && questions.get(place).is_some_and(|q| q.intent_number % 3 != 0);
    let mut pairs = Vec::new();
    for (question, vector) in questions.iter().zip(&vectors).skip(1).step_by(2) {
        let nearest = vectors
            .iter()
            .enumerate()
            .filter(|(other, _)| archived(*other))
            .map(|(other, candidate)| (other, cosine(vector, candidate)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        if let Some((other, similarity)) = nearest {
            let same = questions.get(other).is_some_and(|earlier| earlier.intent_number == question.intent_number);
            pairs.push((similarity, same));
        }
    }
    Ok(pairs)
}

struct Question {
    text: String,
    intent_number: usize,
}

fn load(corpus: &Path) -> anyhow::Result<Vec<Question>> {
    let file = corpus.join("tickets/banking77.train.csv.zst");
    let unpacked = Command::new("zstd").arg("-dc").arg(&file).output().context("zstd is not on this machine")?;
    ensure!(unpacked.status.success(), "cannot unpack {}", file.display());
    let text = String::from_utf8(unpacked.stdout)?;
    let mut intents: Vec<String> = Vec::new();
    let mut questions = Vec::new();
    // The file is sorted by intent: a stride takes some of each.
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let stride = (lines.len() / QUESTIONS).max(1);
    for line in lines.iter().step_by(stride) {
        let Some((text, intent)) = line.rsplit_once(',') else { continue };
        let intent_number = intents.iter().position(|known| known == intent).unwrap_or_else(|| {
            intents.push(intent.to_owned());
            intents.len() - 1
        });
        questions.push(Question { text: text.trim_matches('"').to_owned(), intent_number });
    }
    Ok(questions)
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}
