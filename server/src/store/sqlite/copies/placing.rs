//! How a restored database takes the place of another: a list of steps, each of which may be the last
//! that is done. Whoever begins anew finishes what was begun.
//!
//! From the first step to the last the copy has a name that says so and since when. As long as it
//! does, no server opens what is there, and what is set aside gets the same time in its names: so the
//! parts of a database never part, however often this is cut short. Not here: making the copy.

use std::io;
use std::path::{Path, PathBuf};

use shared::api::IsoTime;
use tempfile::NamedTempFile;

use crate::clock::Clock;
use crate::store::sqlite::OpenError;
use crate::store::sqlite::folder::{self, DATABASE};

/// A file gets another name, if it is there.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    from: PathBuf,
    to: PathBuf,
}

impl Step {
    fn take(&self) -> io::Result<()> {
        match std::fs::rename(&self.from, &self.to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) => Ok(()),
            Ok(()) => folder::sync_folder(&self.to),
        }
    }
}

/// Refuses a folder where a copy is about to take its place.
///
/// # Errors
/// [`OpenError`]: so it is, or the folder cannot be read.
pub(super) fn check_none_began(data_dir: &Path) -> Result<(), OpenError> {
    match folder::placing(data_dir) {
        Ok(Some(_)) => Err(OpenError::HalfRestored),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(folder::unusable(data_dir)(error))
        }
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Gives the draft the name of the database of a folder that is locked; the one that it replaces.
pub(super) fn put_in_place(data_dir: &Path, draft: NamedTempFile) -> io::Result<Option<PathBuf>> {
    draft.as_file().sync_all()?;
    let began = folder::placing(data_dir)?;
    let time = time(data_dir, began.as_deref());
    let (_, draft) = draft.keep().map_err(|error| error.error)?;
    for step in steps(data_dir, draft, began.as_deref().unwrap_or(&time), &time) {
        step.take()?;
    }
    let replaced = replaced(data_dir, &time);
    Ok(replaced.symlink_metadata().is_ok().then_some(replaced))
}

/// The time in the names: since when a copy is about to take its place, else from here on. What was
/// set aside as a whole keeps its names for itself.
fn time(data_dir: &Path, began: Option<&str>) -> String {
    let is_there = |path: PathBuf| path.symlink_metadata().is_ok();
    let is_taken =
        |began: &&str| is_there(replaced(data_dir, began)) && is_there(data_dir.join(DATABASE));
    let now = || IsoTime(Clock::start().wall()).to_string().replace(':', "");
    began
        .filter(|began| !is_taken(began))
        .map_or_else(now, Into::into)
}

/// What is committed but not yet in the database goes before it: where the database has gone, no part
/// of it is left.
fn steps(data_dir: &Path, draft: PathBuf, began: &str, time: &str) -> [Step; 6] {
    let database = data_dir.join(DATABASE);
    let placing = folder::placing_since(data_dir, time);
    let replaced = replaced(data_dir, time);
    let step = |from: PathBuf, to: PathBuf| Step { from, to };
    [
        step(folder::placing_since(data_dir, began), placing.clone()),
        step(draft, placing.clone()),
        step(folder::wal(&database), folder::wal(&replaced)),
        step(folder::wal_index(&database), folder::wal_index(&replaced)),
        step(database.clone(), replaced),
        step(placing, database),
    ]
}

fn replaced(data_dir: &Path, time: &str) -> PathBuf {
    data_dir.join(format!("cluster-replaced-{time}.db"))
}

#[cfg(test)]
mod tests;
