//! Workers: those that are connected, and what an operator may order of them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use shared::api::{WorkerList, WorkerOrdered, WorkerRow, WorkerState};
use shared::ids::{SessionId, WorkerId};

use super::ApiError;
use crate::app::App;
use crate::auth::ApiClient;
use crate::dispatch::{Dismissed, LiveWorker};
use crate::store::SessionOrder;

/// `GET /api/workers`
pub(crate) async fn list(
    State(app): State<App>,
    _: ApiClient,
) -> Result<Json<WorkerList>, ApiError> {
    let workers = app.dispatch.workers().await?;
    let rows: Vec<WorkerRow> = workers.into_iter().map(row).collect();
    Ok(Json(rows.into()))
}

type WorkerPath = Result<Path<String>, PathRejection>;

/// `POST /api/workers/:id/drain`: it gets nothing more, and its session ends with what it runs.
pub(crate) async fn drain(
    State(app): State<App>,
    _: ApiClient,
    worker: WorkerPath,
) -> Result<Json<WorkerOrdered>, ApiError> {
    let worker = named(worker)?;
    let session = session_of(&app, &worker).await?;
    app.orders.order(session, SessionOrder::Drain).await?;
    app.dispatch.drain(session).await?;
    Ok(ordered(worker, WorkerState::Draining))
}

/// `POST /api/workers/:id/disconnect`: its session is over. It may join again by an invite.
pub(crate) async fn disconnect(
    State(app): State<App>,
    _: ApiClient,
    worker: WorkerPath,
) -> Result<Json<WorkerOrdered>, ApiError> {
    let worker = named(worker)?;
    let session = session_of(&app, &worker).await?;
    app.orders.order(session, SessionOrder::End).await?;
    app.dispatch.dismiss(Dismissed::Session(session)).await?;
    Ok(ordered(worker, WorkerState::Disconnected))
}

/// `POST /api/workers/:id/ban`: the same, for every worker of its profile, and never again.
pub(crate) async fn ban(
    State(app): State<App>,
    _: ApiClient,
    worker: WorkerPath,
) -> Result<Json<WorkerOrdered>, ApiError> {
    let worker = named(worker)?;
    let banned = app.orders.ban(worker.clone()).await?;
    let profile = banned.ok_or(ApiError::UnknownWorker)?;
    app.dispatch
        .dismiss(Dismissed::Profile(profile.secret))
        .await?;
    Ok(ordered(worker, WorkerState::Banned))
}

/// `POST /api/workers/:id/unban`
pub(crate) async fn unban(
    State(app): State<App>,
    _: ApiClient,
    worker: WorkerPath,
) -> Result<Json<WorkerOrdered>, ApiError> {
    let worker = named(worker)?;
    let allowed = app.orders.unban(worker.clone()).await?;
    allowed.ok_or(ApiError::UnknownWorker)?;
    Ok(ordered(worker, WorkerState::Allowed))
}

fn named(worker: WorkerPath) -> Result<WorkerId, ApiError> {
    let Path(worker) = worker.map_err(|_| ApiError::UnknownWorker)?;
    worker.parse().map_err(|_| ApiError::UnknownWorker)
}

/// The session of a worker that is connected or within grace.
async fn session_of(app: &App, worker: &WorkerId) -> Result<SessionId, ApiError> {
    let session = app.dispatch.session_of(worker.clone()).await?;
    session.ok_or(ApiError::UnknownWorker)
}

fn ordered(worker_id: WorkerId, state: WorkerState) -> Json<WorkerOrdered> {
    tracing::info!(worker.id = %worker_id, ?state, "an order for a worker holds");
    Json(WorkerOrdered {
        ok: true,
        worker_id,
        state,
    })
}

/// The score is the number of slots: work is shared out by them.
fn row(worker: LiveWorker) -> WorkerRow {
    let score = f64::from(worker.slots);
    WorkerRow::new(
        worker.worker,
        worker.last_seen_ms,
        worker.slots,
        worker.in_flight,
        score,
        &worker.device,
    )
}
