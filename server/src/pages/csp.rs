//! What pages may do (`Content-Security-Policy`).

use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use crate::proxy::Authority;

/// Policy of our own pages and of the scripts that they run in workers. `authority` is named as
/// socket origin too: some browsers do not count sockets as `'self'`. `base-uri` lets a page say
/// its own base path and nothing else.
pub(super) fn of_pages(authority: &Authority) -> HeaderValue {
    let sockets = match authority.as_str() {
        "" => String::new(),
        host => format!(" ws://{host} wss://{host}"),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'{sockets}; frame-src 'self'; worker-src 'self'; \
         manifest-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("a host has no character that a header lacks")
}

/// Policy of the sandbox page: an opaque origin without network, in which only the page's own
/// inline script and the workers that it makes of texts may run.
pub(super) fn of_sandbox(html: &str) -> HeaderValue {
    let hashes: String = inline_scripts(html)
        .map(|script| format!("'sha256-{}' ", BASE64.encode(Sha256::digest(script))))
        .collect();
    let policy = format!(
        "sandbox allow-scripts; default-src 'none'; script-src {hashes}'unsafe-eval'; \
         worker-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'self'"
    );
    HeaderValue::from_str(&policy).expect("base64 has no character that a header lacks")
}

/// Texts of the script elements, which are all inline there.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (_, text) = rest.split_once('>')?;
        text.split_once("</script>").map(|(script, _)| script)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_may_run_its_own_script_only() {
        let policy = of_sandbox("<!doctype html><script type=\"x\">alert(1)</script>");
        assert_eq!(
            policy,
            "sandbox allow-scripts; default-src 'none'; \
             script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=' 'unsafe-eval'; \
             worker-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'self'"
        );
    }
}
