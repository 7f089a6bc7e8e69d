//! States and failures in words.

use shared::api::{ControlState, JobState, JobStatus, RunEnvelope, ShardCounts};

use crate::format;
use crate::state::{Awaited, FollowedJob, Link, Outcome, State};

/// The title of the tab: how far the job is, for who looks elsewhere meanwhile.
pub fn title(state: &State) -> String {
    let shards = state.job.as_ref().and_then(FollowedJob::shards);
    let is_going = state.job.as_ref().and_then(FollowedJob::awaited) == Some(Awaited::Changes);
    match shards.filter(|shards| is_going && shards.total > 0) {
        Some(shards) => format!("{} % · Cluster", percent(shards)),
        None => "Cluster".to_owned(),
    }
}

/// Completed shards in whole percent; 100 only when all are.
pub fn percent(shards: ShardCounts) -> u64 {
    u64::try_from(u128::from(shards.completed) * 100 / u128::from(shards.total.max(1)))
        .unwrap_or(100)
}

/// How the job is, in a sentence.
pub fn status(job: &FollowedJob) -> String {
    if let Some(why) = &job.lost {
        return why.clone();
    }
    let Some(state) = &job.state else {
        return "Submitted.".to_owned();
    };
    match state.status {
        JobStatus::Queued | JobStatus::Running => going(state, job.shards()),
        JobStatus::Failed if state.control_state == ControlState::Cancelled => {
            "Stopped by a client.".to_owned()
        }
        JobStatus::Failed => "Failed.".to_owned(),
        JobStatus::Done => match job.outcome.as_deref() {
            None => "Done. The result is on its way.".to_owned(),
            Some(Outcome::Run(run)) if !run.ok => "The script failed.".to_owned(),
            Some(
                Outcome::Run(_) | Outcome::Sum(_) | Outcome::Reduced(_) | Outcome::Collected(_),
            ) => "Done.".to_owned(),
        },
    }
}

fn going(state: &JobState, shards: Option<ShardCounts>) -> String {
    if let Some(why) = &state.waiting {
        return waiting(why);
    }
    if state.control_state == ControlState::Paused {
        return "Paused: no shard is handed out.".to_owned();
    }
    if state.status == JobStatus::Queued {
        return "Waiting for a free slot.".to_owned();
    }
    match shards {
        Some(shards) if shards.completed == 0 => {
            "Running; the first shards are on their way.".to_owned()
        }
        Some(_) | None => "Running.".to_owned(),
    }
}

/// Why a job cannot go on; `why` as the server says it.
fn waiting(why: &str) -> String {
    match why {
        "no worker" => "Waiting for a device: none is connected. Add one to start the job.".into(),
        "no secure context" => {
            "Waiting for a device that opened its page over HTTPS, which this job needs.".into()
        }
        "devices to bring back their work" => {
            "Waiting for devices to bring back what they had before the server started anew.".into()
        }
        other => format!("Waiting: {other}."),
    }
}

/// What shards amount to that have no result of the job yet, or never will.
pub fn partial_title(job: &FollowedJob) -> &'static str {
    if job.is_over() {
        "Before it ended"
    } else {
        "So far"
    }
}

/// What to do about a script that returned nothing; `None` where it returned something.
pub fn nothing_returned(run: &RunEnvelope) -> Option<&'static str> {
    let is_nothing = run.ok && run.return_value.is_none() && run.return_type == "undefined";
    is_nothing.then_some("Nothing was returned. The script is the body of a function: end it with return …, and call the functions that it defines.")
}

/// Why what is shown of the job may be late; `None` where it is not.
pub fn link(link: Link) -> Option<&'static str> {
    match link {
        Link::Opening | Link::Live => None,
        Link::Asking => Some("There is no live stream here; this is a few seconds old at most."),
        Link::Broken => Some("The connection is lost. Trying again …"),
    }
}

/// Why a job failed; `error` as the server says it. `None` where its status says all.
pub fn job_error(error: &str) -> Option<String> {
    if error == "stopped_by_client" {
        return None;
    }
    Some(match error.strip_prefix("reducer_error:") {
        Some(why) => format!("The results could not be reduced: {why}"),
        None => error.to_owned(),
    })
}

/// What an exit code that is not 0 means.
pub fn exit(run: &RunEnvelope) -> &'static str {
    match run.exit_code {
        0 => "returned",
        1 => "threw an error",
        124 => "ran out of time",
        70 => "broke its executor, or its result was too large",
        _ => "failed",
    }
}

