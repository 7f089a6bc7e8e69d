//! The store in a file of `DATA_DIR`: SQLite in WAL mode with full synchronisation.
//!
//! One thread writes, many changes a transaction; readers have connections of their own. Lives
//! here: opening and the handle. Not here: SQL (`schema`, `batch`, `read`, `invites`, `names`, `orders`), the thread
//! (`writer`), the files (`folder`), whether they stay (`anchor`), and their backups (`copies`).

mod anchor;
mod batch;
mod codec;
pub mod copies;
mod folder;
mod invites;
mod names;
mod orders;
mod outage;
mod read;
mod schema;
mod sweep;
mod times;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use scheduler::Delta;
use shared::ids::{JobId, SessionId, ShardIndex, WorkerId};
use shared::time::UnixMillis;
use shared::wire::ShardResult;

use super::{
    Admission, Done, EndedJobs, Entry, InviteLink, InviteRecord, IsHere, LinkedInvite,
    ListedInvite, NewInvite, NewJob, Profile, RecordedInvite, SessionOrder, Store, StoreError,
    StoreFuture, StoredJob, StoredOrders, UnfinishedJob,
};
use crate::clock::Clock;
use anchor::Anchor;
use batch::Ledger;
use folder::DATABASE;
pub(crate) use folder::{lock, make_private_folder};
use names::Names;
use orders::{Order, Ordered};
use read::Readers;
use sweep::Sweeper;
use times::Times;
use writer::{Queue, Reply, Write};

/// Accuracy with which it is known when a worker was here last, in milliseconds.
const VISIT_MS: u64 = 3600 * 1000;
/// Bytes that the write-ahead log keeps on the disk after it was large.
const MAX_LOG_BYTES: u32 = 64 * 1024 * 1024;
/// How long a statement waits for another program that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the database cannot be used. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("cannot use the data folder {path}: {cause}; set DATA_DIR to one that may be written")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What went wrong.
        cause: std::io::Error,
    },
    /// Another server runs on it.
    #[error(
        "another server uses the data folder {0}; stop it, or choose another folder (DATA_DIR, --data-dir)"
    )]
    InUse(PathBuf),
    /// The file belongs to another program.
    #[error(
        "{DATABASE} in the data folder is not a database of this program; set DATA_DIR to another folder"
    )]
    Foreign,
    /// Written by a later version of this program.
    #[error(
        "the database has schema {found}, this program knows up to {known}; use the newer program"
    )]
    Newer {
        /// In the file.
        found: usize,
        /// Known here.
        known: usize,
    },
    /// The file has lost what was in it.
    #[error(
        "{DATABASE} in the data folder is empty, which it never is by itself; put a backup in its place (`cluster-server restore FILE`), or remove it and the file `lock` to begin anew without its jobs"
    )]
    Empty,
    /// A database was there, but not any more.
    #[error(
        "{DATABASE} is missing in the data folder, where one was before; bring it back, put a backup in its place (`cluster-server restore FILE`), or remove {DATABASE}-wal, {DATABASE}.restoring and lock to begin anew without its jobs"
    )]
    Missing,
    /// Putting a backup in its place was cut short.
    #[error(
        "{DATABASE} in the data folder was about to be replaced by a backup; finish it: `cluster-server restore FILE`"
    )]
    HalfRestored,
    /// The file is not what was written.
    #[error(
        "the database {DATABASE} in the data folder is damaged; put a backup in its place (`cluster-server restore FILE`), or set DATA_DIR to another folder"
    )]
    Damaged,
    /// Anything else that SQLite says.
    #[error("cannot open the database {DATABASE} in the data folder: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        if classify(&error) == StoreError::Damaged {
            Self::Damaged
        } else {
            Self::Sqlite(error)
        }
    }
}

/// A database that is open.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    writes: Queue,
    readers: Readers,
    clock: Clock,
    /// Held so that no other server opens the folder.
    _lock: File,
}

impl SqliteStore {
    /// Opens the database of a data folder, making what is missing (folder 0700, files 0600) and
    /// bringing its schema up to date. Jobs that ended are kept for `retention`, or for ever; names of
    /// workers that are here are never forgotten.
    ///
    /// # Errors
    /// [`OpenError`]; a damaged or foreign file is left as it is.
    pub(crate) fn open(
        data_dir: &Path,
        retention: Option<Duration>,
        is_here: IsHere,
    ) -> Result<Self, OpenError> {
        make_private_folder(data_dir).map_err(folder::unusable(data_dir))?;
        let lock = lock(data_dir)?;
        let path = folder::database(data_dir, &lock)?;
        let mut connection = connect(&path)?;
        schema::migrate(&mut connection)?;
        let clock = times::resume(&connection)?;
        let anchor = Anchor::of(data_dir).map_err(folder::unusable(data_dir))?;
        let readers = Readers::new(path, anchor.clone());
        let ledger = Ledger::new(Times::new(clock), Names::new(is_here));
        Ok(Self {
            writes: writer::start(connection, anchor, ledger, Sweeper::new(retention)),
            readers,
            clock,
            _lock: lock,
        })
    }

