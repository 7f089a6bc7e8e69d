//! What operators order about invites and workers, and how often invites are used. Here: one change,
//! inside a transaction, and what all of them add up to.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use shared::ids::{Digest32, SessionId, WorkerId};
use shared::time::UnixMillis;

use super::codec::damaged;
use crate::store::{MAX_ORDERS, Profile, SessionOrder, StoredOrders};

/// A table of orders, and its key.
type Table = (&'static str, &'static str);
const REVOKED: Table = ("revoked_invites", "jti");
const SESSIONS: Table = ("session_orders", "session");

/// `session_orders.state`.
/// The greater holds.
const DRAINING: i64 = 1;
const ENDED: i64 = 2;

/// A change.
#[derive(Debug)]
pub(super) enum Order {
    RevokeInvite {
        jti: String,
        until: UnixMillis,
    },
    Session {
        session: SessionId,
        order: SessionOrder,
        until: UnixMillis,
    },
    Ban(WorkerId),
    Unban(WorkerId),
}

/// What became of it, if the transaction commits.
#[derive(Debug)]
pub(super) enum Ordered {
    Revoked(bool),
    Noted,
    Profile(Option<Profile>),
}

impl Ordered {
    pub(super) fn revoked(self) -> Option<bool> {
        match self {
            Self::Revoked(is_known) => Some(is_known),
            Self::Noted | Self::Profile(_) => None,
        }
    }

    pub(super) fn noted(self) -> Option<()> {
        match self {
            Self::Noted => Some(()),
            Self::Revoked(_) | Self::Profile(_) => None,
        }
    }

    pub(super) fn profile(self) -> Option<Option<Profile>> {
        match self {
            Self::Profile(profile) => Some(profile),
            Self::Revoked(_) | Self::Noted => None,
        }
    }
}

impl Order {
    pub(super) fn apply(
        &self,
        transaction: &Transaction<'_>,
        now: UnixMillis,
    ) -> rusqlite::Result<Ordered> {
        match self {
            Self::RevokeInvite { jti, until } => {
                let is_known = revoke_invite(transaction, jti, *until)?;
                forget_excess(transaction, REVOKED)?;
                Ok(Ordered::Revoked(is_known))
            }
            Self::Session {
                session,
                order,
                until,
            } => {
                order_session(transaction, *session, *order, *until)?;
                forget_excess(transaction, SESSIONS)?;
                Ok(Ordered::Noted)
            }
            Self::Ban(worker) => ban(transaction, worker, Some(now)).map(Ordered::Profile),
            Self::Unban(worker) => ban(transaction, worker, None).map(Ordered::Profile),
        }
    }

    /// Whether it changes how many workers may be forgotten.
    pub(super) const fn is_about_bans(&self) -> bool {
        match self {
            Self::Ban(_) | Self::Unban(_) => true,
            Self::RevokeInvite { .. } | Self::Session { .. } => false,
        }
    }
}

/// What an invite is to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has let it in before.
    Used,
    /// It may.
    Free,
    /// It has let in as many others as it may.
    UsedUp,
    /// It is not known.
    Unknown,
}

/// Counts only where there is a limit.
pub(super) fn standing(
    connection: &Connection,
    jti: &str,
    worker: &WorkerId,
) -> rusqlite::Result<Standing> {
    let sql = "SELECT EXISTS (SELECT 1 FROM invite_uses u WHERE u.jti = i.jti AND u.worker = ?2), \
               max_uses IS NOT NULL AND \
               (SELECT count(*) FROM invite_uses u WHERE u.jti = i.jti) >= max_uses \
               FROM invites i WHERE jti = ?1";
    let found: Option<(bool, bool)> = connection
        .prepare_cached(sql)?
        .query_row(params![jti, worker.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        None => Standing::Unknown,
        Some((true, _)) => Standing::Used,
        Some((false, true)) => Standing::UsedUp,
        Some((false, false)) => Standing::Free,
    })
}

/// Remembers that an invite has let a worker in that it had not.
pub(super) fn note_use(
    transaction: &Transaction<'_>,
    jti: &str,
    worker: &WorkerId,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO invite_uses (jti, worker) VALUES (?1, ?2)")?
        .execute(params![jti, worker.as_str()])?;
    Ok(())
}

