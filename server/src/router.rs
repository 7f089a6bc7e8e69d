//! The whole route table in one list.

use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Router, middleware::from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::{self, connection, contents, health, invites, jobs, metrics, prometheus, workers};
use crate::app::{self, App};
use crate::{gateway, headers, limits, pages};

/// Every route, with the layers around it. Paths must be normalised before ([`app::normalise`]).
pub(crate) fn router(app: App) -> Router {
    let base = app.base_path.to_ascii_lowercase();
    let at = |path: &str| format!("{base}{path}");
    let secret = |path: &str| at(path) + app::INVITE_LINK_PARAMETER;
    let client = format!("{}/client", app.base_path);
    let root = app.base_path.clone();

    let mut routes = Router::new()
        .route(&at(&app.metrics_path), get(prometheus::read))
        .route(&at("/client"), get(pages::client))
        .route(&at("/worker"), get(pages::worker))
        .route(&at("/metrics"), get(pages::metrics))
        .route(&at("/metrics.html"), get(pages::metrics))
        .route(&at("/raytrace-viewer"), get(pages::raytrace_viewer))
        .route(&at("/raytrace-viewer.html"), get(pages::raytrace_viewer))
        .route(&at("/parallel-guide"), get(pages::parallel_guide))
        .route(&at("/parallel-guide.html"), get(pages::parallel_guide))
        .route(&at("/sandbox"), get(pages::sandbox))
        .route(&at("/assets/{*name}"), get(pages::asset))
        .route(&secret("/j"), get(invites::follow_code))
        .route(&secret("/p"), get(invites::follow_phrase))
        .route(&at("/health"), get(health::health))
        .route(&at("/healthz"), get(health::health))
        .route(&at("/readyz"), get(health::ready))
        .route(&at("/api/public-config"), get(health::public_config))
        .route(&at("/api/auth/check"), get(health::auth_check))
        .route(&at("/api/connection"), get(connection::show))
        .route(&at("/api/invites/worker"), post(invites::create))
        .route(&at("/api/invites"), get(invites::list))
        .route(&at("/api/invites/{jti}"), delete(invites::revoke))
        .route(&at("/api/jobs"), post(jobs::submit_add))
        .route(&at("/api/jobs/run-js"), post(jobs::submit_run_js))
        .route(&at("/api/jobs/{job}"), get(jobs::show))
        .route(&at("/api/jobs/stop-all"), post(jobs::stop_all))
        .route(&at("/api/jobs/{job}/pause"), post(jobs::pause))
        .route(&at("/api/jobs/{job}/resume"), post(jobs::resume))
        .route(&at("/api/jobs/{job}/cancel"), post(jobs::cancel))
        .route(&at("/api/jobs/{job}/events"), get(jobs::events))
        .route(&at("/api/jobs/{job}/stream"), get(jobs::stream))
        .route(&at("/api/workers"), get(workers::list))
        .route(&at("/api/workers/{worker}/drain"), post(workers::drain))
        .route(
            &at("/api/workers/{worker}/disconnect"),
            post(workers::disconnect),
        )
        .route(&at("/api/workers/{worker}/ban"), post(workers::ban))
        .route(&at("/api/workers/{worker}/unban"), post(workers::unban))
        .route(&at("/api/metrics/cluster"), get(metrics::cluster))
        .route(&at("/api/worker/metrics"), get(metrics::worker))
        .route(&at("/api/content/{hash}"), get(contents::show))
        .route(&at("/ws/worker"), get(gateway::open))
        // Always at the root.
        .route("/client.html", get(pages::client))
        .route("/worker.html", get(pages::worker));
    routes = if base.is_empty() {
        routes.route("/", get(move || async move { found(&client) }))
    } else {
        routes
            .route("/", get(move || async move { found(&root) }))
            .route(&base, get(move || async move { found(&client) }))
            .route("/health", get(health::health))
            .route("/healthz", get(health::health))
            .route("/readyz", get(health::ready))
    };
    routes
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), limits::hold))
        .layer(CatchPanicLayer::custom(api::panicked))
        .layer(middleware::from_fn(api::choose_media_type))
        .layer(from_fn_with_state(app.clone(), headers::secure))
        .layer(from_fn_with_state(app.clone(), app::log))
        .with_state(app)
}

fn found(location: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}
