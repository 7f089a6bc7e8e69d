//! What was typed into the job forms, and the request it means.

use serde_json::{Map, Value, json};

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
    /// Name of the reducer.
    pub reducer: String,
    /// Comma-separated; for `sum`.
    pub sum_fields: String,
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
    /// An operand of `add`.
    Operand,
}

impl FieldError {
    fn new(field: Field, text: impl Into<String>) -> Self {
        Self {
            field,
            text: text.into(),
        }
    }
}

impl Default for ScriptForm {
    fn default() -> Self {
        Self {
            code: include_str!("../../examples/pi-sharded.js").to_owned(),
            args: String::new(),
            timeout_ms: "0".to_owned(),
            total_units: "200000000".to_owned(),
            units_per_shard: "2000000".to_owned(),
            reducer: "sum".to_owned(),
            sum_fields: "hits, samples".to_owned(),
        }
    }
}

impl ScriptForm {
    /// Whether the job is to be cut into shards.
    pub fn is_sharded(&self) -> bool {
        !self.total_units.trim().is_empty() || !self.units_per_shard.trim().is_empty()
    }

    /// Number of shards, if both numbers are there.
    pub fn total_shards(&self) -> Option<u64> {
        let total: u64 = self.total_units.trim().parse().ok()?;
        let per_shard: u64 = self
            .units_per_shard
            .trim()
            .parse()
            .ok()
            .filter(|&n| n > 0)?;
        Some(total.div_ceil(per_shard))
    }

    /// The body of `POST /api/jobs/run-js`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn request(&self) -> Result<Value, FieldError> {
        if self.code.trim().is_empty() {
            return Err(FieldError::new(Field::Code, "Write a script first."));
        }
        let mut body = Map::new();
        body.insert("code".into(), self.code.clone().into());
        body.insert("args".into(), self.args_value()?);
        let timeout = self.timeout_ms.trim();
        if !timeout.is_empty() {
            let ms = whole(timeout).ok_or_else(|| {
                FieldError::new(
                    Field::TimeoutMs,
                    "A whole number of milliseconds; 0 for none.",
                )
            })?;
            body.insert("timeoutMs".into(), ms.into());
        }
        if self.is_sharded() {
            body.insert("executionModel".into(), "sharded".into());
            let shards = json!({
                "totalUnits": positive(&self.total_units, Field::TotalUnits)?,
                "unitsPerShard": positive(&self.units_per_shard, Field::UnitsPerShard)?,
            });
            body.insert("shardConfig".into(), shards);
            body.insert("reducer".into(), self.reducer_value()?);
        }
        Ok(Value::Object(body))
    }

    fn args_value(&self) -> Result<Value, FieldError> {
        if self.args.trim().is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_str(&self.args).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            FieldError::new(
                Field::Args,
                format!("Not JSON: something is wrong at {place}."),
            )
        })
    }

    fn reducer_value(&self) -> Result<Value, FieldError> {
        if self.reducer != "sum" {
            return Ok(json!({"type": self.reducer, "field": "value"}));
        }
        let names = self
            .sum_fields
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let fields: Vec<&str> = names.collect();
        if fields.is_empty() {
            return Err(FieldError::new(
                Field::SumFields,
                "Name at least one field, or *.",
            ));
        }
        Ok(json!({"type": "sum", "fields": fields}))
    }
}

/// The body of `POST /api/jobs`.
///
/// # Errors
/// An operand that is no integer.
pub fn add_request(a: &str, b: &str) -> Result<Value, FieldError> {
    let operand = |text: &str| {
        text.trim().parse::<i64>().map_err(|_| {
            FieldError::new(
                Field::Operand,
                "Both must be whole numbers up to 1,000,000,000.",
            )
        })
    };
    Ok(json!({"a": operand(a)?, "b": operand(b)?}))
}

fn whole(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|&number| number <= shared::limits::MAX_SAFE_INTEGER)
}

fn positive(text: &str, field: Field) -> Result<u64, FieldError> {
    whole(text.trim())
        .filter(|&number| number > 0)
        .ok_or_else(|| {
            FieldError::new(
                field,
                "A whole number from 1 on; leave both empty for a single run.",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ScriptForm {
        ScriptForm::default()
    }

    fn wrong(form: &ScriptForm) -> Field {
        form.request().unwrap_err().field
    }

    #[test]
    fn both_shard_fields_empty_mean_a_single_run() {
        let single = ScriptForm {
            total_units: " ".into(),
            units_per_shard: String::new(),
            ..form()
        };
        let request = single.request().unwrap();
        assert!(request.get("shardConfig").is_none() && request.get("executionModel").is_none());
        assert_eq!(request["args"], json!({}));
    }

    #[test]
    fn the_first_form_is_a_sharded_job_that_can_be_sent() {
        let request = form().request().unwrap();
        assert_eq!(request["executionModel"], "sharded");
        assert_eq!(
            request["reducer"],
            json!({"type": "sum", "fields": ["hits", "samples"]})
        );
        assert_eq!(form().total_shards(), Some(100));
    }

    #[test]
    fn each_wrong_field_is_named() {
        assert_eq!(
            wrong(&ScriptForm {
                code: "  ".into(),
                ..form()
            }),
            Field::Code
        );
        assert_eq!(
            wrong(&ScriptForm {
                args: "{".into(),
                ..form()
            }),
            Field::Args
        );
        assert_eq!(
            wrong(&ScriptForm {
                timeout_ms: "-1".into(),
                ..form()
            }),
            Field::TimeoutMs
        );
        assert_eq!(
            wrong(&ScriptForm {
                total_units: "0".into(),
                ..form()
            }),
            Field::TotalUnits
        );
        assert_eq!(
            wrong(&ScriptForm {
                units_per_shard: String::new(),
                ..form()
            }),
            Field::UnitsPerShard
        );
        assert_eq!(
            wrong(&ScriptForm {
                sum_fields: " , ".into(),
                ..form()
            }),
            Field::SumFields
        );
        assert_eq!(add_request("1", "two").unwrap_err().field, Field::Operand);
    }

    #[test]
    fn wrong_json_is_located() {
        let form = ScriptForm {
            args: "{\n  \"a\": }".into(),
            ..form()
        };
        assert_eq!(
            form.request().unwrap_err().text,
            "Not JSON: something is wrong at line 2, column 8."
        );
    }
}
