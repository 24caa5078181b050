//! The masks against schemas and instances that others wrote: the JSON-Schema test suite and `JSONSchemaBench`.
//!
//! Gated on `REJOINDER_CORPUS`. `REJOINDER_CORPUS_EVERY=1` takes every schema of `JSONSchemaBench` instead
//! of each 23rd.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod checker;
mod vocabulary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use rejoinder_grammar::{Caps, Grammar, GrammarError, GrammarOptions, Matcher, Verdict, walk};
use serde_json::{Value, json};
use vocabulary::{Dice, Vocabulary};

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

/// Valid instances of the suite that are not accepted: the file, a part of the instance, and why.
const NOT_ACCEPTED: [(&str, &str, &str); 6] = [
    ("date-time.json", ":60.123-08:00", "a leap second is accepted in UTC only: its local time depends on the offset"),
    ("time.json", ":60", "a leap second is accepted in UTC only"),
    ("email.json", "\\\"@", "quoted local parts are not accepted"),
    ("email.json", "@[", "addresses of machines instead of names are not accepted"),
    ("hostname.json", "xn--", "whether an encoded label decodes to a valid one is beyond a grammar"),
    ("hostname.json", "ab--cd", "the same: hyphens as third and fourth mark an encoding"),
];

/// Instances of the test suite for which nothing is promised: formats that are checked here though 2020-12 only
/// annotates, and the like.
const IGNORED_FILES: [&str; 2] = ["format.json", "vocabulary.json"];

/// Unpacks an archive of the corpus; `None` without a corpus.
fn unpack(archive: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let corpus = std::env::var_os("REJOINDER_CORPUS")?;
    let archive = Path::new(&corpus).join("json-schema").join(archive);
    let folder = tempfile::tempdir().unwrap();
    let mut zstd = Command::new("zstd").arg("-dc").arg(&archive).stdout(Stdio::piped()).spawn().unwrap();
    let tar = Command::new("tar").arg("-x").arg("-C").arg(folder.path()).stdin(zstd.stdout.take().unwrap()).status();
    assert!(tar.unwrap().success() && zstd.wait().unwrap().success(), "{}", archive.display());
    let inside = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    Some((folder, inside))
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

fn compile(schema: &Value, options: &GrammarOptions) -> Result<Matcher, GrammarError> {
    VOCABULARY.factory.matcher(&Grammar::Json(schema.clone()), options)
}

/// `value` with whole numbers without a point, as they are generated.
fn whole(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e16 => json!(float as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(whole).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), whole(member))).collect(),
        other => other.clone(),
    }
}

fn accepts(matcher: &Matcher, value: &Value) -> bool {
    let tokens = VOCABULARY.bpe.encode(&serde_json::to_string(value).unwrap());
    walk(&mut matcher.independent_copy(), &tokens).unwrap().verdict == Verdict::Accepted
}

/// `value` with the members of its objects in every order, as long as that is not too many.
fn orders(value: &Value) -> Vec<Value> {
    const MOST: usize = 720;
    match value {
        Value::Array(items) => {
            let mut lists = vec![Vec::new()];
            for item in items {
                let choices = orders(item);
                lists = lists
                    .iter()
                    .flat_map(|list| choices.iter().map(|c| [list.clone(), vec![c.clone()]].concat()))
                    .collect();
                lists.truncate(MOST);
            }
            lists.into_iter().map(Value::Array).collect()
        }
        Value::Object(members) => {
            let mut lists: Vec<Vec<(String, Value)>> = vec![Vec::new()];
            for (name, member) in members {
                let choices = orders(member);
                lists = lists
                    .iter()
                    .flat_map(|list| {
                        choices.iter().flat_map(move |choice| {
                            (0..=list.len()).map(move |place| {
                                let mut list = list.clone();
                                list.insert(place, (name.clone(), choice.clone()));
                                list
                            })
                        })
                    })
                    .collect();
                lists.truncate(MOST);
            }
            lists.into_iter().map(|list| Value::Object(list.into_iter().collect())).collect()
        }
        other => vec![other.clone()],
    }
}

#[derive(Default)]
struct Tally {
    schemas: usize,
    compiled: usize,
    accepted: usize,
    refused: usize,
    excused: usize,
    wrong: Vec<String>,
    errors: BTreeMap<String, usize>,
}

