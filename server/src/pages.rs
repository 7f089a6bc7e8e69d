//! The pages and what they load: built into the program, or served from a folder.
//!
//! Lives here: finding files, compression, caching, the base path. Not here: which headers hold a
//! page down (`pages/csp`), and how the files are made (xtask). Names under `/assets` contain a hash
//! of the content, so they are cached for ever; pages are asked for anew each time.

mod csp;

use std::borrow::Cow;
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::api::ApiError;
use crate::app::App;
use crate::proxy::{Authority, Caller};

/// Where a page expects the base path.
const BASE_MARK: &str = "/__BASE__/";
const NOT_BUILT: &str =
    "The pages are not built. Run `cargo xtask build` and start the server again.\n";

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../dist"]
struct Built;

/// Where files come from.
#[derive(Debug, Clone)]
pub(crate) enum Pages {
    /// The program itself.
    BuiltIn,
    /// A folder (`ASSETS_DIR`), read at each request.
    Folder(PathBuf),
}

/// `/client`
pub(crate) async fn client(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Response {
    page(&app, caller, &headers, "client.html").await
}

/// `/worker`
pub(crate) async fn worker(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Response {
    page(&app, caller, &headers, "worker.html").await
}

/// `/metrics`
pub(crate) async fn metrics(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    page(&app, caller, &headers, "metrics.html").await
}

/// `/raytrace-viewer`
pub(crate) async fn raytrace_viewer(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    page(&app, caller, &headers, "raytrace-viewer.html").await
}

/// `/parallel-guide`
pub(crate) async fn parallel_guide(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    page(&app, caller, &headers, "parallel-guide.html").await
}

/// `/sandbox`: the frame in which job code runs, of an opaque origin.
pub(crate) async fn sandbox(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Response {
    page(&app, caller, &headers, "sandbox.html").await
}

/// `/assets/<name>`
pub(crate) async fn asset(
    State(app): State<App>,
    caller: Caller,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|_| ApiError::NotFound)?;
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if matches!(extension, "html" | "br") {
        return Err(ApiError::NotFound);
    }
    let compressed = if accepts_brotli(&headers) {
        app.pages.file(&format!("{name}.br")).await
    } else {
        None
    };
    let is_compressed = compressed.is_some();
    let bytes = match compressed {
        Some(bytes) => bytes,
        None => app.pages.file(&name).await.ok_or(ApiError::NotFound)?,
    };
    let mut response = cacheable(&headers, bytes);
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, media_type(extension));
    answer.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    answer.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if is_compressed {
        answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    if extension == "js" {
        // The worker's runtime is such a script, and takes its policy from its own answer.
        let policy = csp::of_pages(&Authority::of(&headers, caller));
        answer.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

async fn page(app: &App, caller: Caller, headers: &HeaderMap, name: &str) -> Response {
    let Some(bytes) = app.pages.file(name).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT).into_response();
    };
    let html = String::from_utf8_lossy(&bytes).replace(BASE_MARK, &format!("{}/", app.base_path));
    let policy = if name == "sandbox.html" {
        csp::of_sandbox(&html)
    } else {
        csp::of_pages(&Authority::of(headers, caller))
    };
    let mut response = cacheable(headers, html.into_bytes().into());
    let answer = response.headers_mut();
    answer.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

impl Pages {
    async fn file(&self, name: &str) -> Option<Cow<'static, [u8]>> {
        if !is_plain(name) {
            return None;
        }
        match self {
            Self::BuiltIn => Built::get(name).map(|file| file.data),
            Self::Folder(folder) => tokio::fs::read(folder.join(name))
                .await
                .ok()
                .map(Cow::Owned),
        }
    }
}

/// Whether a name stays inside the folder.
fn is_plain(name: &str) -> bool {
    name.split('/').all(|segment| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    })
}

/// The bytes with their ETag, or 304 where the client has them.
fn cacheable(headers: &HeaderMap, bytes: Cow<'static, [u8]>) -> Response {
    let etag = etag(&bytes);
    let is_known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| {
            known
                .split(',')
                .any(|tag| matches!(tag.trim().trim_start_matches("W/"), tag if tag == etag))
        });
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(match bytes {
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        })
    };
    let etag = HeaderValue::from_str(&etag).expect("quoted hex is a header value");
    response.headers_mut().insert(header::ETAG, etag);
    response
}

fn etag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING);
    accepted
        .and_then(|list| list.to_str().ok())
        .is_some_and(|list| {
            list.split(',').any(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                parts.next() == Some("br") && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
            })
        })
}

fn media_type(extension: &str) -> HeaderValue {
    HeaderValue::from_static(match extension {
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        for good in ["worker-1a2b.js", "snippets/a_b/inline0.js"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "../Cargo.toml",
            "a/../../b",
            "/etc/passwd",
            ".env",
            "a//b",
            "a\\b",
            "a%2fb",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn brotli_is_sent_to_who_takes_it() {
        for (list, accepted) in [
            ("br", true),
            ("gzip, deflate, br;q=0.9", true),
            ("gzip", false),
            ("br;q=0", false),
            ("brotli", false),
        ] {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(list))];
            assert_eq!(
                accepts_brotli(&headers.into_iter().collect()),
                accepted,
                "{list}"
            );
        }
    }
}
