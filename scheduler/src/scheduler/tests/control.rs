use super::*;
use crate::Command;

fn order(bench: &mut Bench, job: JobId, command: Command) {
    bench.step(Event::Control { job, command });
}

#[test]
fn a_paused_job_hands_out_nothing_and_what_is_out_counts() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let job = bench.submit(1, 2);
    let given = bench.given(alice);
    order(&mut bench, job, Command::Pause);
    let delta = bench.delta();
    assert!(delta.is_paused);
    let is_shown = |bench: &Bench| bench.scheduler.job(job).unwrap().progress.is_paused;
    assert!(!is_shown(&bench), "not before it is stored");
    bench.commit(&delta);
    assert!(is_shown(&bench));
    bench.results(alice, &given[..1]);
    let delta = bench.delta();
    assert_eq!(delta.completed.len(), 1);
    bench.commit(&delta);
    let bob = bench.join(2, 1);
    assert!(bench.given(bob).is_empty());

    order(&mut bench, job, Command::Pause);
    assert_eq!(bench.deltas(), [], "it is paused already");
    order(&mut bench, job, Command::Resume);
    assert!(!bench.delta().is_paused);
}

#[test]
fn a_view_tells_which_orders_it_shows() {
    let mut bench = Bench::new();
    let job = bench.submit(1, 2);
    let seqs = |bench: &Bench| {
        let view = bench.scheduler.job(job).unwrap();
        (view.stored_seq, bench.scheduler.last_seq(job).unwrap())
    };
    let (before, _) = seqs(&bench);
    order(&mut bench, job, Command::Pause);
    let paused = bench.delta();
    order(&mut bench, job, Command::Resume);
    let resumed = bench.delta();
    assert!(!bench.scheduler.job(job).unwrap().progress.is_paused);
    assert_eq!(seqs(&bench), (before, resumed.seq), "that is of before");
    bench.commit(&paused);
    assert_eq!(seqs(&bench), (paused.seq, resumed.seq));
    bench.commit(&resumed);
    assert_eq!(seqs(&bench), (resumed.seq, resumed.seq));
}

#[test]
fn a_cancelled_job_folds_nothing_more_and_is_taken_from_its_workers() {
    let mut bench = Bench::new();
    let alice = bench.join(1, 1);
    let job = bench.submit(1, 1_000_000);
    let given = bench.given(alice);
    order(&mut bench, job, Command::Cancel);
    let delta = bench.delta();
    assert_eq!(delta.end, Some(JobEnd::Cancelled));
    bench.results(alice, &given[..1]);
    assert_eq!(bench.deltas(), [], "too late");
    order(&mut bench, job, Command::Resume);
    assert_eq!(bench.deltas(), [], "it has ended");
    bench.commit(&delta);
    assert!(bench.has_ended(job));
    let revoked: u32 = bench.revoked(alice).iter().map(|range| range.count).sum();
    assert_eq!(revoked as usize, given.len() - 1);
}
