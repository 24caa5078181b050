//! The `[assist]` section of the configuration.

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
    /// Caps on what a request may hold.
    pub limits: RequestLimits,
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
            limits: RequestLimits::default(),
        }
    }
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
    }
}
