//! Tokenizer and chat template of a GGUF file.
