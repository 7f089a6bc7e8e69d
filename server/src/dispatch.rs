//! The one task that owns the scheduler: mailbox in, effects out.
//!
//! Everyone else holds a [`Dispatch`], whose mailbox is bounded in letters and in bytes. No lock is
//! held across `.await`, because there is none. Lives here: the handle and its bounds.
//! Not here: the loop (`dispatch/task`), who runs what (`scheduler`), carrying effects out
//! (`dispatch/shell`).

mod books;
mod catalog;
mod history;
mod journal;
mod letters;
mod sessions;
mod shell;
mod tally;
mod task;
mod watchers;

use std::sync::Arc;
use std::time::Duration;

use scheduler::{Command, JobView, Scheduler, SchedulerConfig};
use shared::ids::{Digest32, JobId, SessionId, WorkerId};
use shared::job::{Capacity, JobSpec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::EventSettings;
use crate::instruments::Instruments;
use crate::orders::Orders;
use crate::random;
use crate::signer::Signer;
use crate::store::{EndedJobs, Store, UnfinishedJob};
use letters::Letter;
use shell::Shell;
use task::Task;

pub(crate) use books::Look;
pub(crate) use catalog::ReadyJob;
pub(crate) use history::MAX_LISTED;
pub(crate) use journal::{Entry, Page, Shards, What, first_seq_after_restart};
pub(crate) use letters::{Dismissed, Join, LiveJob, Report};
pub(crate) use sessions::LiveWorker;
pub(crate) use watchers::Watch;

/// Letters that may wait.
const MAX_LETTERS: usize = 4096;
/// Bytes of workers' frames that may wait, in KiB.
const MAX_FRAME_KIB: usize = 64 * 1024;
/// Memory for unfinished jobs, in KiB.
const MAX_JOBS_KIB: usize = 1024 * 1024;
/// What an unfinished job takes beside twice its code and args, in KiB.
const JOB_KIB: usize = 16;
/// How long a socket waits for room before it is closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// There is no room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overloaded {
    /// Too much waits to be looked at.
    #[error("the server is overloaded")]
    Mailbox,
    /// Too many jobs have not ended.
    #[error("too many jobs have not ended yet")]
    Jobs,
    /// Too many clients follow a job.
    #[error("too many streams are open")]
    Streams,
    /// Too much waits to be stored.
    #[error("the store is behind")]
    Store,
}

/// What the task works with.
#[derive(Debug)]
pub(crate) struct DispatchParts {
    /// Lifetime of an assignment, in milliseconds.
    pub signed_ttl_ms: u64,
    /// Clocks.
    pub clock: Clock,
    /// Durable jobs.
    pub store: Arc<dyn Store>,
    /// Who signs.
    pub signer: Signer,
    /// What operators have ordered.
    pub orders: Arc<Orders>,
    /// Events that are kept.
    pub events: EventSettings,
    /// For how long ended jobs are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// Instruments.
    pub instruments: Arc<Instruments>,
}

/// A handle to the task.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    letters: mpsc::Sender<Letter>,
    frame_room: Arc<Semaphore>,
    job_room: Arc<Semaphore>,
    /// The store is behind: results have to wait where they are.
    is_congested: watch::Receiver<bool>,
}

/// A place for a job, taken in advance.
#[derive(Debug)]
pub(crate) struct Place {
    letter: mpsc::OwnedPermit<Letter>,
    room: OwnedSemaphorePermit,
}

impl Place {
    /// Hands a job over whose row is stored; how it stands after that.
    pub(crate) async fn submit(self, job: ReadyJob) -> Option<JobView> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(job.with_room(self.room));
        self.letter.send(Letter::Submit(job, reply));
        answer.await.ok()
    }
}

