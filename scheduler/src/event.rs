//! What goes into the scheduler and what comes out.

use std::sync::Arc;

use range_set_blaze::RangeSetBlaze;
use shared::ids::{JobId, Nonce, SessionId, ShardIndex, WorkerId};
use shared::job::Policy;
use shared::plan::Plan;
use shared::reduce::{Reducer, ReducerState};
use shared::wire::{AttemptRange, Disposed, Held, Refused, ResultBatch, ShardResult};

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job whose row is committed: just submitted, or loaded at start.
    JobReady(Box<JobOutline>),
    /// A worker said hello with a new session. What an earlier session of the same worker held goes
    /// back. Answered by `Welcome`.
    WorkerJoined {
        session: SessionId,
        worker: WorkerId,
        /// Shards at the same time, at least 1.
        slots: u16,
        /// Attempts that it is willing to hold.
        credit: u32,
    },
    /// The session's socket is gone; grace begins.
    WorkerDetached {
        session: SessionId,
    },
    /// A worker came back to its session, which may be unknown here after a restart.
    /// Answered by `Welcome`.
    WorkerResumed {
        session: SessionId,
        worker: WorkerId,
        slots: u16,
        credit: u32,
        held: Vec<Held>,
    },
    /// The worker leaves for good.
    WorkerLeft {
        session: SessionId,
    },
    /// The session gets nothing more; what it has not begun is taken back. Answered by `Drained`, now
    /// or later. After a restart the session is told so anew, right after it came back with a credit
    /// of 0.
    WorkerDraining {
        session: SessionId,
    },
    /// A ticket whose signature, worker and session were checked: attempts from before a restart.
    TicketProved {
        session: SessionId,
        nonce: Nonce,
        jobs: Vec<JobAssignment>,
    },
    Results {
        session: SessionId,
        batches: Vec<ResultBatch>,
    },
    Credit {
        session: SessionId,
        limit: u32,
    },
    Beat {
        session: SessionId,
        held: Vec<Held>,
    },
    Refused {
        session: SessionId,
        refusals: Vec<Refused>,
    },
    /// The delta is stored for good.
    Committed {
        job: JobId,
        seq: u64,
    },
    /// The delta is not known to be stored. It is persisted again: the store ignores a delta whose
    /// seq it already has and reports it as committed.
    CommitFailed {
        job: JobId,
        seq: u64,
    },
    /// What its owner wants of a job. It holds once it is committed.
    Control {
        job: JobId,
        command: Command,
    },
    /// A deadline of `next_deadline` has come.
    Tick,
}

/// What an owner may tell a job that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Hand out no shard. Shards that are out may finish, and may finish the job.
    Pause,
    /// Hand out shards again.
    Resume,
    /// End without a result. From here on no result is folded.
    Cancel,
}

/// A job as the scheduler needs it.
#[derive(Debug, Clone)]
pub struct JobOutline {
    pub job: JobId,
    pub kind: JobKind,
    pub plan: Plan,
    /// `None` for single runs and `add`.
    pub reducer: Option<Reducer>,
    pub policy: Policy,
    /// Run time after which a worker ends a shard itself, in milliseconds; 0 for none.
    pub timeout_ms: u64,
    /// Of the last stored delta; 0 for a job just submitted.
    pub seq: u64,
    pub completed: RangeSetBlaze<u64>,
    /// Of the completed ones, those whose last envelope said `ok: false` or that failed.
    pub failed_shards: u64,
    pub reducer_state: ReducerState,
    /// No shard at or above it was ever handed out.
    pub high_water: u64,
    /// No shard is handed out until its owner wants it.
    pub is_paused: bool,
    /// The job was running before this process started: until `RECLAIM_SEC` is over, no shard below
    /// `high_water` is issued, for a worker may bring it with its ticket.
    pub reclaim: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    Add,
    RunJs,
}

/// What shall happen, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answer the session's hello.
    Welcome {
        session: SessionId,
        /// Leaves whose tickets are needed.
        unknown: Vec<Nonce>,
    },
    /// Sign and send. Attempts are numbered through all jobs in this order.
    Assign {
        session: SessionId,
        nonce: Nonce,
        jobs: Vec<JobAssignment>,
    },
    /// Store; answered by `Committed` or `CommitFailed`. Deltas of one job come in order of seq.
    Persist(Box<Delta>),
    /// Tell the worker what became of its results. A shard's failure that will be tried again
    /// changes nothing durable (a restart forgets it): it is `Stale`, at once.
    Dispose {
        session: SessionId,
        disposed: Vec<Disposed>,
    },
    /// Tell the worker to stop these.
    Revoke {
        session: SessionId,
        ranges: Vec<AttemptRange>,
    },
    /// Who did what of a job: of every stored result once, and of failures that will be tried again.
    /// A commit whose answer never came, because the process died before, is told to nobody.
    Contributed {
        job: JobId,
        contributions: Vec<Contribution>,
        /// The stored results of a sharded job, in the order of the contributions: as many for each
        /// as it completed.
        results: ShardResults,
    },
    /// A job was paused or resumed, and that is stored.
    JobSwitched { job: JobId, is_paused: bool },
    /// What `Scheduler::job` says of it has changed (after a commit, or by a hand-out).
    JobChanged { job: JobId },
    /// The job's end is stored; the scheduler has forgotten the job.
    JobEnded {
        job: JobId,
        /// Shards completed.
        completed: u64,
        /// Those of them that failed.
        failed: u64,
        ending: Ending,
    },
    /// The session is over: grace ran out, it left, or the worker began another.
    SessionEnded { session: SessionId },
    /// A session that is draining holds nothing any more, and all its results were disposed of.
    /// `WorkerLeft` follows.
    Drained { session: SessionId },
}

