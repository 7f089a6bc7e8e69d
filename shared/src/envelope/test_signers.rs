//! The keys of the tests, able to sign. Included by the tests and by the vectors' generator.

use base64::Engine;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use sha2::Sha256;

#[cfg(not(test))]
use shared::envelope::{
    VerifyingKey,
    vectors::{KEYS_JSON, TestSigners},
};

#[cfg(test)]
use super::{
    VerifyingKey,
    vectors::{KEYS_JSON, TestSigners},
};

/// Calls `f` with both keys.
pub(crate) fn with<T>(f: impl FnOnce(&TestSigners<'_>) -> T) -> T {
    let (trusted, sign) = key("signer");
    let (other, sign_other) = key("other");
    f(&TestSigners {
        trusted,
        sign: &sign,
        other,
        sign_other: &sign_other,
    })
}

fn key(name: &str) -> (VerifyingKey, impl Fn(&[u8]) -> Vec<u8>) {
    let keys: serde_json::Value = serde_json::from_str(KEYS_JSON).expect("keys.json is JSON");
    let text = |part| keys[name][part].as_str().expect("keys.json has both keys");
    let pkcs8 = base64::engine::general_purpose::STANDARD
        .decode(text("pkcs8"))
        .expect("base64");
    let key = SigningKey::<Sha256>::new(rsa::PrivateKey::from_pkcs8_der(&pkcs8).expect("PKCS#8"));
    let public = VerifyingKey::from_spki_b64(text("spki")).expect("SPKI");
    (public, move |message| key.sign(message).to_vec())
}
