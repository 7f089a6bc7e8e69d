//! The instruments as monitoring reads them.

use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::app::App;
use crate::auth::bearer;
use crate::instruments::{self, Measured};
use crate::proxy::{Authority, Caller, is_forwarded};
use crate::reach;

/// `GET <METRICS_PATH>`
pub(crate) async fn read(State(app): State<App>, _: Monitor) -> Result<Response, ApiError> {
    let look = app.dispatch.look().await?;
    let text = app.instruments.read(&Measured {
        cluster: &look.cluster,
        uncommitted_bytes: look.uncommitted_bytes,
        resident_bytes: instruments::resident_bytes(),
    });
    Ok(([(header::CONTENT_TYPE, instruments::MEDIA_TYPE)], text).into_response())
}

/// Who may read: the bearer of the token, or, where there is none, this machine itself. A request
/// that a proxy forwarded comes from somewhere else, whether the proxy is trusted or not; so does one
/// for a host of another name, which may be a proxy that says nothing, or a name that was rebound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Monitor(());

impl FromRequestParts<App> for Monitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::noted(&parts.extensions);
        let Some(token) = &app.metrics_token else {
            let is_here = caller.address.is_loopback()
                && !caller.is_proxied
                && !is_forwarded(&parts.headers)
                && reach::is_this_computer(&Authority::of(&parts.headers, caller));
            return is_here
                .then_some(Self(()))
                .ok_or(ApiError::UnauthorizedMonitor);
        };
        let attempt = app.limits.attempt_key(caller)?;
        if !bearer(&parts.headers).is_some_and(|given| token.accepts(given)) {
            return Err(ApiError::UnauthorizedMonitor);
        }
        attempt.forgive();
        Ok(Self(()))
    }
}
