//! Freshness: for me, in time, and not seen before.

use super::EnvelopeError;
use super::leaf::AssignLeaf;
use crate::ids::{Nonce, SessionId, WorkerId};
use crate::limits::{MAX_FUTURE_SKEW_MS, MAX_SIGNED_TTL_MS};
use crate::sorted_map::SortedMap;
use crate::time::UnixMillis;
use crate::wire::ProtocolVersion;

/// Who a worker is: what a leaf must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its worker id.
    pub worker: WorkerId,
    /// Its session.
    pub session: SessionId,
}

pub(super) fn check(
    leaf: &AssignLeaf,
    now: UnixMillis,
    me: &Identity,
) -> Result<(), EnvelopeError> {
    if leaf.version != ProtocolVersion::V1 {
        return Err(EnvelopeError::WrongVersion(leaf.version));
    }
    if leaf.worker != me.worker {
        return Err(EnvelopeError::ForeignWorker);
    }
    if leaf.session != me.session {
        return Err(EnvelopeError::ForeignSession);
    }
    let lifetime = leaf.expires_at.since(leaf.issued_at);
    if lifetime > MAX_SIGNED_TTL_MS {
        return Err(EnvelopeError::LifetimeTooLong(lifetime));
    }
    let ahead_ms = leaf.issued_at.since(now);
    if ahead_ms > MAX_FUTURE_SKEW_MS {
        return Err(EnvelopeError::FromTheFuture { ahead_ms });
    }
    check_in_time(leaf, now)
}

pub(super) const fn check_in_time(leaf: &AssignLeaf, now: UnixMillis) -> Result<(), EnvelopeError> {
    if now.0 >= leaf.expires_at.0 {
        return Err(EnvelopeError::Expired {
            late_ms: now.since(leaf.expires_at),
        });
    }
    Ok(())
}

/// Nonces that are remembered before the first look for expired ones.
const FIRST_SWEEP: usize = 64;

/// Remembers the nonces of everything that could still be replayed. It forgets only what has
/// expired, and when full it refuses.
#[derive(Debug, Clone)]
pub struct NonceCache {
    capacity: usize,
    expiry_of: SortedMap<Nonce, UnixMillis>,
    /// With how many nonces the expired ones are looked for: so seldom that a nonce costs the same
    /// however many there are.
    sweep_at: usize,
    /// Everything that expires up to here may have been forgotten, so it counts as expired even if
    /// the clock is set back.
    forgotten_until: UnixMillis,
}

impl NonceCache {
    /// An empty cache for at most `capacity` nonces.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            expiry_of: SortedMap::new(),
            sweep_at: capacity.min(FIRST_SWEEP),
            forgotten_until: UnixMillis(0),
        }
    }

    /// Number of nonces remembered, of which some may have expired.
    pub fn len(&self) -> usize {
        self.expiry_of.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.expiry_of.is_empty()
    }

    /// Remembers `nonce` until `expires_at` at least.
    ///
    /// # Errors
    /// [`EnvelopeError::Replayed`], [`EnvelopeError::NonceCacheFull`], or
    /// [`EnvelopeError::Expired`] for what may have been forgotten already.
    pub fn remember(
        &mut self,
        nonce: Nonce,
        expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), EnvelopeError> {
        if self.len() >= self.sweep_at {
            self.forget_expired(now);
        }
        if self.expiry_of.contains(nonce) {
            return Err(EnvelopeError::Replayed);
        }
        if expires_at <= self.forgotten_until {
            return Err(EnvelopeError::Expired {
                late_ms: self.forgotten_until.since(expires_at),
            });
        }
        if self.len() >= self.capacity {
            return Err(EnvelopeError::NonceCacheFull);
        }
        self.expiry_of.insert(nonce, expires_at);
        Ok(())
    }

    fn forget_expired(&mut self, now: UnixMillis) {
        let forgotten_until = &mut self.forgotten_until;
        self.expiry_of.retain(|_, expires_at| {
            let is_alive = *expires_at > now;
            if !is_alive {
                *forgotten_until = (*forgotten_until).max(*expires_at);
            }
            is_alive
        });
        self.sweep_at = self.capacity.min((2 * self.len()).max(FIRST_SWEEP));
    }
}
