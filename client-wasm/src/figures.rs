//! The figures of a job: how much is done, how fast, how long.

use shared::api::{JobStatus, ShardCounts};
use shared::time::UnixMillis;

use crate::format;
use crate::state::FollowedJob;

/// Where nothing can be told.
const UNKNOWN: &str = "–";

/// What is shown of a job besides its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// How far its shards are; `None` for a job without shards.
    pub shards: Option<ShardCounts>,
    /// Shards in a unit of time.
    pub rate: String,
    /// What `time` is.
    pub time_label: &'static str,
    /// How long it will take, or has taken.
    pub time: String,
}

impl Figures {
    /// Those of `job` as of `now`.
    pub fn of(job: &FollowedJob, now: UnixMillis) -> Self {
        let shards = job.shards();
        let elapsed = job.elapsed_ms(now);
        let (rate, time_label, time) = match (shards, job.is_over()) {
            (Some(shards), false) => (rate_so_far(job, now), "Time left", left(job, shards, now)),
            (Some(shards), true) => (average(shards, elapsed), "Took", took(elapsed)),
            (None, false) => (
                String::new(),
                going_for(job),
                elapsed.map_or_else(unknown, format::clock),
            ),
            (None, true) => (String::new(), "Took", took(elapsed)),
        };
        Self {
            shards,
            rate,
            time_label,
            time,
        }
    }
}

/// What the time of a job without shards is counted for.
fn going_for(job: &FollowedJob) -> &'static str {
    let state = job.state.as_ref();
    match state.map(|state| (state.status, state.waiting.is_some())) {
        Some((_, true)) => "Waiting for a device",
        Some((JobStatus::Running, false)) => "Running for",
        None | Some((JobStatus::Queued | JobStatus::Done | JobStatus::Failed, false)) => "Waiting",
    }
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn rate_so_far(job: &FollowedJob, now: UnixMillis) -> String {
    let estimate = job.estimate(now);
    estimate.map_or_else(unknown, |estimate| format::rate(estimate.per_second))
}

fn left(job: &FollowedJob, shards: ShardCounts, now: UnixMillis) -> String {
    match job.estimate(now) {
        None => unknown(),
        Some(_) if shards.completed == shards.total => format::about(0),
        Some(estimate) => match estimate.left_ms {
            Some(ms) => format::about(ms),
            None => "standing still".to_owned(),
        },
    }
}

fn average(shards: ShardCounts, elapsed_ms: Option<u64>) -> String {
    let elapsed_ms = elapsed_ms.filter(|&ms| ms > 0 && shards.completed > 0);
    elapsed_ms.map_or_else(unknown, |ms| {
        format::rate(shards.completed as f64 * 1000.0 / ms as f64)
    })
}

fn took(elapsed_ms: Option<u64>) -> String {
    elapsed_ms.map_or_else(unknown, format::duration)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::api::Members;

    use super::*;
    use crate::state::{Event, JobEvent, State};

    const ID: &str = "0b1e0000-0000-4000-8000-000000000001";

    fn sharded(completed: u64, status: &str) -> Value {
        json!({
            "jobId": ID, "status": status, "controlState": "running",
            "executionModel": "sharded", "result": null, "error": null,
            "task": {
                "op": "run_js", "executionModel": "sharded", "controlState": "running",
                "timeoutMs": 0, "codeBytes": 8, "hasArgs": true, "reducer": {"type": "collect"},
                "shards": {"total": 600, "completed": completed, "failed": 0},
                "seed": "7", "random": "seeded",
            },
        })
    }

    fn single(status: &str) -> Value {
        json!({
            "jobId": ID, "status": status, "controlState": "running", "executionModel": "single",
            "result": null, "error": null, "task": {"op": "add", "a": 1, "b": 2},
        })
    }

    fn at(now: u64, first: Event, seen: &[(u64, Value)]) -> (String, &'static str, String) {
        let mut state = State::default();
        state.apply(first);
        for (at, body) in seen {
            state.apply(Event::Job {
                id: ID.parse().unwrap(),
                at: UnixMillis(*at),
                event: JobEvent::Snapshot(Members::of(body)),
            });
        }
        let figures = Figures::of(state.job.as_ref().unwrap(), UnixMillis(now));
        (figures.rate, figures.time_label, figures.time)
    }

    fn submitted() -> Event {
        Event::JobSubmitted {
            id: ID.parse().unwrap(),
            note: None,
            at: UnixMillis(0),
        }
    }

    fn check(found: (String, &str, String), rate: &str, label: &str, time: &str) {
        assert_eq!(
            (found.0.as_str(), found.1, found.2.as_str()),
            (rate, label, time)
        );
    }

    #[test]
    fn a_running_job_shows_its_speed_and_what_is_left() {
        let seen = [(0, sharded(0, "running")), (10_000, sharded(50, "running"))];
        check(at(500, submitted(), &seen[..1]), "–", "Time left", "–");
        check(
            at(10_000, submitted(), &seen),
            "5.0/s",
            "Time left",
            "about 2 min",
        );
        let stalled = at(90_000, submitted(), &seen);
        assert_eq!(stalled.2, "standing still");
    }

    #[test]
    fn an_ended_job_shows_what_it_took() {
        let seen = [(0, sharded(0, "running")), (60_000, sharded(600, "done"))];
        check(
            at(99_000, submitted(), &seen),
            "10.0/s",
            "Took",
            "1 min 0 s",
        );
        let found_again = Event::JobReopened(ID.parse().unwrap());
        check(at(99_000, found_again, &seen[1..]), "–", "Took", "–");
    }

    #[test]
    fn a_job_without_shards_shows_its_time() {
        check(
            at(12_000, submitted(), &[(0, single("running"))]),
            "",
            "Running for",
            "0:12",
        );
        let waits = |changes: Value| {
            let mut body = single("queued");
            body.as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            at(12_000, submitted(), &[(0, body)]).1
        };
        assert_eq!(waits(json!({})), "Waiting");
        assert_eq!(
            waits(json!({"waiting": "no worker"})),
            "Waiting for a device"
        );
        let seen = [(0, single("queued")), (850, single("done"))];
        check(at(12_000, submitted(), &seen), "", "Took", "850 ms");
    }
}
