//! Section 1: every path, in any letter case and with a slash more; pages and their other names.

use serde_json::json;

use crate::answer::Expect;
use crate::row::{Ask, Row, Stage, get, post, row};

/// Routes that want the client key, with their methods.
const CLIENT_ROUTES: [(&str, &str); 11] = [
    ("GET", "/api/auth/check"),
    ("POST", "/api/invites/worker"),
    ("POST", "/api/jobs"),
    ("POST", "/api/jobs/run-js"),
    ("GET", "/api/jobs/some-id"),
    ("GET", "/api/jobs/some-id/events"),
    ("POST", "/api/jobs/some-id/pause"),
    ("POST", "/api/jobs/some-id/resume"),
    ("POST", "/api/jobs/stop-all"),
    ("GET", "/api/workers"),
    ("GET", "/api/metrics/cluster"),
];

const PAGES: [&str; 10] = [
    "/client",
    "/worker",
    "/metrics",
    "/raytrace-viewer",
    "/parallel-guide",
    "/metrics.html",
    "/raytrace-viewer.html",
    "/parallel-guide.html",
    "/client.html",
    "/worker.html",
];

/// A server at the root.
pub(crate) fn stage() -> Stage {
    let mut rows = vec![row(
        "1",
        "/ leads to the client page",
        get("/").anonymous(),
        Expect::found("/client"),
    )];
    for page in PAGES {
        for path in spellings(page) {
            rows.push(row(
                "1",
                &format!("GET {path} is a page"),
                get(&path).anonymous(),
                Expect::page(),
            ));
        }
        let ask = get(page).anonymous().method("HEAD");
        rows.push(row(
            "1",
            &format!("HEAD {page}"),
            ask,
            Expect::page().bodiless(),
        ));
    }
    for (method, path) in CLIENT_ROUTES {
        rows.extend(spellings(path).map(|path| locked(method, &path)));
        if method == "GET" {
            let ask = get(path).anonymous().method("HEAD");
            let refusal = Expect::error(401, "").bodiless();
            rows.push(row("1", &format!("HEAD {path}"), ask, refusal));
        }
    }
    rows.extend(open_routes());
    Stage {
        name: "paths",
        settings: Vec::new(),
        rows,
    }
}

/// The path as it is written, and in the other letter case with a slash.
fn spellings(path: &str) -> [String; 2] {
    [path.into(), format!("{}/", path.to_ascii_uppercase())]
}

fn locked(method: &'static str, path: &str) -> Row {
    let ask = match method {
        "GET" => get(path),
        _ => post(path, &json!({})),
    };
    let claim = format!("{method} {path} wants the key");
    row(
        "1",
        &claim,
        ask.anonymous(),
        Expect::error(401, "Unauthorized client token."),
    )
}

/// Routes that want no key, or another one.
fn open_routes() -> Vec<Row> {
    let mut rows = Vec::new();
    let health = json!({"ok": true, "now": "<time>"});
    for path in spellings("/health") {
        let claim = format!("GET {path}");
        rows.push(row(
            "1",
            &claim,
            get(&path).anonymous(),
            Expect::json(200, health.clone()),
        ));
    }
    let bodiless = |path: &str, status| {
        let ask = get(path).anonymous().method("HEAD");
        let expect = Expect::json(status, json!(""));
        row("1", &format!("HEAD {path}"), ask, expect)
    };
    rows.push(bodiless("/health", 200));
    rows.push(bodiless("/api/public-config", 200));
    rows.push(bodiless("/api/worker/metrics", 401));
    let refusal = "Unauthorized worker invite: invalid_token_format";
    for path in spellings("/api/worker/metrics") {
        let claim = format!("GET {path} wants an invite");
        rows.push(row(
            "1",
            &claim,
            get(&path).anonymous(),
            Expect::error(401, refusal),
        ));
    }
    for path in [
        "/api/nothing",
        "/nothing",
        "/api/jobs//",
        "/j",
        "/worker.htm",
    ] {
        rows.push(row(
            "3",
            &format!("GET {path} is not there"),
            get(path),
            Expect::error(404, "Not found."),
        ));
    }
    let wrong = |method, path: &str| {
        let ask: Ask = get(path).method(method);
        let refusal = Expect::error(405, "Method not allowed.");
        row("1", &format!("{method} {path} is no route"), ask, refusal)
    };
    rows.push(wrong("DELETE", "/api/workers"));
    rows.push(wrong("PUT", "/api/jobs/run-js"));
    rows
}

/// A server whose base path is written in a way that has to be normalised.
pub(crate) fn below_a_base_path() -> Stage {
    let health = Expect::json(200, json!({"ok": true, "now": "<time>"}));
    let not_found = || Expect::error(404, "Not found.");
    let at_root = |path: &str| get(path).at_root().anonymous();
    let mut rows = vec![
        row(
            "1",
            "a / is put in front, the one behind is cut",
            at_root("/Grid/health"),
            health.clone(),
        ),
        row(
            "1",
            "GET / leads to the base path",
            at_root("/"),
            Expect::found("/Grid"),
        ),
        row(
            "1",
            "the base path leads to the client page",
            at_root("/Grid"),
            Expect::found("/Grid/client"),
        ),
        row(
            "1",
            "and with a slash",
            at_root("/grid/"),
            Expect::found("/Grid/client"),
        ),
        row(
            "1",
            "/health answers without it, too",
            at_root("/health"),
            health.clone(),
        ),
        row("1", "in any letter case", at_root("/gRID/HEALTH/"), health),
        row(
            "1",
            "nothing else answers without it",
            at_root("/api/public-config"),
            not_found(),
        ),
        row("1", "and no page", at_root("/client"), not_found()),
        row(
            "1",
            "but the two that are always at the root",
            at_root("/client.html"),
            Expect::page(),
        ),
        row("1", "both of them", at_root("/Worker.HTML"), Expect::page()),
    ];
    for page in ["/client.html", "/worker.html"] {
        rows.push(row(
            "1",
            "which are never below it",
            get(page).anonymous(),
            not_found(),
        ));
    }
    for page in [
        "/client",
        "/worker",
        "/metrics",
        "/metrics.html",
        "/parallel-guide.html",
    ] {
        rows.push(row(
            "1",
            "pages are below it",
            get(page).anonymous(),
            Expect::page(),
        ));
    }
    let check = Expect::json(200, json!({"ok": true}));
    rows.push(row("1", "and the API", get("/api/auth/check"), check));
    Stage {
        name: "base path",
        settings: vec![("BASE_PATH", "Grid/".into())],
        rows,
    }
}
