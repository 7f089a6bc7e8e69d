//! Names of workers: whose they are, who is let in under one, and which are forgotten where there are
//! too many.
//!
//! A name is stored with the use of the invite that lets its worker in, or not at all. Not here: bans
//! (`orders`).

use std::fmt;

use rusqlite::{Connection, Transaction, params};
use shared::ids::WorkerId;
use shared::time::UnixMillis;

use super::orders::{self, Standing};
use super::read::{self, KnownWorker};
use crate::store::{Admission, Entry, IsHere};

/// Names that are kept beside those that are banned.
pub(super) const MAX_WORKERS: u64 = 100_000;
/// Names of workers that are here that are passed over for one that is forgotten.
const MAX_PASSED: usize = 1024;

/// What the writer remembers of the names.
#[derive(Clone)]
pub(super) struct Names {
    is_here: IsHere,
    /// Those that are stored and not banned; `None` for not counted.
    count: Option<u64>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_here: _, count } = self;
        f.debug_struct("Names")
            .field("count", count)
            .finish_non_exhaustive()
    }
}

/// What would become of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    pub(super) admission: Admission,
    /// What is known of the name.
    known: Option<KnownWorker>,
    /// A use of the invite is to be noted.
    is_use: bool,
}

impl Outlook {
    /// Nothing is to be stored, but perhaps that the worker is here.
    pub(super) fn noted_since(&self) -> Option<UnixMillis> {
        let is_noted = self.admission == Admission::Noted;
        self.known.filter(|_| is_noted).map(|known| known.last_seen)
    }
}

/// What would become of an entry. Changes nothing.
pub(super) fn outlook(connection: &Connection, entry: &Entry) -> rusqlite::Result<Outlook> {
    let known = read::worker(connection, &entry.worker)?;
    let standing = standing(connection, entry)?;
    let is_foreign = known.is_some_and(|known| known.secret != entry.secret);
    let admission = match standing {
        _ if is_foreign => Admission::Foreign,
        Standing::Used if known.is_some() => Admission::Noted,
        Standing::Used | Standing::Free => Admission::Open,
        Standing::UsedUp => Admission::UsedUp,
        Standing::Unknown => Admission::Unknown,
    };
    Ok(Outlook {
        admission,
        known,
        is_use: standing == Standing::Free,
    })
}

/// An invite that is not known lets in whoever it likes: who made it may have lost its database. Where
/// it is for so many, nobody knows how many are left.
fn standing(connection: &Connection, entry: &Entry) -> rusqlite::Result<Standing> {
    let Some(invite) = &entry.invite else {
        return Ok(Standing::Used);
    };
    let standing = orders::standing(connection, &invite.jti, &entry.worker)?;
    let is_good = standing == Standing::Unknown && !invite.is_limited;
    Ok(if is_good { Standing::Used } else { standing })
}

impl Names {
    pub(super) const fn new(is_here: IsHere) -> Self {
        Self {
            is_here,
            count: None,
        }
    }

    /// Forgets how many there are.
    pub(super) const fn recount(&mut self) {
        self.count = None;
    }

    /// Lets a worker in under a name. `now` by the running time.
    pub(super) fn admit(
        &mut self,
        transaction: &Transaction<'_>,
        entry: &Entry,
        now: UnixMillis,
    ) -> rusqlite::Result<Admission> {
        let outlook = outlook(transaction, entry)?;
        match outlook.admission {
            Admission::Noted | Admission::Open => {}
            refused @ (Admission::Foreign | Admission::UsedUp | Admission::Unknown) => {
                return Ok(refused);
            }
        }
        if outlook.known.is_some() {
            note_visit(transaction, &entry.worker, now)?;
        } else {
            insert(transaction, entry, now)?;
            self.forget_excess(transaction, now)?;
        }
        if let Some(invite) = entry.invite.as_ref().filter(|_| outlook.is_use) {
            orders::note_use(transaction, &invite.jti, &entry.worker)?;
        }
        Ok(Admission::Noted)
    }

    /// After one more: forgets those who stay away longest, where there are too many. Who is banned
    /// stays, and so does who is here, which is noted.
    fn forget_excess(
        &mut self,
        transaction: &Transaction<'_>,
        now: UnixMillis,
    ) -> rusqlite::Result<()> {
        let count = match self.count {
            Some(count) => count + 1,
            None => {
                let sql = "SELECT count(*) FROM workers WHERE banned_ms IS NULL";
                transaction.query_row(sql, (), |row| row.get(0))?
            }
        };
        let excess = count.saturating_sub(MAX_WORKERS);
        let forgotten = match excess {
            0 => 0,
            excess => self.forget(transaction, excess, now)?,
        };
        self.count = Some(count - forgotten);
        Ok(())
    }

    /// Forgets so many, or fewer where very many are here; how many.
    fn forget(
        &self,
        transaction: &Transaction<'_>,
        excess: u64,
        now: UnixMillis,
    ) -> rusqlite::Result<u64> {
        let (mut away, mut here) = (Vec::new(), Vec::new());
        let sql = "SELECT id FROM workers WHERE banned_ms IS NULL ORDER BY last_seen_ms";
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query(())?;
        while (away.len() as u64) < excess
            && here.len() < MAX_PASSED
            && let Some(row) = rows.next()?
        {
            let worker = orders::worker_id(row)?;
            if (self.is_here)(&worker) {
                here.push(worker);
            } else {
                away.push(worker);
            }
        }
        drop(rows);
        for worker in &here {
            note_visit(transaction, worker, now)?;
        }
        for worker in &away {
            transaction
                .prepare_cached("DELETE FROM workers WHERE id = ?1")?
                .execute((worker.as_str(),))?;
        }
        Ok(away.len() as u64)
    }
}

/// Remembers that a worker was here at `now`, by the running time.
pub(super) fn note_visit(
    transaction: &Transaction<'_>,
    worker: &WorkerId,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE workers SET last_seen_ms = ?2 WHERE id = ?1")?
        .execute(params![worker.as_str(), now.0])?;
    Ok(())
}

fn insert(transaction: &Transaction<'_>, entry: &Entry, now: UnixMillis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO workers (id, secret_digest, first_seen_ms, last_seen_ms) \
               VALUES (?1, ?2, ?3, ?3)";
    transaction.prepare_cached(sql)?.execute(params![
        entry.worker.as_str(),
        entry.secret.as_bytes(),
        now.0
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests;
