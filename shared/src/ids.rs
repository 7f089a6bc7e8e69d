//! Identities as types of their own, so that a session can never be passed for a worker.
//!
//! Byte identities travel as bytes (length-prefixed in postcard) and are shown as hex, job ids as
//! UUIDs. None of them is made here: random bytes come from the caller.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a text is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}")]
pub struct IdError {
    /// The kind of identity that was expected.
    pub what: &'static str,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(#[serde(with = "serde_bytes")] [u8; $len]);

        impl $name {
            /// Takes the bytes as they are.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

macro_rules! hex_text {
    ($name:ident, $len:literal, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                hex_bytes(text).map(Self).ok_or(IdError { what: $what })
            }
        }
    };
}

byte_id!(
    /// A job, as clients know it: a version 4 UUID.
    JobId, 16, "job id"
);
byte_id!(
    /// A worker's logical connection, which outlives a socket.
    SessionId, 16, "session id"
);
byte_id!(
    /// Sixteen random bytes, used once: in a leaf it names a batch of attempts, in a challenge it
    /// ties the answer to the question.
    Nonce, 16, "nonce"
);
byte_id!(
    /// SHA-256 of a content (code or args) or of a public key.
    Digest32, 32, "SHA-256 digest"
);
hex_text!(SessionId, 16, "session id");
hex_text!(Nonce, 16, "nonce");
hex_text!(Digest32, 32, "SHA-256 digest");

impl JobId {
    /// Makes a version 4 UUID of sixteen random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(
            uuid::Builder::from_random_bytes(bytes)
                .into_uuid()
                .into_bytes(),
        )
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl FromStr for JobId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.into_bytes()))
            .map_err(|_| IdError { what: "job id" })
    }
}

impl Digest32 {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|p| !p.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// The name a device goes by: 1 to 128 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId(String);

impl WorkerId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.0
    }
}

impl TryFrom<String> for WorkerId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if (1..=128).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text))
        } else {
            Err(IdError { what: "worker id" })
        }
    }
}

impl FromStr for WorkerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_from(text.to_owned())
    }
}

/// What a device proves to own its worker id with: the id belongs to the secret that first used it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSecret(#[serde(with = "serde_bytes")] [u8; 16]);

impl WorkerSecret {
    /// Takes sixteen random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// What the server keeps of it.
    pub fn digest(&self) -> Digest32 {
        Digest32::of(&self.0)
    }
}

impl fmt::Debug for WorkerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerSecret([redacted])")
    }
}

/// Position of a shard in its plan, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ShardIndex(pub u64);

impl fmt::Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One try of one shard on one worker: the leaf's nonce and the position in the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The nonce of the leaf that assigned it.
    pub nonce: Nonce,
    /// Position among the leaf's (shard, attempt) pairs, counted through all its jobs.
    pub index: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        let nonce = Nonce::from_bytes([0xab; 16]);
        assert_eq!(nonce.to_string().parse(), Ok(nonce));
        let job = JobId::from_random([7; 16]);
        assert_eq!(job.to_string().parse(), Ok(job));
        assert_eq!(&job.to_string()[14..15], "4", "version 4 UUID");
    }

    #[test]
    fn bad_texts_are_refused() {
        assert!("abc".parse::<Nonce>().is_err());
        assert!("+a".repeat(16).parse::<Nonce>().is_err());
        assert!("é".repeat(16).parse::<Nonce>().is_err());
        for bad in ["", "a b", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<WorkerId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn byte_ids_take_one_byte_more_than_their_bytes() {
        let bytes = postcard::to_stdvec(&Nonce::from_bytes([9; 16])).unwrap();
        assert_eq!(bytes.len(), 17);
        assert_eq!(
            postcard::from_bytes::<Nonce>(&bytes).unwrap(),
            Nonce::from_bytes([9; 16])
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(
            format!("{:?}", WorkerSecret::from_bytes([5; 16])),
            "WorkerSecret([redacted])"
        );
    }
}
