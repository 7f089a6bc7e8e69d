//! Claims about reducers that clients and restarts rely on.

use proptest::prelude::*;

use super::*;
use crate::limits::MAX_RESULT_DEPTH;
use crate::wire::ResultStatus;

fn returned(value: &str) -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: 12_345,
        value: Some(value.to_owned()),
        details: None,
    }
}

fn failed(status: ResultStatus) -> ShardResult {
    ShardResult {
        status,
        value: None,
        ..returned("")
    }
}

fn sum(fields: &[&str]) -> Reducer {
    sum_of(fields, false)
}

fn sum_all(fields: &[&str]) -> Reducer {
    sum_of(fields, true)
}

fn sum_of(fields: &[&str], all: bool) -> Reducer {
    Reducer::Sum {
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
        all,
    }
}

fn min(field: &str) -> Reducer {
    Reducer::Min {
        field: field.to_owned(),
    }
}

fn max(field: &str) -> Reducer {
    Reducer::Max {
        field: field.to_owned(),
    }
}

fn folded(reducer: &Reducer, values: &[&str]) -> ReducerState {
    let mut state = reducer.initial();
    for value in values {
        reducer.fold(&mut state, &returned(value)).unwrap();
    }
    state
}

/// Names and nearest values of the aggregate.
fn shown(reducer: &Reducer, values: &[&str]) -> Vec<(String, Option<f64>)> {
    let aggregate = reducer.aggregate(&folded(reducer, values));
    aggregate
        .fields
        .into_iter()
        .map(|field| (field.name, field.nearest))
        .collect()
}

fn named(pairs: &[(&str, f64)]) -> Vec<(String, Option<f64>)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some(*value)))
        .collect()
}

fn error_text(reducer: &Reducer, result: &ShardResult) -> String {
    let before = folded(reducer, &[]);
    let mut state = before.clone();
    let text = reducer.fold(&mut state, result).unwrap_err().to_string();
    assert_eq!(state, before, "an error leaves no trace");
    text
}

#[test]
fn sum_adds_its_fields() {
    let values = [
        r#"{"hits":785,"samples":1000}"#,
        r#"{"samples":1000,"hits":780,"other":"x"}"#,
    ];
    assert_eq!(
        shown(&sum(&["hits", "samples"]), &values),
        named(&[("hits", 1565.0), ("samples", 2000.0)])
    );
}

#[test]
fn aggregate_of_nothing_is_zero_for_sums_and_no_value_for_extremes() {
    assert_eq!(shown(&sum(&["hits"]), &[]), named(&[("hits", 0.0)]));
    assert_eq!(shown(&sum_all(&[]), &[]), named(&[]));
    assert_eq!(shown(&min("n"), &[]), [("value".to_owned(), None)]);
}

