//! What the cluster is doing and who has done what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ControlState, ExecutionModel, IsoTime, JobStatus, JsNumber};
use crate::ids::{JobId, ShardIndex, WorkerId};
use crate::job::JobSpec;
use crate::plan::{ShardUnits, Sharding};
use crate::wire::DeviceFacts;

/// `GET /api/metrics/cluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterMetrics {
    /// When this was so.
    pub now: IsoTime,
    /// Who does what.
    pub workers: WorkersMetrics,
    /// What there is to do.
    pub runtime: RuntimeMetrics,
}

/// Who does what. Also the answer to `GET /api/worker/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkersMetrics {
    /// When this was so.
    pub now: IsoTime,
    /// The worker that asks; null for a client, and for a worker that is not known.
    #[serde(rename = "self")]
    pub own: Option<WorkerMetrics>,
    /// Workers that are connected or were, the most hard-working first.
    pub workers: Vec<WorkerMetrics>,
    /// All of them together, also those that are not listed.
    pub totals: WorkerTotals,
}

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerPresence {
    /// Connected, and a slot is free.
    Idle,
    /// Connected, and none is.
    Busy,
    /// Not connected.
    Offline,
}

/// A worker and what it has done since the server started. A run counts for the worker whose result
/// was stored, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerMetrics {
    /// Its id.
    pub worker_id: WorkerId,
    /// Whether it has a socket.
    pub connected: bool,
    /// What it is at.
    pub state: WorkerPresence,
    /// Milliseconds since it was heard of.
    pub last_seen_ms: u64,
    /// Attempts that it holds without result.
    pub in_flight_count: u32,
    /// Shards that it runs at the same time; of one that has left, those it ran last.
    pub max_slots: u16,
    /// Slots without an attempt.
    pub available_slots: u16,
    /// True: every worker takes batches.
    pub supports_assign_batch: bool,
    /// Larger means more work; 0 for one that has left.
    pub dispatch_score: JsNumber,
    /// Processors that its device can lend.
    pub resource_score: JsNumber,
    /// Units a second over about the last minute.
    pub throughput_units_per_sec: JsNumber,
    /// How often it came back.
    pub reconnects: u64,
    /// What it has done.
    #[serde(flatten)]
    pub work: WorkCounts,
    /// Mean run time of what it completed, in milliseconds.
    pub avg_duration_ms: JsNumber,
    /// Its device; null where nothing is known, or nothing is told.
    pub capabilities: Option<Capabilities>,
    /// When it came first.
    pub first_seen_at: IsoTime,
    /// When a result of it was stored last.
    pub last_job_at: Option<IsoTime>,
}

/// Work that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkCounts {
    /// Runs whose results were stored: additions, single runs, and shards.
    pub completed_jobs: u64,
    /// Of these, additions.
    pub completed_add_jobs: u64,
    /// Of these, scripts, as a whole or a shard of one.
    pub completed_run_js_jobs: u64,
    /// Of these, shards.
    pub completed_shards: u64,
    /// Attempts that failed. A single run that throws has not: that is its result.
    pub failed_jobs: u64,
    /// Of these, attempts at shards: those that did not return, whether or not another followed, and
    /// those whose result could not be folded.
    pub failed_shards: u64,
    /// Units of the completed shards.
    pub contributed_units: u64,
    /// Run time of all that was completed, in milliseconds.
    pub total_duration_ms: u64,
}

/// All workers together since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerTotals {
    /// Workers that are remembered.
    pub workers_tracked: usize,
    /// Those of them that are connected.
    pub workers_connected: usize,
    /// As [`WorkCounts::completed_jobs`].
    pub completed_jobs: u64,
    /// As [`WorkCounts::completed_shards`].
    pub completed_shards: u64,
    /// As [`WorkCounts::failed_jobs`].
    pub failed_jobs: u64,
    /// As [`WorkCounts::failed_shards`].
    pub failed_shards: u64,
    /// As [`WorkCounts::contributed_units`].
    pub contributed_units: u64,
    /// As [`WorkCounts::total_duration_ms`].
    pub total_duration_ms: u64,
}

