//! A state as it changes: a snapshot, and then the members that are new.
//!
//! Lives here: what the events of `GET /api/jobs/:id/stream` carry. Not here: how they are framed
//! (Server-Sent Events), and how often they come.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// Name of the event that carries every member.
pub const SNAPSHOT_EVENT: &str = "snapshot";
/// Name of the events that carry the members that changed since the event before.
pub const CHANGE_EVENT: &str = "change";

/// Members of a JSON object, each with its whole value as the text it came as.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Members(BTreeMap<String, Box<RawValue>>);

impl Members {
    /// The members of `value`, which must be an object in JSON.
    ///
    /// # Panics
    /// `value` is not an object.
    pub fn of(value: &impl Serialize) -> Self {
        let text = to_raw_value(value).expect("a body of the API has no unserialisable part");
        serde_json::from_str(text.get()).expect("a body of the API is an object")
    }

    /// What has changed since `before`: new values whole, `null` for members that are gone. `None`
    /// where nothing has.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let gone = before.0.keys().filter(|name| !self.0.contains_key(*name));
        let changes: BTreeMap<_, _> = self
            .0
            .iter()
            .filter(|(name, value)| {
                let old = before.0.get(*name);
                old.map(|old| old.get()) != Some(value.get())
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .chain(gone.map(|name| (name.clone(), RawValue::NULL.to_owned())))
            .collect();
        (!changes.is_empty()).then_some(Self(changes))
    }

    /// Puts changed members in place of the old ones.
    pub fn apply(&mut self, changes: Self) {
        self.0.extend(changes.0);
    }

    /// The object that the members make.
    ///
    /// # Errors
    /// They are not those of a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(to_raw_value(self)?.get())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn text(members: &Members) -> String {
        serde_json::to_string(members).unwrap()
    }

    #[test]
    fn only_what_differs_is_told_and_whole() {
        let before = Members::of(&json!({"a": 1, "task": {"shards": 1, "op": "x"}, "partial": {}}));
        let after = Members::of(&json!({"a": 1, "task": {"shards": 2, "op": "x"}, "new": [null]}));
        let changes = after.since(&before).unwrap();
        assert_eq!(
            text(&changes),
            r#"{"new":[null],"partial":null,"task":{"shards":2,"op":"x"}}"#
        );
        assert!(after.since(&after).is_none());
    }

    #[test]
    fn numbers_stay_as_they_were_printed() {
        let number: Box<RawValue> = RawValue::from_string("1e+21".into()).unwrap();
        let members = Members::of(&BTreeMap::from([("n", number)]));
        assert_eq!(text(&members), r#"{"n":1e+21}"#);
    }

    fn object() -> impl Strategy<Value = BTreeMap<String, Option<u8>>> {
        prop::collection::btree_map("[a-d]", prop::option::of(0u8..3), 0..4)
    }

    proptest! {
        #[test]
        fn who_applies_every_change_sees_what_a_new_reader_sees(
            states in prop::collection::vec(object(), 1..6)
        ) {
            let mut seen = Members::of(&states[0]);
            for pair in states.windows(2) {
                let (before, after) = (Members::of(&pair[0]), Members::of(&pair[1]));
                if let Some(changes) = after.since(&before) {
                    seen.apply(changes);
                }
            }
            let without_nulls = |value: Value| {
                let members = value.as_object().unwrap().clone();
                members.into_iter().filter(|(_, v)| !v.is_null()).collect::<Vec<_>>()
            };
            let last = Members::of(states.last().unwrap());
            prop_assert_eq!(
                without_nulls(seen.read().unwrap()),
                without_nulls(last.read().unwrap())
            );
        }
    }
}
