//! Workers that say anything at all: nothing panics, the parts of the state agree after each step,
//! and each shard is still folded once.

use std::collections::BTreeMap;

use shared::wire::{ErrorText, ResultDetails};

use super::*;
use crate::model::jobs::lost_shard;
use crate::model::rng::Rng;

const SEEDS: u64 = 300;
const STEPS: u64 = 250;
const NAMES: u64 = 4;
const JOBS: u64 = 3;
/// A year, so that whatever waits is due.
const LONG_MS: u64 = 31_536_000_000;

/// A schedule that is made up as it goes.
struct Riot {
    bench: Bench,
    rng: Rng,
    /// Every assignment: a ticket is one of these, for nobody can sign another.
    tickets: Vec<(SessionId, Nonce, Vec<JobAssignment>)>,
    /// Deltas that are under way, in order.
    pending: Vec<Delta>,
    ends: BTreeMap<JobId, Delta>,
}

impl Riot {
    fn new(seed: u64) -> Self {
        Self {
            bench: Bench::with(SchedulerConfig {
                reserve_block: 16,
                ..SchedulerConfig::default()
            }),
            rng: Rng::new(seed),
            tickets: Vec::new(),
            pending: Vec::new(),
            ends: BTreeMap::new(),
        }
    }

    fn step(&mut self, event: Event) {
        self.bench.step(event);
        for effect in &self.bench.effects {
            match effect {
                Effect::Assign {
                    session,
                    nonce,
                    jobs,
                } => self.tickets.push((*session, *nonce, jobs.clone())),
                Effect::Persist(delta) => self.pending.push((**delta).clone()),
                Effect::Welcome { .. }
                | Effect::Dispose { .. }
                | Effect::Revoke { .. }
                | Effect::Contributed { .. }
                | Effect::JobSwitched { .. }
                | Effect::JobChanged { .. }
                | Effect::JobEnded { .. }
                | Effect::SessionEnded { .. }
                | Effect::Drained { .. } => {}
            }
        }
    }

    fn name(&mut self) -> u8 {
        self.rng.below(NAMES) as u8 + 1
    }

    fn nonce(&mut self) -> Nonce {
        if self.tickets.is_empty() || self.rng.percent(10) {
            return Nonce::from_bytes(self.rng.bytes16());
        }
        let recent = self.tickets.len().min(12) as u64;
        let place = self.tickets.len() - 1 - self.rng.below(recent) as usize;
        self.tickets[place].1
    }

    fn range(&mut self) -> AttemptRange {
        AttemptRange {
            nonce: self.nonce(),
            first: self.rng.pick(&[0, 0, 0, 1, 3, 1_000, u32::MAX]),
            count: self.rng.pick(&[1, 2, 8, 1_024, u32::MAX]),
        }
    }

    fn held(&mut self) -> Vec<Held> {
        let stages = [Stage::Queued, Stage::Running, Stage::Finished];
        (0..self.rng.below(6))
            .map(|_| Held {
                range: self.range(),
                stage: self.rng.pick(&stages),
            })
            .collect()
    }

    fn credit(&mut self) -> u32 {
        self.rng.pick(&[0, 1, 8, 4_096, u32::MAX])
    }

    fn results(&mut self) -> Vec<ResultBatch> {
        (0..self.rng.below(4))
            .map(|_| {
                let nonce = self.nonce();
                let rows = (0..self.rng.below(12)).map(|_| self.row(nonce)).collect();
                ResultBatch { nonce, rows }
            })
            .collect()
    }

