//! The part of JSON Schema that extraction honours. What it does not know it refuses, naming keyword and pointer: an
//! attribute that only seems to be valid would be worse than none.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::pattern::TextPattern;
use super::schema::{Choice, Format, Kind, ListRule, NumberRule, Property, Schema, TextRule, escape, pointer_of};
use crate::SchemaError;
use crate::config::RequestLimits;

/// Names of formats; the ones without an RFC are our own.
const FORMATS: [(&str, Format); 17] = [
    ("date", Format::Date),
    ("date-time", Format::DateTime),
    ("email", Format::Email),
    ("idn-email", Format::Email),
    ("uri", Format::Uri),
    ("iri", Format::Uri),
    ("url", Format::Uri),
    ("phone", Format::Phone),
    ("tel", Format::Phone),
    ("iban", Format::Iban),
    ("bic", Format::Bic),
    ("credit-card", Format::Card),
    ("card", Format::Card),
    ("currency", Format::Currency),
    ("uuid", Format::Uuid),
    ("ipv4", Format::Ipv4),
    ("iso-4217", Format::Currency),
];

/// Keywords that say nothing about validity, or (as `additionalProperties`) nothing about what is ever answered: only
/// declared properties are.
const ANNOTATIONS: [&str; 17] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "title",
    "description",
    "examples",
    "example",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$defs",
    "definitions",
    "additionalProperties",
    "unevaluatedProperties",
    "nullable",
];

impl Schema {
    /// Understands `schema` or says what it does not understand.
    pub(crate) fn compile(schema: &Value, limits: &RequestLimits) -> Result<Self, SchemaError> {
        let size = serde_json::to_string(schema).map_or(usize::MAX, |text| text.len());
        if size > limits.schema_bytes {
            let reason = format!("a schema has at most {} bytes (schema_bytes)", limits.schema_bytes);
            return Err(SchemaError { keyword: String::new(), pointer: String::new(), reason });
        }
        let visits = Cell::new(0);
        let mut compiler = Compiler { root: schema, limits, visits: &visits, compiled: Self::empty() };
        let root = compiler.resolve(schema, "", 0)?;
        if type_of(&root)? != "object" {
            return Err(root.error("type", "the schema describes an object of attributes"));
        }
        compiler.object(&root, &[], 0)?;
        Ok(compiler.compiled)
    }

    fn empty() -> Self {
        Self { properties: Vec::new(), objects: Vec::new() }
    }
}

/// Subschemas that are looked at, per property that is allowed: references can make a small schema stand for a huge one.
const VISITS_PER_PROPERTY: usize = 10;

/// A subschema after references and unions with null were followed.
struct Node<'a> {
    keywords: &'a Map<String, Value>,
    /// Titles and descriptions of what referred to it, outermost first.
    outer: Vec<&'a Map<String, Value>>,
    pointer: String,
    depth: usize,
}

impl Node<'_> {
    fn error(&self, keyword: &str, reason: impl Into<String>) -> SchemaError {
        SchemaError { keyword: keyword.to_owned(), pointer: self.pointer.clone(), reason: reason.into() }
    }

    /// The first text of an annotation, from the outermost in.
    fn annotation(&self, keyword: &str) -> Option<&str> {
        let all = self.outer.iter().copied().chain(std::iter::once(self.keywords));
        all.filter_map(|keywords| keywords.get(keyword)).find_map(Value::as_str)
    }

    /// Refuses every keyword that is neither an annotation nor one of `known`.
    fn only(&self, known: &[&str]) -> Result<(), SchemaError> {
        let is_known = |keyword: &str| {
            ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") || keyword == "type" || known.contains(&keyword)
        };
        match self.keywords.keys().find(|keyword| !is_known(keyword)) {
            Some(keyword) => Err(self.error(keyword, "this keyword is not supported here")),
            None => Ok(()),
        }
    }

    fn count(&self, keyword: &str) -> Result<Option<usize>, SchemaError> {
        let Some(value) = self.keywords.get(keyword) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or_else(|| self.error(keyword, "a whole number that is not negative is needed"))
    }

    fn number(&self, keyword: &str) -> Result<Option<f64>, SchemaError> {
        let Some(value) = self.keywords.get(keyword) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.error(keyword, "a number is needed"))
    }
}

struct Compiler<'a> {
    root: &'a Value,
    limits: &'a RequestLimits,
    visits: &'a Cell<usize>,
    compiled: Schema,
}

