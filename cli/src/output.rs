//! The only place that prints: results to stdout, everything else to stderr.
//!
//! Servers, workers and scripts write much of what is shown. Nothing of it may steer the terminal:
//! control characters are replaced in whatever is printed, and [`one_line`] keeps a text from
//! looking like lines of ours.

use std::io::Write;

use serde_json::Value;

/// Lines on stdout. A closed pipe (`cluster … | head`) is no error worth a message.
pub(crate) fn out(lines: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", harmless(lines));
}

/// A picture for the terminal on stdout: of our own making, with colours.
pub(crate) fn picture(lines: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{lines}");
}

/// A JSON value on stdout, indented.
pub(crate) fn json(value: &Value) {
    out(&json_text(value));
}

/// Lines on stderr.
pub(crate) fn err(lines: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(lines));
}

/// A text of others as a part of one line: line breaks become spaces, other control characters are
/// replaced.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// Lines without control characters but tabs.
fn harmless(lines: &str) -> String {
    let plain = |it: char| match it {
        '\n' | '\t' => it,
        it if it.is_control() => char::REPLACEMENT_CHARACTER,
        it => it,
    };
    lines.replace("\r\n", "\n").chars().map(plain).collect()
}

/// Indented JSON. Control characters that JSON allows in a text are escaped like all others.
fn json_text(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("a JSON value can be printed");
    escaped(&text)
}

fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for it in json.chars() {
        if it.is_control() && it != '\n' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(it)));
        } else {
            escaped.push(it);
        }
    }
    escaped
}

/// A job's result as people read it: text as it is, a run envelope as lines, anything else as JSON.
pub(crate) fn result_text(result: &Value) -> String {
    match result {
        Value::String(text) => text.clone(),
        Value::Object(fields)
            if fields.contains_key("exitCode") && fields.contains_key("output") =>
        {
            envelope_text(result)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            json_text(result)
        }
    }
}

fn envelope_text(envelope: &Value) -> String {
    let mut lines = vec![
        format!("ok={} exitCode={}", envelope["ok"], envelope["exitCode"]),
        format!("durationMs={}", envelope["durationMs"]),
    ];
    if let Some(text) = envelope["output"]["text"]
        .as_str()
        .filter(|text| !text.is_empty())
    {
        lines.push(format!("output:\n{text}"));
    }
    if let Some(message) = envelope["error"]["message"].as_str() {
        lines.push(format!("error: {}", one_line(message)));
    }
    lines.push(format!(
        "returnValue: {}",
        escaped(&envelope["returnValue"].to_string())
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{harmless, one_line, result_text};

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(
            harmless("a\tb\r\n\u{1b}]0;x\u{7}\u{9b}2J\rc\u{7f}"),
            "a\tb\n\u{fffd}]0;x\u{fffd}\u{fffd}2J\u{fffd}c\u{fffd}"
        );
        assert_eq!(one_line("a\nResult: 1\r\n\u{e9}"), "a Result: 1 \u{e9}");
        assert_eq!(
            result_text(&json!({"a": "\u{1b}\u{9b}\u{7f}"})),
            "{\n  \"a\": \"\\u001b\\u009b\\u007f\"\n}"
        );
    }

    #[test]
    fn envelopes_become_lines() {
        let envelope = json!({
            "ok": true, "exitCode": 0, "durationMs": 12, "returnType": "object",
            "returnValue": {"hits": 785}, "output": {"text": "[log] half way"}, "error": null,
        });
        assert_eq!(
            result_text(&envelope),
            "ok=true exitCode=0\ndurationMs=12\noutput:\n[log] half way\nreturnValue: {\"hits\":785}"
        );
    }

    #[test]
    fn a_failed_run_shows_its_error_and_no_empty_output() {
        let envelope = json!({
            "ok": false, "exitCode": 1, "durationMs": 3, "returnValue": null,
            "output": {"text": ""}, "error": {"message": "boom", "stack": null},
        });
        assert_eq!(
            result_text(&envelope),
            "ok=false exitCode=1\ndurationMs=3\nerror: boom\nreturnValue: null"
        );
    }

    #[test]
    fn other_results_are_text_or_indented_json() {
        assert_eq!(result_text(&json!("done")), "done");
        assert_eq!(result_text(&json!(42)), "42");
        assert_eq!(
            result_text(&json!({"z": 1, "a": 2})),
            "{\n  \"z\": 1,\n  \"a\": 2\n}"
        );
    }
}
