use shared::job::Priority;
use shared::limits::MAX_ATTEMPTS_PER_LEAF;

use super::*;

#[test]
fn no_worker_gets_more_than_its_credit() {
    let mut bench = Bench::new();
    let alice = session(1);
    bench.step(Event::WorkerJoined {
        session: alice,
        worker: worker(1),
        slots: 4,
        credit: 3,
    });
    bench.submit(1, 100);
    assert_eq!(bench.given(alice).len(), 3);
    bench.step(Event::Credit {
        session: alice,
        limit: 5,
    });
    assert_eq!(bench.given(alice).len(), 2);
    bench.step(Event::Credit {
        session: alice,
        limit: 0,
    });
    bench.wait(1_000);
    assert_eq!(bench.given(alice), []);
}

#[test]
fn an_unknown_job_starts_small_and_grows_to_full_leaves() {
    let mut bench = Bench::new();
    bench.run_us = 1;
    let alice = bench.join(1, 2);
    bench.submit(1, 1_000_000);
    let mut sizes = Vec::new();
    let mut given = bench.given(alice);
    for _ in 0..4 {
        sizes.push(given.len());
        bench.now += 1;
        given = bench.work(alice, &given);
    }
    assert_eq!(sizes[0], 4);
    assert_eq!(given.len(), 2 * MAX_ATTEMPTS_PER_LEAF, "{sizes:?}");
}

#[test]
fn leaves_are_large_not_many() {
    let mut bench = Bench::new();
    bench.run_us = 1_000;
    let alice = bench.join(1, 2);
    bench.submit(1, 1_000_000);
    let mut held = bench.given(alice);
    for _ in 0..20 {
        bench.now += 5;
        let some: Vec<_> = held.drain(..held.len().min(10)).collect();
        held.extend(bench.work(alice, &some));
    }
    let mut leaves = Vec::new();
    for _ in 0..200 {
        bench.now += 5;
        let some: Vec<_> = held.drain(..10).collect();
        let given = bench.work(alice, &some);
        leaves.extend((!given.is_empty()).then_some(given.len()));
        held.extend(given);
        assert!(held.len() <= 2 * 600 + 10, "two leaves of 300 ms at most");
    }
    assert!(leaves.iter().all(|size| *size >= 300), "{leaves:?}");
    assert!(!leaves.is_empty());
}

#[test]
fn long_shards_queue_one_a_slot() {
    let mut bench = Bench::new();
    bench.run_us = 2_000_000;
    let alice = bench.join(1, 2);
    bench.submit(1, 1_000);
    let mut held = bench.given(alice);
    for _ in 0..10 {
        bench.now += 2_000;
        let done: Vec<_> = held.drain(..2).collect();
        held.extend(bench.work(alice, &done));
        assert!((2..=4).contains(&held.len()));
    }
}

#[test]
fn very_long_shards_are_not_queued() {
    let mut bench = Bench::new();
    bench.run_us = 40_000_000;
    let alice = bench.join(1, 2);
    bench.submit(1, 1_000);
    let mut held = bench.given(alice);
    bench.now += 40_000;
    let done: Vec<_> = held.drain(..2).collect();
    held.extend(bench.work(alice, &done));
    assert_eq!(held.len(), 2, "those that were queued before it was known");
    for _ in 0..5 {
        bench.now += 40_000;
        let done: Vec<_> = held.drain(..1).collect();
        held.extend(bench.work(alice, &done));
        assert_eq!(held.len(), 2);
    }
}

#[test]
fn jobs_take_turns() {
    let mut bench = Bench::new();
    bench.submit(1, 1_000);
    bench.submit(2, 1_000);
    let mut firsts = Vec::new();
    for name in 1..=4 {
        bench.join(name, 1);
        firsts.extend(bench.assigned_jobs());
    }
    let (one, two) = (sharded(1, 1).job, sharded(2, 1).job);
    assert_eq!(firsts, [one, two, one, two]);
}

#[test]
fn many_small_jobs_share_a_leaf() {
    let mut bench = Bench::new();
    for name in 1..=40 {
        bench.submit_with(name, 1, |outline| {
            outline.kind = JobKind::Add;
            outline.plan = Plan::Single;
            outline.reducer = None;
        });
    }
    bench.join(1, 1);
    assert_eq!(bench.assigned_jobs().len(), 32, "two leaves of 16 jobs");
}

#[test]
fn shards_are_handed_out_only_below_the_stored_mark() {
    let config = SchedulerConfig {
        reserve_block: 4,
        ..SchedulerConfig::default()
    };
    let mut bench = Bench::with(config);
    bench.submit_with(1, 100, |outline| outline.high_water = 4);
    let alice = bench.join(1, 8);
    assert_eq!(shards(&bench.given(alice)), [0, 1, 2, 3]);
    let raise = bench.delta();
    assert_eq!(raise.high_water, 8);
    bench.commit(&raise);
    assert_eq!(shards(&bench.given(alice)), [4, 5, 6, 7]);
}

#[test]
fn an_idle_worker_takes_over_what_waits_elsewhere() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 8);
    let held = bench.given(alice);
    assert_eq!(shards(&held), [0, 1, 2, 3]);
    bench.now += 1_000;
    let bob = bench.join(2, 16);
    assert_eq!(bench.revoked(alice), [held[3].range(), held[2].range()]);
    assert_eq!(shards(&bench.given(bob)), [4, 5, 6, 7, 2, 3]);
    bench.results(alice, &held[3..]);
    let delta = bench.delta();
    assert!(delta.completed.contains(3), "it had begun after all");
}

