//! HTTP request and response bodies: what the server writes, and dashboard and tools read.
//!
//! Lives here: names, shapes and texts that clients rely on. Not here: routes, status codes, and
//! the reading of submissions (`job`). JSON that a script returned is passed through as the text it
//! came as; nothing here parses it further than to see that it is one value.

mod envelope;
mod invite;
mod job;
mod live;
mod metrics;
mod number;
mod problem;
mod reduced;
mod service;
mod text;
mod time;
mod workers;

pub use envelope::{Output, RunEnvelope, RunStats, json_type};
pub use invite::{InviteCreated, InviteList, InviteRevoked, InviteRow, NetworkLinks};
pub use job::{
    AddCreated, ControlState, Controlled, ExecutionModel, JobCreated, JobState, JobStatus,
    RandomView, RunJsTask, ShardConfig, ShardCounts, Stopped, TaskView,
};
pub use live::{CHANGE_EVENT, Members, SNAPSHOT_EVENT};
pub use metrics::{
    ActiveShard, Capabilities, ClusterMetrics, JobCounters, JobMetrics, RuntimeMetrics,
    ShardContext, ShardProgress, TaskBrief, WorkCounts, WorkerMetrics, WorkerPresence,
    WorkerTotals, WorkersMetrics,
};
pub use number::JsNumber;
pub use problem::Problem;
pub use reduced::{AggregateObject, AggregateView, DerivedRatios, ReducedResult, ReducerView};
pub use service::{AuthCheck, Connection, CustomJobLimits, Health, ProxiesTrusted, PublicConfig};
pub use time::{IsoTime, NotIsoTime};
pub use workers::{WorkerActivity, WorkerList, WorkerOrdered, WorkerRow, WorkerState};
