//! Whether an answer has the form that was asked for.

use rejoinder_domain::{ErrorKind, OutputFormat, SeamError};

/// Problems that are told to the model at most.
const TOLD: usize = 8;

/// Checks whole answers against a form.
pub(crate) struct Validator(Form);

enum Form {
    Any,
    Json(jsonschema::Validator),
    Choice(Vec<String>),
}

impl Validator {
    /// Compiles the form; a schema that refers to something outside itself is refused, nothing is fetched.
    pub(crate) fn new(output: &OutputFormat) -> Result<Self, SeamError> {
        Ok(Self(match output {
            // A local model keeps to an expression by construction, and no remote target takes one.
            OutputFormat::Text | OutputFormat::Regex(_) => Form::Any,
            OutputFormat::Choice(choices) => Form::Choice(choices.clone()),
            OutputFormat::Json(schema) => {
                let invalid =
                    |_| SeamError::new(ErrorKind::Invalid, "the schema of the answer is not a valid JSON Schema");
                Form::Json(jsonschema::options().build(schema).map_err(invalid)?)
            }
        }))
    }

    /// What is wrong with `answer`, in words that repeat none of its values.
    pub(crate) fn check(&self, answer: &str) -> Result<(), String> {
        match &self.0 {
            Form::Any => Ok(()),
            Form::Choice(choices) if choices.iter().any(|choice| choice == answer) => Ok(()),
            Form::Choice(_) => Err("it is none of the allowed texts".to_owned()),
            Form::Json(validator) => {
                let value =
                    serde_json::from_str(answer).map_err(|error| format!("it is not JSON: {}", place(&error)))?;
                let problems: Vec<String> =
                    validator.iter_errors(&value).take(TOLD).map(|error| described(&error)).collect();
                if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
            }
        }
    }
}

fn place(error: &serde_json::Error) -> String {
    let what = if error.is_eof() { "it ends too early" } else { "it has a syntax error" };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

fn described(error: &jsonschema::ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    let place = if pointer.is_empty() { "the value" } else { pointer };
    format!("{place} violates the keyword at {} of the schema", error.schema_path().as_str())
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::{ErrorKind, OutputFormat};
    use serde_json::json;

    use super::Validator;

    #[test]
    fn problems_are_placed_and_repeat_no_value() {
        let schema = json!({"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]});
        let validator = Validator::new(&OutputFormat::Json(schema)).unwrap();
        assert_eq!(validator.check(r#"{"amount": 1}"#), Ok(()));
        let problem = validator.check(r#"{"amount": "secret"}"#).unwrap_err();
        assert_eq!(problem, "/amount violates the keyword at /properties/amount/type of the schema");
        assert!(validator.check("{}").unwrap_err().contains("/required"));
        assert_eq!(
            validator.check("{\"amount\":").unwrap_err(),
            "it is not JSON: it ends too early at line 1, column 10"
        );
    }

    #[test]
    fn nothing_is_fetched() {
        let schema = json!({"$ref": "http://127.0.0.1:9/schema.json"});
        let refused = Validator::new(&OutputFormat::Json(schema)).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::Invalid);
        let file = json!({"$ref": "file:///etc/hostname"});
        assert!(Validator::new(&OutputFormat::Json(file)).is_err());
    }
}
