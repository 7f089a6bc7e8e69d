//! What a step costs: sixteen workers send full frames of results of one large job.
//!
//! `cargo run --release -p scheduler --example throughput` prints nanoseconds a shard.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use range_set_blaze::RangeSetBlaze;
use scheduler::{Effect, Event, JobKind, JobOutline, Scheduler, SchedulerConfig};
use shared::ids::{JobId, SessionId};
use shared::plan::{Plan, Sharding};
use shared::reduce::{Reducer, ReducerState};
use shared::time::Millis;
use shared::wire::{ResultBatch, ResultRow, ResultStatus, ShardResult};

const WORKERS: u8 = 16;
const IDLE_WORKERS: u16 = 10_000;
const SHARDS: u64 = 4_000_000;

fn main() -> std::io::Result<()> {
    let config = SchedulerConfig::default();
    let mut scheduler = Scheduler::new([1; 32], config);
    let mut queue: VecDeque<Event> = VecDeque::new();
    for number in 0..u16::from(WORKERS) + IDLE_WORKERS {
        queue.push_back(join(number));
    }
    queue.push_back(submit(&config));
    let mut steps: Vec<Duration> = Vec::new();
    let mut clock_us = 0;
    while let Some(event) = queue.pop_front() {
        clock_us += 100;
        let counts = matches!(event, Event::Results { .. } | Event::Committed { .. });
        let start = Instant::now();
        let effects = scheduler.step(Millis(clock_us / 1000), event);
        let took = start.elapsed();
        if counts {
            steps.push(took);
        }
        queue.extend(effects.into_iter().filter_map(answer));
    }
    steps.sort_unstable();
    let spent: Duration = steps.iter().sum();
    writeln!(
        std::io::stdout(),
        "{} ns a shard; a step takes {} us in the median, {} us in 99 of 100",
        spent.as_nanos() / u128::from(SHARDS),
        steps[steps.len() / 2].as_micros(),
        steps[steps.len() * 99 / 100].as_micros(),
    )
}

fn join(number: u16) -> Event {
    let mut session = [0; 16];
    session[..2].copy_from_slice(&number.to_le_bytes());
    let is_idle = number >= u16::from(WORKERS);
    Event::WorkerJoined {
        session: SessionId::from_bytes(session),
        worker: format!("worker-{number}").parse().expect("a valid name"),
        slots: 1,
        credit: if is_idle { 0 } else { 2_049 },
    }
}

fn submit(config: &SchedulerConfig) -> Event {
    Event::JobReady(Box::new(JobOutline {
        job: JobId::from_random([1; 16]),
        kind: JobKind::RunJs,
        plan: Plan::Sharded(Sharding::new(SHARDS, 1).expect("in range")),
        policy: Default::default(),
        timeout_ms: 0,
        reducer: Some(Reducer::Sum {
            fields: vec!["hits".into(), "samples".into()],
            all: false,
        }),
        seq: 0,
        completed: RangeSetBlaze::new(),
        failed_shards: 0,
        reducer_state: ReducerState::default(),
        is_paused: false,
        high_water: config.first_high_water(SHARDS),
        reclaim: false,
    }))
}

/// What workers and the store would say to an effect.
fn answer(effect: Effect) -> Option<Event> {
    match effect {
        Effect::Assign {
            session,
            nonce,
            jobs,
        } => {
            let shards = jobs.iter().flat_map(|job| &job.shards);
            let rows = shards
                .zip(0..)
                .map(|((shard, _), index)| ResultRow {
                    index,
                    result: ShardResult {
                        status: ResultStatus::Returned,
                        duration_us: 2,
                        value: Some(format!("{{\"hits\":{},\"samples\":1000}}", shard.0 % 1000)),
                        details: None,
                    },
                })
                .collect();
            let batches = vec![ResultBatch { nonce, rows }];
            Some(Event::Results { session, batches })
        }
        Effect::Persist(delta) => Some(Event::Committed {
            job: delta.job,
            seq: delta.seq,
        }),
        Effect::Welcome { .. }
        | Effect::Dispose { .. }
        | Effect::Revoke { .. }
        | Effect::Contributed { .. }
        | Effect::JobSwitched { .. }
        | Effect::JobChanged { .. }
        | Effect::JobEnded { .. }
        | Effect::SessionEnded { .. }
        | Effect::Drained { .. } => None,
    }
}