    /// An honest value, for a lie about it cannot be told from the truth; everything else is made up.
    fn row(&mut self, nonce: Nonce) -> ResultRow {
        let index = self.rng.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 1_023, u32::MAX]);
        let ticket = self.tickets.iter().find(|(_, of, _)| *of == nonce);
        let shard = ticket.and_then(|(_, _, jobs)| {
            let mut all = given(nonce, jobs).into_iter();
            all.find(|given| given.index == index)
        });
        let status = self.rng.pick(&[
            ResultStatus::Returned,
            ResultStatus::Returned,
            ResultStatus::Threw,
            ResultStatus::TimedOut,
            ResultStatus::ExecutorFailed,
        ]);
        ResultRow {
            index,
            result: ShardResult {
                status,
                duration_us: self.rng.pick(&[0, 1, 5_000, 40_000_000, u64::MAX]),
                value: Some(format!("{{\"hits\":{}}}", shard.map_or(0, |it| it.shard))),
                details: self.rng.percent(10).then(|| {
                    Box::new(ResultDetails {
                        error: Some(ErrorText {
                            message: "no".into(),
                            stack: None,
                        }),
                        ..ResultDetails::default()
                    })
                }),
            },
        }
    }

    fn refusals(&mut self) -> Vec<Refused> {
        let reasons = [
            RefusalReason::JobRefused,
            RefusalReason::Stopped,
            RefusalReason::BadSignature,
        ];
        (0..self.rng.below(4))
            .map(|_| Refused {
                range: self.rng.percent(90).then(|| self.range()),
                reason: self.rng.pick(&reasons),
            })
            .collect()
    }

    /// Settles the oldest delta that is under way.
    fn commit(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let delta = self.pending.remove(0);
        let (job, seq) = (delta.job, delta.seq);
        if self.rng.percent(10) {
            self.pending.retain(|other| other.job != job);
            return self.step(Event::CommitFailed { job, seq });
        }
        if delta.end.is_some() {
            self.ends.insert(job, delta);
        }
        self.step(Event::Committed { job, seq });
    }

    fn anything(&mut self) {
        let name = self.name();
        let session = session(name);
        match self.rng.below(20) {
            0 => {
                let (slots, credit) = (self.rng.pick(&[0, 1, 4, u16::MAX]), self.credit());
                self.step(Event::WorkerJoined {
                    session,
                    worker: worker(name),
                    slots,
                    credit,
                });
            }
            1 => self.step(Event::WorkerDetached { session }),
            2 | 3 => {
                let (slots, credit) = (self.rng.pick(&[0, 1, 4, u16::MAX]), self.credit());
                let held = self.held();
                self.step(Event::WorkerResumed {
                    session,
                    worker: worker(name),
                    slots,
                    credit,
                    held,
                });
            }
            4 => self.step(Event::WorkerLeft { session }),
            5 | 6 => self.show_ticket(session),
            7..=10 => {
                let batches = self.results();
                self.step(Event::Results { session, batches });
            }
            11 => {
                let limit = self.credit();
                self.step(Event::Credit { session, limit });
            }
            12 | 13 => {
                let held = self.held();
                self.step(Event::Beat { session, held });
            }
            14 => {
                let refusals = self.refusals();
                self.step(Event::Refused { session, refusals });
            }
            15..=17 => self.commit(),
            18 => {
                self.bench.now += self.rng.pick(&[1, 50, 5_000, 35_000, 100_000]);
                self.step(Event::Tick);
            }
            _ => {
                let delta = (
                    JobId::from_random([self.rng.below(JOBS) as u8 + 1; 16]),
                    self.rng.below(5),
                );
                // One that nobody waits for.
                if self.pending.iter().all(|it| it.job != delta.0) {
                    self.step(Event::Committed {
                        job: delta.0,
                        seq: 1_000 + delta.1,
                    });
                }
            }
        }
    }

    fn show_ticket(&mut self, session: SessionId) {
        let own: Vec<_> = self
            .tickets
            .iter()
            .filter(|(to, ..)| *to == session)
            .cloned()
            .collect();
        if own.is_empty() {
            return;
        }
        let place = self.rng.below(own.len() as u64) as usize;
        let (_, nonce, jobs) = own[place].clone();
        self.step(Event::TicketProved {
            session,
            nonce,
            jobs,
        });
    }

    /// One honest worker does what is left.
    fn finish(&mut self, jobs: usize) {
        for name in 1..=NAMES as u8 {
            self.step(Event::WorkerLeft {
                session: session(name),
            });
        }
        self.bench.now += LONG_MS;
        self.step(Event::Tick);
        let honest = session(100);
        self.step(Event::WorkerJoined {
            session: honest,
            worker: worker(100),
            slots: 4,
            credit: 4_096,
        });
        let mut answered = 0;
        for _ in 0..20_000 {
            if self.ends.len() == jobs {
                return;
            }
            if !self.pending.is_empty() {
                self.commit();
                continue;
            }
            let given = self.bench.given_ever(honest);
            if given.len() > answered {
                self.answer_honestly(honest, &given[answered..]);
                answered = given.len();
            } else {
                self.bench.now += 1_000;
                self.step(Event::Tick);
            }
        }
        panic!("{} of {jobs} jobs have ended", self.ends.len());
    }

    fn answer_honestly(&mut self, session: SessionId, given: &[Given]) {
        for given in given {
            let result = result(given.shard, ResultStatus::Returned);
            self.step(results_of(session, *given, result));
        }
    }
}

#[test]
fn nothing_that_a_worker_says_breaks_the_state_or_a_sum() {
    let mut reduced = 0;
    for seed in 0..SEEDS {
        let mut riot = Riot::new(seed);
        let jobs: Vec<(JobId, u64)> = (1..=JOBS)
            .map(|name| {
                let shards = riot.rng.in_range(1, 60);
                let mut outline = sharded(name as u8, shards);
                outline.high_water = shards.min(16);
                let job = outline.job;
                riot.step(Event::JobReady(Box::new(outline)));
                (job, shards)
            })
            .collect();
        for _ in 0..STEPS {
            riot.anything();
        }
        riot.finish(jobs.len());
        for (job, shards) in jobs {
            let delta = &riot.ends[&job];
            if lost_shard(delta.end.as_ref().unwrap()).is_some() {
                // Whoever takes a shard and vanishes, three times under three names, ends its job.
                continue;
            }
            reduced += 1;
            assert_eq!(delta.end, Some(JobEnd::Reduced), "seed {seed}");
            let state = delta.reducer_state.as_ref().unwrap();
            let reducer = Reducer::Sum {
                fields: vec!["hits".into()],
                all: false,
            };
            let sum = reducer.aggregate(state).fields[0].nearest;
            let expected = (shards * (shards - 1) / 2) as f64;
            assert_eq!(sum, Some(expected), "seed {seed}, {shards} shards");
        }
    }
    assert!(reduced > SEEDS * JOBS / 2, "{reduced} jobs have a sum");
}
