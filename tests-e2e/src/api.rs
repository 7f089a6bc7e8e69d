//! The HTTP API as a program would call it: plain JSON in and out, with the client key.
//!
//! Untyped on purpose: a test that went through the product's own types could not see a field
//! renamed. Calls block; tests and the demo make them from the thread that waits anyway.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

const CALL_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; null where it is no JSON.
    pub body: Value,
}

/// A client of one server.
#[derive(Debug, Clone)]
pub struct ApiClient {
    agent: ureq::Agent,
    base: String,
    key: String,
}

impl ApiClient {
    /// A client of the server at `base` (origin and base path, without a trailing slash).
    pub fn new(base: impl Into<String>, key: impl Into<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(CALL_LIMIT))
            .build();
        Self {
            agent: config.into(),
            base: base.into(),
            key: key.into(),
        }
    }

    /// Where the server is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET `path`, whatever the answer.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let request = self.agent.get(format!("{}{path}", self.base));
        answer(request.header("Authorization", self.bearer()).call())
    }

    /// POST `body` to `path`, whatever the answer.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.agent.post(format!("{}{path}", self.base));
        answer(
            request
                .header("Authorization", self.bearer())
                .send_json(body),
        )
    }

    /// DELETE `path`, whatever the answer.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        let request = self.agent.delete(format!("{}{path}", self.base));
        answer(request.header("Authorization", self.bearer()).call())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }

    /// Makes an invite; the answer as `HTTP_API` 4 describes it.
    ///
    /// # Errors
    /// A refusal, or the server cannot be reached.
    pub fn invite(&self) -> Result<Value> {
        expect(201, self.post("/api/invites/worker", &json!({}))?)
    }

    /// Makes an invite and returns its full link.
    ///
    /// # Errors
    /// A refusal, or the server cannot be reached.
    pub fn invite_url(&self) -> Result<String> {
        let invite = self.invite()?;
        let url = invite["inviteUrl"].as_str();
        Ok(url.context("an invite has an inviteUrl")?.to_owned())
    }

    /// Submits a script and returns the job's id.
    ///
    /// # Errors
    /// A refusal, or the server cannot be reached.
    pub fn run_js(&self, body: &Value) -> Result<String> {
        job_id(&expect(201, self.post("/api/jobs/run-js", body)?)?)
    }

    /// Submits an addition and returns the job's id.
    ///
    /// # Errors
    /// A refusal, or the server cannot be reached.
    pub fn add(&self, a: i64, b: i64) -> Result<String> {
        job_id(&expect(
            201,
            self.post("/api/jobs", &json!({"a": a, "b": b}))?,
        )?)
    }

    /// The job's state; the answer as `HTTP_API` 6 describes it.
    ///
    /// # Errors
    /// A refusal, or the server cannot be reached.
    pub fn job(&self, id: &str) -> Result<Value> {
        expect(200, self.get(&format!("/api/jobs/{id}"))?)
    }

    /// The connected workers; the answer as `HTTP_API` 10 describes it.
    ///
    /// # Errors
    /// A refusal, or the server cannot be reached.
    pub fn workers(&self) -> Result<Value> {
        expect(200, self.get("/api/workers")?)
    }

    /// Waits until the job is done and returns its result.
    ///
    /// # Errors
    /// The job failed, or did not end within `limit`.
    pub async fn result(&self, id: &str, limit: Duration) -> Result<Value> {
        let mut job = self.ended(id, limit).await?;
        ensure!(job["status"] == json!("done"), "the job failed: {job}");
        Ok(job["result"].take())
    }

    /// Waits until the job has ended, well or not, and returns its state.
    ///
    /// # Errors
    /// It did not end within `limit`.
    pub async fn ended(&self, id: &str, limit: Duration) -> Result<Value> {
        self.wait_for_job(id, limit, |job| {
            job["status"] == json!("done") || job["status"] == json!("failed")
        })
        .await
    }

    /// Waits until at least `count` of the job's shards are completed.
    ///
    /// # Errors
    /// They were not within `limit`.
    pub async fn completed(&self, id: &str, count: u64, limit: Duration) -> Result<Value> {
        self.wait_for_job(id, limit, |job| {
            job["task"]["shards"]["completed"].as_u64() >= Some(count)
        })
        .await
    }

    /// Waits until at least `count` workers are connected.
    ///
    /// # Errors
    /// They were not within `limit`.
    pub async fn joined(&self, count: u64, limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let workers = self.workers();
            match workers {
                Ok(workers) if workers["count"].as_u64() >= Some(count) => return Ok(workers),
                other if Instant::now() >= deadline => {
                    bail!("not {count} workers within {limit:?}: {other:?}")
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn wait_for_job(
        &self,
        id: &str,
        limit: Duration,
        is_there: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let job = self.job(id)?;
            if is_there(&job) {
                return Ok(job);
            }
            ensure!(Instant::now() < deadline, "not after {limit:?}: {job}");
            tokio::time::sleep(POLL).await;
        }
    }
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer> {
    let mut response = response?;
    let status = response.status().as_u16();
    let text = response
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_string()?;
    Ok(Answer {
        status,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    })
}

fn expect(status: u16, answer: Answer) -> Result<Value> {
    ensure!(
        answer.status == status,
        "status {} instead of {status}: {}",
        answer.status,
        answer.body
    );
    Ok(answer.body)
}

fn job_id(created: &Value) -> Result<String> {
    let id = created["jobId"].as_str();
    Ok(id.context("a created job has a jobId")?.to_owned())
}
