//! The only place that prints: results to stdout, everything else to stderr.

use std::io::Write;

use serde_json::Value;

/// A line on stdout. A closed pipe (`cluster … | head`) is no error worth a message.
pub(crate) fn out(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A JSON value on stdout, indented.
pub(crate) fn json(value: &Value) {
    out(&serde_json::to_string_pretty(value).expect("a JSON value can be printed"));
}

/// A line on stderr.
pub(crate) fn err(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
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
            serde_json::to_string_pretty(result).expect("a JSON value can be printed")
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
        lines.push(format!("error: {message}"));
    }
    lines.push(format!("returnValue: {}", envelope["returnValue"]));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::result_text;

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
