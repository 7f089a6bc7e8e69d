//! Frames that no honest worker sends: each ends its own socket and nothing else.

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use shared::ids::{AttemptId, Nonce};
use shared::limits::{MAX_ATTEMPTS_PER_LEAF, MAX_RANGES_PER_MESSAGE, MAX_TICKETS_PER_FRAME};
use shared::wire::{
    self, AttemptRange, ByeReason, Disposition, Held, Hello, ProtocolVersion, RefusalReason,
    Refused, ResultBatch, ResultRow, SignedLeaf, Stage, ToServer, ToWorker,
};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::{Offer, TestServer, Worker, open, returned};

fn far_range() -> AttemptRange {
    AttemptRange {
        nonce: Nonce::from_bytes([1; 16]),
        first: 0,
        count: u32::MAX,
    }
}

fn batch(rows: u32) -> ResultBatch {
    ResultBatch {
        nonce: Nonce::from_bytes([1; 16]),
        rows: (0..rows)
            .map(|index| ResultRow {
                index,
                result: returned("1"),
            })
            .collect(),
    }
}

fn nonsense_ticket() -> SignedLeaf {
    SignedLeaf {
        leaf: vec![0; 100],
        index: 0,
        path: Vec::new(),
        root: "a.b.c".into(),
    }
}

async fn assert_works(server: &TestServer, neighbour: &mut Worker) {
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let assigned = neighbour.assigned().await;
    neighbour.finish(&assigned, |_| returned("2")).await;
    neighbour.disposed().await;
    assert_eq!(server.client.job(&id).await["result"], 2);
}

#[tokio::test]
async fn frames_out_of_turn_or_shape_end_their_own_socket_only() {
    let server = TestServer::start().await;
    let invite = server.client.invite().await;
    let mut neighbour = Worker::join(&server.url, &invite).await;
    let hello = ToServer::Hello(Box::new(Offer::invited(&invite).hello()));
    let far_hello = ToServer::Hello(Box::new(Hello {
        held: vec![Held {
            range: far_range(),
            stage: Stage::Running,
        }],
        ..Offer::invited(&invite).hello()
    }));
    // Each is fine, and together they are more than any worker holds.
    let pile: Vec<Held> = vec![
        Held {
            range: AttemptRange {
                count: MAX_ATTEMPTS_PER_LEAF as u32,
                ..far_range()
            },
            stage: Stage::Finished,
        };
        17
    ];
    let pile_hello = ToServer::Hello(Box::new(Hello {
        held: pile.clone(),
        ..Offer::invited(&invite).hello()
    }));
    let no_slots = ToServer::Hello(Box::new(Hello {
        slots: 0,
        ..Offer::invited(&invite).hello()
    }));
    let mut trailing = wire::encode(&hello);
    trailing.push(0);
    let binary = |message: &ToServer| Message::Binary(wire::encode(message).into());

    for (what, first) in [
        ("text", Message::Text("hello".into())),
        ("nothing", Message::Binary(Vec::new().into())),
        ("noise", Message::Binary(vec![0xff; 64].into())),
        ("trailing bytes", Message::Binary(trailing.into())),
        ("no hello", binary(&ToServer::Leave)),
        ("a range beyond any leaf", binary(&far_hello)),
        ("the same attempts over and over", binary(&pile_hello)),
        ("no slots", binary(&no_slots)),
        ("too long", Message::Binary(vec![0; 1_114_113].into())),
    ] {
        let mut stranger = Worker::connect(&server.url).await;
        stranger.send(first).await;
        assert_eq!(stranger.bye().await, ByeReason::ProtocolViolation, "{what}");
    }
    let too_many_rows = ToServer::Results(vec![batch(MAX_ATTEMPTS_PER_LEAF as u32 + 1)]);
    for (what, message) in [
        ("a second hello", hello),
        ("too many rows", too_many_rows),
        (
            "too many tickets",
            ToServer::Tickets(vec![nonsense_ticket(); MAX_TICKETS_PER_FRAME + 1]),
        ),
        (
            "a beat beyond any leaf",
            ToServer::Beat {
                held: vec![Held {
                    range: far_range(),
                    stage: Stage::Queued,
                }],
            },
        ),
        (
            "more rows than a worker holds",
            ToServer::Results(vec![batch(MAX_ATTEMPTS_PER_LEAF as u32); 17]),
        ),
        (
            "a beat of the same attempts over and over",
            ToServer::Beat { held: pile },
        ),
        (
            "more refusals than a message may have",
            ToServer::Refused(vec![
                Refused {
                    range: None,
                    reason: RefusalReason::Malformed,
                };
                MAX_RANGES_PER_MESSAGE + 1
            ]),
        ),
        (
            "a refusal beyond any leaf",
            ToServer::Refused(vec![Refused {
                range: Some(far_range()),
                reason: RefusalReason::Stopped,
            }]),
        ),
    ] {
        let mut joined = Worker::join(&server.url, &invite).await;
        joined.say(&message).await;
        assert_eq!(joined.bye().await, ByeReason::ProtocolViolation, "{what}");
    }
    assert_works(&server, &mut neighbour).await;
}

