//! Remote language models: OpenAI-compatible endpoints and the Messages API of Anthropic.
