//! A model that is configured and not there.

use async_trait::async_trait;
use rejoinder_domain::{ErrorKind, GenerateRequest, GenerateStream, LanguageModel, SeamError};

/// Stands in the place of a local model that could not be loaded, so that every request says so in its attempts.
#[derive(Debug)]
pub struct AbsentModel {
    name: String,
    reason: String,
}

impl AbsentModel {
    /// The model of this name, and why it is not there.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }

    fn error(&self) -> SeamError {
        SeamError::new(ErrorKind::Unavailable, self.reason.clone())
    }
}

#[async_trait]
impl LanguageModel for AbsentModel {
    fn provider(&self) -> &'static str {
        "local"
    }

    fn model(&self) -> &str {
        &self.name
    }

    fn context_tokens(&self) -> usize {
        0
    }

    fn count_tokens(&self, _text: &str) -> Result<usize, SeamError> {
        Err(self.error())
    }

    async fn generate(&self, _request: GenerateRequest) -> Result<GenerateStream, SeamError> {
        Err(self.error())
    }
}
