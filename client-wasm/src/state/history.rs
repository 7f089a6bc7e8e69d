//! Jobs that this tab has submitted, so that none of them is lost from view.

use shared::api::{ControlState, JobState, JobStatus};
use shared::ids::JobId;
use shared::time::UnixMillis;

/// Jobs that are kept.
const MAX_KEPT: usize = 8;

/// The jobs submitted last, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<Past>);

/// A job that was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Which.
    pub id: JobId,
    /// When, by the clock of this page.
    pub submitted_at: UnixMillis,
    /// How it stood when it was heard of last.
    pub standing: Standing,
}

/// How a job stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Waiting or running.
    Going,
    /// Held by its owner.
    Paused,
    /// There is a result.
    Done,
    /// There is none.
    Failed,
    /// Its owner ended it.
    Stopped,
}

impl Standing {
    const ALL: [Self; 5] = [
        Self::Going,
        Self::Paused,
        Self::Done,
        Self::Failed,
        Self::Stopped,
    ];

    /// That of a job in `state`.
    pub const fn of(state: &JobState) -> Self {
        match (state.status, state.control_state) {
            (JobStatus::Done, _) => Self::Done,
            (JobStatus::Failed, ControlState::Cancelled) => Self::Stopped,
            (JobStatus::Failed, ControlState::Running | ControlState::Paused) => Self::Failed,
            (JobStatus::Queued | JobStatus::Running, ControlState::Paused) => Self::Paused,
            (
                JobStatus::Queued | JobStatus::Running,
                ControlState::Running | ControlState::Cancelled,
            ) => Self::Going,
        }
    }

    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Going => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether it may change.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Going | Self::Paused => true,
            Self::Done | Self::Failed | Self::Stopped => false,
        }
    }
}

impl History {
    pub(super) fn add(&mut self, id: JobId, submitted_at: UnixMillis) {
        let standing = Standing::Going;
        self.0.insert(
            0,
            Past {
                id,
                submitted_at,
                standing,
            },
        );
        self.0.truncate(MAX_KEPT);
    }

    /// The job is known to stand like this; `None` where the server does not know it any more.
    pub(super) fn note(&mut self, id: JobId, standing: Option<Standing>) {
        match standing {
            Some(standing) => {
                for past in self.0.iter_mut().filter(|past| past.id == id) {
                    past.standing = standing;
                }
            }
            None => self.0.retain(|past| past.id != id),
        }
    }

    /// When the job `id` was submitted.
    pub fn submitted_at(&self, id: JobId) -> Option<UnixMillis> {
        let past = self.0.iter().find(|past| past.id == id);
        past.map(|past| past.submitted_at)
    }

    /// All but the job `shown`, the latest first.
    pub fn besides(&self, shown: Option<JobId>) -> Vec<Past> {
        let others = self.0.iter().filter(|past| Some(past.id) != shown);
        others.copied().collect()
    }

    /// As text, which [`Self::from_text`] reads: a line a job.
    pub fn to_text(&self) -> String {
        let line = |past: &Past| {
            let word = past.standing.word();
            format!("{} {} {word}\n", past.id, past.submitted_at.0)
        };
        self.0.iter().map(line).collect()
    }

    /// From text; lines of another shape are passed over.
    pub fn from_text(text: &str) -> Self {
        Self(text.lines().filter_map(past).take(MAX_KEPT).collect())
    }
}

fn past(line: &str) -> Option<Past> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let (id, at, word) = (next()?, next()?, next()?);
    let standing = Standing::ALL.into_iter().find(|it| it.word() == word);
    Some(Past {
        id: id.parse().ok()?,
        submitted_at: UnixMillis(at.parse().ok()?),
        standing: standing?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> JobId {
        JobId::from_random([number; 16])
    }

    #[test]
    fn the_latest_jobs_are_kept() {
        let mut history = History::default();
        for number in 0..20 {
            history.add(id(number), UnixMillis(number.into()));
        }
        let ids: Vec<_> = history.besides(None).iter().map(|past| past.id).collect();
        assert_eq!(ids, (12..20).rev().map(id).collect::<Vec<_>>());
        assert_eq!(history.besides(Some(id(19))).len(), MAX_KEPT - 1);
    }

    #[test]
    fn what_was_heard_of_a_job_last_is_kept_and_survives_as_text() {
        let mut history = History::default();
        for number in 1..=3 {
            history.add(id(number), UnixMillis(number.into()));
        }
        history.note(id(1), Some(Standing::Stopped));
        history.note(id(2), None);
        let expected = [(id(3), Standing::Going), (id(1), Standing::Stopped)];
        let again = History::from_text(&history.to_text());
        assert_eq!(again, history);
        let found = again.besides(None);
        assert_eq!(
            found
                .iter()
                .map(|past| (past.id, past.standing))
                .collect::<Vec<_>>(),
            expected
        );
        assert_eq!(again.submitted_at(id(1)), Some(UnixMillis(1)));
    }

    #[test]
    fn text_of_another_shape_is_passed_over() {
        let mut history = History::default();
        history.add(id(1), UnixMillis(7));
        let text = format!("nonsense\n\n{} x done\n{}", id(2), history.to_text());
        assert_eq!(History::from_text(&text), history);
    }
}
