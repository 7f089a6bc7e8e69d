//! What the cluster is doing: all of it for clients, for a worker what concerns it.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use shared::api::{WorkerMetrics, WorkersMetrics};
use shared::ids::WorkerId;

use super::ApiError;
use crate::app::App;
use crate::auth::{ApiClient, SessionWorker, bearer};
use crate::invites::is_invite;

/// Workers that a worker is told of.
const MAX_PEERS: usize = 100;

/// `GET /api/metrics/cluster`
pub(crate) async fn cluster(State(app): State<App>, _: ApiClient) -> Result<Response, ApiError> {
    let look = app.dispatch.look().await?;
    Ok(Json(&look.cluster).into_response())
}

/// `GET /api/worker/metrics`
pub(crate) async fn worker(
    State(app): State<App>,
    asker: Asker,
) -> Result<Json<WorkersMetrics>, ApiError> {
    let look = app.dispatch.look().await?;
    Ok(Json(seen_by(&asker, &look.cluster.workers)))
}

/// Who asks as a worker.
#[derive(Debug)]
pub(crate) enum Asker {
    /// One that proved which worker it is, by the token of its session.
    Worker(WorkerId),
    /// One with an invite, which says that it is this worker.
    Invited(Option<WorkerId>),
}

impl FromRequestParts<App> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(shown) = bearer(&parts.headers).map(str::to_owned) {
            return Self::of_bearer(&shown, parts, app).await;
        }
        let query = Query::<HashMap<String, String>>::try_from_uri(&parts.uri);
        let mut query = query.map(|Query(query)| query).unwrap_or_default();
        let invite = query.remove("invite").unwrap_or_default();
        app.invites
            .check(&invite, app.clock.wall())
            .map_err(ApiError::UnauthorizedInvite)?;
        let worker = query.remove("workerId");
        Ok(Self::Invited(worker.and_then(|id| id.parse().ok())))
    }
}

impl Asker {
    /// By the token of a session, or by an invite, which then stands in no address.
    async fn of_bearer(shown: &str, parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if !is_invite(shown) {
            let session = SessionWorker::from_request_parts(parts, app).await?;
            return Ok(Self::Worker(session.worker));
        }
        app.invites
            .check(shown, app.clock.wall())
            .map_err(ApiError::UnauthorizedInvite)?;
        Ok(Self::Invited(None))
    }
}

/// A worker sees its own row, and of others what they have done but not what they are.
fn seen_by(asker: &Asker, all: &WorkersMetrics) -> WorkersMetrics {
    let row_of = |worker: &WorkerId| all.workers.iter().find(|row| row.worker_id == *worker);
    let own = match asker {
        Asker::Worker(worker) => row_of(worker).cloned(),
        Asker::Invited(worker) => worker.as_ref().and_then(row_of).map(without_device),
    };
    WorkersMetrics {
        now: all.now,
        own,
        workers: all
            .workers
            .iter()
            .take(MAX_PEERS)
            .map(without_device)
            .collect(),
        totals: all.totals,
    }
}

fn without_device(row: &WorkerMetrics) -> WorkerMetrics {
    WorkerMetrics {
        capabilities: None,
        ..row.clone()
    }
}
