//! What the checks of a language model's answers do to real text: letters that people wrote stand for a model that does
//! well, letters and values of other cases for one that invents. These tests run where `REJOINDER_CORPUS` names the data
//! folder and print what they measure; the floors are a little below what was measured when written.

use std::collections::BTreeMap;

use rejoinder_domain::{FinishReason, MessageId};
use serde_json::{Value, json};

use crate::corpus::{Score, corpus, json_lines, schema_of};
use crate::extract::{ExtractInput, ExtractRequest};
use crate::fakes::{Archive, FakeCleaner, Script, ScriptedModel, block_on, tenant};
use crate::prompt::Fence;
use crate::suggest::align::{ShownSource, align};
use crate::suggest::commitment;
use crate::suggest::marks::MarkFilter;
use crate::suggest::reject::{Judged, reject};
use crate::{Evidence, ExtractAnswer, TextCleaner};

/// Questions with their answers and language.
fn answered() -> Option<Vec<(String, String, String)>> {
    let tickets = json_lines(&corpus()?.join("tickets/tickets.dev.jsonl.zst"));
    let text = |ticket: &Value, key: &str| ticket[key].as_str().unwrap_or_default().to_owned();
    let all = tickets.iter().map(|ticket| (text(ticket, "body"), text(ticket, "answer"), text(ticket, "language")));
    Some(all.filter(|(_, answer, _)| answer.split_whitespace().count() >= 8).collect())
}

#[test]
fn answers_that_people_sent_are_not_thrown_away() {
    let Some(tickets) = answered() else { return };
    let mut thrown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut taken_for_another = 0_usize;
    for (question, answer, language) in &tickets {
        // Two hundred answers to German tickets are in English, so that only English ones say how well languages are told.
        let written = FakeCleaner.language(answer);
        taken_for_another += usize::from(language == "en" && written.is_some_and(|written| written != "en"));
        let outcome = reject(&Judged {
            draft: answer,
            finish: FinishReason::Stop,
            languages: (None, None),
            fence: &Fence::known("0123456789abcdef"),
            instructions: &crate::suggest::INSTRUCTIONS,
            customer: question,
            sources: "",
        });
        if let Some(outcome) = outcome {
            *thrown.entry(outcome).or_default() += 1;
        }
    }
    println!(
        "{} answers, thrown away: {thrown:?}; English taken for another language: {taken_for_another}",
        tickets.len()
    );
    assert!(thrown.values().sum::<usize>() * 100 <= tickets.len(), "at most one in a hundred");
}

#[test]
fn promises_in_answers_that_people_sent() {
    let Some(tickets) = answered() else { return };
    let mut by_language: BTreeMap<&str, (usize, usize, BTreeMap<String, usize>)> = BTreeMap::new();
    for (_, answer, language) in &tickets {
        let (all, with, kinds) = by_language.entry(language).or_default();
        let found = commitment::commitments(answer);
        *all += 1;
        *with += usize::from(!found.is_empty());
        for one in found {
            *kinds.entry(one.key.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        assert!(commitment::unsupported(answer, &[answer]).is_empty(), "what was said before may be said again");
    }
    for (language, (all, with, kinds)) in &by_language {
        println!("{language}: {with} of {all} answers promise something: {kinds:?}");
        assert!(with * 100 <= all * 60, "a check that fails everywhere says nothing");
    }
}

#[test]
fn sentences_of_other_cases_are_not_borne_out() {
    let Some(tickets) = answered() else { return };
    let mut by_language: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, answer, language) in &tickets {
        by_language.entry(language).or_default().push(answer);
    }
    let (mut sentences, mut borne_out, mut own) = (0_usize, 0_usize, 0_usize);
    for answers in by_language.values() {
        for (index, answer) in answers.iter().enumerate().take(300) {
            // Every sentence names source 1: once another case's answer, once its own.
            let all = crate::sentence::sentences(answer).into_iter().filter_map(|span| span.of(answer));
            let marked = all.filter(|sentence| crate::suggest::align::states(sentence));
            let marked = marked.map(|sentence| format!("{sentence} [1]")).collect::<Vec<_>>().join("\n");
            let mut filter = MarkFilter::default();
            filter.push(&marked);
            filter.finish();
            let miscited = |text: &str| {
                let source = ShownSource {
                    message_id: MessageId::from_stored("msg_1"),
                    text: text.to_owned(),
                    question: String::new(),
                    is_ours: true,
                    score: 0.9,
                };
                align(filter.text(), filter.marks(), &[source], "").miscited.len()
            };
            let other = answers[(index + answers.len() / 2) % answers.len()];
            sentences += filter.marks().len();
            borne_out += filter.marks().len() - miscited(other);
            own += filter.marks().len() - miscited(answer);
        }
    }
    let share = |count: usize| count as f64 / sentences as f64;
    println!(
        "{sentences} sentences: borne out by another case {:.3}, by their own {:.3}",
        share(borne_out),
        share(own)
    );
    assert!(share(borne_out) <= 0.1 && share(own) >= 0.97);
}

/// Dialogues of one service: the text, the service and its slots' gold values with their place in code points.
struct Dialogue {
    text: String,
    schema: Value,
    gold: Vec<(String, String, usize, usize)>,
}

fn dialogues() -> Option<Vec<Dialogue>> {
    let corpus = corpus()?;
    let services: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(corpus.join("extraction/schema_dev.json")).unwrap()).unwrap();
    let all = json_lines(&corpus.join("extraction/sgd.dev.jsonl.zst"));
    let single = all.iter().filter(|dialogue| dialogue["services"].as_array().unwrap().len() == 1).take(400);
    let read = |dialogue: &Value| {
        let service = services.iter().find(|service| service["service_name"] == dialogue["services"][0])?;
        let turns: Vec<&str> = dialogue["turns"].as_array()?.iter().filter_map(|turn| turn[1].as_str()).collect();
        let starts = turns.iter().scan(0, |at, turn| Some(std::mem::replace(at, *at + turn.chars().count() + 1)));
        let starts: Vec<usize> = starts.collect();
        let text = turns.join("\n");
        let spans = dialogue["spans"].as_array()?.iter().filter_map(|span| {
            let at = |index: usize| usize::try_from(span[index].as_u64()?).ok();
            let (start, end) = (starts.get(at(0)?)? + at(3)?, starts.get(at(0)?)? + at(4)?);
            let words: String = text.chars().skip(start).take(end - start).collect();
            Some((span[2].as_str()?.to_owned(), words, start, end))
        });
        Some(Dialogue { gold: spans.collect(), text: text.clone(), schema: schema_of(service) })
    };
    Some(single.filter_map(read).collect())
}

