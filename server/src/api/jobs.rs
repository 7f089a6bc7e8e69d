//! Submitting jobs and reading how they stand.

mod collected;
mod control;
mod events;
mod state;
mod stream;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use shared::api::{AddCreated, ControlState, JobCreated, JobState, JobStatus};
use shared::ids::JobId;
use shared::job::{JobLimits, JobSpec, advice, downgrade, parse_add, parse_run_js};

use super::ApiError;
use super::body::JsonBody;
use crate::app::App;
use crate::auth::ApiClient;
use crate::dispatch::{LiveJob, Place, ReadyJob};
use crate::random;
use crate::store::{NewJob, StoredJob};
pub(crate) use control::{cancel, pause, resume, stop_all};
pub(crate) use events::events;
use state::Detail;
pub(crate) use stream::{Streams, stream};

/// `POST /api/jobs`
pub(crate) async fn submit_add(
    State(app): State<App>,
    _: ApiClient,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<AddCreated>), ApiError> {
    let (job_id, status) = accept(&app, parse_add(&body)?).await?;
    Ok((StatusCode::CREATED, Json(AddCreated { job_id, status })))
}

/// `POST /api/jobs/run-js`
pub(crate) async fn submit_run_js(
    State(app): State<App>,
    _: ApiClient,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<JobCreated>), ApiError> {
    let limits = JobLimits {
        max_code_bytes: app.jobs.max_code_bytes,
        max_args_bytes: app.jobs.max_args_bytes,
        default_timeout_ms: app.jobs.default_timeout_ms,
        max_collect_bytes: app.jobs.max_collect_bytes,
    };
    let seed = u64::from_le_bytes(random::bytes());
    let mut spec = parse_run_js(&body, &limits, seed)?;
    let note = adjust(&app, &mut spec).await?;
    let execution_model = spec.plan().into();
    let (job_id, status) = accept(&app, spec).await?;
    let created = JobCreated {
        job_id,
        status,
        control_state: ControlState::Running,
        execution_model,
        note,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /api/jobs/<id>`; with `?result=none` the result is left out, other parameters say nothing.
pub(crate) async fn show(
    State(app): State<App>,
    _: ApiClient,
    job: Result<Path<String>, PathRejection>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let job = job_id(job)?;
    let without_result = ("result".to_owned(), "none".to_owned());
    let detail = if query.contains(&without_result) {
        Detail::WithoutResult
    } else {
        Detail::Whole
    };
    let stored = match find(&app, job).await? {
        Found::Live(live) => return Ok(Json(state::of_live(job, &live)).into_response()),
        Found::Stored(stored) => stored,
    };
    let state = state::of_stored(&stored, detail);
    Ok(match (state.result.is_some(), stored.spec) {
        (true, JobSpec::RunJs(run)) if run.keeps_rows() => {
            let store = Arc::clone(&app.store);
            collected::respond(
                &state,
                collected::Rows {
                    store,
                    job,
                    run: *run,
                },
            )
        }
        (_, JobSpec::RunJs(_) | JobSpec::Add(_)) => Json(state).into_response(),
    })
}

fn job_id(job: Result<Path<String>, PathRejection>) -> Result<JobId, ApiError> {
    let Path(job) = job.map_err(|_| ApiError::UnknownJob)?;
    job.parse().map_err(|_| ApiError::UnknownJob)
}

/// Where a job is to be read.
enum Found {
    /// It has not ended.
    Live(LiveJob),
    /// The store alone knows it.
    Stored(Box<StoredJob>),
}

/// Asks the scheduler first: a job that it does not have any more has ended in the store.
async fn find(app: &App, job: JobId) -> Result<Found, ApiError> {
    if let Some(live) = app.dispatch.job(job).await? {
        return Ok(Found::Live(live));
    }
    let stored = app.store.job(job).await?.ok_or(ApiError::UnknownJob)?;
    Ok(Found::Stored(Box::new(stored)))
}

/// How a job stands, without its result.
async fn progress(app: &App, job: JobId) -> Result<JobState, ApiError> {
    Ok(match find(app, job).await? {
        Found::Live(live) => state::of_live(job, &live),
        Found::Stored(stored) => state::of_stored(&stored, Detail::WithoutResult),
    })
}

/// Fits a job to the cluster as it is at this moment; what its owner should know of that.
async fn adjust(app: &App, spec: &mut JobSpec) -> Result<Option<String>, ApiError> {
    let JobSpec::RunJs(run) = spec else {
        return Ok(None);
    };
    let capacity = app.dispatch.capacity().await?;
    Ok(downgrade(run, capacity).or_else(|| advice(run.sharding()?, capacity, app.jobs.fan_out)))
}

/// Stores a job and hands it over. What follows on the store must happen even if the client goes
/// away meanwhile, so it runs on a task of its own.
async fn accept(app: &App, spec: JobSpec) -> Result<(JobId, JobStatus), ApiError> {
    let place = app.dispatch.reserve(&spec)?;
    let accepted = tokio::spawn(store_and_submit(app.clone(), place, spec)).await;
    accepted.unwrap_or(Err(ApiError::Internal))
}

async fn store_and_submit(
    app: App,
    place: Place,
    spec: JobSpec,
) -> Result<(JobId, JobStatus), ApiError> {
    let job = NewJob {
        job: JobId::from_random(random::bytes()),
        created_at: app.clock.wall(),
        high_water: app.scheduler.first_high_water(spec.plan().total_shards()),
        spec,
    };
    app.store.insert_job(job.clone()).await?;
    let (id, plan) = (job.job, job.spec.plan());
    let view = place.submit(ReadyJob::submitted(job)).await;
    let is_started = view.is_some_and(|view| view.progress.started);
    Ok((id, JobStatus::unfinished(plan, is_started)))
}
