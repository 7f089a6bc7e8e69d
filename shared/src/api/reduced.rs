//! The result of a sharded job.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::JsNumber;
use crate::reduce::{Aggregate, Derived, Reducer, ReducerState};

/// The reducer of a job, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ReducerView {
    /// Adds fields.
    Sum {
        /// Which; `"*"`, if asked for, comes last.
        fields: Vec<String>,
    },
    /// Keeps every result.
    Collect,
    /// Keeps the smallest value.
    Min {
        /// Of which field.
        field: String,
    },
    /// Keeps the largest value.
    Max {
        /// Of which field.
        field: String,
    },
}

/// Only for JSON; by hand as that of a task.
impl<'de> Deserialize<'de> for ReducerView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Sum,
            Collect,
            Min,
            Max,
        }
        #[derive(Deserialize)]
        struct Tag {
            #[serde(rename = "type")]
            kind: Kind,
        }
        #[derive(Deserialize)]
        struct Sum {
            fields: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Extreme {
            field: String,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Tag { kind } = super::text::read(&text)?;
        let field = || super::text::read(&text).map(|Extreme { field }| field);
        Ok(match kind {
            Kind::Sum => {
                let Sum { fields } = super::text::read(&text)?;
                Self::Sum { fields }
            }
            Kind::Collect => Self::Collect,
            Kind::Min => Self::Min { field: field()? },
            Kind::Max => Self::Max { field: field()? },
        })
    }
}

impl From<&Reducer> for ReducerView {
    fn from(reducer: &Reducer) -> Self {
        match reducer {
            Reducer::Sum { fields, all } => Self::Sum {
                fields: fields
                    .iter()
                    .cloned()
                    .chain(all.then(|| "*".to_owned()))
                    .collect(),
            },
            Reducer::Min { field } => Self::Min {
                field: field.clone(),
            },
            Reducer::Max { field } => Self::Max {
                field: field.clone(),
            },
            Reducer::Collect { .. } => Self::Collect,
        }
    }
}

/// What the shards of a job amount to (`HTTP_API` 7).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReducedResult {
    /// The reducer.
    pub reducer: ReducerView,
    /// Numbers, or what the shards returned.
    pub aggregate: AggregateView,
    /// Decimal texts of the numbers that an f64 does not hold exactly.
    #[serde(default, skip_serializing_if = "AggregateObject::is_empty")]
    pub aggregate_exact: AggregateObject<String>,
    /// Shards that were folded.
    pub completed_shards: u64,
    /// Shards of the job.
    pub total_shards: u64,
    /// Only for a sum of `hits` and `samples`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<DerivedRatios>,
    /// Shards that were left out because they failed, the first 1,000 of them (addition).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped_shards: Vec<u64>,
    /// How many they are (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_count: Option<u64>,
}

/// Shards that were left out are listed up to this number.
const MAX_LISTED_SHARDS: usize = 1_000;

/// Ratios of a sum of `hits` and `samples`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DerivedRatios {
    /// `4 * hits / samples`.
    pub pi_estimate: JsNumber,
    /// `hits / samples`.
    pub hit_ratio: JsNumber,
}

impl ReducedResult {
    /// What `state`, which `reducer` made, amounts to. The rows of `collect` are not in a state: they
    /// are left out.
    pub fn new(
        reducer: &Reducer,
        state: &ReducerState,
        completed_shards: u64,
        total_shards: u64,
    ) -> Self {
        let Aggregate { fields, derived } = reducer.aggregate(state);
        let mut aggregate = AggregateObject::default();
        let mut aggregate_exact = AggregateObject::default();
        for field in fields {
            if let Some(exact) = field.exact {
                aggregate_exact.0.push((field.name.clone(), exact));
            }
            aggregate.0.push((field.name, or_null(field.nearest)));
        }
        let aggregate = if reducer.keeps_rows() {
            AggregateView::Rows(Vec::new())
        } else {
            AggregateView::Numbers(aggregate)
        };
        Self {
            reducer: reducer.into(),
            aggregate,
            aggregate_exact,
            completed_shards,
            total_shards,
            derived: derived.map(DerivedRatios::from),
            skipped_shards: Vec::new(),
            skipped_count: None,
        }
    }

    /// The same of a job that left `count` of its completed shards out.
    pub fn leaving_out(self, shards: impl IntoIterator<Item = u64>, count: u64) -> Self {
        Self {
            completed_shards: self.completed_shards - count,
            skipped_shards: shards.into_iter().take(MAX_LISTED_SHARDS).collect(),
            skipped_count: (count > 0).then_some(count),
            ..self
        }
    }
}

impl From<Derived> for DerivedRatios {
    fn from(derived: Derived) -> Self {
        Self {
            pi_estimate: or_null(derived.pi_estimate),
            hit_ratio: or_null(derived.hit_ratio),
        }
    }
}

