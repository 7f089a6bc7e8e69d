//! Making worker invites, and following the links to them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use shared::api::{InviteCreated, InviteList, InviteRevoked, InviteRow, IsoTime, NetworkLinks};
use shared::time::UnixMillis;

use super::ApiError;
use super::body::JsonBody;
use crate::app::App;
use crate::auth::ApiClient;
use crate::dispatch::Dismissed;
use crate::invites::{Destination, InviteTerms, Issued, WORKER_PAGE, links};
use crate::proxy::{Authority, Caller};
use crate::reach;
use crate::store::{InviteLink, ListedInvite};

/// Seconds that an invite holds at least and at most.
const TTL_SEC: (u64, u64) = (60, 86_400);
/// Workers that an invite with a limit lets in at most.
const MAX_USES: u64 = 10_000;
/// Invites that are listed.
const MAX_LISTED: usize = 1_000;
const EXPIRED: &str = "This invite has expired. Ask for a new one.\n";
const UNKNOWN: &str = "This invite link is not known. Check it, or ask for a new one.\n";
/// Characters of a label.
const MAX_LABEL_CHARS: usize = 64;

/// `POST /api/invites/worker`
pub(crate) async fn create(
    State(app): State<App>,
    _: ApiClient,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<InviteCreated>), ApiError> {
    let wish = Wish::parse(&body)?;
    let ttl_sec = wish.ttl_sec.unwrap_or(app.invite_ttl_sec);
    let terms = InviteTerms {
        ttl_sec,
        label: wish.label,
        max_uses: wish.max_uses,
    };
    let issued = app.invites.issue(app.clock.wall(), terms).await?;
    let known_as = Authority::of(&headers, caller);
    let elsewhere = reach::beyond_this_computer(app.listener, &known_as, caller)
        .map(|address| network_links(&format!("http://{address}{}", app.base_path), &issued));
    let mut created = answer(&app.url_for(&headers, caller), issued, ttl_sec);
    created.network = elsewhere;
    created.max_uses = wish.max_uses;
    Ok((StatusCode::CREATED, Json(created)))
}

/// `base` is the app's root as other devices of the network know it.
fn network_links(base: &str, issued: &Issued) -> NetworkLinks {
    let urls = issued.urls(base);
    NetworkLinks {
        invite_qr_data_url: urls.qr_data_url(),
        invite_url: urls.full,
        short_invite_url: urls.short,
        phrase_invite_url: urls.phrase,
    }
}

/// `base` is the app's root as the client knows it.
fn answer(base: &str, issued: Issued, ttl_sec: u64) -> InviteCreated {
    let urls = issued.urls(base);
    InviteCreated {
        invite_qr_data_url: urls.qr_data_url(),
        invite_token: issued.token.0,
        invite_url: urls.full,
        short_code: issued.code,
        short_invite_url: urls.short,
        phrase_code: issued
            .phrase
            .as_ref()
            .map(|phrase| phrase.replace('-', " ")),
        phrase_slug: issued.phrase,
        phrase_invite_url: urls.phrase,
        expires_at: IsoTime(issued.expires_at),
        ttl_sec,
        network: None,
        max_uses: None,
    }
}

/// `GET /api/invites`
pub(crate) async fn list(
    State(app): State<App>,
    _: ApiClient,
) -> Result<Json<InviteList>, ApiError> {
    let listed = app.invites.list(MAX_LISTED).await?;
    let rows = listed.into_iter().enumerate();
    let invites = rows.map(|(place, invite)| row(invite, place == 0));
    Ok(Json(InviteList {
        invites: invites.collect(),
    }))
}

fn row(invite: ListedInvite, is_latest: bool) -> InviteRow {
    let time = |sec: u64| IsoTime(UnixMillis(sec.saturating_mul(1000)));
    let record = invite.record;
    InviteRow {
        jti: record.jti,
        label: record.label,
        issued_at: time(record.issued_at_sec),
        expires_at: time(record.expires_at_sec),
        max_uses: record.max_uses,
        uses: invite.uses,
        revoked: invite.is_revoked,
        latest: is_latest,
        short_code: invite.code,
        phrase_slug: invite.phrase,
    }
}

/// `DELETE /api/invites/:jti`
pub(crate) async fn revoke(
    State(app): State<App>,
    _: ApiClient,
    jti: Result<Path<String>, PathRejection>,
) -> Result<Json<InviteRevoked>, ApiError> {
    let Path(jti) = jti.map_err(|_| ApiError::UnknownInvite)?;
    if !app.orders.revoke(&jti).await? {
        return Err(ApiError::UnknownInvite);
    }
    let disconnected = app.dispatch.dismiss(Dismissed::Invite(jti.clone())).await?;
    tracing::info!(invite.id = jti, disconnected, "an invite is revoked");
    Ok(Json(InviteRevoked {
        ok: true,
        jti,
        disconnected,
    }))
}

/// `GET /j/:code`
pub(crate) async fn follow_code(
    State(app): State<App>,
    caller: Caller,
    code: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let link = code.ok().and_then(|Path(code)| links::typed_code(&code));
    follow(&app, caller, link).await
}

