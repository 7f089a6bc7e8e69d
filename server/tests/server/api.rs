//! The contract of the API: shapes, refusals, headers, paths.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::raw::SECURITY;
use crate::support::server::KEY;
use crate::support::{Client, TestServer, open};

#[tokio::test]
async fn small_answers_have_their_shape() {
    let server = TestServer::start().await;
    let anyone = server.client.without_key();
    let health = anyone.get("/health").await.json();
    assert_eq!(health["ok"], true);
    assert_eq!(health["now"].as_str().unwrap().len(), 24);
    let config = anyone.get("/api/public-config").await.json();
    assert_eq!(config["signedJobTtlSec"], 120);
    assert_eq!(
        config["customJobLimits"],
        json!({
            "maxCodeBytes": 32_768, "maxArgsBytes": 32_768, "maxResultBytes": 1_048_576,
            "minTimeoutMs": 0, "maxTimeoutMs": 9_007_199_254_740_991_u64, "defaultTimeoutMs": 0,
        })
    );
    assert_eq!(config["jobSigningKeyId"].as_str().unwrap().len(), 64);
    assert_eq!(
        server.client.get("/api/auth/check").await.json(),
        json!({"ok": true})
    );
    let workers = server.client.get("/api/workers").await;
    assert_eq!(workers.header("cache-control"), Some("no-store"));
    let workers = workers.json();
    assert_eq!(workers, json!({"count": 0, "totalSlots": 0, "workers": []}));
}

