//! The writing thread: everything that waits goes into one transaction (group commit).
//!
//! What waits is bounded: deltas by the scheduler, which sends them, everything else here. Who asks
//! and goes away leaves what was asked in the queue, so that a disk that hangs would fill the memory.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use scheduler::Delta;
use shared::ids::WorkerId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::anchor::{Adrift, Anchor};
use super::batch::{Applied, Ledger};
use super::classify;
use super::orders::{Order, Ordered};
use super::outage::Outage;
use super::sweep::Sweeper;
use super::times::Times;
use crate::store::{Admission, Done, Entry, NewInvite, NewJob, RecordedInvite, StoreError};

/// Changes other than deltas that may wait: more than all sockets that wait for their welcome and all
/// jobs that have a place in the mailbox.
pub(super) const MAX_WAITING: usize = 16_384;
/// Changes in one transaction at most.
const MAX_BATCH: usize = 4096;
/// Pause after a transaction that failed, so that a disk that stays full is not asked without end.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// For so long the last transaction tells how the next one would fare.
const FRESH: Duration = Duration::from_secs(1);

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// Who waits for a change.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<Result<T, StoreError>>,
    /// Taken until the change is answered, whether or not anybody still waits for it.
    _place: Option<OwnedSemaphorePermit>,
}

impl<T> Reply<T> {
    fn send(self, outcome: Result<T, StoreError>) {
        // Who has gone away does not want to know.
        let _ = self.sender.send(outcome);
    }
}

/// A change, and who waits for it.
pub(super) enum Write {
    InsertJob {
        job: Box<NewJob>,
        reply: Reply<()>,
    },
    Persist {
        delta: Box<Delta>,
        done: Done,
    },
    Admit {
        entry: Box<Entry>,
        reply: Reply<Admission>,
    },
    Visits {
        workers: Vec<WorkerId>,
        reply: Reply<()>,
    },
    RecordInvite {
        invite: Box<NewInvite>,
        reply: Reply<RecordedInvite>,
    },
    Order {
        order: Box<Order>,
        reply: Reply<Ordered>,
    },
    /// Asks whether anything can be written.
    Probe {
        reply: Reply<()>,
    },
    /// Answered when everything before it is; the thread ends then.
    Close {
        reply: Reply<()>,
    },
}

/// The queue of the thread.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Write>,
    room: Arc<Semaphore>,
}

impl Queue {
    /// Queues a change.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where [`MAX_WAITING`] wait already, [`StoreError::Closed`].
    pub(super) fn ask<T>(
        &self,
        write: impl FnOnce(Reply<T>) -> Write,
    ) -> Result<Answer<T>, StoreError> {
        let place = Arc::clone(&self.room).try_acquire_owned();
        let place = place.map_err(|_| StoreError::Busy)?;
        self.send(write, Some(place))
    }

    /// Queues the end, for which there is always room.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub(super) fn close(&self) -> Result<Answer<()>, StoreError> {
        self.send(|reply| Write::Close { reply }, None)
    }

    /// Queues a delta. The scheduler bounds how many wait.
    pub(super) fn persist(&self, delta: Box<Delta>, done: Done) {
        if let Err(mpsc::SendError(write)) = self.sender.send(Write::Persist { delta, done }) {
            write.fail(StoreError::Closed);
        }
    }

    fn send<T>(
        &self,
        write: impl FnOnce(Reply<T>) -> Write,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Answer<T>, StoreError> {
        let (sender, answer) = oneshot::channel();
        let reply = Reply {
            sender,
            _place: place,
        };
        let sent = self.sender.send(write(reply));
        sent.map_err(|_| StoreError::Closed).map(|()| answer)
    }
}

/// Starts the thread. It ends at `Close`, or when every sender is gone.
pub(super) fn start(
    connection: Connection,
    anchor: Anchor,
    ledger: Ledger,
    sweeper: Sweeper,
) -> Queue {
    let (sender, queue) = mpsc::channel();
    std::thread::Builder::new()
        .name("store".into())
        .spawn(move || Writer::new(connection, anchor, ledger, sweeper).run(&queue))
        .expect("a thread can be started");
    Queue {
        sender,
        room: Arc::new(Semaphore::new(MAX_WAITING)),
    }
}

struct Writer {
    connection: Connection,
    anchor: Anchor,
    /// When pages that were read before were forgotten last.
    refreshed: Instant,
    ledger: Ledger,
    /// When the last transaction ended, and why it failed if it did.
    last: Option<(Instant, Result<(), StoreError>)>,
    outage: Outage,
    sweeper: Sweeper,
}

