//! What one address may ask, and whose word is taken on addresses.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::server::KEY;
use crate::support::{Answer, Client, TestServer};

const CHECK: &str = "/api/auth/check";

/// Asks as the proxy of a client at this address.
async fn check_from(client: &Client, forwarded_for: &str) -> Answer {
    let headers = [("x-forwarded-for", forwarded_for)];
    client.get_with(CHECK, &headers).await
}

#[tokio::test]
async fn who_has_the_key_is_told_how_the_request_came_in() {
    let server = TestServer::with(&[("TRUST_PROXY", "127.0.0.1"), ("BASE_PATH", "/grid")]).await;
    let path = "/api/connection";
    let refused = server.client.without_key().get(path).await;
    assert_eq!(refused.error(401), "Unauthorized client token.");

    let told = server.client.get(path).await.json();
    let url = server.url.clone();
    assert_eq!(
        told,
        json!({
            "peer": "127.0.0.1", "client": "127.0.0.1", "trustProxy": "networks",
            "isPeerTrusted": true, "url": url, "forwarded": {},
        })
    );
    let headers = [
        ("x-forwarded-for", "203.0.113.77, 192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "grid.example"),
        ("via", "1.1 one"),
        ("via", "1.1 two"),
    ];
    let told = server.client.get_with(path, &headers).await.json();
    assert_eq!(
        told,
        json!({
            "peer": "127.0.0.1", "client": "192.0.2.1", "trustProxy": "networks",
            "isPeerTrusted": true, "url": "https://grid.example/grid",
            "forwarded": {
                "x-forwarded-for": "203.0.113.77, 192.0.2.1", "x-forwarded-proto": "https",
                "x-forwarded-host": "grid.example", "via": "1.1 one, 1.1 two",
            },
        })
    );
}

#[tokio::test]
async fn an_address_is_told_how_it_stands_and_stopped_when_it_is_over() {
    let settings = [
        ("TRUST_PROXY", "1"),
        ("API_RATE_LIMIT_MAX", "3"),
        ("API_RATE_LIMIT_WINDOW_MS", "90500"),
    ];
    let server = TestServer::with(&settings).await;
    for remaining in ["2", "1", "0"] {
        let answer = check_from(&server.client, "192.0.2.1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("ratelimit-remaining"), Some(remaining));
        assert_eq!(answer.header("ratelimit-policy"), Some("3;w=91"));
        let reset: u64 = answer.header("ratelimit-reset").unwrap().parse().unwrap();
        assert!((1..=91).contains(&reset), "{reset}");
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = check_from(&server.client, "192.0.2.1").await;
    assert_eq!(refused.error(429), "Too many requests. Slow down.");
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    assert_eq!(
        refused.header("retry-after"),
        refused.header("ratelimit-reset")
    );
    for name in ["content-security-policy", "x-content-type-options"] {
        assert!(refused.header(name).is_some(), "{name}");
    }
    let others = [("192.0.2.2", 200), ("2001:db8:0:1::1", 200)];
    for (address, status) in others {
        assert_eq!(check_from(&server.client, address).await.status, status);
    }
    for (host, status) in [("2", 200), ("3", 200), ("4", 429)] {
        let address = format!("2001:db8:0:1::{host}");
        let answer = check_from(&server.client, &address).await;
        assert_eq!(answer.status, status, "one /64 is one address: {address}");
    }
}

#[tokio::test]
async fn everything_below_api_counts_and_nothing_else() {
    let settings = [("TRUST_PROXY", "1"), ("API_RATE_LIMIT_MAX", "4")];
    let server = TestServer::with(&settings).await;
    let from = [("x-forwarded-for", "192.0.2.1")];
    for path in ["/health", "/", "/client", "/j/abcd", "/apis"] {
        let answer = server.client.get_with(path, &from).await;
        assert_eq!(answer.header("ratelimit-limit"), None, "{path}");
    }
    for (path, remaining) in [
        ("/api/public-config", "3"),
        ("/API/Workers/", "2"),
        ("/api/no-such-route", "1"),
    ] {
        let answer = server.client.get_with(path, &from).await;
        assert_eq!(
            answer.header("ratelimit-remaining"),
            Some(remaining),
            "{path}"
        );
    }
    let put = server.client.send("PUT", CHECK, &from, Vec::new()).await;
    assert_eq!(
        (put.status, put.header("ratelimit-remaining")),
        (405, Some("0"))
    );
    let over = server.client.get_with("/api/public-config", &from).await;
    assert_eq!(over.status, 429);
}

#[tokio::test]
async fn loopback_is_exempt_and_no_header_makes_loopback_of_a_client() {
    let settings = [("TRUST_PROXY", "127.0.0.1"), ("API_RATE_LIMIT_MAX", "2")];
    let server = TestServer::with(&settings).await;
    for _ in 0..5 {
        let answer = server.client.get(CHECK).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-remaining"), Some("2"));
    }
    // The proxy appends whom it saw; everything before it is the client's invention.
    let spoofed = |number: u8| match number % 4 {
        0 => "127.0.0.1".to_owned(),
        1 => "::1".to_owned(),
        2 => "unknown".to_owned(),
        _ => format!("203.0.113.{number}"),
    };
    let mut succeeded = 0;
    for number in 0..42 {
        let forwarded_for = format!("{}, 192.0.2.1", spoofed(number));
        let headers = [
            ("x-forwarded-for", forwarded_for.as_str()),
            ("forwarded", "for=203.0.113.7"),
            ("x-real-ip", "127.0.0.1"),
        ];
        let answer = server.client.get_with(CHECK, &headers).await;
        succeeded += u32::from(answer.status == 200);
    }
    assert_eq!(succeeded, 2, "0 of 40 after the two that it has");
}

#[tokio::test]
async fn who_is_not_trusted_is_not_believed() {
    let server = TestServer::with(&[("TRUST_PROXY", "10.0.0.0/8")]).await;
    let headers = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
    ];
    let answer = server
        .client
        .send("POST", "/api/invites/worker", &headers, b"{}".to_vec())
        .await;
    assert_eq!(answer.header("strict-transport-security"), None);
    let url = answer.json()["inviteUrl"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&server.url), "{url}");
}

#[tokio::test]
async fn after_many_wrong_keys_even_the_right_one_is_not_looked_at() {
    let server = TestServer::with(&[("TRUST_PROXY", "1")]).await;
    let stranger = Client::new(&server.url, "not the key");
    for _ in 0..30 {
        let answer = check_from(&stranger, "192.0.2.1").await;
        assert_eq!(answer.error(401), "Unauthorized client token.");
    }
    for client in [&stranger, &server.client] {
        let answer = check_from(client, "192.0.2.1").await;
        assert_eq!(answer.error(429), "Too many requests. Slow down.");
        let pause: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&pause), "{pause}");
    }
    let keyless = server.client.without_key();
    let answer = check_from(&keyless, "192.0.2.1").await;
    assert_eq!(answer.status, 401, "nothing is tried without a key");
    assert_eq!(check_from(&server.client, "192.0.2.2").await.status, 200);
    for _ in 0..31 {
        assert_eq!(stranger.get(CHECK).await.status, 401, "loopback is exempt");
    }
}