/// `GET /p/:phraseSlug`
pub(crate) async fn follow_phrase(
    State(app): State<App>,
    caller: Caller,
    phrase: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let link = phrase
        .ok()
        .and_then(|Path(text)| links::typed_phrase(&text));
    follow(&app, caller, link).await
}

/// `link` is `None` for what cannot be one.
async fn follow(app: &App, caller: Caller, link: Option<InviteLink>) -> Result<Response, ApiError> {
    let attempt = app.limits.attempt_link(caller)?;
    let destination = match link {
        Some(link) => app.invites.follow(link, app.clock.wall()).await,
        None => Ok(Destination::Unknown),
    };
    if !matches!(destination, Ok(Destination::Unknown)) {
        attempt.forgive();
    }
    let destination = destination?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok(match destination {
        Destination::Invite(token) => {
            let location = format!("{}{WORKER_PAGE}{}", app.base_path, token.0);
            (StatusCode::FOUND, no_store, [(header::LOCATION, location)]).into_response()
        }
        Destination::Expired => (StatusCode::GONE, no_store, EXPIRED).into_response(),
        Destination::Unknown => (StatusCode::NOT_FOUND, no_store, UNKNOWN).into_response(),
    })
}

/// What the client asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    ttl_sec: Option<u64>,
    label: Option<String>,
    max_uses: Option<u32>,
}

impl Wish {
    fn parse(body: &Value) -> Result<Self, ApiError> {
        let bad = |text: &str| ApiError::BadRequest(text.into());
        let fields = body
            .as_object()
            .ok_or_else(|| bad("Body must be a JSON object."))?;
        let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let ttl_sec = given("ttlSec")
            .map(|value| {
                positive_integer(value).ok_or_else(|| bad("ttlSec must be a positive integer."))
            })
            .transpose()?
            .map(|ttl| ttl.clamp(TTL_SEC.0, TTL_SEC.1));
        let label = given("workerLabel")
            .map(|value| {
                label(value)
                    .ok_or_else(|| bad("workerLabel must be a non-empty string up to 64 chars."))
            })
            .transpose()?;
        let max_uses = given("maxUses")
            .map(|value| {
                max_uses(value).ok_or_else(|| bad("maxUses must be an integer from 1 to 10000."))
            })
            .transpose()?;
        Ok(Self {
            ttl_sec,
            label,
            max_uses,
        })
    }
}

/// An integer above 0, also if it is written as `60.0` or `6e1`.
fn positive_integer(value: &Value) -> Option<u64> {
    let integer = value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        let is_integer = number.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&number);
        is_integer.then_some(number as u64)
    });
    integer.filter(|integer| *integer > 0)
}

fn max_uses(value: &Value) -> Option<u32> {
    let uses = positive_integer(value).filter(|uses| *uses <= MAX_USES)?;
    u32::try_from(uses).ok()
}

fn label(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let fits = (1..=MAX_LABEL_CHARS).contains(&text.chars().count());
    fits.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lifetimes_are_clamped() {
        for (ttl, expected) in [
            (json!(1), 60),
            (json!(60.0), 60),
            (json!(3600), 3600),
            (json!(1e9), 86_400),
        ] {
            let wish = Wish::parse(&json!({"ttlSec": ttl})).unwrap();
            assert_eq!(wish.ttl_sec, Some(expected));
        }
        assert_eq!(Wish::parse(&json!({"ttlSec": null})).unwrap().ttl_sec, None);
    }

    #[test]
    fn an_invite_is_for_as_many_as_wished_or_for_any_number() {
        for (uses, expected) in [
            (json!(null), None),
            (json!(1), Some(1)),
            (json!(10_000), Some(10_000)),
        ] {
            let wish = Wish::parse(&json!({"maxUses": uses})).unwrap();
            assert_eq!(wish.max_uses, expected);
        }
    }

    #[test]
    fn wishes_that_cannot_be_met_are_refused() {
        for (body, text) in [
            (json!([]), "Body must be a JSON object."),
            (json!({"ttlSec": 0}), "ttlSec must be a positive integer."),
            (json!({"ttlSec": -5}), "ttlSec must be a positive integer."),
            (
                json!({"ttlSec": "60"}),
                "ttlSec must be a positive integer.",
            ),
            (json!({"ttlSec": 1.5}), "ttlSec must be a positive integer."),
            (
                json!({"maxUses": 0}),
                "maxUses must be an integer from 1 to 10000.",
            ),
            (
                json!({"maxUses": 10_001}),
                "maxUses must be an integer from 1 to 10000.",
            ),
            (
                json!({"maxUses": "1"}),
                "maxUses must be an integer from 1 to 10000.",
            ),
            (
                json!({"workerLabel": " "}),
                "workerLabel must be a non-empty string up to 64 chars.",
            ),
            (
                json!({"workerLabel": "x".repeat(65)}),
                "workerLabel must be a non-empty string up to 64 chars.",
            ),
        ] {
            assert_eq!(
                Wish::parse(&body),
                Err(ApiError::BadRequest(text.into())),
                "{body}"
            );
        }
    }
}
