//! What a client may submit, and its validation: the same for server, command line and dashboard.
//!
//! Lives here: the job as it is stored, the rules of a request, the downgrade and the advice. Not
//! here: how shards are cut (`plan`) and folded (`reduce`), and what becomes of a job (scheduler).
//! A [`JobSpec`] is proof of its rules: nothing behind the API checks them again.

mod adjust;
mod number;
mod policy;
mod reducer;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use adjust::{Capacity, FanOut, advice, downgrade};
pub use policy::{OnShardError, Policy, Priority};
pub use request::{JobLimits, parse_add, parse_run_js};

use crate::limits::{MAX_ADD_OPERAND, MAX_REDUCER_KEYS};
use crate::plan::{Plan, RandomMode, Sharding};
use crate::reduce::{Reducer, ReducerKind};

/// A job as it was accepted. Its postcard encoding is stored: a variant is added at the end, and
/// the fields of a variant change only together with the store's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobSpec {
    /// Adds two integers.
    Add(Operands),
    /// Runs a script, once or in shards.
    RunJs(Box<RunJs>),
}

/// The operands of `add`, each at most [`MAX_ADD_OPERAND`] in magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operands {
    /// First operand.
    pub a: i64,
    /// Second operand.
    pub b: i64,
}

/// A script and everything that its run depends on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJs {
    /// The body of an async function of `args` and `console`.
    pub code: String,
    /// The args as compact JSON text.
    pub args: String,
    /// Time limit of one run in milliseconds; 0 for none.
    pub timeout_ms: u64,
    /// Once, or in shards.
    pub plan: Plan,
    /// How the shards' results are folded; `None` for a single run.
    pub reducer: Option<Reducer>,
    /// Seed of `Math.random`.
    pub seed: u64,
    /// Whether the seed is used.
    pub random: RandomMode,
    /// With too few slots a sharded job may become a single one.
    pub allow_downgrade: bool,
    /// How its shards are treated.
    pub policy: Policy,
}

impl JobSpec {
    /// How the job is cut.
    pub fn plan(&self) -> Plan {
        match self {
            Self::Add(_) => Plan::Single,
            Self::RunJs(run) => run.plan,
        }
    }

    /// How its shards are treated.
    pub fn policy(&self) -> Policy {
        match self {
            Self::Add(_) => Policy::default(),
            Self::RunJs(run) => run.policy,
        }
    }

    /// How its results are folded; `None` for `add` and single runs.
    pub fn reducer(&self) -> Option<&Reducer> {
        match self {
            Self::Add(_) => None,
            Self::RunJs(run) => run.reducer.as_ref(),
        }
    }
}

impl RunJs {
    /// How the script is cut; `None` for a single run.
    pub const fn sharding(&self) -> Option<Sharding> {
        match self.plan {
            Plan::Single => None,
            Plan::Sharded(sharding) => Some(sharding),
        }
    }

    /// Whether every result is kept, as a row of the store.
    pub fn keeps_rows(&self) -> bool {
        self.reducer.as_ref().is_some_and(Reducer::keeps_rows)
    }
}

impl fmt::Debug for RunJs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunJs")
            .field("code", &format_args!("[{} bytes]", self.code.len()))
            .field("args", &format_args!("[{} bytes]", self.args.len()))
            .field("timeout_ms", &self.timeout_ms)
            .field("plan", &self.plan)
            .field("reducer", &self.reducer)
            .field("seed", &self.seed)
            .field("random", &self.random)
            .field("allow_downgrade", &self.allow_downgrade)
            .field("policy", &self.policy)
            .finish()
    }
}

/// Why a request is refused, in the words that clients see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobRequestError {
    /// The body is no object.
    #[error("Body must be a JSON object.")]
    NotAnObject,
    /// The body of an `add` is no object.
    #[error("Body must be a JSON object. {}", Self::AddOperands)]
    AddNotAnObject,
    /// An operand is missing, no integer, or out of range.
    #[error("Fields 'a' and 'b' must be integers in [-{MAX_ADD_OPERAND}, {MAX_ADD_OPERAND}].")]
    AddOperands,
    /// No code.
    #[error("code must be a non-empty string.")]
    CodeMissing,
    /// Too much code.
    #[error("code exceeds max size ({max} bytes).")]
    CodeTooLong {
        /// Bytes of UTF-8 allowed.
        max: usize,
    },
    /// Too large args.
    #[error("args exceeds max size ({max} bytes).")]
    ArgsTooLong {
        /// Bytes of compact JSON allowed.
        max: usize,
    },
    /// The time limit is no integer, or none that JSON numbers carry exactly.
    #[error("timeoutMs must be a safe integer.")]
    TimeoutNotInteger,
    /// The time limit is negative.
    #[error("timeoutMs must be >= 0.")]
    TimeoutNegative,
    /// Neither of the two models.
    #[error("executionModel must be 'single' or 'sharded'.")]
    ExecutionModel,
    /// Sharded, but not told how.
    #[error("shardConfig is required for executionModel='sharded'.")]
    ShardConfigMissing,
    /// A number of `shardConfig` is missing, no integer, or not positive.
    #[error("shardConfig.{0} must be a positive integer.")]
    ShardConfig(&'static str),
    /// None of the four reducers.
    #[error("reducer.type must be one of: sum, collect, min, max.")]
    ReducerType,
    /// `sum` of nothing.
    #[error("sum reducer requires a non-empty fields array.")]
    SumFields,
    /// `sum` of more fields than a state may hold.
    #[error("sum reducer takes at most {MAX_REDUCER_KEYS} fields.")]
    TooManySumFields,
    /// `min` or `max` of nothing.
    #[error("{0} reducer requires reducer.field.")]
    ExtremeField(ReducerKind),
    /// No 64-bit number.
    #[error(
        "seed must be a safe integer >= 0 or a decimal string up to {}.",
        u64::MAX
    )]
    Seed,
    /// Neither of the two modes.
    #[error("random must be 'seeded' or 'system'.")]
    Random,
    /// No weight.
    #[error("priority must be an integer from 1 to {}.", Priority::MAX)]
    Priority,
    /// None of the three.
    #[error("onShardError must be 'fold', 'fail' or 'skip'.")]
    OnShardError,
    /// No boolean.
    #[error("speculation must be true or false.")]
    Speculation,
    /// No boolean.
    #[error("allowDowngrade must be true or false.")]
    AllowDowngrade,
    /// A described addition that this server does not have.
    #[error("{0} is not supported by this server.")]
    NotSupported(&'static str),
}
