//! What an operator orders about invites and workers: at once, when a worker comes back, and after
//! `kill -9`.

use rusqlite::Connection;
use serde_json::{Value, json};
use shared::wire::{AttemptRange, ByeReason, Credential, Disposition, Stage, ToServer, ToWorker};
use tempfile::TempDir;

use crate::support::{Answer, Client, Offer, Process, TestServer, Worker, held};

/// Invites that let in although a newer one was made.
const EVERY_INVITE: (&str, &str) = ("WORKER_INVITE_REQUIRE_LATEST", "false");

fn unauthorized(why: &str) -> ByeReason {
    ByeReason::Unauthorized(why.into())
}

fn ended() -> ByeReason {
    unauthorized("ended_session")
}

/// A device with a name and a secret of its own.
fn device(number: u8, invite: &str) -> Offer {
    Offer {
        worker: format!("device-{number}"),
        secret: number,
        ..Offer::invited(invite)
    }
}

/// The same device, with the token that it was given last.
fn back(number: u8, worker: &Worker, resume: bool) -> Offer {
    Offer {
        credential: Credential::Session {
            token: worker.welcome().token.clone(),
            resume,
        },
        ..device(number, "")
    }
}

async fn invite(client: &Client, wish: &Value) -> String {
    let made = client.post("/api/invites/worker", wish).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["inviteToken"].as_str().unwrap().to_owned()
}

async fn listed(client: &Client) -> Vec<Value> {
    let list = client.get("/api/invites").await.json();
    list["invites"].as_array().unwrap().clone()
}

async fn newest_jti(client: &Client) -> String {
    listed(client).await[0]["jti"].as_str().unwrap().to_owned()
}

async fn order(client: &Client, number: u8, order: &str) -> Answer {
    let path = format!("/api/workers/device-{number}/{order}");
    client.post(&path, &json!({})).await
}

async fn ordered(client: &Client, number: u8, what: &str) -> String {
    let answer = order(client, number, what).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["workerId"], format!("device-{number}"));
    answer["state"].as_str().unwrap().to_owned()
}

fn sharded(shards: u64) -> Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": shards, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

async fn connected(client: &Client) -> u64 {
    let list = client.get("/api/workers").await.json();
    list["count"].as_u64().unwrap()
}

fn database(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("cluster.db")).unwrap()
}

