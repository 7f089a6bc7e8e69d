//! The RSA key that signs assignments: reading, checking, the raw signature.
//!
//! The raw operation is aws-lc-rs, which is constant in time; checking is `shared::envelope`, the
//! code that workers run.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::envelope::{Envelope, KeyRing, Leaf, TimeLeaf, VerifyingKey, seal};
use shared::ids::{Digest32, Nonce};
use shared::time::UnixMillis;
use shared::wire::SignedLeaf;

/// Why there is no key to sign with; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The private key cannot be read.
    #[error(
        "JOB_SIGNING_PRIVATE_KEY_B64 is not an RSA key of 2048 to 8192 bits as PKCS#8 DER in \
         base64; `cluster-server gen-secrets` makes one"
    )]
    Private,
    /// The public key cannot be read.
    #[error(
        "JOB_SIGNING_PUBLIC_KEY_B64 cannot be used: {0}; `cluster-server gen-secrets` makes a pair"
    )]
    Public(#[from] shared::envelope::KeyError),
    /// A signature made with the one does not hold under the other.
    #[error(
        "JOB_SIGNING_PUBLIC_KEY_B64 does not match JOB_SIGNING_PRIVATE_KEY_B64; \
         `cluster-server gen-secrets` makes a pair that does"
    )]
    Mismatch,
}

/// A private key that was seen to match its public half.
#[derive(Debug)]
pub(crate) struct SigningKey {
    private: RsaKeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// Reads both halves, signs a probe with the one and verifies it with the other.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub(crate) fn from_base64(private: &str, public: &str) -> Result<Self, SigningKeyError> {
        let der = BASE64
            .decode(private.trim())
            .map_err(|_| SigningKeyError::Private)?;
        let key = Self {
            private: RsaKeyPair::from_pkcs8(&der).map_err(|_| SigningKeyError::Private)?,
            public: VerifyingKey::from_spki_b64(public)?,
        };
        key.check_probe()?;
        Ok(key)
    }

    /// The public half.
    pub(crate) const fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Its id: SHA-256 of the SPKI.
    pub(crate) const fn kid(&self) -> Digest32 {
        self.public.kid()
    }

    /// Signs all leaves with one signature; the results are in the same order.
    ///
    /// # Errors
    /// Where there are no leaves, too many, or the signature fails.
    pub(crate) fn seal(&self, leaves: &[Leaf]) -> Result<Vec<SignedLeaf>, SealFailed> {
        seal(leaves, self.kid(), |message| self.sign(message)).map_err(|_| SealFailed)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut signature = vec![0; self.private.public_modulus_len()];
        self.private.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            message,
            &mut signature,
        )?;
        Ok(signature)
    }

    fn check_probe(&self) -> Result<(), SigningKeyError> {
        let probe = Leaf::Time(TimeLeaf {
            challenge: Nonce::from_bytes([0; 16]),
            now: UnixMillis(0),
        });
        let signed = self.seal(&[probe]).map_err(|_| SigningKeyError::Mismatch)?;
        let keys = KeyRing::new(self.public.clone());
        let holds = signed
            .into_iter()
            .all(|leaf| Envelope::new(leaf).verify(&keys).is_ok());
        holds.then_some(()).ok_or(SigningKeyError::Mismatch)
    }
}

/// Leaves could not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("leaves could not be signed")]
pub(crate) struct SealFailed;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets;

    fn generate_pair() -> (String, String) {
        let fresh = secrets::generate();
        (fresh.private_key_b64, fresh.public_key_b64)
    }

    #[test]
    fn a_fresh_pair_signs_what_its_public_half_verifies() {
        let (private, public) = generate_pair();
        let key = SigningKey::from_base64(&private, &public).unwrap();
        assert_eq!(key.public().to_spki_b64(), public);
    }

    #[test]
    fn keys_that_do_not_match_or_cannot_be_read_are_refused() {
        let (private, public) = generate_pair();
        let (_, other) = generate_pair();
        let refusal = |private: &str, public: &str| {
            SigningKey::from_base64(private, public)
                .unwrap_err()
                .to_string()
        };
        assert!(refusal(&private, &other).contains("does not match"));
        assert!(refusal("AAAA", &public).starts_with("JOB_SIGNING_PRIVATE_KEY_B64"));
        assert!(refusal(&private, "AAAA").starts_with("JOB_SIGNING_PUBLIC_KEY_B64"));
        assert!(!refusal("AAAA", &public).contains("AAAA"));
    }
}
