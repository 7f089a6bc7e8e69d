//! The answer to a head that cannot be read.
//!
//! Lives here: its bytes. Not here: when it is given, and in whose place (`own_words`).

use axum::http::StatusCode;

use crate::api::ApiError;
use crate::config::Hsts;
use crate::headers;

/// Offset and length of the status in a status line.
const STATUS: std::ops::Range<usize> = 9..12;

/// What is sent in place of hyper's answer, of which status line and date are kept.
pub(super) fn answer(hypers: &[u8], hsts: &Hsts, base_path: &str) -> Vec<u8> {
    let status = hypers
        .get(STATUS)
        .and_then(|digits| StatusCode::from_bytes(digits).ok());
    let problem = match status {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => ApiError::HeadTooLarge,
        Some(StatusCode::URI_TOO_LONG) => ApiError::PathTooLong,
        Some(_) | None => ApiError::UnreadableHead,
    };
    let problem = problem.problem();
    let body = serde_json::to_vec(&problem).expect("a problem is JSON");
    let mut answer = status_line(problem.status).into_bytes();
    answer.extend(date_line(hypers));
    for (name, value) in &headers::of_unreadable(hsts, base_path) {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let rest = format!(
        "content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    answer.extend(rest.into_bytes());
    answer.extend(body);
    answer
}

fn status_line(status: u16) -> String {
    let status = StatusCode::from_u16(status).expect("it was made of a status");
    let reason = status.canonical_reason().unwrap_or_default();
    format!("HTTP/1.1 {} {reason}\r\n", status.as_str())
}

/// The line with the date, if there is one.
fn date_line(head: &[u8]) -> Vec<u8> {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let date = lines.find(|line| line.len() > 5 && line[..5].eq_ignore_ascii_case(b"date:"));
    date.unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_date_stay_and_the_rest_is_ours() {
        for (status, text) in [
            ("400 Bad Request", "This is no HTTP/1.1 request."),
            ("414 URI Too Long", "The path of the request is too long."),
            (
                "431 Request Header Fields Too Large",
                "The head of the request has too many or too large headers.",
            ),
        ] {
            let date = "date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
            let hypers = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{date}\r\n");
            let answer = answer(hypers.as_bytes(), &Hsts::Auto, "");
            let answer = String::from_utf8(answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status}\r\n{date}")),
                "{head}"
            );
            assert!(head.contains("\r\ncontent-security-policy: default-src 'none'; "));
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["error"], text);
        }
    }
}
