use rusqlite::Connection;
use tempfile::TempDir;

use super::super::tests::open_and_close;
use super::super::{backup, restore};
use super::*;

const BEGAN: &str = "2026-01-02T030405.000Z";

/// A data folder with a database, and a backup beside it that says something else.
struct Home {
    folder: TempDir,
    backup: PathBuf,
}

impl Home {
    /// What the database says is committed, but not yet in its file.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Self {
            backup: folder.path().join("backup.db"),
            folder,
        };
        home.open().unwrap();
        say(&home.database(), "backed up");
        backup(&home.data(), &home.backup, false).unwrap();
        // Of a server that was killed: nobody has closed the database.
        let live = Connection::open(home.database()).unwrap();
        live.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        live.execute_batch("UPDATE said SET text = 'replaced'")
            .unwrap();
        let killed = home.folder.path().join("killed");
        std::fs::create_dir(&killed).unwrap();
        for entry in std::fs::read_dir(home.data()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), killed.join(entry.file_name())).unwrap();
        }
        drop(live);
        std::fs::remove_dir_all(home.data()).unwrap();
        std::fs::rename(killed, home.data()).unwrap();
        assert!(folder::wal(&home.database()).metadata().unwrap().len() > 0);
        home
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join(DATABASE)
    }

    fn open(&self) -> Result<(), OpenError> {
        open_and_close(&self.data())
    }

    /// A restoration of which so many steps are done.
    fn cut_short(&self, steps_done: usize) {
        let draft = folder::restoring(&self.data()).unwrap();
        std::fs::copy(&self.backup, draft.path()).unwrap();
        let (_, draft) = draft.keep().unwrap();
        let steps = steps(&self.data(), draft, BEGAN, BEGAN);
        for step in &steps[..steps_done] {
            step.take().unwrap();
        }
    }

    /// What each database says that was set aside.
    fn kept(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_kept = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("cluster-replaced-") && name.ends_with(".db")
        };
        paths.filter(is_kept).map(|path| said(&path)).collect()
    }
}

fn say(database: &Path, text: &str) {
    let connection = Connection::open(database).unwrap();
    let table = "CREATE TABLE IF NOT EXISTS said (text); DELETE FROM said";
    connection.execute_batch(table).unwrap();
    connection
        .execute("INSERT INTO said VALUES (?1)", (text,))
        .unwrap();
}

fn said(database: &Path) -> String {
    let connection = Connection::open(database).unwrap();
    connection
        .query_row("SELECT text FROM said", (), |row| row.get(0))
        .unwrap()
}

#[test]
fn a_restoration_can_be_cut_short_after_every_step_and_done_again() {
    const STEPS: usize = 6;
    for cut in 0..=STEPS {
        let home = Home::new();
        home.cut_short(cut);
        let restored = restore(&home.data(), &home.backup).unwrap();
        assert!(restored.replaced.is_some(), "{cut}");
        assert_eq!(said(&home.database()), "backed up", "{cut}");
        let mut kept = home.kept();
        kept.sort();
        let expected: &[&str] = if cut == STEPS {
            &["backed up", "replaced"]
        } else {
            &["replaced"]
        };
        assert_eq!(kept, expected, "{cut}");
        home.open().unwrap();
    }
}

#[test]
fn what_is_half_restored_is_neither_opened_nor_backed_up() {
    for cut in 0..=6 {
        let home = Home::new();
        home.cut_short(cut);
        let copy = home.folder.path().join("copy.db");
        let copied = backup(&home.data(), &copy, false);
        if (2..6).contains(&cut) {
            let opened = home.open();
            assert!(matches!(opened, Err(OpenError::HalfRestored)), "{opened:?}");
            assert!(copied.is_err() && !copy.exists(), "{cut}");
        } else {
            home.open().unwrap();
            copied.unwrap();
            let is_in_place = cut == 6;
            let expected = if is_in_place { "backed up" } else { "replaced" };
            assert_eq!(said(&home.database()), expected, "{cut}");
        }
    }
}

#[test]
fn what_is_left_of_a_database_that_is_gone_is_kept_from_the_one_in_its_place() {
    let home = Home::new();
    std::fs::remove_file(home.database()).unwrap();
    let restored = restore(&home.data(), &home.backup).unwrap();
    assert!(restored.replaced.is_none());
    assert_eq!(said(&home.database()), "backed up");
    assert!(!folder::wal(&home.database()).exists());
    home.open().unwrap();
}

#[test]
fn what_was_put_there_by_hand_meanwhile_is_kept_apart() {
    let home = Home::new();
    home.cut_short(5);
    std::fs::copy(&home.backup, home.database()).unwrap();
    say(&home.database(), "by hand");
    restore(&home.data(), &home.backup).unwrap();
    let mut kept = home.kept();
    kept.sort();
    assert_eq!(kept, ["by hand", "replaced"]);
    home.open().unwrap();
}

#[test]
fn what_is_left_of_a_restoration_is_not_restored_over_itself() {
    let home = Home::new();
    home.cut_short(0);
    let left = home.data().join("cluster.db.restoring");
    let refused = restore(&home.data(), &left);
    assert!(matches!(refused, Err(super::super::CopyError::Draft(_))));
    assert_eq!(said(&left), "backed up");
}