/// The names of workers that are stored.
fn names(server: &TestServer) -> Vec<String> {
    let database = database(&server.folder);
    let mut statement = database
        .prepare("SELECT id FROM workers ORDER BY id")
        .unwrap();
    let names = statement.query_map((), |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

/// Why the server closes, and that it does not ask to come back.
async fn last_word(worker: &mut Worker) -> ByeReason {
    loop {
        if let ToWorker::Bye {
            reason,
            retry_after_ms,
        } = worker.next().await
        {
            assert_eq!(retry_after_ms, None);
            return reason;
        }
    }
}

/// How many attempts are revoked, of which assignment it may be.
fn count(ranges: &[AttemptRange]) -> u32 {
    ranges.iter().map(|range| range.count).sum()
}

#[tokio::test]
async fn an_invite_for_two_lets_in_two_workers_however_often_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let wish = json!({"maxUses": 2});
    let made = server
        .client
        .post("/api/invites/worker", &wish)
        .await
        .json();
    assert_eq!(made["maxUses"], 2);
    let token = made["inviteToken"].as_str().unwrap();
    for number in [1, 2, 1] {
        let worker = Worker::offer(&server.url, &device(number, token)).await;
        assert_eq!(worker.welcome().worker.as_str(), format!("device-{number}"));
        worker.vanish().await;
    }
    let third = Worker::refused(&server.url, &device(3, token)).await;
    assert_eq!(third, unauthorized("used_up_token"));
    assert_eq!(listed(&server.client).await[0]["uses"], 2);
    server.kill();
    let server = Process::start(folder.path(), &[]);
    let third = Worker::refused(&server.url, &device(3, token)).await;
    assert_eq!(third, unauthorized("used_up_token"));
    Worker::offer(&server.url, &device(2, token)).await;
}

#[tokio::test]
async fn a_second_tab_is_a_use_and_a_reloaded_page_is_none() {
    let server = TestServer::start().await;
    let token = invite(&server.client, &json!({"maxUses": 3})).await;
    let first = Worker::offer(&server.url, &device(1, &token)).await;
    let reload = back(1, &first, false);
    let by_invite = Worker::offer(&server.url, &device(1, &token)).await;
    let by_token = Worker::offer(&server.url, &reload).await;
    let names = [&first, &by_invite, &by_token].map(|it| &it.welcome().worker);
    assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    assert_eq!(connected(&server.client).await, 3);
    let fourth = Worker::refused(&server.url, &device(1, &token)).await;
    assert_eq!(fourth, unauthorized("used_up_token"));
    first.vanish().await;
    Worker::offer(&server.url, &reload).await;
    assert_eq!(listed(&server.client).await[0]["uses"], 3);
}

#[tokio::test]
async fn a_session_token_makes_no_more_of_an_invite_than_it_allows() {
    let server = TestServer::start().await;
    let token = invite(&server.client, &json!({"maxUses": 1})).await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    let (reload, resume) = (back(1, &worker, false), back(1, &worker, true));
    let mut sessions = vec![worker.session()];
    for offer in [&reload, &reload, &resume, &reload, &resume] {
        let another = Worker::offer(&server.url, offer).await;
        assert_eq!(another.welcome().worker.as_str(), "device-1");
        assert!(!sessions.contains(&another.session()));
        sessions.push(another.session());
        assert_eq!(last_word(&mut worker).await, ByeReason::Replaced);
        assert_eq!(connected(&server.client).await, 1);
        worker = another;
    }
    let foreign = Offer {
        secret: 9,
        ..reload
    };
    let refused = Worker::refused(&server.url, &foreign).await;
    assert_eq!(refused, ByeReason::ForeignWorkerId);
    assert_eq!(connected(&server.client).await, 1);
    assert_eq!(listed(&server.client).await[0]["uses"], 1);
}

#[tokio::test]
async fn who_is_refused_takes_no_name() {
    let server = TestServer::start().await;
    let token = invite(&server.client, &json!({"maxUses": 1})).await;
    let _worker = Worker::offer(&server.url, &device(1, &token)).await;
    // Names of their own, one that is another's, and further tabs.
    for number in [2, 3, 1, 1] {
        let offer = Offer {
            secret: number + 1,
            ..device(number, &token)
        };
        let refused = Worker::refused(&server.url, &offer).await;
        assert_eq!(refused, unauthorized("used_up_token"));
    }
    let refused = Worker::refused(&server.url, &device(1, &token)).await;
    assert_eq!(refused, unauthorized("used_up_token"));
    assert_eq!(names(&server), ["device-1"]);
}

#[tokio::test]
async fn a_connected_worker_keeps_its_name_however_many_come_and_can_be_banned() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    drop(Worker::offer(&server.url, &device(1, &token)).await);
    let folder = server.stop().await;
    // It has been here for days, and so many have been here since.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                INSERT INTO workers (id, secret_digest, first_seen_ms, last_seen_ms) \
                SELECT printf('other-%06d', i), randomblob(32), i, 9000000000000 FROM n";
    database(&folder).execute_batch(many).unwrap();
    let server = TestServer::on(folder, &[]).await;
    let token = server.client.invite().await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    let long_ago = "UPDATE workers SET last_seen_ms = 0 WHERE id = 'device-1'";
    database(&server.folder).execute_batch(long_ago).unwrap();
    for number in [2, 3] {
        Worker::offer(&server.url, &device(number, &token)).await;
    }
    let stranger = Offer {
        secret: 9,
        ..device(1, &token)
    };
    let stranger = Worker::offer(&server.url, &stranger).await;
    assert_ne!(stranger.welcome().worker, worker.welcome().worker);
    assert_eq!(ordered(&server.client, 1, "ban").await, "banned");
    assert_eq!(last_word(&mut worker).await, ByeReason::Banned);
}

