use super::*;
use crate::session::MAX_CLOSED;
use shared::limits::{LEASE_MS, RESUME_GRACE_MS};
use shared::wire::Held;

#[test]
fn an_expired_lease_gives_the_shard_to_another_and_is_revoked() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    let bob = bench.join(2, 1);
    bench.wait(LEASE_MS);
    assert_eq!(bench.revoked(alice), [given[0].range()]);
    let again = bench.given(bob);
    assert_eq!((shards(&again), again[0].number), (vec![0], 2));
}

#[test]
fn a_beat_renews_what_it_lists_and_nothing_else() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let given = bench.given(alice);
    bench.wait(LEASE_MS / 2);
    bench.beat(alice, &given[..1], Stage::Running);
    bench.wait(LEASE_MS / 2);
    assert_eq!(bench.revoked(alice), [given[1].range()]);
    bench.wait(LEASE_MS / 2);
    assert_eq!(bench.revoked(alice), [given[0].range()]);
}

#[test]
fn the_first_result_wins_whoever_it_is_from() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    let job = bench.submit(1, 2);
    let late = bench.given(alice);
    let bob = bench.join(2, 2);
    bench.wait(LEASE_MS);
    let again = bench.given(bob);
    assert_eq!(shards(&again), [0]);

    bench.results(alice, &late[..1]);
    let delta = bench.delta();
    assert!(delta.completed.contains(0));
    assert_eq!(bench.revoked(bob), [], "the delta may yet be lost");
    bench.commit(&delta);
    assert_eq!(
        bench.disposed(alice),
        [(late[0].range(), Disposition::Durable)]
    );
    assert_eq!(bench.revoked(bob), [again[0].range()]);

    bench.results(bob, &again[..1]);
    assert_eq!(bench.deltas(), [], "no shard is folded twice");
    assert_eq!(bench.disposed(bob).len(), 1);
    assert_eq!(bench.scheduler.job(job).unwrap().progress.completed, 1);
}

#[test]
fn a_duplicate_is_told_so_only_once_the_first_is_stored() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let late = bench.given(alice);
    let bob = bench.join(2, 2);
    bench.wait(LEASE_MS);
    let again = bench.given(bob);
    bench.results(alice, &late[..1]);
    let delta = bench.delta();
    bench.results(bob, &again[..1]);
    assert_eq!(bench.disposed(bob), []);
    bench.commit(&delta);
    assert_eq!(
        bench.disposed(bob),
        [(again[0].range(), Disposition::Duplicate)]
    );
    assert_eq!(bench.revoked(bob), [], "it has nothing left to revoke");
}

#[test]
fn a_late_result_spares_the_shard_that_waits_to_be_tried_again() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let job = bench.submit(1, 1);
    let late = bench.given(alice);
    bench.step(Event::Credit {
        session: alice,
        limit: 0,
    });
    bench.wait(LEASE_MS);
    bench.results(alice, &late);
    let delta = bench.delta();
    assert_eq!(delta.end, Some(JobEnd::Reduced));
    let bob = bench.join(2, 1);
    assert_eq!(bench.given(bob), []);
    bench.commit(&delta);
    assert!(bench.has_ended(job));
}

#[test]
fn what_was_never_given_is_refused() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice)[0];
    let bob = bench.join(2, 1);
    let beyond = Given { index: 5, ..given };
    let unknown = Given {
        nonce: Nonce::from_bytes([9; 16]),
        ..given
    };
    bench.results(alice, &[beyond]);
    assert_eq!(
        bench.disposed(alice),
        [(beyond.range(), Disposition::Refused)]
    );
    for forged in [given, unknown] {
        bench.results(bob, &[forged]);
        assert_eq!(
            bench.disposed(bob),
            [(forged.range(), Disposition::Refused)]
        );
        assert_eq!(bench.deltas(), []);
    }
}

#[test]
fn a_repeated_result_is_answered_once_while_it_waits() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let given = bench.given(alice);
    bench.results(alice, &[given[0], given[0]]);
    let delta = bench.delta();
    bench.results(alice, &given[..1]);
    assert_eq!(bench.effects, []);
    bench.commit(&delta);
    assert_eq!(
        bench.disposed(alice),
        [(given[0].range(), Disposition::Durable)]
    );
    bench.results(alice, &given[..1]);
    assert_eq!(
        bench.disposed(alice),
        [(given[0].range(), Disposition::Duplicate)],
        "the first answer may have been lost with a connection"
    );
}

