//! How the shards of a job are treated: whose turn it is, and what becomes of those that fail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JobRequestError;
use super::request::{Fields, given, meaning};

/// What the owner of a job wants of the scheduler. Its postcard encoding is stored, as the end of
/// that of a job: fields are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Jobs get turns in proportion to it.
    pub priority: Priority,
    /// What becomes of a shard that failed on every try.
    pub on_shard_error: OnShardError,
    /// A shard that takes far longer than the others gets a second worker.
    pub speculation: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            priority: Priority::default(),
            on_shard_error: OnShardError::default(),
            speculation: true,
        }
    }
}

/// A weight from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Priority(u8);

impl Priority {
    /// The largest.
    pub const MAX: u8 = 100;

    /// `None` for 0 and for more than [`Self::MAX`].
    pub const fn new(weight: u8) -> Option<Self> {
        match weight {
            1..=Self::MAX => Some(Self(weight)),
            _ => None,
        }
    }

    /// 1 to 100.
    pub const fn weight(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(1)
    }
}

/// What becomes of a shard whose every run says `ok: false`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnShardError {
    /// Its last result is folded like any other.
    #[default]
    Fold,
    /// The job fails.
    Fail,
    /// It is left out, and the result says so.
    Skip,
}

/// Reads the members `priority`, `onShardError` and `speculation`.
pub(super) fn parse(fields: &Fields) -> Result<Policy, JobRequestError> {
    let choices = [
        ("fold", OnShardError::Fold),
        ("fail", OnShardError::Fail),
        ("skip", OnShardError::Skip),
    ];
    let chosen = given(fields, "onShardError");
    Ok(Policy {
        priority: parse_priority(given(fields, "priority"))?,
        on_shard_error: meaning(chosen, &choices, JobRequestError::OnShardError)?
            .unwrap_or_default(),
        speculation: match given(fields, "speculation") {
            None => true,
            Some(value) => value.as_bool().ok_or(JobRequestError::Speculation)?,
        },
    })
}

fn parse_priority(value: Option<&Value>) -> Result<Priority, JobRequestError> {
    let Some(value) = value else {
        return Ok(Priority::default());
    };
    value
        .as_f64()
        .filter(|number| number.fract() == 0.0 && (1.0..=f64::from(Priority::MAX)).contains(number))
        .and_then(|number| Priority::new(number as u8))
        .ok_or(JobRequestError::Priority)
}
