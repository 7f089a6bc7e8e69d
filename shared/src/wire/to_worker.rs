//! Server -> worker.

use serde::{Deserialize, Serialize};

use super::AttemptRange;
use crate::ids::{Nonce, SessionId, WorkerId};
use crate::merkle;

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Answers `Hello`.
    Welcome(Box<Welcome>),
    /// A signed `Time` leaf: answers `Hello` and `Sync`. Until it is checked nothing starts.
    Time(Box<SignedLeaf>),
    /// Work. The worker verifies it before anything else.
    Assign(Box<Assign>),
    /// The worker may forget these results.
    Disposed(Vec<Disposed>),
    /// Stop these attempts and forget them; nothing is answered.
    Revoke(Vec<AttemptRange>),
    /// Last frame: why the server closes.
    Bye {
        /// Why.
        reason: ByeReason,
        /// When to come back, in milliseconds; `None` for never.
        retry_after_ms: Option<u32>,
    },
    /// Takes the place of the token in the welcome before that one expires.
    Renewed(Renewed),
}

/// A session token that follows another.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Opens the session of this socket again, or a new one after a reload.
    pub token: String,
}

impl std::fmt::Debug for Renewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renewed { token: [redacted] }")
    }
}

/// Answers `Hello`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session; leaves name it.
    pub session: SessionId,
    /// The worker id that holds here; differs from the one in `Hello` where that one belongs to
    /// another secret or to a tab that is connected.
    pub worker: WorkerId,
    /// Opens this session again, or a new one after a reload.
    pub token: String,
    /// Of the attempts named in `Hello`, the leaves that the server does not know. The worker sends
    /// their tickets; what it held of other leaves goes on.
    pub unknown: Vec<Nonce>,
    /// Limits in force.
    pub limits: WorkerLimits,
}

impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Welcome")
            .field("session", &self.session)
            .field("worker", &self.worker)
            .field("token", &"[redacted]")
            .field("unknown", &self.unknown)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Limits that the server has set for its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLimits {
    /// Bytes of one result (`CUSTOM_JOB_MAX_RESULT_BYTES`).
    pub max_result_bytes: u32,
    /// Bytes of one frame in either direction.
    pub max_frame_bytes: u32,
    /// Slots that the worker may use at most (`WORKER_MAX_CONCURRENT_JOBS`).
    pub max_slots: u16,
}

/// A leaf with the proof that it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLeaf {
    /// The leaf's bytes as they were signed.
    #[serde(with = "serde_bytes")]
    pub leaf: Vec<u8>,
    /// Its place in the tree.
    pub index: u32,
    /// Its siblings up to the root.
    pub path: Vec<merkle::Hash>,
    /// The signed root: a compact JWS.
    pub root: String,
}

/// Work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assign {
    /// What to run.
    pub signed: SignedLeaf,
    /// Code and args that are short enough to ride along, in any order; each is recognised by its
    /// hash. Longer ones are fetched.
    pub contents: Vec<String>,
}

/// What became of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposed {
    /// Which.
    pub range: AttemptRange,
    /// What.
    pub disposition: Disposition,
}

/// What became of a result. Every received result gets exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Disposition {
    /// Folded, and it will survive anything.
    Durable,
    /// Another attempt was first.
    Duplicate,
    /// The job has ended, or the attempt was taken away.
    Stale,
    /// No attempt of this worker, or not a result of this job.
    Refused,
}

/// Why the server closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ByeReason {
    /// The invite does not hold; the text is one of the reasons of `HTTP_API` 2, or `revoked_token`, or
    /// `used_up_token`. `ended_session`: an operator ended the session, an invite may still hold.
    Unauthorized(String),
    /// The session token does not hold; the invite may still.
    SessionUnknown,
    /// The worker id belongs to another secret.
    ForeignWorkerId,
    /// The frame was malformed, too long or out of turn.
    ProtocolViolation,
    /// No version in common.
    UnsupportedVersion,
    /// The same session connected again.
    Replaced,
    /// The worker did not take what was sent to it.
    TooSlow,
    /// No room for more workers.
    Full,
    /// The server stops; it may come back.
    ShuttingDown,
    /// An operator wants nothing of this worker any more, nor of any other with its secret.
    Banned,
}
