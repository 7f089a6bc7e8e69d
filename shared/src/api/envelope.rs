//! The run envelope: one script run as clients see it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::MAX_OUTPUT_CHARS;
use crate::wire::{ErrorText, ResultDetails, ResultStatus, ShardResult};

/// One script run (`HTTP_API` 7).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEnvelope {
    /// The script returned.
    pub ok: bool,
    /// 0 returned, 1 threw, 124 timed out, 70 the executor broke or the result would not fit.
    pub exit_code: u8,
    /// Run time on the device in milliseconds; of a run that timed out, its limit.
    pub duration_ms: u64,
    /// `null`, `array` or what `typeof` says; `undefined` where nothing was returned, `none` where
    /// the run failed.
    pub return_type: String,
    /// What was returned, verbatim; `None` where that is null, undefined, or nothing.
    pub return_value: Option<Box<RawValue>>,
    /// As `return_type`, of the args.
    pub args_type: String,
    /// The last console lines, `[level] text`.
    pub logs: Vec<String>,
    /// The lines as one text.
    pub output: Output,
    /// What was thrown or went wrong.
    pub error: Option<ErrorText>,
    /// Sentences about truncation.
    pub notes: Vec<String>,
    /// Absent where the executor could not tell: after a timeout or its own failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<RunStats>,
}

/// Console lines as one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Lines joined by line feeds, at most [`MAX_OUTPUT_CHARS`] UTF-16 units of them.
    pub text: String,
    /// The lines together are longer.
    pub truncated: bool,
    /// Length of `text` in UTF-8.
    pub bytes: usize,
}

/// Counts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunStats {
    /// Console lines that are not in `logs`.
    pub dropped_logs: u32,
    /// Bytes of the return value as JSON.
    pub serialized_return_bytes: usize,
}

impl RunEnvelope {
    /// The envelope of a result. `args` is the JSON text that the script was given, `timeout_ms` its
    /// limit. O(n) in the result.
    pub fn new(result: &ShardResult, args: &str, timeout_ms: u64) -> Self {
        let nothing = ResultDetails::default();
        let details = result.details.as_deref().unwrap_or(&nothing);
        let value = match result.status {
            ResultStatus::Returned => result.value.as_deref(),
            ResultStatus::Threw | ResultStatus::TimedOut | ResultStatus::ExecutorFailed => None,
        };
        Self {
            ok: result.has_returned(),
            exit_code: result.status.exit_code(),
            duration_ms: match result.status {
                ResultStatus::TimedOut => timeout_ms,
                ResultStatus::Returned | ResultStatus::Threw | ResultStatus::ExecutorFailed => {
                    result.duration_ms()
                }
            },
            return_type: return_type(result.status, value, details).to_owned(),
            return_value: value
                .filter(|text| json_type(text) != "null")
                .and_then(|text| RawValue::from_string(text.to_owned()).ok()),
            args_type: json_type(args).to_owned(),
            logs: details.logs.clone(),
            output: Output::of(&details.logs),
            error: details.error.clone(),
            notes: details.notes.clone(),
            stats: stats(result.status, value, details),
        }
    }
}

fn return_type<'a>(
    status: ResultStatus,
    value: Option<&'a str>,
    details: &'a ResultDetails,
) -> &'a str {
    match status {
        ResultStatus::Returned => details
            .return_type
            .as_deref()
            .unwrap_or_else(|| value.map_or("undefined", json_type)),
        ResultStatus::Threw | ResultStatus::TimedOut | ResultStatus::ExecutorFailed => "none",
    }
}

fn stats(status: ResultStatus, value: Option<&str>, details: &ResultDetails) -> Option<RunStats> {
    match status {
        ResultStatus::Returned | ResultStatus::Threw => Some(RunStats {
            dropped_logs: details.dropped_logs,
            serialized_return_bytes: value.map_or(0, str::len),
        }),
        ResultStatus::TimedOut | ResultStatus::ExecutorFailed => None,
    }
}

/// The type of a JSON text: `null`, `array`, or what `typeof` says of its value.
pub fn json_type(text: &str) -> &'static str {
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'-' | b'0'..=b'9') => "number",
        Some(_) | None => "null",
    }
}

impl Output {
    fn of(lines: &[String]) -> Self {
        let mut text = lines.join("\n");
        let end = end_of_units(&text, MAX_OUTPUT_CHARS);
        let truncated = end < text.len();
        text.truncate(end);
        Self {
            truncated,
            bytes: text.len(),
            text,
        }
    }
}

