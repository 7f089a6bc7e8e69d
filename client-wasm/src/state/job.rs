//! The job that the page follows, from its submission to its result.

use std::sync::Arc;

use shared::api::{ControlState, JobState, JobStatus, Members, ShardCounts, TaskView};
use shared::ids::JobId;
use shared::time::UnixMillis;

use super::Outcome;
use crate::form::is_example;
use crate::pace::{Estimate, Pace};

/// What is known of the job.
#[derive(Debug, Clone)]
pub struct FollowedJob {
    /// Its id.
    pub id: JobId,
    /// What the server had to say about its plan.
    pub note: Option<String>,
    /// Its state without the result; `None` until the server has told.
    pub state: Option<JobState>,
    /// How what is shown comes here.
    pub link: Link,
    /// What came out, once it is done and its result was fetched.
    pub outcome: Option<Arc<Outcome>>,
    /// Why nothing more will be learned of it.
    pub lost: Option<String>,
    members: Members,
    pace: Pace,
    submitted_at: Option<UnixMillis>,
    /// It was seen before its end, so that the end is when the page hears of it.
    is_end_seen: bool,
    ended_at: Option<UnixMillis>,
}

/// How news of a job come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Link {
    /// Nothing has come so far.
    #[default]
    Opening,
    /// As they happen.
    Live,
    /// The page asks every few seconds, because there is no stream.
    Asking,
    /// Not at all at the moment; the page tries again.
    Broken,
}

/// What the owner of a job may tell the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Hand out no more shards.
    Pause,
    /// Hand them out again.
    Resume,
    /// End it for good.
    Stop,
}

/// What there is still to learn of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// How it goes.
    Changes,
    /// Its result.
    Outcome,
}

/// Something that came of a job.
#[derive(Debug, Clone)]
pub enum JobEvent {
    /// All members of its state.
    Snapshot(Members),
    /// The members that changed.
    Changed(Members),
    /// News come another way from here on.
    Linked(Link),
    /// Its result.
    Ended(Arc<Outcome>),
    /// Nothing more will come, for this reason.
    Lost(String),
}

impl FollowedJob {
    pub(super) fn submitted(id: JobId, note: Option<String>, at: UnixMillis) -> Self {
        Self {
            note,
            is_end_seen: true,
            ..Self::found(id, Some(at))
        }
    }

    /// A job that was submitted before, of which nothing else is known.
    pub(super) fn found(id: JobId, submitted_at: Option<UnixMillis>) -> Self {
        Self {
            id,
            note: None,
            state: None,
            link: Link::default(),
            outcome: None,
            lost: None,
            members: Members::default(),
            pace: Pace::default(),
            submitted_at,
            is_end_seen: false,
            ended_at: None,
        }
    }

    pub(super) fn apply(&mut self, at: UnixMillis, event: JobEvent) {
        match event {
            // A late answer changes nothing.
            JobEvent::Snapshot(_) | JobEvent::Changed(_) if self.is_over() => {}
            JobEvent::Snapshot(members) => {
                self.members = members;
                self.read(at);
            }
            JobEvent::Changed(changes) => {
                self.members.apply(changes);
                self.read(at);
            }
            JobEvent::Linked(link) => {
                if link == Link::Broken {
                    // What comes meanwhile comes all at once later.
                    self.pace = Pace::default();
                }
                self.link = link;
            }
            JobEvent::Ended(outcome) => self.outcome = Some(outcome),
            JobEvent::Lost(why) => self.lost = Some(why),
        }
    }

    fn read(&mut self, at: UnixMillis) {
        let Ok(state) = self.members.read::<JobState>() else {
            self.lost = Some("The server's answer was not understood. Reload the page.".into());
            return;
        };
        if !state.status.is_final() {
            self.is_end_seen = true;
        } else if self.is_end_seen {
            self.ended_at = Some(at);
        }
        let before = self.state.replace(state);
        if before.iter().chain(&self.state).any(is_held) {
            self.pace = Pace::default();
        }
        if let Some(shards) = self.shards() {
            self.pace.record(at, shards.completed);
        }
    }