impl Writer {
    fn new(connection: Connection, anchor: Anchor, ledger: Ledger, sweeper: Sweeper) -> Self {
        Self {
            connection,
            anchor,
            refreshed: Instant::now(),
            ledger,
            last: None,
            outage: Outage::default(),
            sweeper,
        }
    }

    fn run(mut self, queue: &mpsc::Receiver<Write>) {
        loop {
            let first = match queue.recv_timeout(self.sweeper.wait()) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.sweep();
                    self.note_times(Times::note_alone);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut writes = vec![first];
            writes.extend(queue.try_iter().take(MAX_BATCH - 1));
            if let Some(reply) = self.write_all(writes) {
                self.note_times(Times::note);
                drop(self.connection);
                reply.send(Ok(()));
                return;
            }
            if self.ledger.take_litter() {
                self.sweeper.wake();
            }
            if self.sweeper.is_overdue() {
                self.sweep();
            }
        }
    }

    fn sweep(&mut self) {
        if self.anchor.check().is_err() {
            self.sweeper.postpone();
            return;
        }
        let now = self.ledger.times.clock.running();
        self.sweeper.sweep(&mut self.connection, now);
    }

    /// If this fails, they are noted later, or with the next change.
    fn note_times(&mut self, note: fn(&mut Times, &Connection) -> rusqlite::Result<()>) {
        if self.anchor.check().is_err() {
            return;
        }
        if let Err(error) = note(&mut self.ledger.times, &self.connection) {
            tracing::debug!(%error, "the clocks cannot be noted");
        }
    }

    /// Returns who asked to close, if anybody did; what came after that is dropped, which its
    /// senders see as closed.
    fn write_all(&mut self, mut writes: Vec<Write>) -> Option<Reply<()>> {
        let close = writes
            .iter()
            .position(|write| matches!(write, Write::Close { .. }));
        let later = close
            .map(|place| writes.split_off(place))
            .unwrap_or_default();
        let (writes, probes) = split_probes(writes);
        if !writes.is_empty() {
            self.commit(writes);
        }
        for probe in probes {
            probe.send(self.probe());
        }
        let mut later = later.into_iter();
        let reply = match later.next() {
            Some(Write::Close { reply }) => Some(reply),
            Some(
                Write::InsertJob { .. }
                | Write::Persist { .. }
                | Write::Admit { .. }
                | Write::Visits { .. }
                | Write::RecordInvite { .. }
                | Write::Order { .. }
                | Write::Probe { .. },
            )
            | None => None,
        };
        later.for_each(|write| write.fail(StoreError::Closed));
        reply
    }

    fn commit(&mut self, writes: Vec<Write>) {
        match self.try_commit(&writes) {
            Ok(applied) => writes
                .into_iter()
                .zip(applied)
                .for_each(|(write, applied)| write.answer(applied)),
            Err(StoreError::Failed) if writes.len() > 1 => {
                for write in writes {
                    self.commit(vec![write]);
                }
            }
            Err(error) => {
                writes
                    .into_iter()
                    .for_each(|write| write.fail(error.clone()));
                std::thread::sleep(PAUSE_AFTER_FAILURE);
            }
        }
    }

    fn try_commit(&mut self, writes: &[Write]) -> Result<Vec<Applied>, StoreError> {
        let attempt = self.anchored(|writer| {
            writer.refresh();
            let applied = writer.ledger.apply(&mut writer.connection, writes);
            applied.map_err(|error| {
                writer.ledger.forget();
                writer.failed(&error, writes.len())
            })
        });
        self.note(attempt.as_ref().map(|_| ()).map_err(Clone::clone));
        attempt
    }

