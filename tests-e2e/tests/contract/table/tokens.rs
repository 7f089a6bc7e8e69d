//! Section 2: invite tokens, made here from the contract alone, and why they are refused.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::shapes;
use crate::answer::Expect;
use crate::row::{Act, Row, Stage, get, post, row, seen};
use crate::worker::Device;

const SECRET: &str = "a secret that signs invites";

/// A token over this payload.
fn signed(payload: &str) -> String {
    let payload = BASE64URL.encode(payload);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
    mac.update(payload.as_bytes());
    format!(
        "v1.{payload}.{}",
        BASE64URL.encode(mac.finalize().into_bytes())
    )
}

fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.expect("it is after 1970").as_secs()
}

/// Claims that hold, with one of them replaced.
fn claims(name: &str, value: Value) -> String {
    let mut claims = json!({
        "typ": "worker_invite", "jti": "5f0c1e9a-7a52-4c3e-9d8f-0123456789ab",
        "iat": now(), "exp": now() + 600, "label": null,
    });
    claims[name] = value;
    signed(&claims.to_string())
}

fn metrics(token: &str) -> crate::row::Ask {
    get(&format!("/api/worker/metrics?invite={token}")).anonymous()
}

fn refused(claim: &str, token: &str, reason: &str) -> Row {
    let text = format!("Unauthorized worker invite: {reason}");
    row("2", claim, metrics(token), Expect::error(401, &text))
}

fn accepted(claim: &str, token: &str) -> Row {
    let nobody = json!({
        "now": "<time>", "self": null, "workers": [], "totals": shapes::totals(0, 0, [0, 0, 0, 0, 0, 0]),
    });
    row("2", claim, metrics(token), Expect::json(200, nobody))
}

/// Tokens that are wrong whatever is the newest.
fn malformed() -> Vec<Row> {
    let good = claims("label", json!("class 7"));
    let mut parts = good.split('.');
    let (payload, signature) = (
        parts.nth(1).expect("a payload"),
        parts.next().expect("a signature"),
    );
    vec![
        row(
            "2",
            "no token",
            get("/api/worker/metrics").anonymous(),
            Expect::error(401, "Unauthorized worker invite: invalid_token_format"),
        ),
        refused(
            "shorter than 20",
            "v1.e30.c2lnbmF0dXJl",
            "invalid_token_format",
        ),
        refused(
            "longer than 2048",
            &format!("v1.{}.x", "e".repeat(2048)),
            "invalid_token_format",
        ),
        refused(
            "two parts",
            &format!("v1.{payload}"),
            "invalid_token_format",
        ),
        refused("four parts", &format!("{good}.x"), "invalid_token_format"),
        refused(
            "another version",
            &format!("v2.{payload}.{signature}"),
            "invalid_token_format",
        ),
        refused(
            "another signature",
            &format!("v1.{signature}.{signature}"),
            "invalid_signature",
        ),
        refused(
            "a payload that is no JSON",
            &signed("no JSON at all"),
            "invalid_payload",
        ),
        refused(
            "another typ",
            &claims("typ", json!("other")),
            "invalid_payload",
        ),
        refused(
            "exp in the past",
            &claims("exp", json!(now() - 60)),
            "expired_token",
        ),
        refused(
            "exp that is no int",
            &claims("exp", json!("never")),
            "expired_token",
        ),
    ]
}

fn settings(require_latest: &str) -> Vec<(&'static str, String)> {
    vec![
        ("WORKER_INVITE_SECRET", SECRET.into()),
        ("WORKER_INVITE_REQUIRE_LATEST", require_latest.into()),
    ]
}

fn invite(claim: &str, name: &str) -> Row {
    let body = shapes::invite(name, 7, 8, 3600);
    row(
        "4",
        claim,
        post("/api/invites/worker", &json!({})),
        Expect::json(201, body),
    )
}

fn join(claim: &str, name: &'static str, invite: &'static str, outcome: &str) -> Row {
    let act = Act::Join(name, invite, Device::of_slots(1));
    seen("2", claim, act, Expect::seen(json!(outcome)))
}

/// The rule is on.
pub(crate) fn latest_only() -> Stage {
    let mut rows = malformed();
    let foreign = claims("label", json!(null));
    rows.extend([
        refused("no invite was made yet", &foreign, "no_active_invite"),
        invite("the first invite", "first"),
        accepted("the newest holds", "{first}"),
        refused("a jti that is not the newest", &foreign, "stale_token"),
        join("the newest lets in", "device-a", "{first}", "welcome"),
        invite("the second invite", "second"),
        refused("the first is stale", "{first}", "stale_token"),
        join(
            "a stale one does not let in",
            "device-b",
            "{first}",
            "stale_token",
        ),
        row(
            "2",
            "connections stay up",
            get("/api/workers"),
            Expect::json(
                200,
                shapes::worker_list(&[shapes::worker_row("device-a", 1, 0)]),
            ),
        ),
        join("the second lets in", "device-b", "{second}", "welcome"),
    ]);
    Stage {
        name: "latest only",
        settings: settings("on"),
        rows,
    }
}

/// The rule is off.
pub(crate) fn any() -> Stage {
    let mut rows = malformed();
    rows.extend([
        accepted(
            "a token of the right form holds",
            &claims("label", json!("class 7")),
        ),
        invite("the first invite", "first"),
        invite("the second invite", "second"),
        accepted("the newest holds", "{second}"),
        accepted("and the older one", "{first}"),
        join("which lets in", "device-a", "{first}", "welcome"),
    ]);
    Stage {
        name: "any invite",
        settings: settings("No"),
        rows,
    }
}
