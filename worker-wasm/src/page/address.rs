//! The page's own address: the invitation in it, and what is found relative to it.

use wasm_bindgen::prelude::*;
use web_sys::{Document, Url, Window};

const INVITE: &str = "invite";

/// Takes the invitation out of the address bar and the history. Nothing may be requested before.
pub(super) fn take_invite(window: &Window) -> Option<String> {
    let url = Url::new(&window.location().href().ok()?).ok()?;
    let params = url.search_params();
    let invite = params.get(INVITE)?;
    params.delete(INVITE);
    let clean = [url.pathname(), url.search(), url.hash()].concat();
    let history = window.history().ok()?;
    history
        .replace_state_with_url(&JsValue::NULL, "", Some(&clean))
        .ok()?;
    Some(invite)
}

/// `path` below the base path of this deployment.
pub(super) fn below_base(document: &Document, path: &str) -> Option<Url> {
    let base = document.base_uri().ok()??;
    Url::new_with_base(path, &base).ok()
}

/// Where the socket is.
pub(super) fn socket_url(document: &Document) -> Option<String> {
    let url = below_base(document, "ws/worker")?;
    let scheme = if url.protocol() == "https:" {
        "wss:"
    } else {
        "ws:"
    };
    url.set_protocol(scheme);
    Some(url.href())
}
