use crate::Command;

use super::*;

/// Twenty shards of a tenth of a second, all done but the last one, which `alice` has; `bob` is idle.
fn straggling() -> (Bench, SessionId, Vec<Given>, SessionId) {
    straggling_with(Policy::default())
}

fn straggling_with(policy: Policy) -> (Bench, SessionId, Vec<Given>, SessionId) {
    let mut bench = Bench::new();
    bench.run_us = 100_000;
    bench.submit_with(1, 20, |outline| outline.policy = policy);
    let alice = bench.join(1, 1);
    let mut held = bench.given(alice);
    while held.iter().all(|it| it.shard < 19) {
        let first = held.remove(0);
        bench.now += 100;
        held.extend(bench.work(alice, &[first]));
    }
    while held.len() > 1 {
        let first = held.remove(0);
        bench.now += 100;
        held.extend(bench.work(alice, &[first]));
    }
    assert_eq!(shards(&held), [19]);
    let bob = bench.join(2, 1);
    assert_eq!(bench.given(bob), []);
    (bench, alice, held, bob)
}

#[test]
fn a_straggler_gets_one_extra_attempt_and_the_first_result_counts() {
    let (mut bench, alice, held, bob) = straggling();
    bench.wait(300);
    assert_eq!(bench.given(bob), [], "not yet");
    bench.wait(300);
    let extra = bench.given(bob);
    assert_eq!((shards(&extra), extra[0].number), (vec![19], 2));
    let carol = bench.join(3, 1);
    bench.wait(4_000);
    assert_eq!(bench.given(carol), [], "one extra attempt");

    bench.results(bob, &extra);
    let delta = bench.delta();
    assert_eq!(delta.end, Some(JobEnd::Reduced));
    bench.commit(&delta);
    assert_eq!(bench.revoked(alice), [held[0].range()]);
}

#[test]
fn the_first_worker_may_still_win() {
    let (mut bench, alice, held, bob) = straggling();
    bench.wait(600);
    let extra = bench.given(bob);
    bench.results(alice, &held);
    let delta = bench.delta();
    bench.commit(&delta);
    assert_eq!(bench.revoked(bob), [extra[0].range()]);
}

#[test]
fn a_failure_of_one_leaves_the_other_to_it() {
    let (mut bench, alice, held, bob) = straggling();
    bench.wait(600);
    let extra = bench.given(bob);
    bench.answer(alice, &held, ResultStatus::Threw);
    assert_eq!(bench.given(alice), [], "bob has it");
    bench.results(bob, &extra);
    assert_eq!(bench.delta().failed_shards, 0);
}

#[test]
fn nothing_is_tried_twice_while_the_job_is_paused() {
    let (mut bench, _, _, bob) = straggling();
    let job = bench.job.unwrap();
    let command = Command::Pause;
    bench.step(Event::Control { job, command });
    let paused = bench.delta();
    bench.commit(&paused);
    for _ in 0..10 {
        bench.wait(1_000);
        assert_eq!(bench.given(bob), []);
    }
    let command = Command::Resume;
    bench.step(Event::Control { job, command });
    bench.wait(300);
    assert_eq!(shards(&bench.given(bob)), [19]);
}

#[test]
fn after_fewer_than_five_shards_nothing_is_known() {
    let mut bench = Bench::new();
    bench.submit(1, 5);
    let alice = bench.join(1, 1);
    let mut held = bench.given(alice);
    while held.iter().all(|it| it.shard < 4) || held.len() > 1 {
        let first = held.remove(0);
        held.extend(bench.work(alice, &[first]));
    }
    let bob = bench.join(2, 1);
    for _ in 0..10 {
        bench.wait(1_000);
        assert_eq!(bench.given(bob), []);
    }
}

