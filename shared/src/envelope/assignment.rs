//! Work that was proved, and the step from there to running it.
//!
//! An attempt leaves its assignment once, to be run or to be given back, so nothing runs twice; and
//! only [`Assignment::start`] makes a [`Run`], after checking again that it is in time and that code
//! and args are those that were signed.

use std::sync::Arc;

use serde::Serialize;

use super::leaf::{AssignLeaf, LeafJob, RunJsTask, Task};
use super::{EnvelopeError, freshness};
use crate::ids::{AttemptId, Digest32, JobId, Nonce, ShardIndex};
use crate::limits::MAX_SAFE_INTEGER;
use crate::plan::{Plan, RandomMode};
use crate::sorted_map::SortedMap;
use crate::time::UnixMillis;
use crate::wire::SignedLeaf;

/// Texts by their SHA-256: what a worker knows of code and args. What is in here is what its key
/// says, by construction.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    texts: SortedMap<Digest32, Arc<str>>,
    bytes: usize,
}

impl Contents {
    /// Keeps `text` under its hash, which is returned.
    pub fn insert(&mut self, text: &str) -> Digest32 {
        let hash = Digest32::of(text.as_bytes());
        if self.texts.insert(hash, text.into()).is_none() {
            self.bytes += text.len();
        }
        hash
    }

    /// The text with this hash.
    pub fn get(&self, hash: Digest32) -> Option<Arc<str>> {
        self.texts.get(hash).cloned()
    }

    /// Bytes of all texts.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets every text that `is_needed` denies.
    pub fn retain(&mut self, is_needed: impl Fn(Digest32) -> bool) {
        self.texts.retain(|hash, _| is_needed(hash));
        self.bytes = self.texts.values().map(|text| text.len()).sum();
    }
}

/// Why an attempt cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// It became too old while it was queued.
    #[error(transparent)]
    TooLate(#[from] EnvelopeError),
    /// Its code or args are not known yet.
    #[error("content {0} is missing")]
    Missing(Digest32),
    /// Nothing is left to start.
    #[error("nothing is left to start")]
    Empty,
}

/// Proved work, of which some attempts may have been started or given back.
#[derive(Debug, Clone)]
pub struct Assignment {
    leaf: AssignLeaf,
    ticket: SignedLeaf,
    /// For each attempt whether it is still here.
    here: Vec<bool>,
    /// No attempt before this one is here.
    front: usize,
}

impl Assignment {
    pub(super) fn new(leaf: AssignLeaf, ticket: SignedLeaf) -> Self {
        let here = vec![true; leaf.attempts()];
        Self {
            leaf,
            ticket,
            here,
            front: 0,
        }
    }

    /// The nonce that names this batch.
    pub const fn nonce(&self) -> Nonce {
        self.leaf.nonce
    }

    /// The leaf as it was signed, to prove the attempts by later.
    pub const fn ticket(&self) -> &SignedLeaf {
        &self.ticket
    }

    /// From when on nothing may be started.
    pub const fn expires_at(&self) -> UnixMillis {
        self.leaf.expires_at
    }

    /// Milliseconds from signing to expiry.
    pub const fn lifetime_ms(&self) -> u64 {
        self.leaf.expires_at.since(self.leaf.issued_at)
    }

    /// Every content that the batch needs.
    pub fn contents(&self) -> impl Iterator<Item = Digest32> {
        self.leaf
            .jobs
            .iter()
            .flat_map(|job| match job.task {
                Task::Add { .. } => [None, None],
                Task::RunJs(task) => [Some(task.code), Some(task.args)],
            })
            .flatten()
    }

    /// Attempts that were neither started nor given back, in order.
    pub fn waiting(&self) -> impl Iterator<Item = AttemptId> {
        let nonce = self.leaf.nonce;
        (self.front..self.here.len())
            .filter(|&place| self.here[place])
            .map(move |place| AttemptId {
                nonce,
                index: place as u32,
            })
    }

    /// As [`Self::waiting`], each with its job.
    pub fn waiting_jobs(&self) -> impl Iterator<Item = (AttemptId, JobId)> {
        self.waiting()
            .filter_map(|attempt| self.job_of(attempt.index).map(|job| (attempt, job)))
    }

    /// Whether no attempt is left.
    pub fn is_empty(&self) -> bool {
        self.front == self.here.len()
    }

    /// The job of the next attempt.
    pub fn next_job(&self) -> Option<&LeafJob> {
        self.job_at(self.front).map(|(job, _)| job)
    }

    /// The job of an attempt, wherever that is; `None` where the leaf has no such attempt.
    pub fn job_of(&self, index: u32) -> Option<JobId> {
        self.job_at(index as usize).map(|(job, _)| job.job)
    }

    /// Takes an attempt out without running it; whether it was here.
    pub fn withdraw(&mut self, index: u32) -> bool {
        let was_here = self
            .here
            .get_mut(index as usize)
            .is_some_and(std::mem::take);
        self.advance();
        was_here
    }

