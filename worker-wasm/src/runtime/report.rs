//! What executors say, read with care: it passed through a realm that runs strangers' code.
//!
//! Lives here: the text format of `trampoline.js` and its bounds. Not here: whether the row that a
//! line names is pending (`pool`).

use shared::limits::{MAX_ERROR_CHARS, MAX_LOG_LINE_CHARS, MAX_LOG_LINES, MAX_RESULT_DEPTH};
use shared::wire::{ErrorText, ResultDetails, ResultStatus, ShardResult};

use super::json_text::unquoted;

const READY: &str = "ready";
/// Sentences about truncation in one result at most.
const MAX_NOTES: usize = 4;
/// Bytes of all texts of a result beside its value. The trampoline keeps value and texts together
/// within the cap of a result; beyond this and the cap no frame would hold them.
const MAX_DETAIL_BYTES: usize = 48 * 1024;
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReadyReport {
    /// Globals that should be gone and are not.
    pub(crate) left: Vec<String>,
    /// Name and answer of each probe; none where it was not asked to probe.
    pub(crate) probes: Vec<(String, String)>,
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

/// Reads a message. A value may have `max_value_bytes`.
pub(crate) fn parse(text: &str, max_value_bytes: usize) -> Result<Report, Malformed> {
    let report = match text.strip_prefix(READY) {
        Some(fields) => parse_ready(fields).map(Report::Ready),
        None => text
            .split_terminator('\n')
            .map(|line| parse_line(line, max_value_bytes))
            .collect::<Option<_>>()
            .map(Report::Outcomes),
    };
    report.ok_or(Malformed)
}

fn parse_ready(fields: &str) -> Option<ReadyReport> {
    let mut report = ReadyReport::default();
    for field in fields.split('\t').skip(1) {
        if let Some(name) = field.strip_prefix('-') {
            report.left.push(name.into());
        } else {
            let (name, answer) = field.strip_prefix('+')?.split_once(' ')?;
            report.probes.push((name.into(), answer.into()));
        }
    }
    Some(report)
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
    if value.is_some_and(|value| !is_acceptable(value, max_value_bytes)) {
        return None;
    }
    let mut details = None;
    for field in fields {
        add_detail(details.get_or_insert_default(), field)?;
    }
    let bytes = value.map_or(0, str::len) + details.as_ref().map_or(0, text_bytes);
    if bytes > max_value_bytes.saturating_add(MAX_DETAIL_BYTES) {
        return None;
    }
    Some(Outcome {
        id,
        result: ShardResult {
            status,
            duration_us: duration_us.min(MAX_DURATION_US),
            value: value.map(str::to_owned),
            details: details.map(Box::new),
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

/// A letter and a JSON text, or a number. `None` for anything else.
fn add_detail(details: &mut ResultDetails, field: &str) -> Option<()> {
    let (letter, json) = field.split_at_checked(1)?;
    if letter == "d" {
        details.dropped_logs = json.parse().ok()?;
        return Some(());
    }
    let text = unquoted(json)?;
    match letter {
        "t" => details.return_type = Some(text),
        "m" => error_of(details).message = cut(text, MAX_ERROR_CHARS),
        "s" => error_of(details).stack = Some(cut(text, MAX_ERROR_CHARS)),
        "n" if details.notes.len() < MAX_NOTES => details.notes.push(text),
        "l" if details.logs.len() < MAX_LOG_LINES => {
            details.logs.push(cut(text, MAX_LOG_LINE_CHARS));
        }
        _ => return None,
    }
    Some(())
}

fn text_bytes(details: &ResultDetails) -> usize {
    let error = details.error.as_ref();
    let stack = error.and_then(|error| error.stack.as_ref());
    let lines = details.notes.iter().chain(&details.logs);
    lines
        .chain(details.return_type.as_ref())
        .chain(error.map(|error| &error.message))
        .chain(stack)
        .map(String::len)
        .sum()
}

fn error_of(details: &mut ResultDetails) -> &mut ErrorText {
    details.error.get_or_insert_with(|| ErrorText {
        message: String::new(),
        stack: None,
    })
}

fn cut(mut text: String, max_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
    }
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
        let all = outcomes("7\t0\t1500\t{\"hits\":1}\n8\t0\t0\t\n");
        assert_eq!(all[0].id, 7);
        assert_eq!(all[0].result.value.as_deref(), Some("{\"hits\":1}"));
        assert_eq!(all[0].result.duration_us, 1500);
        assert_eq!(all[0].result.details, None);
        assert_eq!(all[1].result.value, None);
    }

    #[test]
    fn details_are_read_and_cut() {
        let fields = format!(
            "\tt\"undefined\"\tm\"{}\"\tl\"[log] \\n\u{e4}\"\tl\"{}\"\td3",
            "m".repeat(MAX_ERROR_CHARS + 1),
            "\u{e4}".repeat(MAX_LOG_LINE_CHARS + 1),
        );
        let all = outcomes(&format!("1\t1\t0\t{fields}\n"));
        let details = all[0].result.details.as_ref().unwrap();
        assert_eq!(all[0].result.status, ResultStatus::Threw);
        assert_eq!(details.return_type.as_deref(), Some("undefined"));
        assert_eq!(
            details.error.as_ref().unwrap().message.len(),
            MAX_ERROR_CHARS
        );
        assert_eq!(details.logs[0], "[log] \n\u{e4}");
        assert_eq!(details.logs[1].chars().count(), MAX_LOG_LINE_CHARS);
        assert_eq!(details.dropped_logs, 3);
    }

    #[test]
    fn ready_reports_are_read() {
        let text = "ready\t-fetch\t+import open\t+xhr no answer";
        let Ok(Report::Ready(report)) = parse(text, 0) else {
            panic!("not ready");
        };
        assert_eq!(report.left, ["fetch"]);
        assert_eq!(report.probes[1], ("xhr".into(), "no answer".into()));
    }

    #[test]
    fn what_no_executor_of_ours_sends_is_malformed() {
        let deep = format!("1\t0\t0\t{}{}\n", "[".repeat(129), "]".repeat(129));
        let long = format!("1\t0\t0\t\"{}\"\n", "x".repeat(1000));
        let chatty = format!("1\t0\t0\t1{}\n", "\tl\"x\"".repeat(MAX_LOG_LINES + 1));
        for text in [
            "1\t0\t0\n",
            "1\t0\t0\t1\t\n",
            "1\t2\t0\t1\n",
            "-1\t0\t0\t1\n",
            "1\t0\t-5\t1\n",
            "1\t0\t0\t1\tt\n",
            "1\t0\t0\t1\tx\"y\"\n",
            "1\t0\t0\t1\td-1\n",
            "1\t0\t0\t1\t\u{e4}\"y\"\n",
            "\n",
            "ready\tfetch",
            "ready\t+fetch",
            &chatty,
            &deep,
            &long,
        ] {
            assert_eq!(parse(text, 1000), Err(Malformed), "{text:.40}");
        }
    }

    #[test]
    fn value_and_texts_together_fit_into_a_frame() {
        let lines = |count: usize| format!("\tl\"{}\"", "\u{e4}".repeat(250)).repeat(count);
        let value = format!("\"{}\"", "x".repeat(998));
        let fitting = format!("1\t0\t0\t{value}{}\n", lines(98));
        assert_eq!(outcomes(&fitting).len(), 1);
        let beyond = format!("1\t0\t0\t{value}{}\n", lines(99));
        assert_eq!(parse(&beyond, 1000), Err(Malformed));
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        let text = format!("1\t0\t0\t\"\\\"{}\"\n", "[".repeat(200));
        assert_eq!(outcomes(&text).len(), 1);
    }
}
