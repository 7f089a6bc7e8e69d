//! The public keys that a verifier trusts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsa::PublicKey;
use rsa::pkcs1v15::{self, Signature};
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use sha2::Sha256;

use super::jws::JwsError;
use super::rotation;
use crate::ids::Digest32;
use crate::limits::{MAX_JWS_BYTES, MAX_RSA_BITS, MIN_RSA_BITS};

/// Why a key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not standard base64.
    #[error("public key is not base64")]
    Base64,
    /// Not an RSA key in SPKI DER.
    #[error("public key is not an RSA key in SPKI DER form")]
    Spki,
    /// Too short to be safe, or too long to be cheap.
    #[error("public key has {0} bits, must have {MIN_RSA_BITS} to {MAX_RSA_BITS}")]
    Bits(usize),
}

/// An RSA public key of 2048 to 8192 bits, with its id.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    kid: Digest32,
    spki: Vec<u8>,
    key: Key,
}

#[derive(Debug, Clone)]
enum Key {
    Rsa(pkcs1v15::VerifyingKey<Sha256>),
    #[cfg(feature = "insecure-test-keys")]
    InsecureForTests,
}

impl VerifyingKey {
    /// Reads SPKI DER in standard base64, as `/api/public-config` publishes it.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it.
    pub fn from_spki_b64(text: &str) -> Result<Self, KeyError> {
        let spki = BASE64.decode(text.trim()).map_err(|_| KeyError::Base64)?;
        Self::from_spki_der(&spki)
    }

    /// Reads SPKI DER.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let key = PublicKey::from_public_key_der(spki).map_err(|_| KeyError::Spki)?;
        let bits = key.n().bit_width_vartime() as usize;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(KeyError::Bits(bits));
        }
        Ok(Self {
            kid: Digest32::of(spki),
            spki: spki.to_vec(),
            key: Key::Rsa(pkcs1v15::VerifyingKey::new(key)),
        })
    }

    /// SHA-256 of the SPKI DER.
    pub const fn kid(&self) -> Digest32 {
        self.kid
    }

    /// SPKI DER in standard base64.
    pub fn to_spki_b64(&self) -> String {
        BASE64.encode(&self.spki)
    }

    /// Whether `signature` is this key's over `message` (RSASSA-PKCS1-v1_5, SHA-256).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::Rsa(key) => Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            #[cfg(feature = "insecure-test-keys")]
            Key::InsecureForTests => signature == insecure_test_signature(message),
        }
    }

    /// A key that anyone can sign for, so that simulations need not wait for RSA.
    #[cfg(feature = "insecure-test-keys")]
    pub fn insecure_for_tests() -> Self {
        let spki = b"insecure test key".to_vec();
        Self {
            kid: Digest32::of(&spki),
            spki,
            key: Key::InsecureForTests,
        }
    }
}

/// The signature that [`VerifyingKey::insecure_for_tests`] accepts: a mere digest.
#[cfg(feature = "insecure-test-keys")]
pub fn insecure_test_signature(message: &[u8]) -> Vec<u8> {
    Digest32::of(message).as_bytes().to_vec()
}

/// The keys that are trusted: the one that was shown at joining, and those it vouched for.
#[derive(Debug, Clone)]
pub struct KeyRing {
    keys: Vec<VerifyingKey>,
}

impl KeyRing {
    /// Trusts one key.
    pub fn new(key: VerifyingKey) -> Self {
        Self { keys: vec![key] }
    }

    /// Trusts one key more, if an announcement by a trusted key says so. Returns its id.
    ///
    /// # Errors
    /// [`JwsError`] for an announcement that does not hold or names no acceptable key.
    pub fn accept(&mut self, announcement: &str) -> Result<Digest32, JwsError> {
        if announcement.len() > MAX_JWS_BYTES {
            return Err(JwsError::Malformed);
        }
        let key = rotation::announced_key(announcement, self)?;
        let kid = key.kid();
        if self.iter().all(|known| known.kid() != kid) {
            self.keys.push(key);
        }
        Ok(kid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.iter()
    }
}
