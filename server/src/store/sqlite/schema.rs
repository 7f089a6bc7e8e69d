//! The schema and its versions. A migration is never changed once it was released.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Marks our files: "clus" in ASCII.
const APPLICATION_ID: i32 = 0x636c_7573;

/// Version `n` is reached by the first `n` of these.
const MIGRATIONS: &[&str] = &[
    "
    -- What was submitted; never changed.
    CREATE TABLE jobs (
        id         BLOB PRIMARY KEY NOT NULL,
        created_ms INTEGER NOT NULL,
        spec       BLOB NOT NULL            -- a version byte, then postcard
    ) STRICT;

    -- The sum of a job's deltas but for the completed shards. Apart from `jobs`, so that a commit
    -- does not rewrite code and args.
    CREATE TABLE job_states (
        job           BLOB PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        updated_ms    INTEGER NOT NULL,
        seq           INTEGER NOT NULL,
        high_water    INTEGER NOT NULL,
        completed     INTEGER NOT NULL,
        failed_shards INTEGER NOT NULL,
        reducer_state BLOB,                 -- a version byte, then postcard
        outcome       INTEGER,              -- NULL: none yet; 1 single, 2 reduced, 3 failed
        result        BLOB,                 -- of outcome 1: a version byte, then postcard
        error         TEXT                  -- of outcome 3
    ) STRICT;
    CREATE INDEX unfinished_jobs ON job_states (job) WHERE outcome IS NULL;

    -- Completed shards of unfinished jobs: the union of all rows. Compaction makes one of many.
    CREATE TABLE job_completed (
        job    BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        seq    INTEGER NOT NULL,
        ranges BLOB NOT NULL,
        PRIMARY KEY (job, seq)
    ) STRICT, WITHOUT ROWID;

    -- Which secret a worker id belongs to.
    CREATE TABLE workers (
        id            TEXT PRIMARY KEY NOT NULL,
        secret_digest BLOB NOT NULL,
        first_seen_ms INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE invites (
        serial      INTEGER PRIMARY KEY AUTOINCREMENT,
        jti         TEXT NOT NULL UNIQUE,
        issued_sec  INTEGER NOT NULL,
        expires_sec INTEGER NOT NULL,
        label       TEXT
    ) STRICT;
    ",
    "
    -- Links: the token they lead to, a short code, a phrase with hyphens.
    ALTER TABLE invites ADD COLUMN token TEXT;
    ALTER TABLE invites ADD COLUMN code TEXT;
    ALTER TABLE invites ADD COLUMN phrase TEXT;
    CREATE UNIQUE INDEX invite_codes ON invites (code);
    CREATE UNIQUE INDEX invite_phrases ON invites (phrase);
    CREATE INDEX invite_expiries ON invites (expires_sec);
    ",
    "
    -- What the shards of `collect` jobs returned.
    CREATE TABLE job_rows (
        job    BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        shard  INTEGER NOT NULL,
        result BLOB NOT NULL,               -- a version byte, then postcard
        PRIMARY KEY (job, shard)
    ) STRICT, WITHOUT ROWID;
    ",
    "
    -- 1: no shard is handed out until the owner wants it. An outcome 4 is a job that was cancelled.
    ALTER TABLE job_states ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
    ",
    "
    -- Says by itself how many jobs have ended and how, and which did so last.
    CREATE INDEX ended_jobs ON job_states (updated_ms, outcome, completed) WHERE outcome IS NOT NULL;
    ",
    "
    -- 1: what belongs to the job is to be deleted. An outcome 5 is a job that was removed: nobody knows
    -- it any more.
    ALTER TABLE job_states ADD COLUMN sweep INTEGER NOT NULL DEFAULT 0;
    UPDATE job_states SET sweep = 1
        WHERE outcome IN (3, 4) AND EXISTS (SELECT 1 FROM job_rows r WHERE r.job = job_states.job);
    CREATE INDEX swept_jobs ON job_states (job) WHERE sweep = 1;

    -- When a worker was here last, about; those who stay away longest are forgotten first.
    ALTER TABLE workers ADD COLUMN last_seen_ms INTEGER NOT NULL DEFAULT 0;
    UPDATE workers SET last_seen_ms = first_seen_ms;
    CREATE INDEX worker_visits ON workers (last_seen_ms);
    ",
    "
    -- Shards that failed and were left out of the result: the union of all rows. From here on the
    -- version of a script's spec may be 2.
    CREATE TABLE job_skipped (
        job    BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        seq    INTEGER NOT NULL,
        ranges BLOB NOT NULL,
        PRIMARY KEY (job, seq)
    ) STRICT, WITHOUT ROWID;
    ",
    "
    -- NULL: any number of workers.
    ALTER TABLE invites ADD COLUMN max_uses INTEGER;
    CREATE TABLE invite_uses (
        jti    TEXT NOT NULL REFERENCES invites (jti) ON DELETE CASCADE,
        worker TEXT NOT NULL,
        PRIMARY KEY (jti, worker)
    ) STRICT, WITHOUT ROWID;

    -- What operators have ordered, until no token is left that it could concern.
    CREATE TABLE revoked_invites (
        jti      TEXT PRIMARY KEY NOT NULL,
        until_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE session_orders (
        session  BLOB PRIMARY KEY NOT NULL,
        state    INTEGER NOT NULL,          -- 1 draining, 2 ended
        until_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE workers ADD COLUMN banned_ms INTEGER;
    CREATE INDEX banned_workers ON workers (secret_digest) WHERE banned_ms IS NOT NULL;
    ",
    "
    -- Clocks of the server that go on whatever the wall clock does, as they were noted last.
    CREATE TABLE own_times (
        id         INTEGER PRIMARY KEY CHECK (id = 1),
        running_ms INTEGER NOT NULL,
        signing_ms INTEGER NOT NULL
    ) STRICT;

    -- When a job ended, by the running time, which says how long its result is kept.
    ALTER TABLE job_states ADD COLUMN ended_ms INTEGER;
    UPDATE job_states SET ended_ms = updated_ms WHERE outcome IS NOT NULL;
    CREATE INDEX kept_jobs ON job_states (ended_ms) WHERE outcome IS NOT NULL;
    ",
];

/// Brings a database to the newest version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = version(&transaction)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    transaction.commit()?;
    Ok(())
}

/// The version of a database, 0 for an empty one; at most that of this program.
///
/// # Errors
/// It is newer, or belongs to another program.
pub(super) fn version(connection: &Connection) -> Result<usize, OpenError> {
    check_owner(connection)?;
    let found = usize::try_from(pragma(connection, "user_version")?).unwrap_or(usize::MAX);
    let known = MIGRATIONS.len();
    if found <= known {
        Ok(found)
    } else {
        Err(OpenError::Newer { found, known })
    }
}

/// Refuses the database of another program.
fn check_owner(connection: &Connection) -> Result<(), OpenError> {
    let id = pragma(connection, "application_id")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if id == i64::from(APPLICATION_ID) || (id == 0 && tables == 0) {
        Ok(())
    } else {
        Err(OpenError::Foreign)
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let newer = MIGRATIONS.len() as u32 + 1;
        connection
            .pragma_update(None, "user_version", newer)
            .unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(OpenError::Newer { .. })
        ));
    }

    #[test]
    fn what_an_older_program_wrote_is_kept() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let sql = "INSERT INTO invites (jti, issued_sec, expires_sec) VALUES ('old', 1, 2)";
        connection.execute_batch(sql).unwrap();
        migrate(&mut connection).unwrap();
        let kept = connection.query_row("SELECT jti FROM invites", (), |row| row.get(0));
        assert_eq!(kept, Ok("old".to_owned()));
    }

    #[test]
    fn the_database_of_another_program_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&mut connection), Err(OpenError::Foreign)));
    }
}
