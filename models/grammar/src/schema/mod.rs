//! From JSON Schema to the dialect that the engine compiles, without losing a constraint.
//!
//! The engine (llguidance) understands a large part of JSON Schema, but it ignores what its chosen draft does not know,
//! follows few references, writes numbers of any length, and does not say where a schema is at fault. So every schema
//! is rebuilt here: each keyword is enforced, refused with its place, or dropped because it constrains nothing;
//! references become definitions with plain names; drafts 4 to 2019-09 become 2020-12; and where [`Caps`] are given,
//! what the schema leaves open is bounded. Each rebuilt subschema carries its place as `$comment`, by which an error
//! of the engine finds its way back.
//!
//! [`Caps`]: crate::Caps

mod blame;
mod composition;
mod finite;
mod formats;
mod keywords;
mod numbers;
mod objects;
mod pattern;
mod reference;
mod strings;
mod walk;

use serde_json::{Map, Value};

use crate::{GrammarError, GrammarOptions};

use walk::{Stand, Walker};

/// A schema in the engine's dialect.
pub(crate) struct Dialect {
    root: Value,
    definitions: Map<String, Value>,
    /// Whether the schema has `oneOf`.
    pub(crate) has_one_of: bool,
}

impl Dialect {
    /// The whole document for the engine.
    pub(crate) fn root(&self) -> Value {
        self.document(self.root.clone())
    }

    /// `schema` as a document of its own, with all definitions.
    fn document(&self, schema: Value) -> Value {
        let mut map = match schema {
            Value::Object(map) => map,
            Value::Bool(true) => Map::new(),
            // No value is valid against an empty list of alternatives.
            _ => Map::from_iter([("anyOf".to_owned(), Value::Array(Vec::new()))]),
        };
        map.insert("$defs".to_owned(), Value::Object(self.definitions.clone()));
        Value::Object(map)
    }
}

/// Rebuilds `schema` for the engine, narrowed where `options` has caps.
pub(crate) fn normalise(schema: &Value, options: &GrammarOptions) -> Result<Dialect, GrammarError> {
    rebuild(schema, options, if options.caps.is_some() { Stand::Alone } else { Stand::Unknown })
}

/// The same with sizes bounded and nothing else narrowed.
///
/// For `oneOf`: that alternatives exclude each other must hold as they are written, not only after what they leave open
/// was closed. A value of one closed alternative might still be one of another that is open.
pub(crate) fn normalise_open(schema: &Value, options: &GrammarOptions) -> Result<Dialect, GrammarError> {
    rebuild(schema, options, Stand::Unknown)
}

fn rebuild(schema: &Value, options: &GrammarOptions, stand: Stand) -> Result<Dialect, GrammarError> {
    let rebuilt = Walker::new(schema, options).run(stand)?;
    if !finite::has_finite_value(&rebuilt.root, &rebuilt.definitions) {
        return Err(GrammarError::InvalidSchema {
            pointer: String::new(),
            reason: "every value would have to hold a value of its own kind, without end".to_owned(),
        });
    }
    Ok(Dialect { root: rebuilt.root, definitions: rebuilt.definitions, has_one_of: rebuilt.alternatives })
}

/// The pointer of member `key` of what is at `at` (RFC 6901).
fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}
