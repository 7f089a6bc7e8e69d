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
        let ended = settled(&app, job, u64::MAX).await?;
        stopped += u64::from(ended.is_some_and(|it| it.control_state == ControlState::Cancelled));
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
    if let Some(seq) = app.dispatch.control(job_id, command).await?
        && let reached = settled(app, job_id, seq).await?
        && reached.is_none_or(|ended| ended.control_state == goal)
    {
        return Ok(Json(Controlled {
            ok: true,
            job_id,
            control_state: goal,
        }));
    }
    Err(ApiError::Control("terminal"))
}

/// Waits until the delta `seq` of a job is stored, or the job has ended; then how it did.
///
/// What a job shows meanwhile says nothing of the order: it may be as wanted because another order
/// that came before is not stored yet.
async fn settled(app: &App, job: JobId, seq: u64) -> Result<Option<JobState>, ApiError> {
    let reached = tokio::time::timeout(PATIENCE, reached(app, job, seq)).await;
    if reached.unwrap_or(Err(StoreError::Slow.into()))? {
        return Ok(None);
    }
    super::progress(app, job).await.map(Some)
}

/// Whether `seq` is stored while the job goes on; false once it has ended.
async fn reached(app: &App, job: JobId, seq: u64) -> Result<bool, ApiError> {
    let mut watch = app.dispatch.watch(job).await?;
    loop {
        let Some(live) = app.dispatch.job(job).await? else {
            return Ok(false);
        };
        if live.view.stored_seq >= seq {
            return Ok(true);
        }
        // Without a watch although the job goes on, the server stops.
        let open = watch.as_mut().ok_or(StoreError::Closed)?;
        if open.changed().await.is_err() {
            watch = None;
        }
    }
}
