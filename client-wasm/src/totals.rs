//! What the shards of a job amount to, as it is shown.

use shared::api::{AggregateView, JsNumber, ReducedResult, ReducerView};

/// Names and numbers, so far or in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// What hits and samples say of pi.
    pub pi: Option<String>,
    /// A name and its number, in the order of the result.
    pub rows: Vec<(String, String)>,
}

impl Totals {
    /// Those of `result`; none where it is a list.
    pub fn of(result: &ReducedResult) -> Self {
        let rows = match &result.aggregate {
            AggregateView::Rows(_) => Vec::new(),
            AggregateView::Numbers(numbers) => {
                let numbers = numbers.0.iter();
                numbers
                    .map(|(name, nearest)| row(result, name, *nearest))
                    .collect()
            }
        };
        Self {
            pi: result.derived.map(|derived| number(derived.pi_estimate)),
            rows,
        }
    }
}

/// The exact digits where a number of a browser does not hold them.
fn row(result: &ReducedResult, name: &str, nearest: JsNumber) -> (String, String) {
    let exact = result.aggregate_exact.get(name).cloned();
    let value = exact.unwrap_or_else(|| number(nearest));
    match &result.reducer {
        ReducerView::Min { field } => (format!("least {field}"), or_none(value)),
        ReducerView::Max { field } => (format!("greatest {field}"), or_none(value)),
        ReducerView::Sum { .. } | ReducerView::Collect => (name.to_owned(), value),
    }
}

fn or_none(value: String) -> String {
    if value == "null" {
        "no value".to_owned()
    } else {
        value
    }
}

/// A number as a script would print it.
fn number(number: JsNumber) -> String {
    serde_json::to_string(&number).expect("a number has a text")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn totals(reducer: Value, more: Value) -> Totals {
        let mut result = json!({"reducer": reducer, "completedShards": 2, "totalShards": 2});
        let members = more.as_object().unwrap().clone();
        result.as_object_mut().unwrap().extend(members);
        Totals::of(&serde_json::from_value(result).unwrap())
    }

    fn rows(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        rows.iter().map(owned).collect()
    }

    #[test]
    fn sums_keep_their_names_and_exact_digits() {
        let shown = totals(
            json!({"type": "sum", "fields": ["hits", "samples", "*"]}),
            json!({
                "aggregate": {"hits": 3, "samples": 9_007_199_254_740_992_u64},
                "aggregateExact": {"samples": "9007199254740993"},
                "derived": {"piEstimate": 3.25, "hitRatio": 0.8125},
            }),
        );
        assert_eq!(shown.pi.as_deref(), Some("3.25"));
        assert_eq!(
            shown.rows,
            rows(&[("hits", "3"), ("samples", "9007199254740993")])
        );
    }

    #[test]
    fn extremes_say_of_what_and_whether_there_is_any() {
        let least = |value: Value| {
            totals(
                json!({"type": "min", "field": "score"}),
                json!({"aggregate": {"value": value}}),
            )
            .rows
        };
        assert_eq!(least(json!(0.5)), rows(&[("least score", "0.5")]));
        assert_eq!(least(json!(null)), rows(&[("least score", "no value")]));
        let greatest = totals(
            json!({"type": "max", "field": "x"}),
            json!({"aggregate": {"value": 1e21}}),
        );
        assert_eq!(greatest.rows, rows(&[("greatest x", "1e+21")]));
    }

    #[test]
    fn a_list_has_no_totals() {
        let list = totals(json!({"type": "collect"}), json!({"aggregate": [{}, {}]}));
        assert_eq!(list, Totals::default());
    }
}