impl Dispatch {
    /// Starts the task with the jobs that go on, and with what became of the others. It ends when the
    /// last handle is gone.
    pub(crate) fn start(
        config: SchedulerConfig,
        parts: DispatchParts,
        (unfinished, ended): (Vec<UnfinishedJob>, EndedJobs),
    ) -> (Self, JoinHandle<()>) {
        let (sender, letters) = mpsc::channel(MAX_LETTERS);
        let (commits, committed) = mpsc::unbounded_channel();
        let (congestion, is_congested) = watch::channel(false);
        let clock = parts.clock;
        let task = Task {
            scheduler: Scheduler::new(random::bytes(), config),
            shell: Shell::new(parts, commits, ended),
            clock,
            congestion,
        };
        let dispatch = Self::new(sender, is_congested);
        let resumed = unfinished
            .into_iter()
            .map(|job| dispatch.make_room(ReadyJob::resumed(job)))
            .collect();
        let running = tokio::spawn(task.run(resumed, letters, committed));
        (dispatch, running)
    }

    fn new(letters: mpsc::Sender<Letter>, is_congested: watch::Receiver<bool>) -> Self {
        Self {
            letters,
            frame_room: Arc::new(Semaphore::new(MAX_FRAME_KIB)),
            job_room: Arc::new(Semaphore::new(MAX_JOBS_KIB)),
            is_congested,
        }
    }

    /// Takes a place for a job that is going to be stored, so that it is not stored in vain.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) fn reserve(&self, spec: &JobSpec) -> Result<Place, Overloaded> {
        let room = Arc::clone(&self.job_room)
            .try_acquire_many_owned(kib_of(spec))
            .map_err(|_| Overloaded::Jobs)?;
        let letter = self.letters.clone().try_reserve_owned();
        let letter = letter.map_err(|_| Overloaded::Mailbox)?;
        Ok(Place { letter, room })
    }

    /// A job of before counts as far as there is room; it was accepted, so it runs in any case.
    fn make_room(&self, job: ReadyJob) -> ReadyJob {
        let room = Arc::clone(&self.job_room).try_acquire_many_owned(kib_of(&job.spec));
        match room {
            Ok(room) => job.with_room(room),
            Err(_) => job,
        }
    }

    /// A job that has not ended; `None` for any other.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn job(&self, job: JobId) -> Result<Option<LiveJob>, Overloaded> {
        self.ask(|reply| Letter::Job(job, reply)).await
    }

    /// Tells of every change of a job that has not ended; `None` for any other.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn watch(&self, job: JobId) -> Result<Option<Watch>, Overloaded> {
        self.ask(|reply| Letter::Watch(job, reply)).await
    }

    /// What is remembered of a sharded job's events after `after`, about `limit` of them; `None` where
    /// nothing is.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn events(
        &self,
        job: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<Page>, Overloaded> {
        self.ask(|reply| Letter::Events(job, after, limit, reply))
            .await
    }

    /// Tells a job what its owner wants. It holds once the delta with the seq that is given back is
    /// stored ([`JobView::stored_seq`]); `None` for a job that has ended, which does nothing. A job can
    /// be cancelled once, but paused and resumed without end: not while the store is behind.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn control(
        &self,
        job: JobId,
        command: Command,
    ) -> Result<Option<u64>, Overloaded> {
        if command != Command::Cancel && *self.is_congested.borrow() {
            return Err(Overloaded::Store);
        }
        self.ask(|reply| Letter::Control(job, command, reply)).await
    }

    /// Cancels every job that has not ended; which these are.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn cancel_all(&self) -> Result<Vec<JobId>, Overloaded> {
        self.ask(Letter::CancelAll).await
    }

    /// What the workers, those within grace included, can run.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn capacity(&self) -> Result<Capacity, Overloaded> {
        self.ask(Letter::Capacity).await
    }

    /// The connected workers, in order of their names.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn workers(&self) -> Result<Vec<LiveWorker>, Overloaded> {
        self.ask(Letter::Workers).await
    }

    /// The session of a worker that is connected or within grace.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn session_of(
        &self,
        worker: WorkerId,
    ) -> Result<Option<SessionId>, Overloaded> {
        self.ask(|reply| Letter::SessionOf(worker, reply)).await
    }

    /// Ends sessions at once, which must be in the orders already: who joins meanwhile is held to
    /// those. How many of them were connected.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn dismiss(&self, whom: Dismissed) -> Result<u64, Overloaded> {
        self.ask(|reply| Letter::Dismiss(whom, reply)).await
    }

    /// Hands out nothing more to a session, and ends it when it holds nothing. It must be in the orders
    /// already.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn drain(&self, session: SessionId) -> Result<(), Overloaded> {
        self.ask(|reply| Letter::Drain(session, reply)).await
    }

    /// How everything stands, or stood a quarter of a second ago.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(crate) async fn look(&self) -> Result<Arc<Look>, Overloaded> {
        self.ask(Letter::Look).await
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
            .map_err(|_| Overloaded::Mailbox)?;
        answer.await.map_err(|_| Overloaded::Mailbox)
    }

    /// A worker was let in, whose hello came in a frame of `bytes`. Waits for room.
    ///
    /// # Errors
    /// [`Overloaded`] after 10 s without room.
    pub(crate) async fn join(&self, join: Join, bytes: usize) -> Result<(), Overloaded> {
        let joined = async {
            let room = self.room_for(bytes).await?;
            self.send(Letter::Join(Box::new(join), room)).await
        };
        in_time(joined).await
    }

    /// A worker's socket is gone.
    pub(crate) async fn closed(&self, session: SessionId, connection: u64) {
        let letter = Letter::Closed {
            session,
            connection,
        };
        let _ = self.letters.send(letter).await;
    }

    /// Passes a report on, which came in a frame of `bytes`. Waits for room; results wait for the
    /// store as well, or a store that is away would fill the memory with what workers held.
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
        let mut is_congested = self.is_congested.clone();
        let passed = async {
            if matches!(report, Report::Results(_)) {
                let relieved = is_congested.wait_for(|is_congested| !is_congested).await;
                relieved.map_err(|_| Overloaded::Mailbox)?;
            }
            let room = self.room_for(bytes).await?;
            let letter = Letter::Report {
                session,
                connection,
                report,
                _room: room,
            };
            self.send(letter).await
        };
        in_time(passed).await
    }

    /// Room for a frame; the largest that can be is not waited for in vain.
    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Overloaded> {
        let kib = bytes.div_ceil(1024).clamp(1, MAX_FRAME_KIB) as u32;
        let room = Arc::clone(&self.frame_room).acquire_many_owned(kib);
        room.await.map_err(|_| Overloaded::Mailbox)
    }

    async fn send(&self, letter: Letter) -> Result<(), Overloaded> {
        let sent = self.letters.send(letter).await;
        sent.map_err(|_| Overloaded::Mailbox)
    }

    /// Closes every socket, and every one that comes later.
    pub(crate) async fn dismiss_all(&self) {
        let _ = self.letters.send(Letter::DismissAll).await;
    }
}

