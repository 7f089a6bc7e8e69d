//! What the dashboard knows. It changes by `apply` alone, which is pure and tested natively.

use serde::Deserialize;
use serde_json::Value;

/// Everything that the views show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The client key, once the server has accepted it.
    pub key: Option<String>,
    /// Why signing in did not work.
    pub sign_in_error: Option<String>,
    /// Connected workers; `None` until the server has told.
    pub workers: Option<Workers>,
    /// The invite made last.
    pub invite: Option<Invite>,
    /// The job submitted last.
    pub job: Option<Job>,
    /// The server's word about the job's plan.
    pub note: Option<String>,
    /// Something that went wrong outside a form.
    pub alert: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The server accepted this key.
    SignedIn(String),
    /// The server refused a key, or refuses it from here on.
    SignInRefused(String),
    /// The user signed out.
    SignedOut,
    /// The list of workers came.
    WorkersLoaded(Workers),
    /// An invite was made.
    InviteMade(Invite),
    /// A job was accepted.
    JobCreated(Created),
    /// A job's state came.
    JobLoaded(Box<Job>),
    /// A call failed.
    CallFailed(String),
    /// A call succeeded after others had failed.
    Recovered,
    /// The user has read the alert.
    AlertClosed,
}

/// `GET /api/workers`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// Connected workers.
    pub count: u64,
    /// Shards that they can run at the same time.
    pub total_slots: u64,
    /// One entry a worker.
    pub workers: Vec<Worker>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// Its name.
    pub worker_id: String,
    /// `idle` or `busy`.
    pub state: String,
    /// Attempts it holds.
    pub in_flight_count: u64,
    /// Shards that it can run at the same time.
    pub max_slots: u64,
}

/// `POST /api/invites/worker`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// The full link.
    pub invite_url: String,
    /// The short link.
    pub short_invite_url: Option<String>,
    /// Words to say aloud.
    pub phrase_code: Option<String>,
    /// The link made of those words.
    pub phrase_invite_url: Option<String>,
    /// A picture of the link.
    pub invite_qr_data_url: Option<String>,
    /// When it stops letting workers in.
    pub expires_at: String,
}

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The job's id.
    pub job_id: String,
    /// What the server has to say about the plan.
    #[serde(default)]
    pub note: Option<String>,
}

/// `GET /api/jobs/:jobId`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub job_id: String,
    /// `queued`, `running`, `done` or `failed`.
    pub status: String,
    /// `single` or `sharded`.
    pub execution_model: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// What came out.
    #[serde(default)]
    pub result: Value,
    /// What was asked for.
    #[serde(default)]
    pub task: Task,
}

/// The parts of a job's task that are shown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Task {
    /// Progress of a sharded job.
    pub shards: Option<Shards>,
}

/// Progress of a sharded job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Shards {
    /// In the job.
    pub total: u64,
    /// With a result.
    pub completed: u64,
    /// Of those, failed.
    pub failed: u64,
}

impl Job {
    /// Whether nothing will change any more.
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "done" | "failed")
    }
}

impl State {
    /// Takes in what happened.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::SignedIn(key) => {
                self.key = Some(key);
                self.sign_in_error = None;
            }
            Event::SignInRefused(why) => {
                self.key = None;
                self.sign_in_error = Some(why);
            }
            Event::SignedOut => *self = Self::default(),
            Event::WorkersLoaded(workers) => self.workers = Some(workers),
            Event::InviteMade(invite) => self.invite = Some(invite),
            Event::JobCreated(created) => {
                self.note = created.note;
                self.job = Some(Job {
                    job_id: created.job_id,
                    status: "queued".to_owned(),
                    execution_model: None,
                    error: None,
                    result: Value::Null,
                    task: Task::default(),
                });
            }
            Event::JobLoaded(job) => {
                let is_shown = |shown: &Job| shown.job_id == job.job_id && !shown.is_over();
                if self.job.as_ref().is_some_and(is_shown) {
                    self.job = Some(*job);
                }
            }
            Event::CallFailed(why) => self.alert = Some(why),
            Event::Recovered | Event::AlertClosed => self.alert = None,
        }
    }

    /// The job that is still to be followed.
    pub fn followed_job(&self) -> Option<&str> {
        self.job
            .as_ref()
            .filter(|job| !job.is_over())
            .map(|job| job.job_id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(id: &str, status: &str) -> Box<Job> {
        let state = json!({
            "jobId": id, "status": status, "controlState": "running",
            "executionModel": "sharded", "result": null, "error": null,
            "task": {"op": "run_js", "shards": {"total": 10, "completed": 4, "failed": 0}},
        });
        serde_json::from_value(state).unwrap()
    }

    fn after(events: impl IntoIterator<Item = Event>) -> State {
        let mut state = State::default();
        events.into_iter().for_each(|event| state.apply(event));
        state
    }

    fn created(id: &str) -> Event {
        Event::JobCreated(Created {
            job_id: id.into(),
            note: Some("a note".into()),
        })
    }

    #[test]
    fn a_job_is_followed_until_it_is_over() {
        let mut state = after([created("a")]);
        assert_eq!(state.followed_job(), Some("a"));
        state.apply(Event::JobLoaded(job("a", "running")));
        assert_eq!(
            state.job.as_ref().unwrap().task.shards.unwrap().completed,
            4
        );
        state.apply(Event::JobLoaded(job("a", "done")));
        assert_eq!(state.followed_job(), None);
        state.apply(Event::JobLoaded(job("a", "running")));
        assert_eq!(
            state.job.unwrap().status,
            "done",
            "a late answer changes nothing"
        );
    }

    #[test]
    fn answers_about_another_job_are_passed_over() {
        let state = after([
            created("a"),
            created("b"),
            Event::JobLoaded(job("a", "done")),
        ]);
        assert_eq!(state.followed_job(), Some("b"));
    }

    #[test]
    fn a_refused_key_returns_to_sign_in_and_keeps_the_rest() {
        let state = after([
            Event::SignedIn("key".into()),
            created("a"),
            Event::SignInRefused("Unauthorized client token.".into()),
        ]);
        assert_eq!(state.key, None);
        assert!(state.job.is_some());
        assert!(state.sign_in_error.is_some());
    }

    #[test]
    fn signing_out_forgets_everything() {
        let state = after([
            Event::SignedIn("key".into()),
            created("a"),
            Event::SignedOut,
        ]);
        assert_eq!(state, State::default());
    }
}