#[test]
fn finite_numbers_and_booleans_are_numeric_and_nothing_else_is() {
    for (text, number) in [
        ("true", 1.0),
        ("false", 0.0),
        ("-0", 0.0),
        ("-0.0", 0.0),
        ("1e3", 1000.0),
        ("-12.5", -12.5),
        ("5e-324", 5e-324),
        ("123456789012345680000", 123_456_789_012_345_680_000.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
    ] {
        let value = format!(r#"{{"x":{text}}}"#);
        assert_eq!(shown(&sum(&["x"]), &[&value]), named(&[("x", number)]));
    }
    for text in ["null", r#""5""#, r#""""#, "[7]", "{}", "1e400", "-1e400"] {
        let value = format!(r#"{{"x":{text}}}"#);
        assert_eq!(
            error_text(&sum(&["x"]), &returned(&value)),
            "sum reducer field 'x' must be numeric."
        );
    }
}

#[test]
fn missing_field_is_named_together_with_the_reducer() {
    for (reducer, text) in [
        (sum(&["a", "b"]), "sum reducer field 'b' must be numeric."),
        (min("b"), "min reducer field 'b' must be numeric."),
        (max("b"), "max reducer field 'b' must be numeric."),
    ] {
        for value in [r#"{"a":1}"#, "1", "null", "[1]", r#""b""#] {
            assert_eq!(
                error_text(&reducer, &returned(value)).replace("'a'", "'b'"),
                text
            );
        }
        let thrown = failed(ResultStatus::Threw);
        assert_eq!(error_text(&reducer, &thrown).replace("'a'", "'b'"), text);
    }
}

#[test]
fn fields_of_the_envelope_win_over_those_of_the_return_value() {
    let value = r#"{"ok":7,"exitCode":7,"durationMs":7,"returnValue":7,"hits":7}"#;
    assert_eq!(
        shown(
            &sum(&["ok", "exitCode", "durationMs", "returnValue", "hits"]),
            &[value]
        ),
        named(&[
            ("ok", 1.0),
            ("exitCode", 0.0),
            ("durationMs", 12.0),
            ("returnValue", 7.0),
            ("hits", 7.0)
        ])
    );
    assert_eq!(
        shown(&sum(&["returnValue"]), &[" 4.5 ", "true"]),
        named(&[("returnValue", 5.5)])
    );
}

#[test]
fn star_adds_what_is_numeric_and_skips_the_rest() {
    let values = [
        r#"{"b":1,"text":"5","hits":2,"ok":10}"#,
        r#"{"a":true,"b":0.5,"nothing":null,"nested":{"b":9}}"#,
    ];
    assert_eq!(
        shown(&sum_all(&["samples", "hits"]), &values),
        named(&[
            ("samples", 0.0),
            ("hits", 2.0),
            ("a", 1.0),
            ("b", 1.5),
            ("ok", 10.0)
        ])
    );
}

#[test]
fn star_takes_the_envelope_where_the_return_value_is_no_object() {
    let mut state = sum_all(&[]).initial();
    for result in [
        returned("5"),
        returned("[5]"),
        failed(ResultStatus::TimedOut),
        failed(ResultStatus::ExecutorFailed),
    ] {
        sum_all(&[]).fold(&mut state, &result).unwrap();
    }
    let aggregate = sum_all(&[]).aggregate(&state);
    let fields: Vec<_> = aggregate
        .fields
        .into_iter()
        .map(|field| (field.name, field.nearest))
        .collect();
    assert_eq!(
        fields,
        named(&[
            ("durationMs", 48.0),
            ("exitCode", 194.0),
            ("ok", 2.0),
            ("returnValue", 5.0)
        ])
    );
}

#[test]
fn of_equal_names_the_last_counts() {
    let value = r#"{"x":1,"\u0078":2,"x":3,"y":1,"y":"no"}"#;
    assert_eq!(shown(&sum(&["x"]), &[value]), named(&[("x", 3.0)]));
    assert_eq!(shown(&sum_all(&[]), &[value]), named(&[("x", 3.0)]));
    assert_eq!(
        error_text(&sum(&["y"]), &returned(value)),
        "sum reducer field 'y' must be numeric."
    );
}

#[test]
fn half_a_surrogate_pair_as_a_name_harms_nothing() {
    let value = r#"{"\ud800":1,"hits":2}"#;
    assert_eq!(shown(&sum(&["hits"]), &[value]), named(&[("hits", 2.0)]));
    assert_eq!(
        shown(&sum_all(&[]), &[value]),
        named(&[("hits", 2.0), ("\u{fffd}\u{fffd}\u{fffd}", 1.0)])
    );
}

#[test]
fn values_that_are_not_json_are_refused() {
    for text in ["", "{", r#"{"x":1}}"#, r#"{"x":01}"#, "{x:1}", "nul", "1 2"] {
        assert_eq!(check_value(text), Err(ValueError::NotJson), "{text}");
        assert_eq!(
            error_text(&sum_all(&[]), &returned(text)),
            "the return value is not a JSON text."
        );
    }
}

#[test]
fn depth_is_bounded_without_recursion() {
    let nested = |depth: usize| {
        format!(
            r#"{{"x":1,"deep":{}{}}}"#,
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };
    let deepest = nested(MAX_RESULT_DEPTH);
    assert_eq!(check_value(&deepest), Ok(()));
    assert_eq!(shown(&sum(&["x"]), &[&deepest]), named(&[("x", 1.0)]));
    for depth in [MAX_RESULT_DEPTH + 1, 500_000] {
        assert_eq!(check_value(&nested(depth)), Err(ValueError::TooDeep));
        assert_eq!(
            error_text(&sum(&["x"]), &returned(&nested(depth))),
            "the return value is nested deeper than 128 levels."
        );
    }
    let brackets_in_text = format!(r#"{{"x":1,"text":"\"{}"}}"#, "[".repeat(1000));
    assert_eq!(check_value(&brackets_in_text), Ok(()));
}

#[test]
fn extremes_keep_one_value() {
    let values = [r#"{"n":3}"#, r#"{"n":-1.5}"#, r#"{"n":true}"#];
    assert_eq!(shown(&min("n"), &values), named(&[("value", -1.5)]));
    assert_eq!(shown(&max("n"), &values), named(&[("value", 3.0)]));
}

#[test]
fn cancelling_floats_leave_no_trace() {
    let values = [
        r#"{"x":1e300}"#,
        r#"{"x":0.1}"#,
        r#"{"x":-1e300}"#,
        r#"{"x":-0.1}"#,
    ];
    assert_eq!(
        folded(&sum(&["x"]), &values),
        folded(&sum(&["x"]), &[r#"{"x":0}"#])
    );
}

#[test]
fn exact_text_stands_where_the_nearest_number_is_not_exact() {
    let check = |values: &[&str], nearest: f64, exact: Option<&str>| {
        let objects: Vec<String> = values.iter().map(|x| format!(r#"{{"x":{x}}}"#)).collect();
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        let aggregate = sum(&["x"]).aggregate(&folded(&sum(&["x"]), &objects));
        assert_eq!(aggregate.fields[0].nearest, Some(nearest));
        assert_eq!(aggregate.fields[0].exact.as_deref(), exact);
    };
    check(&["0.1"], 0.1, None);
    check(&["0.5", "0.25"], 0.75, None);
    check(&["9007199254740991", "1"], 9_007_199_254_740_992.0, None);
    check(
        &["9007199254740991", "2"],
        9_007_199_254_740_992.0,
        Some("9007199254740993"),
    );
    check(
        &["-9007199254740991", "-4"],
        -9_007_199_254_740_996.0,
        Some("-9007199254740995"),
    );
    check(
        &["0.1", "0.2"],
        0.300_000_000_000_000_04,
        Some("0.3000000000000000166533453693773481063544750213623046875"),
    );
    check(&["5e-324", "5e-324"], 1e-323, None);
}

#[test]
fn a_sum_beyond_f64_has_only_its_exact_text() {
    let largest = r#"{"x":1.7976931348623157e308}"#;
    let state = folded(&sum(&["x"]), &[largest, largest]);
    let field = &sum(&["x"]).aggregate(&state).fields[0];
    assert_eq!(field.nearest, None);
    let exact = field.exact.as_deref().unwrap();
    assert_eq!(exact.len(), 309);
    assert!(exact.starts_with("35953862697246314"));
}

#[test]
fn derived_ratios_need_samples() {
    let reducer = sum(&["hits", "samples"]);
    let derived = |value| reducer.aggregate(&folded(&reducer, &[value])).derived;
    assert_eq!(
        derived(r#"{"hits":3,"samples":8}"#),
        Some(Derived {
            pi_estimate: Some(1.5),
            hit_ratio: Some(0.375)
        })
    );
    assert_eq!(derived(r#"{"hits":1,"samples":0}"#), None);
    assert_eq!(derived(r#"{"hits":1,"samples":-1}"#), None);
    let only_hits = sum(&["hits"]);
    let state = folded(&only_hits, &[r#"{"hits":1}"#]);
    assert_eq!(only_hits.aggregate(&state).derived, None);
    let all = sum_all(&[]);
    let state = folded(&all, &[r#"{"samples":4,"hits":1}"#]);
    assert_eq!(all.aggregate(&state).derived.unwrap().hit_ratio, Some(0.25));
}

#[test]
fn more_names_than_the_bound_are_refused() {
    let object = |names: std::ops::Range<usize>| {
        let pairs: Vec<String> = names.map(|n| format!(r#""k{n}":1"#)).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let reducer = sum_all(&[]);
    let full = folded(&reducer, &[&object(0..MAX_REDUCER_KEYS)]);
    let mut state = full.clone();
    assert_eq!(
        reducer.fold(&mut state, &returned(r#"{"one more":1}"#)),
        Err(ReduceError::TooManyKeys)
    );
    assert_eq!(state, full);
    reducer.fold(&mut state, &returned(r#"{"k7":1}"#)).unwrap();

    let mut merged = full.clone();
    let other = folded(&reducer, &[&object(1..MAX_REDUCER_KEYS + 1)]);
    assert_eq!(
        reducer.merge(&mut merged, &other),
        Err(ReduceError::TooManyKeys)
    );
    assert_eq!(merged, full);
}

#[test]
fn a_state_never_encodes_to_more_than_the_bound() {
    let reducer = sum_all(&[]);
    let mut state = reducer.initial();
    let mut refused = 0;
    for n in 0..3000 {
        let value = format!(r#"{{"{n}":1.5e308,"{n}{}":-5e-324}}"#, "n".repeat(100));
        let before = state.clone();
        match reducer.fold(&mut state, &returned(&value)) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error, ReduceError::StateTooLarge);
                assert_eq!(state, before);
                refused += 1;
            }
        }
        // Both ends of the range in one sum: the widest that there is.
        let _ = reducer.fold(&mut state, &returned(&format!(r#"{{"{n}":5e-324}}"#)));
    }
    let encoded = postcard::to_stdvec(&state).unwrap().len();
    assert!(refused > 0);
    assert!(encoded <= MAX_REDUCER_STATE_BYTES, "{encoded}");
    assert!(encoded > MAX_REDUCER_STATE_BYTES / 2, "{encoded}");
}

#[test]
fn the_state_of_another_reducer_is_refused() {
    let sums = folded(&sum(&["a"]), &[r#"{"a":1}"#]);
    let extreme = folded(&min("a"), &[r#"{"a":1}"#]);
    for (reducer, state) in [
        (min("a"), &sums),
        (max("a"), &sums),
        (sum(&["a"]), &extreme),
        (sum(&["a", "b"]), &sums),
    ] {
        let foreign = ReduceError::ForeignState(reducer.kind());
        let mut into = state.clone();
        let result = returned(r#"{"a":1,"b":2}"#);
        assert_eq!(reducer.fold(&mut into, &result), Err(foreign.clone()));
        let mut into = reducer.initial();
        assert_eq!(reducer.merge(&mut into, state), Err(foreign));
    }
}

#[test]
fn damaged_states_do_not_panic() {
    let reducer = sum(&["a"]);
    let huge = (1_u8, vec![(i128::MAX, None::<()>)], Vec::<()>::new());
    let mut state: ReducerState =
        postcard::from_bytes(&postcard::to_stdvec(&huge).unwrap()).unwrap();
    let copy = state.clone();
    reducer.merge(&mut state, &copy).unwrap();
    reducer.aggregate(&state);
    let nan = postcard::to_stdvec(&(2_u8, f64::NAN)).unwrap();
    assert!(postcard::from_bytes::<ReducerState>(&nan).is_err());
}

/// Numbers as they are printed into results, hard ones among them.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        (-1_000_000_i32..1_000_000).prop_map(f64::from),
        (-1000_i32..1000).prop_map(|n| f64::from(n) / 10.0),
        prop::sample::select(vec![
            0.0,
            5e-324,
            -5e-324,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            9_007_199_254_740_991.0,
            9_007_199_254_740_992.0,
            -9_007_199_254_740_994.0,
            1e16,
        ]),
    ]
}

fn object() -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), number()), 0..4).prop_map(
        |pairs| {
            let pairs: Vec<String> = pairs
                .into_iter()
                .map(|(name, x)| format!(r#""{name}":{}"#, ryu_js::Buffer::new().format(x)))
                .collect();
            format!(r#"{{"n":{},{}}}"#, pairs.len(), pairs.join(",")).replace(",}", "}")
        },
    )
}

fn reducers() -> impl Strategy<Value = Reducer> {
    prop::sample::select(vec![
        sum(&["n"]),
        sum(&["n", "durationMs"]),
        sum_all(&[]),
        sum_all(&["b", "missing"]),
        min("n"),
        max("n"),
    ])
}

mod oracle {
    //! Sums as whole numbers of 2^-1074, and decimal texts read back.

    use num_bigint::{BigInt, BigUint, Sign};

    pub(super) fn units(value: f64) -> BigInt {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        let magnitude = match exponent {
            0 => BigUint::from(fraction),
            exponent => BigUint::from(fraction | (1 << 52)) << (exponent - 1),
        };
        let sign = if value < 0.0 { Sign::Minus } else { Sign::Plus };
        BigInt::from_biguint(sign, magnitude)
    }

    pub(super) fn units_of_decimal(text: &str) -> BigInt {
        let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits: BigInt = format!("{integer}{fraction}").parse().unwrap();
        let scaled = digits << 1074;
        let ten_power = BigInt::from(10).pow(fraction.len() as u32);
        assert_eq!(&scaled % &ten_power, BigInt::ZERO);
        scaled / ten_power
    }
}

proptest! {
    #[test]
    fn order_batching_and_merging_do_not_change_the_state(
        reducer in reducers(),
        (values, shuffled) in prop::collection::vec(object(), 0..12)
            .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        cuts in prop::collection::vec(0_usize..12, 0..4),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let shuffled: Vec<&str> = shuffled.iter().map(String::as_str).collect();
        let expected = folded(&reducer, &values);

        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(values.len())).collect();
        cuts.extend([0, values.len()]);
        cuts.sort_unstable();
        let mut merged = reducer.initial();
        for batch in cuts.windows(2).rev() {
            let part = folded(&reducer, &shuffled[batch[0]..batch[1]]);
            reducer.merge(&mut merged, &part).unwrap();
        }
        prop_assert_eq!(&merged, &expected);

        let stored = postcard::to_stdvec(&merged).unwrap();
        prop_assert_eq!(&stored, &postcard::to_stdvec(&expected).unwrap());
        prop_assert_eq!(postcard::from_bytes::<ReducerState>(&stored).unwrap(), expected);
    }

    #[test]
    fn sums_agree_with_big_integers(numbers in prop::collection::vec(number(), 0..40)) {
        let mut sum = exact_sum::ExactSum::default();
        for &x in &numbers {
            sum.add(Number::try_from(x).unwrap());
        }
        let total: num_bigint::BigInt = numbers.iter().copied().map(oracle::units).sum();
        let decimal = sum.to_decimal();
        prop_assert_eq!(oracle::units_of_decimal(&decimal), total.clone());

        // The standard library reads decimals to the nearest f64, so it is the judge of rounding.
        let nearest = sum.nearest();
        prop_assert_eq!(nearest.value, decimal.parse::<f64>().unwrap());
        let is_exact = nearest.value.is_finite() && oracle::units(nearest.value) == total;
        prop_assert_eq!(nearest.is_exact, is_exact);
        prop_assert!(postcard::to_stdvec(&sum).unwrap().len() <= sum.encoded_bytes());
    }

    #[test]
    fn any_bytes_are_a_state_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(state) = postcard::from_bytes::<ReducerState>(&bytes) {
            for reducer in [sum(&[]), sum_all(&["a"]), min("a")] {
                reducer.aggregate(&state);
                let _ = reducer.fold(&mut state.clone(), &returned(r#"{"a":0.5}"#));
            }
        }
    }

    #[test]
    fn any_text_is_folded_or_refused(text in r#"[\[\]{}":,0-9eE.+\\u\-truefalsn ]{0,60}"#) {
        let result = returned(&text);
        let folded = sum_all(&[]).fold(&mut ReducerState::default(), &result);
        prop_assert_eq!(folded.is_ok(), check_value(&text).is_ok());
    }
}

#[test]
fn collecting_counts_bytes_up_to_its_bound_in_any_order() {
    let rows = [returned("\"abc\""), returned("1"), returned("[]")];
    let bytes: u64 = rows.iter().map(ShardResult::row_bytes).sum();
    let collect = |max_bytes, order: [usize; 3]| {
        let reducer = Reducer::Collect { max_bytes };
        let mut state = reducer.initial();
        let folded = order.map(|place| reducer.fold(&mut state, &rows[place]));
        (folded.into_iter().find_map(Result::err), state)
    };
    let (none, state) = collect(bytes, [0, 1, 2]);
    assert_eq!(none, None);
    assert_eq!(collect(bytes, [2, 0, 1]).1, state, "order leaves no trace");
    let error = collect(bytes - 1, [1, 2, 0]).0.unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "collect reducer exceeds {} bytes of results (JOB_MAX_COLLECT_BYTES).",
            bytes - 1
        )
    );
    let sum = sum(&["hits"]);
    let foreign = sum.merge(&mut sum.initial(), &state);
    assert_eq!(foreign, Err(ReduceError::ForeignState(ReducerKind::Sum)));
}
