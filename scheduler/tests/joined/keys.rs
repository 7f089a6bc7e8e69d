//! Who signs: RSA, or a mere digest for the many schedules.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use sha2::Sha256;
use shared::envelope::{KeyRing, Leaf, VerifyingKey, insecure_test_signature, seal, vectors};
use shared::wire::SignedLeaf;

#[derive(Clone)]
pub(crate) struct Keys {
    public: VerifyingKey,
    private: Option<Arc<SigningKey<Sha256>>>,
}

impl Keys {
    pub(crate) fn insecure() -> Self {
        Self {
            public: VerifyingKey::insecure_for_tests(),
            private: None,
        }
    }

    pub(crate) fn rsa() -> Self {
        let keys: serde_json::Value = serde_json::from_str(vectors::KEYS_JSON).unwrap();
        let text = |part: &str| keys["signer"][part].as_str().unwrap();
        let pkcs8 = base64::engine::general_purpose::STANDARD
            .decode(text("pkcs8"))
            .unwrap();
        let private = SigningKey::new(rsa::PrivateKey::from_pkcs8_der(&pkcs8).unwrap());
        Self {
            public: VerifyingKey::from_spki_b64(text("spki")).unwrap(),
            private: Some(Arc::new(private)),
        }
    }

    pub(crate) fn ring(&self) -> KeyRing {
        KeyRing::new(self.public.clone())
    }

    pub(crate) fn seal(&self, leaf: Leaf) -> SignedLeaf {
        let sign = |message: &[u8]| {
            Ok::<_, Infallible>(match &self.private {
                Some(key) => key.sign(message).to_vec(),
                None => insecure_test_signature(message),
            })
        };
        seal(&[leaf], self.public.kid(), sign).unwrap().remove(0)
    }
}