    /// Whether it will not change any more.
    pub fn is_over(&self) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| state.status.is_final())
    }

    /// What there is still to learn; `None` for nothing.
    pub fn awaited(&self) -> Option<Awaited> {
        if self.lost.is_some() {
            return None;
        }
        match self.state.as_ref().map(|state| state.status) {
            None | Some(JobStatus::Queued | JobStatus::Running) => Some(Awaited::Changes),
            Some(JobStatus::Done) if self.outcome.is_none() => Some(Awaited::Outcome),
            Some(JobStatus::Done | JobStatus::Failed) => None,
        }
    }

    /// How far its shards are; `None` for a job without shards.
    pub fn shards(&self) -> Option<ShardCounts> {
        match &self.state.as_ref()?.task {
            TaskView::Add { .. } => None,
            TaskView::RunJs(task) => task.shards,
        }
    }

    /// Whether it runs the script that the form starts with, which looks for pi.
    pub fn is_about_pi(&self) -> bool {
        match self.state.as_ref().map(|state| &state.task) {
            Some(TaskView::RunJs(task)) => is_example(task.code_bytes),
            Some(TaskView::Add { .. }) | None => false,
        }
    }

    /// How fast it goes as of `now`; only while it runs.
    pub fn estimate(&self, now: UnixMillis) -> Option<Estimate> {
        let total = self.shards()?.total;
        let is_heard_of = !self.is_over() && self.link != Link::Broken;
        is_heard_of.then(|| self.pace.estimate(now, total))?
    }

    /// Milliseconds from submission to the end, or to `now` where it has not ended. `None` for a
    /// job of which the page does not know when it was submitted or ended.
    pub fn elapsed_ms(&self, now: UnixMillis) -> Option<u64> {
        let until = if self.is_over() { self.ended_at? } else { now };
        Some(until.since(self.submitted_at?))
    }

    /// Whether what the server has of it is worth a file: it has ended, and what it gave is here.
    pub fn has_file(&self) -> bool {
        self.is_over() && self.awaited().is_none()
    }

    /// What its owner may order: to stop it, and to hold it or go on.
    pub fn orders(&self) -> Vec<Order> {
        let Some(state) = self.state.as_ref().filter(|_| !self.is_over()) else {
            return Vec::new();
        };
        let hold = if state.control_state == ControlState::Paused {
            Order::Resume
        } else {
            Order::Pause
        };
        let hold = state.is_sharded().then_some(hold);
        hold.into_iter().chain([Order::Stop]).collect()
    }
}