#[tokio::test]
async fn another_protocol_version_is_told_so() {
    let server = TestServer::start().await;
    let mut worker = Worker::connect(&server.url).await;
    let hello = Hello {
        version: ProtocolVersion(2),
        ..Offer::invited(&server.client.invite().await).hello()
    };
    worker.say(&ToServer::Hello(Box::new(hello))).await;
    assert_eq!(worker.bye().await, ByeReason::UnsupportedVersion);
}

#[tokio::test]
async fn results_for_attempts_of_others_are_refused() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let invite = server.client.invite().await;
    let mut owner = Worker::join(&server.url, &invite).await;
    let assigned = owner.assigned().await;
    let mut thief = Worker::join(&server.url, &invite).await;
    thief
        .say(&ToServer::Tickets(vec![
            nonsense_ticket(),
            assigned.ticket.clone(),
        ]))
        .await;
    thief.finish(&assigned, |_| returned("666")).await;
    assert_eq!(thief.disposed().await[0].disposition, Disposition::Refused);
    owner.finish(&assigned, |_| returned("2")).await;
    assert_eq!(owner.disposed().await[0].disposition, Disposition::Durable);
    owner.finish(&assigned, |_| returned("3")).await;
    let again = owner.disposed().await[0].disposition;
    assert!(
        matches!(again, Disposition::Duplicate | Disposition::Stale),
        "{again:?}"
    );
    assert_eq!(server.client.job(&id).await["result"], 2);
}

#[tokio::test]
async fn a_result_that_is_no_json_or_too_large_becomes_an_error_of_its_job() {
    let server = TestServer::with(&[("CUSTOM_JOB_MAX_RESULT_BYTES", "4600")]).await;
    let mut worker = server.worker().await;
    let deep = "[".repeat(100_000);
    let large = format!("\"{}\"", "x".repeat(5000));
    for (value, message) in [
        ("{\"hits\":", "the return value is not a JSON text"),
        (&large, "the result is larger than 4600 bytes"),
        (&deep, "the result is larger than 4600 bytes"),
        (
            &deep[..1000],
            "the return value is nested deeper than 128 levels",
        ),
    ] {
        let id = server
            .client
            .submit("/api/jobs/run-js", &json!({"code": "return 1"}))
            .await;
        let assigned = worker.assigned().await;
        worker.finish(&assigned, |_| returned(value)).await;
        assert_eq!(worker.disposed().await[0].disposition, Disposition::Durable);
        let state = server.client.job(&id).await;
        assert_eq!(state["status"], "done");
        assert_eq!(state["result"]["exitCode"], 70);
        assert_eq!(state["result"]["error"]["message"], message);
    }
}

#[tokio::test]
async fn a_socket_that_sends_too_many_messages_is_closed_and_may_come_back() {
    let server = TestServer::with(&[("WS_MAX_MESSAGES_PER_WINDOW", "5")]).await;
    let mut other = server.worker().await;
    let mut worker = Worker::offer(
        &server.url,
        &Offer {
            secret: 2,
            worker: "worker-other".into(),
            ..Offer::invited(&server.client.invite().await)
        },
    )
    .await;
    for _ in 0..5 {
        worker.say(&ToServer::Credit { limit: 1 }).await;
    }
    assert_eq!(
        worker.bye().await,
        ByeReason::Full,
        "hello was the first of six"
    );
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let assigned = other.assigned().await;
    other.finish(&assigned, |_| returned("2")).await;
    other.disposed().await;
    assert_eq!(server.client.job(&id).await["result"], 2);
}

