use super::*;
use crate::job::{Job, MAX_REFUSERS};
use crate::supply::MAX_WAITING;
use shared::job::OnShardError;
use shared::wire::{RefusalReason, Refused};

#[test]
fn a_failed_shard_is_tried_on_three_workers_and_then_folded_as_failed() {
    let mut bench = Bench::new();
    let workers = [bench.join(1, 1), bench.join(2, 1), bench.join(3, 1)];
    let job = bench.submit_with(1, 1, |outline| {
        outline.reducer = Some(Reducer::Sum {
            fields: vec!["exitCode".into()],
            all: false,
        });
    });
    let mut tried = Vec::new();
    for number in 1..=3 {
        let (worker, given) = workers
            .iter()
            .map(|worker| (*worker, bench.given(*worker)))
            .find(|(_, given)| !given.is_empty())
            .unwrap();
        assert_eq!(given[0].number, number);
        tried.push(worker);
        bench.answer(worker, &given, ResultStatus::Threw);
        if number < 3 {
            assert_eq!(
                bench.disposed(worker),
                [(given[0].range(), Disposition::Stale)],
                "nothing durable rests on it"
            );
        }
    }
    tried.sort();
    assert_eq!(tried, workers);
    let delta = bench.delta();
    assert_eq!(
        (delta.failed_shards, &delta.end),
        (1, &Some(JobEnd::Reduced))
    );
    bench.commit(&delta);
    assert!(bench.has_ended(job));
}

#[test]
fn a_lone_worker_gets_its_failed_shard_again() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let first = bench.given(alice);
    bench.answer(alice, &first, ResultStatus::TimedOut);
    let second = bench.given(alice);
    assert_eq!((second[0].shard, second[0].number), (0, 2));
}

#[test]
fn a_failed_shard_waits_for_a_busy_worker_that_has_not_tried_it() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let first = bench.given(alice);
    let bob = bench.join(2, 1);
    bench.submit(2, 1);
    assert_eq!(bench.given(bob).len(), 1);
    bench.step(Event::Credit {
        session: bob,
        limit: 1,
    });
    bench.answer(alice, &first, ResultStatus::Threw);
    for _ in 0..40 {
        let held = bench.held(bob);
        bench.beat(bob, &held, Stage::Running);
        bench.wait(60_000);
    }
    assert_eq!(bench.given_ever(alice).len(), 1);
    bench.step(Event::WorkerLeft { session: bob });
    let again = bench.given(alice);
    assert_eq!(
        (again[0].shard, again[0].number),
        (0, 2),
        "nobody else is left"
    );
}

#[test]
fn a_failed_shard_does_not_wait_for_workers_that_refuse_its_job() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit_with(1, 1, |outline| {
        outline.policy.on_shard_error = OnShardError::Skip
    });
    let first = bench.given(alice);
    bench.refuse(alice, &first, RefusalReason::JobRefused);
    let bob = bench.join(2, 1);
    for _ in 0..2 {
        let given = bench.given(bob);
        bench.answer(bob, &given, ResultStatus::Threw);
    }
    let last = bench.given(bob);
    assert_eq!(last[0].number, 4);
    bench.answer(bob, &last, ResultStatus::Threw);
    assert_eq!(bench.delta().failed_shards, 1, "after three attempts");
}

/// Three workers do what they are given, and one throws at once whatever it is given.
#[test]
fn a_broken_device_fails_no_shard_for_good_while_others_are_there() {
    let shards = 3_000;
    let mut bench = Bench::new();
    let sick = bench.join(1, 1);
    let healthy = [bench.join(2, 1), bench.join(3, 1), bench.join(4, 1)];
    bench.submit(1, shards);
    let mut thrown = 0;
    while let Some(given) = next_unanswered(&mut bench, sick, &mut thrown) {
        bench.answer(sick, &[given], ResultStatus::Threw);
    }
    assert!(
        (MAX_WAITING..=2 * MAX_WAITING).contains(&thrown),
        "it is not let through all of the job: {thrown}"
    );
    let mut last = None;
    while last.is_none() {
        bench.now += 1;
        while let Some(given) = next_unanswered(&mut bench, sick, &mut thrown) {
            bench.answer(sick, &[given], ResultStatus::Threw);
        }
        for session in healthy {
            let held = bench.held(session);
            if let Some(first) = held.first() {
                bench.results(session, &[*first]);
                for delta in bench.deltas() {
                    last = delta.end.is_some().then_some(delta.failed_shards);
                    bench.commit(&delta);
                }
            }
        }
    }
    assert_eq!(last, Some(0));
    let broken = bench.given_ever(sick);
    assert!(broken.iter().all(|given| given.number == 1));
}

