//! The routes, each with a request that is as it should be.

use serde_json::json;

use super::key_header;
use crate::support::Process;

/// What lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auth {
    Nobody,
    /// A secret in a header: the client key or a session token.
    Bearer,
    /// An invite in the query.
    Invite,
}

/// A route.
#[derive(Debug)]
pub(super) struct Route {
    /// As it stands in the server's route table.
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    /// With its parameters filled in.
    pub(super) path: String,
    /// Path and query of a good request.
    pub(super) target: String,
    pub(super) auth: Auth,
    /// The header that lets in.
    pub(super) credential: Vec<u8>,
    pub(super) good_body: &'static str,
    /// Status of a good request.
    pub(super) good: u16,
    /// Status of one whose body counts as an empty object.
    pub(super) of_empty_body: u16,
    pub(super) reads_body: bool,
}

/// What a server knows that good requests name.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// A sharded job that has ended.
    job: String,
    invite: String,
    code: String,
    phrase: String,
}

impl Known {
    pub(super) async fn of(server: &Process) -> Self {
        let client = &server.client;
        let sharded = json!({
            "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
            "shardConfig": {"totalUnits": 4, "unitsPerShard": 1}, "reducer": {"type": "collect"},
        });
        let job = client.submit("/api/jobs/run-js", &sharded).await;
        let cancel = format!("/api/jobs/{job}/cancel");
        assert_eq!(client.post(&cancel, &json!({})).await.status, 200);
        let invite = client.post("/api/invites/worker", &json!({})).await.json();
        let text = |name: &str| invite[name].as_str().unwrap().to_owned();
        Self {
            job,
            invite: text("inviteToken"),
            code: text("shortCode"),
            phrase: text("phraseSlug"),
        }
    }
}

/// Every route of a server below `base`.
pub(super) fn all(base: &str, known: &Known) -> Vec<Route> {
    let hash = "0".repeat(64);
    let fill = |name: &str| {
        let path = name.replace("{job}", &known.job).replace("{hash}", &hash);
        let path = path.replace("{*name}", "nothing.js");
        let link = if path.starts_with("/j/") {
            &known.code
        } else {
            &known.phrase
        };
        let path = path.replace("{invite}", link);
        path.replace("{jti}", "none").replace("{worker}", "nobody")
    };
    let route = |name: &'static str, method: &'static str, auth: Auth, good: u16| {
        let is_at_root = matches!(name, "/client.html" | "/worker.html");
        let at = if is_at_root { "" } else { base };
        let path = match (name, base) {
            ("/", "") => "/".to_owned(),
            ("/", base) => base.to_owned(),
            (name, _) => format!("{at}{}", fill(name)),
        };
        let credential = match auth {
            Auth::Nobody | Auth::Invite => b"x: y".to_vec(),
            Auth::Bearer => key_header(),
        };
        let target = match auth {
            Auth::Invite => format!("{path}?invite={}", known.invite),
            Auth::Nobody | Auth::Bearer => path.clone(),
        };
        Route {
            name,
            method,
            path,
            target,
            auth,
            credential,
            good_body: "",
            good,
            of_empty_body: good,
            reads_body: false,
        }
    };
    let page = |name| route(name, "GET", Auth::Nobody, 200);
    let get = |name, good| route(name, "GET", Auth::Bearer, good);
    let order = |name, good| route(name, "POST", Auth::Bearer, good);
    let submit = |name, good_body, of_empty_body| Route {
        good_body,
        of_empty_body,
        reads_body: true,
        ..route(name, "POST", Auth::Bearer, 201)
    };
    vec![
        route("/", "GET", Auth::Nobody, 302),
        page("/client"),
        page("/client.html"),
        page("/worker"),
        page("/worker.html"),
        page("/metrics"),
        page("/metrics.html"),
        page("/raytrace-viewer"),
        page("/raytrace-viewer.html"),
        page("/parallel-guide"),
        page("/parallel-guide.html"),
        page("/sandbox"),
        page("/metrics/prometheus"),
        route("/assets/{*name}", "GET", Auth::Nobody, 404),
        route("/j/{invite}", "GET", Auth::Nobody, 302),
        route("/p/{invite}", "GET", Auth::Nobody, 302),
        page("/health"),
        page("/healthz"),
        page("/readyz"),
        page("/api/public-config"),
        get("/api/auth/check", 200),
        get("/api/connection", 200),
        get("/api/connection", 200),
        submit("/api/invites/worker", "{\"ttlSec\":60}", 201),
        get("/api/invites", 200),
        route("/api/invites/{jti}", "DELETE", Auth::Bearer, 404),
        submit("/api/jobs", "{\"a\":1,\"b\":2}", 400),
        submit("/api/jobs/run-js", "{\"code\":\"return 1\"}", 400),
        get("/api/jobs/{job}", 200),
        order("/api/jobs/stop-all", 200),
        order("/api/jobs/{job}/pause", 400),
        order("/api/jobs/{job}/resume", 400),
        order("/api/jobs/{job}/cancel", 400),
        get("/api/jobs/{job}/events", 200),
        get("/api/jobs/{job}/stream", 200),
        get("/api/workers", 200),
        order("/api/workers/{worker}/drain", 404),
        order("/api/workers/{worker}/disconnect", 404),
        order("/api/workers/{worker}/ban", 404),
        order("/api/workers/{worker}/unban", 404),
        get("/api/metrics/cluster", 200),
        route("/api/worker/metrics", "GET", Auth::Invite, 200),
        // The client key is no session token.
        get("/api/content/{hash}", 401),
        // Not a handshake.
        route("/ws/worker", "GET", Auth::Nobody, 400),
    ]
}

/// The routes as the server's source lists them.
pub(super) fn of_the_router() -> Vec<String> {
    let source = include_str!("../../../src/router.rs");
    let mut names = Vec::new();
    for rest in source.split(".route(").skip(1) {
        let first = rest.trim_start();
        let end = first.find(", ").or_else(|| first.find(",\n"));
        let path = &first[..end.unwrap_or(first.len())];
        let text = path.split('"').nth(1);
        names.push(match (path, text) {
            ("&at(&app.metrics_path)", _) => "/metrics/prometheus".to_owned(),
            // The root below a base path.
            ("&base", _) => continue,
            (path, Some(text)) if path.starts_with("&secret(") => format!("{text}/{{invite}}"),
            (_, Some(text)) => text.to_owned(),
            (path, None) => panic!("a route that is not understood: {path}"),
        });
    }
    names
}
