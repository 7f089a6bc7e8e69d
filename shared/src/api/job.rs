//! Submitted jobs and their state.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{ReducedResult, ReducerView, RunEnvelope};
use crate::ids::JobId;
use crate::job::{JobSpec, OnShardError, Policy, RunJs};
use crate::plan::{Plan, RandomMode, Sharding};

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Not with a worker.
    Queued,
    /// With a worker; a sharded job from the start.
    Running,
    /// Ended with a result.
    Done,
    /// Ended without.
    Failed,
}

impl JobStatus {
    /// Of a job that has not ended; `is_running` says whether it is with a worker.
    pub const fn unfinished(plan: Plan, is_running: bool) -> Self {
        match plan {
            Plan::Single if !is_running => Self::Queued,
            Plan::Single | Plan::Sharded(_) => Self::Running,
        }
    }

    /// Whether it will not change any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Done | Self::Failed => true,
        }
    }
}

/// What its owner wants of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlState {
    /// Go on; a job that ended by itself keeps this.
    #[default]
    Running,
    /// Hand out no shard.
    Paused,
    /// Stopped; it has failed.
    Cancelled,
}

/// How a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionModel {
    /// Once, as a whole.
    Single,
    /// In shards.
    Sharded,
}

impl From<Plan> for ExecutionModel {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::Single => Self::Single,
            Plan::Sharded(_) => Self::Sharded,
        }
    }
}

/// Answer to an `add` job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddCreated {
    /// The job.
    #[serde(with = "super::text")]
    pub job_id: JobId,
    /// Queued, or running where a worker was free.
    pub status: JobStatus,
}

/// Answer to a `run_js` job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCreated {
    /// The job.
    #[serde(with = "super::text")]
    pub job_id: JobId,
    /// A sharded job is running from the start.
    pub status: JobStatus,
    /// Running.
    pub control_state: ControlState,
    /// What will really happen.
    pub execution_model: ExecutionModel,
    /// What the client should know: a downgrade, or an advice.
    pub note: Option<String>,
}

/// Answer to pausing, resuming or cancelling a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Controlled {
    /// Always true.
    pub ok: bool,
    /// The job.
    #[serde(with = "super::text")]
    pub job_id: JobId,
    /// What holds from here on.
    pub control_state: ControlState,
}

/// Answer to stopping everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Always true.
    pub ok: bool,
    /// Jobs that had not ended.
    pub stopped: u64,
}

/// State of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobState {
    /// The job.
    #[serde(with = "super::text")]
    pub job_id: JobId,
    /// How far it is.
    pub status: JobStatus,
    /// What its owner wants of it.
    pub control_state: ControlState,
    /// How it runs.
    pub execution_model: ExecutionModel,
    /// What it is.
    pub task: TaskView,
    /// Once it is done: an integer for `add`, a [`RunEnvelope`] for a single run, a
    /// [`ReducedResult`] for a sharded one.
    pub result: Option<Box<RawValue>>,
    /// Why it failed.
    pub error: Option<String>,
    /// What the shards completed so far amount to; only of a sharded job without a result, because
    /// it has not ended or has failed, and not of `collect` (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<ReducedResult>,
    /// Why it cannot go on at the moment (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

impl JobState {
    /// Whether it runs in shards.
    pub fn is_sharded(&self) -> bool {
        self.execution_model == ExecutionModel::Sharded
    }

    /// The result of a single run that is done.
    pub fn envelope(&self) -> Option<RunEnvelope> {
        serde_json::from_str(self.result.as_ref()?.get()).ok()
    }

    /// The result of a sharded job that is done.
    pub fn reduced(&self) -> Option<ReducedResult> {
        serde_json::from_str(self.result.as_ref()?.get()).ok()
    }
}

impl From<RunEnvelope> for Box<RawValue> {
    fn from(envelope: RunEnvelope) -> Self {
        to_raw_value(&envelope).expect("an envelope has no unserialisable part")
    }
}

impl From<ReducedResult> for Box<RawValue> {
    fn from(result: ReducedResult) -> Self {
        to_raw_value(&result).expect("a reduced result has no unserialisable part")
    }
}

/// What a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum TaskView {
    /// Adds two integers.
    Add {
        /// First operand.
        a: i64,
        /// Second operand.
        b: i64,
    },
    /// Runs a script.
    RunJs(Box<RunJsTask>),
}