fn next_unanswered(bench: &mut Bench, session: SessionId, count: &mut usize) -> Option<Given> {
    let given = bench.given_ever(session).get(*count).copied();
    *count += usize::from(given.is_some());
    given
}

#[test]
fn a_worker_of_which_a_job_killed_three_executors_is_not_given_it_again() {
    let mut bench = Bench::new();
    bench.run_us = 0;
    let alice = bench.join(1, 1);
    let job = bench.submit(1, 10);
    for _ in 0..3 {
        let given = bench.held(alice);
        bench.answer(alice, &given[..1], ResultStatus::ExecutorFailed);
    }
    let rest = bench.held(alice);
    bench.refuse(alice, &rest, RefusalReason::ExpiredInQueue);
    assert_eq!(bench.held(alice), []);
    let progress = bench.scheduler.job(job).unwrap().progress;
    assert_eq!(progress.obstacle, Some(Obstacle::Refusals));
    let bob = bench.join(2, 1);
    assert_ne!(bench.given(bob), []);
    assert_eq!(bench.scheduler.job(job).unwrap().progress.obstacle, None);
}

#[test]
fn results_that_are_too_large_are_no_deaths() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 10);
    for _ in 0..5 {
        let given = bench.held(alice);
        bench.answer(alice, &given[..1], ResultStatus::ExecutorFailed);
    }
    assert_ne!(bench.held(alice), []);
}

#[test]
fn refused_attempts_are_given_again_without_blame() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    bench.refuse(alice, &given, RefusalReason::ExpiredInQueue);
    let again = bench.given(alice);
    assert_eq!((again[0].shard, again[0].number), (0, 2));
    assert_eq!(bench.disposed(alice), []);
}

#[test]
fn what_another_worker_was_given_cannot_be_refused() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    let given = bench.given(alice);
    let bob = bench.join(2, 1);
    bench.refuse(bob, &given, RefusalReason::BadSignature);
    assert_eq!(bench.given(bob), []);
    assert_eq!(bench.scheduler.workers()[0].in_flight, 1);
}

#[test]
fn a_worker_that_refuses_everything_is_left_alone_for_ever_longer() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    for _ in 0..7 {
        let given = bench.given(alice);
        bench.refuse(alice, &given, RefusalReason::BadSignature);
    }
    for wait_ms in [1_000, 2_000, 4_000] {
        let given = bench.given(alice);
        assert_eq!(given.len(), 1);
        bench.refuse(alice, &given, RefusalReason::BadSignature);
        assert_eq!(bench.given(alice), []);
        bench.wait(wait_ms - 1);
        assert_eq!(bench.given(alice), []);
        bench.wait(1);
    }
}

#[test]
fn a_refusal_of_nothing_readable_costs_nobody_anything() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 1);
    bench.step(Event::Refused {
        session: alice,
        refusals: vec![Refused {
            range: None,
            reason: RefusalReason::Malformed,
        }],
    });
    assert_eq!(bench.effects, []);
    assert_eq!(bench.scheduler.workers()[0].in_flight, 1);
}

#[test]
fn a_worker_is_not_given_a_job_that_it_refused() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 5);
    let given = bench.given(alice);
    bench.refuse(alice, &given, RefusalReason::JobRefused);
    assert_eq!(bench.given(alice), []);
    let other = bench.submit(2, 1);
    assert_eq!(bench.given(alice).len(), 1);
    assert!(bench.scheduler.job(other).unwrap().progress.started);
    bench.step(Event::WorkerLeft { session: alice });
    let reloaded = bench.join(1, 8);
    assert_eq!(shards(&bench.given(reloaded)), [0], "of the other job");
    let bob = bench.join(2, 8);
    assert_eq!(shards(&bench.given(bob)), [0, 1, 2, 3, 4]);
}

#[test]
fn a_result_makes_up_for_refusals() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 100);
    let mut given = bench.given(alice);
    for _ in 0..3 {
        for _ in 0..7 {
            bench.refuse(alice, &given, RefusalReason::ContentUnavailable);
            given = bench.given(alice);
        }
        given = bench.work(alice, &given);
        assert_ne!(given, []);
    }
}

#[test]
fn of_very_many_workers_that_refuse_a_job_the_last_are_asked_again() {
    let mut job = Job::new(sharded(1, 1));
    let name = |number: usize| -> WorkerId { format!("worker-{number}").parse().unwrap() };
    for number in 0..=MAX_REFUSERS {
        job.refused_by(&name(number));
    }
    assert!(job.is_refused_by(&name(MAX_REFUSERS - 1)));
    assert!(!job.is_refused_by(&name(MAX_REFUSERS)));
}
