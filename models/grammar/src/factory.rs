//! From a required form to a matcher.

use std::fmt::Write as _;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use serde_json::Value;

use crate::engine::{self, Engine};
use crate::tokens::{Encode, TokenTable, Tokenizer};
use crate::{GrammarError, GrammarOptions, Limits, Matcher, schema};

/// The form that a text must have.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// A JSON value that is valid against this JSON Schema (2020-12, or the draft that its `$schema` names).
    Json(Value),
    /// A text that this regular expression (Rust's syntax, no look-around) matches as a whole.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
}

/// Compiles forms for one tokenizer. Building one takes some tenths of a second for a vocabulary of 50,000; it is
/// cheap to clone and can be used from any number of threads.
#[derive(Clone)]
pub struct GrammarFactory {
    engine: Arc<Engine>,
    end_tokens: Arc<[u32]>,
    vocabulary: usize,
}

impl std::fmt::Debug for GrammarFactory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GrammarFactory").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

impl GrammarFactory {
    /// Builds the trie of `table`. `encode` is the model's own tokenizer; forced text is cut by it.
    pub fn new(table: &TokenTable, encode: Arc<Encode>) -> Result<Self, GrammarError> {
        let tokenizer = Tokenizer::new(table, encode)?;
        Ok(Self {
            engine: Arc::new(Engine::new(tokenizer)?),
            end_tokens: table.end_tokens().into(),
            vocabulary: table.len(),
        })
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Compiles `grammar`: some tenths of a millisecond to some milliseconds of one core for usual schemas, bounded
    /// by [`GrammarOptions::limits`]. A matcher that was not stepped is a compiled form that can be kept:
    /// [`Matcher::independent_copy`] is a fraction of the cost.
    pub fn matcher(&self, grammar: &Grammar, options: &GrammarOptions) -> Result<Matcher, GrammarError> {
        let inner = match grammar {
            Grammar::Json(schema) => engine::with_large_stack(|| self.json(schema, options))??,
            Grammar::Regex(regex) => self.regex(regex, &options.limits)?,
            Grammar::Choice(texts) => self.choice(texts, &options.limits)?,
        };
        Ok(Matcher::new(inner, Arc::clone(&self.end_tokens), self.vocabulary))
    }

    fn json(&self, schema: &Value, options: &GrammarOptions) -> Result<llguidance::Matcher, GrammarError> {
        let dialect = schema::normalise(schema, options)?;
        let compile =
            |schema: Value| self.engine.compile(engine::json_grammar(schema, options.spacing), &options.limits);
        if dialect.has_one_of && options.caps.is_some() {
            let open = schema::normalise_open(schema, options)?;
            compile(open.root()).map_err(|message| open.blame(&message, &|schema| compile(schema).err()))?;
        }
        compile(dialect.root()).map_err(|message| dialect.blame(&message, &|schema| compile(schema).err()))
    }

    fn regex(&self, regex: &str, limits: &Limits) -> Result<llguidance::Matcher, GrammarError> {
        check_length(regex.chars().count(), limits, "a regular expression")?;
        self.engine
            .compile(TopLevelGrammar::from_regex(regex), limits)
            .map_err(|message| text_error(&message, |reason| GrammarError::InvalidRegex { reason }))
    }

    fn choice(&self, texts: &[String], limits: &Limits) -> Result<llguidance::Matcher, GrammarError> {
        let invalid = |reason: &str| GrammarError::InvalidChoice { reason: reason.to_owned() };
        if texts.is_empty() {
            return Err(invalid("there are none"));
        }
        if texts.iter().any(String::is_empty) {
            return Err(invalid("one of them is empty"));
        }
        check_length(texts.iter().map(|text| text.chars().count()).sum(), limits, "a list of choices")?;
        let mut regex = String::new();
        for (index, text) in texts.iter().enumerate() {
            regex.push_str(if index == 0 { "" } else { "|" });
            escape_into(&mut regex, text);
        }
        self.engine
            .compile(TopLevelGrammar::from_regex(&format!("(?:{regex})")), limits)
            .map_err(|message| text_error(&message, |reason| GrammarError::InvalidChoice { reason }))
    }
}

fn check_length(chars: usize, limits: &Limits, what: &str) -> Result<(), GrammarError> {
    if chars > limits.text_chars {
        let reason = format!("{what} of {chars} characters; {} are allowed", limits.text_chars);
        return Err(GrammarError::TooComplex { reason });
    }
    Ok(())
}

fn text_error(message: &str, invalid: impl FnOnce(String) -> GrammarError) -> GrammarError {
    let reason = engine::first_line(message);
    if engine::is_limit(message) { GrammarError::TooComplex { reason } } else { invalid(reason) }
}

/// Writes `text` as a regular expression that matches it alone.
fn escape_into(regex: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            regex.push(character);
        } else {
            // Writing into a String does not fail.
            let _ = write!(regex, "\\x{{{:X}}}", u32::from(character));
        }
    }
}
