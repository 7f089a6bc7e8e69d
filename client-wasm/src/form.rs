//! What was typed into the forms, and the requests it means.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::limits::{MAX_ADD_OPERAND, MAX_SAFE_INTEGER};

/// The form of a script job; every field as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptForm {
    /// JavaScript.
    pub code: String,
    /// JSON; empty for none.
    pub args: String,
    /// Milliseconds; empty or 0 for no limit.
    pub timeout_ms: String,
    /// Empty, together with `units_per_shard`, for a single run.
    pub total_units: String,
    /// See `total_units`.
    pub units_per_shard: String,
    /// `sum`, `collect`, `min` or `max`.
    pub reducer: String,
    /// Comma-separated; for `sum`.
    pub sum_fields: String,
    /// For `min` and `max`.
    pub extreme_field: String,
}

/// A field with what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Which field.
    pub field: Field,
    /// What to do about it.
    pub text: String,
}

/// Fields that can be wrong before the server has seen them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The script.
    Code,
    /// Its args.
    Args,
    /// Its time limit.
    TimeoutMs,
    /// The size of the work.
    TotalUnits,
    /// The size of a shard.
    UnitsPerShard,
    /// What is added up.
    SumFields,
    /// What is compared.
    ExtremeField,
    /// The first operand of `add`.
    FirstOperand,
    /// The second.
    SecondOperand,
}

impl Field {
    /// The id of its element in the page.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Args => "args",
            Self::TimeoutMs => "timeout",
            Self::TotalUnits => "total-units",
            Self::UnitsPerShard => "units-per-shard",
            Self::SumFields => "sum-fields",
            Self::ExtremeField => "extreme-field",
            Self::FirstOperand => "a",
            Self::SecondOperand => "b",
        }
    }
}

impl Field {
    /// Whether a number is typed into it.
    pub const fn is_number(self) -> bool {
        match self {
            Self::TimeoutMs
            | Self::TotalUnits
            | Self::UnitsPerShard
            | Self::FirstOperand
            | Self::SecondOperand => true,
            Self::Code | Self::Args | Self::SumFields | Self::ExtremeField => false,
        }
    }
}

impl FieldError {
    fn new(field: Field, text: impl Into<String>) -> Self {
        Self {
            field,
            text: text.into(),
        }
    }
}

/// Ends each field of a form that is kept as text: a character that no key types.
const SEPARATOR: char = '\u{1f}';

/// The script that the form starts with.
const EXAMPLE: &str = include_str!("../../examples/pi-sharded.js");

/// Whether a script of so many bytes is the one that the form starts with.
pub const fn is_example(code_bytes: usize) -> bool {
    code_bytes == EXAMPLE.len()
}

/// The key in what was typed or pasted: a line of a file of secrets is taken for what it sets.
pub fn typed_key(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix("export ").unwrap_or(text);
    let value = ["CLIENT_API_KEY_MNEMONIC", "CLIENT_API_KEY"]
        .iter()
        .find_map(|name| text.strip_prefix(name)?.trim_start().strip_prefix('='));
    let value = value.unwrap_or(text).trim();
    ['"', '\'']
        .iter()
        .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
        .trim()
}

impl Default for ScriptForm {
    fn default() -> Self {
        Self {
            code: EXAMPLE.to_owned(),
            args: String::new(),
            timeout_ms: "0".to_owned(),
            total_units: "200000000".to_owned(),
            units_per_shard: "2000000".to_owned(),
            reducer: "sum".to_owned(),
            sum_fields: "hits, samples".to_owned(),
            extreme_field: "value".to_owned(),
        }
    }
}

/// The body of `POST /api/jobs/run-js`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScriptRequest<'a> {
    code: &'a str,
    args: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_config: Option<Units>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reducer: Option<ReducerRequest<'a>>,
    /// Devices may join later; what was asked for in shards stays in shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_downgrade: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Units {
    total_units: u64,
    units_per_shard: u64,
}

