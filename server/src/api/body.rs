//! Request bodies: capped, then read as JSON.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::ApiError;
use crate::app::App;

/// Of a body that is too large, this much is taken and dropped: most clients read no answer before
/// they have sent all, and would only see that the connection broke.
const MAX_DROPPED_BYTES: usize = 8 * 1024 * 1024;
/// And for this long.
const MAX_DROPPING: Duration = Duration::from_secs(5);

/// Time for the next piece of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for all of it.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A body as JSON: an object or an array. One of another content type than `application/json`
/// counts as an empty object, and so does an empty one.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(super) Value);

impl FromRequest<App> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let bytes = read(request, app.max_body_bytes).await?;
        if !is_json || bytes.is_empty() {
            return Ok(Self(Value::Object(Default::default())));
        }
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::MalformedJson(error.to_string()))?;
        match value {
            Value::Object(_) | Value::Array(_) => Ok(Self(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(ApiError::BadRequest("Body must be a JSON object.".into()))
            }
        }
    }
}

async fn read(request: Request, max: usize) -> Result<Vec<u8>, ApiError> {
    let headers = request.headers();
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let asks_first = headers.contains_key(header::EXPECT);
    let mut chunks = request.into_body().into_data_stream();
    if announced.is_some_and(|length| length > max) {
        if !asks_first {
            drop_rest(chunks).await;
        }
        return Err(ApiError::BodyTooLarge { max });
    }
    let mut bytes = Vec::new();
    let deadline = Instant::now() + BODY_TIMEOUT;
    loop {
        let piece_deadline = deadline.min(Instant::now() + PIECE_TIMEOUT);
        let next = timeout_at(piece_deadline, chunks.next()).await;
        let Some(chunk) = next.map_err(|_| ApiError::BodyTooSlow)? else {
            return Ok(bytes);
        };
        let chunk = chunk.map_err(|_| ApiError::BadRequest("Body ended early.".into()))?;
        if bytes.len() + chunk.len() > max {
            drop_rest(chunks).await;
            return Err(ApiError::BodyTooLarge { max });
        }
        bytes.extend_from_slice(&chunk);
    }
}

async fn drop_rest(mut chunks: BodyDataStream) {
    let dropped = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = chunks.next().await
            && bytes < MAX_DROPPED_BYTES
        {
            bytes += chunk.len();
        }
    };
    let _ = tokio::time::timeout(MAX_DROPPING, dropped).await;
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type
        .and_then(|text| text.to_str().ok())
        .is_some_and(|text| {
            let media_type = text.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case("application/json")
        })
}
