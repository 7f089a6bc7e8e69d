//! Where a backup may be written: to no file that a server works with, and beside nothing that would
//! be taken for a part of it. Drafts that were left there by backups that were killed go.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::{CopyError, writing};
use crate::store::sqlite::folder::{self, DATABASE};

/// A backup before it gets its name; letters and digits follow.
const DRAFT: &str = ".cluster-backup-";
/// How many letters and digits.
const DRAFT_RANDOM: usize = 6;
/// A draft that nobody wrote to for so long is nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The place of a backup that may be written.
#[derive(Debug)]
pub(super) struct Target {
    folder: PathBuf,
}

impl Target {
    /// The place `file` for a backup of the database of a data folder. With `force` it may be in the
    /// place of a file.
    ///
    /// # Errors
    /// [`CopyError`]: it may not be written.
    pub(super) fn new(data_dir: &Path, file: &Path, force: bool) -> Result<Self, CopyError> {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(writing(file))?;
        let name = file
            .file_name()
            .ok_or_else(|| CopyError::NotAFile(file.into()))?;
        if is_of_server(data_dir, &folder, &folder.join(name)).map_err(writing(file))? {
            return Err(CopyError::InDataFolder(file.into()));
        }
        if let Ok(found) = file.symlink_metadata() {
            if !found.is_file() {
                return Err(CopyError::NotAFile(file.into()));
            }
            if !force {
                return Err(CopyError::Exists(file.into()));
            }
        }
        for part in [folder::wal(file), folder::journal(file)] {
            if part.symlink_metadata().is_ok() {
                return Err(CopyError::Beside(part));
            }
        }
        Ok(Self { folder })
    }

    /// An empty file beside the place, for its owner alone.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn draft(&self) -> io::Result<NamedTempFile> {
        remove_abandoned(&self.folder)?;
        tempfile::Builder::new()
            .prefix(DRAFT)
            .rand_bytes(DRAFT_RANDOM)
            .tempfile_in(&self.folder)
    }
}

/// Whether `path` in `folder`, both without links, is a file that a server works with, under
/// whatever name.
fn is_of_server(data_dir: &Path, folder: &Path, path: &Path) -> io::Result<bool> {
    let database = data_dir.join(DATABASE).canonicalize()?;
    let beside = [folder::wal(&database), folder::wal_index(&database)];
    if folder.starts_with(data_dir.canonicalize()?) || beside.iter().any(|it| it == path) {
        return Ok(true);
    }
    let Ok(found) = path.metadata() else {
        return Ok(false);
    };
    let same = |other: io::Result<Metadata>| {
        other.is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
    };
    for entry in data_dir.read_dir()? {
        if same(entry?.path().metadata()) {
            return Ok(true);
        }
    }
    Ok(beside.iter().any(|it| same(it.metadata())))
}

