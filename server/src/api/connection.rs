//! How a request reached us: what whoever sets up the proxies in front needs to see.
//!
//! Only for who has the key: addresses and headers tell of the operator's network.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use shared::api::{Connection, ProxiesTrusted};

use crate::app::App;
use crate::auth::ApiClient;
use crate::proxy::{Caller, ProxyTrust, said_by_proxies};

/// `GET /api/connection`
pub(crate) async fn show(
    State(app): State<App>,
    _: ApiClient,
    caller: Caller,
    headers: HeaderMap,
) -> Json<Connection> {
    Json(Connection {
        peer: caller.peer,
        client: caller.address,
        trust_proxy: match app.trust_proxy {
            ProxyTrust::Nobody => ProxiesTrusted::Nobody,
            ProxyTrust::OneHop => ProxiesTrusted::OneHop,
            ProxyTrust::Networks(_) => ProxiesTrusted::Networks,
        },
        is_peer_trusted: caller.is_proxied,
        url: app.url_for(&headers, caller),
        forwarded: said_by_proxies(&headers),
    })
}
