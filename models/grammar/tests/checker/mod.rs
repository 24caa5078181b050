//! A validator of its own, for judging what the masks allow: a plain reading of JSON Schema, value by value, that
//! shares no code with the crate.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::Regex;
use serde_json::{Map, Value};

/// Whether `value` is valid against `schema`; `None` where a keyword is not known here.
pub(crate) fn is_valid(schema: &Value, value: &Value) -> Option<bool> {
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let old = ["draft-04", "draft-06", "draft-07"].iter().any(|name| draft.contains(name));
    let checker = Checker { root: schema, old, depth: 0.into() };
    checker.check(schema, value)
}

struct Checker<'a> {
    root: &'a Value,
    old: bool,
    depth: std::cell::Cell<usize>,
}

/// `false` beats what is not known, and that beats `true`.
fn all(results: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for result in results {
        match result {
            Some(false) => return Some(false),
            None => known = None,
            Some(true) => {}
        }
    }
    known
}

fn count_valid(results: impl IntoIterator<Item = Option<bool>>) -> Option<usize> {
    results.into_iter().try_fold(0, |count, result| Some(count + usize::from(result?)))
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value) -> Option<bool> {
        let map = match schema {
            Value::Bool(verdict) => return Some(*verdict),
            Value::Object(map) => map,
            _ => return None,
        };
        self.depth.set(self.depth.get() + 1);
        let verdict = if self.depth.get() > 200 { None } else { self.object(map, value) };
        self.depth.set(self.depth.get() - 1);
        verdict
    }

    fn object(&self, map: &Map<String, Value>, value: &Value) -> Option<bool> {
        if self.old && map.contains_key("$ref") {
            return self.keyword(map, "$ref", &map["$ref"], value);
        }
        all(map.iter().map(|(keyword, argument)| self.keyword(map, keyword, argument, value)))
    }

    fn keyword(&self, map: &Map<String, Value>, keyword: &str, argument: &Value, value: &Value) -> Option<bool> {
        let branches = || argument.as_array().map(|list| list.iter().map(|branch| self.check(branch, value)));
        Some(match keyword {
            "type" => match argument {
                Value::String(name) => is_type(name, value),
                Value::Array(names) => names.iter().filter_map(Value::as_str).any(|name| is_type(name, value)),
                _ => return None,
            },
            "enum" => argument.as_array()?.iter().any(|constant| equal(constant, value)),
            "const" => equal(argument, value),
            "allOf" => return all(branches()?),
            "anyOf" => {
                let verdicts: Vec<_> = branches()?.collect();
                if verdicts.contains(&Some(true)) { true } else { count_valid(verdicts)? > 0 }
            }
            "oneOf" => count_valid(branches()?)? == 1,
            "not" => !self.check(argument, value)?,
            "if" => {
                let branch = if self.check(argument, value)? { "then" } else { "else" };
                return map.get(branch).map_or(Some(true), |branch| self.check(branch, value));
            }
            "$ref" => {
                let fragment = argument.as_str()?.strip_prefix('#')?;
                if !fragment.is_empty() && !fragment.starts_with('/') {
                    return None;
                }
                let fragment = fragment.replace("%25", "%").replace("%22", "\"");
                return self.check(self.root.pointer(&fragment)?, value);
            }
            "$dynamicRef" | "$recursiveRef" | "unevaluatedItems" | "unevaluatedProperties" => return None,
            "$id" if map.len() < self.root.as_object().map_or(0, Map::len) && argument.is_string() => return None,
            _ => match value {
                Value::Number(number) => of_number(map, keyword, argument, number.as_f64()?),
                Value::String(text) => return of_string(keyword, argument, text),
                Value::Array(items) => return self.of_array(map, keyword, argument, items),
                Value::Object(members) => return self.of_object(map, keyword, argument, members),
                _ => true,
            },
        })
    }

    fn of_array(&self, map: &Map<String, Value>, keyword: &str, argument: &Value, items: &[Value]) -> Option<bool> {
        let len = items.len();
        let list = map.get("prefixItems").or_else(|| map.get("items")).and_then(Value::as_array);
        let first = list.map_or(0, Vec::len);
        Some(match keyword {
            "minItems" => len as f64 >= argument.as_f64()?,
            "maxItems" => len as f64 <= argument.as_f64()?,
            "uniqueItems" => {
                argument != &Value::Bool(true) || (0..len).all(|i| (i + 1..len).all(|j| !equal(&items[i], &items[j])))
            }
            "items" | "prefixItems" if argument.is_array() => {
                let pairs = argument.as_array()?.iter().zip(items);
                return all(pairs.map(|(schema, item)| self.check(schema, item)));
            }
            "items" => return all(items.iter().skip(first).map(|item| self.check(argument, item))),
            "additionalItems" if map.get("items").is_some_and(Value::is_array) => {
                return all(items.iter().skip(first).map(|item| self.check(argument, item)));
            }
            "contains" => {
                let found = count_valid(items.iter().map(|item| self.check(argument, item)))? as f64;
                let least = map.get("minContains").and_then(Value::as_f64).unwrap_or(1.0);
                found >= least && map.get("maxContains").and_then(Value::as_f64).is_none_or(|most| found <= most)
            }
            _ => true,
        })
    }

    fn of_object(
        &self,
        map: &Map<String, Value>,
        keyword: &str,
        argument: &Value,
        members: &Map<String, Value>,
    ) -> Option<bool> {
        let has = |name: &Value| name.as_str().is_some_and(|name| members.contains_key(name));
        let described = |keyword: &str| map.get(keyword).and_then(Value::as_object).into_iter().flatten();
        Some(match keyword {
            "required" => argument.as_array()?.iter().all(has),
            "minProperties" => members.len() as f64 >= argument.as_f64()?,
            "maxProperties" => members.len() as f64 <= argument.as_f64()?,
            "properties" => {
                let pairs =
                    argument.as_object()?.iter().filter_map(|(name, schema)| Some((members.get(name)?, schema)));
                return all(pairs.map(|(member, schema)| self.check(schema, member)));
            }
            "patternProperties" => {
                return all(argument.as_object()?.iter().map(|(pattern, schema)| {
                    let regex = regex(pattern)?;
                    all(members.iter().filter(|(name, _)| regex.is_match(name)).map(|(_, v)| self.check(schema, v)))
                }));
            }
            "additionalProperties" => {
                let patterns: Option<Vec<Regex>> = described("patternProperties").map(|(p, _)| regex(p)).collect();
                let patterns = patterns?;
                let rest = members.iter().filter(|(name, _)| {
                    !described("properties").any(|(known, _)| known == *name)
                        && !patterns.iter().any(|pattern| pattern.is_match(name))
                });
                return all(rest.map(|(_, member)| self.check(argument, member)));
            }
            "propertyNames" => {
                return all(members.keys().map(|name| self.check(argument, &Value::String(name.clone()))));
            }
            "dependentRequired" | "dependentSchemas" | "dependencies" => {
                let triggered = argument.as_object()?.iter().filter(|(name, _)| members.contains_key(*name));
                let value = Value::Object(members.clone());
                return all(triggered.map(|(_, then)| match then {
                    Value::Array(names) => Some(names.iter().all(has)),
                    schema => self.check(schema, &value),
                }));
            }
            _ => true,
        })
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| equal(x, y)))
        }
        _ => a == b,
    }
}

