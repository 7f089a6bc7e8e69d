//! Request bodies: capped, then read as JSON.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::ApiError;
use crate::app::App;

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

async fn read(request: Request, max: usize) -> Result<Bytes, ApiError> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(ApiError::BodyTooLarge { max });
    }
    axum::body::to_bytes(request.into_body(), max)
        .await
        .map_err(|_| ApiError::BodyTooLarge { max })
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