/// Where the first `units` UTF-16 units of `text` end, without cutting a character.
fn end_of_units(text: &str, units: usize) -> usize {
    let mut seen = 0;
    text.char_indices()
        .find(|(_, character)| {
            seen += character.len_utf16();
            seen > units
        })
        .map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn result(status: ResultStatus, value: Option<&str>) -> ShardResult {
        ShardResult {
            status,
            duration_us: 12_400,
            value: value.map(str::to_owned),
            details: None,
        }
    }

    fn json_of(result: &ShardResult) -> Value {
        serde_json::to_value(RunEnvelope::new(result, "{}", 250)).unwrap()
    }

    #[test]
    fn a_returned_value_is_shown_as_documented() {
        let mut returned = result(
            ResultStatus::Returned,
            Some(r#"{"hits":785,"samples":1000}"#),
        );
        returned.details = Some(Box::new(ResultDetails {
            logs: vec!["[log] half way".into()],
            ..ResultDetails::default()
        }));
        let text = serde_json::to_string(&RunEnvelope::new(&returned, "{}", 0)).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"ok":true,"exitCode":0,"durationMs":12,"returnType":"object","#,
                r#""returnValue":{"hits":785,"samples":1000},"argsType":"object","#,
                r#""logs":["[log] half way"],"#,
                r#""output":{"text":"[log] half way","truncated":false,"bytes":14},"#,
                r#""error":null,"notes":[],"#,
                r#""stats":{"droppedLogs":0,"serializedReturnBytes":27}}"#
            )
        );
    }

    #[test]
    fn return_values_pass_through_verbatim() {
        for text in [
            "1e400",
            "[1.0,  2]",
            r#""\ud800""#,
            "12345678901234567890123",
        ] {
            let envelope = RunEnvelope::new(&result(ResultStatus::Returned, Some(text)), "0", 0);
            assert!(
                serde_json::to_string(&envelope)
                    .unwrap()
                    .contains(&format!(r#""returnValue":{text},"#))
            );
        }
    }

    #[test]
    fn types_follow_from_the_text_unless_they_cannot() {
        for (value, kind) in [
            (Some("null"), "null"),
            (Some("[1]"), "array"),
            (Some("{}"), "object"),
            (Some("-1"), "number"),
            (Some("true"), "boolean"),
            (Some(r#""x""#), "string"),
            (None, "undefined"),
        ] {
            let envelope = RunEnvelope::new(&result(ResultStatus::Returned, value), "[]", 0);
            assert_eq!(envelope.return_type, kind);
            assert_eq!(envelope.args_type, "array");
        }
        let mut special = result(ResultStatus::Returned, Some(r#"{"nonSerializable":true}"#));
        special.details = Some(Box::new(ResultDetails {
            return_type: Some("bigint".into()),
            ..ResultDetails::default()
        }));
        assert_eq!(json_of(&special)["returnType"], "bigint");
        assert_eq!(
            json_of(&result(ResultStatus::Returned, None))["returnValue"],
            json!(null)
        );
    }

    #[test]
    fn failed_runs_have_their_exit_code_and_no_value() {
        for (status, exit_code, duration_ms, has_stats) in [
            (ResultStatus::Threw, 1, 12, true),
            (ResultStatus::TimedOut, 124, 250, false),
            (ResultStatus::ExecutorFailed, 70, 12, false),
        ] {
            let mut failed = result(status, Some("5"));
            failed.details = Some(Box::new(ResultDetails {
                error: Some(ErrorText {
                    message: "boom".into(),
                    stack: None,
                }),
                ..ResultDetails::default()
            }));
            let shown = json_of(&failed);
            assert_eq!(shown["ok"], json!(false));
            assert_eq!(shown["exitCode"], json!(exit_code));
            assert_eq!(shown["durationMs"], json!(duration_ms));
            assert_eq!(shown["returnType"], json!("none"));
            assert_eq!(shown["returnValue"], json!(null));
            assert_eq!(shown["error"], json!({"message": "boom", "stack": null}));
            assert_eq!(shown.get("stats").is_some(), has_stats);
        }
    }

    #[test]
    fn output_is_cut_between_characters() {
        let lines = vec!["a".repeat(MAX_OUTPUT_CHARS - 1), "é".into()];
        let output = Output::of(&lines);
        assert!(output.truncated);
        assert_eq!(output.bytes, MAX_OUTPUT_CHARS);

        let wide = vec!["𝄞".repeat(MAX_OUTPUT_CHARS / 2), String::new()];
        let output = Output::of(&wide[..1]);
        assert!(!output.truncated);
        assert_eq!(output.bytes, 2 * MAX_OUTPUT_CHARS);
        assert!(Output::of(&wide).truncated);
    }

    #[test]
    fn envelopes_are_read_back() {
        let text = serde_json::to_string(&RunEnvelope::new(
            &result(ResultStatus::Returned, Some("[1]")),
            "null",
            0,
        ))
        .unwrap();
        let read: RunEnvelope = serde_json::from_str(&text).unwrap();
        assert_eq!(read.return_value.unwrap().get(), "[1]");
        assert_eq!(read.args_type, "null");
    }
}
