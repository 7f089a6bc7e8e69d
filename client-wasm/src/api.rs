//! Typed calls to the server, relative to the page's base.

use serde::de::DeserializeOwned;
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, RequestInit, Response};

use crate::state::{Created, Invite, Job, Workers};

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The key is not accepted (any more).
    Unauthorized(String),
    /// Anything else, in words.
    Failed(String),
}

pub(crate) async fn check_key(key: &str) -> Result<(), CallError> {
    call::<Value>(key, "GET", "api/auth/check", None)
        .await
        .map(|_| ())
}

pub(crate) async fn workers(key: &str) -> Result<Workers, CallError> {
    call(key, "GET", "api/workers", None).await
}

pub(crate) async fn make_invite(key: &str) -> Result<Invite, CallError> {
    call(
        key,
        "POST",
        "api/invites/worker",
        Some(&Value::Object(serde_json::Map::new())),
    )
    .await
}

pub(crate) async fn job(key: &str, id: &str) -> Result<Job, CallError> {
    call(key, "GET", &format!("api/jobs/{id}"), None).await
}

pub(crate) async fn submit_script(key: &str, body: &Value) -> Result<Created, CallError> {
    call(key, "POST", "api/jobs/run-js", Some(body)).await
}

pub(crate) async fn submit_add(key: &str, body: &Value) -> Result<Created, CallError> {
    call(key, "POST", "api/jobs", Some(body)).await
}

async fn call<T: DeserializeOwned>(
    key: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<T, CallError> {
    let (status, text) = fetch(key, method, path, body).await.map_err(|_| {
        CallError::Failed("The server cannot be reached. Trying again …".to_owned())
    })?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let refusal = || {
        answer["error"].as_str().map_or_else(
            || format!("The server answered with status {status}."),
            str::to_owned,
        )
    };
    match status {
        401 => Err(CallError::Unauthorized(refusal())),
        200..=299 => serde_json::from_str(&text).map_err(|_| {
            CallError::Failed("The server's answer was not understood. Reload the page.".to_owned())
        }),
        _ => Err(CallError::Failed(refusal())),
    }
}

async fn fetch(
    key: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, String), JsValue> {
    let init = RequestInit::new();
    init.set_method(method);
    if let Some(body) = body {
        init.set_body(&JsValue::from_str(&body.to_string()));
    }
    let request = Request::new_with_str_and_init(path, &init)?;
    let headers = request.headers();
    headers.set("authorization", &format!("Bearer {key}"))?;
    if body.is_some() {
        headers.set("content-type", "application/json")?;
    }
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let response: Response = JsFuture::from(window.fetch_with_request(&request))
        .await?
        .dyn_into()?;
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.status(), text.as_string().unwrap_or_default()))
}
