//! What is shown of a reducer's state.

use super::exact_sum::ExactSum;
use super::{Folded, Reducer, ReducerState};

/// The name under which `min` and `max` show their value.
const EXTREME_NAME: &str = "value";

/// A state as clients see it: the named fields in their order, then the others by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// One number for each name.
    pub fields: Vec<AggregateField>,
    /// Ratios that follow from a sum of `hits` and `samples`.
    pub derived: Option<Derived>,
}

/// One number of an aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateField {
    /// The field's name; `value` for `min` and `max`.
    pub name: String,
    /// The nearest f64; `None` where there is no value yet, or none that an f64 could hold.
    pub nearest: Option<f64>,
    /// The whole decimal expansion, where `nearest` is not exact.
    pub exact: Option<String>,
}

/// Ratios of a sum that has `hits` and `samples`; `None` where an f64 cannot hold it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Derived {
    /// `4 * hits / samples`.
    pub pi_estimate: Option<f64>,
    /// `hits / samples`.
    pub hit_ratio: Option<f64>,
}

impl Reducer {
    /// What `state`, which this reducer made, amounts to; no fields for `collect`. O(n) in its
    /// fields.
    pub fn aggregate(&self, state: &ReducerState) -> Aggregate {
        match self {
            Self::Sum { fields, .. } => {
                let fields = sum_fields(fields, state);
                let derived = Derived::of(&fields);
                Aggregate { fields, derived }
            }
            Self::Min { .. } | Self::Max { .. } => Aggregate {
                fields: vec![extreme_field(state)],
                derived: None,
            },
            Self::Collect { .. } => Aggregate {
                fields: Vec::new(),
                derived: None,
            },
        }
    }
}

fn sum_fields(names: &[String], state: &ReducerState) -> Vec<AggregateField> {
    let Folded::Sums(sums) = &state.0 else {
        let zero = ExactSum::default();
        return names.iter().map(|name| sum_field(name, &zero)).collect();
    };
    names
        .iter()
        .zip(&sums.named)
        .chain(&sums.extras)
        .map(|(name, sum)| sum_field(name, sum))
        .collect()
}

fn sum_field(name: &str, sum: &ExactSum) -> AggregateField {
    let nearest = sum.nearest();
    AggregateField {
        name: name.to_owned(),
        nearest: nearest.value.is_finite().then_some(nearest.value),
        exact: (!nearest.is_exact).then(|| sum.to_decimal()),
    }
}

fn extreme_field(state: &ReducerState) -> AggregateField {
    let nearest = match &state.0 {
        Folded::Extreme(number) => Some(number.get()),
        Folded::Nothing | Folded::Sums(_) | Folded::Collected(_) => None,
    };
    AggregateField {
        name: EXTREME_NAME.to_owned(),
        nearest,
        exact: None,
    }
}

impl Derived {
    fn of(fields: &[AggregateField]) -> Option<Self> {
        let value = |name| fields.iter().find(|field| field.name == name)?.nearest;
        let (hits, samples) = (value("hits")?, value("samples")?);
        let finite = |ratio: f64| ratio.is_finite().then_some(ratio);
        (samples > 0.0).then(|| Self {
            pi_estimate: finite(4.0 * hits / samples),
            hit_ratio: finite(hits / samples),
        })
    }
}
