//! Waiting for a submitted job.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Failure;
use crate::api::{Api, CallError};
use crate::output;
use crate::progress::Progress;

const POLL: Duration = Duration::from_millis(700);
/// The first polls come sooner, so that a short job is not kept waiting.
const FIRST_POLL: Duration = Duration::from_millis(50);

/// Prints the job's id and each change of its status, then its result.
pub(super) fn for_result(api: &Api, created: &Value, wait_ms: u64) -> Result<(), Failure> {
    let Some(job) = created["jobId"].as_str() else {
        return Err(Failure::message(format!(
            "{} answered without a job id",
            api.host()
        )));
    };
    output::out(&format!("Job queued: {}", output::one_line(job)));
    if let Some(note) = created["note"].as_str() {
        output::err(&format!("Note: {}", output::one_line(note)));
    }
    let progress = Progress::new();
    let outcome = poll(api, job, wait_ms, &progress);
    progress.clear();
    outcome.map(|result| output::out(&format!("Result: {}", output::result_text(&result))))
}

fn poll(api: &Api, job: &str, wait_ms: u64, progress: &Progress) -> Result<Value, Failure> {
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    let mut seen: Option<(String, String)> = None;
    let mut pause = FIRST_POLL;
    loop {
        let state = match api.get(&format!("/api/jobs/{job}")) {
            Ok(state) => Some(state),
            // A server that restarts keeps the job: only the deadline ends the wait.
            Err(CallError::Unreachable { .. }) if seen.is_some() => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(state) = state {
            progress.suspend(|| tell_changes(&state, &mut seen));
            match state["status"].as_str() {
                Some("done") => return Ok(state["result"].clone()),
                Some("failed") => {
                    let why = output::one_line(state["error"].as_str().unwrap_or("unknown"));
                    return Err(Failure::message(format!("Job failed: {why}")));
                }
                Some(_) | None => progress.show(&state),
            }
        }
        if Instant::now() >= deadline {
            return Err(timed_out(api, job, wait_ms));
        }
        std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
        pause = (pause * 2).min(POLL);
    }
}

/// Scripts look for one line; people at a terminal get a second one.
fn timed_out(api: &Api, job: &str, wait_ms: u64) -> Failure {
    let line = format!("Timed out after {wait_ms} ms waiting for job completion");
    if !std::io::stderr().is_terminal() {
        return Failure::message(line);
    }
    let (host, job) = (api.host(), output::one_line(job));
    Failure::message(format!(
        "{line}\n\
         Note: the job goes on. Watch it at {host}/client, or end it with `cluster cancel --host {host} \
         --job-id {job}`; --timeout-ms only says how long to wait"
    ))
}

fn tell_changes(state: &Value, seen: &mut Option<(String, String)>) {
    let text = |name: &str| state[name].as_str().unwrap_or("unknown").to_owned();
    let current = (text("status"), text("executionModel"));
    if seen.as_ref() != Some(&current) {
        output::out(&format!("Status: {}", output::one_line(&current.0)));
        output::out(&format!(
            "Execution Model: {}",
            output::one_line(&current.1)
        ));
        *seen = Some(current);
    }
}
