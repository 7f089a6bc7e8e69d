use super::*;
use shared::limits::LEASE_MS;

/// A job of 10 shards as found after a restart: 0 and 1 done, 2 to 7 handed out, 8 and 9 new.
fn found(outline: &mut JobOutline) {
    outline.seq = 5;
    outline.completed = RangeSetBlaze::from_iter([0..=1_u64]);
    outline.high_water = 8;
    outline.reclaim = true;
}

fn old_leaf(shards: std::ops::Range<u64>) -> Vec<Given> {
    shards
        .zip(0..)
        .map(|(shard, index)| Given {
            nonce: Nonce::from_bytes([5; 16]),
            index,
            shard,
            number: 1,
        })
        .collect()
}

#[test]
fn shards_that_may_be_with_a_worker_are_withheld_and_others_are_not() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, found);
    let raise = bench.delta();
    assert_eq!(raise.high_water, 10);
    assert!(raise.completed.is_empty());
    let alice = bench.join(1, 4);
    assert_eq!(bench.given(alice), [], "the mark is not raised yet");
    bench.commit(&raise);
    assert_eq!(shards(&bench.given(alice)), [8, 9]);
    bench.wait(14_999);
    assert_eq!(bench.given(alice), []);
    bench.wait(1);
    assert_eq!(shards(&bench.given(alice)), [2, 3]);
}

#[test]
fn a_ticket_brings_running_attempts_back() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, found);
    let raise = bench.delta();
    bench.commit(&raise);
    let old = old_leaf(2..5);
    let held = bench.listed(&old[1..], Stage::Running);
    bench.step(resumed(1, held));
    let alice = session(1);
    assert!(bench.effects.contains(&Effect::Welcome {
        session: alice,
        unknown: vec![old[0].nonce]
    }));
    bench.prove(alice, &old);
    assert_eq!(bench.revoked(alice), []);
    assert_eq!(
        bench.scheduler.workers()[0].in_flight,
        4,
        "two old, 8 and 9"
    );
    bench.results(alice, &old[1..]);
    let delta = bench.delta();
    assert_eq!(delta.completed, RangeSetBlaze::from_iter([3..=4_u64]));
    bench.commit(&delta);
    bench.wait(15_000);
    let late = bench.given_ever(alice);
    assert!(
        shards(&late).contains(&2),
        "what was not brought back is tried again"
    );
    assert!(!shards(&late).contains(&3));
}

#[test]
fn what_the_ticket_proves_is_revoked_where_it_is_done() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, found);
    let old = old_leaf(0..3);
    let held = bench.listed(&old, Stage::Queued);
    bench.step(resumed(1, held));
    let alice = session(1);
    bench.prove(alice, &old);
    let both = AttemptRange {
        count: 2,
        ..old[0].range()
    };
    assert_eq!(bench.revoked(alice), [both]);
}

#[test]
fn results_of_what_is_done_or_over_are_answered_after_a_restart() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, found);
    let old = old_leaf(1..3);
    let held = bench.listed(&old, Stage::Finished);
    bench.step(resumed(1, held));
    let alice = session(1);
    bench.prove(alice, &old);
    assert_eq!(bench.revoked(alice), []);
    bench.results(alice, &old);
    assert_eq!(bench.disposed(alice), [], "the other delta is pending");
    let delta = bench.delta();
    assert_eq!(delta.completed, RangeSetBlaze::from_iter([2..=2_u64]));
    bench.step(Event::Committed {
        job: delta.job,
        seq: 6,
    });
    bench.commit(&delta);
    assert_eq!(
        bench.disposed(alice),
        [
            (old[0].range(), Disposition::Duplicate),
            (old[1].range(), Disposition::Durable)
        ]
    );
}

#[test]
fn results_without_ticket_are_refused() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, found);
    let old = old_leaf(2..3);
    let held = bench.listed(&old, Stage::Finished);
    bench.step(resumed(1, held));
    bench.results(session(1), &old);
    assert_eq!(
        bench.disposed(session(1)),
        [(old[0].range(), Disposition::Refused)]
    );
}

#[test]
fn a_ticket_that_nobody_asked_for_is_ignored() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, found);
    let alice = bench.join(1, 1);
    let old = old_leaf(2..3);
    bench.prove(alice, &old);
    bench.results(alice, &old);
    assert_eq!(
        bench.disposed(alice),
        [(old[0].range(), Disposition::Refused)]
    );
}

#[test]
fn results_of_a_job_that_ended_before_the_restart_are_stale() {
    let mut bench = Bench::new();
    let old = old_leaf(0..2);
    let held = bench.listed(&old, Stage::Finished);
    bench.step(resumed(1, held));
    let alice = session(1);
    bench.prove(alice, &old);
    bench.results(alice, &old);
    let both = AttemptRange {
        count: 2,
        ..old[0].range()
    };
    assert_eq!(bench.disposed(alice), [(both, Disposition::Stale)]);
    bench.scheduler.check_nothing_is_left();
}

#[test]
fn attempts_that_are_not_proved_yet_count_against_the_credit() {
    let mut bench = Bench::new();
    bench.submit_with(1, 1_000, |outline| {
        outline.high_water = 100;
        outline.reclaim = true;
    });
    let raise = bench.delta();
    bench.commit(&raise);
    let old = old_leaf(0..4);
    let held = bench.listed(&old, Stage::Queued);
    let alice = session(1);
    bench.step(Event::WorkerResumed {
        session: alice,
        worker: worker(1),
        slots: 2,
        credit: 4,
        held: held.clone(),
    });
    assert_eq!(bench.given(alice), []);
    for _ in 0..2 {
        bench.step(Event::Beat {
            session: alice,
            held: held.clone(),
        });
    }
    assert_ne!(bench.given(alice), [], "its tickets will not come any more");
    assert_eq!(bench.revoked(alice).len(), 1);
}

#[test]
fn a_worker_that_returns_after_the_reclaim_time_still_counts() {
    let mut bench = Bench::new();
    bench.submit_with(1, 8, found);
    let bob = bench.join(2, 6);
    bench.wait(15_000);
    let replacements = bench.given(bob);
    assert_eq!(shards(&replacements), [2, 3, 4, 5, 6, 7]);
    let old = old_leaf(2..3);
    let held = bench.listed(&old, Stage::Finished);
    bench.step(resumed(1, held));
    let alice = session(1);
    bench.prove(alice, &old);
    assert_eq!(bench.revoked(bob), [replacements[0].range()]);
    bench.results(alice, &old);
    assert!(bench.delta().completed.contains(2));
    bench.wait(LEASE_MS);
    assert!(!shards(&bench.given_ever(alice)).contains(&2));
}
