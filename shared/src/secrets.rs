//! A server's secrets: making them, and the lines of an env file that hold them.
//!
//! Random bytes are an argument. Not here: which of them a server was given and where the others are
//! kept (server), signing with them.

use std::convert::Infallible;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsa::PrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};

use crate::mnemonic;

/// Name of the client key in an env file.
pub const CLIENT_KEY: &str = "CLIENT_API_KEY";
/// Name of the client key's words, for people; nothing reads it.
pub const CLIENT_KEY_MNEMONIC: &str = "CLIENT_API_KEY_MNEMONIC";
/// Name of the invites' HMAC secret.
pub const INVITE_SECRET: &str = "WORKER_INVITE_SECRET";
/// Name of the private half of the signing key.
pub const PRIVATE_KEY: &str = "JOB_SIGNING_PRIVATE_KEY_B64";
/// Name of its public half.
pub const PUBLIC_KEY: &str = "JOB_SIGNING_PUBLIC_KEY_B64";

/// Bits of a signing key that is made here.
const KEY_BITS: usize = 2048;

/// The secrets of a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Key of the clients.
    pub client_api_key: String,
    /// HMAC secret of invites.
    pub worker_invite_secret: String,
    /// RSA key: PKCS#8 DER, base64.
    pub private_key_b64: String,
    /// Its public half: SPKI DER, base64.
    pub public_key_b64: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets([redacted])")
    }
}

impl Secrets {
    /// Fresh ones: a client key of 32 bytes, an invite secret of 48, an RSA key of 2,048 bits, which
    /// takes some tenths of a second. `fill` must fill what it is given with unpredictable bytes.
    pub fn generate(fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let (mut client_key, mut invite_secret) = ([0; 32], [0; 48]);
        fill(&mut client_key);
        fill(&mut invite_secret);
        let key = PrivateKey::new(&mut Source(fill), KEY_BITS).expect("RSA-2048 keys exist");
        let private = key.to_pkcs8_der().expect("a fresh key can be encoded");
        let public = key.to_public_key().to_public_key_der();
        let public = public.expect("a fresh key can be encoded");
        Self {
            client_api_key: mnemonic::to_base64url(&client_key),
            worker_invite_secret: mnemonic::to_base64url(&invite_secret),
            private_key_b64: BASE64.encode(private.as_bytes()),
            public_key_b64: BASE64.encode(public.as_bytes()),
        }
    }

    /// The five lines of an env file.
    pub fn to_lines(&self) -> String {
        let words = self.client_key_mnemonic().unwrap_or_default();
        [
            (CLIENT_KEY, &self.client_api_key),
            (CLIENT_KEY_MNEMONIC, &words),
            (INVITE_SECRET, &self.worker_invite_secret),
            (PRIVATE_KEY, &self.private_key_b64),
            (PUBLIC_KEY, &self.public_key_b64),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
    }

    /// The client key in words, if it has that form.
    pub fn client_key_mnemonic(&self) -> Option<String> {
        mnemonic::to_words(&self.client_api_key).ok()
    }
}

/// Random bytes as the `rsa` crate takes them.
struct Source<'f>(&'f mut dyn FnMut(&mut [u8]));

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}

#[cfg(test)]
mod tests {
    use rsa::pkcs1v15::SigningKey;
    use rsa::pkcs8::DecodePrivateKey;
    use rsa::signature::{SignatureEncoding, Signer};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::env_file;
    use crate::envelope::{Envelope, KeyRing, Leaf, TimeLeaf, VerifyingKey, seal};
    use crate::ids::Nonce;
    use crate::time::UnixMillis;

    fn generate(seed: u8) -> Secrets {
        let mut block = [seed; 32];
        Secrets::generate(&mut |bytes| {
            for part in bytes.chunks_mut(32) {
                block = Sha256::digest(block).into();
                part.copy_from_slice(&block[..part.len()]);
            }
        })
    }

    #[test]
    fn an_env_file_gives_fresh_secrets_back() {
        let secrets = generate(1);
        let lines = secrets.to_lines();
        let words = mnemonic::to_words(&secrets.client_api_key).unwrap();
        assert_eq!(words.split(' ').count(), 24);
        assert_eq!(
            env_file::parse(&lines).unwrap(),
            [
                ("CLIENT_API_KEY", secrets.client_api_key.as_str()),
                ("CLIENT_API_KEY_MNEMONIC", words.as_str()),
                (
                    "WORKER_INVITE_SECRET",
                    secrets.worker_invite_secret.as_str()
                ),
                (
                    "JOB_SIGNING_PRIVATE_KEY_B64",
                    secrets.private_key_b64.as_str()
                ),
                (
                    "JOB_SIGNING_PUBLIC_KEY_B64",
                    secrets.public_key_b64.as_str()
                ),
            ]
        );
        assert_eq!(
            (
                secrets.client_api_key.len(),
                secrets.worker_invite_secret.len()
            ),
            (43, 64)
        );
    }

    #[test]
    fn the_key_pair_signs_what_workers_verify() {
        let secrets = generate(2);
        let private = BASE64.decode(&secrets.private_key_b64).unwrap();
        let private = SigningKey::<Sha256>::new(PrivateKey::from_pkcs8_der(&private).unwrap());
        let public = VerifyingKey::from_spki_b64(&secrets.public_key_b64).unwrap();
        let leaf = Leaf::Time(TimeLeaf {
            challenge: Nonce::from_bytes([0; 16]),
            now: UnixMillis(0),
        });
        let sign = |message: &[u8]| Ok::<_, Infallible>(private.sign(message).to_vec());
        let signed = seal(&[leaf], public.kid(), sign).unwrap().remove(0);
        assert!(Envelope::new(signed).verify(&KeyRing::new(public)).is_ok());
    }

    #[test]
    fn nothing_but_the_random_bytes_decides() {
        assert_eq!(generate(3), generate(3));
        let (one, other) = (generate(3), generate(4));
        assert_ne!(one.client_api_key, other.client_api_key);
        assert_ne!(one.worker_invite_secret, other.worker_invite_secret);
        assert_ne!(one.public_key_b64, other.public_key_b64);
        assert_eq!(format!("{one:?}"), "Secrets([redacted])");
    }
}
