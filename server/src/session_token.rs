//! Session tokens: what opens a worker's session again, or a new one after a reload.
//!
//! `s1.<claims>.<mac>`: postcard and HMAC-SHA256, both base64url without padding, under a key
//! derived from the invite secret for this purpose alone. They age by the running time (`clock`): a
//! wall clock that is set ends none and prolongs none. Not here: whether the worker may still
//! join for other reasons (`gateway::admission`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use shared::ids::{SessionId, WorkerId};
use shared::limits::SESSION_TOKEN_TTL_SEC;
use shared::time::UnixMillis;

const VERSION: &str = "s1";
const PURPOSE: &[u8] = b"cluster session token v1";
/// Longer than any token that is made here.
const MAX_TOKEN_BYTES: usize = 1024;

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionClaims {
    /// The worker id.
    pub worker: WorkerId,
    /// The session.
    pub session: SessionId,
    /// The invite that first let the worker in.
    pub invite: String,
}

#[derive(Serialize, Deserialize)]
struct Stamped {
    claims: SessionClaims,
    expires_at_sec: u64,
}

/// Makes and checks session tokens.
pub(crate) struct SessionTokens {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionTokens([redacted])")
    }
}

impl SessionTokens {
    /// Derives the key.
    pub(crate) fn new(invite_secret: &str) -> Self {
        let mut key = [0; 32];
        hkdf::Hkdf::<Sha256>::new(None, invite_secret.as_bytes())
            .expand(PURPOSE, &mut key)
            .expect("32 bytes are less than HKDF gives");
        Self {
            mac: Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"),
        }
    }

    /// A token that holds for a day of running time.
    pub(crate) fn issue(&self, claims: SessionClaims, now: UnixMillis) -> String {
        let stamped = Stamped {
            claims,
            expires_at_sec: now.0 / 1000 + SESSION_TOKEN_TTL_SEC,
        };
        let payload = postcard::to_stdvec(&stamped).expect("claims have no unserialisable part");
        let payload = BASE64URL.encode(payload);
        let mac = self.mac_of(&payload).finalize().into_bytes();
        format!("{VERSION}.{payload}.{}", BASE64URL.encode(mac))
    }

    /// The claims of a token that was made here and has not expired.
    pub(crate) fn check(&self, token: &str, now: UnixMillis) -> Option<SessionClaims> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (payload, mac) = token
            .strip_prefix(VERSION)?
            .strip_prefix('.')?
            .split_once('.')?;
        let mac = BASE64URL.decode(mac).ok()?;
        self.mac_of(payload).verify_slice(&mac).ok()?;
        let payload = BASE64URL.decode(payload).ok()?;
        let stamped: Stamped = postcard::from_bytes(&payload).ok()?;
        (now.0 / 1000 <= stamped.expires_at_sec).then_some(stamped.claims)
    }

    fn mac_of(&self, payload: &str) -> Hmac<Sha256> {
        self.mac.clone().chain_update(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    fn claims() -> SessionClaims {
        SessionClaims {
            worker: "worker-ab12cd".parse().unwrap(),
            session: SessionId::from_bytes([7; 16]),
            invite: "5f0c".into(),
        }
    }

    #[test]
    fn a_token_holds_for_a_day_and_no_longer() {
        let tokens = SessionTokens::new("secret");
        let token = tokens.issue(claims(), NOW);
        let day = SESSION_TOKEN_TTL_SEC * 1000;
        assert_eq!(tokens.check(&token, NOW), Some(claims()));
        assert_eq!(tokens.check(&token, NOW.plus(day)), Some(claims()));
        assert_eq!(tokens.check(&token, NOW.plus(day + 1000)), None);
    }

    #[test]
    fn tokens_of_another_secret_or_changed_ones_do_not_hold() {
        let tokens = SessionTokens::new("secret");
        let token = tokens.issue(claims(), NOW);
        assert_eq!(SessionTokens::new("other").check(&token, NOW), None);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.check(&changed, NOW), None, "{changed}");
        }
        for cut in 0..token.len() {
            assert_eq!(tokens.check(&token[..cut], NOW), None);
        }
    }
}
