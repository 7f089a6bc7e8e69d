//! The machine step by step: one claim a test.

use range_set_blaze::RangeSetBlaze;
use shared::ids::{JobId, Nonce, SessionId, ShardIndex, WorkerId};
use shared::job::Policy;
use shared::plan::{Plan, Sharding};
use shared::reduce::Reducer;
use shared::time::Millis;
use shared::wire::{
    AttemptRange, Disposed, Disposition, Held, RefusalReason, Refused, ResultBatch, ResultRow,
    ResultStatus, ShardResult, Stage,
};

use super::Scheduler;
use crate::{
    Contribution, Delta, Effect, Ending, Event, HeldShard, JobAssignment, JobEnd, JobKind,
    JobOutline, Obstacle, SchedulerConfig,
};

mod commits;
mod contributions;
mod control;
mod draining;
mod failures;
mod happy_path;
mod hostile;
mod late_results;
mod policy;
mod restart;
mod sharing;
mod speculation;
mod suspects;
mod time_limits;

/// A scheduler with a clock, and what its last step said.
struct Bench {
    scheduler: Scheduler,
    now: u64,
    effects: Vec<Effect>,
    /// Every assignment so far.
    assigned: Vec<(SessionId, Vec<Given>)>,
    /// What workers say a shard took, in microseconds.
    run_us: u64,
    job: Option<JobId>,
}

/// An attempt as a worker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Given {
    nonce: Nonce,
    index: u32,
    shard: u64,
    number: u32,
}

impl Bench {
    fn new() -> Self {
        Self::with(SchedulerConfig::default())
    }

    fn with(config: SchedulerConfig) -> Self {
        Self {
            scheduler: Scheduler::new([7; 32], config),
            now: 1_000,
            effects: Vec::new(),
            assigned: Vec::new(),
            run_us: 1_000,
            job: None,
        }
    }

    fn step(&mut self, event: Event) {
        self.effects = self.scheduler.step(Millis(self.now), event);
        self.scheduler.check_invariants();
        for effect in &self.effects {
            if let Effect::Assign {
                session,
                nonce,
                jobs,
            } = effect
            {
                self.assigned.push((*session, given(*nonce, jobs)));
            }
        }
    }

    /// Lets time pass and fires what is due, when it is due.
    fn wait(&mut self, ms: u64) {
        let until = self.now + ms;
        let mut effects = Vec::new();
        while let Some(at) = self.scheduler.next_deadline().filter(|at| at.0 < until) {
            self.now = at.0.max(self.now);
            self.step(Event::Tick);
            effects.append(&mut self.effects);
        }
        self.now = until;
        self.step(Event::Tick);
        effects.append(&mut self.effects);
        self.effects = effects;
    }

    fn submit(&mut self, name: u8, shards: u64) -> JobId {
        self.submit_with(name, shards, |_| {})
    }

    fn submit_with(
        &mut self,
        name: u8,
        shards: u64,
        change: impl FnOnce(&mut JobOutline),
    ) -> JobId {
        let mut outline = sharded(name, shards);
        change(&mut outline);
        let job = outline.job;
        self.job = Some(job);
        self.step(Event::JobReady(Box::new(outline)));
        job
    }

    fn join(&mut self, name: u8, slots: u16) -> SessionId {
        let session = session(name);
        self.step(Event::WorkerJoined {
            session,
            worker: worker(name),
            slots,
            credit: 4096,
        });
        session
    }

    fn results(&mut self, session: SessionId, given: &[Given]) {
        self.answer(session, given, ResultStatus::Returned);
    }

    /// Delivers results and commits what follows. Gives what the session is given in return.
    fn work(&mut self, session: SessionId, given: &[Given]) -> Vec<Given> {
        self.results(session, given);
        let mut next = self.given(session);
        for delta in self.deltas() {
            self.commit(&delta);
            next.extend(self.given(session));
        }
        next
    }

    fn answer(&mut self, session: SessionId, given: &[Given], status: ResultStatus) {
        let batches = given
            .chunk_by(|a, b| a.nonce == b.nonce)
            .map(|rows| ResultBatch {
                nonce: rows[0].nonce,
                rows: rows
                    .iter()
                    .map(|given| ResultRow {
                        index: given.index,
                        result: ShardResult {
                            duration_us: self.run_us,
                            ..result(given.shard, status)
                        },
                    })
                    .collect(),
            })
            .collect();
        self.step(Event::Results { session, batches });
    }

    fn beat(&mut self, session: SessionId, given: &[Given], stage: Stage) {
        let held = self.listed(given, stage);
        self.step(Event::Beat { session, held });
    }

    fn resume(&mut self, name: u8, given: &[Given], stage: Stage) {
        let held = self.listed(given, stage);
        self.step(resumed(name, held));
    }

    fn refuse(&mut self, session: SessionId, given: &[Given], reason: RefusalReason) {
        let refusals = given
            .iter()
            .map(|given| Refused {
                range: Some(given.range()),
                reason,
            })
            .collect();
        self.step(Event::Refused { session, refusals });
    }

    /// Shows the ticket of a leaf with attempts of the last job.
    fn prove(&mut self, session: SessionId, leaf: &[Given]) {
        let jobs = self.ticket(leaf);
        self.step(Event::TicketProved {
            session,
            nonce: leaf[0].nonce,
            jobs,
        });
    }

    fn ticket(&self, leaf: &[Given]) -> Vec<JobAssignment> {
        vec![JobAssignment {
            job: self.job.unwrap_or(sharded(1, 1).job),
            shards: leaf
                .iter()
                .map(|given| (ShardIndex(given.shard), given.number))
                .collect(),
        }]
    }

