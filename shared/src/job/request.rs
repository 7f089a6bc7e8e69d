//! Request bodies in, [`JobSpec`]s out.
//!
//! A member that is `null` counts as absent, except `args`, where it is a value. Unknown members
//! are ignored; members that stand for something which this server cannot do are not, or a client
//! would believe that it was done.

use serde_json::{Map, Value};

use super::{JobRequestError, JobSpec, Operands, RunJs, number, policy, reducer};
use crate::limits::MAX_ADD_OPERAND;
use crate::plan::{Plan, RandomMode, Sharding};

/// The members of an object.
pub(super) type Fields = Map<String, Value>;

/// What the operator has set for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// Bytes of code at most (`CUSTOM_JOB_MAX_CODE_BYTES`).
    pub max_code_bytes: usize,
    /// Bytes of args as compact JSON at most (`CUSTOM_JOB_MAX_ARGS_BYTES`).
    pub max_args_bytes: usize,
    /// Time limit in milliseconds where the request has none (`CUSTOM_JOB_DEFAULT_TIMEOUT_MS`).
    pub default_timeout_ms: u64,
    /// Bytes of rows that a `collect` job may keep (`JOB_MAX_COLLECT_BYTES`).
    pub max_collect_bytes: u64,
}

/// Reads the body of `POST /api/jobs`.
///
/// # Errors
/// [`JobRequestError`], whose text ends with what the operands must be.
pub fn parse_add(body: &Value) -> Result<JobSpec, JobRequestError> {
    let fields = body.as_object().ok_or(JobRequestError::AddNotAnObject)?;
    let operand = |name| match fields.get(name) {
        Some(Value::Number(number)) => number::from_number(number)
            .filter(|operand| operand.abs() <= MAX_ADD_OPERAND)
            .ok_or(JobRequestError::AddOperands),
        _ => Err(JobRequestError::AddOperands),
    };
    Ok(JobSpec::Add(Operands {
        a: operand("a")?,
        b: operand("b")?,
    }))
}

/// Reads the body of `POST /api/jobs/run-js`. `seed` is used where the request has none.
///
/// # Errors
/// [`JobRequestError`] for the first rule that is broken.
pub fn parse_run_js(
    body: &Value,
    limits: &JobLimits,
    seed: u64,
) -> Result<JobSpec, JobRequestError> {
    let fields = body.as_object().ok_or(JobRequestError::NotAnObject)?;
    let code = parse_code(fields, limits)?;
    let args = parse_args(fields, limits)?;
    let timeout_ms = parse_timeout(fields, limits)?;
    let plan = parse_plan(fields)?;
    let reducer = match plan {
        Plan::Single => None,
        Plan::Sharded(_) => {
            let reducer = given(fields, "reducer");
            Some(reducer::parse(reducer, limits.max_collect_bytes)?)
        }
    };
    refuse_unsupported(fields)?;
    Ok(JobSpec::RunJs(Box::new(RunJs {
        code,
        args,
        timeout_ms,
        plan,
        reducer,
        seed: parse_seed(fields)?.unwrap_or(seed),
        random: parse_random(fields)?,
        allow_downgrade: parse_allow_downgrade(fields)?,
        policy: policy::parse(fields)?,
    })))
}

/// A member that is there and not `null`.
pub(super) fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn parse_code(fields: &Fields, limits: &JobLimits) -> Result<String, JobRequestError> {
    let code = fields
        .get("code")
        .and_then(Value::as_str)
        .filter(|code| !code.is_empty())
        .ok_or(JobRequestError::CodeMissing)?;
    let max = limits.max_code_bytes;
    if code.len() > max {
        return Err(JobRequestError::CodeTooLong { max });
    }
    Ok(code.to_owned())
}

fn parse_args(fields: &Fields, limits: &JobLimits) -> Result<String, JobRequestError> {
    let args = fields
        .get("args")
        .map_or_else(|| "{}".to_owned(), Value::to_string);
    let max = limits.max_args_bytes;
    if args.len() > max {
        return Err(JobRequestError::ArgsTooLong { max });
    }
    Ok(args)
}

