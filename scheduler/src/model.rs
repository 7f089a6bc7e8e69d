//! The machine in a simulated world, against a naive reference.
//!
//! A schedule is a random life of a cluster in virtual time: devices join, lose their connection,
//! return, freeze, reload, refuse, lie and leave; the store is slow, fails, and does not know; the
//! server restarts. After each step the promises of the design are checked: each shard is folded
//! exactly once (I1), what was disposed as durable is stored (I2), the aggregate is that of a naive
//! sum (I3), memory is bounded (I7). Then losses stop and every job has to end (I5).
//!
//! Everything follows from the schedule's seed. One that failed is written on a line of its own into
//! `tests/seeds.txt`, which is always run. `MODEL_FIRST_SEED` and `MODEL_SCHEDULES` choose others,
//! `MODEL_LOG` prints every event and effect.

mod checks;
mod device;
pub(crate) mod jobs;
pub(crate) mod rng;
mod store;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

/// Random schedules that are run besides the kept ones.
const SCHEDULES: u64 = 3_000;

/// Each of so many schedules is run twice.
const REPEAT_EVERY: u64 = 50;

const KEPT_SEEDS: &str = include_str!("../tests/seeds.txt");

#[test]
fn kept_schedules_hold() {
    let seeds = KEPT_SEEDS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for seed in seeds {
        run(seed.parse().unwrap());
    }
}

#[test]
fn random_schedules_hold() {
    let first = setting("MODEL_FIRST_SEED", 1);
    let seeds = first..first + setting("MODEL_SCHEDULES", SCHEDULES);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|nth| {
                let own = seeds.clone().skip(nth).step_by(threads);
                scope.spawn(|| own.filter(|seed| has_failed(*seed)).collect::<Vec<_>>())
            })
            .collect();
        runs.into_iter()
            .flat_map(|run| run.join().unwrap())
            .collect()
    });
    assert!(
        failed.is_empty(),
        "add these seeds to scheduler/tests/seeds.txt: {failed:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in (1..SCHEDULES).step_by(REPEAT_EVERY as usize) {
        assert_eq!(run(seed), run(seed), "schedule {seed}");
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn has_failed(seed: u64) -> bool {
    catch_unwind(AssertUnwindSafe(|| run(seed))).is_err()
}

/// Runs a schedule to its end. Gives a digest of all that the scheduler said.
fn run(seed: u64) -> [u8; 32] {
    let mut world = World::new(seed);
    world.live();
    world.settle_down();
    world.trace()
}
