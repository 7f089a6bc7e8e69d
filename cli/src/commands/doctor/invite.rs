//! Does an invite that was handed out still lead to this server and its key?

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

use super::asking::Asking;
use super::finding::Finding;
use super::server::Met;
use super::signing::short;
use crate::host::Host;
use crate::output::one_line;

const MAKE_ANOTHER: &str = "make another with `cluster invite`";
/// Where the token stands in the address of the worker page.
const TOKEN_PARAMETER: &str = "invite=";
/// Paths that lead to an invite.
const LINKS: [&str; 2] = ["/j/", "/p/"];

/// `given` is a token, the worker page's address with one, or a link that leads there.
pub(super) fn check(asking: &Asking<'_>, host: &Host, given: Option<&str>, met: &Met) -> Finding {
    let Some(given) = given else {
        return Finding::skipped("give one as --invite to have it looked at");
    };
    let token = match token(asking, host, given) {
        Ok(token) => token,
        Err(finding) => return finding,
    };
    let Some(claims) = claims(&token) else {
        return Finding::fail("that is no invite", MAKE_ANOTHER);
    };
    match (judge(&claims, met), refusal(asking, &token)) {
        (Err(finding), _) => finding,
        (Ok(_), Some(reason)) => Finding::fail(in_words(&reason), MAKE_ANOTHER),
        (Ok(left_sec), None) => Finding::ok(format!(
            "it names the server's signing key, lets devices in, and holds for {left_sec} s"
        )),
    }
}

/// The server's word for why the invite does not hold; `None` where it does, or nothing is known.
fn refusal(asking: &Asking<'_>, token: &str) -> Option<String> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let answer = asking.get("/api/worker/metrics", &headers).ok()?;
    let (_, reason) = answer.error()?.rsplit_once("worker invite: ")?;
    (answer.status == 401).then(|| reason.to_owned())
}

fn in_words(reason: &str) -> String {
    match reason {
        "stale_token" => "it was replaced by a newer one".into(),
        "revoked_token" => "it was revoked".into(),
        "used_up_token" => "it has let in as many devices as it may".into(),
        "expired_token" => "it has expired".into(),
        "invalid_signature" => "another server made it, or the secret was changed".into(),
        other => format!("it does not hold: {}", one_line(other)),
    }
}

fn token(asking: &Asking<'_>, host: &Host, given: &str) -> Result<String, Finding> {
    if !LINKS.iter().any(|path| given.contains(path)) {
        return Ok(token_in(given).unwrap_or(given).to_owned());
    }
    let answer = asking.get_url(given, &[])?;
    let token = answer.redirect();
    let token = token.as_deref().and_then(token_in).map(str::to_owned);
    token.ok_or_else(|| match answer.status {
        404 => Finding::fail("the server does not know this link", MAKE_ANOTHER),
        410 => Finding::fail("the invite has expired", MAKE_ANOTHER),
        _ => answer.refusal(host),
    })
}

fn token_in(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once(TOKEN_PARAMETER)?;
    rest.split(['&', '#']).next()
}

/// What the invite says. Its signature only the server can check.
fn claims(token: &str) -> Option<Value> {
    let payload = token.trim().strip_prefix("v1.")?.split('.').next()?;
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(payload).ok()?).ok()?;
    (claims["typ"] == "worker_invite").then_some(claims)
}

/// For how many seconds it holds, as far as it says itself.
fn judge(claims: &Value, met: &Met) -> Result<u64, Finding> {
    let ours = met.config.job_signing_key_id;
    let now_sec = met.health.now.0.0 / 1000;
    if let Some(kid) = claims["kid"]
        .as_str()
        .filter(|kid| *kid != ours.to_string())
    {
        return Err(Finding::fail(
            format!(
                "it names the signing key {}, but the server signs with {}: workers refuse that",
                short(&kid),
                short(&ours)
            ),
            MAKE_ANOTHER,
        ));
    }
    let left_sec = claims["exp"].as_u64().unwrap_or(0).checked_sub(now_sec);
    match left_sec {
        None => Err(Finding::fail("it has expired", MAKE_ANOTHER)),
        Some(left) if claims["kid"].is_null() => Err(Finding::warn(
            format!("it names no signing key; it holds for {left} s"),
            MAKE_ANOTHER,
        )),
        Some(left) => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_whatever_holds_it() {
        let url = "https://h/base/worker?invite=v1.a.b#x";
        assert_eq!(token_in(url), Some("v1.a.b"));
        assert_eq!(token_in("/worker?invite=v1.a.b&x=1"), Some("v1.a.b"));
        assert_eq!(token_in("v1.a.b"), None);
    }

    #[test]
    fn what_is_no_invite_has_no_claims() {
        let payload = |text: &str| format!("v1.{}.sig", BASE64URL.encode(text));
        assert!(claims(&payload(r#"{"typ":"worker_invite"}"#)).is_some());
        for wrong in [
            "nonsense",
            "v1.###.sig",
            &payload("{}"),
            &payload("no json"),
        ] {
            assert!(claims(wrong).is_none(), "{wrong}");
        }
    }
}
