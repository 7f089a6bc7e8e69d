//! What an owner may tell jobs: pause, resume, cancel. Answered once it is stored.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use scheduler::Command;
use shared::api::{ControlState, Controlled, JobState, Stopped};
use shared::ids::JobId;

use crate::api::ApiError;
use crate::app::App;
use crate::auth::ApiClient;
use crate::store::StoreError;

/// How long a client waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// `POST /api/jobs/<id>/pause`
pub(crate) async fn pause(
    State(app): State<App>,
    _: ApiClient,
    job: Result<Path<String>, PathRejection>,
) -> Result<Json<Controlled>, ApiError> {
    switch(&app, job, Command::Pause, ControlState::Paused).await
}

/// `POST /api/jobs/<id>/resume`
pub(crate) async fn resume(
    State(app): State<App>,
    _: ApiClient,
    job: Result<Path<String>, PathRejection>,
) -> Result<Json<Controlled>, ApiError> {
    switch(&app, job, Command::Resume, ControlState::Running).await
}

/// `POST /api/jobs/<id>/cancel`
pub(crate) async fn cancel(
    State(app): State<App>,
    _: ApiClient,
    job: Result<Path<String>, PathRejection>,
) -> Result<Json<Controlled>, ApiError> {
    let state = known(&app, job).await?;
    order(&app, &state, Command::Cancel, ControlState::Cancelled).await
}

/// `POST /api/jobs/stop-all`
pub(crate) async fn stop_all(
    State(app): State<App>,
    _: ApiClient,
) -> Result<Json<Stopped>, ApiError> {
    let jobs = app.dispatch.cancel_all().await?;
    let mut stopped = 0;
    for job in jobs {
        let state = settled(&app, job, ControlState::Cancelled).await?;
        stopped += u64::from(state.control_state == ControlState::Cancelled);
    }
    Ok(Json(Stopped { ok: true, stopped }))
}

async fn switch(
    app: &App,
    job: Result<Path<String>, PathRejection>,
    command: Command,
    goal: ControlState,
) -> Result<Json<Controlled>, ApiError> {
    let state = known(app, job).await?;
    if !state.is_sharded() {
        return Err(ApiError::Control("not_sharded"));
    }
    order(app, &state, command, goal).await
}

async fn known(app: &App, job: Result<Path<String>, PathRejection>) -> Result<JobState, ApiError> {
    let state = match super::job_id(job) {
        Ok(job) => super::progress(app, job).await,
        Err(error) => Err(error),
    };
    match state {
        Err(ApiError::UnknownJob) => Err(ApiError::Control("job_not_found")),
        state => state,
    }
}

async fn order(
    app: &App,
    state: &JobState,
    command: Command,
    goal: ControlState,
) -> Result<Json<Controlled>, ApiError> {
    let job_id = state.job_id;
    if !state.status.is_final() {
        app.dispatch.control(job_id, command).await?;
        let state = settled(app, job_id, goal).await?;
        if state.control_state == goal {
            return Ok(Json(Controlled {
                ok: true,
                job_id,
                control_state: goal,
            }));
        }
    }
    Err(ApiError::Control("terminal"))
}

/// The state in which a job is as was wanted, or has ended otherwise.
async fn settled(app: &App, job: JobId, goal: ControlState) -> Result<JobState, ApiError> {
    let mut watch = app.dispatch.watch(job).await?;
    let reached = async {
        loop {
            let state = super::progress(app, job).await?;
            if state.control_state == goal || state.status.is_final() {
                return Ok(state);
            }
            let Some(open) = &mut watch else {
                return Ok(state);
            };
            if open.changed().await.is_err() {
                // The job has ended, and its next state says how.
                watch = None;
            }
        }
    };
    let late = ApiError::Store(StoreError::Slow);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .unwrap_or(Err(late))
}