fn of_number(map: &Map<String, Value>, keyword: &str, argument: &Value, number: f64) -> bool {
    let flag = |keyword: &str| map.get(keyword) == Some(&Value::Bool(true));
    match (keyword, argument.as_f64()) {
        ("minimum", Some(bound)) if flag("exclusiveMinimum") => number > bound,
        ("maximum", Some(bound)) if flag("exclusiveMaximum") => number < bound,
        ("minimum", Some(bound)) => number >= bound,
        ("maximum", Some(bound)) => number <= bound,
        ("exclusiveMinimum", Some(bound)) => number > bound,
        ("exclusiveMaximum", Some(bound)) => number < bound,
        ("multipleOf", Some(step)) => {
            let times = number / step;
            (times - times.round()).abs() <= 1e-9 * times.abs().max(1.0)
        }
        _ => true,
    }
}

fn of_string(keyword: &str, argument: &Value, text: &str) -> Option<bool> {
    let chars = || text.chars().count() as f64;
    Some(match keyword {
        "minLength" => chars() >= argument.as_f64()?,
        "maxLength" => chars() <= argument.as_f64()?,
        "pattern" => regex(argument.as_str()?)?.is_match(text),
        "format" => return of_format(argument.as_str()?, text),
        _ => true,
    })
}