    /// Takes out and starts the next attempts, `most` (at least 1) of one job at most.
    ///
    /// # Errors
    /// [`StartError`]; nothing is taken out then.
    pub fn start(
        &mut self,
        most: usize,
        now: UnixMillis,
        contents: &Contents,
    ) -> Result<Run, StartError> {
        freshness::check_in_time(&self.leaf, now)?;
        let (job, first) = self.job_at(self.front).ok_or(StartError::Empty)?;
        let kind = RunKind::of(&job.task, contents)?;
        let end = first + job.shards.len();
        let places: Vec<usize> = (self.front..end)
            .filter(|&place| self.here[place])
            .take(most.max(1))
            .collect();
        let shards = places
            .iter()
            .map(|&place| {
                let (shard, number) = job.shards[place - first];
                let attempt = AttemptId {
                    nonce: self.leaf.nonce,
                    index: place as u32,
                };
                ShardRun {
                    attempt,
                    shard,
                    number,
                }
            })
            .collect();
        let run = Run {
            job: job.job,
            kind,
            shards,
        };
        for place in places {
            self.here[place] = false;
        }
        self.advance();
        Ok(run)
    }

    /// The job that attempt `place` belongs to, and the place of that job's first attempt.
    fn job_at(&self, place: usize) -> Option<(&LeafJob, usize)> {
        let mut first = 0;
        self.leaf.jobs.iter().find_map(|job| {
            let start = first;
            first += job.shards.len();
            (place < first).then_some((job, start))
        })
    }

    fn advance(&mut self) {
        while self.here.get(self.front) == Some(&false) {
            self.front += 1;
        }
    }
}

/// Attempts of one job that may run: proved, in time, with the code and args that were signed.
#[derive(Debug, Clone)]
pub struct Run {
    job: JobId,
    kind: RunKind,
    shards: Vec<ShardRun>,
}

/// What to run.
#[derive(Debug, Clone)]
pub enum RunKind {
    /// Add two integers; the runtime does that itself.
    Add {
        /// First operand.
        a: i64,
        /// Second operand.
        b: i64,
    },
    /// A script for the sandbox.
    RunJs {
        /// What was signed.
        task: RunJsTask,
        /// The code with the hash `task.code`.
        code: Arc<str>,
        /// JSON text with the hash `task.args`.
        args: Arc<str>,
    },
}

/// One attempt of a [`Run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardRun {
    /// Its identity.
    pub attempt: AttemptId,
    /// Its shard.
    pub shard: ShardIndex,
    /// Its number among the attempts of that shard, from 1.
    pub number: u32,
}

/// `globalThis.__BRAIN__`: what a script is told of its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Brain {
    /// The job.
    pub parent_job_id: String,
    /// From 0.
    pub shard_id: u64,
    /// In the whole job.
    pub total_shards: u64,
    /// In this shard.
    pub units: u64,
    /// In the whole job.
    pub total_units: u64,
    /// Before this shard.
    pub offset: u64,
    /// From 1.
    pub attempt: u32,
    /// The lowest 53 bits of the job's seed.
    pub seed: u64,
}

impl Run {
    /// The job.
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// What to run.
    pub const fn kind(&self) -> &RunKind {
        &self.kind
    }

    /// The attempts, at least one.
    pub fn shards(&self) -> &[ShardRun] {
        &self.shards
    }

    /// What the script is told in `shard`; `None` in single runs and for `add`.
    pub fn brain(&self, shard: &ShardRun) -> Option<Brain> {
        let RunKind::RunJs { task, .. } = &self.kind else {
            return None;
        };
        let Plan::Sharded(plan) = task.plan else {
            return None;
        };
        let units = plan.units_of(shard.shard)?;
        Some(Brain {
            parent_job_id: self.job.to_string(),
            shard_id: shard.shard.0,
            total_shards: plan.total_shards(),
            units: units.units,
            total_units: plan.total_units(),
            offset: units.offset,
            attempt: shard.number,
            seed: task.seed & MAX_SAFE_INTEGER,
        })
    }

    /// Seed of `Math.random` for this run's shards; `None` where the browser's own is used.
    pub const fn random_seed(&self) -> Option<u64> {
        match &self.kind {
            RunKind::RunJs { task, .. } => match task.random {
                RandomMode::Seeded => Some(task.seed),
                RandomMode::System => None,
            },
            RunKind::Add { .. } => None,
        }
    }
}

impl RunKind {
    fn of(task: &Task, contents: &Contents) -> Result<Self, StartError> {
        let known = |hash| contents.get(hash).ok_or(StartError::Missing(hash));
        match *task {
            Task::Add { a, b } => Ok(Self::Add { a, b }),
            Task::RunJs(task) => Ok(Self::RunJs {
                task,
                code: known(task.code)?,
                args: known(task.args)?,
            }),
        }
    }
}