/// Whether it stands still for a reason of its own.
fn is_held(state: &JobState) -> bool {
    state.waiting.is_some() || state.control_state == ControlState::Paused
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "0b1e0000-0000-4000-8000-000000000001";

    fn members(changes: Value) -> Members {
        let mut members = Members::of(&json!({
            "jobId": ID, "status": "running", "controlState": "running",
            "executionModel": "sharded", "task": task(0), "result": null, "error": null,
        }));
        members.apply(Members::of(&changes));
        members
    }

    fn task(completed: u64) -> Value {
        json!({
            "op": "run_js", "executionModel": "sharded", "controlState": "running",
            "timeoutMs": 0, "codeBytes": 8, "hasArgs": true,
            "shardConfig": {"totalUnits": 10, "unitsPerShard": 1, "totalShards": 10},
            "reducer": {"type": "sum", "fields": ["hits"]},
            "shards": {"total": 10, "completed": completed, "failed": 0},
            "seed": "7", "random": "seeded",
        })
    }

    fn partial(completed: u64) -> Value {
        json!({
            "reducer": {"type": "sum", "fields": ["hits"]}, "aggregate": {"hits": completed * 3},
            "completedShards": completed, "totalShards": 10,
        })
    }

    fn changed(changes: Value) -> JobEvent {
        JobEvent::Changed(Members::of(&changes))
    }

    fn followed(events: impl IntoIterator<Item = (u64, JobEvent)>) -> FollowedJob {
        let mut job = FollowedJob::submitted(ID.parse().unwrap(), None, UnixMillis(0));
        for (at, event) in events {
            job.apply(UnixMillis(at), event);
        }
        job
    }

    fn snapshot(changes: Value) -> JobEvent {
        JobEvent::Snapshot(members(changes))
    }

    #[test]
    fn changes_are_put_into_the_snapshot() {
        let job = followed([
            (0, snapshot(json!({}))),
            (
                2_000,
                changed(json!({"task": task(4), "partial": partial(4)})),
            ),
        ]);
        let state = job.state.as_ref().unwrap();
        assert_eq!(state.partial.as_ref().unwrap().completed_shards, 4);
        assert_eq!(job.shards().unwrap().completed, 4);
        let estimate = job.estimate(UnixMillis(2_000)).unwrap();
        assert_eq!((estimate.per_second, estimate.left_ms), (2.0, Some(3_000)));
    }

    #[test]
    fn time_spent_waiting_is_not_counted_as_slowness() {
        let job = followed([
            (0, snapshot(json!({"waiting": "no worker"}))),
            (600_000, changed(json!({"waiting": null}))),
            (602_000, changed(json!({"task": task(4)}))),
        ]);
        assert_eq!(job.state.as_ref().unwrap().waiting, None);
        let estimate = job.estimate(UnixMillis(602_000)).unwrap();
        assert_eq!(estimate.per_second, 2.0);
    }

    #[test]
    fn a_done_job_is_followed_until_its_result_is_there() {
        let mut job = followed([(0, snapshot(json!({})))]);
        assert_eq!(job.awaited(), Some(Awaited::Changes));
        job.apply(UnixMillis(9_000), changed(json!({"status": "done"})));
        assert_eq!(job.awaited(), Some(Awaited::Outcome));
        let outcome = Arc::new(Outcome::Sum("42".into()));
        job.apply(UnixMillis(9_100), JobEvent::Ended(outcome));
        assert_eq!(job.awaited(), None);
        assert_eq!(job.elapsed_ms(UnixMillis(50_000)), Some(9_000));
        assert_eq!(job.estimate(UnixMillis(50_000)), None);
    }

    #[test]
    fn an_owner_may_stop_what_has_not_ended_and_hold_what_has_shards() {
        let orders = |changes| followed([(0, snapshot(changes))]).orders();
        assert_eq!(orders(json!({})), [Order::Pause, Order::Stop]);
        assert_eq!(
            orders(json!({"controlState": "paused"})),
            [Order::Resume, Order::Stop]
        );
        let single = json!({"executionModel": "single", "task": {"op": "add", "a": 1, "b": 2}});
        assert_eq!(orders(single), [Order::Stop]);
        assert_eq!(orders(json!({"status": "failed"})), []);
        assert_eq!(followed([]).orders(), [], "nothing is known of it");
    }

    #[test]
    fn nothing_is_estimated_across_a_broken_link() {
        let mut job = followed([
            (0, snapshot(json!({}))),
            (1_000, changed(json!({"task": task(2)}))),
            (2_000, JobEvent::Linked(Link::Broken)),
        ]);
        assert_eq!(job.estimate(UnixMillis(2_000)), None);
        job.apply(UnixMillis(60_000), snapshot(json!({"task": task(6)})));
        job.apply(UnixMillis(60_000), JobEvent::Linked(Link::Live));
        assert_eq!(
            job.estimate(UnixMillis(62_000)),
            None,
            "it came all at once"
        );
        job.apply(UnixMillis(62_000), changed(json!({"task": task(8)})));
        let estimate = job.estimate(UnixMillis(62_000)).unwrap();
        assert_eq!(estimate.per_second, 1.0);
    }

    #[test]
    fn a_failed_job_has_no_result_to_wait_for() {
        let failed = json!({"status": "failed", "error": "stopped_by_client"});
        let job = followed([(0, snapshot(failed))]);
        assert_eq!(job.awaited(), None);
    }

    #[test]
    fn a_late_answer_changes_nothing() {
        let job = followed([
            (0, snapshot(json!({"status": "done"}))),
            (1, snapshot(json!({}))),
        ]);
        assert_eq!(job.state.unwrap().status, JobStatus::Done);
    }

    #[test]
    fn a_stream_that_starts_anew_replaces_what_was_known() {
        let job = followed([
            (
                0,
                snapshot(json!({"partial": partial(3), "waiting": "no worker"})),
            ),
            (1, JobEvent::Linked(Link::Broken)),
            (2, snapshot(json!({"task": task(5)}))),
            (2, JobEvent::Linked(Link::Live)),
        ]);
        let state = job.state.as_ref().unwrap();
        assert!(state.partial.is_none() && state.waiting.is_none());
        assert_eq!(job.link, Link::Live);
    }

    #[test]
    fn what_cannot_be_read_ends_the_following() {
        let job = followed([(0, changed(json!({"status": "exploded"})))]);
        assert_eq!(job.awaited(), None);
        assert!(job.lost.is_some());
    }
}
