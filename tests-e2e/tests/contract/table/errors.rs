//! Section 3: refusals that belong to no single endpoint.

use serde_json::json;

use crate::answer::Expect;
use crate::row::{Ask, Stage, get, post, row};

const NO_CODE: &str = "code must be a non-empty string.";
const NO_OBJECT: &str = "Body must be a JSON object.";
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn raw(body: &[u8]) -> Ask {
    post("/api/jobs/run-js", &json!({})).body(body)
}

/// A server of default limits.
pub(crate) fn stage() -> Stage {
    let malformed = || Expect::error(400, "<like Body must be valid JSON: .+\\.>");
    let mut plain = raw(b"{\"code\":\"return 1\"}");
    plain.headers = vec![("content-type".into(), "text/plain".into())];
    let mut untyped = plain.clone();
    untyped.headers.clear();
    let wants_problem = get(&format!("/api/jobs/{UNKNOWN}"))
        .header("accept", "application/problem+json, application/json;q=0.5");
    let unknown = || Expect::error(404, "Job not found.");
    let limit = 6 * 65_536 + 4096;
    let too_large = format!("Body exceeds max size ({limit} bytes).");
    let rows = vec![
        row("3", "malformed JSON", raw(b"{\"code\":"), malformed()),
        row(
            "3",
            "JSON with something behind it",
            raw(b"{} x"),
            malformed(),
        ),
        row("3", "no UTF-8", raw(b"{\"code\":\"\xff\"}"), malformed()),
        row(
            "3",
            "a number as body",
            raw(b"7"),
            Expect::error(400, NO_OBJECT),
        ),
        row(
            "3",
            "a text as body",
            raw(b"\"x\""),
            Expect::error(400, NO_OBJECT),
        ),
        row(
            "3",
            "null as body",
            raw(b"null"),
            Expect::error(400, NO_OBJECT),
        ),
        row(
            "5",
            "a list as body",
            raw(b"[]"),
            Expect::error(400, NO_OBJECT),
        ),
        row(
            "3",
            "another content type is an empty object",
            plain,
            Expect::error(400, NO_CODE),
        ),
        row("3", "and so is none", untyped, Expect::error(400, NO_CODE)),
        row(
            "3",
            "an empty body is one too",
            raw(b""),
            Expect::error(400, NO_CODE),
        ),
        row(
            "3",
            "a charset does not matter",
            Ask {
                headers: vec![(
                    "content-type".into(),
                    "Application/JSON; charset=utf-8".into(),
                )],
                ..raw(b"7")
            },
            Expect::error(400, NO_OBJECT),
        ),
        row(
            "3",
            "a body at the limit is read",
            raw(&vec![b' '; limit]),
            malformed(),
        ),
        row(
            "3",
            "a body over it is not",
            raw(&vec![b' '; limit + 1]),
            Expect::error(413, &too_large),
        ),
        row(
            "3",
            "an unknown job",
            get(&format!("/api/jobs/{UNKNOWN}")),
            unknown(),
        ),
        row("3", "what is no id", get("/api/jobs/7"), unknown()),
        row(
            "9",
            "no events of an unknown job",
            get(&format!("/api/jobs/{UNKNOWN}/events")),
            unknown(),
        ),
        row(
            "3",
            "a problem document for who asks for it",
            wants_problem,
            unknown().header("content-type", "application/problem+json"),
        ),
        row(
            "3",
            "an unknown route",
            get("/api/nothing"),
            Expect::error(404, "Not found."),
        ),
    ];
    Stage {
        name: "refusals",
        settings: Vec::new(),
        rows,
    }
}