impl Tally {
    fn failed(&mut self, error: &GrammarError) {
        let kind = match error {
            GrammarError::UnsupportedKeyword { keyword, .. } => format!("unsupported {keyword}"),
            GrammarError::InvalidSchema { .. } => "invalid".to_owned(),
            GrammarError::TooComplex { .. } => "too complex".to_owned(),
            other => panic!("{other}"),
        };
        *self.errors.entry(kind).or_default() += 1;
    }

    fn print(&self, name: &str) {
        let Self { schemas, compiled, accepted, refused, excused, errors, .. } = self;
        let share = 100.0 * *compiled as f64 / (*schemas).max(1) as f64;
        println!(
            "{name}: {compiled} of {schemas} schemas compiled ({share:.1} %), {accepted} valid accepted, {refused} \
             invalid refused, {excused} excused; not compiled: {errors:?}"
        );
    }
}

/// Every verdict of the test suite, where the schema compiles.
#[test]
fn the_json_schema_test_suite() {
    let Some((_folder, suite)) = unpack("test-suite.tar.zst") else { return };
    let mut wrong = Vec::new();
    for draft in ["draft2020-12", "draft2019-09", "draft7", "draft6", "draft4"] {
        let mut tally = Tally::default();
        let folder = suite.join("tests").join(draft);
        let mut files = json_files(&folder);
        for format in ["date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"] {
            let file = folder.join("optional/format").join(format!("{format}.json"));
            files.extend(file.exists().then_some(file));
        }
        files.push(folder.join("optional/ecmascript-regex.json"));
        files.push(folder.join("optional/non-bmp-regex.json"));
        files.retain(|file| file.exists() && !IGNORED_FILES.contains(&name(file).as_str()));
        for file in files {
            for case in read(&file).as_array().unwrap() {
                judge_case(draft, &file, case, &mut tally);
            }
        }
        tally.print(draft);
        wrong.append(&mut tally.wrong);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn judge_case(draft: &str, file: &Path, case: &Value, tally: &mut Tally) {
    let mut schema = case["schema"].clone();
    if let Value::Object(map) = &mut schema
        && !map.contains_key("$schema")
        && ["draft7", "draft6", "draft4"].contains(&draft)
    {
        let number = draft.trim_start_matches("draft");
        map.insert("$schema".into(), json!(format!("http://json-schema.org/draft-0{number}/schema#")));
    }
    tally.schemas += 1;
    let matcher = match compile(&schema, &GrammarOptions::judging()) {
        Ok(matcher) => Some(matcher),
        // A schema that nothing satisfies may be refused at once.
        Err(GrammarError::InvalidSchema { reason, .. }) if reason.contains("nsatisfiable") => None,
        Err(error) => return tally.failed(&error),
    };
    tally.compiled += 1;
    for test in case["tests"].as_array().unwrap() {
        let (data, valid) = (&test["data"], test["valid"] == true);
        let accepted = matcher.as_ref().is_some_and(|matcher| {
            // The order of properties is that of the schema; any order is as valid.
            let orders = if valid { orders(&whole(data)) } else { vec![data.clone()] };
            orders.iter().any(|data| accepts(matcher, data))
        });
        match (valid, accepted) {
            (true, true) => tally.accepted += 1,
            (false, false) => tally.refused += 1,
            _ => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let place = (name(file), text(&case["description"]), text(&test["description"]));
                let instance = data.to_string();
                let excused = NOT_ACCEPTED.iter().any(|(file, part, _)| *file == place.0 && instance.contains(part));
                if valid && excused {
                    tally.excused += 1;
                } else {
                    let what = if valid { "valid but refused" } else { "INVALID BUT ACCEPTED" };
                    tally.wrong.push(format!("{what} {draft} {place:?}: {data} against {schema}"));
                }
            }
        }
    }
}

/// What is generated is valid; what is changed afterwards is judged as another validator judges it.
#[test]
fn schemas_of_json_schema_bench() {
    let Some((_folder, bench)) = unpack("jsonschemabench.tar.zst") else { return };
    let every = std::env::var("REJOINDER_CORPUS_EVERY").map_or(23, |every| every.parse().unwrap());
    let mut wrong = Vec::new();
    let mut families: Vec<PathBuf> =
        std::fs::read_dir(bench.join("data")).unwrap().map(|e| e.unwrap().path()).collect();
    families.sort();
    for family in families {
        let mut tally = Tally::default();
        for file in json_files(&family).iter().step_by(every) {
            judge_schema(file, &mut tally);
        }
        tally.print(&name(&family));
        wrong.append(&mut tally.wrong);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn judge_schema(file: &Path, tally: &mut Tally) {
    let schema = read(file);
    tally.schemas += 1;
    let caps = Caps {
        string_chars: 12,
        pattern_chars: 40,
        key_chars: 6,
        array_items: 2,
        map_entries: 2,
        any_depth: 1,
        ..Caps::default()
    };
    let generating = GrammarOptions { caps: Some(caps), ..GrammarOptions::judging() };
    let generator = match compile(&schema, &generating) {
        Ok(matcher) => matcher,
        Err(error) => return tally.failed(&error),
    };
    tally.compiled += 1;
    let judge = compile(&schema, &GrammarOptions::judging()).ok();
    for seed in 1..=2u64 {
        let mut dice = Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let text = match VOCABULARY.random_walk(&mut generator.independent_copy(), &mut dice, 3000) {
            Ok(Some(text)) => text,
            Ok(None) => {
                *tally.errors.entry("(walk without end)".to_owned()).or_default() += 1;
                continue;
            }
            Err(error) => {
                // An expression of bounded size may still need more states than are allowed, which shows late.
                assert!(matches!(error, GrammarError::TooComplex { .. }), "{}: {error}", file.display());
                *tally.errors.entry("(too complex on the way)".to_owned()).or_default() += 1;
                continue;
            }
        };
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}: {text}", file.display()));
        for step in 0..6 {
            let value = if step == 0 { value.clone() } else { mutate(&value, &mut dice) };
            let Some(valid) = checker::is_valid(&schema, &value) else { continue };
            if step == 0 && !valid {
                tally.wrong.push(format!("{}: GENERATED BUT INVALID: {text}", file.display()));
            }
            let Some(judge) = &judge else { continue };
            match (valid, accepts(judge, &whole(&value))) {
                (true, true) => tally.accepted += 1,
                (false, false) => tally.refused += 1,
                (valid, _) => {
                    let what = if valid { "valid but refused" } else { "INVALID BUT ACCEPTED" };
                    tally.wrong.push(format!("{}: {what}: {value}", file.display()));
                }
            }
        }
    }
}

/// `value` with one thing changed somewhere: another kind of value, a member less or more, a longer text.
fn mutate(value: &Value, dice: &mut Dice) -> Value {
    let go_down = dice.below(4) != 0;
    match value {
        Value::Object(members) if !members.is_empty() && go_down => {
            let place = dice.below(members.len());
            let changed = members.iter().enumerate().map(|(index, (name, member))| {
                (name.clone(), if index == place { mutate(member, dice) } else { member.clone() })
            });
            Value::Object(changed.collect())
        }
        Value::Array(items) if !items.is_empty() && go_down => {
            let place = dice.below(items.len());
            let changed = items.iter().enumerate();
            changed.map(|(index, item)| if index == place { mutate(item, dice) } else { item.clone() }).collect()
        }
        Value::Object(members) if !members.is_empty() && dice.below(2) == 0 => {
            let place = dice.below(members.len());
            let kept = members.iter().enumerate().filter(|(index, _)| *index != place);
            Value::Object(kept.map(|(_, (name, member))| (name.clone(), member.clone())).collect())
        }
        Value::Object(members) if dice.below(2) == 0 => {
            let mut members = members.clone();
            members.insert("zz-unknown".to_owned(), json!(1));
            Value::Object(members)
        }
        Value::String(text) if dice.below(2) == 0 => json!(format!("{text}{text} x")),
        Value::Number(number) if dice.below(2) == 0 => {
            let number = number.as_f64().unwrap();
            if dice.below(2) == 0 {
                json!(((number * 1.5).trunc() as i64).saturating_add(7))
            } else {
                json!(number.trunc() + 0.5)
            }
        }
        Value::Array(items) if dice.below(2) == 0 => {
            let mut items = items.clone();
            match items.first().cloned() {
                Some(first) if dice.below(2) == 0 => items.push(first),
                Some(_) => {
                    items.pop();
                }
                None => items.push(Value::Null),
            }
            Value::Array(items)
        }
        _ => [json!(null), json!(true), json!(7), json!("text"), json!([]), json!({})][dice.below(6)].clone(),
    }
}