#[derive(Debug, Serialize)]
struct ReducerRequest<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct AddRequest {
    a: i64,
    b: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InviteRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_sec: Option<u64>,
}

impl ScriptForm {
    /// As text, which [`Self::from_text`] reads.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for field in [
            &self.code,
            &self.args,
            &self.timeout_ms,
            &self.total_units,
            &self.units_per_shard,
            &self.reducer,
            &self.sum_fields,
            &self.extreme_field,
        ] {
            text.push_str(field);
            text.push(SEPARATOR);
        }
        text
    }

    /// From text; `None` for text of another shape.
    pub fn from_text(text: &str) -> Option<Self> {
        let fields: Vec<String> = text
            .split_terminator(SEPARATOR)
            .map(str::to_owned)
            .collect();
        let [
            code,
            args,
            timeout_ms,
            total_units,
            units_per_shard,
            reducer,
            sum_fields,
            extreme_field,
        ] = fields.try_into().ok()?;
        Some(Self {
            code,
            args,
            timeout_ms,
            total_units,
            units_per_shard,
            reducer,
            sum_fields,
            extreme_field,
        })
    }

    /// Whether the job is to be cut into shards.
    pub fn is_sharded(&self) -> bool {
        !self.total_units.trim().is_empty() || !self.units_per_shard.trim().is_empty()
    }

    /// Number of shards, if both numbers are there.
    pub fn total_shards(&self) -> Option<u64> {
        let units = self.units().ok()?;
        Some(units.total_units.div_ceil(units.units_per_shard))
    }

    /// The body of `POST /api/jobs/run-js`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn request(&self) -> Result<String, FieldError> {
        if self.code.trim().is_empty() {
            return Err(FieldError::new(Field::Code, "Write a script first."));
        }
        let mut request = ScriptRequest {
            code: &self.code,
            args: self.args()?,
            timeout_ms: self.timeout_ms()?,
            execution_model: None,
            shard_config: None,
            reducer: None,
            allow_downgrade: None,
        };
        if self.is_sharded() {
            request.execution_model = Some("sharded");
            request.shard_config = Some(self.units()?);
            request.reducer = Some(self.reducer()?);
            request.allow_downgrade = Some(false);
        }
        Ok(to_json(&request))
    }

    /// The args, digit by digit as they were typed.
    fn args(&self) -> Result<Box<RawValue>, FieldError> {
        let typed = self.args.trim();
        let text = if typed.is_empty() { "{}" } else { typed };
        serde_json::from_str(text).map_err(|error| {
            // Positions count from the first character that was typed, not from the first that counts.
            let typed: Result<Box<RawValue>, _> = serde_json::from_str(&self.args);
            let error = typed.err().unwrap_or(error);
            let place = format!("line {}, column {}", error.line(), error.column());
            FieldError::new(
                Field::Args,
                format!("Not JSON: something is wrong at {place}."),
            )
        })
    }

    fn timeout_ms(&self) -> Result<Option<u64>, FieldError> {
        let typed = self.timeout_ms.trim();
        if typed.is_empty() {
            return Ok(None);
        }
        let text = "The time limit is a whole number of milliseconds; 0 for none.";
        let ms = whole(typed).ok_or_else(|| FieldError::new(Field::TimeoutMs, text))?;
        Ok(Some(ms))
    }

    fn units(&self) -> Result<Units, FieldError> {
        Ok(Units {
            total_units: positive(&self.total_units, Field::TotalUnits)?,
            units_per_shard: positive(&self.units_per_shard, Field::UnitsPerShard)?,
        })
    }

    fn reducer(&self) -> Result<ReducerRequest<'_>, FieldError> {
        let kind = self.reducer.as_str();
        let (mut fields, mut field) = (None, None);
        match kind {
            "collect" => {}
            "min" | "max" => field = Some(self.extreme_field()?),
            _ => fields = Some(self.sum_fields()?),
        }
        Ok(ReducerRequest {
            kind,
            fields,
            field,
        })
    }

    fn sum_fields(&self) -> Result<Vec<&str>, FieldError> {
        let names = self.sum_fields.split(',').map(str::trim);
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            let text = "Name at least one field to add up, or * for all.";
            return Err(FieldError::new(Field::SumFields, text));
        }
        Ok(names)
    }

    fn extreme_field(&self) -> Result<&str, FieldError> {
        let name = self.extreme_field.trim();
        if name.is_empty() {
            return Err(FieldError::new(
                Field::ExtremeField,
                "Name the field to compare.",
            ));
        }
        Ok(name)
    }
}

