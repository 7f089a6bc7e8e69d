//! Values in columns: a version byte, then postcard.
//!
//! A type that changes gets another version, and `decode` goes on reading the earlier ones.

use rusqlite::Error;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 1;

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("stored values have no unserialisable part")
}

/// Reads a value that `encode` wrote.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> rusqlite::Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(damaged),
        Some(_) | None => Err(damaged("unknown version of a stored value")),
    }
}

/// The error for a column that does not hold what it should.
pub(super) fn damaged(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    Error::FromSqlConversionFailure(0, Type::Blob, cause.into())
}