fn parse_timeout(fields: &Fields, limits: &JobLimits) -> Result<u64, JobRequestError> {
    let Some(timeout) = given(fields, "timeoutMs") else {
        return Ok(limits.default_timeout_ms);
    };
    let timeout = number::from_number_or_text(timeout).ok_or(JobRequestError::TimeoutNotInteger)?;
    u64::try_from(timeout).map_err(|_| JobRequestError::TimeoutNegative)
}

fn parse_plan(fields: &Fields) -> Result<Plan, JobRequestError> {
    let models = [("single", false), ("sharded", true)];
    let model = given(fields, "executionModel");
    match meaning(model, &models, JobRequestError::ExecutionModel)? {
        None | Some(false) => Ok(Plan::Single),
        Some(true) => parse_sharding(given(fields, "shardConfig")).map(Plan::Sharded),
    }
}

fn parse_sharding(config: Option<&Value>) -> Result<Sharding, JobRequestError> {
    let config = config
        .and_then(Value::as_object)
        .ok_or(JobRequestError::ShardConfigMissing)?;
    let units = |name| {
        config
            .get(name)
            .and_then(number::from_number_or_text)
            .and_then(|units| u64::try_from(units).ok())
            .filter(|&units| units > 0)
            .ok_or(JobRequestError::ShardConfig(name))
    };
    let total_units = units("totalUnits")?;
    let units_per_shard = units("unitsPerShard")?;
    Ok(Sharding::new(total_units, units_per_shard)
        .expect("both numbers are positive safe integers"))
}

fn parse_seed(fields: &Fields) -> Result<Option<u64>, JobRequestError> {
    let seed = match given(fields, "seed") {
        None => return Ok(None),
        Some(Value::Number(number)) => {
            number::from_number(number).and_then(|seed| u64::try_from(seed).ok())
        }
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        Some(_) => None,
    };
    seed.map(Some).ok_or(JobRequestError::Seed)
}

fn parse_random(fields: &Fields) -> Result<RandomMode, JobRequestError> {
    let modes = [
        ("seeded", RandomMode::Seeded),
        ("system", RandomMode::System),
    ];
    meaning(given(fields, "random"), &modes, JobRequestError::Random).map(Option::unwrap_or_default)
}

fn parse_allow_downgrade(fields: &Fields) -> Result<bool, JobRequestError> {
    given(fields, "allowDowngrade").map_or(Ok(true), |value| {
        value.as_bool().ok_or(JobRequestError::AllowDowngrade)
    })
}

/// What the text stands for, in any letter case; `None` where nothing is given.
pub(super) fn meaning<T: Copy>(
    value: Option<&Value>,
    meanings: &[(&str, T)],
    otherwise: JobRequestError,
) -> Result<Option<T>, JobRequestError> {
    let Some(value) = value else {
        return Ok(None);
    };
    meanings
        .iter()
        .find(|(text, _)| is_text(value, text))
        .map(|(_, meaning)| Some(*meaning))
        .ok_or(otherwise)
}

type IsDefault = fn(&Value) -> bool;

/// Additions that are described but not built, each with the value that asks for nothing special.
const UNSUPPORTED: [(&str, IsDefault); 2] = [
    ("redundancy", |value| is_text(value, "none")),
    ("tolerance", |value| value.as_f64() == Some(0.0)),
];

fn is_text(value: &Value, text: &str) -> bool {
    value
        .as_str()
        .is_some_and(|given| given.eq_ignore_ascii_case(text))
}

fn refuse_unsupported(fields: &Fields) -> Result<(), JobRequestError> {
    let refused = UNSUPPORTED
        .iter()
        .find(|(name, is_default)| given(fields, name).is_some_and(|value| !is_default(value)));
    match refused {
        Some((name, _)) => Err(JobRequestError::NotSupported(name)),
        None => Ok(()),
    }
}
