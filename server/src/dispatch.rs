//! The one task that owns the scheduler: mailbox in, effects out.
//!
//! Everyone else holds a [`Dispatch`], whose mailbox is bounded in letters and in bytes. No lock is
//! held across `.await`, because there is none. Lives here: the mailbox and the loop. Not here: who
//! runs what (`scheduler`), carrying effects out (`dispatch/shell`).

mod catalog;
mod sessions;
mod shell;

use std::sync::Arc;
use std::time::Duration;

use scheduler::{Event, JobAssignment, JobView, Scheduler, SchedulerConfig};
use shared::ids::{Digest32, JobId, Nonce, SessionId, WorkerId};
use shared::job::JobSpec;
use shared::wire::{DeviceFacts, Held, Refused, ResultBatch, WorkerLimits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::gateway::Outbox;
use crate::random;
use crate::signer::Signer;
use crate::store::{Store, UnfinishedJob};
use shell::Shell;

pub(crate) use catalog::ReadyJob;
pub(crate) use sessions::LiveWorker;

/// Letters that may wait.
const MAX_LETTERS: usize = 4096;
/// Bytes of workers' frames that may wait, in KiB.
const MAX_FRAME_KIB: usize = 64 * 1024;
/// How long a socket waits for room before it is closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// There is no room for another letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is overloaded")]
pub(crate) struct Overloaded;

/// A handle to the task.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    letters: mpsc::Sender<Letter>,
    frame_room: Arc<Semaphore>,
}

/// What the task is told.
enum Letter {
    Submit(Box<ReadyJob>, oneshot::Sender<JobView>),
    Job(JobId, oneshot::Sender<Option<LiveJob>>),
    Workers(oneshot::Sender<Vec<LiveWorker>>),
    Content(Digest32, oneshot::Sender<Option<Arc<str>>>),
    Join(Box<Join>),
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
    pub device: DeviceFacts,
    /// To be answered with the time.
    pub challenge: Nonce,
    /// Opens the session again.
    pub token: String,
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

/// A place in the mailbox, taken in advance.
#[derive(Debug)]
pub(crate) struct Place(mpsc::OwnedPermit<Letter>);

impl Place {
    /// Hands a job over whose row is stored; how it stands after that.
    pub(crate) async fn submit(self, job: ReadyJob) -> Option<JobView> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Letter::Submit(Box::new(job), reply));
        answer.await.ok()
    }
}

impl Dispatch {
    /// Starts the task with the jobs that go on. It ends when the last handle is gone.
    pub(crate) fn start(
        config: SchedulerConfig,
        signed_ttl_ms: u64,
        clock: Clock,
        store: Arc<dyn Store>,
        signer: Signer,
        unfinished: Vec<UnfinishedJob>,
    ) -> (Self, JoinHandle<()>) {
        let (sender, letters) = mpsc::channel(MAX_LETTERS);
        let (commits, committed) = mpsc::unbounded_channel();
        let task = Task {
            scheduler: Scheduler::new(random::bytes(), config),
            shell: Shell::new(signed_ttl_ms, clock, store, signer, commits),
            clock,
        };
        let running = tokio::spawn(task.run(unfinished, letters, committed));
        let dispatch = Self {
            letters: sender,
            frame_room: Arc::new(Semaphore::new(MAX_FRAME_KIB)),
        };
        (dispatch, running)
    }

