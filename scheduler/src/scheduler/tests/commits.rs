use super::*;
use shared::limits::{MAX_UNCOMMITTED_BYTES, MAX_UNCOMMITTED_MS};

#[test]
fn nothing_follows_from_a_delta_before_it_is_committed() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    let job = bench.submit(1, 3);
    let given = bench.given(alice);
    bench.results(alice, &given[..1]);
    assert_eq!(bench.disposed(alice), []);
    assert_eq!(bench.scheduler.job(job).unwrap().progress.completed, 0);
    let delta = bench.delta();
    bench.commit(&delta);
    assert_eq!(bench.scheduler.job(job).unwrap().progress.completed, 1);
    assert!(bench.effects.contains(&Effect::JobChanged { job }));
}

#[test]
fn deltas_that_are_not_known_to_be_stored_are_persisted_again_in_order() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    let job = bench.submit(1, 3);
    let given = bench.given(alice);
    let mut deltas = Vec::new();
    for one in given.chunks(1).take(2) {
        bench.results(alice, one);
        deltas.extend(bench.deltas());
    }
    bench.step(Event::CommitFailed { job, seq: 1 });
    bench.step(Event::CommitFailed { job, seq: 2 });
    bench.results(alice, &given[2..]);
    assert_eq!(bench.deltas(), [], "later ones wait their turn");
    bench.wait(99);
    assert_eq!(bench.deltas(), []);
    bench.wait(1);
    let again = bench.deltas();
    assert_eq!(again[..2], deltas);
    assert_eq!(again[2].seq, 3);
}

#[test]
fn failing_commits_are_retried_ever_more_slowly_up_to_a_limit() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let job = bench.submit(1, 1);
    let given = bench.given(alice);
    bench.results(alice, &given);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let before = bench.now;
        bench.step(Event::CommitFailed { job, seq: 1 });
        while bench.deltas().is_empty() {
            bench.now = bench.scheduler.next_deadline().unwrap().0.max(bench.now);
            bench.step(Event::Tick);
        }
        waits.push(bench.now - before);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
}

#[test]
fn commits_in_any_order_and_repeated_settle_each_delta_once() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    let job = bench.submit(1, 4);
    let given = bench.given(alice);
    for one in given.chunks(1).take(2) {
        bench.results(alice, one);
    }
    bench.step(Event::Committed { job, seq: 2 });
    assert_eq!(bench.disposed(alice), [], "the first may be missing");
    bench.step(Event::Committed { job, seq: 1 });
    let both = AttemptRange {
        nonce: given[0].nonce,
        first: 0,
        count: 2,
    };
    assert_eq!(bench.disposed(alice), [(both, Disposition::Durable)]);
    bench.step(Event::Committed { job, seq: 1 });
    bench.step(Event::CommitFailed { job, seq: 2 });
    assert_eq!(bench.effects, []);
    assert_eq!(bench.scheduler.job(job).unwrap().progress.completed, 2);
}

#[test]
fn nothing_is_handed_out_while_old_deltas_are_uncommitted() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    bench.submit(1, 100);
    let given = bench.given(alice);
    bench.results(alice, &given[..1]);
    let delta = bench.delta();
    bench.now += MAX_UNCOMMITTED_MS + 1;
    let bob = bench.join(2, 1);
    assert_eq!(bench.given(bob), []);
    bench.commit(&delta);
    assert_ne!(bench.given(bob), []);
}

#[test]
fn nothing_is_handed_out_while_large_deltas_are_uncommitted() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let mut deltas = Vec::new();
    for name in 1..=64 {
        bench.submit_with(name, 1, |outline| {
            outline.plan = Plan::Single;
            outline.reducer = None;
        });
        let given = bench.given(alice);
        assert_eq!(given.len(), 1);
        let mut result = result(0, ResultStatus::Returned);
        result.value = Some("x".repeat(1 << 20));
        bench.step(results_of(alice, given[0], result));
        deltas.extend(bench.deltas());
    }
    bench.submit(100, 1);
    assert_eq!(bench.given(alice), []);
    bench.commit(&deltas[0].clone());
    assert_eq!(bench.given(alice).len(), 1);
}