    fn listed(&self, given: &[Given], stage: Stage) -> Vec<Held> {
        given
            .iter()
            .map(|given| Held {
                range: given.range(),
                stage,
            })
            .collect()
    }

    /// The jobs of the last step's assignments, in order.
    fn assigned_jobs(&self) -> Vec<JobId> {
        self.effects
            .iter()
            .filter_map(|effect| {
                let Effect::Assign { jobs, .. } = effect else {
                    return None;
                };
                Some(jobs)
            })
            .flatten()
            .map(|job| job.job)
            .collect()
    }

    /// Everything that the session was ever given.
    fn given_ever(&self, session: SessionId) -> Vec<Given> {
        let own = self.assigned.iter().filter(|(to, _)| *to == session);
        own.flat_map(|(_, given)| given.clone()).collect()
    }

    /// What the session was given and has neither answered nor lost, the oldest first.
    fn held(&self, session: SessionId) -> Vec<Given> {
        let held = self.scheduler.held_attempts(session);
        let given = self.given_ever(session).into_iter();
        given
            .filter(|it| held.contains(&(it.nonce, it.index)))
            .collect()
    }

    /// What the last step gave to the session.
    fn given(&self, session: SessionId) -> Vec<Given> {
        self.effects
            .iter()
            .filter_map(|effect| {
                let Effect::Assign {
                    session: to,
                    nonce,
                    jobs,
                } = effect
                else {
                    return None;
                };
                (*to == session).then(|| given(*nonce, jobs))
            })
            .flatten()
            .collect()
    }

    fn deltas(&self) -> Vec<Delta> {
        self.effects
            .iter()
            .filter_map(|effect| {
                let Effect::Persist(delta) = effect else {
                    return None;
                };
                Some((**delta).clone())
            })
            .collect()
    }

    fn delta(&self) -> Delta {
        let mut deltas = self.deltas();
        assert_eq!(deltas.len(), 1, "one delta in {:?}", self.effects);
        deltas.remove(0)
    }

    fn commit(&mut self, delta: &Delta) {
        self.step(Event::Committed {
            job: delta.job,
            seq: delta.seq,
        });
    }

    fn disposed(&self, session: SessionId) -> Vec<(AttemptRange, Disposition)> {
        self.effects
            .iter()
            .filter_map(|effect| {
                let Effect::Dispose {
                    session: to,
                    disposed,
                } = effect
                else {
                    return None;
                };
                (*to == session).then(|| disposed.clone())
            })
            .flatten()
            .map(|Disposed { range, disposition }| (range, disposition))
            .collect()
    }

    fn revoked(&self, session: SessionId) -> Vec<AttemptRange> {
        self.effects
            .iter()
            .filter_map(|effect| {
                let Effect::Revoke {
                    session: to,
                    ranges,
                } = effect
                else {
                    return None;
                };
                (*to == session).then(|| ranges.clone())
            })
            .flatten()
            .collect()
    }

    fn has_ended(&self, job: JobId) -> bool {
        let ended =
            |effect: &Effect| matches!(effect, Effect::JobEnded { job: it, .. } if *it == job);
        self.effects.iter().any(ended)
    }
}

impl Given {
    const fn range(self) -> AttemptRange {
        AttemptRange {
            nonce: self.nonce,
            first: self.index,
            count: 1,
        }
    }
}

fn resumed(name: u8, held: Vec<Held>) -> Event {
    Event::WorkerResumed {
        session: session(name),
        worker: worker(name),
        slots: 4,
        credit: 4096,
        held,
    }
}

fn results_of(session: SessionId, given: Given, result: ShardResult) -> Event {
    Event::Results {
        session,
        batches: vec![ResultBatch {
            nonce: given.nonce,
            rows: vec![ResultRow {
                index: given.index,
                result,
            }],
        }],
    }
}

fn given(nonce: Nonce, jobs: &[JobAssignment]) -> Vec<Given> {
    jobs.iter()
        .flat_map(|job| &job.shards)
        .zip(0..)
        .map(|((ShardIndex(shard), number), index)| Given {
            nonce,
            index,
            shard: *shard,
            number: *number,
        })
        .collect()
}

fn shards(given: &[Given]) -> Vec<u64> {
    given.iter().map(|given| given.shard).collect()
}

fn session(name: u8) -> SessionId {
    SessionId::from_bytes([name; 16])
}

fn worker(name: u8) -> WorkerId {
    format!("worker-{name}").parse().unwrap()
}

fn sharded(name: u8, shards: u64) -> JobOutline {
    let reducer = Reducer::Sum {
        fields: vec!["hits".into()],
        all: false,
    };
    JobOutline {
        job: JobId::from_random([name; 16]),
        kind: JobKind::RunJs,
        plan: Plan::Sharded(Sharding::new(shards, 1).unwrap()),
        seq: 0,
        completed: RangeSetBlaze::new(),
        failed_shards: 0,
        reducer_state: reducer.initial(),
        reducer: Some(reducer),
        policy: Policy::default(),
        timeout_ms: 0,
        is_paused: false,
        high_water: SchedulerConfig::default().first_high_water(shards),
        reclaim: false,
    }
}

fn result(shard: u64, status: ResultStatus) -> ShardResult {
    ShardResult {
        status,
        duration_us: 1_000,
        value: (status == ResultStatus::Returned).then(|| format!("{{\"hits\":{shard}}}")),
        details: None,
    }
}
