//! How a job stands, as clients see it: running ones as the scheduler says, ended ones as stored.

use scheduler::Ending;
use serde_json::value::RawValue;
use shared::api::{ControlState, JobState, JobStatus, ReducedResult, RunEnvelope, TaskView};
use shared::ids::JobId;
use shared::job::JobSpec;
use shared::reduce::ReducerState;
use shared::wire::ShardResult;

use crate::dispatch::LiveJob;
use crate::store::{Outcome, Progress, StoredJob};

/// How much of a state is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// All of it.
    Whole,
    /// The result, which may be large, is left out.
    WithoutResult,
}

/// Error of a job that its owner ended.
const STOPPED: &str = "stopped_by_client";

/// A job that the scheduler has.
pub(super) fn of_live(job: JobId, live: &LiveJob) -> JobState {
    let plan = live.spec.plan();
    let view = &live.view;
    let control = control_state(view.is_paused);
    let mut state = unfinished(job, &live.spec, view.completed, view.failed, control);
    // A result that is not stored yet is with nobody, and still the job runs.
    let is_abandoned = view.in_flight == 0 && !live.has_workers;
    state.status = JobStatus::unfinished(plan, view.started && !is_abandoned);
    let folds = live
        .spec
        .reducer()
        .is_some_and(|reducer| !reducer.keeps_rows());
    state.partial = folds
        .then(|| reduced(&live.spec, &view.reducer_state, view.completed))
        .flatten();
    state.waiting = (!live.has_workers).then(|| "no worker".into());
    state
}

/// How a stored job ended.
pub(super) fn ending(stored: &StoredJob) -> Option<Ending> {
    Some(match stored.outcome.as_ref()? {
        Outcome::Single(_) | Outcome::Reduced => Ending::Done,
        Outcome::Failed(_) => Ending::Failed,
        Outcome::Cancelled => Ending::Cancelled,
    })
}

/// A job as it is stored.
pub(super) fn of_stored(stored: &StoredJob, detail: Detail) -> JobState {
    let Progress {
        completed,
        failed_shards,
        is_paused,
        ..
    } = stored.progress;
    let control = match &stored.outcome {
        None => control_state(is_paused),
        Some(Outcome::Single(_) | Outcome::Reduced | Outcome::Failed(_)) => ControlState::Running,
        Some(Outcome::Cancelled) => ControlState::Cancelled,
    };
    let mut state = unfinished(stored.job, &stored.spec, completed, failed_shards, control);
    match &stored.outcome {
        None => {}
        Some(Outcome::Single(result)) => {
            state.status = JobStatus::Done;
            state.result = (detail == Detail::Whole).then(|| single(&stored.spec, result));
        }
        Some(Outcome::Reduced) => {
            state.status = JobStatus::Done;
            if detail == Detail::Whole {
                let folded = stored.progress.reducer_state.clone().unwrap_or_default();
                state.result = reduced(&stored.spec, &folded, completed).map(Into::into);
            }
        }
        Some(Outcome::Failed(text)) => {
            state.status = JobStatus::Failed;
            state.error = Some(text.clone());
        }
        Some(Outcome::Cancelled) => {
            state.status = JobStatus::Failed;
            state.error = Some(STOPPED.into());
        }
    }
    state
}

const fn control_state(is_paused: bool) -> ControlState {
    if is_paused {
        ControlState::Paused
    } else {
        ControlState::Running
    }
}

fn unfinished(
    job: JobId,
    spec: &JobSpec,
    completed: u64,
    failed: u64,
    control_state: ControlState,
) -> JobState {
    JobState {
        job_id: job,
        status: JobStatus::unfinished(spec.plan(), false),
        control_state,
        execution_model: spec.plan().into(),
        task: TaskView::new(spec, control_state, completed, failed),
        result: None,
        error: None,
        partial: None,
        waiting: None,
    }
}

/// The integer of an `add`, the envelope of a script.
fn single(spec: &JobSpec, result: &ShardResult) -> Box<RawValue> {
    match spec {
        JobSpec::Add(operands) => {
            let sum = operands.a + operands.b;
            RawValue::from_string(sum.to_string()).expect("an integer is JSON")
        }
        JobSpec::RunJs(run) => RunEnvelope::new(result, &run.args, run.timeout_ms).into(),
    }
}

/// What the completed shards amount to.
fn reduced(spec: &JobSpec, folded: &ReducerState, completed: u64) -> Option<ReducedResult> {
    let total = spec.plan().total_shards();
    Some(ReducedResult::new(
        spec.reducer()?,
        folded,
        completed,
        total,
    ))
}