/// What waits for room does so for a while only.
async fn in_time(waiting: impl Future<Output = Result<(), Overloaded>>) -> Result<(), Overloaded> {
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    done.unwrap_or(Err(Overloaded::Mailbox))
}

/// Memory that an unfinished job may take, in KiB.
fn kib_of(spec: &JobSpec) -> u32 {
    let text_bytes = match spec {
        JobSpec::Add(_) => 0,
        JobSpec::RunJs(run) => run.code.len() + run.args.len(),
    };
    let kib = JOB_KIB + (2 * text_bytes).div_ceil(1024);
    u32::try_from(kib).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use shared::job::parse_add;
    use shared::time::UnixMillis;

    use super::*;
    use crate::gateway::outbox;
    use crate::store::NewJob;

    fn uncongested() -> watch::Receiver<bool> {
        watch::channel(false).1
    }

    fn add() -> JobSpec {
        parse_add(&serde_json::json!({"a": 1, "b": 2})).unwrap()
    }

    #[tokio::test]
    async fn a_full_mailbox_is_told_and_takes_no_job_in_vain() {
        let (letters, mut mailbox) = mpsc::channel(1);
        let dispatch = Dispatch::new(letters, uncongested());
        let place = dispatch.reserve(&add()).unwrap();
        assert_eq!(dispatch.reserve(&add()).unwrap_err(), Overloaded::Mailbox);
        assert_eq!(dispatch.workers().await.unwrap_err(), Overloaded::Mailbox);
        drop(place);
        let place = dispatch.reserve(&add()).unwrap();
        let job = ReadyJob::submitted(NewJob {
            job: JobId::from_random([1; 16]),
            created_at: UnixMillis(0),
            spec: add(),
            high_water: 1,
        });
        let submitted = tokio::spawn(place.submit(job));
        assert!(matches!(mailbox.recv().await, Some(Letter::Submit(..))));
        assert!(submitted.await.unwrap().is_none(), "nobody answered");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_for_a_report_is_told_after_a_while() {
        let (letters, _mailbox) = mpsc::channel(1);
        let dispatch = Dispatch::new(letters, uncongested());
        let session = SessionId::from_bytes([1; 16]);
        let report = |bytes| dispatch.report(session, 1, Report::Credit(1), bytes);
        report(10).await.unwrap();
        assert_eq!(report(10).await, Err(Overloaded::Mailbox));
        let whole = report(2 * MAX_FRAME_KIB * 1024);
        assert_eq!(
            whole.await,
            Err(Overloaded::Mailbox),
            "more than all of it is not waited for"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn results_wait_while_the_store_is_behind_and_nothing_else_does() {
        let (letters, mut mailbox) = mpsc::channel(4);
        let (congestion, is_congested) = watch::channel(true);
        let dispatch = Dispatch::new(letters, is_congested);
        let session = SessionId::from_bytes([1; 16]);
        let report = |report| dispatch.report(session, 1, report, 10);
        report(Report::Credit(1)).await.unwrap();
        assert!(mailbox.recv().await.is_some());
        assert_eq!(
            report(Report::Results(Vec::new())).await,
            Err(Overloaded::Mailbox)
        );
        assert!(mailbox.try_recv().is_err());
        let (reported, ()) = tokio::join!(report(Report::Results(Vec::new())), async {
            congestion.send_replace(false);
        });
        reported.unwrap();
        assert!(mailbox.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_joins_with_much_in_hand_waits_for_room_like_a_report() {
        let (letters, mut mailbox) = mpsc::channel(2);
        let dispatch = Dispatch::new(letters, uncongested());
        let (outbox, _outgoing) = outbox();
        let join = |number| task::tests::join(number, outbox.clone());
        let whole = MAX_FRAME_KIB * 1024;
        dispatch.join(join(1), whole).await.unwrap();
        assert_eq!(dispatch.join(join(2), 1).await, Err(Overloaded::Mailbox));
        drop(mailbox.recv().await);
        dispatch.join(join(2), 1).await.unwrap();
    }

    #[tokio::test]
    async fn while_the_store_is_behind_a_job_can_be_cancelled_but_not_paused_and_resumed() {
        let (letters, mut mailbox) = mpsc::channel(4);
        let (_congestion, is_congested) = watch::channel(true);
        let dispatch = Dispatch::new(letters, is_congested);
        let job = JobId::from_random([1; 16]);
        for command in [Command::Pause, Command::Resume] {
            assert_eq!(dispatch.control(job, command).await, Err(Overloaded::Store));
        }
        assert!(mailbox.try_recv().is_err());
        let (ordered, ()) = tokio::join!(dispatch.control(job, Command::Cancel), async {
            let letter = mailbox.recv().await;
            assert!(matches!(
                letter,
                Some(Letter::Control(_, Command::Cancel, _))
            ));
        });
        assert_eq!(ordered, Err(Overloaded::Mailbox), "nobody answered");
    }

    #[test]
    fn unfinished_jobs_are_bounded_and_make_room_when_they_end() {
        let (letters, _mailbox) = mpsc::channel(MAX_JOBS_KIB);
        let dispatch = Dispatch::new(letters, uncongested());
        let mut places = Vec::new();
        let refused = loop {
            match dispatch.reserve(&add()) {
                Ok(place) => places.push(place),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, Overloaded::Jobs);
        assert_eq!(places.len(), MAX_JOBS_KIB / JOB_KIB);
        places.pop();
        assert!(dispatch.reserve(&add()).is_ok());
    }
}