#[test]
fn a_job_whose_end_is_not_stored_takes_no_more_results() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    let job = bench.submit(1, 3);
    let given = bench.given(alice);
    let mut bad = result(0, ResultStatus::Returned);
    bad.value = Some("{}".into());
    bench.step(results_of(alice, given[0], bad));
    let end = bench.delta();
    let text = "reducer_error:sum reducer field 'hits' must be numeric.";
    assert_eq!(end.end, Some(JobEnd::Failed(text.into())));
    bench.results(alice, &given[1..2]);
    assert_eq!(
        bench.effects,
        [],
        "its disposition waits for the end's commit"
    );
    bench.commit(&end);
    assert_eq!(
        bench.disposed(alice),
        [
            (given[0].range(), Disposition::Durable),
            (given[1].range(), Disposition::Stale)
        ]
    );
    assert_eq!(bench.revoked(alice), [given[2].range()]);
    assert!(bench.has_ended(job));
    bench.results(alice, &given[2..]);
    assert_eq!(
        bench.disposed(alice),
        [(given[2].range(), Disposition::Stale)]
    );
}

#[test]
fn a_single_run_ends_with_its_result_whatever_it_is() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let job = bench.submit_with(1, 1, |outline| {
        outline.plan = Plan::Single;
        outline.reducer = None;
    });
    let given = bench.given(alice);
    bench.answer(alice, &given, ResultStatus::Threw);
    let delta = bench.delta();
    let thrown = result(0, ResultStatus::Threw);
    assert_eq!(delta.end, Some(JobEnd::Single(thrown)));
    bench.commit(&delta);
    assert!(bench.has_ended(job));
}

#[test]
fn a_job_found_complete_without_end_ends() {
    let mut bench = Bench::new();
    bench.submit_with(1, 3, |outline| {
        outline.seq = 7;
        outline.completed = RangeSetBlaze::from_iter([0..=2_u64]);
        outline.reclaim = true;
    });
    let delta = bench.delta();
    assert_eq!((delta.seq, delta.end), (8, Some(JobEnd::Reduced)));
}

#[test]
fn a_commit_ends_the_slowing_down() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    let job = bench.submit(1, 4);
    let given = bench.given(alice);
    bench.results(alice, &given[..1]);
    for wait_ms in [100, 200] {
        bench.step(Event::CommitFailed { job, seq: 1 });
        bench.wait(wait_ms);
        assert_eq!(bench.deltas().len(), 1);
    }
    bench.step(Event::Committed { job, seq: 1 });
    bench.results(alice, &given[1..2]);
    bench.step(Event::CommitFailed { job, seq: 2 });
    bench.wait(100);
    assert_eq!(bench.deltas().len(), 1);
}

#[test]
fn it_is_said_when_too_much_is_uncommitted_to_take_more_in() {
    const LARGE: usize = 1 << 20;
    let mut bench = Bench::new();
    let alice = bench.join(1, 100);
    bench.submit_with(1, 100, |outline| {
        outline.reducer = Some(Reducer::Collect { max_bytes: 1 << 30 });
    });
    let given = bench.given(alice);
    let mut deltas = Vec::new();
    let mut given = given.into_iter();
    while !bench.scheduler.is_congested() {
        let large = ShardResult {
            value: Some(format!("\"{}\"", "x".repeat(LARGE))),
            ..result(0, ResultStatus::Returned)
        };
        let one = given.next().expect("the bound is reached before");
        bench.step(results_of(alice, one, large));
        deltas.push(bench.delta());
    }
    assert_eq!(deltas.len(), MAX_UNCOMMITTED_BYTES / LARGE);
    bench.commit(&deltas[0]);
    assert!(!bench.scheduler.is_congested());
}

#[test]
fn answers_that_wait_for_a_commit_count_as_uncommitted() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 256);
    bench.submit_with(1, 100_000, |outline| {
        outline.reducer = Some(Reducer::Collect { max_bytes: 1 << 30 });
    });
    let given = bench.given(alice);
    let (small, large) = given.split_at(given.len() - 63);
    bench.results(alice, small);
    for one in large {
        let result = ShardResult {
            value: Some("1".repeat(1 << 20)),
            ..result(0, ResultStatus::Returned)
        };
        bench.step(results_of(alice, *one, result));
    }
    assert!(!bench.scheduler.is_congested());
    let again: Vec<Given> = small.iter().rev().copied().collect();
    for _ in 0..64 {
        bench.step(Event::WorkerLeft { session: alice });
        bench.resume(1, small, Stage::Finished);
        bench.prove(alice, small);
        bench.results(alice, &again);
        assert_eq!(bench.disposed(alice), [], "they wait");
    }
    assert!(bench.scheduler.is_congested());
}
