//! What the dashboard knows. It changes by `apply` alone, which is pure and tested natively.

mod history;
mod job;
mod outcome;

use std::fmt;

use shared::api::{InviteCreated, WorkerList};
use shared::ids::JobId;
use shared::time::UnixMillis;

pub use history::{History, Past, Standing};
pub use job::{Awaited, FollowedJob, JobEvent, Link, Order};
pub use outcome::{Collected, MAX_ROWS, NotReadable, Outcome};

/// The client key as it was typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// Everything that the views show.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Who uses the page.
    pub access: Access,
    /// Connected workers; `None` until the server has told.
    pub workers: Option<WorkerList>,
    /// The invite made last.
    pub invite: Option<Invite>,
    /// The job that is shown.
    pub job: Option<FollowedJob>,
    /// It and those before it.
    pub history: History,
    /// Devices come first on the page: there was none when the user came.
    pub devices_first: bool,
    /// The invite is folded away.
    pub is_invite_folded: bool,
    /// Why what is shown may be out of date.
    pub trouble: Option<String>,
}

/// Who uses the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nobody yet; with the reason if a key was refused.
    Out(Option<String>),
    /// Somebody who had signed in before the page was loaded anew; the key is being checked.
    Returning,
    /// Somebody whose key the server has accepted.
    In(Key),
}

impl Default for Access {
    fn default() -> Self {
        Self::Out(None)
    }
}

/// An invite, and until when it lets devices in by the clock of this page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// As the server made it.
    pub created: InviteCreated,
    /// What it was called.
    pub label: Option<String>,
    /// Counted from when it was made, so that this device's clock need not be right.
    pub ends_at: UnixMillis,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key that was kept over a reload is being checked.
    Returned,
    /// The server accepted this key.
    SignedIn(Key),
    /// The server refused a key, or refuses it from here on.
    SignInRefused(String),
    /// The user signed out.
    SignedOut,
    /// The list of workers came.
    WorkersLoaded(WorkerList),
    /// An invite was made.
    InviteMade {
        /// As the server made it.
        created: Box<InviteCreated>,
        /// What it was called.
        label: Option<String>,
        /// When it came.
        at: UnixMillis,
    },
    /// The user folds the invite away, or opens it again.
    InviteFolded(bool),
    /// The server took a job, which is followed from here on.
    JobSubmitted {
        /// The job.
        id: JobId,
        /// What the server had to say about its plan.
        note: Option<String>,
        /// When.
        at: UnixMillis,
    },
    /// What an earlier page of this tab remembered of its jobs.
    HistoryFound(History),
    /// A job of the history is to be shown: it was when the page was loaded anew, or the user wants it.
    JobReopened(JobId),
    /// How a job of the history stands; `None` where the server does not know it any more.
    JobHeardOf(JobId, Option<Standing>),
    /// Something came of a job.
    Job {
        /// Which.
        id: JobId,
        /// When.
        at: UnixMillis,
        /// What.
        event: JobEvent,
    },
    /// A call failed that nobody asked for.
    Troubled(String),
    /// Such a call succeeded.
    Recovered,
}

