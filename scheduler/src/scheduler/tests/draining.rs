use super::*;

/// Alice with two slots, and what she holds of a job of ten shards.
fn busy() -> (Bench, SessionId, Vec<Given>) {
    let mut bench = Bench::new();
    bench.submit(1, 10);
    let alice = bench.join(1, 2);
    let given = bench.given(alice);
    assert!(given.len() > 2, "more than she runs");
    (bench, alice, given)
}

fn is_drained(bench: &Bench, session: SessionId) -> bool {
    bench.effects.contains(&Effect::Drained { session })
}

/// How many attempts are revoked.
fn revoked(bench: &Bench, session: SessionId) -> usize {
    let ranges = bench.revoked(session);
    ranges.iter().map(|range| range.count as usize).sum()
}

#[test]
fn what_a_draining_worker_has_not_begun_goes_to_another_at_once() {
    let (mut bench, alice, given) = busy();
    bench.step(Event::WorkerDraining { session: alice });
    assert_eq!(revoked(&bench, alice), given.len() - 2);
    assert_eq!(bench.scheduler.workers()[0].in_flight, 2);
    assert!(!is_drained(&bench, alice));
    let bob = bench.join(2, 8);
    let taken = shards(&given[2..]);
    let theirs = shards(&bench.given(bob));
    assert!(
        taken.iter().all(|shard| theirs.contains(shard)),
        "{theirs:?}"
    );
}

#[test]
fn a_draining_worker_gets_nothing_more() {
    let (mut bench, alice, given) = busy();
    bench.step(Event::WorkerDraining { session: alice });
    bench.step(Event::Credit {
        session: alice,
        limit: 4096,
    });
    bench.submit(2, 10);
    bench.results(alice, &given[..1]);
    let delta = bench.delta();
    bench.commit(&delta);
    bench.wait(1_000);
    assert_eq!(bench.given_ever(alice), given);
}

#[test]
fn a_worker_is_drained_when_its_last_result_is_disposed_of_and_not_before() {
    let (mut bench, alice, given) = busy();
    bench.step(Event::WorkerDraining { session: alice });
    bench.results(alice, &given[..2]);
    assert!(!is_drained(&bench, alice), "nothing is stored yet");
    let delta = bench.delta();
    bench.commit(&delta);
    let place = |is: fn(&Effect) -> bool| bench.effects.iter().position(is);
    let disposed = place(|effect| matches!(effect, Effect::Dispose { .. }));
    let drained = place(|effect| matches!(effect, Effect::Drained { .. }));
    assert!(
        disposed.is_some() && disposed < drained,
        "{:?}",
        bench.effects
    );
}

#[test]
fn a_worker_without_anything_is_drained_at_once() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 2);
    bench.step(Event::WorkerDraining { session: alice });
    assert!(is_drained(&bench, alice));
    bench.step(Event::WorkerLeft { session: alice });
    assert!(bench.scheduler.workers().is_empty());
}

#[test]
fn a_draining_worker_that_returns_keeps_what_it_has_begun_and_no_more() {
    let (mut bench, alice, given) = busy();
    bench.step(Event::WorkerDetached { session: alice });
    bench.step(Event::WorkerDraining { session: alice });
    let mut held = bench.listed(&given[..2], Stage::Running);
    held.extend(bench.listed(&given[2..], Stage::Queued));
    bench.step(resumed(1, held));
    assert_eq!(bench.scheduler.workers()[0].in_flight, 2);
    assert_eq!(revoked(&bench, alice), given.len() - 2);
    assert!(!is_drained(&bench, alice));
}

#[test]
fn after_a_restart_a_draining_worker_brings_back_what_it_runs() {
    let mut bench = Bench::new();
    bench.submit_with(1, 10, |outline| {
        outline.seq = 5;
        outline.high_water = 10;
        outline.reclaim = true;
    });
    let old: Vec<Given> = (0..3)
        .map(|index| Given {
            nonce: Nonce::from_bytes([5; 16]),
            index,
            shard: u64::from(index),
            number: 1,
        })
        .collect();
    let mut held = bench.listed(&old[..1], Stage::Running);
    held.extend(bench.listed(&old[1..], Stage::Queued));
    let alice = session(1);
    bench.step(resumed(1, held));
    bench.step(Event::WorkerDraining { session: alice });
    assert!(!is_drained(&bench, alice), "its tickets are to come");
    bench.prove(alice, &old);
    assert_eq!(revoked(&bench, alice), 2);
    bench.results(alice, &old[1..2]);
    let answer = bench.disposed(alice)[0].1;
    assert_eq!(answer, Disposition::Stale, "it is stored nowhere");
    bench.results(alice, &old[..1]);
    let delta = bench.delta();
    bench.commit(&delta);
    assert!(is_drained(&bench, alice));
}
