//! `kill -9` at chosen moments: what was acknowledged is still there, and what workers still run is
//! taken back by their tickets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use shared::wire::{Disposition, Stage, ToServer};

use crate::support::{Offer, Process, Worker, held, returned};

const SHARDS: u64 = 40;

fn sharded() -> serde_json::Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": SHARDS, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

/// A server on the same data folder, after a kill.
fn again(process: Process, folder: &tempfile::TempDir, reclaim_sec: &str) -> Process {
    process.kill();
    Process::start(folder.path(), &[("RECLAIM_SEC", reclaim_sec)])
}

#[tokio::test]
async fn results_of_before_a_kill_are_taken_by_their_tickets_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let id = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let stored = worker.assigned().await;
    worker.compute(&stored).await;
    worker.all_disposed(stored.attempts()).await;
    let running = worker.assigned().await;
    let before = server.client.job(&id).await["task"]["shards"]["completed"].clone();
    assert_eq!(before, stored.attempts());
    let welcome = worker.vanish().await;

    // The worker did not hear that its first results are durable: it brings everything again.
    let server = again(server, &folder, "1");
    let state = server.client.job(&id).await;
    assert_eq!(state["status"], "running");
    assert_eq!(state["task"]["shards"]["completed"], before);
    let resumed = Offer {
        held: vec![
            held(&stored, Stage::Finished),
            held(&running, Stage::Running),
        ],
        ..Offer::with_token(&welcome, true)
    };
    let mut worker = Worker::offer(&server.url, &resumed).await;
    assert_eq!(worker.session(), welcome.session);
    let unknown: BTreeSet<_> = worker.welcome().unknown.iter().copied().collect();
    let brought = [&stored, &running].map(|assigned| assigned.leaf.nonce);
    assert_eq!(
        unknown,
        BTreeSet::from(brought),
        "the new process knows none of them"
    );
    let tickets = vec![stored.ticket.clone(), running.ticket.clone()];
    worker.say(&ToServer::Tickets(tickets)).await;
    worker.compute(&stored).await;
    worker.compute(&running).await;
    let disposed = worker
        .all_disposed(stored.attempts() + running.attempts())
        .await;
    assert_eq!(
        disposed.get(&Disposition::Durable),
        Some(&running.attempts())
    );
    assert_eq!(disposed.get(&Disposition::Refused), None);

    let mut open = SHARDS as u32 - stored.attempts() - running.attempts();
    while open > 0 {
        let assigned = worker.assigned().await;
        worker.compute(&assigned).await;
        let disposed = worker.all_disposed(assigned.attempts()).await;
        assert_eq!(
            disposed,
            BTreeMap::from([(Disposition::Durable, assigned.attempts())])
        );
        open -= assigned.attempts();
    }
    let state = server.client.job(&id).await;
    assert_eq!(state["status"], "done");
    let sum = SHARDS * (SHARDS - 1) / 2;
    assert_eq!(
        state["result"]["aggregate"],
        json!({"hits": sum, "samples": SHARDS})
    );
}

#[tokio::test]
async fn a_job_says_that_it_waits_for_what_devices_may_bring_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let id = server.client.submit("/api/jobs/run-js", &sharded()).await;
    let invite = server.client.invite().await;
    let mut worker = Worker::join(&server.url, &invite).await;
    let running = worker.assigned().await;
    assert_eq!(server.client.job(&id).await.get("waiting"), None);
    let welcome = worker.vanish().await;

    let server = again(server, &folder, "300");
    assert_eq!(server.client.job(&id).await["waiting"], "no worker");
    let stranger = Offer {
        worker: "worker-stranger".into(),
        ..Offer::invited(&invite)
    };
    let _stranger = Worker::offer(&server.url, &stranger).await;
    let state = server.client.job(&id).await;
    assert_eq!(state["waiting"], "devices to bring back their work");
    let resumed = Offer {
        held: vec![held(&running, Stage::Running)],
        ..Offer::with_token(&welcome, true)
    };
    let mut worker = Worker::offer(&server.url, &resumed).await;
    worker
        .say(&ToServer::Tickets(vec![running.ticket.clone()]))
        .await;
    while server.client.job(&id).await.get("waiting").is_some() {}
    worker.compute(&running).await;
    worker.all_disposed(running.attempts()).await;

    let server = again(server, &folder, "0");
    let _worker = Worker::offer(&server.url, &Offer::with_token(&welcome, true)).await;
    let state = server.client.job(&id).await;
    assert_eq!(state.get("waiting"), None, "nothing is withheld: {state}");
}

#[tokio::test]
async fn results_of_before_a_kill_without_a_ticket_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let assigned = worker.assigned().await;
    let welcome = worker.vanish().await;
    let server = again(server, &folder, "300");
    let resumed = Offer {
        held: vec![held(&assigned, Stage::Finished)],
        ..Offer::with_token(&welcome, true)
    };
    let mut worker = Worker::offer(&server.url, &resumed).await;
    worker.finish(&assigned, |_| returned("2")).await;
    assert_eq!(worker.disposed().await[0].disposition, Disposition::Refused);
}

#[tokio::test]
async fn done_jobs_invites_and_names_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let id = server
        .client
        .submit("/api/jobs", &json!({"a": 20, "b": 22}))
        .await;
    let invite = server.client.invite().await;
    let mut worker = Worker::join(&server.url, &invite).await;
    let assigned = worker.assigned().await;
    worker.finish(&assigned, |_| returned("42")).await;
    worker.disposed().await;
    let before = server.client.job(&id).await;
    let kid = server.client.get("/api/public-config").await.json();

    let server = again(server, &folder, "300");
    assert_eq!(server.client.job(&id).await, before);
    assert_eq!(server.client.get("/api/public-config").await.json(), kid);
    let thief = Offer {
        secret: 2,
        ..Offer::invited(&invite)
    };
    let thief = Worker::offer(&server.url, &thief).await;
    assert_ne!(thief.welcome().worker.as_str(), "worker-native");
}
