//! The worker protocol: framing, size caps, and one enum for each direction.
//!
//! Frames are binary WebSocket messages in postcard. Lives here: what a message looks like and how
//! large it may be. Not here: who may send what when (`session` for the worker, the server's
//! gateway for the other side). A new variant goes at the end: postcard numbers them by position.

mod to_server;
mod to_worker;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use to_server::{
    Credential, DeviceFacts, ErrorText, Hello, RefusalReason, Refused, ResultBatch, ResultDetails,
    ResultRow, ResultStatus, SelfTest, ShardResult, ToServer,
};
pub use to_worker::{
    Assign, ByeReason, Disposed, Disposition, Renewed, SignedLeaf, ToWorker, Welcome, WorkerLimits,
};

use crate::ids::{AttemptId, Nonce};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "cluster.v1";

/// A version of this protocol. A number rather than an enum, so that a peer of another version is
/// told so instead of being called malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProtocolVersion(pub u16);

impl ProtocolVersion {
    /// Signed Merkle batches, resumable sessions.
    pub const V1: Self = Self(1);
}

/// Attempts `first .. first + count` of one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptRange {
    /// The leaf's nonce.
    pub nonce: Nonce,
    /// Position of the first attempt in the leaf.
    pub first: u32,
    /// Number of attempts, at least 1.
    pub count: u32,
}

impl AttemptRange {
    /// The range of a single attempt.
    pub const fn one(attempt: AttemptId) -> Self {
        Self {
            nonce: attempt.nonce,
            first: attempt.index,
            count: 1,
        }
    }

    /// Positions in the leaf; empty where `first + count` overflows.
    pub fn indices(self) -> std::ops::Range<u32> {
        self.first..self.first.checked_add(self.count).unwrap_or(self.first)
    }

    /// The attempts in order.
    pub fn attempts(self) -> impl Iterator<Item = AttemptId> {
        self.indices().map(move |index| AttemptId {
            nonce: self.nonce,
            index,
        })
    }
}

/// Joins attempts, in the order given, into as few ranges as neighbours allow.
pub fn to_ranges(attempts: impl IntoIterator<Item = AttemptId>) -> Vec<AttemptRange> {
    let mut ranges: Vec<AttemptRange> = Vec::new();
    for attempt in attempts {
        match ranges.last_mut() {
            Some(last)
                if last.nonce == attempt.nonce && last.first + last.count == attempt.index =>
            {
                last.count += 1;
            }
            _ => ranges.push(AttemptRange::one(attempt)),
        }
    }
    ranges
}

/// An attempt range that a worker holds, and whether it has begun to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which attempts.
    pub range: AttemptRange,
    /// How far they are.
    pub stage: Stage,
}

/// How far a held attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Not started.
    Queued,
    /// Started, in an executor that is alive.
    Running,
    /// Has a result that the server has not disposed of.
    Finished,
}

/// Why a frame is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than the receiver takes.
    #[error("frame of {got} bytes, at most {max} are taken")]
    TooLong {
        /// Bytes in the frame.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not an encoding of the expected message, or followed by more bytes.
    #[error("frame is not a message of this protocol")]
    Malformed,
    /// A message that is not due: the first answer to hello is a welcome, and there is no other.
    #[error("message came out of turn")]
    OutOfTurn,
}

/// Encodes a message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages have no unserialisable part")
}

/// Decodes one whole message of at most `max` bytes.
///
/// # Errors
/// [`WireError`] for a frame that is too long, malformed, or has trailing bytes.
pub fn decode<T: DeserializeOwned>(frame: &[u8], max: usize) -> Result<T, WireError> {
    if frame.len() > max {
        return Err(WireError::TooLong {
            got: frame.len(),
            max,
        });
    }
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(WireError::Malformed),
    }
}
