//! Where jobs, worker identities, invites and what operators order about them are durable: the
//! contract of every store.
//!
//! Lives here: the trait and what goes in and out. Not here: what a job means (`shared::job`), what
//! a delta contains (`scheduler`), and how answers are rendered (`api`). What was reported as stored
//! survives the end of the process at any instant.

#[cfg(test)]
mod contract;
mod ranges;
pub(crate) mod sqlite;
pub use sqlite::copies;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use range_set_blaze::RangeSetBlaze;
use scheduler::{Delta, Ending};
use shared::api::TaskBrief;
use shared::ids::{Digest32, JobId, SessionId, ShardIndex, WorkerId};
use shared::job::JobSpec;
use shared::plan::Plan;
use shared::reduce::ReducerState;
use shared::time::UnixMillis;
use shared::wire::ShardResult;

/// Revocations that are remembered, and orders about sessions.
pub(crate) const MAX_ORDERS: usize = 100_000;

/// Answer of a store.
pub(crate) type StoreFuture<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Called once, on any thread, when the fate of a delta is known. It must not block.
pub(crate) type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A durable store. Its methods queue work and return at once; what changes something fails with
/// [`StoreError::Busy`] where too much is queued.
pub(crate) trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Stores a job that was just submitted.
    fn insert_job(&self, job: NewJob) -> StoreFuture<()>;

    /// Stores what one step of the scheduler changed. A delta whose seq is stored already changes
    /// nothing and counts as stored; one whose predecessor is missing is refused
    /// ([`StoreError::Gap`]). Deltas of one job are applied in the order of the calls. The caller
    /// bounds what it has under way; nothing is refused for being too much.
    fn persist(&self, delta: Box<Delta>, done: Done);

    /// Reads a job; `None` for one that was never stored.
    fn job(&self, job: JobId) -> StoreFuture<Option<StoredJob>>;

    /// What a job has collected, in order of the shards from `from` on: a page of about 256 KiB, at
    /// least one row. Empty where there is no more; [`StoreError::UnknownJob`] for a job that was
    /// removed.
    fn rows(&self, job: JobId, from: ShardIndex) -> StoreFuture<Vec<(ShardIndex, ShardResult)>>;

    /// Every job without an outcome, oldest first.
    fn unfinished_jobs(&self) -> StoreFuture<Vec<UnfinishedJob>>;

    /// How many jobs have ended, and the `newest` of them. Reads nothing of the others.
    fn ended_jobs(&self, newest: usize) -> StoreFuture<EndedJobs>;

    /// What [`Self::admit_worker`] would answer, or [`Admission::Open`] where it would store
    /// something.
    fn check_entry(&self, entry: Entry) -> StoreFuture<Admission>;

    /// Lets a worker in under a name, which belongs to its secret from here on, and counts the use of
    /// its invite: each name counts once. Who is refused leaves nothing. Of very many names those are
    /// forgotten that stay away longest, but none that is banned, and none of who is here.
    fn admit_worker(&self, entry: Entry) -> StoreFuture<Admission>;

    /// Remembers that workers are here.
    fn note_visits(&self, workers: Vec<WorkerId>) -> StoreFuture<()>;

    /// Remembers an invite as the newest, with the first code and phrase that no other invite has.
    fn record_invite(&self, invite: NewInvite) -> StoreFuture<RecordedInvite>;

    /// The newest invite and its place in the order.
    fn newest_invite(&self) -> StoreFuture<Option<(u64, InviteRecord)>>;

    /// The invite that a link leads to; `None` for one that is not known. One that has expired may
    /// still be found.
    fn linked_invite(&self, link: InviteLink) -> StoreFuture<Option<LinkedInvite>>;

    /// The newest invites, these in front; `most` of them.
    fn invites(&self, most: usize) -> StoreFuture<Vec<ListedInvite>>;

    /// From here on an invite lets nobody in, nor do the session tokens of those who came by it. Of
    /// more than [`MAX_ORDERS`] revocations those are forgotten that need not hold for longest, as
    /// `until` and the end of the invite say. False for one that is not known.
    fn revoke_invite(&self, jti: String, until: UnixMillis) -> StoreFuture<bool>;

    /// Remembers what an operator wants of a session, bounded as revocations are. One that is to end
    /// stays so, whatever is ordered later.
    fn order_session(
        &self,
        session: SessionId,
        order: SessionOrder,
        until: UnixMillis,
    ) -> StoreFuture<()>;

    /// Bans a worker, and every other worker of its secret; `None` for one that is not known.
    fn ban_worker(&self, worker: WorkerId) -> StoreFuture<Option<Profile>>;

    /// The opposite.
    fn unban_worker(&self, worker: WorkerId) -> StoreFuture<Option<Profile>>;

    /// Everything that operators have ordered.
    fn orders(&self) -> StoreFuture<StoredOrders>;

    /// Whether changes can be stored at this moment: how the last one fared if that was just now,
    /// else how a small one fares that changes nothing.
    fn check_writable(&self) -> StoreFuture<()>;

    /// Writes what is queued and closes. Everything later fails with [`StoreError::Closed`].
    fn close(&self) -> StoreFuture<()>;
}

