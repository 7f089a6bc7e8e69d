//! Status and control state of a job, as the API and the metrics show them.

use scheduler::{Ending, JobProgress};
use shared::api::{ControlState, JobStatus};
use shared::plan::Plan;

/// Of a job that has not ended. A result that is not stored yet is with nobody, and still its job
/// runs, as long as there is a worker.
pub(crate) const fn of_running(
    plan: Plan,
    progress: &JobProgress,
    has_workers: bool,
) -> (JobStatus, ControlState) {
    let is_abandoned = progress.in_flight == 0 && !has_workers;
    let status = JobStatus::unfinished(plan, progress.started && !is_abandoned);
    (status, control_state(progress.is_paused))
}

/// Of a job that has ended.
pub(crate) const fn of_ended(ending: Ending) -> (JobStatus, ControlState) {
    match ending {
        Ending::Done => (JobStatus::Done, ControlState::Running),
        Ending::Failed => (JobStatus::Failed, ControlState::Running),
        Ending::Cancelled => (JobStatus::Failed, ControlState::Cancelled),
    }
}

/// Of a job that has not ended.
pub(crate) const fn control_state(is_paused: bool) -> ControlState {
    if is_paused {
        ControlState::Paused
    } else {
        ControlState::Running
    }
}
