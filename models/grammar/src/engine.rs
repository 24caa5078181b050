//! The one place that builds parsers of llguidance and reads its messages.

use std::sync::Arc;

use llguidance::api::{GrammarInit, ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{InferenceCapabilities, TokEnv};
use llguidance::{Logger, ParserFactory};
use serde_json::{Value, json};

use crate::tokens::Tokenizer;
use crate::{GrammarError, Limits, Spacing};

/// The stack for compiling: the engine recurses once per property of an object and per level of a schema.
const COMPILE_STACK_BYTES: usize = 256 << 20;

/// A tokenizer, prepared for grammars.
pub(crate) struct Engine {
    factory: ParserFactory,
}

impl Engine {
    pub(crate) fn new(tokenizer: Tokenizer) -> Result<Self, GrammarError> {
        let environment: TokEnv = Arc::new(tokenizer);
        let factory = ParserFactory::new_simple(&environment)
            .map_err(|error| GrammarError::InvalidTokens { reason: first_line(&error.to_string()) })?;
        Ok(Self { factory })
    }

    /// A parser of `grammar`, or what the engine says against it.
    pub(crate) fn compile(&self, grammar: TopLevelGrammar, limits: &Limits) -> Result<llguidance::Matcher, String> {
        let limits = ParserLimits {
            initial_lexer_fuel: limits.compile_steps,
            step_lexer_fuel: limits.mask_steps,
            max_lexer_states: limits.lexer_states,
            max_grammar_size: limits.grammar_symbols,
            // Messages would hold the text so far.
            verbose_errors: false,
            ..ParserLimits::default()
        };
        let parser = self
            .factory
            .create_parser_from_init_ext(
                GrammarInit::Serialized(grammar),
                Logger::new(0, 0),
                InferenceCapabilities::default(),
                limits,
            )
            .map_err(|error| format!("{error:#}"))?;
        let mut matcher = llguidance::Matcher::new(Ok(parser));
        if let Some(message) = matcher.get_error() {
            return Err(message);
        }
        // The engine warns where it would accept more than was asked for.
        match matcher.grammar_warnings().into_iter().next() {
            None => Ok(matcher),
            Some(warning) => Err(warning),
        }
    }
}

/// The engine's grammar for a schema that is already in its dialect.
pub(crate) fn json_grammar(mut schema: Value, spacing: Spacing) -> TopLevelGrammar {
    let (item, key) = match spacing {
        Spacing::Compact => (",", ":"),
        Spacing::Single => (", ", ": "),
    };
    if let Value::Object(schema) = &mut schema {
        let style = json!({"item_separator": item, "key_separator": key, "whitespace_flexible": false});
        schema.insert("x-guidance".to_owned(), style);
    }
    TopLevelGrammar::from_json_schema(schema)
}

/// Runs `work` with a stack that no schema within the limits exhausts.
pub(crate) fn with_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, GrammarError> {
    let failed = |reason: String| GrammarError::Engine { reason };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("grammar".to_owned())
            .stack_size(COMPILE_STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|error| failed(format!("no thread to compile on: {error}")))?
            .join()
            .map_err(|_| failed("the compiler panicked".to_owned()))
    })
}

/// Whether the engine stopped because one of its limits was met.
pub(crate) fn is_limit(message: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "too big",
        "too large",
        "too many",
        "too complex",
        "TooComplex",
        "stack level exceeded",
        "maximum relevance",
        "limit exceeded",
        "fuel",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// The first line of a message; the rest is the engine's state.
pub(crate) fn first_line(message: &str) -> String {
    const MAX_CHARS: usize = 300;
    message.lines().next().unwrap_or_default().chars().take(MAX_CHARS).collect()
}