impl<'a> Compiler<'a> {
    /// Follows `$ref` into the schema itself, `allOf` of one, and `anyOf`/`oneOf` of one schema and null.
    fn resolve(&self, schema: &'a Value, pointer: &str, depth: usize) -> Result<Node<'a>, SchemaError> {
        let mut node =
            Node { keywords: as_object(schema, pointer)?, outer: Vec::new(), pointer: pointer.to_owned(), depth };
        self.visits.set(self.visits.get() + 1);
        if self.visits.get() > self.limits.schema_properties.saturating_mul(VISITS_PER_PROPERTY) {
            return Err(node.error("", "with its references the schema is too large (schema_properties)"));
        }
        loop {
            if node.depth > self.limits.schema_depth {
                return Err(
                    node.error("", format!("a schema nests at most {} deep (schema_depth)", self.limits.schema_depth))
                );
            }
            let (keyword, next, place) = if let Some(target) = node.keywords.get("$ref") {
                let path = target.as_str().and_then(|target| target.strip_prefix('#'));
                let found = path.and_then(|path| self.root.pointer(path));
                let found = found
                    .ok_or_else(|| node.error("$ref", "only references into this schema (#/...) are supported"))?;
                ("$ref", found, path.unwrap_or_default().to_owned())
            } else if let Some((keyword, index, only)) = single_alternative(node.keywords) {
                (keyword, only, format!("{}/{keyword}/{index}", node.pointer))
            } else {
                return Ok(node);
            };
            let keywords = node.keywords;
            let beside = keywords.keys().find(|other| *other != keyword && !is_annotation(other));
            if let Some(beside) = beside {
                return Err(node.error(beside, format!("a keyword beside {keyword} is not supported")));
            }
            node.outer.push(keywords);
            node.keywords = as_object(next, &place)?;
            node.pointer = place;
            node.depth += 1;
        }
    }

    fn object(&mut self, node: &Node<'a>, path: &[String], depth: usize) -> Result<(), SchemaError> {
        node.only(&["properties", "required"])?;
        let mut required = Vec::new();
        if let Some(names) = node.keywords.get("required") {
            let names = names.as_array().ok_or_else(|| node.error("required", "a list of names is needed"))?;
            for name in names {
                let name = name.as_str().ok_or_else(|| node.error("required", "a list of names is needed"))?;
                required.push(name.to_owned());
            }
        }
        self.compiled.objects.push((pointer_of(path), required));
        let properties = match node.keywords.get("properties") {
            None => return Ok(()),
            Some(properties) => {
                properties.as_object().ok_or_else(|| node.error("properties", "an object is needed"))?
            }
        };
        for (name, schema) in properties {
            let pointer = format!("{}/properties/{}", node.pointer, escape(name));
            let child = self.resolve(schema, &pointer, depth + 1)?;
            let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
            self.property(&child, path)?;
        }
        Ok(())
    }

    fn property(&mut self, node: &Node<'a>, path: Vec<String>) -> Result<(), SchemaError> {
        if self.compiled.properties.len() >= self.limits.schema_properties {
            let most = self.limits.schema_properties;
            return Err(node.error("properties", format!("a schema has at most {most} properties (schema_properties)")));
        }
        match type_of(node)? {
            "object" => self.object(node, &path, node.depth),
            "array" => {
                let (kind, list) = self.list(node)?;
                self.add(node, path, kind, Some(list));
                Ok(())
            }
            _ => {
                let kind = value_kind(node)?;
                self.add(node, path, kind, None);
                Ok(())
            }
        }
    }

    fn add(&mut self, node: &Node<'a>, path: Vec<String>, kind: Kind, list: Option<ListRule>) {
        let labels = node.keywords.get("x-labels").and_then(Value::as_array);
        let labels = labels.into_iter().flatten().filter_map(Value::as_str);
        let titles = node.annotation("title").into_iter().chain(labels).map(str::to_owned).collect();
        let description = node.annotation("description").unwrap_or_default().to_owned();
        self.compiled.properties.push(Property { path, titles, description, kind, list });
    }

    fn list(&self, node: &Node<'a>) -> Result<(Kind, ListRule), SchemaError> {
        node.only(&["items", "minItems", "maxItems", "uniqueItems"])?;
        let rule = ListRule { min: node.count("minItems")?.unwrap_or(0), max: node.count("maxItems")?.unwrap_or(100) };
        let Some(items) = node.keywords.get("items") else {
            return Err(node.error("items", "a list needs to say what its items are"));
        };
        let item = self.resolve(items, &format!("{}/items", node.pointer), node.depth + 1)?;
        let kind = match type_of(&item)? {
            "object" => {
                let mut inner =
                    Compiler { root: self.root, limits: self.limits, visits: self.visits, compiled: Schema::empty() };
                inner.object(&item, &[], item.depth)?;
                Kind::Items(inner.compiled)
            }
            "array" => return Err(item.error("type", "a list of lists is not supported")),
            _ => value_kind(&item)?,
        };
        Ok((kind, rule))
    }
}

fn value_kind(node: &Node<'_>) -> Result<Kind, SchemaError> {
    if let Some(choices) = choices(node)? {
        return Ok(Kind::Choice(choices));
    }
    match type_of(node)? {
        "string" => text_rule(node).map(Kind::Text),
        "boolean" => node.only(&[]).map(|()| Kind::Boolean),
        number => number_rule(node, number == "integer").map(Kind::Number),
    }
}

fn text_rule(node: &Node<'_>) -> Result<TextRule, SchemaError> {
    node.only(&["format", "pattern", "minLength", "maxLength"])?;
    let format = match node.keywords.get("format") {
        None => None,
        Some(format) => {
            let known = format.as_str().and_then(|name| FORMATS.iter().find(|(known, _)| *known == name));
            let known = known.ok_or_else(|| node.error("format", format!("the format {format} is not supported")))?;
            Some(known.1)
        }
    };
    let pattern = match node.keywords.get("pattern") {
        None => None,
        Some(pattern) => {
            let pattern = pattern.as_str().ok_or_else(|| node.error("pattern", "a text is needed"))?;
            Some(TextPattern::compile(pattern).map_err(|reason| node.error("pattern", reason))?)
        }
    };
    let (min_length, max_length) = (node.count("minLength")?.unwrap_or(0), node.count("maxLength")?);
    let ascii_only = matches!(node.keywords.get("format").and_then(Value::as_str), Some("email" | "uri" | "url"));
    let heading = match node.keywords.get("x-value") {
        None => false,
        Some(value) if value == "heading" => true,
        Some(_) => return Err(node.error("x-value", "the only value that is known is \"heading\"")),
    };
    Ok(TextRule { format, pattern, heading, ascii_only, min_length, max_length })
}

fn number_rule(node: &Node<'_>, integer: bool) -> Result<NumberRule, SchemaError> {
    node.only(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"])?;
    if let Some(format) = node.keywords.get("format")
        && !matches!(format.as_str(), Some("int32" | "int64" | "float" | "double"))
    {
        return Err(node.error("format", format!("the format {format} is not supported for a number")));
    }
    let multiple_of = node.number("multipleOf")?;
    if multiple_of.is_some_and(|divisor| divisor <= 0.0) {
        return Err(node.error("multipleOf", "a number above 0 is needed"));
    }
    Ok(NumberRule {
        integer,
        minimum: node.number("minimum")?,
        maximum: node.number("maximum")?,
        exclusive_minimum: node.number("exclusiveMinimum")?,
        exclusive_maximum: node.number("exclusiveMaximum")?,
        multiple_of,
    })
}

/// The allowed values of `enum`, `const`, or `oneOf`/`anyOf` of constants; `None` where any value of the type is allowed.
fn choices(node: &Node<'_>) -> Result<Option<Vec<Choice>>, SchemaError> {
    if let Some(keyword) = ["oneOf", "anyOf"].into_iter().find(|keyword| node.keywords.contains_key(*keyword)) {
        node.only(&[keyword])?;
        let list = node.keywords.get(keyword).and_then(Value::as_array);
        let choice = |branch: &Value| {
            let branch = branch.as_object()?;
            let known = |key: &String| key == "const" || key == "type" || is_annotation(key);
            let value = branch.get("const").filter(|value| is_scalar(value) && branch.keys().all(known))?;
            let text = |key: &str| branch.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(make_choice(value, &[text("title")], text("description")))
        };
        let all: Option<Vec<Choice>> = list.into_iter().flatten().map(choice).collect();
        return match all.filter(|all| !all.is_empty()) {
            Some(all) => Ok(Some(all)),
            None => {
                Err(node
                    .error(keyword, "only alternatives that each have a const, or one schema and null, are supported"))
            }
        };
    }
    let values: Vec<Value> = match (node.keywords.get("enum"), node.keywords.get("const")) {
        (None, None) => return Ok(None),
        (Some(Value::Array(values)), None) => values.iter().filter(|value| !value.is_null()).cloned().collect(),
        (None, Some(value)) => vec![value.clone()],
        _ => return Err(node.error("enum", "either a list (enum) or one value (const) is needed")),
    };
    node.only(&["enum", "const"])?;
    if values.is_empty() || !values.iter().all(is_scalar) {
        return Err(node.error("enum", "the values have to be texts, numbers or booleans, and at least one"));
    }
    let descriptions = node.keywords.get("x-enum-descriptions");
    let described = values.iter().enumerate().map(|(index, value)| {
        let description = match descriptions {
            Some(Value::Array(all)) => all.get(index),
            Some(Value::Object(all)) => value.as_str().and_then(|value| all.get(value)),
            _ => None,
        };
        make_choice(value, &[], description.and_then(Value::as_str).unwrap_or_default().to_owned())
    });
    Ok(Some(described.collect()))
}

fn make_choice(value: &Value, titles: &[String], description: String) -> Choice {
    let own = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut labels = vec![own];
    labels.extend(titles.iter().filter(|title| !title.is_empty()).cloned());
    Choice { value: value.clone(), labels, description }
}

/// `object`, `array`, `string`, `number`, `integer` or `boolean`; inferred from other keywords where it is left out.
fn type_of(node: &Node<'_>) -> Result<&'static str, SchemaError> {
    const TYPES: [&str; 6] = ["object", "array", "string", "number", "integer", "boolean"];
    let known = |name: &str| TYPES.into_iter().find(|known| *known == name);
    let unsupported =
        || node.error("type", "one of object, array, string, number, integer, boolean is needed, and null beside it");
    match node.keywords.get("type") {
        Some(Value::String(name)) => known(name).ok_or_else(unsupported),
        Some(Value::Array(names)) => {
            let rest: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            match rest.as_slice() {
                [one] => known(one).ok_or_else(unsupported),
                _ => Err(unsupported()),
            }
        }
        Some(_) => Err(unsupported()),
        None if node.keywords.contains_key("properties") => Ok("object"),
        None if node.keywords.contains_key("items") => Ok("array"),
        None if ["enum", "const", "oneOf", "anyOf", "pattern", "format"]
            .iter()
            .any(|key| node.keywords.contains_key(*key)) =>
        {
            Ok("string")
        }
        None => Err(node.error("type", "a type is needed")),
    }
}

/// The one schema of `allOf`, or of `anyOf`/`oneOf` beside null, with its index.
fn single_alternative(keywords: &Map<String, Value>) -> Option<(&'static str, usize, &Value)> {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let Some(branches) = keywords.get(keyword).and_then(Value::as_array) else { continue };
        let is_null = |branch: &Value| branch.get("type").and_then(Value::as_str) == Some("null");
        let mut rest = branches.iter().enumerate().filter(|(_, branch)| keyword == "allOf" || !is_null(branch));
        let first = rest.next();
        let has_const = first.is_some_and(|(_, branch)| branch.get("const").is_some());
        return match (first, rest.next()) {
            (Some((index, branch)), None) if !has_const => Some((keyword, index, branch)),
            _ => None,
        };
    }
    None
}

fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-")
}

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

fn as_object<'a>(schema: &'a Value, pointer: &str) -> Result<&'a Map<String, Value>, SchemaError> {
    let reason = "a schema is an object here".to_owned();
    schema.as_object().ok_or_else(|| SchemaError { keyword: String::new(), pointer: pointer.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::schema::{Format, Kind, Schema, pointer_of};
    use crate::config::RequestLimits;

    fn compile(schema: &Value) -> Result<Schema, (String, String)> {
        Schema::compile(schema, &RequestLimits::default()).map_err(|error| (error.keyword, error.pointer))
    }

    #[test]
    fn a_schema_as_people_and_generators_write_them() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Invoice", "type": "object",
            "$defs": {"Money": {"type": "number", "minimum": 0}, "Person": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}, "required": ["email"]}},
            "properties": {
                "total": {"$ref": "#/$defs/Money", "description": "What is owed"},
                "due": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "title": "Due date"},
                "customer": {"allOf": [{"$ref": "#/$defs/Person"}]},
                "kind": {"enum": ["a", "b"], "x-enum-descriptions": {"a": "the first"}},
                "state": {"oneOf": [{"const": "open", "title": "Open", "description": "not paid"}, {"const": "paid"}]},
                "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
                "lines": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
                "vip": {"type": ["boolean", "null"]},
                "a/b": {"type": "string"}
            },
            "required": ["total"], "additionalProperties": false
        });
        let schema = compile(&schema).unwrap();
        let pointers: Vec<String> = schema.properties.iter().map(|property| pointer_of(&property.path)).collect();
        for pointer in ["/total", "/due", "/customer/email", "/kind", "/state", "/tags", "/lines", "/vip", "/a~1b"] {
            assert!(pointers.iter().any(|known| known == pointer), "{pointer}");
        }
        let property = |pointer: &str| schema.properties.iter().find(|p| pointer_of(&p.path) == pointer).unwrap();
        assert_eq!(property("/total").description, "What is owed");
        assert!(matches!(&property("/due").kind, Kind::Text(rule) if rule.format == Some(Format::Date)));
        assert_eq!(property("/due").titles, ["Due date"]);
        assert!(
            matches!(&property("/state").kind, Kind::Choice(all) if all[0].labels == ["open", "Open"] && all[0].description == "not paid")
        );
        assert!(matches!(&property("/kind").kind, Kind::Choice(all) if all[0].description == "the first"));
        assert!(matches!(property("/lines").kind, Kind::Items(_)));
        assert_eq!(
            schema.objects,
            [(String::new(), vec!["total".to_owned()]), ("/customer".to_owned(), vec!["email".to_owned()])]
        );
    }

    #[test]
    fn what_is_not_supported_is_named_with_its_place() {
        let property = |schema: Value| json!({"type": "object", "properties": {"p": schema}});
        let table = [
            (json!({"type": "string"}), "type", ""),
            (json!(true), "", ""),
            (json!({"type": "object", "minProperties": 1}), "minProperties", ""),
            (json!({"type": "object", "patternProperties": {}}), "patternProperties", ""),
            (json!({"type": "object", "required": "p"}), "required", ""),
            (property(json!({"type": "string", "format": "color"})), "format", "/properties/p"),
            (property(json!({"type": "string", "pattern": "(?=a)"})), "pattern", "/properties/p"),
            (property(json!({"type": "string", "not": {"const": "x"}})), "not", "/properties/p"),
            (property(json!({"type": "string", "minimum": 1})), "minimum", "/properties/p"),
            (property(json!({"type": "number", "minimum": "1"})), "minimum", "/properties/p"),
            (property(json!({"type": "number", "exclusiveMinimum": true})), "exclusiveMinimum", "/properties/p"),
            (property(json!({"type": "number", "multipleOf": 0})), "multipleOf", "/properties/p"),
            (property(json!({"type": ["string", "number"]})), "type", "/properties/p"),
            (property(json!({"anyOf": [{"type": "string"}, {"type": "number"}]})), "anyOf", "/properties/p"),
            (property(json!({"$ref": "https://x.example/s"})), "$ref", "/properties/p"),
            (property(json!({"$ref": "#/$defs/none"})), "$ref", "/properties/p"),
            (property(json!({"$ref": "#/properties/p"})), "", "/properties/p"),
            (property(json!({"type": "array"})), "items", "/properties/p"),
            (
                property(json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}})),
                "type",
                "/properties/p/items",
            ),
            (
                property(json!({"type": "array", "contains": {}, "items": {"type": "string"}})),
                "contains",
                "/properties/p",
            ),
            (property(json!({"enum": []})), "enum", "/properties/p"),
            (property(json!({"enum": [{}]})), "enum", "/properties/p"),
            (property(json!({})), "type", "/properties/p"),
            (property(json!({"if": {}, "type": "string"})), "if", "/properties/p"),
        ];
        for (schema, keyword, pointer) in table {
            let error = compile(&schema).unwrap_err();
            assert_eq!(error, (keyword.to_owned(), pointer.to_owned()), "{schema}");
        }
    }

    #[test]
    fn size_depth_and_number_of_properties_are_bounded() {
        let mut deep = json!({"type": "string"});
        for _ in 0..20 {
            deep = json!({"type": "object", "properties": {"p": deep}});
        }
        assert!(compile(&deep).is_err());
        let wide: serde_json::Map<String, Value> =
            (0..201).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
        assert_eq!(compile(&json!({"type": "object", "properties": wide})).unwrap_err().0, "properties");
        let large = json!({"type": "object", "description": "x".repeat(70_000)});
        assert!(compile(&large).is_err());
    }
}
