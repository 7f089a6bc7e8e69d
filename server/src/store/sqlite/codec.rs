//! Values in columns: a version byte, then postcard.
//!
//! A type that changes gets another version, and `decode` goes on reading the earlier ones.

use rusqlite::Error;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::job::{JobSpec, Policy};

const VERSION: u8 = 1;

/// From this version on, the encoding of a script ends with its policy.
const SPEC_VERSION: u8 = 2;

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

pub(super) fn encode_spec(spec: &JobSpec) -> Vec<u8> {
    postcard::to_extend(spec, vec![SPEC_VERSION]).expect("a spec has no unserialisable part")
}

/// Reads a spec of any version.
pub(super) fn decode_spec(bytes: &[u8]) -> rusqlite::Result<JobSpec> {
    match bytes.split_first() {
        Some((&SPEC_VERSION, rest)) => postcard::from_bytes(rest).map_err(damaged),
        Some((&VERSION, rest)) => {
            let with_policy = postcard::to_extend(&Policy::default(), rest.to_vec());
            postcard::from_bytes(&with_policy.map_err(damaged)?).map_err(damaged)
        }
        Some(_) | None => Err(damaged("unknown version of a stored job")),
    }
}

/// The error for a column that does not hold what it should.
pub(super) fn damaged(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    Error::FromSqlConversionFailure(0, Type::Blob, cause.into())
}

#[cfg(test)]
mod tests {
    use shared::job::{JobLimits, parse_add, parse_run_js};

    use super::*;

    #[test]
    fn a_spec_of_before_policies_has_the_usual_one() {
        let limits = JobLimits {
            max_code_bytes: 100,
            max_args_bytes: 100,
            default_timeout_ms: 5,
            max_collect_bytes: 1,
        };
        let script = serde_json::json!({"code": "return 1"});
        let script = parse_run_js(&script, &limits, 7).unwrap();
        // What the first version wrote of the same script: tag, code, args, time limit, plan, no
        // reducer, seed, random, downgrade.
        let old = b"\x01\x01\x08return 1\x02{}\x05\x00\x00\x07\x00\x01";
        assert_eq!(decode_spec(old).unwrap(), script);
        assert_eq!(decode_spec(&encode_spec(&script)).unwrap(), script);

        let add = parse_add(&serde_json::json!({"a": 2, "b": -1})).unwrap();
        assert_eq!(decode_spec(b"\x01\x00\x04\x01").unwrap(), add);
        assert_eq!(decode_spec(&encode_spec(&add)).unwrap(), add);
    }
}
