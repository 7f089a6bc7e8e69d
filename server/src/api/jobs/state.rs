//! How a job stands, as clients see it: running ones as the scheduler says, ended ones as stored.

use scheduler::{Ending, JobProgress};
use serde_json::value::RawValue;
use shared::api::{ControlState, JobState, JobStatus, ReducedResult, RunEnvelope, TaskView};
use shared::ids::JobId;
use shared::job::JobSpec;
use shared::plan::Plan;
use shared::reduce::{Reducer, ReducerState};
use shared::wire::ShardResult;

use crate::dispatch::LiveJob;
use crate::standing;
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
    let JobProgress {
        completed, failed, ..
    } = live.view.progress;
    let plan = live.spec.plan();
    let (status, control) = standing::of_running(plan, &live.view.progress, live.has_workers);
    let mut state = unfinished(job, &live.spec, completed, failed, control);
    state.status = status;
    state.partial = partial(&live.spec, &live.view.reducer_state, completed);
    state.waiting = standing::waiting_for(&live.view.progress, live.has_workers).map(str::to_owned);
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
    let (status, control) = match ending(stored) {
        None => (
            JobStatus::unfinished(stored.spec.plan(), false),
            standing::control_state(is_paused),
        ),
        Some(ending) => standing::of_ended(ending),
    };
    let mut state = unfinished(stored.job, &stored.spec, completed, failed_shards, control);
    state.status = status;
    let is_whole = detail == Detail::Whole;
    match &stored.outcome {
        None => {}
        Some(Outcome::Single(result)) => {
            state.result = is_whole.then(|| single(&stored.spec, result));
        }
        Some(Outcome::Reduced) => {
            state.result = stored.spec.reducer().filter(|_| is_whole).map(|reducer| {
                let folded = stored.progress.reducer_state.clone().unwrap_or_default();
                let Progress { skipped, .. } = &stored.progress;
                let count = u64::try_from(skipped.len()).unwrap_or(u64::MAX);
                reduced(reducer, stored.spec.plan(), &folded, completed)
                    .leaving_out(skipped.iter(), count)
                    .into()
            });
        }
        Some(Outcome::Failed(text)) => without_result(&mut state, stored, text),
        Some(Outcome::Cancelled) => without_result(&mut state, stored, STOPPED),
    }
    state
}

/// What was computed before a job ended early was paid for; its owner may want to see it.
fn without_result(state: &mut JobState, stored: &StoredJob, error: &str) {
    let Progress {
        completed,
        reducer_state,
        ..
    } = &stored.progress;
    state.error = Some(error.into());
    state.partial = reducer_state
        .as_ref()
        .and_then(|folded| partial(&stored.spec, folded, *completed));
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

/// What the shards of a job without its result amount to; `None` for one that keeps them all.
fn partial(spec: &JobSpec, folded: &ReducerState, completed: u64) -> Option<ReducedResult> {
    let reducer = spec.reducer().filter(|reducer| !reducer.keeps_rows())?;
    Some(reduced(reducer, spec.plan(), folded, completed))
}

/// What the completed shards amount to.
fn reduced(reducer: &Reducer, plan: Plan, folded: &ReducerState, completed: u64) -> ReducedResult {
    ReducedResult::new(reducer, folded, completed, plan.total_shards())
}
