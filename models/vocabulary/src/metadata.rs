//! Typed, bounded reads from the metadata of a GGUF file, which anybody may have written.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;

use crate::VocabularyError;

/// The metadata of a GGUF file, as `candle_core` reads it.
pub type Metadata = HashMap<String, Value>;

/// The text under `key`, if there is one.
pub(crate) fn text<'a>(metadata: &'a Metadata, key: &'static str) -> Result<Option<&'a str>, VocabularyError> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(VocabularyError::WrongType { key, expected: "a text" }),
    }
}

/// The truth value under `key`, if there is one.
pub(crate) fn flag(metadata: &Metadata, key: &'static str) -> Result<Option<bool>, VocabularyError> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(VocabularyError::WrongType { key, expected: "true or false" }),
    }
}

/// The token id under `key`, if there is one; it lies within a vocabulary of `tokens`.
pub(crate) fn token_id(metadata: &Metadata, key: &'static str, tokens: usize) -> Result<Option<u32>, VocabularyError> {
    let Some(value) = metadata.get(key) else { return Ok(None) };
    let id = integer(value).ok_or(VocabularyError::WrongType { key, expected: "a token id" })?;
    match u32::try_from(id) {
        Ok(id) if (id as usize) < tokens => Ok(Some(id)),
        _ => Err(VocabularyError::Inconsistent { key, reason: format!("{id} is outside of {tokens} tokens") }),
    }
}

/// The list of texts under `key`, at most `limit` of them.
pub(crate) fn texts<'a>(
    metadata: &'a Metadata,
    key: &'static str,
    limit: usize,
) -> Result<Option<Vec<&'a str>>, VocabularyError> {
    let Some(values) = list(metadata, key, limit)? else { return Ok(None) };
    let text = |value: &'a Value| match value {
        Value::String(text) => Ok(text.as_str()),
        _ => Err(VocabularyError::WrongType { key, expected: "a list of texts" }),
    };
    values.iter().map(text).collect::<Result<_, _>>().map(Some)
}

/// The list of whole numbers under `key`, at most `limit` of them.
pub(crate) fn integers(
    metadata: &Metadata,
    key: &'static str,
    limit: usize,
) -> Result<Option<Vec<i64>>, VocabularyError> {
    let Some(values) = list(metadata, key, limit)? else { return Ok(None) };
    let number = |value| integer(value).ok_or(VocabularyError::WrongType { key, expected: "a list of whole numbers" });
    values.iter().map(number).collect::<Result<_, _>>().map(Some)
}

fn list<'a>(metadata: &'a Metadata, key: &'static str, limit: usize) -> Result<Option<&'a [Value]>, VocabularyError> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::Array(values)) if values.len() > limit => {
            Err(VocabularyError::TooLarge { key, found: values.len(), limit })
        }
        Some(Value::Array(values)) => Ok(Some(values)),
        Some(_) => Err(VocabularyError::WrongType { key, expected: "a list" }),
    }
}

/// Writers use any width and sign for ids and types.
fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::U8(number) => Some(number.into()),
        Value::I8(number) => Some(number.into()),
        Value::U16(number) => Some(number.into()),
        Value::I16(number) => Some(number.into()),
        Value::U32(number) => Some(number.into()),
        Value::I32(number) => Some(number.into()),
        Value::U64(number) => i64::try_from(number).ok(),
        Value::I64(number) => Some(number),
        _ => None,
    }
}