    /// Clocks that go on from where those of the last server on this store were.
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    fn write<T: Send + 'static>(&self, write: impl FnOnce(Reply<T>) -> Write) -> StoreFuture<T> {
        let answer = self.writes.ask(write);
        Box::pin(async move { answer?.await.unwrap_or(Err(StoreError::Closed)) })
    }

    /// `read` takes the answer out that belongs to the order.
    fn order<T: Send + 'static>(
        &self,
        order: Order,
        read: fn(Ordered) -> Option<T>,
    ) -> StoreFuture<T> {
        let order = Box::new(order);
        let ordered = self.write(|reply| Write::Order { order, reply });
        Box::pin(async move { read(ordered.await?).ok_or(StoreError::Failed) })
    }
}

impl Store for SqliteStore {
    fn insert_job(&self, job: NewJob) -> StoreFuture<()> {
        let job = Box::new(job);
        self.write(|reply| Write::InsertJob { job, reply })
    }

    fn persist(&self, delta: Box<Delta>, done: Done) {
        self.writes.persist(delta, done);
    }

    fn job(&self, job: JobId) -> StoreFuture<Option<StoredJob>> {
        self.readers
            .read(move |connection| read::job(connection, job))
    }

    fn rows(&self, job: JobId, from: ShardIndex) -> StoreFuture<Vec<(ShardIndex, ShardResult)>> {
        let page = self
            .readers
            .read(move |connection| read::rows(connection, job, from));
        Box::pin(async move { page.await?.ok_or(StoreError::UnknownJob) })
    }

    fn unfinished_jobs(&self) -> StoreFuture<Vec<UnfinishedJob>> {
        self.readers.read(read::unfinished_jobs)
    }

    fn ended_jobs(&self, newest: usize) -> StoreFuture<EndedJobs> {
        self.readers
            .read(move |connection| read::ended_jobs(connection, newest))
    }

    fn check_entry(&self, entry: Entry) -> StoreFuture<Admission> {
        let worker = entry.worker.clone();
        let outlook = self
            .readers
            .read(move |connection| names::outlook(connection, &entry));
        let (clock, writes) = (self.clock, self.writes.clone());
        Box::pin(async move {
            let outlook = outlook.await?;
            let is_old = |noted| clock.running().since(noted) > VISIT_MS;
            if outlook.noted_since().is_some_and(is_old) {
                // Whether it is noted does not matter to the worker.
                let workers = vec![worker];
                let _ = writes.ask(|reply| Write::Visits { workers, reply });
            }
            Ok(outlook.admission)
        })
    }

    fn admit_worker(&self, entry: Entry) -> StoreFuture<Admission> {
        let entry = Box::new(entry);
        self.write(|reply| Write::Admit { entry, reply })
    }

    fn note_visits(&self, workers: Vec<WorkerId>) -> StoreFuture<()> {
        self.write(|reply| Write::Visits { workers, reply })
    }

    fn record_invite(&self, invite: NewInvite) -> StoreFuture<RecordedInvite> {
        let invite = Box::new(invite);
        self.write(|reply| Write::RecordInvite { invite, reply })
    }

    fn newest_invite(&self) -> StoreFuture<Option<(u64, InviteRecord)>> {
        self.readers.read(invites::newest)
    }

    fn linked_invite(&self, link: InviteLink) -> StoreFuture<Option<LinkedInvite>> {
        self.readers
            .read(move |connection| invites::linked(connection, &link))
    }

    fn invites(&self, most: usize) -> StoreFuture<Vec<ListedInvite>> {
        self.readers
            .read(move |connection| invites::list(connection, most))
    }

    fn revoke_invite(&self, jti: String, until: UnixMillis) -> StoreFuture<bool> {
        self.order(Order::RevokeInvite { jti, until }, Ordered::revoked)
    }

    fn order_session(
        &self,
        session: SessionId,
        order: SessionOrder,
        until: UnixMillis,
    ) -> StoreFuture<()> {
        let order = Order::Session {
            session,
            order,
            until,
        };
        self.order(order, Ordered::noted)
    }

    fn ban_worker(&self, worker: WorkerId) -> StoreFuture<Option<Profile>> {
        self.order(Order::Ban(worker), Ordered::profile)
    }

    fn unban_worker(&self, worker: WorkerId) -> StoreFuture<Option<Profile>> {
        self.order(Order::Unban(worker), Ordered::profile)
    }

    fn orders(&self) -> StoreFuture<StoredOrders> {
        self.readers.read(orders::all)
    }

    fn check_writable(&self) -> StoreFuture<()> {
        self.write(|reply| Write::Probe { reply })
    }

    fn close(&self) -> StoreFuture<()> {
        let answer = self.writes.close();
        Box::pin(async move { answer?.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

/// A connection to a database that is there.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", MAX_LOG_BYTES)?;
    Ok(connection)
}

/// What an error of SQLite means for who waits for the store.
fn classify(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied,
        ) => StoreError::Disk,
        None if is_unreadable(error) => StoreError::Damaged,
        _ => StoreError::Failed,
    }
}

/// A column does not hold what was written there.
const fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    )
}

#[cfg(test)]
mod tests;
