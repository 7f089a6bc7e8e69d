use super::*;

#[test]
fn a_job_runs_to_its_end() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 4);
    assert!(bench.effects.contains(&Effect::Welcome {
        session: alice,
        unknown: vec![]
    }));
    let job = bench.submit(1, 3);
    let given = bench.given(alice);
    assert_eq!(shards(&given), [0, 1, 2]);
    assert!(given.iter().all(|given| given.number == 1));

    bench.results(alice, &given);
    let delta = bench.delta();
    assert_eq!(delta.seq, 1);
    assert_eq!(delta.completed, RangeSetBlaze::from_iter([0..=2_u64]));
    assert_eq!(delta.end, Some(JobEnd::Reduced));
    assert_eq!(
        bench.disposed(alice),
        [],
        "nothing is told before the commit"
    );

    bench.commit(&delta);
    let all = AttemptRange {
        nonce: given[0].nonce,
        first: 0,
        count: 3,
    };
    assert_eq!(bench.disposed(alice), [(all, Disposition::Durable)]);
    assert!(bench.has_ended(job));
    assert_eq!(bench.scheduler.job(job), None);
}

#[test]
fn ten_thousand_trivial_shards_take_a_few_round_trips() {
    let mut bench = Bench::new();
    bench.run_us = 1;
    let workers: Vec<_> = (1..=16).map(|name| bench.join(name, 1)).collect();
    let job = bench.submit(99, 10_000);
    let mut outstanding: Vec<_> = workers.iter().map(|it| (*it, bench.given(*it))).collect();
    let mut rounds = 0;
    let mut done = false;
    while !done {
        rounds += 1;
        bench.now += 1;
        for (worker, given) in std::mem::take(&mut outstanding) {
            if given.is_empty() {
                outstanding.push((worker, given));
                continue;
            }
            bench.answer(worker, &given, ResultStatus::Returned);
            let delta = bench.delta();
            let next = bench.given(worker);
            outstanding.push((worker, next));
            bench.commit(&delta);
            done = done || bench.has_ended(job);
        }
        assert!(rounds <= 6, "too many round trips");
    }
}