/// The body of `POST /api/jobs`.
///
/// # Errors
/// An operand that is no integer of at most [`MAX_ADD_OPERAND`] in magnitude.
pub fn add_request(a: &str, b: &str) -> Result<String, FieldError> {
    let operand = |text: &str, field| {
        let number = text.trim().parse::<i64>().ok();
        number
            .filter(|number| (-MAX_ADD_OPERAND..=MAX_ADD_OPERAND).contains(number))
            .ok_or_else(|| {
                let text = "Whole numbers from -1,000,000,000 to 1,000,000,000 can be added.";
                FieldError::new(field, text)
            })
    };
    let a = operand(a, Field::FirstOperand)?;
    let b = operand(b, Field::SecondOperand)?;
    Ok(to_json(&AddRequest { a, b }))
}

/// The body of `POST /api/invites/worker`. An empty `label` is none; an empty `ttl_sec` leaves the
/// time to the server.
pub fn invite_request(label: &str, ttl_sec: &str) -> String {
    to_json(&InviteRequest {
        worker_label: invite_label(label),
        ttl_sec: whole(ttl_sec),
    })
}

/// The label that was typed, if any.
pub fn invite_label(typed: &str) -> Option<&str> {
    Some(typed.trim()).filter(|label| !label.is_empty())
}

fn to_json(request: &impl Serialize) -> String {
    serde_json::to_string(request).expect("a request has no unserialisable part")
}

fn whole(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|&number| number <= MAX_SAFE_INTEGER)
}

