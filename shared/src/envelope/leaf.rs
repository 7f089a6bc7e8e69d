//! Leaves: what is signed. An enum, so that a time answer can never pass for an assignment.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest32, JobId, Nonce, SessionId, ShardIndex, WorkerId};
use crate::limits::{
    MAX_ADD_OPERAND, MAX_ATTEMPTS_PER_LEAF, MAX_JOBS_PER_LEAF, MAX_LEAF_BYTES, MAX_SAFE_INTEGER,
};
use crate::plan::{Plan, RandomMode};
use crate::time::UnixMillis;
use crate::wire::ProtocolVersion;

/// Why bytes are not a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not an encoding of a leaf, or followed by more bytes.
    #[error("leaf is malformed")]
    Malformed,
    /// A leaf without work, or with more than one may carry.
    #[error("leaf has {jobs} jobs and {attempts} attempts")]
    Amount {
        /// Jobs in it.
        jobs: usize,
        /// Attempts in it.
        attempts: usize,
    },
    /// A shard that the job's plan does not have, or an attempt number of 0.
    #[error("leaf names a shard that its plan does not have")]
    Shard,
    /// A number beyond what job rules allow.
    #[error("leaf holds a number out of range")]
    Number,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leaf {
    /// Work for one worker.
    Assign(AssignLeaf),
    /// The time, for who asked.
    Time(TimeLeaf),
}

/// Work for one worker: everything that changes a result is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignLeaf {
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Whose work it is.
    pub worker: WorkerId,
    /// In which session.
    pub session: SessionId,
    /// Names this batch, once.
    pub nonce: Nonce,
    /// When it was signed.
    pub issued_at: UnixMillis,
    /// From when on nothing of it may be started.
    pub expires_at: UnixMillis,
    /// At least one.
    pub jobs: Vec<LeafJob>,
}

/// Attempts of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafJob {
    /// Which job.
    pub job: JobId,
    /// What to do.
    pub task: Task,
    /// Which shards, each with its attempt number from 1.
    pub shards: Vec<(ShardIndex, u32)>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Add two integers of at most ±10^9 each.
    Add {
        /// First operand.
        a: i64,
        /// Second operand.
        b: i64,
    },
    /// Run a script.
    RunJs(RunJsTask),
}

/// A script and everything that changes its result but the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJsTask {
    /// SHA-256 of the code.
    pub code: Digest32,
    /// SHA-256 of the args' JSON text.
    pub args: Digest32,
    /// How the job is cut.
    pub plan: Plan,
    /// Time limit of one shard in milliseconds; 0 for none.
    pub timeout_ms: u64,
    /// Seed of `Math.random`.
    pub seed: u64,
    /// Whether the seed is used.
    pub random: RandomMode,
}

/// The time, for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLeaf {
    /// What the worker asked with.
    pub challenge: Nonce,
    /// The server's clock.
    pub now: UnixMillis,
}

impl Leaf {
    /// The bytes that are hashed, signed and sent.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("leaves have no unserialisable part")
    }

    /// Decodes and checks a whole leaf.
    ///
    /// # Errors
    /// [`LeafError`] for anything that `encode` does not make of a valid leaf.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > MAX_LEAF_BYTES {
            return Err(LeafError::Malformed);
        }
        let leaf = match postcard::take_from_bytes(bytes) {
            Ok((leaf, [])) => leaf,
            Ok(_) | Err(_) => return Err(LeafError::Malformed),
        };
        match &leaf {
            Self::Assign(assign) => assign.check()?,
            Self::Time(_) => {}
        }
        Ok(leaf)
    }

    /// First and last instant at which the leaf means anything.
    pub(super) const fn lifetime(&self) -> (UnixMillis, UnixMillis) {
        match self {
            Self::Assign(leaf) => (leaf.issued_at, leaf.expires_at),
            Self::Time(leaf) => (leaf.now, leaf.now),
        }
    }
}

impl AssignLeaf {
    /// Number of attempts in all jobs.
    pub fn attempts(&self) -> usize {
        self.jobs.iter().map(|job| job.shards.len()).sum()
    }

    fn check(&self) -> Result<(), LeafError> {
        let (jobs, attempts) = (self.jobs.len(), self.attempts());
        let empty = self.jobs.iter().any(|job| job.shards.is_empty());
        if jobs == 0 || jobs > MAX_JOBS_PER_LEAF || attempts > MAX_ATTEMPTS_PER_LEAF || empty {
            return Err(LeafError::Amount { jobs, attempts });
        }
        self.jobs.iter().try_for_each(LeafJob::check)
    }
}

impl LeafJob {
    fn check(&self) -> Result<(), LeafError> {
        let total = match self.task {
            Task::Add { a, b }
                if a.unsigned_abs().max(b.unsigned_abs()) > MAX_ADD_OPERAND.unsigned_abs() =>
            {
                return Err(LeafError::Number);
            }
            Task::Add { .. } => 1,
            Task::RunJs(task) if task.timeout_ms > MAX_SAFE_INTEGER => {
                return Err(LeafError::Number);
            }
            Task::RunJs(task) => task.plan.total_shards(),
        };
        if self
            .shards
            .iter()
            .any(|(shard, attempt)| shard.0 >= total || *attempt == 0)
        {
            return Err(LeafError::Shard);
        }
        Ok(())
    }
}
