//! An answer as it was recorded, and what it must be.
//!
//! The judgement is a function of the recorded answer and of what earlier answers held: it asks
//! nobody, so that `mutate` can put a changed answer before it. Headers that the contract does not
//! speak of are not recorded.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::pattern::{self, Faults, Known};

/// Headers that every answer has (`HTTP_API` 15).
const ALWAYS: [(&str, &str); 10] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// Headers that an answer has or has not by what it is.
const SOMETIMES: [&str; 12] = [
    "content-type",
    "location",
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-policy",
    "strict-transport-security",
    "server",
    "x-powered-by",
    "access-control-allow-origin",
    "access-control-allow-credentials",
];

/// Whether the contract speaks of a header.
pub(crate) fn is_of_the_contract(header: &str) -> bool {
    SOMETIMES.contains(&header) || ALWAYS.iter().any(|(name, _)| *name == header)
}

/// What came: an HTTP answer, or what a program printed or a picture shows (status 0).
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    /// A text where it is not JSON.
    pub(crate) body: Value,
}

/// What it must be.
#[derive(Debug, Clone)]
pub(crate) struct Expect {
    pub(crate) status: u16,
    /// Pattern of the body.
    pub(crate) body: Value,
    /// Patterns of headers beside those that every answer has.
    pub(crate) headers: BTreeMap<String, String>,
    /// It came over HTTP.
    pub(crate) is_http: bool,
}

impl Expect {
    fn with_type(status: u16, body: Value, media_type: &str) -> Self {
        Self {
            status,
            body,
            headers: BTreeMap::from([("content-type".into(), media_type.into())]),
            is_http: true,
        }
    }

    /// JSON.
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::with_type(status, body, "application/json")
    }

    /// A refusal with this text: `error`, and beside it the members of a problem document.
    pub(crate) fn error(status: u16, text: &str) -> Self {
        Self::json(status, problem(status, text))
    }

    /// A page.
    pub(crate) fn page() -> Self {
        let body = json!("<like (?s)<!(?:doctype|DOCTYPE) html>.*</html>\\s*>");
        Self::with_type(200, body, "text/html; charset=utf-8")
    }

    /// A plain text.
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::with_type(status, json!(body), "text/plain; charset=utf-8")
    }

    /// A redirect.
    pub(crate) fn found(location: &str) -> Self {
        Self {
            status: 302,
            body: json!(""),
            headers: BTreeMap::from([("location".into(), location.into())]),
            is_http: true,
        }
    }

    /// What did not come over HTTP.
    pub(crate) fn seen(body: Value) -> Self {
        Self {
            status: 0,
            body,
            headers: BTreeMap::new(),
            is_http: false,
        }
    }

    /// With a header more.
    pub(crate) fn header(mut self, name: &str, pattern: &str) -> Self {
        self.headers.insert(name.into(), pattern.into());
        self
    }

    /// Without the body, as for HEAD.
    pub(crate) fn bodiless(mut self) -> Self {
        self.body = json!("");
        self
    }

    /// What is wrong with an answer.
    pub(crate) fn judge(&self, answer: &Answer, known: &Known) -> Faults {
        let mut known = known.clone();
        pattern::remember(&self.body, &answer.body, &mut known);
        let mut faults = Faults::new();
        if answer.status != self.status {
            faults.push(format!(
                "status {} instead of {}",
                answer.status, self.status
            ));
        }
        pattern::compare("body", &self.body, &answer.body, &known, &mut faults);
        if self.is_http {
            let mut expected: BTreeMap<String, String> = self.headers.clone();
            expected.extend(ALWAYS.map(|(name, value)| (name.into(), value.into())));
            pattern::compare(
                "headers",
                &json!(expected),
                &json!(answer.headers),
                &known,
                &mut faults,
            );
        }
        faults
    }
}

/// A refusal's body.
fn problem(status: u16, text: &str) -> Value {
    json!({
        "error": text, "+type": "<like urn:cluster:problem:[a-z-]+>", "+title": "<like [A-Z][A-Za-z ]+>",
        "+status": status, "+detail": text,
    })
}
