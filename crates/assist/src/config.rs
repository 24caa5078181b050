//! The `[assist]` section of the configuration.

use std::time::Duration;

use rejoinder_domain::Sampling;
use serde::Deserialize;

/// How suggestions and extractions are made. The default is ready for a laptop.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AssistConfig {
    /// Weight of the vector score in hybrid search, 0 to 1; the words' score has the rest.
    pub dense_weight: f32,
    /// Cosine similarity of two questions below which the earlier reply is not offered as a draft, 0 to 1. It belongs
    /// to one embedding model; [`crate::calibrate`] finds it from labelled pairs.
    pub min_similarity: f32,
    /// The same bound where no embedder is at hand: the share of the two questions' words that they have in common, 0 to 1.
    pub min_word_overlap: f32,
    /// How many passages a suggestion retrieves when the request does not say.
    pub limit: usize,
    /// The most passages or results that a request may ask for.
    pub max_limit: usize,
    /// Least cosine similarity between a sentence and the meaning of an enum's value for the value to be chosen, 0 to 1.
    pub enum_min_similarity: f32,
    /// How much closer the best value's meaning has to be than the second best's.
    pub enum_margin: f32,
    /// Candidates below this confidence are abstained from, 0 to 1.
    pub min_confidence: f32,
    /// How a language model writes a draft, where there is one.
    pub draft: DraftConfig,
    /// How a language model fills a schema, where there is one.
    pub fill: FillConfig,
    /// Caps on what a request may hold.
    pub limits: RequestLimits,
}

/// `[assist.draft]`: a language model that writes a reply. Without a language model nothing here is used.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DraftConfig {
    /// The longest draft, in tokens; a request may ask for less.
    pub max_tokens: usize,
    /// The longest prompt, in tokens. It is also bounded by the model's context less `max_tokens`.
    pub prompt_tokens: usize,
    /// Milliseconds until the first word; then the exemplar is the answer. Kept only where the program gives
    /// [`crate::AssistParts::timer`].
    pub first_token_ms: u64,
    /// Milliseconds until the last word; then the exemplar is the answer.
    pub deadline_ms: u64,
    /// Earlier questions with their replies that the model is shown, at most.
    pub exemplars: usize,
    /// Passages that the model is shown besides, at most.
    pub passages: usize,
    /// 0 takes the most probable token each time: the same ticket gets the same draft, and what repeats a source comes
    /// fastest. Up to 2.
    pub temperature: f32,
    /// Keeps the most probable tokens that together have this probability, above 0 up to 1.
    pub top_p: f32,
    /// Keeps tokens at least this many times as probable as the most probable one, 0 to 1.
    pub min_p: f32,
    /// Makes what was written less probable; 1 does nothing. 0.5 to 2.
    pub repetition_penalty: f32,
    /// The same seed and ticket give the same draft at any temperature; without one each draft differs.
    pub seed: Option<u64>,
}

/// `[assist.fill]`: a language model that fills a schema. Without a language model nothing here is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FillConfig {
    /// The longest answer, in tokens: some 30 for each attribute that the text has, 6 for each that it has not.
    pub max_tokens: usize,
    /// The longest prompt, in tokens: schema and text together.
    pub prompt_tokens: usize,
    /// Milliseconds until the answer is complete; then the recognisers' is the answer.
    pub deadline_ms: u64,
    /// The longest quotation that the model may give as evidence, and the longest text value, in characters.
    pub quote_chars: usize,
    /// Items of a list that the model may name, at most.
    pub list_items: usize,
}

/// Caps on one request; over one is an error that names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestLimits {
    /// Characters (code points) of one text, plain or HTML.
    pub text_chars: usize,
    /// Messages of a ticket.
    pub ticket_messages: usize,
    /// Bytes of a JSON Schema, written compactly.
    pub schema_bytes: usize,
    /// Nesting of a JSON Schema's objects, arrays and references.
    pub schema_depth: usize,
    /// Properties of a JSON Schema, nested ones included.
    pub schema_properties: usize,
    /// Sentences that are embedded to find an enum's value by its meaning; the first ones count.
    pub enum_sentences: usize,
}

impl Default for AssistConfig {
    fn default() -> Self {
        Self {
            dense_weight: 0.65,
            min_similarity: 0.62,
            min_word_overlap: 0.3,
            limit: 8,
            max_limit: 100,
            enum_min_similarity: 0.35,
            enum_margin: 0.05,
            min_confidence: 0.4,
            draft: DraftConfig::default(),
            fill: FillConfig::default(),
            limits: RequestLimits::default(),
        }
    }
}

impl Default for DraftConfig {
    fn default() -> Self {
        Self {
            max_tokens: 400,
            prompt_tokens: 3_000,
            first_token_ms: 30_000,
            deadline_ms: 90_000,
            exemplars: 3,
            passages: 4,
            temperature: 0.0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: None,
        }
    }
}

impl Default for FillConfig {
    fn default() -> Self {
        Self { max_tokens: 1_200, prompt_tokens: 6_000, deadline_ms: 60_000, quote_chars: 160, list_items: 20 }
    }
}