/// What a worker said of its device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Logical processors.
    pub hardware_concurrency: Option<u32>,
    /// GiB of memory.
    #[serde(rename = "deviceMemoryGB")]
    pub device_memory_gb: Option<JsNumber>,
    /// `4g`, `3g`, …
    pub effective_type: Option<String>,
    /// Mbit/s.
    pub downlink_mbps: Option<JsNumber>,
    /// Milliseconds.
    pub rtt_ms: Option<JsNumber>,
    /// The user asked for less data.
    pub save_data: Option<bool>,
    /// The browser's word for the system.
    pub platform: Option<String>,
    /// `visible` or `hidden`.
    pub visibility: Option<String>,
    /// 0 to 1.
    pub battery_level: Option<JsNumber>,
    /// On mains.
    pub charging: Option<bool>,
    /// When it said so.
    pub updated_at: IsoTime,
}

impl Capabilities {
    /// What was said at `updated_at`; `None` for nothing.
    pub fn new(device: &DeviceFacts, updated_at: IsoTime) -> Option<Self> {
        let known = Self {
            hardware_concurrency: device.hardware_concurrency,
            device_memory_gb: device.device_memory_gb.map(JsNumber),
            effective_type: device.effective_type.clone(),
            downlink_mbps: device.downlink_mbps.map(JsNumber),
            rtt_ms: device.rtt_ms.map(JsNumber),
            save_data: device.save_data,
            platform: device.platform.clone(),
            visibility: device.visibility.clone(),
            battery_level: device.battery_level.map(JsNumber),
            charging: device.charging,
            updated_at,
        };
        let is_silent = DeviceFacts {
            mobile: device.mobile,
            secure_context: device.secure_context,
            ..DeviceFacts::default()
        } == *device;
        (!is_silent).then_some(known)
    }
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeMetrics {
    /// When this was so.
    pub now: IsoTime,
    /// Runs that are with nobody and have no result.
    pub queue_depth: u64,
    /// Runs that are with a worker.
    pub active_assignments: u64,
    /// How many there are of each kind.
    pub counters: JobCounters,
    /// The jobs that changed last, those in front.
    pub jobs: Vec<JobMetrics>,
    /// Some of the shards that each worker holds.
    pub active_worker_shard_contexts: BTreeMap<WorkerId, Vec<ActiveShard>>,
}

/// How many jobs and shards there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCounters {
    /// Jobs and shards.
    pub total_jobs: u64,
    /// Jobs.
    pub visible_jobs: u64,
    /// Shards: of jobs that have not ended all, of others those that were completed.
    pub hidden_jobs: u64,
    /// Jobs that are with nobody.
    pub queued: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs with a result.
    pub done: u64,
    /// Jobs that ended without, cancelled ones included.
    pub failed: u64,
    /// Jobs that their owner paused.
    pub paused_parents: u64,
    /// Jobs that their owner cancelled.
    pub cancelled_parents: u64,
    /// Shards that are with nobody and have no result.
    pub hidden_queued: u64,
    /// Shards that are with a worker.
    pub hidden_running: u64,
}

/// A job in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobMetrics {
    /// The job.
    #[serde(with = "super::text")]
    pub job_id: JobId,
    /// How far it is.
    pub status: JobStatus,
    /// What its owner wants of it.
    pub control_state: ControlState,
    /// What it is.
    #[serde(flatten)]
    pub task: TaskBrief,
    /// How it runs.
    pub execution_model: ExecutionModel,
    /// Of a job that runs as a whole, the worker that has it or had it last; null where that is not
    /// known (any more).
    pub assigned_worker_id: Option<WorkerId>,
    /// When it was accepted.
    pub created_at: IsoTime,
    /// When it changed last.
    pub updated_at: IsoTime,
    /// How far its shards are; only of sharded jobs.
    #[serde(flatten)]
    pub shards: Option<ShardProgress>,
}

/// What a job is, without its code and args.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum TaskBrief {
    /// Adds two integers.
    Add {
        /// First operand.
        a: i64,
        /// Second operand.
        b: i64,
    },
    /// Runs a script.
    #[serde(rename_all = "camelCase")]
    RunJs {
        /// Time limit of one run in milliseconds; 0 for none.
        timeout_ms: u64,
    },
}

