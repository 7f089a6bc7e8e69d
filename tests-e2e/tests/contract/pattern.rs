//! What an answer must be, written as JSON that looks like the answer.
//!
//! A text in angle brackets stands for a kind of value, with braces for a value seen before; every
//! other value stands for itself. Objects have exactly the members named. Lives here: reading such a
//! pattern and comparing. Not here: HTTP (`answer`), and what the contract says (`table`).
//!
//! | Text | Stands for |
//! |---|---|
//! | `<time>` | ISO 8601, UTC, milliseconds |
//! | `<uuid>` | a UUID of version 4 |
//! | `<int>`, `<int 1..9>` | an integer in the range, from 0 where none is named |
//! | `<number>` | a number that is not negative |
//! | `<text>` | a text that is not empty |
//! | `<like REGEX>` | a text that the whole expression matches |
//! | `<one of a b>` | one of these texts |
//! | `<maybe KIND>` | null or that kind |
//! | `<NAME := KIND>` | that kind, and remembered |
//! | `{NAME}` in a text or a name | what is remembered |
//!
//! A member `+name` is one that our server has beyond the contract.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

/// Values that were seen in earlier answers, by name.
pub(crate) type Known = BTreeMap<String, Value>;

thread_local! {
    /// Compiled once: mutation asks for each of them a thousand times.
    static EXPRESSIONS: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

/// Where a value differs from its pattern, and how.
pub(crate) type Faults = Vec<String>;

/// Adds to `known` what the pattern wants remembered of `value`, as far as it is there.
pub(crate) fn remember(pattern: &Value, value: &Value, known: &mut Known) {
    match (pattern, value) {
        (Value::String(text), _) => {
            if let Some((name, _)) = kind_of(text).and_then(|kind| kind.split_once(" := ")) {
                known.insert(name.to_owned(), value.clone());
            }
        }
        (Value::Object(patterns), Value::Object(values)) => {
            for (name, pattern) in patterns {
                if let Some(value) = values.get(name.trim_start_matches('+')) {
                    remember(pattern, value, known);
                }
            }
        }
        (Value::Array(patterns), Value::Array(values)) => {
            for (pattern, value) in patterns.iter().zip(values) {
                remember(pattern, value, known);
            }
        }
        _ => {}
    }
}

/// Compares; every difference is a fault at `path`.
pub(crate) fn compare(
    path: &str,
    pattern: &Value,
    value: &Value,
    known: &Known,
    faults: &mut Faults,
) {
    match pattern {
        Value::Object(patterns) => compare_object(path, patterns, value, known, faults),
        Value::Array(patterns) => compare_array(path, patterns, value, known, faults),
        Value::String(text) => {
            if let Some(kind) = kind_of(text) {
                if !is_kind(kind, value) {
                    faults.push(format!("{path} is {value}, not {text}"));
                }
            } else {
                let expected = filled_in(text, known);
                if expected != *value {
                    faults.push(format!("{path} is {value}, not {expected}"));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            if pattern != value {
                faults.push(format!("{path} is {value}, not {pattern}"));
            }
        }
    }
}

fn compare_object(
    path: &str,
    patterns: &Map<String, Value>,
    value: &Value,
    known: &Known,
    faults: &mut Faults,
) {
    let Some(members) = value.as_object() else {
        faults.push(format!("{path} is {value}, not an object"));
        return;
    };
    let patterns: BTreeMap<String, &Value> = patterns
        .iter()
        .map(|(name, pattern)| (text_filled_in(name.trim_start_matches('+'), known), pattern))
        .collect();
    for (name, pattern) in &patterns {
        match members.get(name) {
            Some(member) => compare(&format!("{path}/{name}"), pattern, member, known, faults),
            None => faults.push(format!("{path}/{name} is missing")),
        }
    }
    for (name, member) in members {
        if !patterns.contains_key(name) {
            faults.push(format!("{path}/{name} is {member}, and not in the table"));
        }
    }
}

fn compare_array(
    path: &str,
    patterns: &[Value],
    value: &Value,
    known: &Known,
    faults: &mut Faults,
) {
    let elements = value.as_array().map(Vec::as_slice);
    if elements.is_none_or(|elements| elements.len() != patterns.len()) {
        let length = patterns.len();
        faults.push(format!("{path} is {value}, not a list of {length}"));
        return;
    }
    for (at, (pattern, element)) in patterns
        .iter()
        .zip(elements.unwrap_or_default())
        .enumerate()
    {
        compare(&format!("{path}/{at}"), pattern, element, known, faults);
    }
}

/// What stands between the brackets.
fn kind_of(text: &str) -> Option<&str> {
    text.strip_prefix('<')?.strip_suffix('>')
}

fn is_kind(kind: &str, value: &Value) -> bool {
    if let Some((_, kind)) = kind.split_once(" := ") {
        return is_kind(kind, value);
    }
    let (word, rest) = kind.split_once(' ').unwrap_or((kind, ""));
    match word {
        "time" => matches(
            r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d\.\d{3}Z",
            value,
        ),
        "uuid" => matches(
            "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
            value,
        ),
        "int" => is_int(rest, value),
        "number" => value.as_f64().is_some_and(|number| number >= 0.0),
        "text" => matches("(?s).+", value),
        "like" => matches(rest, value),
        "one" => {
            let texts = rest.strip_prefix("of ").expect("`one of`");
            let text = value.as_str();
            text.is_some_and(|text| texts.split(' ').any(|one| one == text))
        }
        "maybe" => value.is_null() || is_kind(rest, value),
        _ => panic!("no kind: {kind}"),
    }
}

fn is_int(range: &str, value: &Value) -> bool {
    let (least, most) = range.split_once("..").unwrap_or(("0", ""));
    let bound = |text: &str, otherwise: u64| text.parse().unwrap_or(otherwise);
    let range = bound(least, 0)..=bound(most, u64::MAX);
    value.as_u64().is_some_and(|number| range.contains(&number))
}

fn matches(expression: &str, value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    EXPRESSIONS.with_borrow_mut(|expressions| {
        let whole = expressions.entry(expression.to_owned()).or_insert_with(|| {
            let whole = Regex::new(&format!("^(?:{expression})$"));
            whole.expect("an expression of the table")
        });
        whole.is_match(text)
    })
}

/// The value that a text with names stands for: the value itself where the text is a name alone.
fn filled_in(text: &str, known: &Known) -> Value {
    let alone = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match alone.and_then(|name| known.get(name)) {
        Some(value) => value.clone(),
        None => Value::String(text_filled_in(text, known)),
    }
}

/// The text with every `{name}` that is known replaced.
pub(crate) fn text_filled_in(text: &str, known: &Known) -> String {
    let mut text = text.to_owned();
    for (name, value) in known {
        let place = format!("{{{name}}}");
        if text.contains(&place) {
            let shown = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            text = text.replace(&place, &shown);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(pattern: &Value, value: &Value) -> Faults {
        let mut known = Known::from([("job".into(), json!("j1")), ("n".into(), json!(7))]);
        remember(pattern, value, &mut known);
        let mut faults = Faults::new();
        compare("", pattern, value, &known, &mut faults);
        faults
    }

    #[test]
    fn patterns_take_what_they_stand_for_and_nothing_else() {
        for (pattern, good, bad) in [
            (json!(1), json!(1), json!(2)),
            (json!(null), json!(null), json!("")),
            (json!("<int>"), json!(0), json!(-1)),
            (json!("<int 1..3>"), json!(3), json!(4)),
            (json!("<int>"), json!(5), json!(5.5)),
            (json!("<number>"), json!(0.5), json!("0.5")),
            (json!("<text>"), json!("a\nb"), json!("")),
            (
                json!("<time>"),
                json!("2026-01-01T00:00:00.000Z"),
                json!("2026-01-01T00:00:00Z"),
            ),
            (json!("<one of a b>"), json!("b"), json!("a b")),
            (json!("<like [a-c]{2}>"), json!("ab"), json!("abc")),
            (json!("<maybe int>"), json!(null), json!("x")),
            (json!("/{job}/x"), json!("/j1/x"), json!("/{job}/x")),
            (json!("{n}"), json!(7), json!("7")),
            (json!({"+a": 1}), json!({"a": 1}), json!({})),
            (json!({"{job}": 1}), json!({"j1": 1}), json!({"j2": 1})),
            (json!({"a": 1}), json!({"a": 1}), json!({"a": 1, "b": 2})),
            (json!(["<int>"]), json!([1]), json!([1, 1])),
            (
                json!({"a": "<seen := text>", "b": "x{seen}"}),
                json!({"a": "y", "b": "xy"}),
                json!({"a": "y", "b": "xz"}),
            ),
        ] {
            assert_eq!(faults(&pattern, &good), Faults::new(), "{pattern}");
            assert_ne!(faults(&pattern, &bad), Faults::new(), "{pattern}");
        }
    }
}
