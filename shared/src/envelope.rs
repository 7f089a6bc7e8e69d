//! The signed envelope: one code path makes and checks the bytes.
//!
//! `Unverified -> Verified -> Fresh -> Assignment -> Run`: each step consumes the one before, and
//! nothing outside this module can make a later one. A verifier hashes the bytes that it received
//! and only then decodes them; there is no canonical form to disagree about.
//!
//! Lives here: leaves, the signed tree, keys, freshness, authenticated time. Not here: the raw RSA
//! signature (the server's, passed in as a function) and the sockets.

mod assignment;
mod clock;
mod freshness;
mod jws;
mod keys;
mod leaf;
mod members;
mod rotation;
mod seal;
#[cfg(any(test, feature = "vectors"))]
pub mod vectors;

pub use assignment::{Assignment, Brain, Contents, Run, RunKind, ShardRun, StartError};
pub use clock::{TimeError, TrustedClock};
pub use freshness::{Identity, NonceCache};
pub use jws::JwsError;
#[cfg(feature = "insecure-test-keys")]
pub use keys::insecure_test_signature;
pub use keys::{KeyError, KeyRing, VerifyingKey};
pub use leaf::{AssignLeaf, Leaf, LeafError, LeafJob, RunJsTask, Task, TimeLeaf};
pub use rotation::announce_key;
pub use seal::{SealError, seal};

use crate::limits::{MAX_JWS_BYTES, MAX_LEAF_BYTES};
use crate::merkle;
use crate::time::UnixMillis;
use crate::wire::{AttemptRange, ProtocolVersion, RefusalReason, SignedLeaf};

/// Why an envelope is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The leaf is longer than any leaf may be.
    #[error("leaf of {0} bytes, at most {MAX_LEAF_BYTES} are taken")]
    LeafTooLong(usize),
    /// The root signature does not hold, or is no root signature.
    #[error(transparent)]
    Root(#[from] JwsError),
    /// The leaf is not in the signed tree at the place it claims.
    #[error("leaf is not in the signed tree")]
    NotInTree,
    /// What was signed is not a leaf.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The leaf's times lie outside those of the signature.
    #[error("leaf is valid outside the lifetime of its signature")]
    OutsideSignature,
    /// A leaf of the other kind was expected.
    #[error("not the kind of leaf that was expected")]
    WrongKind,
    /// Another protocol version.
    #[error("protocol version {0:?} is not spoken here")]
    WrongVersion(ProtocolVersion),
    /// Meant for another worker.
    #[error("assigned to another worker")]
    ForeignWorker,
    /// Meant for another session.
    #[error("assigned to another session")]
    ForeignSession,
    /// Signed later than any tolerated clock error explains.
    #[error("signed {ahead_ms} ms in the future")]
    FromTheFuture {
        /// How far ahead.
        ahead_ms: u64,
    },
    /// Its time is over.
    #[error("expired {late_ms} ms ago")]
    Expired {
        /// How late.
        late_ms: u64,
    },
    /// Valid longer than anything may be.
    #[error("valid for {0} ms, longer than allowed")]
    LifetimeTooLong(u64),
    /// Its nonce was seen before.
    #[error("seen before")]
    Replayed,
    /// There is no room to remember its nonce.
    #[error("too many assignments are remembered")]
    NonceCacheFull,
}

impl EnvelopeError {
    /// The reason as a worker reports it.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::Root(error) => error.reason(),
            Self::LeafTooLong(_) | Self::Leaf(_) | Self::WrongKind => RefusalReason::Malformed,
            Self::NotInTree => RefusalReason::NotInTree,
            Self::OutsideSignature => RefusalReason::LifetimeTooLong,
            Self::WrongVersion(_) => RefusalReason::WrongVersion,
            Self::ForeignWorker => RefusalReason::ForeignWorker,
            Self::ForeignSession => RefusalReason::ForeignSession,
            Self::FromTheFuture { .. } => RefusalReason::FromTheFuture,
            Self::Expired { .. } => RefusalReason::Expired,
            Self::LifetimeTooLong(_) => RefusalReason::LifetimeTooLong,
            Self::Replayed => RefusalReason::Replayed,
            Self::NonceCacheFull => RefusalReason::NonceCacheFull,
        }
    }
}

/// A signed leaf and how much of it has been proved.
#[derive(Debug, Clone)]
pub struct Envelope<State> {
    signed: SignedLeaf,
    state: State,
}

