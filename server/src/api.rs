//! The HTTP API: one file a resource. Here: refusals and what all of them share.

mod body;
pub(crate) mod connection;
pub(crate) mod contents;
pub(crate) mod health;
pub(crate) mod invites;
pub(crate) mod jobs;
pub(crate) mod metrics;
mod problem;
pub(crate) mod prometheus;
pub(crate) mod workers;

use axum::response::{IntoResponse, Response};

pub(crate) use problem::{ApiError, choose_media_type};

/// Any path that is not a route.
pub(crate) async fn not_found() -> ApiError {
    ApiError::NotFound
}

/// A route with another method.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}

/// A handler that panicked; what it said is logged by the panic itself.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::Internal.into_response()
}