/// A missing number, as JSON knows it.
fn or_null(number: Option<f64>) -> JsNumber {
    JsNumber(number.unwrap_or(f64::NAN))
}

/// What the shards of a job amount to.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum AggregateView {
    /// A number for each name: `sum`, `min`, `max`.
    Numbers(AggregateObject<JsNumber>),
    /// The run envelope of each shard, in order of the shards, as the text it came as: `collect`.
    Rows(Vec<Box<RawValue>>),
}

impl AggregateView {
    /// The number with this name.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self {
            Self::Numbers(numbers) => numbers.get(name).map(|number| number.0),
            Self::Rows(_) => None,
        }
    }
}

/// Derived code would read it into memory as another form first, which raw texts do not survive.
impl<'de> Deserialize<'de> for AggregateView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if text.get().starts_with('[') {
            super::text::read(&text).map(Self::Rows)
        } else {
            super::text::read(&text).map(Self::Numbers)
        }
    }
}

/// An object whose members keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateObject<T>(pub Vec<(String, T)>);

impl<T> AggregateObject<T> {
    /// The member with this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value)
    }

    /// Whether there are no members.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for AggregateObject<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for AggregateObject<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AggregateObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

struct Members<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = AggregateObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(AggregateObject(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ResultStatus, ShardResult};

    fn text_of(reducer: &Reducer, values: &[&str]) -> String {
        let mut state = reducer.initial();
        for value in values {
            let result = ShardResult {
                status: ResultStatus::Returned,
                duration_us: 1,
                value: Some((*value).to_owned()),
                details: None,
            };
            reducer.fold(&mut state, &result).unwrap();
        }
        let folded = values.len() as u64;
        serde_json::to_string(&ReducedResult::new(reducer, &state, folded, 2)).unwrap()
    }

    fn sum(fields: &[&str], all: bool) -> Reducer {
        Reducer::Sum {
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
            all,
        }
    }

    #[test]
    fn a_sum_is_shown_as_documented() {
        assert_eq!(
            text_of(
                &sum(&["hits", "samples"], false),
                &[r#"{"hits":3,"samples":4}"#, r#"{"hits":3,"samples":4}"#]
            ),
            concat!(
                r#"{"reducer":{"type":"sum","fields":["hits","samples"]},"#,
                r#""aggregate":{"hits":6,"samples":8},"completedShards":2,"totalShards":2,"#,
                r#""derived":{"piEstimate":3,"hitRatio":0.75}}"#
            )
        );
    }

    #[test]
    fn exact_texts_come_only_where_they_are_needed() {
        assert_eq!(
            text_of(
                &sum(&["b"], true),
                &[r#"{"b":0.5,"a":9007199254740991}"#, r#"{"a":2}"#]
            ),
            concat!(
                r#"{"reducer":{"type":"sum","fields":["b","*"]},"#,
                r#""aggregate":{"b":0.5,"a":9007199254740992},"#,
                r#""aggregateExact":{"a":"9007199254740993"},"#,
                r#""completedShards":2,"totalShards":2}"#
            )
        );
    }

    #[test]
    fn extremes_are_null_until_there_is_a_value() {
        let min = Reducer::Min {
            field: "score".into(),
        };
        assert_eq!(
            text_of(&min, &[]),
            concat!(
                r#"{"reducer":{"type":"min","field":"score"},"aggregate":{"value":null},"#,
                r#""completedShards":0,"totalShards":2}"#
            )
        );
        let max = Reducer::Max { field: "x".into() };
        assert!(text_of(&max, &[r#"{"x":1e21}"#]).contains(r#""aggregate":{"value":1e+21}"#));
    }

    #[test]
    fn results_are_read_back() {
        let text = text_of(
            &sum(&["samples", "hits"], false),
            &[r#"{"hits":0.1,"samples":1}"#, r#"{"hits":0.2,"samples":1}"#],
        );
        let read: ReducedResult = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.aggregate.number("samples"), Some(2.0));
        assert!(read.aggregate_exact.get("hits").is_some());
    }

    #[test]
    fn collected_rows_are_read_back_verbatim() {
        let reducer = Reducer::Collect { max_bytes: 1000 };
        let empty = text_of(&reducer, &["1"]);
        assert_eq!(
            empty,
            concat!(
                r#"{"reducer":{"type":"collect"},"aggregate":[],"#,
                r#""completedShards":1,"totalShards":2}"#
            )
        );
        let text = empty.replace("[]", r#"[{"returnValue":1.0},{"returnValue":[1e+21]}]"#);
        let read: ReducedResult = serde_json::from_str(&text).unwrap();
        assert!(matches!(&read.aggregate, AggregateView::Rows(rows) if rows.len() == 2));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(read.aggregate.number("returnValue"), None);
    }
}
