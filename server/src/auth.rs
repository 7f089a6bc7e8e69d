//! Extractors that prove who calls.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use shared::ids::WorkerId;

use crate::api::ApiError;
use crate::app::App;
use crate::proxy::Caller;

/// A client that has the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiClient(());

impl FromRequestParts<App> for ApiClient {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let given =
            bearer(&parts.headers).or_else(|| header_text(&parts.headers, "x-client-token"));
        let key = given.ok_or(ApiError::UnauthorizedClient)?;
        let attempt = app.limits.attempt_key(Caller::noted(&parts.extensions))?;
        if !app.client_key.accepts(key) {
            return Err(ApiError::UnauthorizedClient);
        }
        attempt.forgive();
        Ok(Self(()))
    }
}

/// A worker that has a session, or had one within a day.
#[derive(Debug, Clone)]
pub(crate) struct SessionWorker {
    /// Which one.
    pub worker: WorkerId,
}

impl FromRequestParts<App> for SessionWorker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        bearer(&parts.headers)
            .and_then(|token| app.tokens.check(token, app.clock.running()))
            .filter(|claims| app.orders.allow(claims))
            .map(|claims| Self {
                worker: claims.worker,
            })
            .ok_or(ApiError::UnauthorizedWorker)
    }
}

/// What a request shows as `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = header_text(headers, header::AUTHORIZATION.as_str())?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
