//! Typed calls to the server, relative to the page's base.

mod bytes;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::api::{AddCreated, InviteCreated, JobCreated, Members, WorkerList};
use shared::ids::JobId;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Blob, Request, RequestInit, Response};

pub(crate) use bytes::Bytes;

use crate::state::{Key, Order};

/// Bytes of a job's answer that are read to show its result; of what is longer, only the beginning.
const MAX_SHOWN_BYTES: usize = 4 * 1024 * 1024;

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The key is not accepted (any more).
    Unauthorized(String),
    /// The server refuses.
    Refused {
        /// HTTP status.
        status: u16,
        /// Why.
        text: String,
    },
    /// No answer, or one that broke off.
    Unreachable,
    /// An answer of another shape.
    NotUnderstood,
}

impl CallError {
    /// What to tell the user.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Unauthorized(text) | Self::Refused { text, .. } => text,
            Self::Unreachable => "The server cannot be reached.".to_owned(),
            Self::NotUnderstood => {
                "The server's answer was not understood. Reload the page.".to_owned()
            }
        }
    }
}

/// Who calls, and what can end the call early.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) key: &'a Key,
    pub(crate) signal: Option<AbortSignal>,
}

impl<'a> From<&'a Key> for Caller<'a> {
    fn from(key: &'a Key) -> Self {
        Self { key, signal: None }
    }
}

pub(crate) async fn check_key(key: &Key) -> Result<(), CallError> {
    answer(key.into(), "api/auth/check", None).await.map(|_| ())
}

pub(crate) async fn workers(key: &Key) -> Result<WorkerList, CallError> {
    get(key.into(), "api/workers").await
}

pub(crate) async fn make_invite(key: &Key, body: &str) -> Result<InviteCreated, CallError> {
    post(key, "api/invites/worker", body).await
}

/// What can be submitted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Submission {
    /// An addition.
    Add,
    /// A script.
    Script,
}

/// Submits a job; its id, and what the server has to say about it.
pub(crate) async fn submit(
    key: &Key,
    what: Submission,
    body: &str,
) -> Result<(JobId, Option<String>), CallError> {
    match what {
        Submission::Add => {
            let created: AddCreated = post(key, "api/jobs", body).await?;
            Ok((created.job_id, None))
        }
        Submission::Script => {
            let created: JobCreated = post(key, "api/jobs/run-js", body).await?;
            Ok((created.job_id, created.note))
        }
    }
}

/// Tells the server what the owner of a job wants.
pub(crate) async fn order(key: &Key, id: JobId, order: Order) -> Result<(), CallError> {
    let path = match order {
        Order::Pause => "pause",
        Order::Resume => "resume",
        Order::Stop => "cancel",
    };
    let path = format!("api/jobs/{id}/{path}");
    answer(key.into(), &path, Some("{}")).await.map(|_| ())
}

/// The job's state without its result.
pub(crate) async fn job(caller: Caller<'_>, id: JobId) -> Result<Members, CallError> {
    get(caller, &format!("api/jobs/{id}?result=none")).await
}

/// The job's state as it changes, as Server-Sent Events.
pub(crate) async fn job_stream(caller: Caller<'_>, id: JobId) -> Result<Bytes, CallError> {
    let response = answer(caller, &format!("api/jobs/{id}/stream"), None).await?;
    Bytes::of(&response).ok_or(CallError::NotUnderstood)
}

/// The job's state with its result, or the beginning of it where that is very long.
pub(crate) async fn job_with_result(caller: Caller<'_>, id: JobId) -> Result<Vec<u8>, CallError> {
    let response = answer(caller, &format!("api/jobs/{id}"), None).await?;
    let chunks = Bytes::of(&response).ok_or(CallError::NotUnderstood)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await.map_err(|_| CallError::Unreachable)? {
        bytes.extend(chunk);
        if bytes.len() > MAX_SHOWN_BYTES {
            chunks.cancel();
            break;
        }
    }
    Ok(bytes)
}

/// The whole of it, for a file; the browser holds it.
pub(crate) async fn job_file(key: &Key, id: JobId) -> Result<Blob, CallError> {
    let response = answer(key.into(), &format!("api/jobs/{id}"), None).await?;
    let blob = response.blob().map_err(|_| CallError::Unreachable)?;
    let blob = JsFuture::from(blob).await;
    blob.map(JsCast::unchecked_into)
        .map_err(|_| CallError::Unreachable)
}

async fn get<T: DeserializeOwned>(caller: Caller<'_>, path: &str) -> Result<T, CallError> {
    read(&answer(caller, path, None).await?).await
}

async fn post<T: DeserializeOwned>(key: &Key, path: &str, body: &str) -> Result<T, CallError> {
    read(&answer(key.into(), path, Some(body)).await?).await
}

async fn read<T: DeserializeOwned>(response: &Response) -> Result<T, CallError> {
    let text = text_of(response).await.ok_or(CallError::Unreachable)?;
    serde_json::from_str(&text).map_err(|_| CallError::NotUnderstood)
}

/// The answer to GET `path`, or to POST `body` to it, if the server does what was asked.
async fn answer(caller: Caller<'_>, path: &str, body: Option<&str>) -> Result<Response, CallError> {
    let request = request(caller, path, body).map_err(|_| {
        // The browser refuses characters that no header can have.
        CallError::Unauthorized("This is no client key of this server.".to_owned())
    })?;
    let window = web_sys::window().ok_or(CallError::Unreachable)?;
    let response = JsFuture::from(window.fetch_with_request(&request)).await;
    let response: Response = response
        .map_err(|_| CallError::Unreachable)?
        .unchecked_into();
    match response.status() {
        200..=299 => Ok(response),
        status => Err(refusal(status, text_of(&response).await)),
    }
}

/// The part of a refusal ([`shared::api::Problem`]) that is shown.
#[derive(Deserialize)]
struct Told {
    error: String,
}

fn refusal(status: u16, body: Option<String>) -> CallError {
    let told: Option<Told> = body.and_then(|body| serde_json::from_str(&body).ok());
    let text = told.map_or_else(
        || format!("The server answered with status {status}."),
        |told| told.error,
    );
    match status {
        401 => CallError::Unauthorized(text),
        _ => CallError::Refused { status, text },
    }
}

fn request(caller: Caller<'_>, path: &str, body: Option<&str>) -> Result<Request, JsValue> {
    let init = RequestInit::new();
    init.set_signal(caller.signal.as_ref());
    if let Some(body) = body {
        init.set_method("POST");
        init.set_body(&JsValue::from_str(body));
    }
    let request = Request::new_with_str_and_init(path, &init)?;
    let headers = request.headers();
    headers.set("authorization", &format!("Bearer {}", caller.key.0))?;
    if body.is_some() {
        headers.set("content-type", "application/json")?;
    }
    Ok(request)
}

async fn text_of(response: &Response) -> Option<String> {
    let text = JsFuture::from(response.text().ok()?).await.ok()?;
    text.as_string()
}