impl DraftConfig {
    /// How tokens are chosen.
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
        }
    }

    /// How long the first word may take.
    pub(crate) fn first_token(&self) -> Duration {
        Duration::from_millis(self.first_token_ms)
    }

    /// How long the whole draft may take.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    fn validate(&self) -> Result<(), String> {
        nonzero("assist.draft.max_tokens", self.max_tokens, "a draft has at least one token")?;
        nonzero("assist.draft.prompt_tokens", self.prompt_tokens, "a ticket needs some")?;
        if self.first_token_ms == 0 || self.deadline_ms < self.first_token_ms {
            return Err(format!(
                "assist.draft.first_token_ms is {} and assist.draft.deadline_ms is {}; set 1 <= first_token_ms <= deadline_ms",
                self.first_token_ms, self.deadline_ms
            ));
        }
        let ranges = [
            ("temperature", self.temperature, 0.0, 2.0),
            ("top_p", self.top_p, 0.001, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 0.5, 2.0),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(format!("assist.draft.{key} is {value}; set it between {least} and {most}"));
            }
        }
        Ok(())
    }
}

impl FillConfig {
    /// How long the whole answer may take.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    fn validate(&self) -> Result<(), String> {
        nonzero("assist.fill.max_tokens", self.max_tokens, "an answer has at least one token")?;
        nonzero("assist.fill.prompt_tokens", self.prompt_tokens, "schema and text need some")?;
        nonzero("assist.fill.quote_chars", self.quote_chars, "a value without a quotation is abstained from")?;
        nonzero("assist.fill.list_items", self.list_items, "a list would always be empty")?;
        match self.deadline_ms {
            0 => Err("assist.fill.deadline_ms is 0, so that the model never answers; set it to 1 or more".to_owned()),
            _ => Ok(()),
        }
    }
}

fn nonzero(key: &str, value: usize, why: &str) -> Result<(), String> {
    if value == 0 { Err(format!("{key} is 0, but {why}; set it to 1 or more")) } else { Ok(()) }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            text_chars: 200_000,
            ticket_messages: 200,
            schema_bytes: 64 * 1024,
            schema_depth: 8,
            schema_properties: 200,
            enum_sentences: 48,
        }
    }
}

impl AssistConfig {
    /// Refuses values that make no sense, with a sentence that says what to change.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [
            ("assist.dense_weight", self.dense_weight),
            ("assist.min_similarity", self.min_similarity),
            ("assist.min_word_overlap", self.min_word_overlap),
            ("assist.enum_min_similarity", self.enum_min_similarity),
            ("assist.enum_margin", self.enum_margin),
            ("assist.min_confidence", self.min_confidence),
        ];
        for (key, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{key} is {value}; set it between 0 and 1"));
            }
        }
        // Confidence grows from the bound to 1; at 1 there would be nothing left to grow through.
        for (key, value) in
            [("assist.min_similarity", self.min_similarity), ("assist.min_word_overlap", self.min_word_overlap)]
        {
            if value >= 1.0 {
                return Err(format!("{key} is {value}, which no earlier message reaches; set it below 1"));
            }
        }
        if self.max_limit == 0 || self.limit == 0 || self.limit > self.max_limit {
            return Err(format!(
                "assist.limit is {} and assist.max_limit is {}; set 1 <= limit <= max_limit",
                self.limit, self.max_limit
            ));
        }
        self.draft.validate()?;
        self.fill.validate()?;
        let counts = [
            ("text_chars", self.limits.text_chars),
            ("ticket_messages", self.limits.ticket_messages),
            ("schema_bytes", self.limits.schema_bytes),
            ("schema_depth", self.limits.schema_depth),
            ("schema_properties", self.limits.schema_properties),
        ];
        match counts.into_iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => {
                Err(format!("assist.limits.{key} is 0, which refuses every request; set it to 1 or more"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AssistConfig;

    #[test]
    fn the_default_is_valid_and_unknown_keys_are_refused() {
        assert_eq!(AssistConfig::default().validate(), Ok(()));
        let read: AssistConfig = toml::from_str("min_similarity = 0.6\n[limits]\ntext_chars = 10").unwrap();
        assert!((read.min_similarity - 0.6).abs() < 1e-6);
        assert_eq!(read.limits.text_chars, 10);
        assert!(toml::from_str::<AssistConfig>("min_similarty = 0.6").is_err());
        let read: AssistConfig = toml::from_str("[draft]\nmax_tokens = 7\n[fill]\ndeadline_ms = 9").unwrap();
        assert_eq!((read.draft.max_tokens, read.fill.deadline_ms), (7, 9));
        assert!(toml::from_str::<AssistConfig>("[draft]\nmax_token = 7").is_err());
    }

    #[test]
    fn a_bad_value_is_named() {
        let bad = |change: fn(&mut AssistConfig)| {
            let mut config = AssistConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert!(bad(|c| c.dense_weight = 1.5).contains("assist.dense_weight"));
        assert!(bad(|c| c.min_similarity = f32::NAN).contains("assist.min_similarity"));
        assert!(bad(|c| c.min_similarity = 1.0).contains("below 1"));
        assert!(bad(|c| c.limit = 0).contains("assist.limit"));
        assert!(bad(|c| c.limits.schema_depth = 0).contains("schema_depth"));
        assert!(bad(|c| c.draft.max_tokens = 0).contains("assist.draft.max_tokens"));
        assert!(bad(|c| c.draft.prompt_tokens = 0).contains("assist.draft.prompt_tokens"));
        assert!(bad(|c| c.draft.deadline_ms = 5).contains("assist.draft.deadline_ms"));
        assert!(bad(|c| c.draft.temperature = 3.0).contains("assist.draft.temperature"));
        assert!(bad(|c| c.draft.top_p = 0.0).contains("assist.draft.top_p"));
        assert!(bad(|c| c.draft.repetition_penalty = f32::NAN).contains("assist.draft.repetition_penalty"));
        assert!(bad(|c| c.fill.quote_chars = 0).contains("assist.fill.quote_chars"));
        assert!(bad(|c| c.fill.deadline_ms = 0).contains("assist.fill.deadline_ms"));
    }
}
