//! Requests that show a token. It stands in a header, never in an address: addresses are logged.

use wasm_bindgen::prelude::*;
use web_sys::{Request, RequestInit};

/// A GET of `url` that shows `token`.
pub(crate) fn request(url: &str, token: &str) -> Result<Request, JsValue> {
    let init = RequestInit::new();
    let request = Request::new_with_str_and_init(url, &init)?;
    request
        .headers()
        .set("authorization", &["Bearer ", token].concat())?;
    Ok(request)
}
