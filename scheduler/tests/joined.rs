//! The scheduler and the worker's session joined in memory, over links that delay and break, with
//! server crashes, page reloads, sleeping devices and two tabs of one profile.
//!
//! Every schedule follows from its seed. After each event the invariants are checked (`world`); when
//! the faults stop, every job must end with exactly the sum of its shards. `JOINED_SCHEDULES` sets
//! how many schedules are run; a seed that ever failed is kept in `joined/seeds.txt`.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "joined/keys.rs"]
mod keys;
#[path = "joined/random.rs"]
mod random;
#[path = "joined/server.rs"]
mod server;
#[path = "joined/store.rs"]
mod store;
#[path = "joined/tab.rs"]
mod tab;
#[path = "joined/world.rs"]
mod world;

use keys::Keys;
use world::{Outcome, World};

const KEPT_SEEDS: &str = include_str!("joined/seeds.txt");

fn run(seed: u64, keys: &Keys) -> Outcome {
    let result = std::panic::catch_unwind(|| World::new(seed, keys.clone()).run());
    result.unwrap_or_else(|_| panic!("seed {seed} failed; keep it in tests/joined/seeds.txt"))
}

fn schedules() -> u64 {
    std::env::var("JOINED_SCHEDULES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000)
}

#[test]
fn every_job_ends_exactly_whatever_happens_on_the_way() {
    let keys = Keys::insecure();
    let mut total = Outcome::default();
    for seed in 0..schedules() {
        total.add(&run(seed, &keys));
    }
    // A simulation in which nothing happens would pass as well.
    assert!(
        total.restarts > 100 && total.breaks > 1_000 && total.reloads > 100,
        "{total:?}"
    );
    assert!(total.readopted > 100 && total.duplicates > 100, "{total:?}");
    println!("{total:?}");
}

#[test]
fn seeds_that_failed_before_hold() {
    for seed in KEPT_SEEDS
        .lines()
        .filter_map(|line| line.trim().parse().ok())
    {
        run(seed, &Keys::insecure());
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let traces = [(); 2].map(|()| run(seed, &Keys::insecure()).trace);
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}

#[test]
fn schedules_hold_with_real_signatures() {
    let keys = Keys::rsa();
    for seed in 0..20 {
        run(1_000_000 + seed, &keys);
    }
}
