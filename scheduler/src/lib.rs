//! The scheduler: which shard runs where, and whose result counts.
//!
//! Lives here: a state machine without I/O, clock or randomness. `Scheduler::step` takes what
//! happened and returns what shall happen. Not here: sockets, signatures and storage; the server's
//! dispatch task owns the machine and carries the effects out.

mod event;

pub use event::{
    Delta, Effect, Event, JobAssignment, JobEnd, JobKind, JobOutline, JobView, WorkerView,
};
