use shared::job::{OnShardError, Priority};

use super::*;

fn with(on_shard_error: OnShardError) -> Policy {
    Policy {
        on_shard_error,
        ..Policy::default()
    }
}

/// Three workers fail shard 1 of 2; shard 0 returns. Gives the last delta.
fn fail_one(bench: &mut Bench, policy: Policy, change: impl FnOnce(&mut JobOutline)) -> Delta {
    bench.submit_with(1, 2, |outline| {
        outline.policy = policy;
        change(outline);
    });
    let workers = [bench.join(1, 2), bench.join(2, 2), bench.join(3, 2)];
    let given = bench.given_ever(workers[0]);
    bench.results(workers[0], &given[..1]);
    let first = bench.delta();
    bench.commit(&first);
    bench.answer(workers[0], &given[1..], ResultStatus::Threw);
    for _ in 2..=3 {
        let given = workers.map(|worker| (worker, bench.given(worker)));
        let (worker, given) = given.into_iter().find(|(_, it)| !it.is_empty()).unwrap();
        assert_eq!(shards(&given), [1]);
        bench.answer(worker, &given, ResultStatus::Threw);
    }
    bench.delta()
}

#[test]
fn a_shard_that_fails_for_good_can_fail_the_job() {
    let mut bench = Bench::new();
    let delta = fail_one(&mut bench, with(OnShardError::Fail), |_| {});
    let Some(JobEnd::Failed(text)) = &delta.end else {
        panic!("{:?}", delta.end);
    };
    assert!(
        text.starts_with("Shard 1 failed after 3/3 attempts: "),
        "{text}"
    );
    assert!(delta.completed.is_empty());
}

#[test]
fn a_shard_that_fails_for_good_can_be_left_out() {
    let mut bench = Bench::new();
    let delta = fail_one(&mut bench, with(OnShardError::Skip), |_| {});
    assert_eq!(delta.end, Some(JobEnd::Reduced));
    assert_eq!(delta.skipped, RangeSetBlaze::from_iter([1]));
    assert_eq!((delta.completed.len(), delta.failed_shards), (1, 1));
    let state = delta.reducer_state.unwrap();
    let hits = |state: &_| {
        let reducer = Reducer::Sum {
            fields: vec!["hits".into()],
            all: false,
        };
        reducer.aggregate(state).fields[0].nearest
    };
    assert_eq!(hits(&state), Some(0.0), "the hits of shard 0 alone");
}

#[test]
fn nothing_is_kept_of_a_shard_that_was_left_out() {
    let mut bench = Bench::new();
    let delta = fail_one(&mut bench, with(OnShardError::Skip), |outline| {
        outline.reducer = Some(Reducer::Collect {
            max_bytes: u64::MAX,
        });
    });
    assert_eq!(delta.end, Some(JobEnd::Reduced));
    assert_eq!(delta.rows.len(), 0);
}

/// Joins with room for one attempt at a time.
fn join_narrow(bench: &mut Bench, name: u8) -> SessionId {
    let session = session(name);
    bench.step(Event::WorkerJoined {
        session,
        worker: worker(name),
        slots: 1,
        credit: 1,
    });
    session
}

/// Delivers and commits what the session holds; what it is given next, and of which job.
fn next_turn(bench: &mut Bench, session: SessionId, held: &[Given]) -> (Vec<Given>, JobId) {
    bench.results(session, held);
    let mut jobs = bench.assigned_jobs();
    let mut given = bench.given(session);
    for delta in bench.deltas() {
        bench.commit(&delta);
        jobs.extend(bench.assigned_jobs());
        given.extend(bench.given(session));
    }
    assert_eq!((given.len(), jobs.len()), (1, 1));
    (given, jobs[0])
}

#[test]
fn jobs_get_turns_in_proportion_to_their_priority() {
    let mut bench = Bench::new();
    let jobs = [(1, 1), (2, 3)].map(|(name, weight)| {
        bench.submit_with(name, 1_000, |outline| {
            outline.policy.priority = Priority::new(weight).unwrap();
        })
    });
    let alice = join_narrow(&mut bench, 1);
    let mut held = bench.given(alice);
    let mut turns = usize::from(bench.assigned_jobs() == [jobs[1]]);
    for _ in 0..79 {
        let job;
        (held, job) = next_turn(&mut bench, alice, &held);
        turns += usize::from(job == jobs[1]);
    }
    assert_eq!(turns, 60);
}

#[test]
fn a_job_that_comes_late_has_nothing_to_catch_up() {
    let mut bench = Bench::new();
    let old = bench.submit(1, 1_000);
    let alice = join_narrow(&mut bench, 1);
    let mut held = bench.given(alice);
    for _ in 0..50 {
        (held, _) = next_turn(&mut bench, alice, &held);
    }
    bench.submit(2, 1_000);
    let mut of_old = 0;
    for _ in 0..20 {
        let job;
        (held, job) = next_turn(&mut bench, alice, &held);
        of_old += usize::from(job == old);
    }
    assert_eq!(of_old, 10, "they take turns");
}

#[test]
fn of_jobs_that_come_together_the_first_is_first() {
    let mut bench = Bench::new();
    let jobs = [9, 3, 7].map(|name| bench.submit(name, 1));
    let alice = join_narrow(&mut bench, 1);
    let mut order = bench.assigned_jobs();
    let mut held = bench.given(alice);
    for _ in 0..2 {
        let job;
        (held, job) = next_turn(&mut bench, alice, &held);
        order.push(job);
    }
    assert_eq!(order, jobs);
}
