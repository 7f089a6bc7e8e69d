//! The running jobs as workers need them: what is signed of each, and the texts behind the hashes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use scheduler::{JobAssignment, JobKind, JobOutline};
use shared::envelope::{LeafJob, RunJsTask, Task};
use shared::ids::{Digest32, JobId};
use shared::job::JobSpec;
use shared::reduce::ReducerState;
use shared::time::UnixMillis;

use tokio::sync::OwnedSemaphorePermit;

use crate::store::{NewJob, UnfinishedJob};

/// A job whose row is stored, ready to run.
#[derive(Debug)]
pub(crate) struct ReadyJob {
    /// What the scheduler needs.
    pub(super) outline: JobOutline,
    /// What it is.
    pub(super) spec: Arc<JobSpec>,
    /// When it was accepted, and when something of it was stored last.
    pub(super) times: (UnixMillis, UnixMillis),
    /// Kept as long as the job is in memory.
    room: Option<OwnedSemaphorePermit>,
}

impl ReadyJob {
    /// Counts against the bound on unfinished jobs until it ends.
    pub(super) fn with_room(self, room: OwnedSemaphorePermit) -> Self {
        Self {
            room: Some(room),
            ..self
        }
    }

    /// A job just submitted.
    pub(crate) fn submitted(job: NewJob) -> Self {
        Self {
            outline: JobOutline {
                job: job.job,
                kind: kind(&job.spec),
                plan: job.spec.plan(),
                reducer: job.spec.reducer().cloned(),
                policy: job.spec.policy(),
                timeout_ms: timeout_ms(&job.spec),
                seq: 0,
                completed: Default::default(),
                failed_shards: 0,
                reducer_state: ReducerState::default(),
                high_water: job.high_water,
                is_paused: false,
                reclaim: false,
            },
            spec: Arc::new(job.spec),
            times: (job.created_at, job.created_at),
            room: None,
        }
    }

    /// A job that ran before this process started.
    pub(super) fn resumed(job: UnfinishedJob) -> Self {
        let UnfinishedJob { stored, completed } = job;
        Self {
            outline: JobOutline {
                job: stored.job,
                kind: kind(&stored.spec),
                plan: stored.spec.plan(),
                reducer: stored.spec.reducer().cloned(),
                policy: stored.spec.policy(),
                timeout_ms: timeout_ms(&stored.spec),
                seq: stored.progress.seq,
                completed,
                failed_shards: stored.progress.failed_shards,
                reducer_state: stored.progress.reducer_state.unwrap_or_default(),
                high_water: stored.progress.high_water,
                is_paused: stored.progress.is_paused,
                reclaim: true,
            },
            spec: Arc::new(stored.spec),
            times: (stored.created_at, stored.updated_at),
            room: None,
        }
    }
}

/// 0 for none.
const fn timeout_ms(spec: &JobSpec) -> u64 {
    match spec {
        JobSpec::Add(_) => 0,
        JobSpec::RunJs(run) => run.timeout_ms,
    }
}

const fn kind(spec: &JobSpec) -> JobKind {
    match spec {
        JobSpec::Add(_) => JobKind::Add,
        JobSpec::RunJs(_) => JobKind::RunJs,
    }
}

#[derive(Debug, Default)]
pub(super) struct Catalog {
    jobs: HashMap<JobId, Entry>,
    texts: BTreeMap<Digest32, SharedText>,
}

#[derive(Debug)]
struct Entry {
    spec: Arc<JobSpec>,
    task: Task,
    _room: Option<OwnedSemaphorePermit>,
}

/// A text and the number of its uses by running jobs.
#[derive(Debug)]
struct SharedText {
    text: Arc<str>,
    uses: usize,
}