#[tokio::test]
async fn an_address_has_few_sockets_that_have_not_said_hello() {
    let server = TestServer::with(&[("WS_MAX_CONNECTIONS_PER_IP", "2")]).await;
    let silent = [
        Worker::connect(&server.url).await,
        Worker::connect(&server.url).await,
    ];
    let refused = open(&server.url, &[]).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
        panic!("not refused: {refused:?}");
    };
    assert_eq!(answer.status(), 429);
    let offer = Offer::invited(&server.client.invite().await);
    let mut joined = Vec::new();
    for mut worker in silent {
        let hello = ToServer::Hello(Box::new(offer.hello()));
        worker.say(&hello).await;
        assert!(matches!(worker.next().await, ToWorker::Welcome(_)));
        joined.push(worker);
    }
    for _ in 0..3 {
        joined.push(server.worker().await);
    }
}

#[tokio::test]
async fn sockets_that_have_not_said_hello_are_cut_off_before_they_make_us_keep_much() {
    let server = TestServer::with(&[("WS_MAX_CONNECTIONS_PER_IP", "64")]).await;
    let mut silent = open(&server.url, &[]).await.unwrap();
    let mut greedy = FuturesUnordered::new();
    for _ in 0..32 {
        let mut socket = open(&server.url, &[]).await.unwrap();
        greedy.push(async move {
            let begun = Frame::message(vec![0; 1 << 20], OpCode::Data(Data::Binary), false);
            let _ = socket.send(Message::Frame(begun)).await;
            let _ = socket.next().await;
        });
    }
    tokio::select! {
        biased;
        _ = silent.next() => panic!("they may wait as long as who sends nothing"),
        Some(()) = greedy.next() => {}
    }
    let mut neighbour = server.worker().await;
    assert_works(&server, &mut neighbour).await;
}

#[tokio::test]
async fn an_index_that_the_leaf_does_not_have_is_refused() {
    let server = TestServer::start().await;
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    let attempt = AttemptId {
        nonce: assigned.leaf.nonce,
        index: 500,
    };
    let rows = vec![ResultRow {
        index: attempt.index,
        result: returned("1"),
    }];
    let nonce = attempt.nonce;
    worker
        .say(&ToServer::Results(vec![ResultBatch { nonce, rows }]))
        .await;
    let disposed = worker.disposed().await;
    assert_eq!(disposed[0].disposition, Disposition::Refused);
    assert_eq!(disposed[0].range, AttemptRange::one(attempt));
}

#[tokio::test]
async fn an_add_is_arithmetic_whatever_a_worker_says() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 2, "b": 3}))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    worker.finish(&assigned, |_| returned("666")).await;
    worker.disposed().await;
    assert_eq!(server.client.job(&id).await["result"], 5);
}

#[tokio::test]
async fn a_flood_before_or_after_hello_ends_its_own_socket_only() {
    let server = TestServer::with(&[("WS_MAX_MESSAGES_PER_WINDOW", "2000")]).await;
    let invite = server.client.invite().await;
    let mut neighbour = Worker::join(&server.url, &invite).await;
    let mut stranger = Worker::connect(&server.url).await;
    let ping = Message::Ping(Vec::new().into());
    stranger.flood(&ping, 16).await;
    assert_eq!(
        stranger.bye().await,
        ByeReason::Full,
        "pings in place of hello"
    );

    let credit = Message::Binary(wire::encode(&ToServer::Credit { limit: 1 }).into());
    let ping = Message::Ping(vec![0; 125].into());
    for (what, message) in [("messages", credit), ("pings", ping)] {
        let mut joined = Worker::join(&server.url, &invite).await;
        joined.flood(&message, 20_000).await;
        assert_eq!(joined.bye().await, ByeReason::Full, "{what}");
    }
    assert_works(&server, &mut neighbour).await;
}
