use super::*;

/// A job of one shard with a time limit of a second, which `alice` has; `bob` is idle.
fn limited(change: impl FnOnce(&mut JobOutline)) -> (Bench, SessionId, Vec<Given>, SessionId) {
    let mut bench = Bench::new();
    bench.submit_with(1, 1, |outline| {
        outline.timeout_ms = 1_000;
        change(outline);
    });
    let alice = bench.join(1, 1);
    let given = bench.given(alice);
    let bob = bench.join(2, 1);
    (bench, alice, given, bob)
}

fn beat_for(bench: &mut Bench, session: SessionId, given: &[Given], ms: u64) {
    for _ in 0..ms / 1_000 {
        bench.wait(1_000);
        bench.beat(session, given, Stage::Running);
    }
}

#[test]
fn a_run_far_beyond_its_time_limit_is_tried_elsewhere_without_blame() {
    let (mut bench, alice, given, bob) = limited(|_| {});
    beat_for(&mut bench, alice, &given, 31_000);
    assert_eq!(bench.given_ever(bob), [], "tabs may be slow to wake up");
    beat_for(&mut bench, alice, &given, 1_000);
    assert_eq!(bench.revoked(alice), [given[0].range()]);
    let next = bench.held(bob);
    assert_eq!((shards(&next), next[0].number), (vec![0], 2));

    bench.beat(alice, &given, Stage::Running);
    assert_eq!(bench.revoked(alice), [given[0].range()], "told again");
    assert_eq!(bench.held(bob), next);
    bench.results(alice, &given);
    let delta = bench.delta();
    assert_eq!((delta.failed_shards, delta.end), (0, Some(JobEnd::Reduced)));
}

#[test]
fn a_single_run_beyond_its_time_limit_is_tried_elsewhere() {
    let (mut bench, alice, given, bob) = limited(|outline| {
        outline.plan = Plan::Single;
        outline.reducer = None;
    });
    beat_for(&mut bench, alice, &given, 32_000);
    assert_eq!(shards(&bench.held(bob)), [0]);
}

#[test]
fn a_long_limit_is_exceeded_at_twice_its_length() {
    let (mut bench, alice, given, bob) = limited(|outline| outline.timeout_ms = 60_000);
    beat_for(&mut bench, alice, &given, 120_000);
    assert_eq!(bench.held(bob), []);
    beat_for(&mut bench, alice, &given, 1_000);
    assert_eq!(shards(&bench.held(bob)), [0]);
}

#[test]
fn a_worker_that_never_begins_what_it_was_given_is_late_too() {
    let (mut bench, alice, given, bob) = limited(|_| {});
    for _ in 0..32 {
        bench.wait(1_000);
        bench.beat(alice, &given, Stage::Queued);
    }
    assert_eq!(shards(&bench.held(bob)), [0]);
}

#[test]
fn without_a_time_limit_nobody_is_late() {
    let (mut bench, alice, given, bob) = limited(|outline| outline.timeout_ms = 0);
    beat_for(&mut bench, alice, &given, 600_000);
    assert_eq!(bench.held(bob), []);
    assert_eq!(bench.held(alice), given);
}

/// Both have tried it: `alice` beats and never answers, `bob` was asleep for once.
#[test]
fn who_never_answers_does_not_keep_a_shard_from_those_that_were_late_too() {
    let (mut bench, alice, given, bob) = limited(|_| {});
    beat_for(&mut bench, alice, &given, 32_000);
    let of_bob = bench.held(bob);
    beat_for(&mut bench, bob, &of_bob, 32_000);
    for _ in 0..2 {
        let given = bench.held(alice);
        beat_for(&mut bench, alice, &given, 32_000);
    }
    assert_eq!(shards(&bench.held(bob)), [0]);
}