/// Only for JSON. Derived code for a tagged enum carries a second deserialiser, which costs a page
/// kilobytes.
impl<'de> Deserialize<'de> for TaskView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Op {
            Add,
            RunJs,
        }
        #[derive(Deserialize)]
        struct Tag {
            op: Op,
        }
        #[derive(Deserialize)]
        struct Add {
            a: i64,
            b: i64,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Tag { op } = super::text::read(&text)?;
        Ok(match op {
            Op::Add => {
                let Add { a, b } = super::text::read(&text)?;
                Self::Add { a, b }
            }
            Op::RunJs => Self::RunJs(super::text::read(&text)?),
        })
    }
}

/// A script, without its code and args.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunJsTask {
    /// How it runs.
    pub execution_model: ExecutionModel,
    /// What its owner wants of it.
    pub control_state: ControlState,
    /// Time limit of one run in milliseconds; 0 for none.
    pub timeout_ms: u64,
    /// Bytes of code.
    pub code_bytes: usize,
    /// The args are not null.
    pub has_args: bool,
    /// How it is cut; only of sharded jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_config: Option<ShardConfig>,
    /// How it is folded; only of sharded jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reducer: Option<ReducerView>,
    /// How far its shards are; only of sharded jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<ShardCounts>,
    /// Seed of `Math.random` (addition).
    #[serde(with = "super::text")]
    pub seed: u64,
    /// `seeded` or `system` (addition).
    pub random: RandomView,
    /// Weight among the jobs, where it is not 1 (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// What becomes of shards that fail, where they are not folded (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_shard_error: Option<OnShardError>,
    /// False where stragglers get no second worker (addition).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculation: Option<bool>,
}

/// What `Math.random` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RandomView {
    /// Follows from the seed.
    Seeded,
    /// The browser's own.
    System,
}

impl From<RandomMode> for RandomView {
    fn from(mode: RandomMode) -> Self {
        match mode {
            RandomMode::Seeded => Self::Seeded,
            RandomMode::System => Self::System,
        }
    }
}

/// How a job is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardConfig {
    /// Units in all shards.
    pub total_units: u64,
    /// Units in every shard but perhaps the last.
    pub units_per_shard: u64,
    /// Number of shards.
    pub total_shards: u64,
}

impl From<Sharding> for ShardConfig {
    fn from(sharding: Sharding) -> Self {
        Self {
            total_units: sharding.total_units(),
            units_per_shard: sharding.units_per_shard(),
            total_shards: sharding.total_shards(),
        }
    }
}

/// How far the shards of a job are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCounts {
    /// All.
    pub total: u64,
    /// Folded, whatever their envelope says.
    pub completed: u64,
    /// Given up.
    pub failed: u64,
}

impl TaskView {
    /// What clients may see of a job. `completed` and `failed` count its shards.
    pub fn new(spec: &JobSpec, control_state: ControlState, completed: u64, failed: u64) -> Self {
        match spec {
            JobSpec::Add(operands) => Self::Add {
                a: operands.a,
                b: operands.b,
            },
            JobSpec::RunJs(run) => Self::RunJs(Box::new(RunJsTask::new(
                run,
                control_state,
                completed,
                failed,
            ))),
        }
    }
}