#[test]
fn a_lost_connection_costs_nothing_within_the_grace() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let given = bench.given(alice);
    let bob = bench.join(2, 2);
    bench.step(Event::WorkerDetached { session: alice });
    bench.wait(RESUME_GRACE_MS - 1);
    assert_eq!(bench.given(bob), []);
    bench.resume(1, &given, Stage::Running);
    assert!(bench.effects.contains(&Effect::Welcome {
        session: alice,
        unknown: vec![]
    }));
    bench.wait(RESUME_GRACE_MS);
    assert_eq!(bench.given(bob), []);
    bench.results(alice, &given);
    assert_eq!(bench.delta().end, Some(JobEnd::Reduced));
}

#[test]
fn after_the_grace_others_get_the_shards() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let bob = bench.join(2, 2);
    bench.step(Event::WorkerDetached { session: alice });
    bench.wait(RESUME_GRACE_MS);
    assert!(
        bench
            .effects
            .contains(&Effect::SessionEnded { session: alice })
    );
    assert_eq!(shards(&bench.given(bob)), [0]);
    assert_eq!(bench.scheduler.workers().len(), 1);
}

#[test]
fn what_a_returning_worker_does_not_list_is_given_to_others() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let given = bench.given(alice);
    let bob = bench.join(2, 2);
    bench.step(Event::WorkerDetached { session: alice });
    bench.resume(1, &given[..1], Stage::Running);
    assert_eq!(shards(&bench.given(bob)), [1]);
    assert_eq!(bench.revoked(alice), []);
}

#[test]
fn a_new_session_of_a_worker_returns_what_the_old_one_held_at_once() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let reloaded = session(77);
    bench.step(Event::WorkerJoined {
        session: reloaded,
        worker: worker(1),
        slots: 2,
        credit: 10,
    });
    assert_eq!(
        bench.effects[..2],
        [
            Effect::SessionEnded { session: alice },
            Effect::Welcome {
                session: reloaded,
                unknown: vec![]
            }
        ]
    );
    assert_eq!(shards(&bench.given(reloaded)), [0]);
}

#[test]
fn a_worker_that_leaves_returns_everything() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 2);
    let bob = bench.join(2, 2);
    bench.step(Event::WorkerLeft { session: alice });
    assert_eq!(shards(&bench.given(bob)), [0, 1]);
    assert!(
        bench
            .effects
            .contains(&Effect::SessionEnded { session: alice })
    );
}

#[test]
fn a_returning_worker_keeps_its_run_and_a_replacement_that_has_not_begun_is_revoked() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    let bob = bench.join(2, 1);
    bench.step(Event::WorkerDetached { session: alice });
    bench.wait(LEASE_MS);
    let replacement = bench.given_ever(bob);
    assert_eq!(shards(&replacement), [0]);
    let held = bench.listed(&given, Stage::Running);
    bench.step(resumed(1, held));
    bench.step(Event::TicketProved {
        session: alice,
        nonce: given[0].nonce,
        jobs: bench.ticket(&given),
    });
    assert_eq!(bench.revoked(bob), [replacement[0].range()]);
    assert_eq!(bench.revoked(alice), []);
    let in_flight: Vec<u32> = bench
        .scheduler
        .workers()
        .iter()
        .map(|worker| worker.in_flight)
        .collect();
    assert_eq!(in_flight, [1, 0]);
    bench.results(alice, &given);
    assert_eq!(bench.delta().end, Some(JobEnd::Reduced));
}

#[test]
fn a_returning_worker_gives_up_what_it_has_not_begun_and_another_has() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    let bob = bench.join(2, 1);
    bench.wait(LEASE_MS);
    let replacement = bench.given(bob);
    bench.beat(bob, &replacement, Stage::Running);
    bench.beat(alice, &given, Stage::Queued);
    assert_eq!(bench.revoked(alice), [given[0].range()]);
    bench.beat(alice, &given, Stage::Running);
    assert_eq!(bench.revoked(alice), [], "both run, the first result wins");
    assert_eq!(bench.revoked(bob), []);
}