#[tokio::test]
async fn the_key_is_taken_in_every_form_and_nothing_else_is() {
    let server = TestServer::start().await;
    let anyone = server.client.without_key();
    let words = shared::mnemonic::to_words(KEY).unwrap().to_uppercase();
    let base64url = shared::mnemonic::to_base64url(&shared::mnemonic::key_bytes(KEY).unwrap());
    let good = [
        ("authorization", format!("bearer {KEY}")),
        ("authorization", format!("BEARER  {}", KEY.to_uppercase())),
        ("authorization", format!("Bearer {base64url}")),
        ("authorization", format!("Bearer {words}")),
        ("x-client-token", KEY.into()),
    ];
    for (name, value) in &good {
        let answer = anyone.get_with("/api/auth/check", &[(name, value)]).await;
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
    let bearer_wins = [("authorization", "Bearer wrong"), ("x-client-token", KEY)];
    for headers in [
        &[][..],
        &[("authorization", "Bearer")],
        &[("authorization", KEY)],
        &[("x-client-token", "wrong")],
        &bearer_wins,
    ] {
        for path in ["/api/auth/check", "/api/workers", "/api/jobs/x"] {
            let answer = anyone.get_with(path, headers).await;
            assert_eq!(
                answer.error(401),
                "Unauthorized client token.",
                "{headers:?}"
            );
        }
    }
    for path in ["/api/jobs", "/api/jobs/run-js", "/api/invites/worker"] {
        let answer = anyone.post(path, &json!({})).await;
        assert_eq!(answer.error(401), "Unauthorized client token.");
    }
}

#[tokio::test]
async fn bad_submissions_are_refused_with_the_texts_of_the_contract() {
    let server = TestServer::start().await;
    let operands = "Fields 'a' and 'b' must be integers in [-1000000000, 1000000000].";
    for body in [
        json!({}),
        json!({"a": "1", "b": 2}),
        json!({"a": 1_000_000_001, "b": 0}),
        json!([]),
    ] {
        let error = server.client.post("/api/jobs", &body).await.error(400);
        assert!(error.ends_with(operands), "{error}");
    }
    let sharded =
        |config: Value| json!({"code": "1", "executionModel": "sharded", "shardConfig": config});
    for (body, text) in [
        (json!([]), "Body must be a JSON object."),
        (json!({}), "code must be a non-empty string."),
        (
            json!({"code": "x".repeat(32_769)}),
            "code exceeds max size (32768 bytes).",
        ),
        (
            json!({"code": "1", "args": "x".repeat(32_768)}),
            "args exceeds max size (32768 bytes).",
        ),
        (
            json!({"code": "1", "timeoutMs": -1}),
            "timeoutMs must be >= 0.",
        ),
        (
            json!({"code": "1", "executionModel": "auto"}),
            "executionModel must be 'single' or 'sharded'.",
        ),
        (
            sharded(Value::Null),
            "shardConfig is required for executionModel='sharded'.",
        ),
        (
            sharded(json!({"totalUnits": 0, "unitsPerShard": 1})),
            "shardConfig.totalUnits must be a positive integer.",
        ),
        (
            json!({"code": "1", "redundancy": "quorum"}),
            "redundancy is not supported by this server.",
        ),
    ] {
        assert_eq!(
            server
                .client
                .post("/api/jobs/run-js", &body)
                .await
                .error(400),
            text
        );
    }
}

#[tokio::test]
async fn bodies_are_read_by_their_type_and_capped() {
    let server = TestServer::start().await;
    let client = &server.client;
    let json_type = [("content-type", "application/json; charset=utf-8")];
    let send = async |headers: &[(&str, &str)], body: &[u8]| {
        client
            .send("POST", "/api/jobs/run-js", headers, body.to_vec())
            .await
    };
    let malformed = send(&json_type, b"{\"code\":").await.error(400);
    assert!(
        malformed.starts_with("Body must be valid JSON:"),
        "{malformed}"
    );
    let deep = "[".repeat(10_000);
    assert!(
        send(&json_type, deep.as_bytes())
            .await
            .error(400)
            .starts_with("Body must be valid JSON:")
    );
    assert!(
        send(&json_type, b"\"\xff\"")
            .await
            .error(400)
            .starts_with("Body must be valid JSON:")
    );
    assert_eq!(
        send(&json_type, b"7").await.error(400),
        "Body must be a JSON object."
    );
    let other_type = [("content-type", "text/plain")];
    let no_code = "code must be a non-empty string.";
    assert_eq!(
        send(&other_type, b"{\"code\":\"1\"}").await.error(400),
        no_code
    );
    assert_eq!(send(&json_type, b"").await.error(400), no_code);
    let large = vec![b' '; 6 * 65_536 + 4097];
    assert_eq!(
        send(&json_type, &large).await.error(413),
        "Body exceeds max size (397312 bytes)."
    );
    let escaped = format!("{{\"code\":\"{}\"}}", "\\u0041".repeat(32_768));
    assert_eq!(
        send(&json_type, escaped.as_bytes()).await.status,
        201,
        "the largest code fits"
    );
}

/// Sends a head and all of a body before it reads anything, as most clients do.
async fn answer_to(server: &TestServer, head: &str, body: &[u8]) -> String {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\n\
         connection: close\r\ncontent-type: application/json\r\n{head}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn who_sends_too_much_can_read_that_it_was_too_much() {
    let server = TestServer::start().await;
    let body = vec![b' '; 6 * 1024 * 1024];
    let chunked = [
        format!("{:x}\r\n", body.len()).as_bytes(),
        &body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let announced = format!("content-length: {}", body.len());
    for (head, body) in [
        (announced.as_str(), body.as_slice()),
        ("transfer-encoding: chunked", &chunked),
        (&format!("{announced}\r\nexpect: 100-continue"), b""),
    ] {
        let answer = answer_to(&server, head, body).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{head}: {answer}");
        assert!(answer.contains("Body exceeds max size"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_in_json() {
    let server = TestServer::start().await;
    let client = &server.client;
    for path in [
        "/api/nothing",
        "/nothing",
        "/api/jobs/run-js/x",
        "/assets/nothing.js",
        "/assets/..%2fCargo.toml",
    ] {
        assert_eq!(client.get(path).await.error(404), "Not found.", "{path}");
    }
    let unknown = "00000000-0000-4000-8000-000000000000";
    assert_eq!(client.get("/assets/%ff.js").await.error(404), "Not found.");
    for id in [unknown, "not-an-id", "%ff"] {
        let answer = client.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(answer.error(404), "Job not found.");
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/workers", "GET,HEAD"),
        ("POST", "/health", "GET,HEAD"),
        ("OPTIONS", "/api/jobs/run-js", "POST"),
    ] {
        let answer = client.send(method, path, &[], Vec::new()).await;
        assert_eq!(answer.error(405), "Method not allowed.");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    assert_eq!(
        client
            .send("HEAD", "/api/workers", &[], Vec::new())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn problem_documents_are_named_so_to_who_asks_for_them() {
    let server = TestServer::start().await;
    let accept = [("accept", "application/problem+json, application/json;q=0.5")];
    let answer = server.client.get_with("/api/jobs/x", &accept).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.json()["type"], "urn:cluster:problem:unknown-job");
    let fine = server.client.get_with("/api/auth/check", &accept).await;
    assert_eq!(fine.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn invites_name_the_server_as_the_client_knows_it() {
    let server = TestServer::with(&[("BASE_PATH", "/Cluster"), ("TRUST_PROXY", "1")]).await;
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "grid.example"),
    ];
    let body = json!({"ttlSec": 5, "workerLabel": "class 7"})
        .to_string()
        .into_bytes();
    let answer = server
        .client
        .send("POST", "/api/invites/worker", &headers, body)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let invite = answer.json();
    let token = invite["inviteToken"].as_str().unwrap();
    assert_eq!(
        invite["inviteUrl"],
        format!("https://grid.example/Cluster/worker?invite={token}")
    );
    assert_eq!(invite["ttlSec"], 60);
    let (code, slug) = (text(&invite, "shortCode"), text(&invite, "phraseSlug"));
    assert_eq!(
        text(&invite, "shortInviteUrl"),
        format!("https://grid.example/Cluster/j/{code}")
    );
    assert_eq!(
        text(&invite, "phraseInviteUrl"),
        format!("https://grid.example/Cluster/p/{slug}")
    );
    assert_eq!(text(&invite, "phraseCode"), slug.replace('-', " "));
    let picture = text(&invite, "inviteQrDataUrl");
    assert!(picture.starts_with("data:image/png;base64,"), "{picture}");
}

fn text(object: &Value, name: &str) -> String {
    object[name].as_str().expect(name).to_owned()
}

#[tokio::test]
async fn codes_and_phrases_lead_to_the_worker_page_as_a_person_may_type_them() {
    let settings = [
        ("BASE_PATH", "/Grid"),
        ("SHORT_INVITE_CODE_LENGTH", "4"),
        ("WORKER_INVITE_PHRASE_WORDS", "3"),
    ];
    let server = TestServer::with(&settings).await;
    let invite = server.client.post("/api/invites/worker", &json!({})).await;
    let invite = invite.json();
    let (code, slug) = (text(&invite, "shortCode"), text(&invite, "phraseSlug"));
    assert_eq!((code.len(), slug.split('-').count()), (4, 3));
    let target = format!("/Grid/worker?invite={}", text(&invite, "inviteToken"));
    let anyone = server.client.without_key();
    for path in [
        format!("/j/{code}"),
        format!("/J/{}/", code.to_uppercase()),
        format!("/p/{slug}"),
        format!("/p/{}", slug.to_uppercase()),
        format!("/p/{}", slug.replace('-', "%20")),
        format!("/p/{}", slug.replace('-', "_")),
    ] {
        let answer = anyone.get(&path).await;
        let location = answer.header("location");
        assert_eq!((answer.status, location), (302, Some(target.as_str())));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for path in ["/j/0000", "/p/no-such-phrase", "/j/%ff", "/p/%00", "/p/--"] {
        let answer = anyone.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(answer.text.starts_with("This invite link is not known."));
    }
}

#[tokio::test]
async fn a_link_to_an_invite_that_has_expired_says_so_until_it_is_forgotten() {
    let server = TestServer::start().await;
    let invite = server.client.post("/api/invites/worker", &json!({})).await;
    let path = format!("/j/{}", text(&invite.json(), "shortCode"));
    let database = rusqlite::Connection::open(server.folder.path().join("cluster.db")).unwrap();
    let expired = database.execute("UPDATE invites SET expires_sec = 1", ());
    assert_eq!(expired, Ok(1));
    let gone = server.client.get(&path).await;
    assert_eq!(gone.status, 410);
    assert!(gone.text.starts_with("This invite has expired."));
    server.client.invite().await;
    assert_eq!(server.client.get(&path).await.status, 404);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = TestServer::start().await;
    for path in ["/health", "/api/workers", "/nothing", "/client", "/"] {
        let answer = server.client.get(path).await;
        for (name, value) in SECURITY {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("content-security-policy").is_some(), "{path}");
        assert_eq!(
            answer.header("strict-transport-security"),
            None,
            "not on http"
        );
        assert_eq!(answer.header("server"), None);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn pages_ask_for_isolation_only_where_browsers_give_it() {
    let server = TestServer::with(&[("TRUST_PROXY", "1")]).await;
    let plain = [("host", "192.168.1.5:8080")];
    let proxied = [("host", "grid.example"), ("x-forwarded-proto", "https")];
    let here = [("host", "localhost:8080")];
    for (path, headers, is_asked) in [
        ("/client", &plain[..], false),
        ("/worker", &plain[..], false),
        ("/", &plain[..], false),
        ("/health", &plain[..], true),
        ("/client", &proxied[..], true),
        ("/client", &here[..], true),
        ("/", &here[..], true),
    ] {
        let answer = server.client.get_with(path, headers).await;
        for name in ["cross-origin-opener-policy", "origin-agent-cluster"] {
            let asks = answer.header(name).is_some();
            assert_eq!(asks, is_asked, "{name} of {path} with {headers:?}");
        }
        assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
    }
}

#[tokio::test]
async fn paths_live_under_the_base_path_in_any_case() {
    let server = TestServer::with(&[("BASE_PATH", "Grid/")]).await;
    assert!(server.url.ends_with("/Grid"), "{}", server.url);
    let root = Client::new(server.url.strip_suffix("/Grid").unwrap(), KEY);
    for path in [
        "/Grid/api/auth/check",
        "/gRID/API/auth/check/",
        "/health",
        "/grid/health",
    ] {
        assert_eq!(root.get(path).await.status, 200, "{path}");
    }
    assert_eq!(root.get("/api/auth/check").await.status, 404);
    for (path, target) in [
        ("/", "/Grid"),
        ("/Grid", "/Grid/client"),
        ("/Grid/", "/Grid/client"),
    ] {
        let answer = root.get(path).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some(target)),
            "{path}"
        );
    }
}

fn write_pages(folder: &std::path::Path) {
    for (name, text) in [
        ("client.html", "<base href=\"/__BASE__/\">client"),
        ("worker.html", "<base href=\"/__BASE__/\">worker"),
        ("metrics.html", "<base href=\"/__BASE__/\">metrics"),
        (
            "raytrace-viewer.html",
            "<base href=\"/__BASE__/\">raytrace-viewer",
        ),
        (
            "parallel-guide.html",
            "<base href=\"/__BASE__/\">parallel-guide",
        ),
        ("sandbox.html", "<script>alert(1)</script>"),
        ("worker-1A.js", "plain"),
        ("worker-1A.js.br", "pressed"),
        ("worker-1a.wasm", "wasm"),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn pages_and_assets_come_from_a_folder_with_their_policies() {
    let folder = tempfile::tempdir().unwrap();
    write_pages(folder.path());
    let assets = folder.path().to_str().unwrap();
    let server = TestServer::with(&[("BASE_PATH", "/grid"), ("ASSETS_DIR", assets)]).await;
    let anyone = server.client.without_key();
    let page = anyone.get("/worker").await;
    assert_eq!(page.text, "<base href=\"/grid/\">worker");
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let host = server
        .url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/grid")
        .unwrap();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self' ws://{host} wss://{host}; frame-src 'self'; \
         worker-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    assert_eq!(
        page.header("content-security-policy"),
        Some(policy.as_str())
    );
    let etag = page.header("etag").unwrap();
    let again = anyone.get_with("/worker", &[("if-none-match", etag)]).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));

    let sandbox = anyone.get("/sandbox").await;
    let policy = sandbox.header("content-security-policy").unwrap();
    assert!(policy.starts_with("sandbox allow-scripts; default-src 'none'; script-src 'sha256-"));

    let script = anyone.get("/assets/worker-1A.js").await;
    assert_eq!(script.text, "plain");
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(
        script
            .header("cache-control")
            .unwrap()
            .contains("immutable")
    );
    let runtime = script.header("content-security-policy").unwrap();
    assert!(
        runtime.starts_with("default-src 'none'; script-src 'self'"),
        "{runtime}"
    );
    let pressed = anyone
        .get_with("/assets/worker-1A.js", &[("accept-encoding", "gzip, br")])
        .await;
    assert_eq!(pressed.header("content-encoding"), Some("br"));
    assert_ne!(pressed.header("etag"), script.header("etag"));
    let wasm = anyone.get("/assets/worker-1a.wasm").await;
    assert_eq!(wasm.header("content-type"), Some("application/wasm"));
    for hidden in [
        "/assets/client.html",
        "/assets/worker-1A.js.br",
        "/assets/.hidden",
    ] {
        assert_eq!(anyone.get(hidden).await.status, 404, "{hidden}");
    }

    for name in ["metrics", "raytrace-viewer", "parallel-guide"] {
        for path in [
            format!("/{name}"),
            format!("/{name}.html"),
            format!("/{name}.HTML/"),
        ] {
            let plain = anyone.get(&path).await;
            assert_eq!(plain.text, format!("<base href=\"/grid/\">{name}"));
            let own = page.header("content-security-policy");
            assert_eq!(plain.header("content-security-policy"), own);
        }
    }

    let root = Client::new(&format!("http://{host}"), KEY);
    for alias in ["/client.html", "/worker.html"] {
        assert_eq!(root.get(alias).await.status, 200, "{alias}");
    }
    assert_eq!(
        anyone.get("/client.html").await.status,
        404,
        "never below the base path"
    );
}

#[tokio::test]
async fn pages_that_are_not_built_say_what_to_run() {
    let empty = tempfile::tempdir().unwrap();
    let server = TestServer::with(&[("ASSETS_DIR", empty.path().to_str().unwrap())]).await;
    let answer = server.client.get("/client").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("cargo xtask build"), "{}", answer.text);
}

#[tokio::test]
async fn sockets_are_opened_by_our_own_pages_and_native_clients_only() {
    let server = TestServer::with(&[("ALLOWED_ORIGINS", "https://pages.example")]).await;
    let own = server.url.clone();
    for origin in ["", &own, "https://pages.example", "https://Pages.example"] {
        assert!(
            open(&server.url, &[("origin", origin)]).await.is_ok(),
            "{origin}"
        );
    }
    let behind_proxy = [
        ("host", "grid.example:443"),
        ("origin", "https://grid.example"),
    ];
    assert!(open(&server.url, &behind_proxy).await.is_ok());
    let own_name = own.trim_start_matches("http");
    for origin in [
        own_name,
        "http://evil.example",
        "null",
        "https://pages.example.evil.example",
    ] {
        let status = refused_status(&server.url, &[("origin", origin)]).await;
        assert_eq!(status, 403, "{origin}");
    }
    assert_eq!(
        refused_status(&server.url, &[("sec-websocket-protocol", "")]).await,
        400
    );
    assert_eq!(
        refused_status(&server.url, &[("sec-websocket-protocol", "cluster.v9")]).await,
        400
    );
    let plain = server.client.get("/ws/worker").await;
    assert_eq!(
        plain.error(400),
        "This is a WebSocket of the subprotocol cluster.v1."
    );
}

async fn refused_status(url: &str, headers: &[(&'static str, &str)]) -> u16 {
    match open(url, headers).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told_with_its_reason_and_heals() {
    let server = TestServer::start().await;
    let database = server.folder.path().join("cluster.db");
    let other = rusqlite::Connection::open(database).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = json!({"a": 1, "b": 1});
    let refused = server.client.post("/api/jobs", &body).await;
    assert_eq!(
        refused.error(503),
        "The server cannot use its store: the database is locked."
    );
    let health = server.client.get("/health").await;
    assert_eq!(health.status, 200, "the rest goes on");
    other.execute_batch("ROLLBACK").unwrap();
    server.client.submit("/api/jobs", &body).await;
}