impl From<&JobSpec> for TaskBrief {
    fn from(spec: &JobSpec) -> Self {
        match spec {
            JobSpec::Add(operands) => Self::Add {
                a: operands.a,
                b: operands.b,
            },
            JobSpec::RunJs(run) => Self::RunJs {
                timeout_ms: run.timeout_ms,
            },
        }
    }
}

/// How far the shards of a job are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardProgress {
    /// All.
    pub total_shards: u64,
    /// Folded, whatever their envelope says.
    pub completed_shards: u64,
    /// Of these, those that did not return.
    pub failed_shards: u64,
}

/// A shard that is with a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveShard {
    /// A name for the shard.
    pub job_id: String,
    /// Its job.
    #[serde(with = "super::text")]
    pub parent_job_id: JobId,
    /// From 0.
    pub shard_index: u64,
    /// Shards of the job.
    pub total_shards: u64,
    /// From 1.
    pub attempt: u32,
    /// What its script is told.
    pub context: ShardContext,
}

/// Which part of a job a shard is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardContext {
    /// The job.
    #[serde(with = "super::text")]
    pub parent_job_id: JobId,
    /// From 0.
    pub shard_id: u64,
    /// Shards of the job.
    pub total_shards: u64,
    /// Units of this shard.
    pub units: u64,
    /// Units of the job.
    pub total_units: u64,
    /// Units before this shard.
    pub offset: u64,
}

impl ShardContext {
    /// Which part of `job` the shard is; `None` where the job has no such shard.
    pub fn new(job: JobId, sharding: Sharding, shard: ShardIndex) -> Option<Self> {
        let ShardUnits { units, offset } = sharding.units_of(shard)?;
        Some(Self {
            parent_job_id: job,
            shard_id: shard.0,
            total_shards: sharding.total_shards(),
            units,
            total_units: sharding.total_units(),
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    const NOW: IsoTime = IsoTime(UnixMillis(1_767_225_600_000));

    fn job(task: TaskBrief, shards: Option<ShardProgress>) -> JobMetrics {
        JobMetrics {
            job_id: "0b1e0000-0000-4000-8000-000000000000".parse().unwrap(),
            status: JobStatus::Running,
            control_state: ControlState::Running,
            task,
            execution_model: ExecutionModel::Single,
            assigned_worker_id: None,
            created_at: NOW,
            updated_at: NOW,
            shards,
        }
    }

    #[test]
    fn a_job_shows_what_its_kind_has_and_is_read_back() {
        let shards = ShardProgress {
            total_shards: 10,
            completed_shards: 4,
            failed_shards: 1,
        };
        for (job, rest) in [
            (
                job(TaskBrief::Add { a: 2, b: 40 }, None),
                r#""op":"add","a":2,"b":40"#,
            ),
            (
                job(TaskBrief::RunJs { timeout_ms: 7 }, Some(shards)),
                r#""totalShards":10,"completedShards":4,"failedShards":1}"#,
            ),
        ] {
            let text = serde_json::to_string(&job).unwrap();
            assert!(text.contains(rest), "{text}");
            assert_eq!(serde_json::from_str::<JobMetrics>(&text).unwrap(), job);
        }
    }

    #[test]
    fn a_device_of_which_nothing_is_known_has_no_capabilities() {
        let silent = DeviceFacts {
            secure_context: true,
            ..DeviceFacts::default()
        };
        assert_eq!(Capabilities::new(&silent, NOW), None);
        let known = DeviceFacts {
            save_data: Some(false),
            ..silent
        };
        let text = serde_json::to_string(&Capabilities::new(&known, NOW)).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"hardwareConcurrency":null,"deviceMemoryGB":null,"effectiveType":null,"#,
                r#""downlinkMbps":null,"rttMs":null,"saveData":false,"platform":null,"#,
                r#""visibility":null,"batteryLevel":null,"charging":null,"#,
                r#""updatedAt":"2026-01-01T00:00:00.000Z"}"#
            )
        );
    }
}
