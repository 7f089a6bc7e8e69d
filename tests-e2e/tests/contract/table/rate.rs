//! Section 3: the rate limit, as a client behind a proxy sees it.

use serde_json::json;

use crate::answer::Expect;
use crate::row::{Row, Stage, get, row};

fn asked(claim: &str, from: &str, path: &str, expect: Expect, remaining: &str) -> Row {
    let expect = expect
        .header("ratelimit-limit", "3")
        .header("ratelimit-remaining", remaining)
        .header("ratelimit-reset", "<like [1-9]|[1-8]\\d|9[01]>")
        .header("ratelimit-policy", "3;w=91");
    row(
        "3",
        claim,
        get(path).header("x-forwarded-for", from),
        expect,
    )
}

/// Three calls in 90.5 seconds.
pub(crate) fn stage() -> Stage {
    let good = || Expect::json(200, json!({"ok": true}));
    let over = || {
        Expect::error(429, "Too many requests. Slow down.")
            .header("retry-after", "<like [1-9]|[1-8]\\d|9[01]>")
    };
    let check = "/api/auth/check";
    let (one, other) = ("192.0.2.1", "203.0.113.9, 192.0.2.2");
    let loopback = good()
        .header("ratelimit-limit", "3")
        .header("ratelimit-remaining", "3")
        .header("ratelimit-reset", "91")
        .header("ratelimit-policy", "3;w=91");
    let rows = vec![
        asked("the first of three", one, check, good(), "2"),
        asked(
            "the second, in any letter case",
            one,
            "/API/Auth/CHECK/",
            good(),
            "1",
        ),
        asked(
            "the third, on what is not there",
            one,
            "/api/x",
            Expect::error(404, "Not found."),
            "0",
        ),
        asked("one too many", one, check, over(), "0"),
        asked("and again", one, "/api/public-config", over(), "0"),
        asked("another address has its own", other, check, good(), "2"),
        row("3", "loopback is exempt", get(check), loopback.clone()),
        row("3", "however often", get(check), loopback),
        row(
            "3",
            "it is on /api alone",
            get("/health").header("x-forwarded-for", one),
            Expect::json(200, json!({"ok": true, "now": "<time>"})),
        ),
    ];
    Stage {
        name: "rate limit",
        settings: vec![
            ("TRUST_PROXY", "1".into()),
            ("API_RATE_LIMIT_MAX", "3".into()),
            ("API_RATE_LIMIT_WINDOW_MS", "90500".into()),
        ],
        rows,
    }
}
