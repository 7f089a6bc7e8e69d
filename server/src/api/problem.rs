//! Refusals: status, kind and text of each are decided in one place.
//!
//! Clients print `error`; the members of a problem document (RFC 9457) stand beside it. Where the
//! contract fixes a text it is word for word here or in the error that is shown.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use shared::api::Problem;
use shared::job::JobRequestError;

use crate::dispatch::Overloaded;
use crate::invites::InviteRefusal;
use crate::limits::whole_seconds;
use crate::store::StoreError;

/// Every refusal of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The body is no JSON.
    MalformedJson(String),
    /// The body is JSON of the wrong kind.
    BadRequest(String),
    /// A job breaks a rule.
    Job(JobRequestError),
    /// A job cannot be told so; the text is a word of the contract.
    Control(&'static str),
    /// Not a worker's handshake.
    NotAWorkerSocket,
    /// No or a wrong client key.
    UnauthorizedClient,
    /// No invite, or one that does not hold.
    UnauthorizedInvite(InviteRefusal),
    /// No or a wrong token of the instruments.
    UnauthorizedMonitor,
    /// No or a wrong session token.
    UnauthorizedWorker,
    /// A page of another origin.
    ForeignOrigin,
    /// No such route.
    NotFound,
    /// No such job.
    UnknownJob,
    /// No running job has this content.
    UnknownContent,
    /// No such invite.
    UnknownInvite,
    /// No such worker.
    UnknownWorker,
    /// The route has other methods.
    MethodNotAllowed,
    /// The body is larger than allowed.
    BodyTooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// The body does not come in time.
    BodyTooSlow,
    /// The caller asks too often.
    TooManyRequests {
        /// When to come again.
        retry_after: Duration,
    },
    /// The caller has too many sockets that have not said hello.
    TooManySockets,
    /// Too much waits already.
    Overloaded(Overloaded),
    /// The store cannot be written or read.
    Store(StoreError),
    /// The head of a request is none.
    UnreadableHead,
    /// The head of a request is larger than allowed.
    HeadTooLarge,
    /// The path of a request is longer than allowed.
    PathTooLong,
    /// Our fault.
    Internal,
}

/// Marks an answer whose media type may be that of problem documents.
#[derive(Debug, Clone, Copy)]
struct IsProblem;

