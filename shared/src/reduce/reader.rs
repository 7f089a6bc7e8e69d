//! What a reducer reads of a result, straight from its text.
//!
//! No tree is built, and nothing recurses: the depth of a text that a stranger sent must not become
//! the depth of our stack.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number::Number;
use crate::limits::MAX_RESULT_DEPTH;
use crate::wire::ShardResult;

/// Why a return value is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Arrays and objects inside each other, more than [`MAX_RESULT_DEPTH`].
    #[error("the return value is nested deeper than {MAX_RESULT_DEPTH} levels")]
    TooDeep,
    /// Not one JSON value.
    #[error("the return value is not a JSON text")]
    NotJson,
}

/// Checks that `text` is one JSON value, nested at most [`MAX_RESULT_DEPTH`] deep, so that it can
/// be passed on verbatim. O(n), without recursion.
///
/// # Errors
/// [`ValueError`] says which of the two it is not.
pub fn check_value(text: &str) -> Result<(), ValueError> {
    check_depth(text)?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(()),
        Err(_) => Err(ValueError::NotJson),
    }
}

/// A property's name and number.
pub(super) type Found<'a> = (Cow<'a, str>, Number);

/// The properties of a run envelope and of its return value.
pub(super) struct Properties<'a> {
    result: &'a ShardResult,
    value: Value<'a>,
}

impl<'a> Properties<'a> {
    pub(super) fn of(result: &'a ShardResult) -> Result<Self, ValueError> {
        let value = result.value.as_deref().map_or(Ok(Value::Other), read)?;
        Ok(Self { result, value })
    }

    /// The envelope's own field if that is numeric, else the return value's.
    pub(super) fn number(&self, field: &str) -> Option<Number> {
        self.of_envelope(field).or_else(|| self.of_value(field))
    }

    fn of_envelope(&self, field: &str) -> Option<Number> {
        let own = own_number(self.result, field);
        match (&self.value, field) {
            (Value::Numeric(number), RETURN_VALUE) => Some(*number),
            (Value::Numeric(_) | Value::Object(_) | Value::Other, _) => own,
        }
    }

    fn of_value(&self, field: &str) -> Option<Number> {
        let Value::Object(entries) = &self.value else {
            return None;
        };
        let position = entries
            .binary_search_by(|entry| (*entry.name).cmp(field.as_bytes()))
            .ok()?;
        entries[position].number
    }
}

/// Every number of the return value if that is an object, else of the envelope; each name once.
pub(super) fn all_numbers(result: &ShardResult) -> Result<Vec<Found<'_>>, ValueError> {
    let value = match Properties::of(result)?.value {
        Value::Object(entries) => {
            return Ok(entries.into_iter().filter_map(Entry::into_found).collect());
        }
        Value::Numeric(number) => Some((RETURN_VALUE, number)),
        Value::Other => None,
    };
    let own = OWN_NUMBERS.map(|(name, number)| (name, number(result)));
    Ok(own
        .into_iter()
        .chain(value)
        .map(|(name, number)| (Cow::Borrowed(name), number))
        .collect())
}

type ReadOwn = fn(&ShardResult) -> Number;

const RETURN_VALUE: &str = "returnValue";

/// The numeric fields of every run envelope; `returnValue` may be one more.
const OWN_NUMBERS: [(&str, ReadOwn); 3] = [
    ("ok", |result| Number::from(result.has_returned())),
    ("exitCode", |result| Number::from(result.status.exit_code())),
    ("durationMs", |result| {
        Number::nearest_to(result.duration_ms())
    }),
];

fn own_number(result: &ShardResult, field: &str) -> Option<Number> {
    let (_, number) = OWN_NUMBERS.iter().find(|(name, _)| *name == field)?;
    Some(number(result))
}

/// A return value, as far as reducers care.
enum Value<'a> {
    /// Its properties by name, each once.
    Object(Vec<Entry<'a>>),
    Numeric(Number),
    Other,
}

struct Entry<'a> {
    /// WTF-8: JSON can name half of a surrogate pair.
    name: Cow<'a, [u8]>,
    number: Option<Number>,
}

impl<'a> Entry<'a> {
    fn into_found(self) -> Option<Found<'a>> {
        let number = self.number?;
        let name = match self.name {
            Cow::Borrowed(name) => String::from_utf8_lossy(name),
            Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
        };
        Some((name, number))
    }
}

fn read(text: &str) -> Result<Value<'_>, ValueError> {
    check_depth(text)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let is_object = text.trim_ascii_start().starts_with('{');
    let value = if is_object {
        json.deserialize_map(Entries).map(Value::Object)
    } else {
        <&RawValue as serde::Deserialize>::deserialize(&mut json)
            .map(|raw| Number::from_json(raw.get()).map_or(Value::Other, Value::Numeric))
    };
    value
        .and_then(|value| json.end().map(|()| value))
        .map_err(|_| ValueError::NotJson)
}

/// Reads an object into its properties, sorted; of equal names the last one counts, as in
/// `JSON.parse`.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<Entry<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let number = Number::from_json(map.next_value::<&RawValue>()?.get());
            entries.push(Entry { name, number });
        }
        entries.reverse();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|later, earlier| later.name == earlier.name);
        Ok(entries)
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, [u8]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_vec()))
    }
}

fn check_depth(text: &str) -> Result<(), ValueError> {
    // Each level takes a bracket on both sides.
    if text.len() <= 2 * MAX_RESULT_DEPTH {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_RESULT_DEPTH {
            return Err(ValueError::TooDeep);
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}