impl State {
    /// Takes in what happened.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Returned => self.access = Access::Returning,
            Event::SignedIn(key) => self.access = Access::In(key),
            Event::SignInRefused(why) => {
                self.access = Access::Out(Some(why));
                self.trouble = None;
            }
            Event::SignedOut => *self = Self::default(),
            Event::WorkersLoaded(workers) => {
                if self.workers.is_none() {
                    self.devices_first = workers.count == 0;
                }
                self.workers = Some(workers);
            }
            Event::InviteMade { created, label, at } => {
                self.invite = Some(Invite {
                    ends_at: at.plus(created.ttl_sec.saturating_mul(1000)),
                    created: *created,
                    label,
                });
                self.is_invite_folded = false;
            }
            Event::InviteFolded(is_folded) => self.is_invite_folded = is_folded,
            Event::JobSubmitted { id, note, at } => {
                self.job = Some(FollowedJob::submitted(id, note, at));
                self.history.add(id, at);
                // From here on people look at the job.
                self.is_invite_folded = true;
            }
            Event::HistoryFound(history) => self.history = history,
            Event::JobReopened(id) => {
                let submitted_at = self.history.submitted_at(id);
                self.job = Some(FollowedJob::found(id, submitted_at));
            }
            Event::JobHeardOf(id, standing) => self.history.note(id, standing),
            Event::Job { id, at, event } => self.job_event(id, at, event),
            Event::Troubled(why) => self.trouble = Some(why),
            Event::Recovered => self.trouble = None,
        }
    }

    fn job_event(&mut self, id: JobId, at: UnixMillis, event: JobEvent) {
        let Some(job) = self.job.as_mut().filter(|job| job.id == id) else {
            return;
        };
        job.apply(at, event);
        if let Some(state) = &job.state {
            self.history.note(id, Some(Standing::of(state)));
        }
    }

    /// The key, once the server has accepted it.
    pub const fn key(&self) -> Option<&Key> {
        match &self.access {
            Access::In(key) => Some(key),
            Access::Out(_) | Access::Returning => None,
        }
    }

    /// What the job `id` is still to be asked for; `None` where it is not followed.
    pub fn awaited(&self, id: JobId) -> Option<Awaited> {
        self.job.as_ref().filter(|job| job.id == id)?.awaited()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::api::{IsoTime, Members};

    use super::*;

    const A: &str = "0b1e0000-0000-4000-8000-00000000000a";
    const B: &str = "0b1e0000-0000-4000-8000-00000000000b";

    fn id(text: &str) -> JobId {
        text.parse().unwrap()
    }

    fn after(events: impl IntoIterator<Item = Event>) -> State {
        let mut state = State::default();
        events.into_iter().for_each(|event| state.apply(event));
        state
    }

    fn submitted(job: &str) -> Event {
        Event::JobSubmitted {
            id: id(job),
            note: Some("a note".into()),
            at: UnixMillis(0),
        }
    }

    fn signed_in() -> Event {
        Event::SignedIn(Key("secret".into()))
    }

    #[test]
    fn answers_about_another_job_are_passed_over() {
        let done = Members::of(&json!({
            "jobId": A, "status": "done", "controlState": "running", "executionModel": "single",
            "task": {"op": "add", "a": 1, "b": 2}, "result": null, "error": null,
        }));
        let late = Event::Job {
            id: id(A),
            at: UnixMillis(0),
            event: JobEvent::Snapshot(done),
        };
        let state = after([submitted(A), submitted(B), late]);
        assert_eq!(state.awaited(id(A)), None);
        assert_eq!(state.awaited(id(B)), Some(Awaited::Changes));
    }

    #[test]
    fn a_refused_key_returns_to_sign_in_and_keeps_the_rest() {
        let state = after([
            signed_in(),
            submitted(A),
            Event::SignInRefused("No.".into()),
        ]);
        assert_eq!(state.access, Access::Out(Some("No.".into())));
        assert!(state.key().is_none() && state.job.is_some());
    }

    #[test]
    fn a_refused_key_is_no_trouble_with_the_server() {
        let trouble = || Event::Troubled("The server cannot be reached.".into());
        let state = after([signed_in(), trouble(), Event::SignInRefused("No.".into())]);
        assert_eq!(state.trouble, None);
        assert_eq!(after([signed_in(), trouble()]).trouble.unwrap().len(), 29);
    }

    #[test]
    fn signing_out_forgets_everything() {
        let state = after([signed_in(), submitted(A), Event::SignedOut]);
        assert_eq!(state.access, Access::Out(None));
        assert!(state.job.is_none() && state.workers.is_none() && state.invite.is_none());
        assert_eq!(state.history, History::default());
    }

    #[test]
    fn an_earlier_job_can_be_shown_again() {
        let running = |job: &str, status: &str, control: &str| Event::Job {
            id: id(job),
            at: UnixMillis(50),
            event: JobEvent::Snapshot(Members::of(&json!({
                "jobId": job, "status": status, "controlState": control,
                "executionModel": "single", "task": {"op": "add", "a": 1, "b": 2},
                "result": null, "error": null,
            }))),
        };
        let mut state = after([submitted(A), running(A, "running", "paused"), submitted(B)]);
        let earlier = |state: &State| {
            let shown = state.job.as_ref().map(|job| job.id);
            let list = state.history.besides(shown);
            list.iter()
                .map(|past| (past.id, past.standing))
                .collect::<Vec<_>>()
        };
        assert_eq!(earlier(&state), [(id(A), Standing::Paused)]);
        state.apply(Event::JobHeardOf(id(A), Some(Standing::Stopped)));
        assert_eq!(earlier(&state), [(id(A), Standing::Stopped)]);
        state.apply(Event::JobReopened(id(A)));
        assert_eq!(state.awaited(id(A)), Some(Awaited::Changes));
        assert_eq!(earlier(&state), [(id(B), Standing::Going)]);
        state.apply(running(A, "done", "running"));
        assert_eq!(
            state.job.as_ref().unwrap().elapsed_ms(UnixMillis(99)),
            None,
            "when it ended is not known"
        );
        state.apply(Event::JobHeardOf(id(B), None));
        assert_eq!(earlier(&state), []);
    }

    #[test]
    fn devices_come_first_for_who_comes_when_there_is_none() {
        let workers = |count: usize| {
            let list = json!({"count": count, "totalSlots": count, "workers": []});
            Event::WorkersLoaded(serde_json::from_value(list).unwrap())
        };
        let mut state = after([signed_in(), workers(0)]);
        assert!(state.devices_first);
        state.apply(workers(1));
        assert!(
            state.devices_first,
            "nothing moves away from under a pointer"
        );
        assert!(!after([signed_in(), workers(1), workers(0)]).devices_first);
    }

    #[test]
    fn an_invite_is_folded_away_while_people_look_at_a_job() {
        let folded = |events: Vec<Event>| after(events).is_invite_folded;
        assert!(folded(vec![submitted(A)]));
        assert!(!folded(vec![submitted(A), Event::InviteFolded(false)]));
    }

    #[test]
    fn an_invite_ends_by_the_clock_of_this_page() {
        let created = InviteCreated {
            invite_token: "v1.a.b".into(),
            invite_url: "https://host/worker?invite=v1.a.b".into(),
            short_code: None,
            short_invite_url: None,
            phrase_slug: None,
            phrase_code: None,
            phrase_invite_url: None,
            invite_qr_data_url: None,
            expires_at: IsoTime(UnixMillis(99_000_000)),
            ttl_sec: 60,
            network: None,
            max_uses: None,
        };
        let state = after([Event::InviteMade {
            created: Box::new(created),
            label: None,
            at: UnixMillis(5_000),
        }]);
        assert_eq!(state.invite.unwrap().ends_at, UnixMillis(65_000));
    }

    #[test]
    fn the_key_is_not_shown_in_logs() {
        let shown = format!("{:?}", after([signed_in()]));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
