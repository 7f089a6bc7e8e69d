//! What every request can reach, and the layers around the routes.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use scheduler::SchedulerConfig;
use shared::ids::{Digest32, JobId};
use shared::mnemonic::ClientKey;

use crate::api::jobs::Streams;
use crate::clock::Clock;
use crate::config::{Hsts, JobSettings};
use crate::dispatch::Dispatch;
use crate::gateway::Gateway;
use crate::instruments::Instruments;
use crate::invites::Invites;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::pages::Pages;
use crate::proxy::{self, Authority, Caller, ProxyTrust};
use crate::session_token::SessionTokens;
use crate::store::Store;

/// End of the routes whose last part lets workers in.
pub(crate) const INVITE_LINK_PARAMETER: &str = "/{invite}";

/// Handles and settings that requests need; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<AppParts>);

/// What an [`App`] is made of.
#[derive(Debug)]
pub(crate) struct AppParts {
    /// In front of every path; empty or `/…`.
    pub base_path: String,
    /// `Strict-Transport-Security`.
    pub hsts: Hsts,
    /// Whose headers are believed.
    pub trust_proxy: ProxyTrust,
    /// Bytes of a request body.
    pub max_body_bytes: usize,
    /// What one address may ask.
    pub limits: Limits,
    /// Limits of jobs.
    pub jobs: JobSettings,
    /// Settings of the scheduler.
    pub scheduler: SchedulerConfig,
    /// Lifetime of an assignment, in seconds.
    pub signed_job_ttl_sec: u64,
    /// Our public key: SPKI DER in base64, and its id.
    pub signing_key: PublicKey,
    /// Lifetime of an invite that names none, in seconds.
    pub invite_ttl_sec: u64,
    /// Clocks.
    pub clock: Clock,
    /// What clients prove themselves with.
    pub client_key: ClientKey,
    /// Where we listen.
    pub listener: SocketAddr,
    /// Invites.
    pub invites: Arc<Invites>,
    /// What operators have ordered.
    pub orders: Arc<Orders>,
    /// Session tokens.
    pub tokens: Arc<SessionTokens>,
    /// Durable jobs.
    pub store: Arc<dyn Store>,
    /// Running jobs.
    pub dispatch: Dispatch,
    /// Clients that follow a job.
    pub streams: Streams,
    /// Workers' sockets.
    pub gateway: Arc<Gateway>,
    /// Instruments.
    pub instruments: Arc<Instruments>,
    /// Where they are read, below the base path.
    pub metrics_path: String,
    /// Who may read them.
    pub metrics_token: Option<ClientKey>,
    /// Pages.
    pub pages: Pages,
}

/// The key that assignments are signed with, as it is published.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    /// SPKI DER in base64.
    pub spki_b64: String,
    /// SHA-256 of the SPKI.
    pub kid: Digest32,
}

impl App {
    /// Shares the parts.
    pub(crate) fn new(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl AppParts {
    /// The app's root as the sender of a request knows it, without a trailing slash.
    pub(crate) fn url_for(&self, headers: &HeaderMap, caller: Caller) -> String {
        let scheme = proxy::scheme(headers, caller);
        let authority = Authority::of(headers, caller);
        format!("{scheme}://{}{}", authority.as_str(), self.base_path)
    }
}

impl Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// Routes know lower case and no trailing slash; file names under `/assets` and names of workers stay
/// as they are.
pub(crate) fn normalise(mut request: Request, base_path: &str) -> Request {
    let path = request.uri().path();
    let normal = normal_path(path, &base_path.to_ascii_lowercase());
    if normal != path {
        let target = match request.uri().query() {
            Some(query) => format!("{normal}?{query}"),
            None => normal,
        };
        if let Ok(uri) = Uri::try_from(target) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn normal_path(path: &str, base_path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let assets = format!("{base_path}/assets/");
    if lower.starts_with(&assets) {
        return format!("{assets}{}", &path[assets.len()..]);
    }
    let normal = match lower.strip_suffix('/') {
        Some(cut) if !cut.is_empty() => cut.to_owned(),
        Some(_) | None => lower,
    };
    let workers = format!("{base_path}/api/workers/");
    match normal.strip_prefix(&workers) {
        Some(rest) => {
            let (id, order) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let id = &path[workers.len()..][..id.len()];
            format!("{workers}{id}{order}")
        }
        None => normal,
    }
}

/// Counts each request, and logs one line of it: method, path, status, time.
pub(crate) async fn log(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let method = shown_method(request.method());
    let path = shown_path(route, request.uri().path());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    app.instruments.request(route, status);
    tracing::debug!(
        method,
        path,
        status,
        took_us = began.elapsed().as_micros() as u64,
        "answered"
    );
    response
}

/// Of a path only what the route says, and which job it names: all else is whatever the caller put
/// there, an invite or a key where none belongs.
fn shown_path(route: Option<&str>, path: &str) -> String {
    let Some(route) = route else {
        return "no route".into();
    };
    let parts = route.split('/').zip(path.split('/'));
    let shown = parts.map(|(form, given)| match given.parse::<JobId>() {
        Ok(_) => given,
        Err(_) => form,
    });
    shown.collect::<Vec<_>>().join("/")
}

/// A method that HTTP knows.
fn shown_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    let known = KNOWN.into_iter().find(|known| method == known);
    known.unwrap_or("no method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_one_trailing_slash_do_not_matter_but_in_names() {
        for (path, base, normal) in [
            ("/", "", "/"),
            ("/API/Jobs/", "", "/api/jobs"),
            ("/api/jobs//", "", "/api/jobs/"),
            ("/assets/Worker-1A.js", "", "/assets/Worker-1A.js"),
            ("/X/Assets/Worker-1A.js", "/x", "/x/assets/Worker-1A.js"),
            ("/X/", "/x", "/x"),
            ("/API/Workers/", "", "/api/workers"),
            ("/X/API/Workers/Ab.C/BAN/", "/x", "/x/api/workers/Ab.C/ban"),
            ("/api/workers/AbC", "", "/api/workers/AbC"),
        ] {
            assert_eq!(normal_path(path, base), normal, "{path}");
        }
    }

    #[test]
    fn of_a_path_the_route_is_logged_and_the_job() {
        let job = "0b1e6c2a-3f60-4d0c-9a53-8f6f2f1f0a11";
        let events = format!("/grid/api/jobs/{job}/events");
        for (route, path, shown) in [
            (Some("/health"), "/health", "/health"),
            (Some("/j/{invite}"), "/j/k7m2xqa", "/j/{invite}"),
            (Some("/grid/api/jobs/{job}/events"), &events, &events),
            (
                Some("/api/jobs/{job}"),
                "/api/jobs/hunter2",
                "/api/jobs/{job}",
            ),
            (Some("/assets/{*name}"), "/assets/a/b", "/assets/{*name}"),
            (None, "/k7m2xqa", "no route"),
        ] {
            assert_eq!(shown_path(route, path), shown);
        }
        assert_eq!(shown_method(&Method::HEAD), "HEAD");
        assert_eq!(shown_method(&"HUNTER2".parse().unwrap()), "no method");
    }
}
