//! The scheduler: which shard runs where, and whose result counts.
//!
//! Lives here: a state machine without I/O, clock or randomness. `Scheduler::step` takes what
//! happened and returns what shall happen. Not here: sockets, signatures and storage; the server's
//! dispatch task owns the machine and carries the effects out.
//!
//! Two rules carry everything. *Commit before effect*: a result is folded when it comes, but nobody
//! is told before the store has it. *First result wins*: whoever was given an attempt may answer it,
//! however late, until some result of its shard counts.

mod candidates;
mod config;
mod event;
mod job;
mod leaf;
mod ledger;
#[cfg(test)]
mod model;
mod nonces;
mod outbox;
mod retries;
mod rounds;
mod run_times;
mod scheduler;
mod session;
mod speed;
mod supply;
mod timers;

pub use config::SchedulerConfig;
pub use event::{
    Command, Contribution, Delta, Effect, Ending, Event, HeldShard, JobAssignment, JobEnd, JobKind,
    JobOutline, JobProgress, JobView, Obstacle, ShardResults, WorkerView,
};
pub use scheduler::Scheduler;