fn revoke_invite(
    transaction: &Transaction<'_>,
    jti: &str,
    until: UnixMillis,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO revoked_invites (jti, until_ms) \
               SELECT ?1, max(?2, coalesce((max(expires_sec) + 1) * 1000, 0)) FROM invites WHERE jti = ?1 \
               HAVING count(*) > 0 OR EXISTS (SELECT 1 FROM revoked_invites WHERE jti = ?1) \
               ON CONFLICT (jti) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)";
    let revoked = transaction
        .prepare_cached(sql)?
        .execute(params![jti, until.0])?;
    Ok(revoked > 0)
}

fn order_session(
    transaction: &Transaction<'_>,
    session: SessionId,
    order: SessionOrder,
    until: UnixMillis,
) -> rusqlite::Result<()> {
    let state = match order {
        SessionOrder::Drain => DRAINING,
        SessionOrder::End => ENDED,
    };
    let sql = "INSERT INTO session_orders (session, state, until_ms) VALUES (?1, ?2, ?3) \
               ON CONFLICT (session) DO UPDATE SET state = max(state, excluded.state), \
               until_ms = max(until_ms, excluded.until_ms)";
    transaction
        .prepare_cached(sql)?
        .execute(params![session.as_bytes(), state, until.0])?;
    Ok(())
}

/// Of too many orders those go that end first. No clock alone makes one go: it may be set back.
fn forget_excess(transaction: &Transaction<'_>, table: Table) -> rusqlite::Result<()> {
    let (name, key) = table;
    let sql = format!(
        "DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM {name} ORDER BY until_ms \
         LIMIT max(0, (SELECT count(*) FROM {name}) - ?1))"
    );
    transaction.prepare_cached(&sql)?.execute((MAX_ORDERS,))?;
    Ok(())
}

/// Bans every worker of the secret of `worker`, or lets all of them in again.
fn ban(
    transaction: &Transaction<'_>,
    worker: &WorkerId,
    since: Option<UnixMillis>,
) -> rusqlite::Result<Option<Profile>> {
    let Some(known) = super::read::worker(transaction, worker)? else {
        return Ok(None);
    };
    let sql = "UPDATE workers SET banned_ms = ?2 WHERE secret_digest = ?1 RETURNING id";
    let mut statement = transaction.prepare_cached(sql)?;
    let since = since.map(|since| since.0);
    let rows = statement.query_map(params![known.secret.as_bytes(), since], worker_id)?;
    let mut workers = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    workers.sort();
    Ok(Some(Profile {
        secret: known.secret,
        workers,
    }))
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<StoredOrders> {
    Ok(StoredOrders {
        revoked: revoked(connection)?,
        sessions: sessions(connection)?,
        banned: banned(connection)?,
    })
}

fn revoked(connection: &Connection) -> rusqlite::Result<Vec<(String, UnixMillis)>> {
    let sql = "SELECT jti, until_ms FROM revoked_invites ORDER BY jti";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, UnixMillis(row.get(1)?))))?;
    rows.collect()
}

fn sessions(
    connection: &Connection,
) -> rusqlite::Result<Vec<(SessionId, SessionOrder, UnixMillis)>> {
    let sql = "SELECT session, state, until_ms FROM session_orders ORDER BY session";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((), |row| {
        let order = match row.get(1)? {
            DRAINING => SessionOrder::Drain,
            ENDED => SessionOrder::End,
            _ => return Err(damaged("unknown order about a session")),
        };
        let session = SessionId::from_bytes(row.get(0)?);
        Ok((session, order, UnixMillis(row.get(2)?)))
    })?;
    rows.collect()
}

fn banned(connection: &Connection) -> rusqlite::Result<Vec<(WorkerId, Digest32)>> {
    let sql = "SELECT id, secret_digest FROM workers WHERE banned_ms IS NOT NULL ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((), |row| {
        Ok((worker_id(row)?, Digest32::from_bytes(row.get(1)?)))
    })?;
    rows.collect()
}

pub(super) fn worker_id(row: &Row<'_>) -> rusqlite::Result<WorkerId> {
    let id: String = row.get("id")?;
    id.parse().map_err(|_| damaged("not the id of a worker"))
}