#[tokio::test]
async fn invite_links_cannot_be_guessed_at_leisure() {
    let server = TestServer::with(&[("TRUST_PROXY", "1")]).await;
    let invite = server.client.post("/api/invites/worker", &json!({})).await;
    let good = format!("/j/{}", invite.json()["shortCode"].as_str().unwrap());
    let follow = async |path: &str, from: &str| {
        let headers = [("x-forwarded-for", from)];
        server.client.get_with(path, &headers).await.status
    };
    for _ in 0..40 {
        assert_eq!(
            follow(&good, "192.0.2.1").await,
            302,
            "good ones do not count"
        );
    }
    for number in 0..30 {
        let path = ["/j/0000", "/p/no-such-phrase"][number % 2];
        assert_eq!(follow(path, "192.0.2.1").await, 404);
    }
    assert_eq!(follow(&good, "192.0.2.1").await, 429);
    assert_eq!(follow(&good, "192.0.2.2").await, 302);
}

#[tokio::test]
async fn invite_links_that_are_guessed_all_at_once_are_no_more_than_one_by_one() {
    let server = TestServer::with(&[("TRUST_PROXY", "1")]).await;
    let headers = [("x-forwarded-for", "192.0.2.1")];
    let guess = |_| server.client.get_with("/j/0000", &headers);
    let answers = stream::iter(0..120).map(guess).buffer_unordered(60);
    let statuses: Vec<_> = answers.map(|answer| answer.status).collect().await;
    let looked_at = statuses.iter().filter(|status| **status == 404);
    assert_eq!(looked_at.count(), 30, "{statuses:?}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = TestServer::start().await;
    let authority = server.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(authority).await.unwrap();
    let head = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: {authority}\r\nx-client-token: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: 20\r\n\r\n{{\"a\":"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let closed = timeout(Duration::from_secs(15), socket.read_to_string(&mut answer));
    closed.await.expect("it is given up in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("\"error\":\"Body came too slowly.\""),
        "{answer}"
    );
}

#[tokio::test]
async fn probes_tell_whether_it_lives_and_whether_work_is_taken() {
    let server = TestServer::with(&[("BASE_PATH", "/grid")]).await;
    let root = Client::new(server.url.strip_suffix("/grid").unwrap(), KEY);
    for path in ["/healthz", "/readyz", "/grid/healthz", "/grid/readyz"] {
        let answer = root.without_key().get(path).await;
        assert_eq!((answer.status, &answer.json()["ok"]), (200, &json!(true)));
    }
}

#[tokio::test]
async fn public_config_tells_the_limits_that_hold() {
    let settings = [
        ("CUSTOM_JOB_MAX_RESULT_BYTES", "1024"),
        ("CUSTOM_JOB_MAX_CODE_BYTES", "2048"),
        ("REQUEST_BODY_LIMIT", "1b"),
    ];
    let server = TestServer::with(&settings).await;
    let config = server.client.get("/api/public-config").await.json();
    let limits = &config["customJobLimits"];
    assert_eq!(limits["maxResultBytes"], 4552);
    assert_eq!(limits["maxCodeBytes"], 2048);
    let largest = json!({"code": "\u{1}".repeat(2048), "args": "\u{1}".repeat(5461 - 2)});
    server.client.submit("/api/jobs/run-js", &largest).await;
}