/// A job as it is submitted.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    /// Its id.
    pub job: JobId,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// What it is.
    pub spec: JobSpec,
    /// Shards below it may be handed out at once.
    pub high_water: u64,
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredJob {
    /// Its id.
    pub job: JobId,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When something of it was stored last.
    pub updated_at: UnixMillis,
    /// What it is.
    pub spec: JobSpec,
    /// How far it is.
    pub progress: Progress,
    /// How it ended; `None` while it has not.
    pub outcome: Option<Outcome>,
}

/// How far a job is: the sum of its deltas.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    /// Of the last delta; 0 for none.
    pub seq: u64,
    /// Number of completed shards.
    pub completed: u64,
    /// Those of them that failed.
    pub failed_shards: u64,
    /// Those of them that failed and were left out; read only for a single job.
    pub skipped: RangeSetBlaze<u64>,
    /// What was folded; `None` for nothing yet.
    pub reducer_state: Option<ReducerState>,
    /// Shards below it may have been handed out.
    pub high_water: u64,
    /// No shard is handed out until the owner wants it.
    pub is_paused: bool,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// A single run or `add`, with its result.
    Single(ShardResult),
    /// A sharded job; its result is the reducer state.
    Reduced,
    /// With the text that clients see.
    Failed(String),
    /// Its owner ended it.
    Cancelled,
}

/// A job that goes on after a restart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnfinishedJob {
    /// The job.
    pub stored: StoredJob,
    /// Its completed shards.
    pub completed: RangeSetBlaze<u64>,
}

/// Jobs with an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EndedJobs {
    /// Those with a result.
    pub done: u64,
    /// Those without, but for the cancelled ones.
    pub failed: u64,
    /// Those that their owners ended.
    pub cancelled: u64,
    /// Completed shards of all sharded ones.
    pub shards: u64,
    /// Those that ended last, these in front.
    pub newest: Vec<EndedJob>,
}

/// A job with an outcome, in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedJob {
    /// Its id.
    pub job: JobId,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When it ended, by the wall clock.
    pub ended_at: UnixMillis,
    /// When it ended, by the running time, which says how long it is kept.
    pub kept_from: UnixMillis,
    /// What it is.
    pub task: TaskBrief,
    /// How it was cut.
    pub plan: Plan,
    /// Shards completed.
    pub completed: u64,
    /// Those of them that failed.
    pub failed_shards: u64,
    /// How it ended.
    pub ending: Ending,
}

/// Tells whether a worker is connected.
pub(crate) type IsHere = Arc<dyn Fn(&WorkerId) -> bool + Send + Sync>;

/// For stores that nobody is connected to.
#[cfg(test)]
pub(crate) fn nobody() -> IsHere {
    Arc::new(|_| false)
}

/// A worker that wants to be let in under a name.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The name.
    pub worker: WorkerId,
    /// Digest of the secret that it shows.
    pub secret: Digest32,
    /// The invite that this is a use of; `None` for one that needs none.
    pub invite: Option<EntryInvite>,
}

/// The invite of an [`Entry`].
#[derive(Debug, Clone)]
pub(crate) struct EntryInvite {
    /// Its id.
    pub jti: String,
    /// Where it is not known, it lets nobody in.
    pub is_limited: bool,
}