/// Removes the drafts of backups that were killed. What cannot be removed does not matter here.
fn remove_abandoned(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_draft) && entry.metadata().is_ok_and(is_abandoned) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Whether a name is that of a draft, or of what SQLite has beside one.
fn is_draft(name: &str) -> bool {
    let random = name
        .strip_prefix(DRAFT)
        .map(|rest| rest.strip_suffix("-journal").unwrap_or(rest));
    random.is_some_and(|random| {
        random.len() == DRAFT_RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn is_abandoned(found: Metadata) -> bool {
    let age = found.modified().ok().and_then(|at| at.elapsed().ok());
    found.is_file() && age.is_some_and(|age| age >= ABANDONED)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use tempfile::TempDir;

    use super::super::backup;
    use super::super::tests::open_and_close;
    use super::*;

    /// A folder with a database in `data`.
    fn home() -> TempDir {
        let home = tempfile::tempdir().unwrap();
        open_and_close(&home.path().join("data")).unwrap();
        home
    }

    fn refusal(home: &TempDir, name: &str) -> CopyError {
        let data = home.path().join("data");
        backup(&data, &home.path().join(name), true).unwrap_err()
    }

    #[test]
    fn what_a_server_works_with_is_never_replaced_under_whatever_name() {
        let home = home();
        let at = |name: &str| home.path().join(name);
        std::fs::write(at("data/secrets.env"), "secret").unwrap();
        symlink(at("data"), at("link")).unwrap();
        symlink(at("data/cluster.db"), at("symbolic.db")).unwrap();
        std::fs::hard_link(at("data/cluster.db"), at("hard.db")).unwrap();
        std::fs::hard_link(at("data/secrets.env"), at("hard.env")).unwrap();
        std::fs::create_dir(at("data/copies")).unwrap();
        for name in [
            "data/cluster.db",
            "data/cluster.db-wal",
            "data/secrets.env",
            "data/lock",
            "data/new.db",
            "data/copies/new.db",
            "data/../data/new.db",
            "link/new.db",
            "hard.db",
            "hard.env",
            "symbolic.db",
        ] {
            let refusal = refusal(&home, name);
            assert!(
                matches!(refusal, CopyError::InDataFolder(_)),
                "{name}: {refusal}"
            );
        }
        let secret = std::fs::read(at("data/secrets.env")).unwrap();
        assert_eq!(secret, b"secret");
        open_and_close(&at("data")).unwrap();
    }

    #[test]
    fn nor_are_the_files_of_a_database_that_is_elsewhere() {
        let home = home();
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir(at("disk")).unwrap();
        std::fs::rename(at("data/cluster.db"), at("disk/real.db")).unwrap();
        symlink(at("disk/real.db"), at("data/cluster.db")).unwrap();
        for name in ["disk/real.db", "disk/real.db-wal", "disk/real.db-shm"] {
            let refusal = refusal(&home, name);
            assert!(
                matches!(refusal, CopyError::InDataFolder(_)),
                "{name}: {refusal}"
            );
        }
        backup(&at("data"), &at("disk/copy.db"), false).unwrap();
    }

    #[test]
    fn only_files_are_replaced() {
        let home = home();
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "file").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["folder", "link", "dangling", "socket"] {
            let refusal = refusal(&home, name);
            assert!(
                matches!(refusal, CopyError::NotAFile(_)),
                "{name}: {refusal}"
            );
            assert!(at(name).symlink_metadata().is_ok());
        }
        let device = backup(&at("data"), Path::new("/dev/null"), true).unwrap_err();
        assert!(matches!(device, CopyError::NotAFile(_)), "{device}");
        backup(&at("data"), &at("file"), true).unwrap();
    }

    #[test]
    fn nothing_is_written_beside_what_would_be_taken_for_a_part_of_it() {
        let home = home();
        let wal = home.path().join("copy.db-wal");
        std::fs::write(&wal, "of another").unwrap();
        let refusal = refusal(&home, "copy.db");
        assert!(matches!(refusal, CopyError::Beside(_)), "{refusal}");
        assert!(!home.path().join("copy.db").exists());
        assert_eq!(std::fs::read(&wal).unwrap(), b"of another");
    }

    #[test]
    fn what_killed_backups_left_goes_with_the_next_and_nothing_else() {
        let home = home();
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        let gone = [".cluster-backup-aB3dE6", ".cluster-backup-aB3dE6-journal"];
        let kept = [
            ".cluster-backup-mine.db",
            ".cluster-backup-",
            "cluster-backup-aB3dE6",
        ];
        for name in gone.iter().chain(&kept) {
            let file = File::create(home.path().join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        let in_use = home.path().join(".cluster-backup-aaaaaa");
        std::fs::write(&in_use, "of a backup at work").unwrap();
        backup(
            &home.path().join("data"),
            &home.path().join("copy.db"),
            false,
        )
        .unwrap();
        for name in gone {
            assert!(!home.path().join(name).exists(), "{name}");
        }
        for name in kept {
            assert!(home.path().join(name).exists(), "{name}");
        }
        assert!(in_use.exists());
    }
}
