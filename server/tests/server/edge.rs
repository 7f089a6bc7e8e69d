//! Connections whose requests cannot be read.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::TestServer;
use crate::support::raw::{RawAnswer, answer, exchange};

/// A refusal with a text and with all that every answer carries.
fn assert_refused(what: &str, answer: &RawAnswer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert!(
        answer.error().is_some_and(|text| text.ends_with('.')),
        "{what}"
    );
    assert_eq!(answer.unsafe_header(), None, "{what}");
    let policy = answer.header("content-security-policy").expect(what);
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    assert!(answer.header("date").is_some(), "{what}");
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(length, answer.body.len(), "{what}");
}

#[tokio::test]
async fn what_is_no_request_is_told_so_as_every_other_answer_is() {
    let server = TestServer::start().await;
    for head in [
        "nonsense\r\n\r\n",
        "GET /health HTTP/9.9\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "G\u{1}T /health HTTP/1.1\r\n\r\n",
        "GET /he\u{1}alth HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /health HTTP/1.1\r\nname : x\r\n\r\n",
        "GET /health HTTP/1.1\r\nname: a\u{0}b\r\n\r\n",
        "GET /health HTTP/1.1\r\nname: a\r\n folded\r\n\r\n",
        "POST /api/jobs HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "POST /api/jobs HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "POST /api/jobs HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let answer = answer(&server.url, head.as_bytes()).await;
        assert_refused(head, &answer, 400);
    }
}

#[tokio::test]
async fn floods_of_headers_are_answered_although_they_go_on() {
    let server = TestServer::start().await;
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    let endless = format!("x: {}\r\n", "y".repeat(1024)).repeat(4 * 1024);
    for (what, headers) in [
        ("many", many),
        ("large", format!("x: {}\r\n", "y".repeat(200_000))),
        ("endless", endless),
    ] {
        let head = format!("GET /health HTTP/1.1\r\n{headers}\r\n");
        let answer = answer(&server.url, head.as_bytes()).await;
        assert_refused(what, &answer, 431);
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(65_535));
    assert_refused("long", &answer(&server.url, long.as_bytes()).await, 414);
}

#[tokio::test]
async fn nonsense_after_a_request_leaves_its_answer_as_it_is() {
    let server = TestServer::start().await;
    let good = "GET /health HTTP/1.1\r\nhost: h\r\n\r\n";
    let body = "{\"a\":1,\"b\":2}";
    let submit = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    for (requests, statuses) in [
        (
            format!("{good}{good}nonsense\r\n\r\n"),
            ["200", "200", "400"],
        ),
        (
            format!("{submit}{good}nonsense\r\n\r\n"),
            ["401", "200", "400"],
        ),
    ] {
        let text = exchange(&server.url, requests.as_bytes()).await;
        let heads: Vec<_> = text
            .match_indices("HTTP/1.1 ")
            .map(|(place, name)| &text[place + name.len()..][..3])
            .filter(|digits| digits.parse::<u16>().is_ok())
            .collect();
        assert_eq!(heads, statuses, "{text}");
        assert!(text.contains("This is no HTTP/1.1 request."), "{text}");
        assert_eq!(text.matches("x-xss-protection: 0").count(), 3, "{text}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_more_is_ended() {
    let server = TestServer::start().await;
    let authority = server.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(authority).await.unwrap();
    let request = "GET /health HTTP/1.1\r\nhost: h\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let ended = timeout(Duration::from_secs(20), socket.read_to_string(&mut answer));
    ended.await.expect("it is not kept for ever").unwrap();
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
