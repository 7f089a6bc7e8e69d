//! Refusals.

use serde::{Deserialize, Serialize};

/// The body of every refusal: the text that clients print, and the members of a problem document
/// (RFC 9457, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A short sentence; the same as `detail`.
    pub error: String,
    /// Names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong this time.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn problems_have_the_members_of_both_worlds() {
        let problem = Problem {
            error: "Job not found.".into(),
            kind: "about:blank".into(),
            title: "Not Found".into(),
            status: 404,
            detail: "Job not found.".into(),
        };
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            concat!(
                r#"{"error":"Job not found.","type":"about:blank","title":"Not Found","#,
                r#""status":404,"detail":"Job not found."}"#
            )
        );
    }
}