/// The answer to a model that says this of every slot.
fn fill(dialogue: &Dialogue, slots: &BTreeMap<&str, Value>) -> ExtractAnswer {
    let names = dialogue.schema["properties"].as_object().unwrap().keys();
    let given: serde_json::Map<String, Value> =
        names.map(|name| (name.clone(), slots.get(name.as_str()).cloned().unwrap_or(Value::Null))).collect();
    let model = ScriptedModel::new([Script::says(Value::Object(given).to_string())]);
    let archive = Archive::default().with_model(model).configured(|config| config.fill.prompt_tokens = 100_000);
    let input =
        ExtractInput::Text { text: dialogue.text.clone(), written_at: crate::fakes::at("2019-03-01T12:00:00Z") };
    let request =
        ExtractRequest { input, schema: dialogue.schema.clone(), current: None, caller: crate::Caller::default() };
    block_on(archive.assist(None).extract(&tenant(), &request)).unwrap()
}

#[test]
fn what_a_model_points_to_rightly_is_kept_and_what_it_invents_is_not() {
    let Some(dialogues) = dialogues() else { return };
    let (mut right, mut alone, mut invented) = (Score::default(), Score::default(), Score::default());
    for (index, dialogue) in dialogues.iter().enumerate() {
        let is_text = |name: &str| dialogue.schema["properties"][name]["type"] == "string";
        // The last mention of a slot is the one that holds.
        let gold: BTreeMap<&str, &(String, String, usize, usize)> =
            dialogue.gold.iter().filter(|gold| is_text(&gold.0)).map(|gold| (gold.0.as_str(), gold)).collect();
        let said = gold.iter().map(|(name, gold)| (*name, json!({"quote": gold.1, "value": gold.1}))).collect();
        for (score, answer) in [(&mut right, fill(dialogue, &said)), (&mut alone, fill(dialogue, &BTreeMap::new()))] {
            for name in gold.keys() {
                let mut places = dialogue.gold.iter().filter(|gold| gold.0 == *name);
                let found = answer.evidence.iter().find(|item| item.pointer == format!("/{name}"));
                let is_there = |item: &Evidence| places.any(|gold| gold.2 < item.end && item.start < gold.3);
                score.0 += usize::from(found.is_some_and(is_there));
                score.1 += usize::from(found.is_some());
                score.2 += 1;
            }
        }
        // The values of another dialogue, each with a quotation to match.
        let other = &dialogues[(index + dialogues.len() / 2) % dialogues.len()];
        let names = dialogue.schema["properties"].as_object().unwrap().keys().filter(|name| is_text(name));
        let theirs =
            names.zip(&other.gold).filter(|(_, gold)| !dialogue.text.to_lowercase().contains(&gold.1.to_lowercase()));
        let theirs: BTreeMap<&str, Value> =
            theirs.map(|(name, gold)| (name.as_str(), json!({"quote": gold.1, "value": gold.1}))).collect();
        let answer = fill(dialogue, &theirs);
        invented.2 += theirs.len();
        invented.1 += answer.evidence.iter().filter(|item| item.origin != crate::Origin::Recognisers).count();
    }
    alone.print("recognisers alone");
    right.print("with a model that points to the right words");
    println!("invented values: {} kept of {}", invented.1, invented.2);
    assert!(right.precision() >= 0.95 && right.recall() >= 0.9);
    assert!(invented.2 > 500 && invented.1 * 200 <= invented.2, "at most one in two hundred");
}