/// Nothing is proved: it is what came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Unverified(());

/// Signed by a known key, and well formed. It may be old, foreign or replayed.
#[derive(Debug, Clone)]
pub struct Verified {
    leaf: Leaf,
}

/// Verified, meant for this worker and session, not seen before, and in time.
#[derive(Debug, Clone)]
pub struct Fresh {
    leaf: AssignLeaf,
}

impl Envelope<Unverified> {
    /// Wraps what was received.
    pub const fn new(signed: SignedLeaf) -> Self {
        Self {
            signed,
            state: Unverified(()),
        }
    }

    /// The attempts that the leaf claims to assign. Proves nothing; for reports about a refusal.
    pub fn claimed_attempts(&self) -> Option<AttemptRange> {
        match Leaf::decode(&self.signed.leaf) {
            Ok(Leaf::Assign(leaf)) => Some(AttemptRange {
                nonce: leaf.nonce,
                first: 0,
                count: u32::try_from(leaf.attempts()).ok()?,
            }),
            Ok(Leaf::Time(_)) | Err(_) => None,
        }
    }

    /// Checks the root signature, the inclusion path, and that the leaf is well formed. One RSA
    /// verification and at most 13 hashes.
    ///
    /// # Errors
    /// [`EnvelopeError`] says which check failed.
    pub fn verify(self, keys: &KeyRing) -> Result<Envelope<Verified>, EnvelopeError> {
        let SignedLeaf {
            leaf,
            index,
            path,
            root,
        } = &self.signed;
        if leaf.len() > MAX_LEAF_BYTES {
            return Err(EnvelopeError::LeafTooLong(leaf.len()));
        }
        if root.len() > MAX_JWS_BYTES {
            return Err(JwsError::Malformed.into());
        }
        let claims = jws::open(root, seal::ROOT_TYPE, keys)?;
        let claims = seal::RootClaims::read(&claims).ok_or(JwsError::Malformed)?;
        if !claims.is_known_version() {
            return Err(JwsError::WrongType.into());
        }
        let proved = merkle::root_from_path(merkle::leaf_hash(leaf), *index, claims.size, path);
        if proved.is_none_or(|root| root != claims.root) {
            return Err(EnvelopeError::NotInTree);
        }
        let leaf = Leaf::decode(leaf)?;
        let (from, until) = leaf.lifetime();
        if !claims.covers(from, until) {
            return Err(EnvelopeError::OutsideSignature);
        }
        Ok(Envelope {
            signed: self.signed,
            state: Verified { leaf },
        })
    }
}

impl Envelope<Verified> {
    /// What was signed, for a server that checks a ticket. Reading it runs nothing.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongKind`] for a time leaf.
    pub fn ticket(&self) -> Result<&AssignLeaf, EnvelopeError> {
        match &self.state.leaf {
            Leaf::Assign(leaf) => Ok(leaf),
            Leaf::Time(_) => Err(EnvelopeError::WrongKind),
        }
    }

    /// The time that the server signed, and the challenge it answers.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongKind`] for an assignment.
    pub fn time(&self) -> Result<TimeLeaf, EnvelopeError> {
        match &self.state.leaf {
            Leaf::Time(leaf) => Ok(*leaf),
            Leaf::Assign(_) => Err(EnvelopeError::WrongKind),
        }
    }

    /// Checks that the assignment is for `me`, in time at `now`, and new; remembers its nonce.
    ///
    /// # Errors
    /// [`EnvelopeError`] says which check failed. The nonce is remembered only on success.
    pub fn check_fresh(
        self,
        now: UnixMillis,
        me: &Identity,
        seen: &mut NonceCache,
    ) -> Result<Envelope<Fresh>, EnvelopeError> {
        let Leaf::Assign(leaf) = self.state.leaf else {
            return Err(EnvelopeError::WrongKind);
        };
        freshness::check(&leaf, now, me)?;
        seen.remember(leaf.nonce, leaf.expires_at, now)?;
        Ok(Envelope {
            signed: self.signed,
            state: Fresh { leaf },
        })
    }
}

impl Envelope<Fresh> {
    /// Turns the proof into work.
    pub fn into_assignment(self) -> Assignment {
        Assignment::new(self.state.leaf, self.signed)
    }
}

#[cfg(test)]
pub(crate) mod test_signers;
#[cfg(test)]
mod tests;
