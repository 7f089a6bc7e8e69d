//! A machine whose clock is set a year ahead and a year back, while the server runs and between two
//! runs: results are kept as long as they should be, nothing is lost or counted twice, and workers
//! never take for too old or too new what is signed for them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use shared::envelope::{Identity, NonceCache};
use shared::limits::NONCE_CACHE_CAPACITY;
use shared::time::UnixMillis;
use shared::wire::{Disposition, Stage, ToServer};

use crate::support::{Assigned, Offer, Process, Worker, held, returned};

/// A year ahead, a year back, right again; as `libfaketime` reads it.
const JUMPS: [&str; 3] = ["+1y", "-1y", "+0"];
/// What does not come within this time does not come.
const LIMIT: Duration = Duration::from_secs(30);

/// A machine with a clock that a test sets.
struct Machine {
    folder: tempfile::TempDir,
    library: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            library: faketime(),
        };
        machine.set_clock("+0");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// By how much the wall clock is off from here on. Half a file is never seen.
    fn set_clock(&self, offset: &str) {
        let draft = self.path("offset.draft");
        std::fs::write(&draft, offset).unwrap();
        std::fs::rename(draft, self.path("offset")).unwrap();
    }

    /// Starts the server; it keeps results for a day.
    fn start(&self) -> Process {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let offset = path(&self.path("offset"));
        let values = [
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", offset),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
            ("RESULT_RETENTION_DAYS", "1".into()),
        ];
        let values: Vec<_> = values.iter().map(|(name, it)| (*name, &**it)).collect();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        Process::start_with_log(self.folder.path(), &values, log)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    fn database(&self) -> Connection {
        Connection::open(self.path("data/cluster.db")).unwrap()
    }

    /// Puts a row in the database that is deleted when the server looks for what is too old.
    fn put_bait(&self, cancelled: &str) {
        let id = format!("x'{}'", cancelled.replace('-', ""));
        let sql = format!(
            "INSERT INTO job_rows (job, shard, result) VALUES ({id}, 0, x'00'); \
             UPDATE job_states SET sweep = 1 WHERE job = {id}"
        );
        self.database().execute_batch(&sql).unwrap();
    }

    /// Waits until the server has looked for what is too old, and has found the bait.
    async fn swept(&self) {
        let count = || -> u64 {
            let sql = "SELECT count(*) FROM job_rows";
            self.database().query_row(sql, (), |it| it.get(0)).unwrap()
        };
        let began = Instant::now();
        while count() > 0 {
            assert!(began.elapsed() < LIMIT, "nothing was swept");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the log has this many lines with a text.
    async fn logs(&self, text: &str, lines: usize) {
        let began = Instant::now();
        while self.log().matches(text).count() < lines {
            assert!(began.elapsed() < LIMIT, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The library that stands between a program and its wall clock.
fn faketime() -> PathBuf {
    let places = ["/usr/lib", "/usr/local/lib"].map(Path::new);
    let below = |place: &Path| std::fs::read_dir(place).into_iter().flatten().flatten();
    let folders = places
        .into_iter()
        .flat_map(|place| below(place).map(|entry| entry.path()));
    let mut candidates: Vec<_> = folders
        .flat_map(|folder| [folder.join("faketime"), folder])
        .map(|folder| folder.join("libfaketime.so.1"))
        .filter(|path| path.is_file())
        .collect();
    candidates.sort();
    let found = candidates.into_iter().next();
    found.expect("libfaketime has to be there: `cargo xtask test` installs it, as does apt")
}

/// What a worker remembers from one socket to the next, and holds against what it is given.
struct Memory(NonceCache);

impl Memory {
    fn empty() -> Self {
        Self(NonceCache::new(NONCE_CACHE_CAPACITY))
    }

    /// Takes what is fresh, as a worker does that asked for the time when it joined.
    fn take(&mut self, worker: &Worker, assigned: &Assigned) {
        let me = Identity {
            worker: worker.welcome().worker.clone(),
            session: worker.session(),
        };
        let envelope = worker.prove(assigned.ticket.clone());
        let fresh = envelope.check_fresh(worker.server_now(), &me, &mut self.0);
        fresh.expect("what is signed is fresh");
    }
}

fn year(server_says: &serde_json::Value) -> u64 {
    let text = server_says["now"].as_str().unwrap();
    text[..4].parse().unwrap()
}

/// Runs an `add` to its end.
async fn ended_job(server: &Process, worker: &mut Worker) -> String {
    let sum = json!({"a": 1, "b": 1});
    let job = server.client.submit("/api/jobs", &sum).await;
    let assigned = worker.assigned().await;
    worker.finish(&assigned, |_| returned("2")).await;
    worker.disposed().await;
    job
}

/// Jobs of which no shard is handed out.
async fn paused_jobs(server: &Process, count: usize) -> Vec<String> {
    let mut jobs = Vec::new();
    for _ in 0..count {
        let job = server.client.submit("/api/jobs/run-js", &shards(1)).await;
        control(server, &job, "pause").await;
        jobs.push(job);
    }
    jobs
}

async fn cancel_one(server: &Process, jobs: &mut Vec<String>) -> String {
    let job = jobs.pop().unwrap();
    control(server, &job, "cancel").await;
    job
}

async fn control(server: &Process, job: &str, command: &str) {
    let path = format!("/api/jobs/{job}/{command}");
    let answer = server.client.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn shards(count: u64) -> serde_json::Value {
    json!({
        "code": "return 1", "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": count, "unitsPerShard": 1},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

async fn bring(worker: &mut Worker, assigned: &Assigned) {
    worker.compute(assigned).await;
    let disposed = worker.all_disposed(assigned.attempts()).await;
    let durable = disposed.get(&Disposition::Durable).copied();
    assert_eq!(durable, Some(assigned.attempts()), "{disposed:?}");
}

/// Everything that is left of a job, whose sum is exact then.
async fn finish(server: &Process, worker: &mut Worker, memory: &mut Memory, job: &str, count: u64) {
    loop {
        let state = server.client.job(job).await;
        if state["status"] == "done" {
            let sum = json!({"hits": count * (count - 1) / 2, "samples": count});
            assert_eq!(state["result"]["aggregate"], sum);
            return;
        }
        let assigned = worker.assigned().await;
        memory.take(worker, &assigned);
        bring(worker, &assigned).await;
    }
}

async fn invite_id(server: &Process) -> String {
    let listed = server.client.get("/api/invites").await.json();
    listed["invites"][0]["jti"].as_str().unwrap().to_owned()
}

/// An invite that was revoked at once.
async fn revoked_invite(server: &Process) -> String {
    let invite = server.client.invite().await;
    let path = format!("/api/invites/{}", invite_id(server).await);
    assert_eq!(server.client.delete(&path).await.status, 200);
    invite
}

async fn assert_refused(server: &Process, invite: &str) {
    let stranger = Offer {
        worker: "worker-stranger".into(),
        ..Offer::invited(invite)
    };
    Worker::refused(&server.url, &stranger).await;
}

#[tokio::test]
async fn a_clock_that_is_set_while_the_server_runs_changes_nothing_but_what_is_shown() {
    const SHARDS: u64 = 200;
    let machine = Machine::new();
    let server = machine.start();
    let revoked = revoked_invite(&server).await;
    let mut spare = paused_jobs(&server, 2 * JUMPS.len() + 1).await;
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let mut memory = Memory::empty();
    let mut kept = vec![ended_job(&server, &mut worker).await];
    let cancelled = cancel_one(&server, &mut spare).await;
    let right = year(&server.client.get("/healthz").await.json());
    let job = server
        .client
        .submit("/api/jobs/run-js", &shards(SHARDS))
        .await;
    let mut assigned = worker.assigned().await;
    memory.take(&worker, &assigned);
    for (round, offset) in JUMPS.into_iter().enumerate() {
        machine.set_clock(offset);
        let shown = year(&server.client.get("/healthz").await.json());
        assert_eq!(shown, right + 1 - [0, 2, 1][round], "{offset}");
        machine
            .logs("the clock of this machine has jumped", round + 1)
            .await;

        // What was running comes back, and what is signed from here on is fresh, on this socket and
        // on the next one of the session.
        bring(&mut worker, &assigned).await;
        assigned = worker.assigned().await;
        memory.take(&worker, &assigned);
        let welcome = worker.vanish().await;
        let resumed = Offer {
            held: vec![held(&assigned, Stage::Running)],
            ..Offer::with_token(&welcome, true)
        };
        worker = Worker::offer(&server.url, &resumed).await;
        assert_eq!(worker.session(), welcome.session);
        assert_eq!(worker.welcome().unknown, []);

        machine.put_bait(&cancelled);
        cancel_one(&server, &mut spare).await;
        machine.swept().await;
        for job in &kept {
            server.client.job(job).await;
        }
        kept.push(cancel_one(&server, &mut spare).await);
        revoked_invite(&server).await;
    }
    bring(&mut worker, &assigned).await;
    finish(&server, &mut worker, &mut memory, &job, SHARDS).await;
    assert_refused(&server, &revoked).await;
    let metrics = server.client.get("/api/metrics/cluster").await.json();
    let listed = metrics["runtime"]["jobs"].as_array().unwrap();
    assert!(listed.iter().any(|line| line["jobId"] == *kept[0]));
}

#[tokio::test]
async fn a_clock_that_is_set_between_two_runs_changes_nothing_but_what_is_shown() {
    const SHARDS: u64 = 200;
    let machine = Machine::new();
    let mut server = machine.start();
    let revoked = revoked_invite(&server).await;
    let mut spare = paused_jobs(&server, 2 * JUMPS.len() + 1).await;
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let mut memory = Memory::empty();
    let mut kept = vec![ended_job(&server, &mut worker).await];
    let cancelled = cancel_one(&server, &mut spare).await;
    let job = server
        .client
        .submit("/api/jobs/run-js", &shards(SHARDS))
        .await;
    let mut assigned = worker.assigned().await;
    memory.take(&worker, &assigned);
    for offset in JUMPS {
        let welcome = worker.vanish().await;
        server.kill();
        machine.put_bait(&cancelled);
        machine.set_clock(offset);
        server = machine.start();
        machine.swept().await;
        for job in &kept {
            server.client.job(job).await;
        }
        kept.push(cancel_one(&server, &mut spare).await);
        revoked_invite(&server).await;

        // A worker of before goes on with its session, and with what it ran.
        let resumed = Offer {
            held: vec![held(&assigned, Stage::Running)],
            ..Offer::with_token(&welcome, true)
        };
        worker = Worker::offer(&server.url, &resumed).await;
        assert_eq!(worker.session(), welcome.session);
        let tickets = vec![assigned.ticket.clone()];
        worker.say(&ToServer::Tickets(tickets)).await;
        bring(&mut worker, &assigned).await;
        assigned = worker.assigned().await;
        memory.take(&worker, &assigned);

        // And who has an invite of today comes in.
        let fresh = Offer {
            worker: format!("worker-of{}", offset.replace('+', "-")),
            credit: 0,
            ..Offer::invited(&server.client.invite().await)
        };
        Worker::offer(&server.url, &fresh).await;
    }
    bring(&mut worker, &assigned).await;
    finish(&server, &mut worker, &mut memory, &job, SHARDS).await;
    assert_refused(&server, &revoked).await;
    assert!(
        machine
            .log()
            .contains("was set back since the server ran last")
    );
}

#[tokio::test]
async fn a_time_that_was_told_to_workers_is_never_told_again() {
    let machine = Machine::new();
    let mut told = UnixMillis(0);
    for offset in ["+0", "+1y", "+0", "-1y", "+0"] {
        machine.set_clock(offset);
        let server = machine.start();
        let worker = Worker::join(&server.url, &server.client.invite().await).await;
        let tells = worker.server_now();
        assert!(tells > told, "{offset}: {tells:?} after {told:?}");
        told = tells;
        server.kill();
    }
}
