//! Jobs that ended too long ago: gone as if they had never been.

use rusqlite::Connection;
use serde_json::json;

use crate::support::{Process, Worker, returned};

const DAY_MS: u64 = 24 * 3600 * 1000;

#[tokio::test]
async fn a_job_that_ended_too_long_ago_is_as_unknown_as_one_that_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path(), &[]);
    let mut worker = Worker::join(&server.url, &server.client.invite().await).await;
    let mut jobs = Vec::new();
    for a in 0..3 {
        let body = json!({"a": a, "b": 1});
        jobs.push(server.client.submit("/api/jobs", &body).await);
        let assigned = worker.assigned().await;
        worker.finish(&assigned, |_| returned("1")).await;
        worker.disposed().await;
    }
    let open = server
        .client
        .submit("/api/jobs", &json!({"a": 1, "b": 1}))
        .await;
    server.kill();
    let connection = Connection::open(folder.path().join("data/cluster.db")).unwrap();
    let age = |job: &str, ms: u64| {
        let id = job.replace('-', "");
        let sql = "UPDATE job_states SET ended_ms = ended_ms - ?1 WHERE hex(job) = upper(?2)";
        assert_eq!(connection.execute(sql, (ms, id)), Ok(1));
    };
    age(&jobs[0], 31 * DAY_MS);
    age(&jobs[1], 29 * DAY_MS);
    age(&open, 31 * DAY_MS);

    let server = Process::start(folder.path(), &[("RESULT_RETENTION_DAYS", "30")]);
    let path = format!("/api/jobs/{}", jobs[0]);
    while server.client.get(&path).await.status == 200 {}
    let unknown = server
        .client
        .get("/api/jobs/00000000-0000-4000-8000-000000000000")
        .await;
    assert_eq!(unknown.status, 404);
    for path in [path.clone(), format!("{path}/stream")] {
        assert_eq!(server.client.get(&path).await.text, unknown.text);
    }
    let metrics = server.client.get("/api/metrics/cluster").await.json();
    let listed = metrics["runtime"]["jobs"].as_array().unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
    for job in [&jobs[1], &jobs[2], &open] {
        server.client.job(job).await;
    }
}
