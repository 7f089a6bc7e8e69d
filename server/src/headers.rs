//! Headers that every answer carries (`HTTP_API` 15).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::config::Hsts;
use crate::proxy::{self, Authority, Caller};
use crate::reach;

const ORIGIN_AGENT_CLUSTER: HeaderName = HeaderName::from_static("origin-agent-cluster");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

const ALWAYS: [(HeaderName, &str); 10] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    (header::REFERRER_POLICY, "no-referrer"),
    (OPENER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (ORIGIN_AGENT_CLUSTER, "?1"),
    (header::X_DNS_PREFETCH_CONTROL, "off"),
    (HeaderName::from_static("x-download-options"), "noopen"),
    (
        HeaderName::from_static("x-permitted-cross-domain-policies"),
        "none",
    ),
    (header::X_XSS_PROTECTION, "0"),
];

/// Policy of everything that is not a page.
const DATA_CSP: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; frame-ancestors 'none'");

/// Most answers are for the bearer of a key; a cache that is shared may not know `x-client-token`.
const NOT_STORED: HeaderValue = HeaderValue::from_static("no-store");

/// Adds what an answer does not say itself.
pub(crate) async fn secure(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let is_https = proxy::scheme(request.headers(), caller) == "https";
    let known_as = Authority::of(request.headers(), caller);
    let mut response = next.run(request).await;
    let hsts = strict_transport(&app.hsts, is_https, &app.base_path);
    let is_navigation = is_navigation(response.status(), response.headers());
    add(response.headers_mut(), hsts);
    if is_navigation && !is_https && !reach::is_this_computer(&known_as) {
        // Browsers follow these only where they trust the origin, and complain of them elsewhere.
        response.headers_mut().remove(OPENER_POLICY);
        response.headers_mut().remove(ORIGIN_AGENT_CLUSTER);
    }
    response
}

/// Whether a browser goes where this answer leads: a page, or the way to one.
fn is_navigation(status: StatusCode, headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    status.is_redirection() || kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The headers of an answer to something that could not be read, so that nobody knows how it came.
pub(crate) fn of_unreadable(hsts: &Hsts, base_path: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    add(&mut headers, strict_transport(hsts, false, base_path));
    headers
}

fn add(headers: &mut HeaderMap, hsts: Option<HeaderValue>) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(DATA_CSP);
    headers.entry(header::CACHE_CONTROL).or_insert(NOT_STORED);
    if is_of_opaque_origin(headers) {
        // It has an agent cluster of its own anyway; asked to make one, browsers warn.
        headers.remove(ORIGIN_AGENT_CLUSTER);
    }
    if let Some(value) = hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

/// Whether the answer's own policy takes the server's origin away from it, as the sandbox's does.
fn is_of_opaque_origin(headers: &HeaderMap) -> bool {
    let policy = headers.get(header::CONTENT_SECURITY_POLICY);
    policy.is_some_and(|policy| policy.as_bytes().starts_with(b"sandbox "))
}

/// Subdomains are included only where the whole host is ours.
fn strict_transport(hsts: &Hsts, is_https: bool, base_path: &str) -> Option<HeaderValue> {
    match hsts {
        Hsts::Off => None,
        Hsts::Value(value) => HeaderValue::from_str(value).ok(),
        Hsts::Auto if !is_https => None,
        Hsts::Auto if base_path.is_empty() => Some(HeaderValue::from_static(
            "max-age=31536000; includeSubDomains",
        )),
        Hsts::Auto => Some(HeaderValue::from_static("max-age=31536000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_security_follows_scheme_base_path_and_setting() {
        let auto = |is_https, base| strict_transport(&Hsts::Auto, is_https, base);
        assert_eq!(auto(false, ""), None);
        assert_eq!(
            auto(true, "").unwrap(),
            "max-age=31536000; includeSubDomains"
        );
        assert_eq!(auto(true, "/cluster").unwrap(), "max-age=31536000");
        assert_eq!(strict_transport(&Hsts::Off, true, ""), None);
        let fixed = Hsts::Value("max-age=60".into());
        assert_eq!(strict_transport(&fixed, false, "").unwrap(), "max-age=60");
    }
}
