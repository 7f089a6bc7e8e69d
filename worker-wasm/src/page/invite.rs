//! What the page reads of an invitation. It cannot check it, only the server can.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use shared::ids::Digest32;

#[derive(Deserialize)]
struct Claims {
    kid: Option<String>,
}

/// Whether the invitation may be used with the signing key `kid`: it names this one, or none.
pub(super) fn allows_key(invite: &str, kid: Digest32) -> bool {
    match named_key(invite) {
        Some(named) => named.parse() == Ok(kid),
        None => true,
    }
}

fn named_key(invite: &str) -> Option<String> {
    let payload = invite.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Claims>(&json).ok()?.kid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(claims: &str) -> String {
        ["v1.", &URL_SAFE_NO_PAD.encode(claims), ".signature"].concat()
    }

    #[test]
    fn an_invitation_that_names_a_key_allows_only_that_one() {
        let kid = Digest32::of(b"key");
        let named = invite(&format!(r#"{{"typ":"worker_invite","kid":"{kid}"}}"#));
        assert!(allows_key(&named, kid));
        assert!(!allows_key(&named, Digest32::of(b"other")));
        assert!(!allows_key(&invite(r#"{"kid":"nonsense"}"#), kid));
    }

    #[test]
    fn an_invitation_that_names_none_allows_any() {
        let kid = Digest32::of(b"key");
        for text in [invite(r#"{"typ":"worker_invite"}"#), "v1".into(), "v1.%.x".into()] {
            assert!(allows_key(&text, kid), "{text}");
        }
    }
}
