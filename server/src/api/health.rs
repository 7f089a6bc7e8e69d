//! Small answers: is it there, what are its limits, is my key good.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use shared::api::{AuthCheck, CustomJobLimits, Health, IsoTime, PublicConfig};

use super::ApiError;
use crate::app::App;
use crate::auth::ApiClient;
use crate::store::StoreError;

/// Time in which a store answers that can be worked with.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// `GET /health`, `GET /healthz`: whether the process answers.
pub(crate) async fn health(State(app): State<App>) -> Json<Health> {
    Json(Health {
        ok: true,
        now: IsoTime(app.clock.wall()),
    })
}

/// `GET /readyz`: whether work is taken, which needs a store that can be read and written.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    let answers = async {
        app.store.newest_invite().await?;
        app.store.check_writable().await
    };
    let answered = tokio::time::timeout(STORE_PATIENCE, answers).await;
    answered.unwrap_or(Err(StoreError::Slow))?;
    Ok(health(State(app)).await)
}

/// `GET /api/public-config`
pub(crate) async fn public_config(State(app): State<App>) -> Json<PublicConfig> {
    let jobs = &app.jobs;
    Json(PublicConfig {
        job_signing_public_key_spki_b64: app.signing_key.spki_b64.clone(),
        job_signing_key_id: app.signing_key.kid,
        signed_job_ttl_sec: app.signed_job_ttl_sec,
        custom_job_limits: CustomJobLimits {
            max_code_bytes: jobs.max_code_bytes,
            max_args_bytes: jobs.max_args_bytes,
            max_result_bytes: jobs.max_result_bytes,
            min_timeout_ms: jobs.min_timeout_ms,
            max_timeout_ms: jobs.max_timeout_ms,
            default_timeout_ms: jobs.default_timeout_ms,
        },
    })
}

/// `GET /api/auth/check`
pub(crate) async fn auth_check(_: ApiClient) -> Json<AuthCheck> {
    Json(AuthCheck { ok: true })
}
