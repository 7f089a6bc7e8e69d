//! Fetching code and args that are too long to ride along with an assignment.

use std::rc::Rc;

use shared::ids::Digest32;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, Request, Response};

use super::driver::{Emit, Event};
use crate::bearer::request;

/// Gets a content and emits what came of it. The session checks it against its hash.
pub(super) fn fetch(
    scope: &DedicatedWorkerGlobalScope,
    url: &str,
    token: Option<&str>,
    hash: Digest32,
    emit: &Emit,
) {
    let request = request(
        &[url, &hash.to_string()].concat(),
        token.unwrap_or_default(),
    );
    let scope = scope.clone();
    let emit = Rc::clone(emit);
    spawn_local(async move {
        let text = match request {
            Ok(request) => answer(&scope, &request).await.ok().flatten(),
            Err(_) => None,
        };
        emit(Event::Fetched { hash, text });
    });
}

async fn answer(
    scope: &DedicatedWorkerGlobalScope,
    request: &Request,
) -> Result<Option<String>, JsValue> {
    let response: Response = JsFuture::from(scope.fetch_with_request(request))
        .await?
        .unchecked_into();
    if !response.ok() {
        return Ok(None);
    }
    Ok(JsFuture::from(response.text()?).await?.as_string())
}
