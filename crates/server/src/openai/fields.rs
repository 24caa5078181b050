//! Reading a JSON object member by member, so that every error names its place as OpenAI does: `messages[0].content`.

use serde_json::{Map, Value};

use super::error::OpenAiError;

/// A JSON object that is being read. What nobody took in the end is an unknown parameter.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    members: Map<String, Value>,
}

impl Fields {
    /// `value` as an object at `path`; the body itself has an empty path.
    pub(crate) fn of(value: Value, path: impl Into<String>) -> Result<Self, OpenAiError> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { path, members }),
            other => Err(expected("an object", &other, path)),
        }
    }

    /// The place of a member.
    pub(crate) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The member, if it is there and not null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, OpenAiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(expected("a string", &other, self.at(name))),
        }
    }

    /// A text that must be there.
    pub(crate) fn required_string(&mut self, name: &str) -> Result<String, OpenAiError> {
        self.string(name)?.ok_or_else(|| OpenAiError::missing(self.at(name)))
    }

    /// A truth value.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, OpenAiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(expected("a boolean", &other, self.at(name))),
        }
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f64>, OpenAiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(number) = value.as_f64() else { return Err(expected("a number", &value, self.at(name))) };
        if (least..=most).contains(&number) {
            return Ok(Some(number));
        }
        Err(OpenAiError::invalid(self.at(name), format!("'{name}' must be {least} to {most}")))
    }

    /// A whole number of at least `least`.
    pub(crate) fn integer(&mut self, name: &str, least: u64) -> Result<Option<u64>, OpenAiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        if !value.is_i64() && !value.is_u64() {
            return Err(expected("an integer", &value, self.at(name)));
        }
        match value.as_u64() {
            Some(number) if number >= least => Ok(Some(number)),
            _ => Err(OpenAiError::invalid(self.at(name), format!("'{name}' must be at least {least}"))),
        }
    }

    /// A list.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, OpenAiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => Err(expected("an array", &other, self.at(name))),
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, OpenAiError> {
        let path = self.at(name);
        self.take(name).map(|value| Self::of(value, path)).transpose()
    }

    /// Members that the API has and that change nothing in an answer of this server.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.members.remove(*name);
        }
    }

    /// A member that this server does not do, unless its value asks for nothing.
    pub(crate) fn refuse(
        &mut self,
        name: &str,
        asks_for_nothing: fn(&Value) -> bool,
        why: &str,
    ) -> Result<(), OpenAiError> {
        match self.take(name) {
            Some(value) if !asks_for_nothing(&value) => {
                Err(OpenAiError::unsupported(self.at(name), format!("'{name}' is not supported: {why}")))
            }
            _ => Ok(()),
        }
    }

    /// Nothing must be left.
    pub(crate) fn finish(self) -> Result<(), OpenAiError> {
        match self.members.keys().next() {
            Some(name) => Err(OpenAiError::unknown(self.at(name))),
            None => Ok(()),
        }
    }
}

/// `value` at `path` is not what it should be.
pub(crate) fn expected(what: &str, value: &Value, path: impl Into<String>) -> OpenAiError {
    let path = path.into();
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let place = if path.is_empty() { "the body".to_owned() } else { format!("'{path}'") };
    OpenAiError::wrong_type(path, format!("{place} must be {what}, not {found}"))
}
