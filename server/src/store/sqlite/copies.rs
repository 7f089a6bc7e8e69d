//! Backups: a copy of the database that is made while a server writes, and put back.
//!
//! A copy counts only once it was read again as a whole. Not here: where one may be written
//! (`target`), how one takes the place of the database (`placing`), and secrets, which are no part of
//! the database.

mod placing;
mod target;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use tempfile::{NamedTempFile, PersistError};

use super::folder::{self, DATABASE};
use super::{BUSY_TIMEOUT, OpenError, classify, schema};
use crate::store::StoreError;
use target::Target;

/// Why there is no copy. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Nothing to copy.
    #[error(
        "there is no database in the data folder {0}; set DATA_DIR (--data-dir) to that of the server"
    )]
    NoDatabase(PathBuf),
    /// Nothing to restore.
    #[error("there is no file {0}")]
    NoFile(PathBuf),
    /// The place is taken.
    #[error("{0} exists; choose another name, or replace it with --force")]
    Exists(PathBuf),
    /// It would take the place of what a server works with.
    #[error("{0} is in the data folder, or belongs to what is in it; choose a name elsewhere")]
    InDataFolder(PathBuf),
    /// Not even `--force` replaces it.
    #[error("{0} exists and is not a file; choose another name")]
    NotAFile(PathBuf),
    /// SQLite would take what is beside the copy for a part of it.
    #[error("{0} would be taken for a part of the backup; remove it, or choose another name")]
    Beside(PathBuf),
    /// Restoring begins with writing over it.
    #[error("{0} is what a restoration left that was cut short; restore the backup itself")]
    Draft(PathBuf),
    /// The file belongs to another program, or to none.
    #[error("{0} is not a database of this program")]
    Foreign(PathBuf),
    /// Written by a later version of this program.
    #[error("{path} has schema {found}, this program knows up to {known}; use the newer program")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// In the file.
        found: usize,
        /// Known here.
        known: usize,
    },
    /// The file is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// A name that SQLite cannot be told.
    #[error("the name {0} is not UTF-8; choose another")]
    Name(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot write {path}: {cause}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        cause: io::Error,
    },
    /// Anything else that SQLite says.
    #[error("cannot copy {from} to {to}: {cause}")]
    Copy {
        /// Where from.
        from: PathBuf,
        /// Where to.
        to: PathBuf,
        /// What went wrong.
        cause: rusqlite::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] OpenError),
}

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    schema: usize,
    jobs: u64,
    unfinished: u64,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            schema,
            jobs,
            unfinished,
        } = self;
        write!(
            f,
            "schema {schema}, jobs {jobs}, of which {unfinished} go on"
        )
    }
}

/// A backup that was made. Its text tells the operator so.
#[derive(Debug)]
pub struct Backup {
    file: PathBuf,
    content: Content,
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, content) = (self.file.display(), &self.content);
        writeln!(f, "Wrote {file}: {content}.")?;
        writeln!(
            f,
            "Secrets are not in it: keep those of the server as well."
        )
    }
}

/// A backup that is in place. Its text tells the operator so.
#[derive(Debug)]
pub struct Restored {
    file: PathBuf,
    content: Content,
    replaced: Option<PathBuf>,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, content) = (self.file.display(), &self.content);
        writeln!(f, "Restored {file}: {content}.")?;
        match &self.replaced {
            Some(replaced) => writeln!(f, "What was there is kept as {}.", replaced.display()),
            None => Ok(()),
        }
    }
}

/// Copies the database of a data folder, as it is at one moment, to a file for its owner alone. A
/// server may use the folder meanwhile; it does not wait.
///
/// # Errors
/// [`CopyError`]; `file` is then as it was.
pub fn backup(data_dir: &Path, file: &Path, force: bool) -> Result<Backup, CopyError> {
    let database = data_dir.join(DATABASE);
    placing::check_none_began(data_dir)?;
    if !database.exists() {
        return Err(CopyError::NoDatabase(data_dir.into()));
    }
    let target = Target::new(data_dir, file, force)?;
    let written = writing(file);
    let draft = target.draft().map_err(&written)?;
    let content = copy(&database, &draft, file)?;
    draft.as_file().sync_all().map_err(&written)?;
    if force {
        draft.persist(file).map_err(|error| written(error.error))?;
    } else {
        draft
            .persist_noclobber(file)
            .map_err(|PersistError { error, .. }| {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    CopyError::Exists(file.into())
                } else {
                    written(error)
                }
            })?;
    }
    folder::sync_folder(file).map_err(written)?;
    Ok(Backup {
        file: file.into(),
        content,
    })
}

