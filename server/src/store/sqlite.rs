//! The store in a file of `DATA_DIR`: SQLite in WAL mode with full synchronisation.
//!
//! One thread writes, many changes a transaction; readers have connections of their own. Lives
//! here: opening and the handle. Not here: SQL (`schema`, `batch`, `read`, `invites`) and the thread
//! (`writer`).

mod batch;
mod codec;
mod invites;
mod read;
mod schema;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use scheduler::Delta;
use shared::ids::{Digest32, JobId, ShardIndex, WorkerId};
use shared::wire::ShardResult;
use tokio::sync::oneshot;

use super::{
    Binding, Done, EndedJobs, InviteLink, InviteRecord, LinkedInvite, NewInvite, NewJob,
    RecordedInvite, Store, StoreError, StoreFuture, StoredJob, UnfinishedJob,
};
use read::Readers;
use writer::{Reply, Write};

const DATABASE: &str = "cluster.db";
const LOCK: &str = "lock";
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
    /// The file is not what was written.
    #[error(
        "the database {DATABASE} in the data folder is damaged; restore a backup, or set DATA_DIR to another folder"
    )]
    Damaged,
    /// Anything else that SQLite says.
    #[error("cannot open the database {DATABASE} in the data folder: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match classify(&error) {
            StoreError::Damaged => Self::Damaged,
            StoreError::Full
            | StoreError::Locked
            | StoreError::Disk
            | StoreError::Slow
            | StoreError::Gap { .. }
            | StoreError::JobNotOpen
            | StoreError::Closed
            | StoreError::Failed => Self::Sqlite(error),
        }
    }
}

/// A database that is open.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    writes: mpsc::Sender<Write>,
    readers: Readers,
    /// Held so that no other server opens the folder.
    _lock: File,
}

impl SqliteStore {
    /// Opens the database of a data folder, making what is missing (folder 0700, files 0600) and
    /// bringing its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]; a damaged or foreign file is left as it is.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, OpenError> {
        make_private_folder(data_dir).map_err(|cause| OpenError::Folder {
            path: data_dir.into(),
            cause,
        })?;
        let lock = lock(data_dir)?;
        let path = data_dir.join(DATABASE);
        private_file(&path).map_err(|cause| OpenError::Folder {
            path: data_dir.into(),
            cause,
        })?;
        let mut connection = connect(&path)?;
        schema::migrate(&mut connection)?;
        Ok(Self {
            writes: writer::start(connection),
            readers: Readers::new(path),
            _lock: lock,
        })
    }

    fn write<T: Send + 'static>(&self, write: impl FnOnce(Reply<T>) -> Write) -> StoreFuture<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.writes.send(write(reply));
        Box::pin(async move {
            sent.map_err(|_| StoreError::Closed)?;
            answer.await.unwrap_or(Err(StoreError::Closed))
        })
    }
}

impl Store for SqliteStore {
    fn insert_job(&self, job: NewJob) -> StoreFuture<()> {
        let job = Box::new(job);
        self.write(|reply| Write::InsertJob { job, reply })
    }

    fn persist(&self, delta: Box<Delta>, done: Done) {
        if let Err(mpsc::SendError(Write::Persist { done, .. })) =
            self.writes.send(Write::Persist { delta, done })
        {
            done(Err(StoreError::Closed));
        }
    }

    fn job(&self, job: JobId) -> StoreFuture<Option<StoredJob>> {
        self.readers
            .read(move |connection| read::job(connection, job))
    }

    fn rows(&self, job: JobId, from: ShardIndex) -> StoreFuture<Vec<(ShardIndex, ShardResult)>> {
        self.readers
            .read(move |connection| read::rows(connection, job, from))
    }

    fn unfinished_jobs(&self) -> StoreFuture<Vec<UnfinishedJob>> {
        self.readers.read(read::unfinished_jobs)
    }

    fn ended_jobs(&self, newest: usize) -> StoreFuture<EndedJobs> {
        self.readers
            .read(move |connection| read::ended_jobs(connection, newest))
    }

    fn bind_worker(&self, worker: WorkerId, secret: Digest32) -> StoreFuture<Binding> {
        let known = {
            let worker = worker.clone();
            self.readers
                .read(move |connection| read::worker_secret(connection, &worker))
        };
        let bind = {
            let writes = self.writes.clone();
            move || {
                let (reply, answer) = oneshot::channel();
                let write = Write::BindWorker {
                    worker,
                    secret,
                    reply,
                };
                writes.send(write).map(|()| answer)
            }
        };
        Box::pin(async move {
            match known.await? {
                Some(known) if known == secret => Ok(Binding::Own),
                Some(_) => Ok(Binding::Foreign),
                None => {
                    let answer = bind().map_err(|_| StoreError::Closed)?;
                    answer.await.unwrap_or(Err(StoreError::Closed))
                }
            }
        })
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

    fn close(&self) -> StoreFuture<()> {
        self.write(|reply| Write::Close { reply })
    }
}

/// Makes a folder, and those above it, that only its owner can look into.
pub(crate) fn make_private_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Takes the folder for this process, as long as the file lives.
pub(crate) fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let folder = |cause| OpenError::Folder {
        path: data_dir.into(),
        cause,
    };
    let file = private_file(&data_dir.join(LOCK)).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.into())),
        Err(TryLockError::Error(cause)) => Err(folder(cause)),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
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