#[test]
fn what_was_sent_just_now_is_not_moved() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 8);
    bench.now += 10;
    bench.join(2, 16);
    assert_eq!(bench.revoked(alice), []);
    bench.wait(300);
    assert_eq!(bench.revoked(alice).len(), 2, "but looked at again");
}

#[test]
fn what_begins_soon_is_not_moved() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 40);
    let given = bench.given(alice);
    bench.now += 2;
    let queued = bench.work(alice, &given);
    assert_eq!(queued.len(), 20, "10 ms for each slot");
    let bob = bench.join(2, 16);
    assert_eq!(bench.given(bob).len(), 16);
    bench.now += 400;
    bench.join(3, 16);
    assert_eq!(bench.revoked(alice), [], "18 ms are not worth it");
}

#[test]
fn a_job_near_its_end_is_not_dribbled_out() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let bob = bench.join(2, 1);
    bench.submit(1, 2_000);
    let mut held = [(alice, bench.given(alice)), (bob, bench.given(bob))];
    while held.iter().any(|(_, given)| !given.is_empty()) {
        bench.now += 1;
        for (worker, given) in &mut held {
            let done: Vec<_> = given.drain(..given.len().min(1)).collect();
            given.extend(bench.work(*worker, &done));
        }
    }
    let leaves = bench.assigned.len();
    assert!(leaves < 60, "{leaves} leaves");
}

#[test]
fn idle_workers_cost_nothing_while_there_is_no_work() {
    let mut bench = Bench::new();
    for name in 0..=255 {
        bench.join(name, 4);
    }
    assert_eq!(bench.scheduler.next_deadline(), None);
    let job = bench.submit(1, 1);
    let assigned = bench
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Assign { .. }))
        .count();
    assert_eq!(assigned, 1);
    assert_eq!(bench.scheduler.job(job).unwrap().progress.in_flight, 1);
}

/// A hundred jobs that the only worker refuses stand before one that it takes.
#[test]
fn jobs_that_nobody_takes_hold_no_other_job_up() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    for name in 1..=100 {
        bench.submit(name, 10);
        let given = bench.held(alice);
        bench.refuse(alice, &given, RefusalReason::JobRefused);
    }
    for _ in 0..100 {
        bench.wait(60_000);
        let given = bench.held(alice);
        bench.refuse(alice, &given, RefusalReason::JobRefused);
    }
    let wanted = bench.submit(101, 10);
    bench.wait(62_000);
    assert!(bench.scheduler.job(wanted).unwrap().progress.in_flight > 0);
}

#[test]
fn turns_that_nobody_could_take_are_not_saved_up() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let refused = bench.submit(1, 1_000);
    let given = bench.held(alice);
    bench.refuse(alice, &given, RefusalReason::JobRefused);
    bench.run_us = 1_000_000;
    let other = bench.submit(2, 1_000);
    for _ in 0..50 {
        bench.now += 1_000;
        let given = bench.held(alice);
        bench.work(alice, &given);
    }
    bench.join(2, 1);
    let bob = session(2);
    let done = |bench: &Bench, job| bench.scheduler.job(job).unwrap().progress.completed;
    let before = done(&bench, other);
    for _ in 0..40 {
        bench.now += 1_000;
        let given = bench.held(bob);
        bench.work(bob, &given);
    }
    let turns = [done(&bench, other) - before, done(&bench, refused)];
    assert!(turns.iter().all(|it| *it >= 25), "{turns:?}");
}

#[test]
fn a_single_job_of_high_priority_is_not_behind_those_that_came_before() {
    let mut bench = Bench::new();
    let submit = |bench: &mut Bench, name, priority| {
        bench.submit_with(name, 1, |outline| {
            outline.plan = Plan::Single;
            outline.reducer = None;
            outline.policy.priority = Priority::new(priority).unwrap();
        })
    };
    for name in 1..=40 {
        submit(&mut bench, name, 1);
    }
    let urgent = submit(&mut bench, 41, 100);
    for name in 42..=80 {
        submit(&mut bench, name, 1);
    }
    bench.join(1, 1);
    assert_eq!(bench.assigned_jobs()[0], urgent);
}

/// Nobody takes the second job. The first one's queue is at one worker while another one is idle.
#[test]
fn work_that_nobody_takes_does_not_keep_idle_workers_from_what_waits_elsewhere() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 8);
    let held = bench.given(alice);
    let bob = bench.join(2, 4);
    let done = bench.given(bob);
    bench.work(bob, &done);
    bench.submit(2, 10);
    for session in [alice, bob] {
        let given: Vec<Given> = bench.held(session);
        let of_second = given.into_iter().filter(|it| !held.contains(it));
        let refused: Vec<Given> = of_second.collect();
        bench.refuse(session, &refused, RefusalReason::JobRefused);
    }
    bench.wait(1_000);
    assert_eq!(held.len(), 4);
    assert_eq!(bench.revoked(alice), [held[3].range(), held[2].range()]);
    assert_eq!(shards(&bench.held(bob)), [2, 3]);
}

/// The idle worker that has waited longest refuses the job.
#[test]
fn an_idle_worker_that_refuses_does_not_stand_before_one_that_takes_over() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.submit(1, 8);
    let carol = bench.join(22, 4);
    let done = bench.given(carol);
    bench.work(carol, &done);
    bench.step(Event::WorkerLeft { session: carol });
    for name in 2..=20 {
        let session = bench.join(name, 1);
        bench.wait(400);
        let given = bench.held(session);
        bench.refuse(session, &given, RefusalReason::JobRefused);
    }
    let bob = bench.join(21, 2);
    for _ in 0..8 {
        bench.wait(400);
    }
    assert_eq!(bench.held(alice).len(), 2);
    assert_eq!(bench.held(bob).len(), 2);
}
