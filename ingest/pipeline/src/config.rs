//! How much is worked on at a time. Together with the limits on one item this bounds the memory of an ingest.

use rejoinder_mail::Limits;
use serde::Deserialize;

use crate::chunk::Budget;

/// The `[ingest]` section.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// Longest passage in tokens of the embedding model; a smaller limit of the model wins. Changing it makes the index anew.
    pub max_chunk_tokens: usize,
    /// How many tokens at the end of a passage the next one of the same text repeats at most. Changing it makes the index
    /// anew.
    pub overlap_tokens: usize,
    /// Tokens of one call of the embedding model, padding included.
    pub max_batch_tokens: usize,
    /// Records that are chunked, sorted by length, embedded and written together: the larger, the less padding, and the more
    /// is done again after a crash.
    pub window_records: usize,
    /// How many windows may wait before the model and before the store, each.
    pub queue_windows: usize,
    /// Items read before they are written to the ledger.
    pub read_batch_items: usize,
    /// Bytes of text read before they are written to the ledger.
    pub read_batch_bytes: usize,
    /// Skipped items and losses that the report lists, each; the ledger lists all.
    pub listed_skips: usize,
    /// Names the store that the index lies in, where there can be several: a part of the index version, so that another store is
    /// filled anew. Set by whoever opens the store, not by a configuration file.
    #[serde(skip)]
    pub store_name: String,
    /// Caps on one item.
    pub limits: Limits,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            max_chunk_tokens: 200,
            overlap_tokens: 24,
            max_batch_tokens: 8192,
            window_records: 512,
            queue_windows: 2,
            read_batch_items: 200,
            read_batch_bytes: 16 << 20,
            listed_skips: 1000,
            store_name: String::new(),
            limits: Limits::default(),
        }
    }
}

impl IngestConfig {
    /// Checks what serde cannot; the error is a sentence that says what to change.
    pub fn validate(&self) -> Result<(), String> {
        if !(16..=8192).contains(&self.max_chunk_tokens) {
            return Err(format!("max_chunk_tokens is {}; set it between 16 and 8192", self.max_chunk_tokens));
        }
        if self.overlap_tokens > self.max_chunk_tokens / 2 {
            return Err(format!(
                "overlap_tokens is {}; set it to at most half of max_chunk_tokens, {}",
                self.overlap_tokens,
                self.max_chunk_tokens / 2
            ));
        }
        for (name, value) in [
            ("max_batch_tokens", self.max_batch_tokens),
            ("window_records", self.window_records),
            ("queue_windows", self.queue_windows),
            ("read_batch_items", self.read_batch_items),
            ("read_batch_bytes", self.read_batch_bytes),
        ] {
            if value == 0 {
                return Err(format!("{name} is 0; set it to at least 1"));
            }
        }
        Ok(())
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget { max_tokens: self.max_chunk_tokens, overlap_tokens: self.overlap_tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::IngestConfig;

    #[test]
    fn defaults_are_valid_and_nonsense_is_not() {
        IngestConfig::default().validate().unwrap();
        for wrong in [
            IngestConfig { max_chunk_tokens: 4, ..IngestConfig::default() },
            IngestConfig { overlap_tokens: 101, ..IngestConfig::default() },
            IngestConfig { queue_windows: 0, ..IngestConfig::default() },
        ] {
            assert!(wrong.validate().is_err());
        }
        assert!(
            serde_json::from_str::<IngestConfig>(r#"{"max_chunk_token": 100}"#).is_err(),
            "a misspelt name is told"
        );
        assert_eq!(serde_json::from_str::<IngestConfig>("{}").unwrap(), IngestConfig::default());
    }
}
