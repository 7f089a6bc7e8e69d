//! Input that no honest client sends, to every route: from one table, against the real program.
//!
//! Each row is a route with a good request for it; each route gets the same bad paths, methods,
//! headers and queries, and those that read a body the same bad bodies and some of their own.

mod bodies;
mod routes;

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::support::raw::{RawAnswer, answer};
use crate::support::server::KEY;
use crate::support::{Process, Worker, returned};
use bodies::Body;
use routes::{Auth, Known, Route};

/// What the server may grow by from one wave of bad input to the next.
const GROWTH_BYTES: u64 = 8 * 1024 * 1024;
/// Requests at the same time.
const ABREAST: usize = 16;

/// The table makes many invites; the one that its good requests name goes on to hold.
const EVERY_INVITE: (&str, &str) = ("WORKER_INVITE_REQUIRE_LATEST", "false");

/// One request and which statuses may answer it.
struct Case {
    what: String,
    bytes: Vec<u8>,
    statuses: Vec<u16>,
    is_head: bool,
}

impl Case {
    fn new(what: String, bytes: Vec<u8>, statuses: &[u16]) -> Self {
        let is_head = bytes.starts_with(b"HEAD ");
        Self {
            what,
            bytes,
            statuses: statuses.to_vec(),
            is_head,
        }
    }

    /// What is wrong with the answer.
    async fn fault(&self, url: &str) -> Option<String> {
        let answer = answer(url, &self.bytes).await;
        let said = format!("{}: {} {}", self.what, answer.status, answer.body);
        if !self.statuses.contains(&answer.status) {
            return Some(format!("{said} instead of {:?}", self.statuses));
        }
        if let Some(header) = answer.unsafe_header() {
            return Some(format!("{said} is wrong about {header}"));
        }
        let is_silent = answer.status >= 400 && !self.is_head && !says_why(&answer);
        is_silent.then(|| format!("{said} does not say why"))
    }
}

/// An `error` text, or the sentence that a person gets who follows an invite link.
fn says_why(answer: &RawAnswer) -> bool {
    match answer.header("content-type") {
        Some("text/plain; charset=utf-8") => answer.body.starts_with("This invite"),
        Some(_) => answer.error().is_some_and(|text| !text.is_empty()),
        None => false,
    }
}

