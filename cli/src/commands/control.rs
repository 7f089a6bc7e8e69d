//! `cluster pause`, `resume`, `cancel` and `stop-all`: what an owner may tell jobs.

use serde_json::json;

use super::Failure;
use crate::args::Typed;
use crate::{output, settings};

/// Tells one job. `order` is the command's name, as the API knows it too.
pub(super) fn one(args: &Typed, order: &str) -> Result<(), Failure> {
    let job = args
        .flag("job-id")
        .ok_or_else(|| Failure::message("Missing required flag --job-id"))?;
    let api = settings::server(args)?;
    let answer = api.post(&format!("/api/jobs/{job}/{order}"), &json!({}))?;
    let state = output::one_line(answer["controlState"].as_str().unwrap_or("unknown"));
    output::out(&format!("Job {job}: {state}"));
    Ok(())
}

/// Cancels every job that has not ended.
pub(super) fn all(args: &Typed) -> Result<(), Failure> {
    let answer = settings::server(args)?.post("/api/jobs/stop-all", &json!({}))?;
    output::out(&format!("Stopped jobs: {}", answer["stopped"]));
    Ok(())
}
