//! Who may join, under which name, and how sessions go on.

use std::time::Duration;

use serde_json::json;
use shared::ids::Nonce;
use shared::wire::{ByeReason, Credential, Disposition, Stage, ToServer, ToWorker};

use crate::support::{Offer, TestServer, Worker, held, returned};

#[tokio::test]
async fn an_invite_lets_in_and_anything_else_is_told_why_not() {
    let server = TestServer::start().await;
    let no_invite = Worker::refused(&server.url, &Offer::invited("v1.x.y")).await;
    assert_eq!(
        no_invite,
        ByeReason::Unauthorized("invalid_token_format".into())
    );
    let stale = server.client.invite().await;
    let newest = server.client.invite().await;
    let refused = Worker::refused(&server.url, &Offer::invited(&stale)).await;
    assert_eq!(refused, ByeReason::Unauthorized("stale_token".into()));
    let worker = Worker::join(&server.url, &newest).await;
    let limits = worker.welcome().limits;
    assert_eq!(limits.max_result_bytes, 1_048_576);
    assert_eq!((limits.max_frame_bytes, limits.max_slots), (1_114_112, 8));
}

#[tokio::test]
async fn a_worker_that_is_connected_stays_when_a_newer_invite_is_made() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    server.client.invite().await;
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 2}))
        .await;
    let assigned = worker.assigned().await;
    worker.finish(&assigned, |_| returned("3")).await;
    assert_eq!(worker.disposed().await[0].disposition, Disposition::Durable);
}

#[tokio::test]
async fn a_name_belongs_to_the_secret_that_first_used_it() {
    let server = TestServer::start().await;
    let invite = server.client.invite().await;
    let own = Worker::join(&server.url, &invite).await;
    assert_eq!(own.welcome().worker.as_str(), "worker-native");
    own.vanish().await;
    let thief = Offer {
        secret: 2,
        ..Offer::invited(&invite)
    };
    let thief = Worker::offer(&server.url, &thief).await;
    let fresh = thief.welcome().worker.as_str().to_owned();
    assert_ne!(fresh, "worker-native");
    assert!(fresh.starts_with("worker-") && fresh.len() == 13, "{fresh}");
}

#[tokio::test]
async fn two_tabs_of_one_browser_are_two_workers() {
    let server = TestServer::start().await;
    let invite = server.client.invite().await;
    let first = Worker::join(&server.url, &invite).await;
    let second = Worker::join(&server.url, &invite).await;
    assert_ne!(first.welcome().worker, second.welcome().worker);
    assert_eq!(server.client.get("/api/workers").await.json()["count"], 2);
}

#[tokio::test]
async fn a_session_token_outlives_the_invite_and_speaks_for_its_worker_only() {
    let server = TestServer::start().await;
    let welcome = server.worker().await.vanish().await;
    server.client.invite().await;
    let again = Worker::offer(&server.url, &Offer::with_token(&welcome, false)).await;
    assert_eq!(again.welcome().worker, welcome.worker);
    assert_ne!(
        again.session(),
        welcome.session,
        "a reload is a new session"
    );
    let welcome = again.vanish().await;

    let other_name = Offer {
        worker: "worker-other".into(),
        ..Offer::with_token(&welcome, false)
    };
    let refused = Worker::refused(&server.url, &other_name).await;
    assert_eq!(refused, ByeReason::SessionUnknown);
    let other_secret = Offer {
        secret: 9,
        ..Offer::with_token(&welcome, true)
    };
    let refused = Worker::refused(&server.url, &other_secret).await;
    assert_eq!(refused, ByeReason::ForeignWorkerId);
    let forged = Offer {
        credential: Credential::Session {
            token: "s1.AAAA.AAAA".into(),
            resume: true,
        },
        ..Offer::with_token(&welcome, true)
    };
    let refused = Worker::refused(&server.url, &forged).await;
    assert_eq!(refused, ByeReason::SessionUnknown);
}