fn of_format(format: &str, text: &str) -> Option<bool> {
    Some(match format {
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "uuid" => regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")?.is_match(text),
        "date" => is_date(text),
        "time" => is_time(text),
        "date-time" => match text.split_once(['T', 't']) {
            Some((date, time)) => is_date(date) && is_time(time),
            None => false,
        },
        "email" => match text.rsplit_once('@') {
            Some((local, domain)) => {
                let local = regex("^[^.@ \"(),:;<>\\[\\]\\\\]+(\\.[^.@ \"(),:;<>\\[\\]\\\\]+)*$")?.is_match(local);
                local && of_format("hostname", domain)?
            }
            None => false,
        },
        "hostname" => {
            regex("^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$")?
                .is_match(text)
        }
        "uri" => regex("^[A-Za-z][A-Za-z0-9+.-]*:[^ \"<>\\\\^`{|}]*$")?.is_match(text),
        "duration" => {
            regex("^P([0-9]+W|(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?(T(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?)$")?
                .is_match(text)
                && !text.ends_with(['P', 'T'])
        }
        "uri-reference"
        | "uri-template"
        | "iri"
        | "iri-reference"
        | "idn-email"
        | "idn-hostname"
        | "json-pointer"
        | "relative-json-pointer"
        | "regex" => return None,
        _ => true,
    })
}

fn is_date(text: &str) -> bool {
    let Some(parts) = regex("^([0-9]{4})-([0-9]{2})-([0-9]{2})$").and_then(|regex| {
        let parts = regex.captures(text)?;
        Some([1, 2, 3].map(|index| parts[index].parse::<u32>().unwrap_or_default()))
    }) else {
        return false;
    };
    let [year, month, day] = parts;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let pattern = "^([0-9]{2}):([0-9]{2}):([0-9]{2})(\\.[0-9]+)?([Zz]|([+-])([0-9]{2}):([0-9]{2}))$";
    let Some(parts) = regex(pattern).and_then(|regex| {
        regex.captures(text).map(|parts| {
            let number = |index: usize| parts.get(index).map_or(0, |part| part.as_str().parse::<i32>().unwrap_or(99));
            let sign = if parts.get(6).is_some_and(|sign| sign.as_str() == "-") { -1 } else { 1 };
            (number(1), number(2), number(3), sign * (number(7) * 60 + number(8)), number(7) < 24 && number(8) < 60)
        })
    }) else {
        return false;
    };
    let (hour, minute, second, offset, zone) = parts;
    let leap = (hour * 60 + minute - offset).rem_euclid(24 * 60) == 23 * 60 + 59;
    hour < 24 && minute < 60 && zone && (second < 60 || second == 60 && leap)
}

/// An expression of ECMA-262 as far as the `regex` crate reads it the same way.
fn regex(pattern: &str) -> Option<Regex> {
    if pattern.contains("[[") {
        // A class in a class to the `regex` crate, a bracket to ECMA-262.
        return None;
    }
    let (mut ascii, mut rest) = (String::new(), pattern.chars());
    while let Some(character) = rest.next() {
        let escaped = if character == '\\' { rest.next() } else { None };
        match escaped {
            Some('d') => ascii.push_str("[0-9]"),
            Some('w') => ascii.push_str("[A-Za-z0-9_]"),
            Some(escaped) => ascii.extend(['\\', escaped]),
            None => ascii.push(character),
        }
    }
    Regex::new(&ascii).ok()
}
