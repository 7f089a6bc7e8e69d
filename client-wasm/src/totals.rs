//! What the shards of a job amount to, as it is shown.

use shared::api::{AggregateView, JsNumber, ReducedResult, ReducerView};

/// Names and numbers, so far or in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// What hits and samples say of pi.
    pub pi: Option<String>,
    /// In the order of the result.
    pub rows: Vec<Total>,
}

/// A number with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// What it is.
    pub name: String,
    /// As it is shown.
    pub value: String,
    /// All of its digits, where they are more than what is shown.
    pub exact: Option<String>,
}

impl Totals {
    /// Those of `result`; none where it is a list. What they say of pi belongs to a job that
    /// looks for it.
    pub fn of(result: &ReducedResult, is_about_pi: bool) -> Self {
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
            pi: result
                .derived
                .filter(|_| is_about_pi)
                .map(|derived| number(derived.pi_estimate)),
            rows,
        }
    }
}

/// Whole numbers with the digits that a number of a browser does not hold; of others the nearest
/// one is shown, because what was added was rounded already.
fn row(result: &ReducedResult, name: &str, nearest: JsNumber) -> Total {
    let exact = result.aggregate_exact.get(name).cloned();
    let is_whole = |digits: &String| {
        digits
            .trim_start_matches('-')
            .bytes()
            .all(|it| it.is_ascii_digit())
    };
    let (value, exact) = match exact {
        Some(digits) if is_whole(&digits) => (digits, None),
        exact => (number(nearest), exact),
    };
    let name = match &result.reducer {
        ReducerView::Min { field } => format!("least {field}"),
        ReducerView::Max { field } => format!("greatest {field}"),
        ReducerView::Sum { .. } | ReducerView::Collect => name.to_owned(),
    };
    Total {
        name,
        value: or_none(value),
        exact,
    }
}

fn or_none(value: String) -> String {
    if value == "null" {
        "no value".to_owned()
    } else {
        value
    }
}

/// A number as a script would print it. The browser knows how, and spares the page 10 kB of tables.
#[cfg(target_family = "wasm")]
fn number(number: JsNumber) -> String {
    let text = js_sys::JSON::stringify(&number.0.into());
    text.map_or_else(|_| String::new(), String::from)
}

/// A number as a script would print it.
#[cfg(not(target_family = "wasm"))]
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
        Totals::of(&serde_json::from_value(result).unwrap(), true)
    }

    fn rows(rows: &[(&str, &str)]) -> Vec<Total> {
        let owned = |&(name, value): &(&str, &str)| Total {
            name: name.to_owned(),
            value: value.to_owned(),
            exact: None,
        };
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
    fn a_fraction_is_shown_as_a_script_would_print_it_and_keeps_its_digits() {
        let digits = "2.00000000000000011102230246251565404236316680908203125";
        let shown = totals(
            json!({"type": "sum", "fields": ["x"]}),
            json!({"aggregate": {"x": 2}, "aggregateExact": {"x": digits}}),
        );
        let expected = Total {
            name: "x".into(),
            value: "2".into(),
            exact: Some(digits.into()),
        };
        assert_eq!(shown.rows, [expected]);
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