    /// Writes where the next start finds it: what could not be found there counts as not written.
    fn anchored<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let anchor = self.anchor.clone();
        anchor.check().map_err(|adrift| self.adrift(&adrift))?;
        let written = write(self)?;
        anchor.check().map_err(|adrift| self.adrift(&adrift))?;
        Ok(written)
    }

    /// Nothing is written. Where only the log is gone, what is in it is brought into the database,
    /// which is in its place, so that nothing that was acknowledged goes with it.
    fn adrift(&mut self, adrift: &Adrift) -> StoreError {
        let kind = adrift.kind();
        if self.outage.failed(&kind, adrift)
            && let Adrift::Moved { is_log: true, .. } = adrift
        {
            match empty_log(&self.connection) {
                Ok(()) => tracing::warn!("what was in the log of the database is saved in it"),
                Err(error) => tracing::error!(%error, "the log of the database cannot be saved"),
            }
        }
        kind
    }

    /// Has pages read again that were read long ago, so that damage is met before more is written.
    fn refresh(&mut self) {
        if self.refreshed.elapsed() < FRESH {
            return;
        }
        self.refreshed = Instant::now();
        if let Err(error) = self.connection.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!(%error, "no memory can be freed");
        }
    }

    fn failed(&mut self, error: &rusqlite::Error, writes: usize) -> StoreError {
        self.anchor.note(error);
        let kind = classify(error);
        if kind == StoreError::Failed {
            tracing::error!(%error, writes, "a transaction failed: {kind}");
        } else {
            let _ = self.outage.failed(&kind, error);
        }
        kind
    }

    /// Remembers how a transaction fared. One that failed for what was in it tells nothing of others.
    fn note(&mut self, outcome: Result<(), StoreError>) {
        if outcome.is_ok() {
            self.outage.over();
        }
        if outcome != Err(StoreError::Failed) {
            self.last = Some((Instant::now(), outcome));
        }
    }

    /// Whether a transaction can be written. It is tried where none was just now: setting the
    /// version of the schema to what it is writes a page.
    fn probe(&mut self) -> Result<(), StoreError> {
        if let Err(adrift) = self.anchor.check() {
            return Err(self.adrift(&adrift));
        }
        if let Some((at, outcome)) = &self.last
            && at.elapsed() < FRESH
        {
            return outcome.clone();
        }
        let written = self
            .anchored(|writer| touch(&writer.connection).map_err(|error| writer.failed(&error, 0)));
        self.note(written.clone());
        written
    }
}

fn touch(connection: &Connection) -> rusqlite::Result<()> {
    const VERSION: &str = "user_version";
    let version: u32 = connection.pragma_query_value(None, VERSION, |row| row.get(0))?;
    connection.pragma_update(None, VERSION, version)
}

/// Brings everything that is in the log into the database.
fn empty_log(connection: &Connection) -> rusqlite::Result<()> {
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    if is_busy {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(code, None));
    }
    Ok(())
}

fn split_probes(writes: Vec<Write>) -> (Vec<Write>, Vec<Reply<()>>) {
    let mut probes = Vec::new();
    let mut others = Vec::with_capacity(writes.len());
    for write in writes {
        match write {
            Write::Probe { reply } => probes.push(reply),
            other @ (Write::InsertJob { .. }
            | Write::Persist { .. }
            | Write::Admit { .. }
            | Write::Visits { .. }
            | Write::RecordInvite { .. }
            | Write::Order { .. }
            | Write::Close { .. }) => others.push(other),
        }
    }
    (others, probes)
}

impl Write {
    fn answer(self, applied: Applied) {
        match (self, applied) {
            (write, Applied::Refused(error)) => write.fail(error),
            (
                Self::InsertJob { reply, .. } | Self::Visits { reply, .. } | Self::Probe { reply },
                _,
            ) => {
                reply.send(Ok(()));
            }
            (Self::Persist { done, .. }, _) => done(Ok(())),
            (Self::Admit { reply, .. }, Applied::Admitted(admission)) => {
                reply.send(Ok(admission));
            }
            (Self::RecordInvite { reply, .. }, Applied::Recorded(recorded)) => {
                reply.send(Ok(recorded));
            }
            (Self::Order { reply, .. }, Applied::Ordered(ordered)) => {
                reply.send(Ok(ordered));
            }
            (
                write @ (Self::Admit { .. }
                | Self::RecordInvite { .. }
                | Self::Order { .. }
                | Self::Close { .. }),
                Applied::Stored | Applied::Admitted(_) | Applied::Recorded(_) | Applied::Ordered(_),
            ) => write.fail(StoreError::Failed),
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::InsertJob { reply, .. }
            | Self::Visits { reply, .. }
            | Self::Probe { reply }
            | Self::Close { reply } => {
                reply.send(Err(error));
            }
            Self::Persist { done, .. } => done(Err(error)),
            Self::Admit { reply, .. } => {
                reply.send(Err(error));
            }
            Self::RecordInvite { reply, .. } => {
                reply.send(Err(error));
            }
            Self::Order { reply, .. } => {
                reply.send(Err(error));
            }
        }
    }
}