impl Catalog {
    /// Takes a job in; what the scheduler needs of it comes back.
    pub(super) fn add(&mut self, job: ReadyJob) -> JobOutline {
        let task = match &*job.spec {
            JobSpec::Add(operands) => Task::Add {
                a: operands.a,
                b: operands.b,
            },
            JobSpec::RunJs(run) => Task::RunJs(RunJsTask {
                code: self.keep(&run.code),
                args: self.keep(&run.args),
                plan: run.plan,
                timeout_ms: run.timeout_ms,
                seed: run.seed,
                random: run.random,
            }),
        };
        let entry = Entry {
            spec: job.spec,
            task,
            _room: job.room,
        };
        self.jobs.insert(job.outline.job, entry);
        job.outline
    }

    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    pub(super) fn remove(&mut self, job: JobId) {
        let hashes = self.hashes(job);
        self.jobs.remove(&job);
        for hash in hashes {
            self.release(hash);
        }
    }

    pub(super) fn spec(&self, job: JobId) -> Option<Arc<JobSpec>> {
        self.jobs.get(&job).map(|entry| Arc::clone(&entry.spec))
    }

    /// Code and args of a job, each once a use; nothing for `add` and for jobs that have ended.
    pub(super) fn hashes(&self, job: JobId) -> Vec<Digest32> {
        match self.jobs.get(&job).map(|entry| entry.task) {
            Some(Task::RunJs(task)) => vec![task.code, task.args],
            Some(Task::Add { .. }) | None => Vec::new(),
        }
    }

    pub(super) fn content(&self, hash: Digest32) -> Option<Arc<str>> {
        self.texts.get(&hash).map(|shared| Arc::clone(&shared.text))
    }

    /// The jobs of an assignment as they are signed, in the same order; `None` if one is not known,
    /// for leaving it out would number the attempts wrongly.
    pub(super) fn leaf_jobs(&self, jobs: Vec<JobAssignment>) -> Option<Vec<LeafJob>> {
        jobs.into_iter()
            .map(|assignment| {
                let entry = self.jobs.get(&assignment.job)?;
                Some(LeafJob {
                    job: assignment.job,
                    task: entry.task,
                    shards: assignment.shards,
                })
            })
            .collect()
    }

    fn keep(&mut self, text: &str) -> Digest32 {
        let hash = Digest32::of(text.as_bytes());
        self.texts
            .entry(hash)
            .or_insert_with(|| SharedText {
                text: text.into(),
                uses: 0,
            })
            .uses += 1;
        hash
    }

    fn release(&mut self, hash: Digest32) {
        if let Some(shared) = self.texts.get_mut(&hash) {
            shared.uses -= 1;
            if shared.uses == 0 {
                self.texts.remove(&hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::job::{JobLimits, parse_run_js};

    use super::*;

    fn job(number: u8, code: &str) -> ReadyJob {
        let limits = JobLimits {
            max_code_bytes: 1024,
            max_args_bytes: 1024,
            default_timeout_ms: 0,
            max_collect_bytes: 1 << 20,
        };
        let body = serde_json::json!({"code": code});
        ReadyJob::submitted(NewJob {
            job: JobId::from_random([number; 16]),
            created_at: UnixMillis(0),
            spec: parse_run_js(&body, &limits, 7).unwrap(),
            high_water: 1,
        })
    }

    #[test]
    fn texts_live_as_long_as_a_job_that_uses_them() {
        let mut catalog = Catalog::default();
        let (first, second) = (job(1, "return 1"), job(2, "return 1"));
        let first = catalog.add(first).job;
        let second = catalog.add(second).job;
        let code = Digest32::of(b"return 1");
        catalog.remove(first);
        assert_eq!(catalog.content(code).as_deref(), Some("return 1"));
        catalog.remove(second);
        catalog.remove(second);
        assert_eq!(catalog.content(code), None);
        assert!(catalog.texts.is_empty());
    }

    #[test]
    fn an_assignment_of_an_unknown_job_is_not_signed_in_part() {
        let mut catalog = Catalog::default();
        let known = job(1, "return 1");
        let known = catalog.add(known).job;
        let assignment = |job| JobAssignment {
            job,
            shards: vec![(shared::ids::ShardIndex(0), 1)],
        };
        let jobs = vec![assignment(JobId::from_random([9; 16])), assignment(known)];
        assert_eq!(catalog.leaf_jobs(jobs), None);
    }
}