/// Puts the copy in `file` in the place of the database of a data folder. What is there is kept beside
/// it, with the time in its name.
///
/// # Errors
/// [`CopyError`]; a server uses the folder, or the file is not fit. The database is then as it was.
/// Where the database cannot be put in place, the same can be done again.
pub fn restore(data_dir: &Path, file: &Path) -> Result<Restored, CopyError> {
    if !file.exists() {
        return Err(CopyError::NoFile(file.into()));
    }
    let unusable = folder::unusable(data_dir);
    folder::make_private_folder(data_dir).map_err(&unusable)?;
    let _lock = folder::lock(data_dir)?;
    if folder::is_draft(data_dir, file) {
        return Err(CopyError::Draft(file.into()));
    }
    let draft = folder::restoring(data_dir).map_err(&unusable)?;
    let content = copy(file, &draft, &data_dir.join(DATABASE))?;
    let replaced = placing::put_in_place(data_dir, draft).map_err(&unusable)?;
    Ok(Restored {
        file: file.into(),
        content,
        replaced,
    })
}

fn writing(path: &Path) -> impl Fn(io::Error) -> CopyError {
    move |cause| CopyError::Write {
        path: path.into(),
        cause,
    }
}

/// Copies a database as it is at one moment and reads the copy again. `to` is for the texts.
fn copy(from: &Path, draft: &NamedTempFile, to: &Path) -> Result<Content, CopyError> {
    let failed = |cause: rusqlite::Error| {
        if classify(&cause) == StoreError::Damaged {
            return damaged(from, cause);
        }
        CopyError::Copy {
            from: from.into(),
            to: to.into(),
            cause,
        }
    };
    let path = draft.path();
    let name = path.to_str().ok_or_else(|| CopyError::Name(path.into()))?;
    let source = open(from).map_err(failed)?;
    known_schema(&source, from)?;
    let written = source.execute("VACUUM INTO ?1", params![name]);
    drop(source);
    // It is there if the disk is full.
    let _ = std::fs::remove_file(folder::journal(path));
    written.map_err(failed)?;
    let copy = open(path).map_err(failed)?;
    check(&copy, from)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Reads a copy of `original` as a whole.
fn check(copy: &Connection, original: &Path) -> Result<Content, CopyError> {
    let schema = known_schema(copy, original)?;
    let found = || -> rusqlite::Result<_> {
        let verdict: String = copy.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
        let sql =
            "SELECT count(*), count(*) - count(outcome) FROM job_states WHERE outcome IS NOT 5";
        let (jobs, unfinished) = copy.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let content = Content {
            schema,
            jobs,
            unfinished,
        };
        Ok((verdict, content))
    };
    let (verdict, content) = found().map_err(|cause| damaged(original, cause))?;
    if verdict == "ok" {
        Ok(content)
    } else {
        Err(damaged(original, verdict))
    }
}

/// The schema of one of our databases.
fn known_schema(connection: &Connection, path: &Path) -> Result<usize, CopyError> {
    match schema::version(connection) {
        Ok(0) | Err(OpenError::Foreign) => Err(CopyError::Foreign(path.into())),
        Ok(version) => Ok(version),
        Err(OpenError::Newer { found, known }) => Err(CopyError::Newer {
            path: path.into(),
            found,
            known,
        }),
        Err(error) => Err(damaged(path, error)),
    }
}

fn damaged(path: &Path, what: impl fmt::Display) -> CopyError {
    CopyError::Damaged {
        path: path.into(),
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::sqlite::SqliteStore;

    /// What a server makes of a data folder that starts and stops.
    pub(super) fn open_and_close(data_dir: &Path) -> Result<(), OpenError> {
        let store = SqliteStore::open(data_dir, None, crate::store::nobody())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(store.close()).unwrap();
        Ok(())
    }
}
