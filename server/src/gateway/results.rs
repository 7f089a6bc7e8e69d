//! Results as workers send them, made harmless: within the cap, valid JSON of bounded depth.
//!
//! A result that is not becomes one that says so. It ends that attempt as an error of the job, as if
//! the executor had broken, so it can neither wedge the shard nor reach a client.

use shared::limits::{MAX_ERROR_CHARS, MAX_LOG_LINE_CHARS, MAX_LOG_LINES};
use shared::reduce::check_value;
use shared::wire::{ResultDetails, ResultRow, ResultStatus, ShardResult};

/// Notes that a result keeps.
const MAX_NOTES: usize = 16;
/// Characters of `return_type`; the longest that JavaScript has is `undefined`.
const MAX_TYPE_CHARS: usize = 32;

/// Checks one row in place. `max_bytes` is `CUSTOM_JOB_MAX_RESULT_BYTES`.
pub(super) fn make_harmless(row: &mut ResultRow, max_bytes: usize) {
    let result = &mut row.result;
    if let Some(details) = &mut result.details {
        cut(details);
    }
    if let Some(fault) = fault(result, max_bytes) {
        *result = ShardResult::failed(ResultStatus::ExecutorFailed, result.duration_us, fault);
    }
}

fn fault(result: &ShardResult, max_bytes: usize) -> Option<String> {
    if text_bytes(result) > max_bytes {
        return Some(format!("the result is larger than {max_bytes} bytes"));
    }
    let checked = result.value.as_deref().map_or(Ok(()), check_value);
    checked.err().map(|error| error.to_string())
}

fn text_bytes(result: &ShardResult) -> usize {
    let value = result.value.as_ref().map_or(0, String::len);
    let details = result.details.as_ref().map_or(0, |details| {
        details
            .logs
            .iter()
            .chain(&details.notes)
            .map(String::len)
            .sum()
    });
    value + details
}

/// What is cut off is freed: empty lines take a byte each in a frame and 24 in memory.
fn cut(details: &mut ResultDetails) {
    let superfluous = details.logs.len().saturating_sub(MAX_LOG_LINES);
    details.logs.drain(..superfluous);
    details.logs.shrink_to_fit();
    let dropped = u32::try_from(superfluous).unwrap_or(u32::MAX);
    details.dropped_logs = details.dropped_logs.saturating_add(dropped);
    details
        .logs
        .iter_mut()
        .for_each(|line| cut_text(line, MAX_LOG_LINE_CHARS));
    details.notes.truncate(MAX_NOTES);
    details.notes.shrink_to_fit();
    details
        .notes
        .iter_mut()
        .for_each(|note| cut_text(note, MAX_LOG_LINE_CHARS));
    if let Some(error) = &mut details.error {
        cut_text(&mut error.message, MAX_ERROR_CHARS);
        if let Some(stack) = &mut error.stack {
            cut_text(stack, MAX_ERROR_CHARS);
        }
    }
    if let Some(return_type) = &mut details.return_type {
        cut_text(return_type, MAX_TYPE_CHARS);
    }
}

fn cut_text(text: &mut String, max_chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use shared::limits::MAX_RESULT_DEPTH;

    use super::*;

    fn returned(value: &str) -> ResultRow {
        ResultRow {
            index: 3,
            result: ShardResult {
                status: ResultStatus::Returned,
                duration_us: 12,
                value: Some(value.into()),
                details: None,
            },
        }
    }

    fn message_of(value: &str) -> Option<String> {
        let mut row = returned(value);
        make_harmless(&mut row, 1024);
        match row.result.status {
            ResultStatus::Returned => {
                assert_eq!(row, returned(value), "a good result is not touched");
                None
            }
            ResultStatus::ExecutorFailed => row.result.details?.error.map(|error| error.message),
            ResultStatus::Threw | ResultStatus::TimedOut => panic!("{row:?}"),
        }
    }

    #[test]
    fn good_results_stay_as_they_are() {
        let deep = "[".repeat(MAX_RESULT_DEPTH) + &"]".repeat(MAX_RESULT_DEPTH);
        let brackets = format!("\"{}\\\"[\"", "[{".repeat(200));
        for value in [
            "1",
            "null",
            r#"{"hits":785,"samples":1000}"#,
            &deep,
            &brackets,
        ] {
            assert_eq!(message_of(value), None, "{value}");
        }
    }

    #[test]
    fn bad_results_become_errors_of_the_job() {
        let deep = "[".repeat(MAX_RESULT_DEPTH + 1) + &"]".repeat(MAX_RESULT_DEPTH + 1);
        let large = format!("\"{}\"", "x".repeat(1024));
        for (value, expected) in [
            ("", "the return value is not a JSON text"),
            ("{", "the return value is not a JSON text"),
            ("1 2", "the return value is not a JSON text"),
            ("NaN", "the return value is not a JSON text"),
            (&deep, "the return value is nested deeper than 128 levels"),
            (&large, "the result is larger than 1024 bytes"),
        ] {
            assert_eq!(message_of(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn nesting_beyond_any_stack_is_refused_without_recursion() {
        let mut row = returned(&"[".repeat(1_000_000));
        make_harmless(&mut row, 2_000_000);
        assert_eq!(row.result.status, ResultStatus::ExecutorFailed);
    }

    #[test]
    fn floods_of_console_lines_are_cut_to_the_last_ones() {
        let mut row = returned("1");
        row.result.details = Some(Box::new(ResultDetails {
            logs: (0..MAX_LOG_LINES + 5)
                .map(|n| format!("[log] {n}"))
                .collect(),
            ..ResultDetails::default()
        }));
        make_harmless(&mut row, 1_000_000);
        let details = row.result.details.unwrap();
        assert_eq!(details.logs.len(), MAX_LOG_LINES);
        assert_eq!(details.logs[0], "[log] 5");
        assert_eq!(details.dropped_logs, 5);
    }

    #[test]
    fn what_is_cut_off_takes_no_memory() {
        let mut row = returned("1");
        row.result.details = Some(Box::new(ResultDetails {
            logs: vec![String::new(); 1_000_000],
            notes: vec![String::new(); 1_000_000],
            return_type: Some("x".repeat(1_000_000)),
            ..ResultDetails::default()
        }));
        make_harmless(&mut row, 1_000_000);
        let details = row.result.details.unwrap();
        assert!(details.logs.capacity() < 2 * MAX_LOG_LINES);
        assert!(details.notes.capacity() < 2 * MAX_NOTES);
        assert!(details.return_type.unwrap().capacity() < 2 * MAX_TYPE_CHARS);
    }
}
