use std::sync::Arc;

use shared::ids::Digest32;
use tempfile::TempDir;

use super::*;
use crate::store::Store;
use crate::store::sqlite::{DATABASE, SqliteStore};

/// Where there are as many names as there may be, each of them here later than the one before.
struct Full {
    folder: TempDir,
    other: Connection,
}

impl Full {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(folder.path(), None, crate::store::nobody()).unwrap());
        let other = Connection::open(folder.path().join(DATABASE)).unwrap();
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_WORKERS}) \
             INSERT INTO workers (id, secret_digest, first_seen_ms, last_seen_ms) \
             SELECT printf('worker-%06d', i), zeroblob(32), i, i FROM n"
        );
        other.execute_batch(&sql).unwrap();
        Self { folder, other }
    }

    fn open(&self, is_here: IsHere) -> SqliteStore {
        SqliteStore::open(self.folder.path(), None, is_here).unwrap()
    }

    fn is_known(&self, worker: &WorkerId) -> bool {
        let sql = "SELECT 1 FROM workers WHERE id = ?1";
        let mut statement = self.other.prepare(sql).unwrap();
        statement.exists((worker.as_str(),)).unwrap()
    }

    fn count(&self) -> u64 {
        self.other
            .query_row("SELECT count(*) FROM workers", (), |row| row.get(0))
            .unwrap()
    }
}

fn name(number: u64) -> WorkerId {
    format!("worker-{number:06}").parse().unwrap()
}

fn newcomer(number: u64) -> Entry {
    Entry {
        worker: format!("newcomer-{number}").parse().unwrap(),
        secret: Digest32::of(b"own"),
        invite: None,
    }
}

#[tokio::test]
async fn of_too_many_workers_those_are_forgotten_that_stay_away_longest() {
    let full = Full::new();
    let store = full.open(crate::store::nobody());
    store.ban_worker(name(1)).await.unwrap().unwrap();
    let sql = "UPDATE workers SET banned_ms = NULL WHERE id <> 'worker-000001'";
    full.other.execute_batch(sql).unwrap();
    // The second was here long ago, but comes again; the third stays away.
    store.note_visits(vec![name(2)]).await.unwrap();
    for number in 0..2 {
        let admitted = store.admit_worker(newcomer(number)).await;
        assert_eq!(admitted, Ok(Admission::Noted));
    }
    let known = [1, 2, 3, 4].map(|number| full.is_known(&name(number)));
    assert_eq!(known, [true, true, false, true], "the banned one stays");
    assert_eq!(full.count(), MAX_WORKERS + 1);
}

#[tokio::test]
async fn who_is_here_is_never_forgotten_however_long_ago_it_came() {
    let full = Full::new();
    let here = [name(1), name(3)];
    let store = full.open(Arc::new(move |worker| here.contains(worker)));
    for number in 0..4 {
        let admitted = store.admit_worker(newcomer(number)).await;
        assert_eq!(admitted, Ok(Admission::Noted));
    }
    let known = [1, 2, 3, 4, 5, 6, 7].map(|number| full.is_known(&name(number)));
    assert_eq!(known, [true, false, true, false, false, false, true]);
    assert_eq!(full.count(), MAX_WORKERS);
}

#[tokio::test]
async fn where_very_many_are_here_names_are_forgotten_later() {
    let full = Full::new();
    let here = |worker: &WorkerId| worker.as_str() <= "worker-002000";
    let store = full.open(Arc::new(here));
    for number in 0..2 {
        let admitted = store.admit_worker(newcomer(number)).await;
        assert_eq!(admitted, Ok(Admission::Noted));
    }
    let counts = [full.count(), MAX_WORKERS];
    assert_eq!(counts[0], counts[1], "2,000 were passed over in two steps");
    assert!(full.is_known(&name(2000)) && !full.is_known(&name(2001)));
}

#[tokio::test]
async fn who_comes_again_after_long_is_noted() {
    let full = Full::new();
    let store = full.open(crate::store::nobody());
    let again = Entry {
        worker: name(1),
        secret: Digest32::from_bytes([0; 32]),
        invite: None,
    };
    assert_eq!(store.check_entry(again).await, Ok(Admission::Noted));
    store.close().await.unwrap();
    let sql = "SELECT last_seen_ms FROM workers WHERE id = 'worker-000001'";
    let last_seen: u64 = full.other.query_row(sql, (), |row| row.get(0)).unwrap();
    assert!(last_seen > MAX_WORKERS);
}