#[tokio::test]
async fn invites_are_listed_newest_first_and_without_their_tokens() {
    let server = TestServer::start().await;
    let first = json!({"workerLabel": "class", "ttlSec": 60, "maxUses": 3});
    let token = invite(&server.client, &first).await;
    Worker::offer(&server.url, &device(1, &token)).await;
    let second = server.client.post("/api/invites/worker", &json!({})).await;
    let second = second.json();
    assert_eq!(second.get("maxUses"), None, "old clients see what they saw");
    let answer = server.client.get("/api/invites").await;
    assert!(!answer.text.contains("v1."), "{}", answer.text);
    let [newest, oldest] = listed(&server.client).await.try_into().unwrap();
    for (row, name, value) in [
        (&newest, "latest", json!(true)),
        (&newest, "label", json!(null)),
        (&newest, "maxUses", json!(null)),
        (&newest, "uses", json!(0)),
        (&newest, "shortCode", second["shortCode"].clone()),
        (&newest, "phraseSlug", second["phraseSlug"].clone()),
        (&newest, "expiresAt", second["expiresAt"].clone()),
        (&oldest, "latest", json!(false)),
        (&oldest, "label", json!("class")),
        (&oldest, "maxUses", json!(3)),
        (&oldest, "uses", json!(1)),
        (&oldest, "revoked", json!(false)),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_limit_that_is_none_is_refused() {
    let server = TestServer::start().await;
    for wrong in [json!(0), json!(10_001), json!(1.5), json!("2"), json!(true)] {
        let answer = server
            .client
            .post("/api/invites/worker", &json!({"maxUses": wrong}))
            .await;
        let text = "maxUses must be an integer from 1 to 10000.";
        assert_eq!(answer.error(400), text);
    }
}

#[tokio::test]
async fn a_revoked_invite_lets_nobody_in_and_its_workers_go_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[EVERY_INVITE]);
    let leaked = invite(&server.client, &json!({})).await;
    let jti = newest_jti(&server.client).await;
    let mut guests = Vec::new();
    for number in [1, 2] {
        guests.push(Worker::offer(&server.url, &device(number, &leaked)).await);
    }
    let returns = [true, false].map(|resume| back(2, &guests[1], resume));
    let good = invite(&server.client, &json!({})).await;
    let mut other = Worker::offer(&server.url, &device(3, &good)).await;

    let path = format!("/api/invites/{jti}");
    let answer = server.client.delete(&path).await;
    let expected = json!({"ok": true, "jti": jti, "disconnected": 2});
    assert_eq!(answer.json(), expected);
    for guest in &mut guests {
        assert_eq!(last_word(guest).await, unauthorized("revoked_token"));
    }
    let again = server.client.delete(&path).await.json();
    assert_eq!(again["disconnected"], 0, "it can be said twice");
    let refused = Worker::refused(&server.url, &device(4, &leaked)).await;
    assert_eq!(refused, unauthorized("revoked_token"));
    for offer in &returns {
        let refused = Worker::refused(&server.url, offer).await;
        assert_eq!(refused, ByeReason::SessionUnknown);
    }
    let metrics = format!("/api/worker/metrics?invite={leaked}");
    let answer = server.client.without_key().get(&metrics).await;
    let text = "Unauthorized worker invite: revoked_token";
    assert_eq!(answer.error(401), text);
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 2}))
        .await;
    other.assigned().await;

    server.kill();
    let server = Process::start(folder.path(), &[EVERY_INVITE]);
    let refused = Worker::refused(&server.url, &device(4, &leaked)).await;
    assert_eq!(refused, unauthorized("revoked_token"));
    for offer in &returns {
        let refused = Worker::refused(&server.url, offer).await;
        assert_eq!(refused, ByeReason::SessionUnknown);
    }
    assert_eq!(listed(&server.client).await[1]["revoked"], true);
    Worker::offer(&server.url, &back(3, &other, true)).await;
}

#[tokio::test]
async fn what_is_not_known_cannot_be_told_anything() {
    let server = TestServer::start().await;
    let answer = server.client.delete("/api/invites/5f0c").await;
    assert_eq!(answer.error(404), "Invite not found.");
    for what in ["drain", "disconnect", "ban", "unban"] {
        let answer = order(&server.client, 9, what).await;
        assert_eq!(answer.error(404), "Worker not found.");
        let answer = server
            .client
            .post(&format!("/api/workers/no%20name/{what}"), &json!({}))
            .await;
        assert_eq!(answer.error(404), "Worker not found.");
    }
}