#[test]
fn attempts_that_are_not_the_workers_own_are_revoked() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let held = Held {
        range: AttemptRange {
            nonce: Nonce::from_bytes([3; 16]),
            first: 4,
            count: u32::MAX,
        },
        stage: Stage::Running,
    };
    bench.step(Event::Beat {
        session: alice,
        held: vec![held],
    });
    let expected = AttemptRange {
        count: 1024,
        ..held.range
    };
    assert_eq!(bench.revoked(alice), [expected]);
}

#[test]
fn a_returning_worker_is_told_to_stop_what_ended_without_it() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    let job = bench.submit(1, 2);
    let given = bench.given(alice);
    let mut bad = result(0, ResultStatus::Returned);
    bad.value = None;
    bench.step(results_of(alice, given[0], bad));
    let end = bench.delta();
    bench.step(Event::WorkerDetached { session: alice });
    bench.commit(&end);
    assert!(bench.has_ended(job));
    assert_eq!(bench.revoked(alice), [], "it would not hear it");
    bench.resume(1, &given[1..], Stage::Running);
    assert_eq!(bench.revoked(alice), [given[1].range()]);
}

#[test]
fn only_so_many_attempts_that_were_taken_away_are_remembered() {
    let mut bench = Bench::new();
    bench.run_us = 1;
    let alice = bench.join(1, 1);
    bench.submit(1, 1_000_000);
    let mut given = bench.given(alice);
    for _ in 0..4 {
        bench.now += 1;
        given = bench.work(alice, &given);
    }
    let oldest = given[0];
    for _ in 0..4 {
        bench.refuse(alice, &given, RefusalReason::ExpiredInQueue);
        given = bench.given(alice);
        let taken = bench.scheduler.sessions[&alice].taken();
        assert!(taken <= 4096, "{taken}");
    }
    bench.results(alice, &[oldest]);
    assert_eq!(
        bench.disposed(alice),
        [(oldest.range(), Disposition::Stale)]
    );
}

#[test]
fn only_so_many_leaves_of_which_nothing_is_left_are_recognised() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1_000_000);
    let first = bench.given(alice);
    let mut given = first.clone();
    while bench.assigned.len() <= MAX_CLOSED {
        given = bench.work(alice, &given);
    }
    bench.results(alice, &first[..1]);
    let range = first[0].range();
    assert_eq!(bench.disposed(alice), [(range, Disposition::Duplicate)]);
    while bench.assigned.len() <= 2 * MAX_CLOSED {
        given = bench.work(alice, &given);
    }
    bench.results(alice, &first[..1]);
    assert_eq!(bench.disposed(alice), [(range, Disposition::Refused)]);
}

#[test]
fn a_failure_that_is_brought_again_by_a_ticket_counts_once() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let failed = bench.given(alice);
    bench.answer(alice, &failed, ResultStatus::Threw);
    for _ in 0..3 {
        bench.step(Event::WorkerDetached { session: alice });
        bench.wait(LEASE_MS);
        bench.resume(1, &failed, Stage::Finished);
        bench.prove(alice, &failed);
        bench.answer(alice, &failed, ResultStatus::Threw);
        assert_eq!(bench.deltas(), [], "it was tried once");
    }
}

/// The server stands still for as long as a lease lasts. What the worker said meanwhile is read after
/// whatever came first.
#[test]
fn a_server_that_stood_still_hears_its_workers_before_it_takes_anything() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    bench.wait(60_000);
    bench.beat(alice, &given, Stage::Running);
    bench.now += LEASE_MS + 7_000;
    let bob = bench.join(2, 1);
    assert_eq!(bench.given(bob), []);
    assert_eq!(bench.revoked(alice), []);
    bench.beat(alice, &given, Stage::Running);
    bench.wait(LEASE_MS - 1);
    assert_eq!(bench.held(alice), given);
    bench.wait(LEASE_MS);
    assert_eq!(
        bench.revoked(alice),
        [given[0].range()],
        "silent for a lease"
    );
}

#[test]
fn a_server_that_stood_still_gives_workers_time_to_come_back() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    bench.step(Event::WorkerDetached { session: alice });
    bench.now += RESUME_GRACE_MS + 20_000;
    bench.step(Event::Tick);
    bench.resume(1, &given, Stage::Running);
    bench.wait(30_000);
    assert_eq!(bench.held(alice), given);
}