#[tokio::test]
async fn a_session_goes_on_with_its_attempts_over_another_socket() {
    let server = TestServer::start().await;
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 20, "b": 22}))
        .await;
    let mut worker = server.worker().await;
    let assigned = worker.assigned().await;
    let welcome = worker.vanish().await;

    let resumed = Offer {
        held: vec![held(&assigned, Stage::Running)],
        ..Offer::with_token(&welcome, true)
    };
    let mut worker = Worker::offer(&server.url, &resumed).await;
    assert_eq!(worker.session(), welcome.session);
    assert_eq!(
        worker.welcome().unknown,
        [],
        "the server knows what is held"
    );
    worker.finish(&assigned, |_| returned("42")).await;
    assert_eq!(worker.disposed().await[0].disposition, Disposition::Durable);
    assert_eq!(server.client.job(&id).await["result"], 42);
}

#[tokio::test]
async fn who_returns_to_a_name_that_is_taken_meanwhile_gets_another_and_a_session_of_its_own() {
    let server = TestServer::start().await;
    let invite = server.client.invite().await;
    let away = Worker::join(&server.url, &invite).await.vanish().await;
    let tab = Worker::join(&server.url, &invite).await;
    assert_eq!(tab.welcome().worker, away.worker);
    let back = Worker::offer(&server.url, &Offer::with_token(&away, true)).await;
    assert_ne!(back.welcome().worker, away.worker);
    assert_ne!(back.session(), away.session);
}

#[tokio::test]
async fn a_socket_is_told_when_its_session_connects_again() {
    let server = TestServer::start().await;
    let mut old = server.worker().await;
    let resumed = Offer::with_token(old.welcome(), true);
    let mut new = Worker::offer(&server.url, &resumed).await;
    assert_eq!(old.bye().await, ByeReason::Replaced);
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    new.assigned().await;
}

#[tokio::test]
async fn what_a_reloaded_page_held_is_assigned_again_at_once() {
    let server = TestServer::start().await;
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let mut before = server.worker().await;
    let lost = before.assigned().await;
    let welcome = before.vanish().await;
    let mut after = Worker::offer(&server.url, &Offer::with_token(&welcome, false)).await;
    let again = after.assigned().await;
    assert_eq!(again.leaf.jobs[0].job, lost.leaf.jobs[0].job);
    assert_ne!(again.leaf.nonce, lost.leaf.nonce);
}

#[tokio::test]
async fn who_leaves_gives_everything_back() {
    let server = TestServer::start().await;
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let invite = server.client.invite().await;
    let mut leaving = Worker::join(&server.url, &invite).await;
    leaving.assigned().await;
    leaving.say(&ToServer::Leave).await;
    let mut staying = Worker::join(&server.url, &invite).await;
    staying.assigned().await;
}

#[tokio::test]
async fn the_time_is_signed_for_each_challenge() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let challenge = Nonce::from_bytes([9; 16]);
    worker.say(&ToServer::Sync { challenge }).await;
    let signed = loop {
        if let ToWorker::Time(signed) = worker.next().await {
            break signed;
        }
    };
    let time = worker.prove(*signed).time().unwrap();
    assert_eq!(time.challenge, challenge);
}

#[tokio::test]
async fn a_stopping_server_says_bye_and_asks_to_come_back() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let stopped = tokio::spawn(server.stop());
    let ToWorker::Bye {
        reason,
        retry_after_ms,
    } = worker.next().await
    else {
        panic!("no bye");
    };
    assert_eq!(reason, ByeReason::ShuttingDown);
    assert!(retry_after_ms.is_some());
    drop(worker);
    stopped.await.unwrap();
}

#[tokio::test]
async fn whoever_asks_for_the_time_gets_a_token_that_holds_anew() {
    let server = TestServer::start().await;
    let mut worker = server.worker().await;
    let session = worker.session();
    // Tokens end with a second of their own.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let token = worker.renewed().await;
    assert_ne!(token, worker.welcome().token);
    let renewed = Offer {
        credential: Credential::Session {
            token,
            resume: true,
        },
        ..Offer::with_token(worker.welcome(), true)
    };
    worker.vanish().await;
    let resumed = Worker::offer(&server.url, &renewed).await;
    assert_eq!(resumed.session(), session);
}
