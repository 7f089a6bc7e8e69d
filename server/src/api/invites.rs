//! Making worker invites.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use shared::api::{InviteCreated, IsoTime};

use super::ApiError;
use super::body::JsonBody;
use crate::app::App;
use crate::auth::ApiClient;
use crate::proxy::{Authority, scheme};

/// Seconds that an invite holds at least and at most.
const TTL_SEC: (u64, u64) = (60, 86_400);
/// Characters of a label.
const MAX_LABEL_CHARS: usize = 64;

/// `POST /api/invites/worker`
pub(crate) async fn create(
    State(app): State<App>,
    _: ApiClient,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<InviteCreated>), ApiError> {
    let wish = Wish::parse(&body)?;
    let ttl_sec = wish.ttl_sec.unwrap_or(app.invite_ttl_sec);
    let issued = app
        .invites
        .issue(app.clock.wall(), ttl_sec, wish.label)
        .await?;
    // A token has no character that a URL would need encoded.
    let url = format!(
        "{}://{}{}/worker?invite={}",
        scheme(&headers, app.trust_proxy),
        Authority::of(&headers, app.trust_proxy).as_str(),
        app.base_path,
        issued.token
    );
    let answer = InviteCreated {
        invite_token: issued.token,
        invite_url: url,
        short_code: None,
        short_invite_url: None,
        phrase_slug: None,
        phrase_code: None,
        phrase_invite_url: None,
        invite_qr_data_url: None,
        expires_at: IsoTime(issued.expires_at),
        ttl_sec,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// What the client asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    ttl_sec: Option<u64>,
    label: Option<String>,
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
        Ok(Self { ttl_sec, label })
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