fn positive(text: &str, field: Field) -> Result<u64, FieldError> {
    whole(text.trim())
        .filter(|&number| number > 0)
        .ok_or_else(|| {
            let text = "Units are whole numbers from 1 on; leave both fields empty for one run.";
            FieldError::new(field, text)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn form() -> ScriptForm {
        ScriptForm::default()
    }

    fn sent(form: &ScriptForm) -> Value {
        serde_json::from_str(&form.request().unwrap()).unwrap()
    }

    fn wrong(change: impl FnOnce(&mut ScriptForm)) -> Field {
        let mut form = form();
        change(&mut form);
        form.request().unwrap_err().field
    }

    #[test]
    fn both_shard_fields_empty_mean_a_single_run() {
        let single = ScriptForm {
            total_units: " ".into(),
            units_per_shard: String::new(),
            ..form()
        };
        let code = form().code;
        assert_eq!(
            sent(&single),
            json!({"code": code, "args": {}, "timeoutMs": 0})
        );
        assert_eq!(single.total_shards(), None);
    }

    #[test]
    fn the_first_form_is_a_sharded_job_that_can_be_sent() {
        let request = sent(&form());
        assert_eq!(request["executionModel"], "sharded");
        assert_eq!(
            request["shardConfig"],
            json!({"totalUnits": 200_000_000, "unitsPerShard": 2_000_000})
        );
        assert_eq!(
            request["reducer"],
            json!({"type": "sum", "fields": ["hits", "samples"]})
        );
        assert_eq!(request["allowDowngrade"], false);
        assert_eq!(form().total_shards(), Some(100));
    }

    #[test]
    fn a_draft_survives_as_text() {
        let draft = ScriptForm {
            code: "return '\"\\n\u{1f980}'".into(),
            args: "{\n}".into(),
            units_per_shard: String::new(),
            reducer: "min".into(),
            extreme_field: "x".into(),
            ..form()
        };
        assert_eq!(ScriptForm::from_text(&draft.to_text()), Some(draft));
        for other in ["", "only the code", &SEPARATOR.to_string().repeat(9)] {
            assert_eq!(ScriptForm::from_text(other), None);
        }
    }

    #[test]
    fn a_key_is_found_in_a_line_of_a_file_of_secrets() {
        for (typed, key) in [
            (" abc-_9 ", "abc-_9"),
            ("CLIENT_API_KEY=abc\n", "abc"),
            ("export CLIENT_API_KEY = \"abc\"", "abc"),
            ("CLIENT_API_KEY_MNEMONIC='lamp river'", "lamp river"),
            ("'lamp river'", "lamp river"),
            ("\"", "\""),
            ("CLIENT_API_KEYS=abc", "CLIENT_API_KEYS=abc"),
            ("", ""),
        ] {
            assert_eq!(typed_key(typed), key, "{typed}");
        }
    }

    #[test]
    fn each_reducer_has_its_own_fields() {
        let reducer = |kind: &str| {
            sent(&ScriptForm {
                reducer: kind.into(),
                sum_fields: " * ,".into(),
                extreme_field: " score ".into(),
                ..form()
            })["reducer"]
                .clone()
        };
        assert_eq!(reducer("sum"), json!({"type": "sum", "fields": ["*"]}));
        assert_eq!(reducer("collect"), json!({"type": "collect"}));
        assert_eq!(reducer("min"), json!({"type": "min", "field": "score"}));
        assert_eq!(reducer("max"), json!({"type": "max", "field": "score"}));
    }

    #[test]
    fn args_are_sent_as_they_were_typed() {
        let form = ScriptForm {
            args: " {\"b\": 1.0, \"a\": 12345678901234567890} ".into(),
            ..form()
        };
        let request = form.request().unwrap();
        assert!(
            request.contains(r#""args":{"b": 1.0, "a": 12345678901234567890},"#),
            "{request}"
        );
    }

    #[test]
    fn each_wrong_field_is_named() {
        assert_eq!(wrong(|form| form.code = "  ".into()), Field::Code);
        assert_eq!(wrong(|form| form.args = "{".into()), Field::Args);
        assert_eq!(
            wrong(|form| form.timeout_ms = "-1".into()),
            Field::TimeoutMs
        );
        assert_eq!(
            wrong(|form| form.total_units = "0".into()),
            Field::TotalUnits
        );
        assert_eq!(
            wrong(|form| form.units_per_shard.clear()),
            Field::UnitsPerShard
        );
        assert_eq!(
            wrong(|form| form.sum_fields = " , ".into()),
            Field::SumFields
        );
        assert_eq!(
            wrong(|form| {
                form.reducer = "min".into();
                form.extreme_field.clear();
            }),
            Field::ExtremeField
        );
    }

    #[test]
    fn operands_have_the_servers_range() {
        assert_eq!(
            add_request(" 2", "-1000000000").unwrap(),
            r#"{"a":2,"b":-1000000000}"#
        );
        for (a, b, field) in [
            ("1", "two", Field::SecondOperand),
            ("1000000001", "1", Field::FirstOperand),
            ("", "1", Field::FirstOperand),
            ("1", "-9223372036854775808", Field::SecondOperand),
        ] {
            assert_eq!(add_request(a, b).unwrap_err().field, field);
        }
    }

    #[test]
    fn wrong_json_is_located_where_it_was_typed() {
        for (args, place) in [
            ("{\n  \"a\": }", "line 2, column 8"),
            ("\n{x}", "line 2, column 2"),
        ] {
            let form = ScriptForm {
                args: args.into(),
                ..form()
            };
            let error = form.request().unwrap_err();
            assert_eq!(
                error.text,
                format!("Not JSON: something is wrong at {place}.")
            );
        }
    }

    #[test]
    fn an_invite_asks_only_for_what_was_chosen() {
        assert_eq!(invite_request("  ", ""), "{}");
        let labelled: Value = serde_json::from_str(&invite_request(" Room 5 ", "3600")).unwrap();
        assert_eq!(labelled, json!({"ttlSec": 3600, "workerLabel": "Room 5"}));
    }
}
