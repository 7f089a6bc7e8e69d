//! Compact JWS with RS256 and nothing else (RFC 7515, RFC 7518 section 3.3).
//!
//! The algorithm is fixed by this code, never chosen by what was received: a received header must
//! be, to the letter, the one that this module would have written for one of the known keys. Only
//! when it is not is it looked into, to tell why.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::{KeyRing, VerifyingKey};
use crate::ids::Digest32;
use crate::wire::RefusalReason;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts of base64url, not JSON, or too long.
    #[error("signature token is malformed")]
    Malformed,
    /// Another algorithm than RS256.
    #[error("signature algorithm is not RS256")]
    WrongAlgorithm,
    /// A token of another purpose.
    #[error("signature token has another purpose")]
    WrongType,
    /// Signed by a key that is not known.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("signature does not hold")]
    BadSignature,
}

impl JwsError {
    pub(super) const fn reason(&self) -> RefusalReason {
        match self {
            Self::Malformed => RefusalReason::Malformed,
            Self::WrongAlgorithm => RefusalReason::WrongAlgorithm,
            Self::WrongType => RefusalReason::WrongType,
            Self::UnknownKey => RefusalReason::UnknownKey,
            Self::BadSignature => RefusalReason::BadSignature,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

fn header_part(typ: &str, kid: Digest32) -> String {
    let header = Header {
        alg: "RS256".into(),
        typ: typ.into(),
        kid: kid.to_string(),
    };
    BASE64URL.encode(serde_json::to_vec(&header).expect("a header is three texts"))
}

/// Signs `claims` as a token of purpose `typ`. `sign` is RSASSA-PKCS1-v1_5 with SHA-256 over the
/// bytes it is given, by the key whose id is `kid`.
pub(super) fn sign<E>(
    typ: &str,
    kid: Digest32,
    claims: &impl Serialize,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let payload = serde_json::to_vec(claims).expect("claims have no unserialisable part");
    let mut token = header_part(typ, kid);
    token.push('.');
    BASE64URL.encode_string(payload, &mut token);
    let signature = sign(token.as_bytes())?;
    token.push('.');
    BASE64URL.encode_string(signature, &mut token);
    Ok(token)
}

/// Checks a token of purpose `typ` and reads its claims.
pub(super) fn open<T: DeserializeOwned>(
    token: &str,
    typ: &str,
    keys: &KeyRing,
) -> Result<T, JwsError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(JwsError::Malformed)?;
    let key = signer(header, typ, keys)?;
    let signature = BASE64URL
        .decode(signature)
        .map_err(|_| JwsError::Malformed)?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(JwsError::BadSignature);
    }
    let payload = BASE64URL.decode(payload).map_err(|_| JwsError::Malformed)?;
    serde_json::from_slice(&payload).map_err(|_| JwsError::Malformed)
}

fn signer<'k>(header: &str, typ: &str, keys: &'k KeyRing) -> Result<&'k VerifyingKey, JwsError> {
    keys.iter()
        .find(|key| header_part(typ, key.kid()) == header)
        .ok_or_else(|| why_unknown(header, typ))
}

fn why_unknown(header: &str, typ: &str) -> JwsError {
    let header = BASE64URL.decode(header).ok();
    let Some(header) = header.and_then(|json| serde_json::from_slice::<Header>(&json).ok()) else {
        return JwsError::Malformed;
    };
    if header.alg != "RS256" {
        JwsError::WrongAlgorithm
    } else if header.typ != typ {
        JwsError::WrongType
    } else {
        JwsError::UnknownKey
    }
}