#[tokio::test]
async fn who_is_disconnected_gives_all_back_at_once_and_may_join_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let token = server.client.invite().await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 2}))
        .await;
    let lost = worker.assigned().await;
    let mut other = Worker::offer(&server.url, &device(2, &token)).await;

    let state = ordered(&server.client, 1, "disconnect").await;
    assert_eq!(state, "disconnected");
    assert_eq!(last_word(&mut worker).await, ended());
    let again = other.assigned().await;
    assert_eq!(again.leaf.jobs[0].job, lost.leaf.jobs[0].job);
    let returns = [true, false].map(|resume| back(1, &worker, resume));
    for offer in &returns {
        let refused = Worker::refused(&server.url, offer).await;
        assert_eq!(refused, ByeReason::SessionUnknown);
    }
    let fresh = Worker::offer(&server.url, &device(1, &token)).await;
    assert_eq!(fresh.welcome().worker, worker.welcome().worker);
    assert_ne!(fresh.session(), worker.session());

    server.kill();
    let server = Process::start(folder.path(), &[]);
    for offer in &returns {
        let refused = Worker::refused(&server.url, offer).await;
        assert_eq!(refused, ByeReason::SessionUnknown);
    }
    Worker::offer(&server.url, &back(1, &fresh, true)).await;
}

#[tokio::test]
async fn who_is_away_when_disconnected_cannot_resume() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    let worker = Worker::offer(&server.url, &device(1, &token)).await;
    let resumed = back(1, &worker, true);
    worker.vanish().await;
    ordered(&server.client, 1, "disconnect").await;
    let refused = Worker::refused(&server.url, &resumed).await;
    assert_eq!(refused, ByeReason::SessionUnknown);
}

#[tokio::test]
async fn the_token_of_a_session_that_was_ended_reads_no_code() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    let worker = Worker::offer(&server.url, &device(1, &token)).await;
    let metrics = async || {
        let key = &worker.welcome().token;
        let client = Client::new(&server.url, key);
        client.get("/api/worker/metrics").await.status
    };
    assert_eq!(metrics().await, 200);
    ordered(&server.client, 1, "disconnect").await;
    assert_eq!(metrics().await, 401);
}

#[tokio::test]
async fn a_ban_is_for_the_whole_profile_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let token = server.client.invite().await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    let mut tab = Worker::offer(&server.url, &device(1, &token)).await;
    let mut other = Worker::offer(&server.url, &device(2, &token)).await;

    assert_eq!(ordered(&server.client, 1, "ban").await, "banned");
    assert_eq!(last_word(&mut worker).await, ByeReason::Banned);
    assert_eq!(last_word(&mut tab).await, ByeReason::Banned);
    server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 2}))
        .await;
    other.assigned().await;
    let tries = [
        back(1, &worker, true),
        back(1, &worker, false),
        device(1, &token),
        Offer {
            worker: "another-name".into(),
            ..device(1, &token)
        },
    ];
    for offer in &tries {
        let refused = Worker::refused(&server.url, offer).await;
        assert_eq!(refused, ByeReason::Banned);
    }

    server.kill();
    let server = Process::start(folder.path(), &[]);
    for offer in &tries {
        let refused = Worker::refused(&server.url, offer).await;
        assert_eq!(refused, ByeReason::Banned);
    }
    assert_eq!(ordered(&server.client, 1, "unban").await, "allowed");
    Worker::offer(&server.url, &device(1, &token)).await;
    assert_eq!(ordered(&server.client, 1, "unban").await, "allowed");
}

#[tokio::test]
async fn a_draining_worker_finishes_what_it_runs_and_gives_the_rest_back_at_once() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    let id = server.client.submit("/api/jobs/run-js", &sharded(16)).await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    let assigned = worker.assigned().await;
    let slots = device(1, "").slots;
    assert!(assigned.attempts() > slots.into(), "more than it runs");

    assert_eq!(ordered(&server.client, 1, "drain").await, "draining");
    let queued = assigned.attempts() - u32::from(slots);
    let mut revoked = 0;
    while revoked < queued {
        if let ToWorker::Revoke(ranges) = worker.next().await {
            revoked += count(&ranges);
        }
    }
    assert_eq!(revoked, queued);
    worker.say(&ToServer::Credit { limit: 4096 }).await;
    let mut other = Worker::offer(&server.url, &device(2, &token)).await;
    other.assigned().await;

    let shards = assigned.leaf.jobs[0].shards[..slots.into()].to_vec();
    worker.compute_first(&assigned, slots.into()).await;
    let disposed = worker.all_disposed(slots.into()).await;
    assert_eq!(disposed.get(&Disposition::Durable), Some(&slots.into()));
    assert_eq!(last_word(&mut worker).await, ended());
    let completed = server.client.job(&id).await["task"]["shards"]["completed"].clone();
    assert_eq!(completed, shards.len());
    let refused = Worker::refused(&server.url, &back(1, &worker, true)).await;
    assert_eq!(refused, ByeReason::SessionUnknown);
    Worker::offer(&server.url, &device(1, &token)).await;
}

