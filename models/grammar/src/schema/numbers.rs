//! Numbers: bounds that the engine computes with exactly, and as many digits as make sense.

use serde_json::{Map, Value, json};

use super::keywords::{unsupported, wrong};
use super::walk::Stand;
use crate::{Caps, GrammarError};

/// Beyond this, whole numbers are not exact in the engine's arithmetic.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One side of a range.
#[derive(Clone, Copy, Debug)]
struct Bound {
    value: f64,
    excluded: bool,
}

/// What a schema of numbers is to others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    /// The only numeric type is `integer`.
    pub(super) whole: bool,
    /// How the schema stands to others.
    pub(super) stand: Stand,
}

/// Adds the bounds of `schema`, and `caps` where it has none, to `out`. Without `caps` nothing is added; a step is
/// added only where no other schema can have one.
pub(super) fn normalise(
    schema: &Map<String, Value>,
    at: &str,
    role: Role,
    caps: Option<&Caps>,
    out: &mut Map<String, Value>,
) -> Result<(), GrammarError> {
    let mut low = bound(schema, "minimum", "exclusiveMinimum", at)?;
    let mut high = bound(schema, "maximum", "exclusiveMaximum", at)?;
    if caps.is_some() {
        // A bound that no generated number can reach says no more than the cap.
        low = low.filter(|bound| bound.value > -EXACT);
        high = high.filter(|bound| bound.value < EXACT);
    }
    for (bound, keyword) in [(low, "minimum"), (high, "maximum")] {
        if bound.is_some_and(|bound| bound.value.abs() > EXACT) {
            return Err(unsupported(keyword, at, "bounds beyond 2^53 are not exact"));
        }
    }
    let multiple = match schema.get("multipleOf") {
        None => None,
        Some(value) => Some(check_multiple(value, at)?),
    };
    let mut step = None;
    if let Some(caps) = caps {
        let most = 10f64.powi(caps.integer_digits.clamp(1, 15) as i32) - 1.0;
        let (given_low, given_high) = (low, high);
        let cap = |value: f64| Some(Bound { value, excluded: false });
        low = low.or_else(|| cap(given_high.map_or(-most, |high| (-most).min(2.0 * high.value))));
        high = high.or_else(|| cap(given_low.map_or(most, |low| most.max(2.0 * low.value))));
        let single = matches!((low, high), (Some(low), Some(high)) if low.value >= high.value);
        if !role.whole && role.stand == Stand::Alone && multiple.is_none() && !single {
            step = fraction_step(caps.fraction_digits, low, high);
        }
    }
    if !role.whole {
        exclude(&mut low, &mut high, step, at)?;
    }
    write(out, low, "minimum", "exclusiveMinimum");
    write(out, high, "maximum", "exclusiveMaximum");
    if let Some(value) = multiple.or(step.map(|step| json!(step))) {
        out.insert("multipleOf".to_owned(), value);
    }
    Ok(())
}

/// The tighter of the two ways to give a side; a boolean `exclusiveMinimum` is the form of draft 4.
fn bound(
    schema: &Map<String, Value>,
    inclusive: &str,
    exclusive: &str,
    at: &str,
) -> Result<Option<Bound>, GrammarError> {
    let number = |keyword: &str| -> Result<Option<f64>, GrammarError> {
        match schema.get(keyword) {
            None | Some(Value::Bool(_)) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(keyword, "a number", at)),
        }
    };
    if schema.get(inclusive).is_some_and(Value::is_boolean) {
        return Err(wrong(inclusive, "a number", at));
    }
    let (included, excluded) = (number(inclusive)?, number(exclusive)?);
    let old_form = schema.get(exclusive) == Some(&Value::Bool(true));
    let tighter = |included: f64, excluded: f64| {
        if inclusive == "minimum" { excluded >= included } else { excluded <= included }
    };
    Ok(match (included, excluded) {
        (None, None) => None,
        (Some(value), None) => Some(Bound { value, excluded: old_form }),
        (None, Some(value)) => Some(Bound { value, excluded: true }),
        (Some(included), Some(excluded)) if tighter(included, excluded) => {
            Some(Bound { value: excluded, excluded: true })
        }
        (Some(value), Some(_)) => Some(Bound { value, excluded: false }),
    })
}

fn write(out: &mut Map<String, Value>, bound: Option<Bound>, inclusive: &str, exclusive: &str) {
    if let Some(bound) = bound {
        let keyword = if bound.excluded { exclusive } else { inclusive };
        // Whole numbers stay whole, for the engine's messages.
        let whole = bound.value.fract() == 0.0 && bound.value.abs() <= EXACT;
        let value = if whole { json!(bound.value as i64) } else { json!(bound.value) };
        out.insert(keyword.to_owned(), value);
    }
}