    /// Takes a place for a job that is going to be stored, so that it is not stored in vain.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) fn reserve(&self) -> Result<Place, Overloaded> {
        let permit = self.letters.clone().try_reserve_owned();
        permit.map(Place).map_err(|_| Overloaded)
    }

    /// A job that has not ended; `None` for any other.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn job(&self, job: JobId) -> Result<Option<LiveJob>, Overloaded> {
        self.ask(|reply| Letter::Job(job, reply)).await
    }

    /// The connected workers, in order of their names.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn workers(&self) -> Result<Vec<LiveWorker>, Overloaded> {
        self.ask(Letter::Workers).await
    }

    /// Code or args of a job that has not ended.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn content(&self, hash: Digest32) -> Result<Option<Arc<str>>, Overloaded> {
        self.ask(|reply| Letter::Content(hash, reply)).await
    }

    async fn ask<T>(
        &self,
        letter: impl FnOnce(oneshot::Sender<T>) -> Letter,
    ) -> Result<T, Overloaded> {
        let (reply, answer) = oneshot::channel();
        self.letters
            .try_send(letter(reply))
            .map_err(|_| Overloaded)?;
        answer.await.map_err(|_| Overloaded)
    }

    /// A worker was let in.
    pub(crate) async fn join(&self, join: Join) {
        let _ = self.letters.send(Letter::Join(Box::new(join))).await;
    }

    /// A worker's socket is gone.
    pub(crate) async fn closed(&self, session: SessionId, connection: u64) {
        let letter = Letter::Closed {
            session,
            connection,
        };
        let _ = self.letters.send(letter).await;
    }

    /// Passes a report on, which came in a frame of `bytes`. Waits for room.
    ///
    /// # Errors
    /// [`Overloaded`] after 10 s without room.
    pub(crate) async fn report(
        &self,
        session: SessionId,
        connection: u64,
        report: Report,
        bytes: usize,
    ) -> Result<(), Overloaded> {
        let kib = bytes.div_ceil(1024).clamp(1, MAX_FRAME_KIB) as u32;
        let room = Arc::clone(&self.frame_room).acquire_many_owned(kib);
        let passed = async {
            let room = room.await.map_err(|_| Overloaded)?;
            let letter = Letter::Report {
                session,
                connection,
                report,
                _room: room,
            };
            self.letters.send(letter).await.map_err(|_| Overloaded)
        };
        tokio::time::timeout(PATIENCE, passed)
            .await
            .unwrap_or(Err(Overloaded))
    }

    /// Closes every socket, and every one that comes later.
    pub(crate) async fn dismiss_all(&self) {
        let _ = self.letters.send(Letter::DismissAll).await;
    }
}

/// Fate of a delta: job, seq, whether it is stored.
type Commit = (JobId, u64, bool);

struct Task {
    scheduler: Scheduler,
    shell: Shell,
    clock: Clock,
}

impl Task {
    async fn run(
        mut self,
        unfinished: Vec<UnfinishedJob>,
        mut letters: mpsc::Receiver<Letter>,
        mut committed: mpsc::UnboundedReceiver<Commit>,
    ) {
        for job in unfinished {
            self.take_in(ReadyJob::resumed(job)).await;
        }
        loop {
            let wake = self.scheduler.next_deadline();
            let due = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((job, seq, is_stored)) = committed.recv() => {
                    let event = if is_stored {
                        Event::Committed { job, seq }
                    } else {
                        Event::CommitFailed { job, seq }
                    };
                    self.step(event).await;
                }
                letter = letters.recv() => match letter {
                    Some(letter) => self.read(letter).await,
                    None => break,
                },
                () = due => self.step(Event::Tick).await,
            }
        }
    }

    async fn step(&mut self, event: Event) {
        let effects = self.scheduler.step(self.clock.mono(), event);
        for effect in effects {
            self.shell.perform(effect).await;
        }
    }

    async fn read(&mut self, letter: Letter) {
        match letter {
            Letter::Submit(job, reply) => {
                let id = job.outline.job;
                self.take_in(*job).await;
                if let Some(view) = self.scheduler.job(id) {
                    let _ = reply.send(view);
                }
            }
            Letter::Job(job, reply) => {
                let _ = reply.send(self.live_job(job));
            }
            Letter::Workers(reply) => {
                let _ = reply.send(self.shell.worker_rows(&self.scheduler.workers()));
            }
            Letter::Content(hash, reply) => {
                let _ = reply.send(self.shell.content(hash));
            }
            Letter::Join(join) => self.join(*join).await,
            Letter::Report {
                session,
                connection,
                report,
                ..
            } => {
                if self.shell.hear(session, connection) {
                    self.step(report.into_event(session)).await;
                }
            }
            Letter::Closed {
                session,
                connection,
            } => {
                if self.shell.detach(session, connection) {
                    self.step(Event::WorkerDetached { session }).await;
                }
            }
            Letter::DismissAll => self.shell.dismiss_all(),
        }
    }

    async fn take_in(&mut self, job: ReadyJob) {
        self.shell.add_job(&job);
        self.step(Event::JobReady(Box::new(job.outline))).await;
    }

    fn live_job(&self, job: JobId) -> Option<LiveJob> {
        Some(LiveJob {
            spec: self.shell.spec(job)?,
            view: self.scheduler.job(job)?,
            has_workers: self.shell.has_workers(),
        })
    }

    async fn join(&mut self, join: Join) {
        let event = if join.resumes {
            Event::WorkerResumed {
                session: join.session,
                worker: join.worker.clone(),
                slots: join.slots,
                credit: join.credit,
                held: join.held.clone(),
            }
        } else {
            Event::WorkerJoined {
                session: join.session,
                worker: join.worker.clone(),
                slots: join.slots,
                credit: join.credit,
            }
        };
        self.shell.attach(join);
        self.step(event).await;
    }
}

impl Report {
    fn into_event(self, session: SessionId) -> Event {
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
