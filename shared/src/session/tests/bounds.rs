//! What a worker keeps is bounded, whatever its server sends.

use super::*;
use crate::ids::JobId;
use crate::limits::MAX_UNDISPOSED_BYTES;
use crate::session::assignments::{MAX_PARKED, MAX_REVOKED_EARLY};

fn revoked(count: usize) -> ToWorker {
    ToWorker::Revoke(vec![range(99, 0, 1); count])
}

/// Joined, but the time is not known yet.
fn without_time() -> Tab {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    tab.welcome(SessionId::from_bytes([1; 16]), &[]);
    tab
}

#[test]
fn few_assignments_wait_for_the_time_and_the_others_go_back() {
    let mut tab = without_time();
    for number in 0..=MAX_PARKED as u8 {
        let leaf = tab.leaf(50 + number, 1);
        tab.assign(leaf);
    }
    let refused = Refused {
        range: Some(range(50 + MAX_PARKED as u8, 0, 1)),
        reason: RefusalReason::TimeUnknown,
    };
    assert_eq!(tab.refusals(), [refused]);
    tab.answer_time();
    assert_eq!(tab.status().queued, MAX_PARKED);
}

#[test]
fn revocations_that_wait_with_assignments_are_bounded() {
    let mut tab = without_time();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.frame(&ToWorker::Revoke(vec![range(50, 0, 1)]));
    for _ in 0..2 {
        tab.frame(&revoked(MAX_REVOKED_EARLY - 2));
    }
    assert_eq!(tab.session.revoked_early.len(), MAX_REVOKED_EARLY);
    tab.answer_time();
    assert_eq!(tab.run(9), attempts(50, 1..2), "the first ones hold");
}

#[test]
fn of_many_refused_jobs_the_first_is_forgotten() {
    let mut tab = Tab::joined();
    let first = tab.leaf(50, 1);
    let refused = first.jobs[0].job;
    tab.input(Input::RefuseJob(refused));
    for number in 1..MAX_REFUSED_JOBS as u8 {
        tab.input(Input::RefuseJob(JobId::from_random([100 + number; 16])));
    }
    tab.assign(first);
    assert_eq!(tab.run(1), []);
    tab.input(Input::RefuseJob(JobId::from_random([255; 16])));
    assert_eq!(tab.session.refused_jobs.len(), MAX_REFUSED_JOBS);
    let second = tab.leaf(51, 1);
    tab.assign(second);
    assert_eq!(tab.run(1), attempts(51, 0..1));
}

#[test]
fn a_few_results_of_very_many_bytes_take_no_credit() {
    const LARGE: usize = 1 << 20;
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 20);
    tab.assign(leaf);
    let running = tab.run(20);
    let most = (MAX_UNDISPOSED_BYTES / LARGE) as u32;
    for attempt in &running[..most as usize] {
        assert_ne!(tab.session.credit(), 0);
        let large = ShardResult {
            value: Some("1".repeat(LARGE)),
            ..result()
        };
        tab.input(Input::Finished(vec![(*attempt, large)]));
    }
    assert_eq!(tab.sent.last(), Some(&ToServer::Credit { limit: 0 }));
    tab.frame(&ToWorker::Disposed(vec![Disposed {
        range: range(50, 0, 1),
        disposition: Disposition::Durable,
    }]));
    assert_ne!(tab.session.credit(), 0);
}

#[test]
fn contents_that_nothing_needs_are_kept_up_to_a_bound() {
    let mut contents = ContentCache::default();
    let half = "x".repeat(contents::KEEP_BYTES / 2);
    contents.offer(&[half.clone(), half.replace('x', "y")]);
    contents.shrink(|_| false);
    assert_eq!(contents.known().bytes(), contents::KEEP_BYTES);
    let needed = Digest32::of(b"needed");
    contents.offer(&["needed".to_owned()]);
    contents.shrink(|hash| hash == needed);
    assert_eq!(contents.known().bytes(), "needed".len());
}

#[test]
fn a_frame_that_no_server_of_ours_sends_closes_the_socket_unread() {
    let mut tab = Tab::joined();
    let (got, max) = (MAX_FRAME_BYTES + 1, MAX_FRAME_BYTES);
    tab.input(Input::Frame(vec![0; got]));
    let told = Notice::BadFrame(WireError::TooLong { got, max });
    let end = [Action::Notice(told), Action::Disconnect];
    assert!(tab.other.ends_with(&end), "{:?}", tab.other);
}