/// The engine lets an excluded whole bound through where the other bound is less than one away from it. The bound is
/// moved by a step where numbers have steps, and refused otherwise.
fn exclude(low: &mut Option<Bound>, high: &mut Option<Bound>, step: Option<f64>, at: &str) -> Result<(), GrammarError> {
    let (Some(lower), Some(upper)) = (low.as_mut(), high.as_mut()) else { return Ok(()) };
    let near = |bound: &Bound, other: f64| {
        let whole = bound.value.fract() == 0.0;
        bound.excluded && whole && (bound.value == 0.0 || (other - bound.value).abs() <= 1.0)
    };
    if near(lower, upper.value) && (upper.value - lower.value) < 1.0 && lower.value >= 0.0 {
        let step = step.ok_or_else(|| unsupported("exclusiveMinimum", at, NEAR))?;
        *lower = Bound { value: lower.value + step, excluded: false };
    }
    if near(upper, lower.value) && (upper.value - lower.value) < 1.0 && upper.value <= 0.0 {
        let step = step.ok_or_else(|| unsupported("exclusiveMaximum", at, NEAR))?;
        *upper = Bound { value: upper.value - step, excluded: false };
    }
    Ok(())
}

const NEAR: &str = "a whole number that is excluded, with the other bound less than one away";

/// The step that leaves at most `digits` digits after the point, or more where the bounds have more.
fn fraction_step(digits: u32, low: Option<Bound>, high: Option<Bound>) -> Option<f64> {
    const MOST: u32 = 8;
    let places = |bound: Option<Bound>| {
        let text = bound.map_or_else(String::new, |bound| format!("{}", bound.value));
        text.split_once('.').map_or(0, |(_, places)| places.len() as u32)
    };
    let needed = places(low).max(places(high));
    if needed > MOST {
        return None;
    }
    let range = match (low, high) {
        (Some(low), Some(high)) => high.value - low.value,
        _ => f64::INFINITY,
    };
    // Two digits more than the range needs, so that a narrow range still has values.
    let fine = (0..MOST).find(|digits| range * 10f64.powi(*digits as i32) >= 100.0).unwrap_or(MOST);
    let digits = digits.max(needed).max(fine).min(MOST);
    (digits..=MOST).chain((1..digits).rev()).map(|digits| 10f64.powi(-(digits as i32))).find(|step| engine_reads(*step))
}

/// Whether the engine's conversion of a step to a decimal is exact: it multiplies by ten until nothing is left behind
/// the point, and rounding may keep it from ever being so.
fn engine_reads(step: f64) -> bool {
    engine_decimal(step)
        .is_some_and(|(digits, scale)| format!("{}", digits as f64 / 10f64.powi(scale as i32)) == format!("{step}"))
}

/// The digits and the number of them behind the point, as the engine computes them, where its arithmetic holds them.
fn engine_decimal(step: f64) -> Option<(u64, u32)> {
    const MOST_DIGITS: f64 = 100_000_000.0;
    const MOST_SCALE: u32 = 8;
    let (mut value, mut scale) = (step, 0);
    while value.fract() != 0.0 {
        value *= 10.0;
        scale += 1;
        if scale > MOST_SCALE {
            return None;
        }
    }
    (value <= MOST_DIGITS).then_some((value as u64, scale))
}

/// The value of `multipleOf`, if the engine computes with it exactly.
fn check_multiple(value: &Value, at: &str) -> Result<Value, GrammarError> {
    let step = value.as_f64().ok_or_else(|| wrong("multipleOf", "a number", at))?;
    if step <= 0.0 {
        return Err(wrong("multipleOf", "greater than zero", at));
    }
    if !engine_reads(step) {
        return Err(unsupported("multipleOf", at, "at most eight digits, before or behind the point, are exact"));
    }
    Ok(json!(step))
}

/// Whether every number in a constant is exact in the engine's arithmetic.
pub(super) fn check_constant(value: &Value, keyword: &str, at: &str) -> Result<(), GrammarError> {
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            let exact =
                |whole: i128| number.as_f64().is_some_and(|float| float.abs() <= EXACT && float as i128 == whole);
            if whole.is_some_and(|whole| !exact(whole)) {
                return Err(unsupported(keyword, at, "whole numbers beyond 2^53 are not exact"));
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_constant(item, keyword, at)),
        Value::Object(members) => members.values().try_for_each(|member| check_constant(member, keyword, at)),
        _ => Ok(()),
    }
}
