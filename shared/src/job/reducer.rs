//! The reducer of a request.

use std::collections::BTreeSet;

use serde_json::Value;

use super::JobRequestError;
use super::request::{Fields, given};
use crate::limits::MAX_REDUCER_KEYS;
use crate::reduce::{Reducer, ReducerKind};

const ALL_FIELDS: &str = "*";

/// Reads the member `reducer`.
pub(super) fn parse(
    value: Option<&Value>,
    max_collect_bytes: u64,
) -> Result<Reducer, JobRequestError> {
    let Some(value) = value else {
        return Ok(default_sum());
    };
    let fields = value.as_object().ok_or(JobRequestError::ReducerType)?;
    let kind = match given(fields, "type") {
        None => "sum".to_owned(),
        Some(kind) => kind
            .as_str()
            .ok_or(JobRequestError::ReducerType)?
            .to_ascii_lowercase(),
    };
    match kind.as_str() {
        "sum" => parse_sum(given(fields, "fields")),
        "collect" => Ok(Reducer::Collect {
            max_bytes: max_collect_bytes,
        }),
        "min" => extreme_field(fields, ReducerKind::Min).map(|field| Reducer::Min { field }),
        "max" => extreme_field(fields, ReducerKind::Max).map(|field| Reducer::Max { field }),
        _ => Err(JobRequestError::ReducerType),
    }
}

fn default_sum() -> Reducer {
    Reducer::Sum {
        fields: vec!["hits".to_owned(), "samples".to_owned()],
        all: false,
    }
}

fn parse_sum(names: Option<&Value>) -> Result<Reducer, JobRequestError> {
    let Some(names) = names else {
        return Ok(default_sum());
    };
    let names = names.as_array().ok_or(JobRequestError::SumFields)?;
    if names.len() > MAX_REDUCER_KEYS {
        return Err(JobRequestError::TooManySumFields);
    }
    let mut fields = Vec::new();
    let mut all = false;
    for name in names {
        match name.as_str().ok_or(JobRequestError::SumFields)?.trim() {
            "" => {}
            ALL_FIELDS => all = true,
            name => fields.push(name.to_owned()),
        }
    }
    let fields = without_repetitions(fields);
    if fields.is_empty() && !all {
        return Err(JobRequestError::SumFields);
    }
    Ok(Reducer::Sum { fields, all })
}

/// A field that is named twice is one field, not twice its sum.
fn without_repetitions(fields: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    fields
        .into_iter()
        .filter(|field| seen.insert(field.clone()))
        .collect()
}

fn extreme_field(fields: &Fields, kind: ReducerKind) -> Result<String, JobRequestError> {
    let Some(field) = given(fields, "field") else {
        return Ok("value".to_owned());
    };
    field
        .as_str()
        .map(str::trim)
        .filter(|field| !field.is_empty())
        .map(str::to_owned)
        .ok_or(JobRequestError::ExtremeField(kind))
}