#[test]
fn one_slot_in_ten_runs_extra_attempts_at_most() {
    let mut bench = Bench::new();
    bench.submit(1, 40);
    let alice = bench.join(1, 8);
    let mut held = bench.given(alice);
    while held.len() > 8 || held.iter().all(|it| it.shard < 39) {
        let first = held.remove(0);
        bench.now += 1;
        held.extend(bench.work(alice, &[first]));
    }
    let helpers: Vec<_> = (2..=13).map(|name| bench.join(name, 1)).collect();
    for _ in 0..5 {
        bench.wait(1_000);
        bench.beat(alice, &held, Stage::Running);
    }
    let extra = helpers
        .iter()
        .filter(|it| !bench.given_ever(**it).is_empty());
    assert_eq!(extra.count(), 2, "of 20 slots");
}

#[test]
fn a_job_may_do_without() {
    let (mut bench, _, _, bob) = straggling_with(Policy {
        speculation: false,
        ..Policy::default()
    });
    for _ in 0..10 {
        bench.wait(1_000);
        assert_eq!(bench.given(bob), []);
    }
}

#[test]
fn a_copy_that_is_gone_makes_room_for_another() {
    let (mut bench, _, _, bob) = straggling();
    bench.wait(600);
    assert_eq!(shards(&bench.held(bob)), [19]);
    bench.step(Event::WorkerLeft { session: bob });
    let carol = bench.join(3, 1);
    bench.wait(600);
    assert_eq!(shards(&bench.held(carol)), [19]);
}

/// Two workers have the last shard, beat, and never answer. There is one more idle worker.
#[test]
fn a_copy_that_is_not_answered_is_tried_on_the_next_worker() {
    let (mut bench, alice, held, bob) = straggling();
    bench.wait(600);
    let extra = bench.given(bob);
    let carol = bench.join(3, 1);
    for _ in 0..3 {
        bench.beat(alice, &held, Stage::Running);
        bench.beat(bob, &extra, Stage::Running);
        bench.wait(2_000);
    }
    let next = bench.held(carol);
    assert_eq!((shards(&next), next[0].number), (vec![19], 3));
    assert_eq!(bench.held(alice), held, "who began first goes on");
    bench.beat(bob, &extra, Stage::Running);
    assert_eq!(bench.revoked(bob), [extra[0].range()]);
    assert_eq!(bench.held(carol), next);
    bench.results(bob, &extra);
    assert_eq!(bench.delta().end, Some(JobEnd::Reduced), "the first result");
}

/// Of the slots only one may run extra attempts, and what runs there hangs.
#[test]
fn a_copy_that_hangs_does_not_keep_other_jobs_from_theirs() {
    let (mut bench, alice, held, bob) = straggling();
    bench.wait(600);
    let extra = bench.given(bob);
    for session in [alice, bob] {
        bench.step(Event::Credit { session, limit: 1 });
    }
    let other = bench.submit(2, 20);
    let carol = bench.join(3, 1);
    let mut last = bench.held(carol);
    while last.iter().all(|it| it.shard < 19) || last.len() > 1 {
        let first = last.remove(0);
        bench.now += 100;
        last.extend(bench.work(carol, &[first]));
    }
    let dave = bench.join(4, 1);
    let is_copied = |bench: &Bench| {
        let mut held = [bob, dave].into_iter();
        held.any(|it| {
            bench
                .scheduler
                .held_shards(it, 1)
                .iter()
                .any(|held| held.job == other)
        })
    };
    bench.wait(1_000);
    assert!(!is_copied(&bench), "the only place is taken");
    let mut waits = 0..30;
    while !is_copied(&bench) {
        waits.next().expect("half a minute is enough");
        bench.beat(alice, &held, Stage::Running);
        bench.beat(bob, &extra, Stage::Running);
        bench.beat(carol, &last, Stage::Running);
        bench.wait(1_000);
    }
}

#[test]
fn a_suspect_shard_that_hangs_is_tried_alone_elsewhere() {
    let (mut bench, alice, _, bob) = straggling();
    bench.step(Event::WorkerDetached { session: alice });
    bench.wait(30_000);
    let alone = bench.held(bob);
    assert_eq!(shards(&alone), [19]);
    let carol = bench.join(3, 2);
    bench.wait(600);
    bench.beat(bob, &alone, Stage::Running);
    assert_eq!(shards(&bench.held(carol)), [19]);
    bench.submit(2, 10);
    assert_eq!(shards(&bench.held(carol)), [19], "nothing beside it");
}
