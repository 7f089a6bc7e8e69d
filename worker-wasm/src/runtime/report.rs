//! What executors say, read with care: it passed through a realm that runs strangers' code.
//!
//! Lives here: the text format of `trampoline.js` and its bounds. Not here: whether the row that a
//! line names is pending (`pool`).

use serde::Deserialize;
use shared::limits::{MAX_ERROR_CHARS, MAX_LOG_LINE_CHARS, MAX_LOG_LINES, MAX_RESULT_DEPTH};
use shared::wire::{ErrorText, ResultDetails, ResultStatus, ShardResult};

const READY: &str = "ready\t";
/// Sentences about truncation in one result at most.
const MAX_NOTES: usize = 4;
/// Longest run time that is believed, in microseconds: a year.
const MAX_DURATION_US: u64 = 365 * 24 * 3600 * 1_000_000;

/// One message of an executor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// It is hardened and takes work.
    Ready(ReadyReport),
    /// Outcomes of rows, in the order in which they ran.
    Outcomes(Vec<Outcome>),
}

/// What an executor found when it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyReport {
    /// Globals that should be gone and are not.
    pub(crate) left: Vec<String>,
    /// Name and answer of each probe, where it was asked to probe.
    pub(crate) probes: Option<std::collections::BTreeMap<String, String>>,
}

/// The outcome of one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) id: u64,
    pub(crate) result: ShardResult,
}

/// A message that no executor of ours sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the executor sent a malformed report")]
pub(crate) struct Malformed;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Details {
    return_type: Option<String>,
    error: Option<ErrorDetails>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    logs: Vec<String>,
    #[serde(default)]
    dropped_logs: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorDetails {
    message: String,
    stack: Option<String>,
}

/// Reads a message. A value may have `max_value_bytes`.
pub(crate) fn parse(text: &str, max_value_bytes: usize) -> Result<Report, Malformed> {
    if let Some(json) = text.strip_prefix(READY) {
        let report = serde_json::from_str(json).map_err(|_| Malformed)?;
        return Ok(Report::Ready(report));
    }
    text.split_terminator('\n')
        .map(|line| parse_line(line, max_value_bytes).ok_or(Malformed))
        .collect::<Result<_, _>>()
        .map(Report::Outcomes)
}

fn parse_line(line: &str, max_value_bytes: usize) -> Option<Outcome> {
    let mut fields = line.split('\t');
    let id = fields.next()?.parse().ok()?;
    let status = match fields.next()? {
        "0" => ResultStatus::Returned,
        "1" => ResultStatus::Threw,
        _ => return None,
    };
    let duration_us: u64 = fields.next()?.parse().ok()?;
    let value = Some(fields.next()?).filter(|value| !value.is_empty());
    let details = fields.next()?;
    if fields.next().is_some() || value.is_some_and(|value| !is_acceptable(value, max_value_bytes))
    {
        return None;
    }
    Some(Outcome {
        id,
        result: ShardResult {
            status,
            duration_us: duration_us.min(MAX_DURATION_US),
            value: value.map(str::to_owned),
            details: parse_details(details)?,
        },
    })
}

/// Size and nesting only: the value itself is the client's, and stays as it is.
fn is_acceptable(value: &str, max_bytes: usize) -> bool {
    value.len() <= max_bytes && depth_of(value) <= MAX_RESULT_DEPTH
}

fn depth_of(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// `Some(None)` for none, `None` for malformed ones.
#[expect(
    clippy::option_option,
    reason = "absent and malformed are different, and private here"
)]
fn parse_details(json: &str) -> Option<Option<Box<ResultDetails>>> {
    if json.is_empty() {
        return Some(None);
    }
    let details: Details = serde_json::from_str(json).ok()?;
    let mut logs = details.logs;
    logs.truncate(MAX_LOG_LINES);
    logs.iter_mut()
        .for_each(|line| cut(line, MAX_LOG_LINE_CHARS));
    let mut notes = details.notes;
    notes.truncate(MAX_NOTES);
    Some(Some(Box::new(ResultDetails {
        return_type: details.return_type,
        error: details.error.map(|error| ErrorText {
            message: cut_to(error.message, MAX_ERROR_CHARS),
            stack: error.stack.map(|stack| cut_to(stack, MAX_ERROR_CHARS)),
        }),
        notes,
        logs,
        dropped_logs: details.dropped_logs,
    })))
}

fn cut(text: &mut String, max_chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
    }
}

fn cut_to(mut text: String, max_chars: usize) -> String {
    cut(&mut text, max_chars);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(text: &str) -> Vec<Outcome> {
        match parse(text, 1000) {
            Ok(Report::Outcomes(outcomes)) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_result_has_no_details() {
        let all = outcomes("7\t0\t1500\t{\"hits\":1}\t\n8\t0\t0\t\t\n");
        assert_eq!(all[0].id, 7);
        assert_eq!(all[0].result.value.as_deref(), Some("{\"hits\":1}"));
        assert_eq!(all[0].result.duration_us, 1500);
        assert_eq!(all[0].result.details, None);
        assert_eq!(all[1].result.value, None);
    }

    #[test]
    fn details_are_read_and_cut() {
        let json = format!(
            r#"{{"returnType":"undefined","error":{{"message":"{}","stack":null}},"notes":["n"],"logs":["[log] ä","{}"],"droppedLogs":3}}"#,
            "m".repeat(MAX_ERROR_CHARS + 1),
            "ä".repeat(MAX_LOG_LINE_CHARS + 1),
        );
        let all = outcomes(&format!("1\t1\t0\t\t{json}\n"));
        let details = all[0].result.details.as_ref().unwrap();
        assert_eq!(all[0].result.status, ResultStatus::Threw);
        assert_eq!(details.return_type.as_deref(), Some("undefined"));
        assert_eq!(
            details.error.as_ref().unwrap().message.len(),
            MAX_ERROR_CHARS
        );
        assert_eq!(details.logs[1].chars().count(), MAX_LOG_LINE_CHARS);
        assert_eq!(details.dropped_logs, 3);
    }

    #[test]
    fn ready_reports_are_read() {
        let text = "ready\t{\"left\":[\"fetch\"],\"probes\":{\"import\":\"open\"}}";
        let Ok(Report::Ready(report)) = parse(text, 0) else {
            panic!("not ready");
        };
        assert_eq!(report.left, ["fetch"]);
        assert_eq!(report.probes.unwrap()["import"], "open");
    }

    #[test]
    fn what_no_executor_of_ours_sends_is_malformed() {
        let deep = format!("1\t0\t0\t{}{}\t\n", "[".repeat(129), "]".repeat(129));
        let long = format!("1\t0\t0\t\"{}\"\t\n", "x".repeat(1000));
        for text in [
            "1\t0\t0\t1\n",
            "1\t0\t0\t1\t\t\n",
            "1\t2\t0\t1\t\n",
            "-1\t0\t0\t1\t\n",
            "1\t0\t-5\t1\t\n",
            "1\t0\t0\t1\t{\n",
            "1\t0\t0\t1\t{\"returnType\":5}\n",
            "\n",
            "ready\t{}",
            &deep,
            &long,
        ] {
            assert_eq!(parse(text, 1000), Err(Malformed), "{text:.40}");
        }
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        let text = format!("1\t0\t0\t\"\\\"{}\"\t\n", "[".repeat(200));
        assert_eq!(outcomes(&text).len(), 1);
    }
}