/// A request; the connection ends after its answer.
fn request(method: &str, path: &[u8], headers: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let mut bytes = [method.as_bytes(), b" ", path, b" HTTP/1.1\r\n"].concat();
    bytes.extend_from_slice(b"host: localhost\r\nconnection: close\r\n");
    for header in headers {
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(b"\r\n");
    }
    if method == "POST" {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    [&bytes, b"\r\n".as_slice(), body].concat()
}

fn key_header() -> Vec<u8> {
    format!("authorization: Bearer {KEY}").into_bytes()
}

const JSON: &[u8] = b"content-type: application/json";

fn cases(route: &Route) -> Vec<Case> {
    let mut cases = vec![good(route)];
    cases.extend(methods(route));
    cases.extend(paths(route));
    cases.extend(headers(route));
    cases.extend(credentials(route));
    if route.method == "POST" {
        cases.extend(bodies_of(route));
    }
    cases
}

fn case(route: &Route, what: &str, bytes: Vec<u8>, statuses: &[u16]) -> Case {
    let what = format!("{} {}: {what}", route.method, route.path);
    Case::new(what, bytes, statuses)
}

fn good(route: &Route) -> Case {
    let headers = [route.credential.as_slice(), JSON];
    let bytes = request(
        route.method,
        route.target.as_bytes(),
        &headers,
        route.good_body.as_bytes(),
    );
    case(route, "as it should be", bytes, &[route.good])
}

fn methods(route: &Route) -> Vec<Case> {
    let long = "X".repeat(10_000);
    let other = if route.method == "GET" { "POST" } else { "GET" };
    let wrong = [
        "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "BREW", &long, other,
    ];
    let wrong = wrong.into_iter().filter(|method| *method != route.method);
    let ask = |method: &str| {
        request(
            method,
            route.target.as_bytes(),
            &[route.credential.as_slice()],
            b"",
        )
    };
    // A path may be a job's by its form.
    let allowed: &[u16] = if other == "GET" { &[405, 404] } else { &[405] };
    let wrong = wrong.map(|method| {
        let what = &method[..method.len().min(8)];
        case(route, what, ask(method), allowed)
    });
    let mut cases: Vec<_> = wrong.collect();
    if route.method == "GET" {
        cases.push(case(route, "HEAD", ask("HEAD"), &[route.good]));
    }
    cases
}

fn paths(route: &Route) -> Vec<Case> {
    let path = route.path.as_str();
    let long = format!("{path}/{}", "a".repeat(50_000));
    let too_long = format!("{path}/{}", "a".repeat(65_535));
    let tricks = [
        format!("{path}/.."),
        format!("{path}/../client"),
        format!("{path}/%2e%2e/%2e%2e/etc/passwd"),
        format!("/%2e%2e{path}/x"),
        format!("/..{path}/x"),
        format!("/{path}/x"),
        format!("{path}//"),
        format!("{path}%00"),
        format!("{path}%2f"),
        format!("{path}\\..\\x"),
        format!("{path};x=1"),
        format!("{path}%ff"),
        format!("{path}%"),
        format!("{path}%zz"),
        format!("{path}\u{e9}"),
        long,
    ];
    let ask = |path: &str| {
        request(
            route.method,
            path.as_bytes(),
            &[route.credential.as_slice(), JSON],
            b"{}",
        )
    };
    let refused: &[u16] = match route.name {
        // Whatever stands between or after the words of a phrase is taken for a space.
        "/p/{invite}" => &[400, 404, 302],
        // The credential is looked at first.
        "/api/content/{hash}" => &[400, 404, 405, 401],
        _ => &[400, 404, 405],
    };
    let mut cases: Vec<_> = tricks
        .iter()
        .map(|path| case(route, &path[..path.len().min(100)], ask(path), refused))
        .collect();
    cases.push(case(route, "a path too long", ask(&too_long), &[414]));
    cases
}

fn headers(route: &Route) -> Vec<Case> {
    let many: Vec<_> = (0..100).map(|number| format!("x-{number}: y")).collect();
    let many: Vec<_> = many.iter().map(String::as_bytes).collect();
    let large = [b"x: ".as_slice(), &vec![b'y'; 200_000]].concat();
    let target = route.target.as_str();
    let joiner = if target.contains('?') { '&' } else { '?' };
    let query = format!(
        "{target}{joiner}%ff=%00&a[]=1&a=2&&=&after=-1&after=x&limit=1e9&{}",
        "q".repeat(10_000)
    );
    let own = [route.credential.as_slice(), JSON];
    let ask = |target: &str, more: &[&[u8]]| {
        request(
            route.method,
            target.as_bytes(),
            &[&own, more].concat(),
            route.good_body.as_bytes(),
        )
    };
    let odd: [&[u8]; 5] = [
        b"accept: \xff\xfe",
        b"x-forwarded-for: \xff, ::::",
        b"x-forwarded-proto: \xff",
        b"origin: \xff",
        b"content-type: \xff",
    ];
    let usual: u16 = match route.name {
        "/ws/worker" => 403,
        // It was forwarded, and is no longer taken for this machine's own.
        "/metrics/prometheus" => 401,
        _ => route.good,
    };
    vec![
        case(route, "too many headers", ask(target, &many), &[431]),
        case(route, "a large header", ask(target, &[&large]), &[431]),
        case(route, "odd headers", ask(target, &odd), &[usual]),
        case(route, "an odd query", ask(&query, &[]), &[route.good]),
    ]
}

/// What is no credential is refused as such, whatever else is right.
fn credentials(route: &Route) -> Vec<Case> {
    let (names, queries): (&[&str], &[&str]) = match route.auth {
        Auth::Nobody => (&[], &[]),
        Auth::Bearer => (&["authorization: Bearer ", "x-client-token: "], &[]),
        Auth::Invite => (&[], &["?invite=", "?workerId="]),
    };
    let long = vec![b'v'; 50_000];
    let values: [&[u8]; 7] = [b"", b"x", b"\xff\xfe", b"v1.x.y", b"s1.x.y", b"v1..", &long];
    let mut cases = Vec::new();
    for value in values {
        let shown = String::from_utf8_lossy(&value[..value.len().min(8)]).into_owned();
        for name in names {
            let header = [name.as_bytes(), value].concat();
            let bytes = request(route.method, route.path.as_bytes(), &[&header, JSON], b"{}");
            cases.push(case(route, &format!("{name}{shown}"), bytes, &[401]));
        }
        for query in queries {
            let query = [route.path.as_bytes(), query.as_bytes(), value].concat();
            let bytes = request(route.method, &query, &[], b"");
            cases.push(case(route, &format!("invite {shown}"), bytes, &[401, 400]));
        }
    }
    cases
}

fn bodies_of(route: &Route) -> Vec<Case> {
    let headers = |media: &'static [u8]| [route.credential.clone(), media.to_vec()];
    let ask = |media: &'static [u8], body: &[u8]| {
        let headers = headers(media);
        let headers: Vec<_> = headers.iter().map(Vec::as_slice).collect();
        request(route.method, route.target.as_bytes(), &headers, body)
    };
    let mut cases = Vec::new();
    for Body {
        what,
        bytes,
        status,
    } in bodies::for_everybody()
    {
        let status = if route.reads_body { status } else { route.good };
        cases.push(case(route, what, ask(JSON, &bytes), &[status]));
    }
    for Body {
        what,
        bytes,
        status,
    } in bodies::of(route.name)
    {
        cases.push(case(route, what, ask(JSON, &bytes), &[status]));
    }
    let other_types: [&[u8]; 4] = [
        b"content-type: text/plain",
        b"content-type: application/x-www-form-urlencoded",
        b"content-type: application/jsonx",
        b"x: y",
    ];
    for media in other_types {
        let what = String::from_utf8_lossy(media).into_owned();
        let bytes = ask(media, route.good_body.as_bytes());
        cases.push(case(route, &what, bytes, &[route.of_empty_body]));
    }
    let chunks = [
        request(
            "GET",
            route.target.as_bytes(),
            &[&route.credential, JSON],
            b"",
        ),
        Vec::new(),
    ];
    let head = String::from_utf8_lossy(&chunks[0]).replacen("GET", "POST", 1);
    let head = head.replace(
        "\r\n\r\n",
        "\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    );
    let status = if route.reads_body { 400 } else { route.good };
    cases.push(case(
        route,
        "chunks that are none",
        head.into_bytes(),
        &[status],
    ));
    cases
}

/// Everything in the table, once.
async fn wave(server: &Process, routes: &[Route]) {
    let cases: Vec<_> = routes.iter().flat_map(cases).collect();
    let root = server.url.as_str();
    let faults = stream::iter(&cases)
        .map(|case| case.fault(root))
        .buffer_unordered(ABREAST)
        .filter_map(std::future::ready)
        .collect::<Vec<_>>();
    let faults = faults.await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let stopped = server.client.post("/api/jobs/stop-all", &json!({})).await;
    assert_eq!(stopped.status, 200);
}

fn resident_bytes(server: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

/// A worker is let in, works, and its result counts.
async fn assert_works(server: &Process) {
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let sum = json!({"a": 2, "b": 40});
    let id = server.client.submit("/api/jobs", &sum).await;
    let assigned = worker.assigned().await;
    worker.finish(&assigned, |_| returned("42")).await;
    worker.disposed().await;
    assert_eq!(server.client.job(&id).await["result"], 42);
}

/// Whether a page has script or style of its own in its text.
fn has_inline_code(html: &str) -> bool {
    let html = html.to_ascii_lowercase();
    let own_script = html.split("<script").skip(1).any(|rest| {
        let (tag, text) = rest.split_once('>').unwrap();
        !tag.contains("src=") || !text.starts_with("</script>")
    });
    let words = [
        "<style",
        " style=",
        "javascript:",
        " onclick=",
        " onload=",
        " onerror=",
    ];
    own_script || words.iter().any(|word| html.contains(word))
}

#[tokio::test]
async fn no_page_but_the_sandbox_has_inline_code_or_may_be_framed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let mut pages = 0;
    for route in routes::all("", &Known::of(&server).await) {
        let answer = answer(&server.url, &good(&route).bytes).await;
        let is_sandbox = route.name == "/sandbox";
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            !policy.contains("'unsafe-inline'"),
            "{}: {policy}",
            route.name
        );
        let framed_by = if is_sandbox { "'self'" } else { "'none'" };
        let rule = format!("frame-ancestors {framed_by}");
        assert!(policy.ends_with(&rule), "{}: {policy}", route.name);
        let media = answer.header("content-type").unwrap_or_default();
        if media.starts_with("text/html") {
            pages += 1;
            assert_eq!(has_inline_code(&answer.body), is_sandbox, "{}", route.name);
        }
    }
    assert_eq!(pages, 11);
}

#[tokio::test]
async fn bad_input_to_any_route_is_refused_with_a_reason_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[EVERY_INVITE]);
    let routes = routes::all("", &Known::of(&server).await);
    let mut resident = Vec::new();
    for _ in 0..3 {
        wave(&server, &routes).await;
        resident.push(resident_bytes(&server));
    }
    let grown = resident[2].saturating_sub(resident[1]);
    assert!(grown < GROWTH_BYTES, "{resident:?}");
    assert_works(&server).await;
}

#[tokio::test]
async fn below_a_base_path_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[EVERY_INVITE, ("BASE_PATH", "/Grid")]);
    let routes = routes::all("/Grid", &Known::of(&server).await);
    wave(&server, &routes).await;
    assert_works(&server).await;
}

#[test]
fn the_table_has_every_route_of_the_server() {
    let known = Known::default();
    let ours: BTreeSet<_> = routes::all("", &known).iter().map(|it| it.name).collect();
    let theirs = routes::of_the_router();
    assert!(theirs.len() > 30, "the route table was not understood");
    let theirs: BTreeSet<_> = theirs.iter().map(String::as_str).collect();
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let gone: Vec<_> = ours.difference(&theirs).collect();
    assert!(gone.is_empty(), "the server has no {gone:?}");
}