/// Shards of one job in an assignment, each with its attempt number from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobAssignment {
    pub job: JobId,
    pub shards: Vec<(ShardIndex, u32)>,
}

/// Shards and what came out of them; clones share it.
pub type ShardResults = Arc<[(ShardIndex, ShardResult)]>;

/// What one commit changes. Applying it twice is applying it once: `seq` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    pub job: JobId,
    /// Counts from 1, without a gap.
    pub seq: u64,
    /// Shards that this delta completes.
    pub completed: RangeSetBlaze<u64>,
    /// Those of them that failed and were left out.
    pub skipped: RangeSetBlaze<u64>,
    /// What they returned, where the reducer keeps it: one row a shard, in no order.
    pub rows: ShardResults,
    /// After this delta.
    pub failed_shards: u64,
    /// After this delta; `None` where it did not change.
    pub reducer_state: Option<ReducerState>,
    /// Shards below it may have been handed out once this delta is stored.
    pub high_water: u64,
    /// After this delta.
    pub is_paused: bool,
    /// Set by the last delta of a job.
    pub end: Option<JobEnd>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEnd {
    /// A single run or `add`: the result itself.
    Single(ShardResult),
    /// A sharded job: the reducer state of the same delta (or the last one that had one).
    Reduced,
    /// With the error text that clients see.
    Failed(String),
    /// Its owner ended it.
    Cancelled,
}

/// What one worker did for a job. A shard counts for the worker whose result was folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    pub worker: WorkerId,
    /// Shards completed, whatever their envelope says.
    pub completed: u64,
    /// Attempts that did not return, whether or not another followed.
    pub failed: u64,
    /// Units of the completed shards; 0 for single runs and `add`.
    pub units: u64,
    /// Run time of the completed shards, as the worker says, in microseconds.
    pub run_us: u64,
}

impl Contribution {
    pub(crate) const fn none(worker: WorkerId) -> Self {
        Self {
            worker,
            completed: 0,
            failed: 0,
            units: 0,
            run_us: 0,
        }
    }
}

/// How a job ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Done,
    /// Without.
    Failed,
    /// By its owner.
    Cancelled,
}

impl From<&JobEnd> for Ending {
    fn from(end: &JobEnd) -> Self {
        match end {
            JobEnd::Single(_) | JobEnd::Reduced => Self::Done,
            JobEnd::Failed(_) => Self::Failed,
            JobEnd::Cancelled => Self::Cancelled,
        }
    }
}

/// How far a job is that has not ended: only what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobProgress {
    pub total: u64,
    pub completed: u64,
    pub failed: u64,
    /// Shards that are with a worker.
    pub in_flight: u64,
    /// Shards that are with nobody and have no result.
    pub waiting: u64,
    /// Those of them that a worker of before the restart may bring back, and that nobody else gets
    /// until it has had time to; 0 once it has.
    pub withheld: u64,
    /// No shard is handed out until its owner wants it.
    pub is_paused: bool,
    /// The job runs, or ran, at least one shard.
    pub started: bool,
    /// Why none of the connected workers is given any of it, where that is so.
    pub obstacle: Option<Obstacle>,
}

/// What keeps a job that runs nowhere from the workers that are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Each of them refuses it.
    Refusals,
    /// Each of them was lost with all that is left of it, some more than once. They are given it again
    /// ever more rarely, any other worker at once.
    Losses,
}

/// An attempt that is with a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldShard {
    pub job: JobId,
    pub shard: ShardIndex,
    /// Number of the shard's last attempt, from 1.
    pub attempt: u32,
}

/// What clients may know of a job: only what is committed.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Of the last delta that is stored, as all before it are; 0 for none.
    pub stored_seq: u64,
    pub progress: JobProgress,
    /// What is folded of the completed ones.
    pub reducer_state: ReducerState,
}

/// What clients may know of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    pub session: SessionId,
    pub worker: WorkerId,
    pub slots: u16,
    /// Attempts assigned and without result.
    pub in_flight: u32,
    /// False during grace.
    pub connected: bool,
}
