//! Whether what is written is there at the next start: the files that were opened are still those of
//! the data folder, and nothing of them was found damaged.
//!
//! SQLite goes on with files that were unlinked or moved and reports each commit as done, and it finds
//! damage only where it reads. Not here: what the log and clients are told (`outage`).

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::ErrorCode;

use super::folder;
use crate::store::StoreError;

/// Why nothing may be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Adrift {
    /// The file is not there, or another is in its place.
    #[error("{path} is not the file that was opened")]
    Moved {
        /// Which file.
        path: PathBuf,
        /// It is the log, and the database itself is in its place.
        is_log: bool,
    },
    /// It cannot be told.
    #[error("cannot look for {path}: {cause}")]
    Hidden {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        cause: io::Error,
    },
    /// A page was read that is not what was written.
    #[error("a damaged page was read since the start")]
    Damaged,
}

impl Adrift {
    /// What it means for who waits for the store.
    pub(super) const fn kind(&self) -> StoreError {
        match self {
            Self::Moved { .. } => StoreError::Moved,
            Self::Hidden { .. } => StoreError::Disk,
            Self::Damaged => StoreError::Damaged,
        }
    }
}

/// The files of an open database.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The log comes last: where only that is gone, everything else is in place.
    files: [Watched; 3],
    is_damaged: AtomicBool,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl From<&Metadata> for Identity {
    fn from(found: &Metadata) -> Self {
        Self(found.dev(), found.ino())
    }
}

impl Anchor {
    /// The files of a folder whose database is open, with a write-ahead log.
    pub(super) fn of(data_dir: &Path) -> io::Result<Self> {
        let database = data_dir.join(folder::DATABASE);
        let wal = folder::wal(&database);
        let files = [
            Watched::find(database)?,
            Watched::find(data_dir.join(folder::LOCK))?,
            Watched::find(wal)?,
        ];
        Ok(Self {
            shared: Arc::new(Shared {
                files,
                is_damaged: AtomicBool::new(false),
            }),
        })
    }

    /// Asks the file system, which costs a microsecond or two.
    pub(super) fn check(&self) -> Result<(), Adrift> {
        if self.shared.is_damaged.load(Ordering::Relaxed) {
            return Err(Adrift::Damaged);
        }
        self.check_place()
    }

    /// The same, damage aside.
    pub(super) fn check_place(&self) -> Result<(), Adrift> {
        let [database, lock, log] = &self.shared.files;
        database.check(false)?;
        lock.check(false)?;
        log.check(true)
    }

    /// Takes note of an error of SQLite: one that says that a page is damaged holds until the end.
    pub(super) fn note(&self, error: &rusqlite::Error) {
        if let Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =
            error.sqlite_error_code()
        {
            self.shared.is_damaged.store(true, Ordering::Relaxed);
        }
    }
}

impl Watched {
    fn find(path: PathBuf) -> io::Result<Self> {
        let identity = (&path.metadata()?).into();
        Ok(Self { path, identity })
    }

    fn check(&self, is_log: bool) -> Result<(), Adrift> {
        let path = || self.path.clone();
        match self.path.metadata() {
            Ok(found) if Identity::from(&found) == self.identity => Ok(()),
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(Adrift::Hidden {
                path: path(),
                cause,
            }),
            Ok(_) | Err(_) => Err(Adrift::Moved {
                path: path(),
                is_log,
            }),
        }
    }
}