impl ApiError {
    /// Status and texts.
    pub(crate) fn problem(self) -> Problem {
        let (status, kind, title, text) = match self {
            Self::MalformedJson(cause) => (
                StatusCode::BAD_REQUEST,
                "urn:cluster:problem:malformed-json",
                "Malformed JSON",
                format!("Body must be valid JSON: {cause}."),
            ),
            Self::BadRequest(text) => (
                StatusCode::BAD_REQUEST,
                "urn:cluster:problem:bad-request",
                "Bad request",
                text,
            ),
            Self::Job(error) => (
                StatusCode::BAD_REQUEST,
                "urn:cluster:problem:invalid-job",
                "Invalid job",
                error.to_string(),
            ),
            Self::Control(why) => (
                StatusCode::BAD_REQUEST,
                "urn:cluster:problem:job-control",
                "The job cannot be told so",
                why.into(),
            ),
            Self::NotAWorkerSocket => (
                StatusCode::BAD_REQUEST,
                "urn:cluster:problem:not-a-worker-socket",
                "Not a worker socket",
                format!(
                    "This is a WebSocket of the subprotocol {}.",
                    shared::wire::SUBPROTOCOL
                ),
            ),
            Self::UnauthorizedClient => (
                StatusCode::UNAUTHORIZED,
                "urn:cluster:problem:unauthorized-client",
                "Unauthorized client",
                "Unauthorized client token.".into(),
            ),
            Self::UnauthorizedMonitor => (
                StatusCode::UNAUTHORIZED,
                "urn:cluster:problem:unauthorized-monitor",
                "Unauthorized monitor",
                "Unauthorized metrics token; the operator sets it as METRICS_TOKEN.".into(),
            ),
            Self::UnauthorizedInvite(refusal) => (
                StatusCode::UNAUTHORIZED,
                "urn:cluster:problem:unauthorized-invite",
                "Unauthorized invite",
                format!("Unauthorized worker invite: {}", refusal.reason()),
            ),
            Self::UnauthorizedWorker => (
                StatusCode::UNAUTHORIZED,
                "urn:cluster:problem:unauthorized-worker",
                "Unauthorized worker",
                "Unauthorized worker session.".into(),
            ),
            Self::ForeignOrigin => (
                StatusCode::FORBIDDEN,
                "urn:cluster:problem:foreign-origin",
                "Foreign origin",
                "This origin is not allowed; the operator can add it to ALLOWED_ORIGINS.".into(),
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "urn:cluster:problem:not-found",
                "Not found",
                "Not found.".into(),
            ),
            Self::UnknownJob => (
                StatusCode::NOT_FOUND,
                "urn:cluster:problem:unknown-job",
                "Unknown job",
                "Job not found.".into(),
            ),
            Self::UnknownContent => (
                StatusCode::NOT_FOUND,
                "urn:cluster:problem:unknown-content",
                "Unknown content",
                "No running job has this content.".into(),
            ),
            Self::UnknownInvite => (
                StatusCode::NOT_FOUND,
                "urn:cluster:problem:unknown-invite",
                "Unknown invite",
                "Invite not found.".into(),
            ),
            Self::UnknownWorker => (
                StatusCode::NOT_FOUND,
                "urn:cluster:problem:unknown-worker",
                "Unknown worker",
                "Worker not found.".into(),
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:cluster:problem:method-not-allowed",
                "Method not allowed",
                "Method not allowed.".into(),
            ),
            Self::BodyTooLarge { max } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "urn:cluster:problem:body-too-large",
                "Body too large",
                format!("Body exceeds max size ({max} bytes)."),
            ),
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "urn:cluster:problem:body-too-slow",
                "Body too slow",
                "Body came too slowly.".into(),
            ),
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "urn:cluster:problem:too-many-requests",
                "Too many requests",
                "Too many requests. Slow down.".into(),
            ),
            Self::TooManySockets => (
                StatusCode::TOO_MANY_REQUESTS,
                "urn:cluster:problem:too-many-sockets",
                "Too many sockets",
                "Too many active connections from this IP.".into(),
            ),
            Self::Overloaded(why) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:cluster:problem:overloaded",
                "Overloaded",
                format!("Try again later: {why}."),
            ),
            Self::Store(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:cluster:problem:store-unavailable",
                "Store unavailable",
                format!("The server cannot use its store: {error}."),
            ),
            Self::UnreadableHead => (
                StatusCode::BAD_REQUEST,
                "urn:cluster:problem:unreadable-head",
                "Unreadable head",
                "This is no HTTP/1.1 request.".into(),
            ),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "urn:cluster:problem:head-too-large",
                "Head too large",
                "The head of the request has too many or too large headers.".into(),
            ),
            Self::PathTooLong => (
                StatusCode::URI_TOO_LONG,
                "urn:cluster:problem:path-too-long",
                "Path too long",
                "The path of the request is too long.".into(),
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "urn:cluster:problem:internal",
                "Internal error",
                "The server made a mistake; its log says more.".into(),
            ),
        };
        Problem {
            detail: text.clone(),
            error: text,
            kind: kind.into(),
            title: title.into(),
            status: status.as_u16(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let pause = if let Self::TooManyRequests { retry_after } = &self {
            Some(*retry_after)
        } else {
            None
        };
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).expect("it was made of a status");
        let mut response = (status, Json(problem)).into_response();
        response.extensions_mut().insert(IsProblem);
        if let Some(pause) = pause {
            let seconds = whole_seconds(pause).into();
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Names the media type of problem documents to those who ask for it.
pub(crate) async fn choose_media_type(request: Request, next: Next) -> Response {
    let wants_problem = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/problem+json"));
    let mut response = next.run(request).await;
    if wants_problem && response.extensions().get::<IsProblem>().is_some() {
        let media_type = HeaderValue::from_static("application/problem+json");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
    }
    response
}

impl From<JobRequestError> for ApiError {
    fn from(error: JobRequestError) -> Self {
        Self::Job(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Overloaded> for ApiError {
    fn from(why: Overloaded) -> Self {
        Self::Overloaded(why)
    }
}
