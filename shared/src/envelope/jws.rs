//! Compact JWS with RS256 and nothing else (RFC 7515, RFC 7518 section 3.3).
//!
//! The algorithm is fixed by this code, never chosen by what was received: a received header must
//! be, to the letter, the one that this module would have written for one of the known keys. Only
//! when it is not is it looked into, to tell why.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::keys::{KeyRing, VerifyingKey};
use super::members::Members;
use crate::ids::Digest32;
use crate::wire::RefusalReason;

/// The one algorithm.
const ALGORITHM: &str = "RS256";

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

fn header_part(typ: &str, kid: Digest32) -> String {
    let header = Members::default()
        .with_text("alg", ALGORITHM)
        .with_text("typ", typ)
        .with_text("kid", &kid.to_string());
    BASE64URL.encode(header.to_json())
}

/// Signs `claims` as a token of purpose `typ`. `sign` is RSASSA-PKCS1-v1_5 with SHA-256 over the
/// bytes it is given, by the key whose id is `kid`.
pub(super) fn sign<E>(
    typ: &str,
    kid: Digest32,
    claims: &Members,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let mut token = header_part(typ, kid);
    token.push('.');
    BASE64URL.encode_string(claims.to_json(), &mut token);
    let signature = sign(token.as_bytes())?;
    token.push('.');
    BASE64URL.encode_string(signature, &mut token);
    Ok(token)
}

/// Checks a token of purpose `typ` and reads its claims.
pub(super) fn open(token: &str, typ: &str, keys: &KeyRing) -> Result<Members, JwsError> {
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
    Members::from_json(&payload).ok_or(JwsError::Malformed)
}

fn signer<'k>(header: &str, typ: &str, keys: &'k KeyRing) -> Result<&'k VerifyingKey, JwsError> {
    keys.iter()
        .find(|key| header_part(typ, key.kid()) == header)
        .ok_or_else(|| why_unknown(header, typ))
}

fn why_unknown(header: &str, typ: &str) -> JwsError {
    let header = BASE64URL.decode(header).ok();
    let header = header.and_then(|json| Members::from_json(&json));
    let said = |name| header.as_ref().and_then(|header| header.text(name));
    match (said("alg"), said("typ"), said("kid")) {
        (Some(alg), Some(_), Some(_)) if alg != ALGORITHM => JwsError::WrongAlgorithm,
        (Some(_), Some(other), Some(_)) if other != typ => JwsError::WrongType,
        (Some(_), Some(_), Some(_)) => JwsError::UnknownKey,
        (_, _, _) => JwsError::Malformed,
    }
}