impl RunJsTask {
    fn new(run: &RunJs, control_state: ControlState, completed: u64, failed: u64) -> Self {
        let sharding = run.sharding();
        let Policy {
            priority,
            on_shard_error,
            speculation,
        } = run.policy;
        let usual = Policy::default();
        Self {
            execution_model: run.plan.into(),
            control_state,
            timeout_ms: run.timeout_ms,
            code_bytes: run.code.len(),
            has_args: run.args != "null",
            shard_config: sharding.map(ShardConfig::from),
            reducer: run.reducer.as_ref().map(ReducerView::from),
            shards: sharding.map(|sharding| ShardCounts {
                total: sharding.total_shards(),
                completed,
                failed,
            }),
            seed: run.seed,
            random: run.random.into(),
            priority: (priority != usual.priority).then(|| priority.weight()),
            on_shard_error: (on_shard_error != usual.on_shard_error).then_some(on_shard_error),
            speculation: (speculation != usual.speculation).then_some(speculation),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::job::{JobLimits, parse_add, parse_run_js};

    fn job_id() -> JobId {
        "0b1e0000-0000-4000-8000-000000000000".parse().unwrap()
    }

    fn spec(body: serde_json::Value) -> JobSpec {
        let limits = JobLimits {
            max_code_bytes: 1000,
            max_args_bytes: 1000,
            default_timeout_ms: 0,
            max_collect_bytes: 1 << 20,
        };
        parse_run_js(&body, &limits, u64::MAX).unwrap()
    }

    fn state(spec: &JobSpec, status: JobStatus) -> JobState {
        JobState {
            job_id: job_id(),
            status,
            control_state: ControlState::Running,
            execution_model: spec.plan().into(),
            task: TaskView::new(spec, ControlState::Running, 4, 1),
            result: None,
            error: None,
            partial: None,
            waiting: None,
        }
    }

    #[test]
    fn a_sharded_job_is_shown_as_documented() {
        let spec = spec(json!({
            "code": "return 1", "executionModel": "sharded",
            "shardConfig": {"totalUnits": 95, "unitsPerShard": 10},
        }));
        assert_eq!(
            serde_json::to_string(&state(&spec, JobStatus::Running)).unwrap(),
            concat!(
                r#"{"jobId":"0b1e0000-0000-4000-8000-000000000000","status":"running","#,
                r#""controlState":"running","executionModel":"sharded","#,
                r#""task":{"op":"run_js","executionModel":"sharded","controlState":"running","#,
                r#""timeoutMs":0,"codeBytes":8,"hasArgs":true,"#,
                r#""shardConfig":{"totalUnits":95,"unitsPerShard":10,"totalShards":10},"#,
                r#""reducer":{"type":"sum","fields":["hits","samples"]},"#,
                r#""shards":{"total":10,"completed":4,"failed":1},"#,
                r#""seed":"18446744073709551615","random":"seeded"},"#,
                r#""result":null,"error":null}"#
            )
        );
    }

    #[test]
    fn a_single_job_has_no_shards() {
        let spec = spec(json!({"code": "return 1", "args": null, "random": "system"}));
        let task = serde_json::to_value(TaskView::new(&spec, ControlState::Running, 0, 0)).unwrap();
        assert_eq!(
            task,
            json!({
                "op": "run_js", "executionModel": "single", "controlState": "running",
                "timeoutMs": 0, "codeBytes": 8, "hasArgs": false,
                "seed": "18446744073709551615", "random": "system",
            })
        );
    }

    #[test]
    fn an_add_job_shows_its_operands() {
        let spec = parse_add(&json!({"a": 2, "b": 40})).unwrap();
        let task = TaskView::new(&spec, ControlState::Running, 0, 0);
        assert_eq!(
            serde_json::to_string(&task).unwrap(),
            r#"{"op":"add","a":2,"b":40}"#
        );
    }

    #[test]
    fn answers_to_submissions_are_as_documented() {
        let created = JobCreated {
            job_id: job_id(),
            status: JobStatus::Queued,
            control_state: ControlState::Running,
            execution_model: ExecutionModel::Single,
            note: None,
        };
        assert_eq!(
            serde_json::to_string(&created).unwrap(),
            concat!(
                r#"{"jobId":"0b1e0000-0000-4000-8000-000000000000","status":"queued","#,
                r#""controlState":"running","executionModel":"single","note":null}"#
            )
        );
        let added = AddCreated {
            job_id: job_id(),
            status: JobStatus::Running,
        };
        assert_eq!(
            serde_json::to_string(&added).unwrap(),
            r#"{"jobId":"0b1e0000-0000-4000-8000-000000000000","status":"running"}"#
        );
    }

    #[test]
    fn states_are_read_back_with_their_result_verbatim() {
        let spec = spec(json!({"code": "return 1"}));
        let mut done = state(&spec, JobStatus::Done);
        done.result = Some(RawValue::from_string(r#"{"a": 1.0}"#.into()).unwrap());
        done.waiting = Some("no worker".into());
        let text = serde_json::to_string(&done).unwrap();
        assert!(text.contains(r#""result":{"a": 1.0},"error":null,"waiting":"no worker""#));
        let read: JobState = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(read.envelope().is_none() && read.reduced().is_none());
    }
}
