//! The books of the cluster: who did what, and what became of the jobs.
//!
//! Lives here: putting both together into what `/api/metrics/cluster` shows. Looking costs time in
//! proportion to workers and running jobs, so what was seen is shown again for a short while, however
//! many ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scheduler::{Contribution, Ending, HeldShard, Scheduler, WorkerView};
use shared::api::{ActiveShard, ClusterMetrics, IsoTime, RuntimeMetrics, ShardContext, TaskBrief};
use shared::ids::{JobId, WorkerId};
use shared::plan::Plan;
use shared::time::{Millis, UnixMillis};

use super::history::{Brief, History};
use super::sessions::Sessions;
use super::tally::{Moment, Tally};
use crate::shard_name::shard_name;
use crate::store::EndedJobs;

/// How long a look is good for, in milliseconds.
const LOOK_MS: u64 = 250;
/// Shards that are shown of each worker.
const SHARDS_PER_WORKER: usize = 3;

/// How everything stood at a moment.
#[derive(Debug)]
pub(crate) struct Look {
    /// As clients see it.
    pub cluster: ClusterMetrics,
    /// Memory of all changes that are not stored yet, in bytes.
    pub uncommitted_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Books {
    pub(super) tally: Tally,
    history: History,
    /// For how long ended jobs are kept, in milliseconds; `None` for ever.
    retention_ms: Option<u64>,
    look: Option<(Millis, Arc<Look>)>,
}

impl Books {
    pub(super) fn open(ended: EndedJobs, retention: Option<Duration>) -> Self {
        Self {
            retention_ms: retention.and_then(|it| u64::try_from(it.as_millis()).ok()),
            tally: Tally::default(),
            history: History::load(ended),
            look: None,
        }
    }

    /// A job was taken in, which changed last at `updated_at`.
    pub(super) fn began(
        &mut self,
        job: JobId,
        task: TaskBrief,
        plan: Plan,
        (created_at, updated_at): (UnixMillis, UnixMillis),
    ) {
        let brief = Brief {
            task,
            plan,
            created_at,
        };
        self.history.began(job, brief, updated_at);
    }

    pub(super) fn changed(&mut self, job: JobId, at: UnixMillis) {
        self.history.changed(job, at);
    }

    pub(super) fn contributed(&mut self, job: JobId, contributions: &[Contribution], at: Moment) {
        let Some(brief) = self.history.brief(job) else {
            return;
        };
        for contribution in contributions {
            self.tally
                .contributed(brief.task, brief.plan, contribution, at);
            self.history.contributed(job, &contribution.worker);
        }
    }

    pub(super) fn ended(
        &mut self,
        job: JobId,
        completed: u64,
        failed: u64,
        ending: Ending,
        at: Moment,
    ) {
        self.history.ended(job, completed, failed, ending, at);
    }

    /// How everything stands, or stood a quarter of a second ago.
    pub(super) fn look(
        &mut self,
        scheduler: &Scheduler,
        sessions: &Sessions,
        at: Moment,
    ) -> Arc<Look> {
        if let Some((seen, look)) = &self.look
            && at.mono.since(*seen) < LOOK_MS
        {
            return Arc::clone(look);
        }
        self.forget_removed(at.running);
        let views = scheduler.workers();
        let last_seen = |view: &WorkerView| sessions.last_seen(view.session);
        let now = IsoTime(at.wall);
        let look = Arc::new(Look {
            cluster: ClusterMetrics {
                now,
                workers: self.tally.report(&views, last_seen, at),
                runtime: self.runtime(scheduler, sessions.has_sockets(), &views, now),
            },
            uncommitted_bytes: scheduler.uncommitted_bytes() as u64,
        });
        self.look = Some((at.mono, Arc::clone(&look)));
        look
    }

    fn runtime(
        &self,
        scheduler: &Scheduler,
        has_workers: bool,
        views: &[WorkerView],
        now: IsoTime,
    ) -> RuntimeMetrics {
        let holder = |job| scheduler.holder(job);
        let report = self
            .history
            .report(scheduler.progress(), has_workers, holder);
        RuntimeMetrics {
            now,
            queue_depth: report.queue_depth,
            active_assignments: report.active_assignments,
            counters: report.counters,
            jobs: report.jobs,
            active_worker_shard_contexts: self.active_shards(scheduler, views),
        }
    }

    /// Forgets the jobs that the store has removed, or is about to.
    fn forget_removed(&mut self, now: UnixMillis) {
        if let Some(kept_ms) = self.retention_ms {
            let before = UnixMillis(now.0.saturating_sub(kept_ms));
            self.history.remove_ended_before(before);
        }
    }

    /// Shards of sharded jobs that workers hold.
    fn active_shards(
        &self,
        scheduler: &Scheduler,
        views: &[WorkerView],
    ) -> BTreeMap<WorkerId, Vec<ActiveShard>> {
        let busy = views.iter().filter(|view| view.in_flight > 0);
        busy.filter_map(|view| {
            let held = scheduler.held_shards(view.session, SHARDS_PER_WORKER);
            let shards: Vec<_> = held.iter().filter_map(|it| self.active_shard(it)).collect();
            (!shards.is_empty()).then(|| (view.worker.clone(), shards))
        })
        .collect()
    }

    fn active_shard(&self, held: &HeldShard) -> Option<ActiveShard> {
        let sharding = match self.history.brief(held.job)?.plan {
            Plan::Single => return None,
            Plan::Sharded(sharding) => sharding,
        };
        let context = ShardContext::new(held.job, sharding, held.shard)?;
        Some(ActiveShard {
            job_id: shard_name(held.job, held.shard).to_string(),
            parent_job_id: held.job,
            shard_index: held.shard.0,
            total_shards: context.total_shards,
            attempt: held.attempt,
            context,
        })
    }
}
