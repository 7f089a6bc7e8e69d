use super::*;

impl Bench {
    /// Who did what, as the last step says.
    fn contributions(&self) -> Vec<Contribution> {
        self.effects
            .iter()
            .filter_map(|effect| {
                let Effect::Contributed { contributions, .. } = effect else {
                    return None;
                };
                Some(contributions.clone())
            })
            .flatten()
            .collect()
    }
}

fn did(name: u8, completed: u64, failed: u64, units: u64) -> Contribution {
    Contribution {
        worker: worker(name),
        completed,
        failed,
        units,
        run_us: completed * 1_000,
    }
}

#[test]
fn a_shard_is_credited_when_its_result_is_stored_and_not_before() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    bench.submit(1, 3);
    let given = bench.given(alice);
    bench.results(alice, &given);
    assert_eq!(bench.contributions(), []);
    let delta = bench.delta();
    bench.commit(&delta);
    assert_eq!(bench.contributions(), [did(1, 3, 0, 3)]);
    bench.commit(&delta);
    assert_eq!(bench.contributions(), [], "a repeated answer says nothing");
}

#[test]
fn units_are_those_of_the_shards_and_a_single_run_has_none() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    bench.submit_with(1, 3, |job| {
        job.plan = Plan::Sharded(Sharding::new(25, 10).unwrap());
    });
    let given = bench.given(alice);
    bench.results(alice, &given);
    let delta = bench.delta();
    bench.commit(&delta);
    assert_eq!(bench.contributions(), [did(1, 3, 0, 25)]);
    bench.submit_with(2, 1, |job| {
        job.plan = Plan::Single;
        job.reducer = None;
    });
    let given = bench.given(alice);
    bench.results(alice, &given);
    let delta = bench.delta();
    bench.commit(&delta);
    assert_eq!(bench.contributions(), [did(1, 1, 0, 0)]);
}

#[test]
fn of_two_workers_with_the_same_shard_only_the_first_is_credited() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let slow = bench.given(alice);
    let bob = bench.join(2, 1);
    bench.wait(shared::limits::LEASE_MS + 1);
    let fast = bench.given(bob);
    assert_eq!(shards(&fast), [0], "the lease is over");
    bench.results(bob, &fast);
    let delta = bench.delta();
    bench.results(alice, &slow);
    bench.commit(&delta);
    assert_eq!(bench.contributions(), [did(2, 1, 0, 1)]);
}

#[test]
fn a_failed_attempt_counts_once_and_at_once() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    bench.answer(alice, &given, ResultStatus::Threw);
    assert_eq!(bench.contributions(), [did(1, 0, 1, 0)]);
    bench.answer(alice, &given, ResultStatus::Threw);
    assert_eq!(bench.contributions(), []);
}

#[test]
fn an_end_says_how_and_how_far() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let job = bench.submit(1, 1);
    let given = bench.given(alice);
    let not_numeric = ShardResult {
        value: Some(r#"{"hits":"many"}"#.into()),
        ..result(0, ResultStatus::Returned)
    };
    bench.step(results_of(alice, given[0], not_numeric));
    let delta = bench.delta();
    bench.commit(&delta);
    assert_eq!(bench.contributions(), [did(1, 0, 1, 0)]);
    let ended = Effect::JobEnded {
        job,
        completed: 0,
        failed: 0,
        ending: Ending::Failed,
    };
    assert!(bench.effects.contains(&ended), "{:?}", bench.effects);
}

#[test]
fn what_a_worker_holds_can_be_looked_at_without_listing_all_of_it() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    let job = bench.submit(1, 100);
    let first = HeldShard {
        job,
        shard: ShardIndex(0),
        attempt: 1,
    };
    let held = bench.scheduler.held_shards(alice, 3);
    assert_eq!((held.len(), held[0]), (3, first));
    assert_eq!(bench.scheduler.holder(job), Some(&worker(1)));
    let (_, progress) = bench.scheduler.progress().next().unwrap();
    assert_eq!(progress.in_flight + progress.waiting, 100);
    let given = bench.given_ever(alice);
    bench.answer(alice, &given[..1], ResultStatus::Threw);
    let bob = bench.join(2, 1);
    let again = HeldShard {
        attempt: 2,
        ..first
    };
    assert_eq!(bench.scheduler.held_shards(bob, 1), [again]);
}
