//! Signals to the program while it has requests, streams and sockets.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use shared::wire::ByeReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::KEY;
use crate::support::{Process, Worker};

const BODY: &str = "{\"a\":2,\"b\":40}";
/// Far more than anything here needs.
const LONG_GRACE: [(&str, &str); 1] = [("SHUTDOWN_GRACE_SEC", "60")];
/// Well within [`LONG_GRACE`], on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn authority(server: &Process) -> &str {
    server.url.strip_prefix("http://").unwrap()
}

/// A submission whose head and half of the body are sent, and are taken.
async fn half_submitted(server: &Process) -> TcpStream {
    let mut socket = TcpStream::connect(authority(server)).await.unwrap();
    let head = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: h\r\nx-client-token: {KEY}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 256];
    let length = socket.read(&mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 100 "));
    socket.write_all(&BODY.as_bytes()[..5]).await.unwrap();
    socket
}

/// Waits until nobody new is taken.
async fn closed_to_newcomers(server: &Process) {
    while TcpStream::connect(authority(server)).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ended(server: Process) -> std::process::ExitStatus {
    tokio::task::spawn_blocking(|| server.wait()).await.unwrap()
}

#[tokio::test]
async fn requests_under_way_are_answered_and_whoever_waits_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &LONG_GRACE);
    let client = &server.client;
    let job = json!({"code": "return 1"});
    let id = client.submit("/api/jobs/run-js", &job).await;
    let mut stream = client.stream(&id).await;
    assert_eq!(stream.next().await.unwrap().0, "snapshot");
    let mut worker = Worker::join(&server.url, &client.invite().await).await;
    worker.assigned().await;
    let mut stranger = Worker::connect(&server.url).await;
    let mut idle = TcpStream::connect(authority(&server)).await.unwrap();
    let mut request = half_submitted(&server).await;

    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(worker.bye().await, ByeReason::ShuttingDown);
    assert_eq!(stranger.bye().await, ByeReason::ShuttingDown);
    while stream.next().await.is_some() {}
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0);
    closed_to_newcomers(&server).await;
    request.write_all(&BODY.as_bytes()[5..]).await.unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let ended = ended(server).await;
    assert_eq!(ended.code(), Some(0));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let created: serde_json::Value = serde_json::from_str(body).unwrap();
    let again = Process::start(folder.path(), &[]);
    let stored = again.client.job(created["jobId"].as_str().unwrap()).await;
    assert_eq!(stored["task"]["b"], 40, "what was answered is stored");
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_when_the_grace_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[("SHUTDOWN_GRACE_SEC", "1")]);
    let mut request = half_submitted(&server).await;
    let began = Instant::now();
    server.signal(Signal::INT);
    let mut answer = Vec::new();
    let _ = request.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    assert_eq!(ended(server).await.code(), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for [first, second] in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::TERM]] {
        let mut server = Process::start(folder.path(), &LONG_GRACE);
        let _request = half_submitted(&server).await;
        let began = Instant::now();
        server.signal(first);
        closed_to_newcomers(&server).await;
        assert!(server.is_running(), "it waits for the request");
        server.signal(second);
        assert_eq!(ended(server).await.code(), Some(0));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}
