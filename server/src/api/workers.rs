//! Connected workers.

use axum::Json;
use axum::extract::State;
use shared::api::{WorkerList, WorkerRow};

use super::ApiError;
use crate::app::App;
use crate::auth::ApiClient;
use crate::dispatch::LiveWorker;

/// `GET /api/workers`
pub(crate) async fn list(
    State(app): State<App>,
    _: ApiClient,
) -> Result<Json<WorkerList>, ApiError> {
    let workers = app.dispatch.workers().await?;
    let rows: Vec<WorkerRow> = workers.into_iter().map(row).collect();
    Ok(Json(rows.into()))
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
