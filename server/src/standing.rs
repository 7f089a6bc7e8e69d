//! Status and control state of a job, as the API and the metrics show them.

use scheduler::{Ending, JobProgress, Obstacle};
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

/// Why a job that has not ended cannot go on, where nobody else can change that for it; as clients
/// see it.
pub(crate) fn waiting_for(progress: &JobProgress, has_workers: bool) -> Option<&'static str> {
    let is_withheld = progress.withheld > 0 && progress.withheld == progress.waiting;
    if !has_workers {
        return Some("no worker");
    }
    if is_withheld && progress.in_flight == 0 && !progress.is_paused {
        return Some("devices to bring back their work");
    }
    match progress.obstacle {
        Some(Obstacle::Refusals) => Some("a worker that does not refuse the job"),
        Some(Obstacle::Losses) => {
            Some("another worker: those connected were lost while running it")
        }
        None => None,
    }
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
