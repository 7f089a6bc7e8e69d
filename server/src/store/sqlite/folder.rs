//! The data folder: its files, who may read them, who holds it, and what a missing database means.
//!
//! A database that is missing or empty where one was is never taken for a new one, nor is one that a
//! restoration was about to replace. Not here: the steps of a restoration (`copies`).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::NamedTempFile;

use super::{OpenError, schema};

pub(super) const DATABASE: &str = "cluster.db";
/// A restored database before it takes its place.
const RESTORING: &str = "cluster.db.restoring";
/// A restored database that is about to take its place; the time stands between them.
const PLACING: (&str, &str) = ("cluster-restoring-", ".db");
/// A new database before it takes its place.
const NEW: &str = "cluster.db.new";
pub(super) const LOCK: &str = "lock";
/// What stands in [`LOCK`] once a database was made.
const MADE: &[u8] = b"A database was made in this folder.\n";

/// Makes a folder, and those above it, that only its owner can look into.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Takes the folder for this process, as long as the file lives.
pub(crate) fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(data_dir.join(LOCK))
        .map_err(unusable(data_dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data_dir.into())),
        Err(TryLockError::Error(cause)) => Err(unusable(data_dir)(cause)),
    }
}

/// The error for a folder that cannot be used.
pub(super) fn unusable(data_dir: &Path) -> impl Fn(io::Error) -> OpenError {
    let path: PathBuf = data_dir.into();
    move |cause| OpenError::Folder {
        path: path.clone(),
        cause,
    }
}

/// Makes the database if there never was one; its path. `lock` is that of the folder.
pub(super) fn database(data_dir: &Path, lock: &File) -> Result<PathBuf, OpenError> {
    let path = find_or_create(data_dir, lock)?;
    note_made(lock).map_err(unusable(data_dir))?;
    Ok(path)
}

fn find_or_create(data_dir: &Path, lock: &File) -> Result<PathBuf, OpenError> {
    if placing(data_dir).map_err(unusable(data_dir))?.is_some() {
        return Err(OpenError::HalfRestored);
    }
    let path = data_dir.join(DATABASE);
    match path.metadata() {
        Ok(found) if found.len() > 0 => return Ok(path),
        Ok(_) => return Err(OpenError::Empty),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(unusable(data_dir)(error));
        }
        Err(_) => {}
    }
    let remains = [wal(&path), data_dir.join(RESTORING)];
    let was_made = lock.metadata().map_err(unusable(data_dir))?.len() > 0;
    if was_made || path.is_symlink() || remains.iter().any(|remains| remains.exists()) {
        return Err(OpenError::Missing);
    }
    create(data_dir, &path)?;
    Ok(path)
}

/// Makes a missing database known as missing, even where nothing else is left of it.
fn note_made(lock: &File) -> io::Result<()> {
    if lock.metadata()?.len() == 0 {
        lock.write_all_at(MADE, 0)?;
        lock.sync_all()?;
    }
    Ok(())
}

/// The file beside a database where SQLite keeps what is committed but not yet in it.
pub(super) fn wal(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// The index of [`wal`], which can be made of it.
pub(super) fn wal_index(database: &Path) -> PathBuf {
    beside(database, "-shm")
}

/// What SQLite has beside a database without [`wal`] while it writes.
pub(super) fn journal(database: &Path) -> PathBuf {
    beside(database, "-journal")
}

/// The name of a restored database that is about to take its place since `time`.
pub(super) fn placing_since(data_dir: &Path, time: &str) -> PathBuf {
    let (before, after) = PLACING;
    data_dir.join(format!("{before}{time}{after}"))
}

/// Since when a restored database is about to take its place, if one is.
pub(super) fn placing(data_dir: &Path) -> io::Result<Option<String>> {
    let (before, after) = PLACING;
    for entry in std::fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let time = name
            .to_str()
            .and_then(|name| name.strip_prefix(before)?.strip_suffix(after));
        if let Some(time) = time {
            return Ok(Some(time.to_owned()));
        }
    }
    Ok(None)
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a database that appears under its name only when it is whole, so that an empty file of this
/// name is never one that was about to be made.
fn create(data_dir: &Path, path: &Path) -> Result<(), OpenError> {
    let draft = draft(data_dir, NEW).map_err(unusable(data_dir))?;
    let mut connection = Connection::open(draft.path())?;
    schema::migrate(&mut connection)?;
    drop(connection);
    let published = || -> io::Result<()> {
        draft.as_file().sync_all()?;
        draft.persist_noclobber(path)?;
        sync_folder(path)
    };
    published().map_err(unusable(data_dir))
}

/// Whether a file is what [`restoring`] replaces.
pub(super) fn is_draft(data_dir: &Path, file: &Path) -> bool {
    let same = |draft: PathBuf| Some(file.canonicalize().ok()? == draft);
    let draft = data_dir.join(RESTORING).canonicalize().ok();
    draft.and_then(same).unwrap_or(false)
}

/// An empty file for a database that is going to be restored.
pub(super) fn restoring(data_dir: &Path) -> io::Result<NamedTempFile> {
    draft(data_dir, RESTORING)
}

/// An empty file for its owner alone, in the place of what an earlier attempt left there.
fn draft(data_dir: &Path, name: &str) -> io::Result<NamedTempFile> {
    let left = data_dir.join(name);
    for left in [journal(&left), left] {
        match std::fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
    }
    tempfile::Builder::new()
        .prefix(name)
        .rand_bytes(0)
        .tempfile_in(data_dir)
}

/// Makes names in the folder of `path` survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
