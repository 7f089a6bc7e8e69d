//! Announcing a new signing key by the old one (`cluster-key+jws`).

use serde::{Deserialize, Serialize};

use super::jws::{self, JwsError};
use super::keys::{KeyRing, VerifyingKey};
use crate::ids::Digest32;

const KEY_TYPE: &str = "cluster-key+jws";

#[derive(Serialize, Deserialize)]
struct KeyClaims {
    v: u8,
    spki: String,
}

/// Vouches for `new` with the key `kid`, whose raw signature `sign` makes.
///
/// # Errors
/// What `sign` returns.
pub fn announce_key<E>(
    new: &VerifyingKey,
    kid: Digest32,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    jws::sign(
        KEY_TYPE,
        kid,
        &KeyClaims {
            v: 1,
            spki: new.to_spki_b64(),
        },
        sign,
    )
}

pub(super) fn announced_key(token: &str, keys: &KeyRing) -> Result<VerifyingKey, JwsError> {
    let claims: KeyClaims = jws::open(token, KEY_TYPE, keys)?;
    if claims.v != 1 {
        return Err(JwsError::WrongType);
    }
    VerifyingKey::from_spki_b64(&claims.spki).map_err(|_| JwsError::Malformed)
}