/// What becomes of an [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is let in, and that is stored.
    Noted,
    /// It would be let in.
    Open,
    /// The name belongs to another secret.
    Foreign,
    /// The invite has let in as many others as it may.
    UsedUp,
    /// The invite is not known, or no longer.
    Unknown,
}

/// What is kept of an invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InviteRecord {
    /// Its id.
    pub jti: String,
    /// When it was made, in Unix seconds.
    pub issued_at_sec: u64,
    /// Until when it holds, in Unix seconds.
    pub expires_at_sec: u64,
    /// What its maker called it.
    pub label: Option<String>,
    /// How many workers it lets in; `None` for any number.
    pub max_uses: Option<u32>,
}

/// An invite, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedInvite {
    /// What is kept of it.
    pub record: InviteRecord,
    /// Workers that it has let in.
    pub uses: u64,
    /// It lets nobody in any more.
    pub is_revoked: bool,
    /// Its short code.
    pub code: Option<String>,
    /// Its phrase, the words joined by `-`.
    pub phrase: Option<String>,
}

/// What an operator wants of a session; what is later in this list holds against what is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionOrder {
    /// It may finish what it runs.
    Drain,
    /// It is over.
    End,
}

/// Workers of one browser profile, or of one native program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    /// Of their secret.
    pub secret: Digest32,
    /// Those that are known, in order of their names.
    pub workers: Vec<WorkerId>,
}

/// What operators have ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredOrders {
    /// Invites that let nobody in, by their ids, each with the time until which it has to.
    pub revoked: Vec<(String, UnixMillis)>,
    /// What is wanted of sessions, each with the time until which it has to hold.
    pub sessions: Vec<(SessionId, SessionOrder, UnixMillis)>,
    /// Workers that are banned, and the digests of their secrets.
    pub banned: Vec<(WorkerId, Digest32)>,
}

/// An invite that was just made.
#[derive(Debug, Clone)]
pub(crate) struct NewInvite {
    /// What is kept of it.
    pub record: InviteRecord,
    /// The token that links lead to.
    pub token: InviteToken,
    /// Short codes to choose from, in lower case.
    pub codes: Vec<String>,
    /// Phrases to choose from, in lower case, their words joined by `-`.
    pub phrases: Vec<String>,
    /// Invites that may be kept with this one; the oldest go first.
    pub max_kept: u64,
}

/// What a store made of a [`NewInvite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedInvite {
    /// Its place in the order of invites.
    pub serial: u64,
    /// Its short code; `None` if all were taken.
    pub code: Option<String>,
    /// Its phrase; `None` if all were taken.
    pub phrase: Option<String>,
}

/// What a short link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InviteLink {
    /// The short code.
    Code(String),
    /// The phrase, its words joined by `-`.
    Phrase(String),
}

/// Where a short link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkedInvite {
    /// The invite.
    pub token: InviteToken,
    /// Until when it holds, in Unix seconds.
    pub expires_at_sec: u64,
}

/// An invite token, which lets its bearer in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct InviteToken(pub String);

impl std::fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InviteToken([redacted])")
    }
}

/// Why something is not stored or cannot be read. The texts are shown to clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room.
    #[error("the disk is full")]
    Full,
    /// Somebody else holds the database.
    #[error("the database is locked")]
    Locked,
    /// The file is not what was written.
    #[error("the database is damaged")]
    Damaged,
    /// What is written would be gone at the next start.
    #[error("a file of the database was moved, removed or replaced")]
    Moved,
    /// The disk fails or may not be written.
    #[error("the disk cannot be used")]
    Disk,
    /// Too much waits for it already; what was asked does not happen.
    #[error("too much waits to be written")]
    Busy,
    /// It has not answered yet; what was asked may still happen.
    #[error("it has not answered in time, what was asked may still happen")]
    Slow,
    /// A delta came before its predecessor.
    #[error("delta {seq} does not follow {stored}")]
    Gap {
        /// What is stored.
        stored: u64,
        /// What came.
        seq: u64,
    },
    /// The job that a delta belongs to is not stored, or has ended.
    #[error("the job is not open")]
    JobNotOpen,
    /// No such job, or none any more.
    #[error("the job is not stored any more")]
    UnknownJob,
    /// The store was closed.
    #[error("the server is stopping")]
    Closed,
    /// Anything else; it is logged where it happens.
    #[error("the store has failed")]
    Failed,
}
