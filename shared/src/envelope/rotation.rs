//! Announcing a new signing key by the old one (`cluster-key+jws`).

use super::jws::{self, JwsError};
use super::keys::{KeyRing, VerifyingKey};
use super::members::Members;
use crate::ids::Digest32;

const KEY_TYPE: &str = "cluster-key+jws";
const VERSION: u64 = 1;

/// Vouches for `new` with the key `kid`, whose raw signature `sign` makes.
///
/// # Errors
/// What `sign` returns.
pub fn announce_key<E>(
    new: &VerifyingKey,
    kid: Digest32,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let claims = Members::default()
        .with_number("v", VERSION)
        .with_text("spki", &new.to_spki_b64());
    jws::sign(KEY_TYPE, kid, &claims, sign)
}

pub(super) fn announced_key(token: &str, keys: &KeyRing) -> Result<VerifyingKey, JwsError> {
    let claims = jws::open(token, KEY_TYPE, keys)?;
    let (Some(version), Some(spki)) = (claims.number("v"), claims.text("spki")) else {
        return Err(JwsError::Malformed);
    };
    if version != VERSION {
        return Err(JwsError::WrongType);
    }
    VerifyingKey::from_spki_b64(spki).map_err(|_| JwsError::Malformed)
}
