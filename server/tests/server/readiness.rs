//! Whether the program says that it can take work, while its disk fails.

use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::support::{Answer, Process};

/// Asks until the answer has this status.
async fn ready(server: &Process, status: u16) -> Answer {
    for _ in 0..100 {
        let answer = server.client.without_key().get("/readyz").await;
        if answer.status == status {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("/readyz never answered {status}");
}

/// Lives through a store that cannot be written: `fail` makes it so, `heal` ends it.
async fn assert_tells(folder: &Path, text: &str, fail: impl FnOnce(&Process) -> Heal) {
    let server = Process::start(folder, &[]);
    ready(&server, 200).await;
    let heal = fail(&server);
    let refused = ready(&server, 503).await;
    let error = refused.error(503);
    assert_eq!(error, format!("The server cannot use its store: {text}."));
    assert_eq!(server.client.get("/healthz").await.status, 200, "it lives");
    let sum = json!({"a": 1, "b": 1});
    assert_eq!(server.client.post("/api/jobs", &sum).await.status, 503);
    heal();
    ready(&server, 200).await;
    server.client.submit("/api/jobs", &sum).await;
}

type Heal = Box<dyn FnOnce()>;

#[tokio::test]
async fn a_disk_that_takes_nothing_is_told_until_it_takes_something() {
    let folder = tempfile::tempdir().unwrap();
    assert_tells(folder.path(), "the disk cannot be used", |server| {
        let pid = Pid::from_raw(i32::try_from(server.id()).unwrap());
        let none = Rlimit {
            current: Some(1),
            ..getrlimit(Resource::Fsize)
        };
        let usual = prlimit(pid, Resource::Fsize, none).unwrap();
        Box::new(move || {
            prlimit(pid, Resource::Fsize, usual).unwrap();
        })
    })
    .await;
}

#[tokio::test]
async fn a_database_that_somebody_else_holds_is_told_until_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    assert_tells(folder.path(), "the database is locked", |_| {
        let path = folder.path().join("data/cluster.db");
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        Box::new(move || other.execute_batch("ROLLBACK").unwrap())
    })
    .await;
}