/// What a run says of itself besides its value.
pub fn run_facts(run: &RunEnvelope) -> String {
    let mut facts = vec![format!(
        "{} on the device",
        format::duration(run.duration_ms)
    )];
    if !run.ok {
        facts.push(format!("exit code {}", run.exit_code));
    }
    if let Some(stats) = &run.stats {
        if run.ok {
            let size = format::bytes(stats.serialized_return_bytes as u64);
            facts.push(format!("{size} returned"));
        }
        if stats.dropped_logs > 0 {
            let lines = format::counted(stats.dropped_logs.into(), "console line");
            facts.push(format!("{lines} dropped"));
        }
    }
    facts.join(" · ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::api::Members;
    use shared::time::UnixMillis;

    use super::*;
    use crate::state::{Event, JobEvent};

    const ID: &str = "0b1e0000-0000-4000-8000-000000000001";

    fn said(changes: serde_json::Value) -> String {
        let mut members = Members::of(&json!({
            "jobId": ID, "status": "running", "controlState": "running",
            "executionModel": "single", "task": {"op": "add", "a": 1, "b": 2},
            "result": null, "error": null,
        }));
        members.apply(Members::of(&changes));
        let (id, at) = (ID.parse().unwrap(), UnixMillis(0));
        let mut state = State::default();
        state.apply(Event::JobReopened(id));
        let event = JobEvent::Snapshot(members);
        state.apply(Event::Job { id, at, event });
        status(&state.job.unwrap())
    }

    #[test]
    fn a_job_that_waits_says_why() {
        assert!(said(json!({"waiting": "no worker"})).contains("none is connected"));
        assert!(said(json!({"waiting": "no secure context"})).contains("HTTPS"));
        assert_eq!(
            said(json!({"waiting": "needs 2 groups"})),
            "Waiting: needs 2 groups."
        );
        assert_eq!(
            said(json!({"status": "queued"})),
            "Waiting for a free slot."
        );
        assert!(said(json!({"controlState": "paused"})).starts_with("Paused"));
    }

    #[test]
    fn an_end_is_told_by_its_kind() {
        assert_eq!(said(json!({"status": "failed"})), "Failed.");
        assert_eq!(
            said(json!({"status": "failed", "controlState": "cancelled"})),
            "Stopped by a client."
        );
        assert!(said(json!({"status": "done"})).starts_with("Done."));
    }

    #[test]
    fn all_is_done_only_when_all_is() {
        let percent_of = |completed, total| {
            percent(ShardCounts {
                total,
                completed,
                failed: 0,
            })
        };
        assert_eq!(percent_of(0, 0), 0);
        assert_eq!(percent_of(999, 1_000), 99);
        assert_eq!(percent_of(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn texts_for_programs_become_sentences() {
        assert_eq!(job_error("stopped_by_client"), None);
        assert_eq!(
            job_error("reducer_error:sum reducer field 'x' must be numeric.").unwrap(),
            "The results could not be reduced: sum reducer field 'x' must be numeric."
        );
        assert_eq!(
            job_error("worker lost while running it").unwrap(),
            "worker lost while running it"
        );
    }

    #[test]
    fn a_script_that_returned_nothing_is_told_how_to() {
        let run = |kind: &str, value: serde_json::Value| -> RunEnvelope {
            serde_json::from_value(json!({
                "ok": true, "exitCode": 0, "durationMs": 1, "returnType": kind,
                "returnValue": value, "argsType": "object", "logs": [],
                "output": {"text": "", "truncated": false, "bytes": 0}, "error": null,
                "notes": [], "stats": {"droppedLogs": 0, "serializedReturnBytes": 0},
            }))
            .unwrap()
        };
        let hint = nothing_returned(&run("undefined", json!(null)));
        assert!(hint.unwrap().contains("return"));
        assert_eq!(nothing_returned(&run("number", json!(0))), None);
        assert_eq!(nothing_returned(&run("object", json!(null))), None);
    }

    #[test]
    fn a_run_tells_its_time_size_and_losses() {
        let run: RunEnvelope = serde_json::from_value(json!({
            "ok": true, "exitCode": 0, "durationMs": 1234, "returnType": "number",
            "returnValue": 1, "argsType": "object", "logs": [],
            "output": {"text": "", "truncated": false, "bytes": 0}, "error": null, "notes": [],
            "stats": {"droppedLogs": 2, "serializedReturnBytes": 1},
        }))
        .unwrap();
        assert_eq!(
            run_facts(&run),
            "1.2 s on the device · 1 byte returned · 2 console lines dropped"
        );
    }
}
