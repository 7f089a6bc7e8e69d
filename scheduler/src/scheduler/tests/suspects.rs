use shared::limits::{LEASE_MS, RESUME_GRACE_MS};

use super::*;

/// Loses the worker's connection for good.
fn vanish(bench: &mut Bench, session: SessionId) {
    bench.step(Event::WorkerDetached { session });
    bench.wait(RESUME_GRACE_MS);
}

#[test]
fn a_shard_that_a_worker_was_lost_with_runs_alone() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 100);
    assert_eq!(shards(&bench.given(alice)), [0, 1, 2, 3]);
    vanish(&mut bench, alice);
    let bob = bench.join(2, 4);
    assert_eq!(shards(&bench.given(bob)), [0], "alone");
    let suspect = bench.given(bob);
    bench.beat(bob, &suspect, Stage::Running);
    assert_eq!(bench.given(bob), [], "nothing beside it");
    let given = bench.work(bob, &suspect);
    assert_eq!(shards(&given), [1], "the next one");
    let given = bench.work(bob, &given);
    assert_eq!(
        shards(&given)[..2],
        [2, 3],
        "those that waited are not to blame"
    );
}

#[test]
fn a_busy_worker_is_freed_for_a_suspect_shard_while_others_go_on() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1_000);
    let bob = bench.join(2, 2);
    let of_bob = bench.given(bob);
    let carol = bench.join(3, 2);
    let of_carol = bench.given(carol);
    vanish(&mut bench, alice);
    let mut alone = Vec::new();
    let mut held = [(bob, of_bob), (carol, of_carol)];
    for _ in 0..8 {
        for (session, given) in &mut held {
            let Some(first) = given.first().copied() else {
                continue;
            };
            given.remove(0);
            let next = bench.work(*session, &[first]);
            if shards(&next) == [0] {
                alone.push((*session, given.len()));
            }
            given.extend(next);
        }
    }
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0].1, 0, "it held nothing");
    let fresh = held.iter().map(|(_, given)| given.len()).max().unwrap();
    assert!(fresh > 1, "the other one went on");
}

#[test]
fn three_workers_lost_with_a_shard_end_the_job() {
    let mut bench = Bench::new();
    let job = bench.submit(1, 10);
    for name in 1..=3 {
        let session = bench.join(name, 1);
        assert_eq!(shards(&bench.given(session))[0], 0);
        vanish(&mut bench, session);
    }
    let delta = bench.delta();
    let text = "Shard 0 failed after 3/3 attempts: worker lost while running it";
    assert_eq!(delta.end, Some(JobEnd::Failed(text.into())));
    bench.commit(&delta);
    assert!(bench.has_ended(job));
}

#[test]
fn a_single_job_says_only_why() {
    let mut bench = Bench::new();
    bench.submit_with(1, 1, |outline| {
        outline.plan = Plan::Single;
        outline.reducer = None;
    });
    for name in 1..=3 {
        let session = bench.join(name, 1);
        assert_eq!(shards(&bench.given(session)), [0]);
        vanish(&mut bench, session);
    }
    let text = "worker lost while running it";
    assert_eq!(bench.delta().end, Some(JobEnd::Failed(text.into())));
}

#[test]
fn one_device_that_is_lost_again_and_again_ends_nothing() {
    let mut bench = Bench::new();
    bench.submit(1, 1);
    for rest_ms in [0, 0, 5_000, 10_000, 20_000, 40_000, 80_000] {
        let session = bench.join(1, 1);
        if rest_ms > 0 {
            bench.wait(rest_ms - 1);
            assert_eq!(bench.given(session), []);
            let progress = bench.scheduler.progress().next().unwrap().1;
            assert_eq!(progress.obstacle, Some(Obstacle::Losses));
            bench.wait(1);
        }
        assert_eq!(shards(&bench.given(session)), [0]);
        vanish(&mut bench, session);
        assert_eq!(bench.deltas(), []);
    }
    let session = bench.join(2, 1);
    assert_eq!(shards(&bench.given(session)), [0], "another one at once");
}

/// More free workers refuse the job than are looked at in a step; the one that does not is busy with another.
#[test]
fn a_suspect_shard_is_not_kept_from_its_worker_by_those_that_refuse_its_job() {
    let mut bench = Bench::new();
    let names: Vec<u8> = (1..=130).collect();
    let job = bench.submit(200, 1);
    for name in names {
        let session = bench.join(name, 1);
        while bench.held(session).is_empty() {
            bench.wait(300);
        }
        let given = bench.held(session);
        bench.refuse(session, &given, RefusalReason::JobRefused);
    }
    let lost = bench.join(201, 1);
    bench.wait(1_000);
    assert_eq!(shards(&bench.held(lost)), [0]);
    bench.submit(202, 1_000);
    let good = bench.join(203, 1);
    let mut held = bench.given(good);
    assert_ne!(held, []);
    vanish(&mut bench, lost);
    for _ in 0..20 {
        if let Some(first) = held.first().copied() {
            bench.beat(good, &held, Stage::Running);
            held.remove(0);
            held.extend(bench.work(good, &[first]));
        }
        bench.wait(400);
    }
    assert_eq!(bench.scheduler.job(job), None, "it was done");
}

#[test]
fn a_worker_that_leaves_properly_is_no_loss() {
    let mut bench = Bench::new();
    bench.submit(1, 2);
    for name in 1..=4 {
        let session = bench.join(name, 2);
        assert_eq!(shards(&bench.given(session)), [0, 1], "both at once");
        bench.step(Event::WorkerLeft { session });
    }
}

#[test]
fn an_addition_is_never_to_blame() {
    let mut bench = Bench::new();
    bench.submit_with(1, 1, |outline| {
        outline.kind = JobKind::Add;
        outline.plan = Plan::Single;
        outline.reducer = None;
    });
    for name in 1..=4 {
        let session = bench.join(name, 2);
        assert_eq!(shards(&bench.given(session)), [0]);
        vanish(&mut bench, session);
    }
}

#[test]
fn a_run_that_beats_no_longer_list_is_a_loss() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 100);
    let given = bench.given(alice);
    assert_eq!(shards(&given), [0, 1]);
    let bob = bench.join(2, 2);
    bench.wait(LEASE_MS / 2);
    bench.beat(alice, &given[1..], Stage::Queued);
    bench.wait(LEASE_MS / 2);
    assert_eq!(bench.revoked(alice), [given[0].range()]);
    assert_eq!(shards(&bench.given(bob)), [0]);
}
