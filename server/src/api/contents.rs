//! Code and args of running jobs, for the workers that run them.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use shared::ids::Digest32;

use super::ApiError;
use crate::app::App;
use crate::auth::SessionWorker;

/// `GET /api/content/<sha256 in hex>`: the text with this hash, which never changes.
pub(crate) async fn show(
    State(app): State<App>,
    _: SessionWorker,
    hash: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Path(hash) = hash.map_err(|_| ApiError::UnknownContent)?;
    let hash: Digest32 = hash.parse().map_err(|_| ApiError::UnknownContent)?;
    let text = app.dispatch.content(hash).await?;
    let text = text.ok_or(ApiError::UnknownContent)?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ),
    ];
    Ok((headers, text.to_string()))
}
