//! Integers as requests may write them.

use serde_json::{Number, Value};

use crate::limits::MAX_SAFE_INTEGER;

/// A safe integer, given as a number or as text that reads as one (`"12"`, `" 1e3 "`).
pub(super) fn from_number_or_text(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => from_number(number),
        Value::String(text) => from_text(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A safe integer; `2.0` is one.
pub(super) fn from_number(number: &Number) -> Option<i64> {
    // Whatever is rounded here is beyond the safe integers before and after.
    number.as_f64().and_then(to_safe_integer)
}

fn from_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !is_decimal {
        return None;
    }
    text.parse().ok().and_then(to_safe_integer)
}

fn to_safe_integer(value: f64) -> Option<i64> {
    let is_safe = value.trunc() == value && value.abs() <= MAX_SAFE_INTEGER as f64;
    is_safe.then_some(value as i64)
}
