//! What the dispatching task is told, and what it answers.

use std::sync::Arc;

use scheduler::{Command, Event, JobAssignment, JobView};
use shared::ids::{Digest32, JobId, Nonce, SessionId, WorkerId};
use shared::job::{Capacity, JobSpec};
use shared::wire::{ByeReason, DeviceFacts, Held, Refused, ResultBatch, WorkerLimits};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::books::Look;
use super::catalog::ReadyJob;
use super::journal::Page;
use super::sessions::LiveWorker;
use super::watchers::Watch;
use crate::gateway::Outbox;
use crate::invites::InviteRefusal;

/// What the task is told.
pub(super) enum Letter {
    Submit(Box<ReadyJob>, oneshot::Sender<JobView>),
    Job(JobId, oneshot::Sender<Option<LiveJob>>),
    Watch(JobId, oneshot::Sender<Option<Watch>>),
    Events(JobId, u64, usize, oneshot::Sender<Option<Page>>),
    Control(JobId, Command, oneshot::Sender<Option<u64>>),
    CancelAll(oneshot::Sender<Vec<JobId>>),
    Workers(oneshot::Sender<Vec<LiveWorker>>),
    Look(oneshot::Sender<Arc<Look>>),
    Capacity(oneshot::Sender<Capacity>),
    Content(Digest32, oneshot::Sender<Option<Arc<str>>>),
    SessionOf(WorkerId, oneshot::Sender<Option<SessionId>>),
    Dismiss(Dismissed, oneshot::Sender<u64>),
    Drain(SessionId, oneshot::Sender<()>),
    Join(Box<Join>, OwnedSemaphorePermit),
    Report {
        session: SessionId,
        connection: u64,
        report: Report,
        _room: OwnedSemaphorePermit,
    },
    Closed {
        session: SessionId,
        connection: u64,
    },
    DismissAll,
}

/// Whose sessions an operator has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dismissed {
    /// This one.
    Session(SessionId),
    /// Those that came by an invite.
    Invite(String),
    /// Those of a browser profile, by the digest of its secret.
    Profile(Digest32),
}

impl Dismissed {
    /// What their workers are told.
    pub(super) fn reason(&self) -> ByeReason {
        match self {
            Self::Session(_) => session_ended(),
            Self::Invite(_) => ByeReason::Unauthorized(InviteRefusal::Revoked.reason().into()),
            Self::Profile(_) => ByeReason::Banned,
        }
    }
}

/// What a worker is told whose session an operator has ended.
pub(super) fn session_ended() -> ByeReason {
    ByeReason::Unauthorized("ended_session".into())
}

/// A worker that was let in, and its socket.
#[derive(Debug)]
pub(crate) struct Join {
    /// Its session.
    pub session: SessionId,
    /// Its name.
    pub worker: WorkerId,
    /// Number of the socket.
    pub connection: u64,
    /// It goes on with a session that it had.
    pub resumes: bool,
    /// Shards at the same time.
    pub slots: u16,
    /// Attempts that it is willing to hold.
    pub credit: u32,
    /// What it holds.
    pub held: Vec<Held>,
    /// What is known of its device.
    pub device: Arc<DeviceFacts>,
    /// To be answered with the time.
    pub challenge: Nonce,
    /// Opens the session again.
    pub token: String,
    /// The invite that first let it in.
    pub invite: String,
    /// Of its secret.
    pub secret: Digest32,
    /// What it is told.
    pub limits: WorkerLimits,
    /// Where to send to it.
    pub outbox: Outbox,
}

/// What a worker reports, checked by its socket's task.
#[derive(Debug)]
pub(crate) enum Report {
    /// A ticket that holds.
    Ticket {
        /// Of the leaf.
        nonce: Nonce,
        /// What it assigned.
        jobs: Vec<JobAssignment>,
    },
    /// Results.
    Results(Vec<ResultBatch>),
    /// Attempts that it is willing to hold.
    Credit(u32),
    /// What it holds.
    Beat(Vec<Held>),
    /// What it does not run.
    Refused(Vec<Refused>),
    /// It leaves for good.
    Leave,
}

/// A job that the scheduler has.
#[derive(Debug, Clone)]
pub(crate) struct LiveJob {
    /// What it is.
    pub spec: Arc<JobSpec>,
    /// How far it is.
    pub view: JobView,
    /// A worker is connected.
    pub has_workers: bool,
}

impl Report {
    /// What the scheduler is told.
    pub(super) fn into_event(self, session: SessionId) -> Event {
        match self {
            Self::Ticket { nonce, jobs } => Event::TicketProved {
                session,
                nonce,
                jobs,
            },
            Self::Results(batches) => Event::Results { session, batches },
            Self::Credit(limit) => Event::Credit { session, limit },
            Self::Beat(held) => Event::Beat { session, held },
            Self::Refused(refusals) => Event::Refused { session, refusals },
            Self::Leave => Event::WorkerLeft { session },
        }
    }
}