#[tokio::test]
async fn a_worker_goes_on_draining_after_a_kill_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let token = server.client.invite().await;
    let id = server.client.submit("/api/jobs/run-js", &sharded(16)).await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    let assigned = worker.assigned().await;
    ordered(&server.client, 1, "drain").await;

    server.kill();
    let server = Process::start(folder.path(), &[("RECLAIM_SEC", "0")]);
    let mut running = held(&assigned, Stage::Running);
    running.range.count = 1;
    let resumed = Offer {
        held: vec![running],
        ..back(1, &worker, true)
    };
    let mut worker = Worker::offer(&server.url, &resumed).await;
    let tickets = vec![assigned.ticket.clone()];
    worker.say(&ToServer::Tickets(tickets)).await;
    worker.compute_first(&assigned, 1).await;
    assert_eq!(worker.disposed().await[0].disposition, Disposition::Durable);
    assert_eq!(last_word(&mut worker).await, ended());
    let completed = server.client.job(&id).await["task"]["shards"]["completed"].clone();
    assert_eq!(completed, 1, "nothing else was handed out to it");

    server.kill();
    let server = Process::start(folder.path(), &[]);
    let refused = Worker::refused(&server.url, &back(1, &worker, true)).await;
    assert_eq!(refused, ByeReason::SessionUnknown);
}

#[tokio::test]
async fn a_draining_worker_that_was_away_is_still_draining_and_its_reloaded_page_is_not_let_in() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    server.client.submit("/api/jobs/run-js", &sharded(4)).await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    let assigned = worker.assigned().await;
    let (resumed, reloaded) = (back(1, &worker, true), back(1, &worker, false));
    worker.vanish().await;
    ordered(&server.client, 1, "drain").await;
    let refused = Worker::refused(&server.url, &reloaded).await;
    assert_eq!(refused, ByeReason::SessionUnknown);
    let resumed = Offer {
        held: vec![held(&assigned, Stage::Running)],
        ..resumed
    };
    let mut worker = Worker::offer(&server.url, &resumed).await;
    worker.compute(&assigned).await;
    worker.all_disposed(assigned.attempts()).await;
    assert_eq!(last_word(&mut worker).await, ended());
}

#[tokio::test]
async fn an_idle_worker_is_drained_at_once_and_no_client_waits_for_it() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    let mut worker = Worker::offer(&server.url, &device(1, &token)).await;
    ordered(&server.client, 1, "drain").await;
    assert_eq!(last_word(&mut worker).await, ended());
    assert_eq!(server.client.get("/api/workers").await.json()["count"], 0);
}

#[tokio::test]
async fn names_of_workers_keep_their_letters() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    let offer = Offer {
        worker: "Device.A_1".into(),
        ..device(1, &token)
    };
    let mut worker = Worker::offer(&server.url, &offer).await;
    let path = "/API/Workers/Device.A_1/Disconnect/";
    let answer = server.client.post(path, &json!({})).await.json();
    assert_eq!(answer["workerId"], "Device.A_1");
    assert_eq!(last_word(&mut worker).await, ended());
    let other = server
        .client
        .post("/api/workers/device.a_1/ban", &json!({}))
        .await;
    assert_eq!(other.error(404), "Worker not found.");
}

#[tokio::test]
async fn only_clients_may_order() {
    let server = TestServer::start().await;
    let token = server.client.invite().await;
    let _worker = Worker::offer(&server.url, &device(1, &token)).await;
    let stranger = Client::new(&server.url, "wrong");
    assert_eq!(stranger.get("/api/invites").await.status, 401);
    assert_eq!(stranger.delete("/api/invites/5f0c").await.status, 401);
    for what in ["drain", "disconnect", "ban", "unban"] {
        assert_eq!(order(&stranger, 1, what).await.status, 401);
    }
    assert_eq!(server.client.get("/api/workers").await.json()["count"], 1);
}
