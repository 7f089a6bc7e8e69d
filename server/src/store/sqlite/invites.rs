//! Invites and the links to them. Here: writing one, inside a transaction, and finding them.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::store::{
    InviteLink, InviteRecord, InviteToken, LinkedInvite, ListedInvite, NewInvite, RecordedInvite,
};

/// Writes an invite; what has expired before it was made, and what is too much, goes.
pub(super) fn record(
    transaction: &Transaction<'_>,
    invite: &NewInvite,
) -> rusqlite::Result<RecordedInvite> {
    let record = &invite.record;
    transaction
        .prepare_cached("DELETE FROM invites WHERE expires_sec < ?1")?
        .execute((record.issued_at_sec,))?;
    let code = first_free(transaction, &invite.codes, InviteLink::Code)?;
    let phrase = first_free(transaction, &invite.phrases, InviteLink::Phrase)?;
    let sql = "INSERT INTO invites \
               (jti, issued_sec, expires_sec, label, token, code, phrase, max_uses) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    transaction.prepare_cached(sql)?.execute(params![
        record.jti,
        record.issued_at_sec,
        record.expires_at_sec,
        record.label,
        invite.token.0,
        code,
        phrase,
        record.max_uses,
    ])?;
    let serial = u64::try_from(transaction.last_insert_rowid()).unwrap_or_default();
    delete_oldest(transaction, invite.max_kept)?;
    Ok(RecordedInvite {
        serial,
        code,
        phrase,
    })
}

fn first_free(
    transaction: &Transaction<'_>,
    candidates: &[String],
    link: impl Fn(String) -> InviteLink,
) -> rusqlite::Result<Option<String>> {
    for candidate in candidates {
        if linked(transaction, &link(candidate.clone()))?.is_none() {
            return Ok(Some(candidate.clone()));
        }
    }
    Ok(None)
}

fn delete_oldest(transaction: &Transaction<'_>, max_kept: u64) -> rusqlite::Result<()> {
    let kept: u64 = transaction
        .prepare_cached("SELECT count(*) FROM invites")?
        .query_row((), |row| row.get(0))?;
    let sql = "DELETE FROM invites WHERE serial IN \
               (SELECT serial FROM invites ORDER BY serial LIMIT ?1)";
    transaction
        .prepare_cached(sql)?
        .execute((kept.saturating_sub(max_kept),))?;
    Ok(())
}

pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Option<(u64, InviteRecord)>> {
    let sql = "SELECT serial, jti, issued_sec, expires_sec, label, max_uses FROM invites \
               ORDER BY serial DESC LIMIT 1";
    connection
        .prepare_cached(sql)?
        .query_row((), |row| Ok((row.get("serial")?, invite_record(row)?)))
        .optional()
}

pub(super) fn list(connection: &Connection, most: usize) -> rusqlite::Result<Vec<ListedInvite>> {
    let sql = "SELECT jti, issued_sec, expires_sec, label, max_uses, code, phrase, \
               (SELECT count(*) FROM invite_uses u WHERE u.jti = i.jti) AS uses, \
               EXISTS (SELECT 1 FROM revoked_invites r WHERE r.jti = i.jti) AS revoked \
               FROM invites i ORDER BY serial DESC LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((most as i64,), |row| {
        Ok(ListedInvite {
            record: invite_record(row)?,
            uses: row.get("uses")?,
            is_revoked: row.get("revoked")?,
            code: row.get("code")?,
            phrase: row.get("phrase")?,
        })
    })?;
    rows.collect()
}

fn invite_record(row: &Row<'_>) -> rusqlite::Result<InviteRecord> {
    Ok(InviteRecord {
        jti: row.get("jti")?,
        issued_at_sec: row.get("issued_sec")?,
        expires_at_sec: row.get("expires_sec")?,
        label: row.get("label")?,
        max_uses: row.get("max_uses")?,
    })
}

pub(super) fn linked(
    connection: &Connection,
    link: &InviteLink,
) -> rusqlite::Result<Option<LinkedInvite>> {
    let (column, text) = match link {
        InviteLink::Code(code) => ("code", code),
        InviteLink::Phrase(phrase) => ("phrase", phrase),
    };
    connection
        .prepare_cached(&format!(
            "SELECT token, expires_sec FROM invites WHERE {column} = ?1"
        ))?
        .query_row((text,), |row| {
            Ok(LinkedInvite {
                token: InviteToken(row.get(0)?),
                expires_at_sec: row.get(1)?,
            })
        })
        .optional()
}
