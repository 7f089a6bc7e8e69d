//! A session against a server, or somebody between, that says anything at all.

use proptest::prelude::*;

use super::*;
use crate::limits::{
    MAX_ATTEMPTS_PER_LEAF, MAX_JWS_BYTES, MAX_LEAF_BYTES, MAX_SLOTS, MAX_UNDISPOSED_RESULTS,
    MIN_FRAME_BYTES,
};
use crate::merkle;
use crate::wire::ResultRow;

impl Tab {
    fn welcome_with(&mut self, session: SessionId, limits: WorkerLimits) {
        self.frame(&ToWorker::Welcome(Box::new(Welcome {
            session,
            worker: "worker-1".parse().unwrap(),
            token: "token".into(),
            unknown: Vec::new(),
            limits,
        })));
    }
}

const FIRST: SessionId = SessionId::from_bytes([1; 16]);
const OTHER: SessionId = SessionId::from_bytes([2; 16]);

const fn limits(max_result_bytes: u32, max_frame_bytes: u32) -> WorkerLimits {
    WorkerLimits {
        max_result_bytes,
        max_frame_bytes,
        max_slots: 8,
    }
}

#[test]
fn an_assignment_does_not_run_again_after_a_detour_through_another_session() {
    let mut tab = Tab::joined();
    let signed = sealed(Leaf::Assign(tab.leaf(50, 1)));
    let contents = vec![CODE.to_owned(), "{}".to_owned()];
    tab.assign_signed(signed.clone(), contents.clone());
    assert_eq!(tab.run(9), attempts(50, 0..1));
    for session in [OTHER, FIRST] {
        tab.input(Input::Closed);
        tab.wait(10_000);
        tab.join(session, &[]);
    }
    tab.assign_signed(signed, contents);
    assert_eq!(tab.run(9), []);
    assert!(tab.is_shown(RefusalReason::Replayed));
}

#[test]
fn a_welcome_that_answers_no_hello_closes_the_socket_and_changes_nothing() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.welcome(OTHER, &[]);
    assert_eq!(tab.other.last(), Some(&Action::Disconnect));
    let bad = Action::Notice(Notice::BadFrame(wire::WireError::OutOfTurn));
    assert!(tab.other.contains(&bad));
    assert_eq!(tab.status().queued, 2);
}

#[test]
fn nothing_is_taken_before_the_welcome() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    for message in [
        ToWorker::Disposed(Vec::new()),
        ToWorker::Revoke(vec![range(50, 0, 2)]),
        ToWorker::Time(Box::new(sealed(Leaf::Time(TimeLeaf {
            challenge: nonce(1),
            now: tab.server_now(),
        })))),
        ToWorker::Assign(Box::new(Assign {
            signed: sealed(Leaf::Assign(tab.leaf(51, 1))),
            contents: Vec::new(),
        })),
    ] {
        tab.input(Input::Closed);
        tab.wait(10_000);
        tab.input(Input::Opened);
        tab.other.clear();
        tab.frame(&message);
        assert_eq!(tab.other.last(), Some(&Action::Disconnect), "{message:?}");
        assert_eq!(tab.status().queued, 2);
    }
}

#[test]
fn limits_of_nothing_do_not_lock_a_worker_out() {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    tab.welcome_with(FIRST, limits(0, 0));
    tab.answer_time();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    let running = tab.run(2);
    tab.finish(&running);
    assert_eq!(tab.results().len(), 2);
    tab.input(Input::Closed);
    tab.wait(10_000);
    tab.join(FIRST, &[]);
    assert_eq!(tab.status().link, LinkStatus::Joined);
}

#[test]
fn a_result_that_no_frame_holds_is_sent_as_one_that_says_so() {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    let max_bytes = MIN_FRAME_BYTES as u32;
    tab.welcome_with(FIRST, limits(1024, max_bytes));
    tab.answer_time();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    let running = tab.run(2);
    let large = ShardResult {
        value: Some(format!("\"{}\"", "x".repeat(MIN_FRAME_BYTES))),
        ..result()
    };
    tab.input(Input::Finished(vec![
        (running[0], large),
        (running[1], result()),
    ]));
    let rows: Vec<&ResultRow> = tab.results().iter().flat_map(|it| &it.rows).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].result.status, ResultStatus::ExecutorFailed);
    assert_eq!(rows[0].result.duration_us, result().duration_us);
    assert_eq!(rows[1].result, result());
    let frames = tab.sent.iter().map(|message| wire::encode(message).len());
    assert!(frames.max().unwrap() <= MIN_FRAME_BYTES);
}

#[test]
fn everything_but_results_fits_into_the_smallest_frame() {
    let ticket = SignedLeaf {
        leaf: vec![0; MAX_LEAF_BYTES],
        index: u32::MAX,
        path: vec![merkle::leaf_hash(b""); 13],
        root: "x".repeat(MAX_JWS_BYTES),
    };
    let tickets = ToServer::Tickets(vec![ticket; MAX_TICKETS_PER_FRAME]);
    assert!(wire::encode(&tickets).len() <= MIN_FRAME_BYTES);

    // No attempt next to one of its own stage.
    let most = MAX_UNDISPOSED_RESULTS + 2 * MAX_ATTEMPTS_PER_LEAF + usize::from(MAX_SLOTS);
    let range = range(255, 1023, 1);
    let stage = Stage::Finished;
    let beat = ToServer::Beat {
        held: vec![Held { range, stage }; most],
    };
    assert!(wire::encode(&beat).len() <= MIN_FRAME_BYTES);
}

#[test]
fn what_is_revoked_while_the_time_is_unknown_does_not_run() {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    tab.welcome(FIRST, &[]);
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    tab.frame(&ToWorker::Revoke(vec![range(50, 0, 2)]));
    tab.answer_time();
    assert_eq!(tab.run(9), attempts(50, 2..3));
}

/// One thing that happens to a session.
#[derive(Debug, Clone)]
enum Happening {
    Welcome(bool),
    Time(bool),
    Assign { nonce: u8, session: bool },
    Disposed(AttemptRange),
    Revoke(AttemptRange),
    Bye(Option<u32>),
    Noise(Vec<u8>),
    Opened,
    Closed,
    Fetched(bool),
    Run(usize),
    Finish(u8, u32, u64),
    Interrupt(u8, u32),
    Wait(u64),
    Sleep(u64),
    Pause,
    Resume,
    StopRunning,
    RefuseJob,
    Slots(u16),
}

fn any_range() -> impl Strategy<Value = AttemptRange> {
    let first = prop_oneof![0..4_u32, Just(u32::MAX)];
    let count = prop_oneof![0..4_u32, Just(u32::MAX)];
    (40..44_u8, first, count).prop_map(|(nonce, first, count)| range(nonce, first, count))
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<bool>().prop_map(Happening::Welcome),
        any::<bool>().prop_map(Happening::Time),
        (40..44_u8, any::<bool>())
            .prop_map(|(nonce, session)| Happening::Assign { nonce, session }),
        any_range().prop_map(Happening::Disposed),
        any_range().prop_map(Happening::Revoke),
        any::<Option<u32>>().prop_map(Happening::Bye),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Happening::Noise),
        Just(Happening::Opened),
        Just(Happening::Closed),
        any::<bool>().prop_map(Happening::Fetched),
        (0..5_usize).prop_map(Happening::Run),
        (40..44_u8, 0..5_u32, any::<u64>())
            .prop_map(|(nonce, index, us)| Happening::Finish(nonce, index, us)),
        (40..44_u8, 0..5_u32).prop_map(|(nonce, index)| Happening::Interrupt(nonce, index)),
        prop_oneof![0..50_u64, 0..1_000_000_u64, Just(u64::MAX / 200)].prop_map(Happening::Wait),
        any::<u64>().prop_map(Happening::Sleep),
        Just(Happening::Pause),
        Just(Happening::Resume),
        Just(Happening::StopRunning),
        Just(Happening::RefuseJob),
        any::<u16>().prop_map(Happening::Slots),
    ]
}

/// A tab, and every attempt that it was let run.
struct Victim {
    tab: Tab,
    ran: Vec<AttemptId>,
}

impl Victim {
    fn suffer(&mut self, happening: Happening) {
        let tab = &mut self.tab;
        let session = |own: bool| if own { FIRST } else { OTHER };
        match happening {
            Happening::Welcome(own) => tab.welcome(session(own), &[nonce(40), nonce(99)]),
            Happening::Time(true) if !tab.sent.is_empty() => tab.answer_time(),
            Happening::Time(_) => {
                let leaf = Leaf::Time(TimeLeaf {
                    challenge: nonce(99),
                    now: UnixMillis(u64::MAX),
                });
                tab.frame(&ToWorker::Time(Box::new(cached(leaf))));
            }
            Happening::Assign {
                nonce,
                session: own,
            } => {
                let mut leaf = tab.leaf(nonce, 3);
                leaf.session = session(own);
                // Nobody signs two leaves of one nonce: each has its time.
                leaf.issued_at = UnixMillis(SERVER_NOW + u64::from(nonce - 40) * 50_000);
                leaf.expires_at = leaf.issued_at.plus(120_000);
                tab.assign_signed(
                    cached(Leaf::Assign(leaf)),
                    vec![CODE.to_owned(), "{}".to_owned()],
                );
            }
            Happening::Disposed(range) => tab.frame(&ToWorker::Disposed(vec![Disposed {
                range,
                disposition: Disposition::Durable,
            }])),
            Happening::Revoke(range) => tab.frame(&ToWorker::Revoke(vec![range])),
            Happening::Bye(retry_after_ms) => tab.frame(&ToWorker::Bye {
                reason: ByeReason::TooSlow,
                retry_after_ms: retry_after_ms.or(Some(0)),
            }),
            Happening::Noise(bytes) => tab.input(Input::Frame(bytes)),
            Happening::Opened => tab.input(Input::Opened),
            Happening::Closed => tab.input(Input::Closed),
            Happening::Fetched(is_good) => tab.input(Input::Fetched {
                hash: Digest32::of(CODE.as_bytes()),
                text: is_good.then(|| CODE.to_owned()),
            }),
            Happening::Run(most) => self.ran.extend(tab.run(most)),
            Happening::Finish(byte, index, duration_us) => {
                let result = ShardResult {
                    duration_us,
                    ..result()
                };
                let attempt = attempts(byte, index..index + 1)[0];
                tab.input(Input::Finished(vec![(attempt, result)]));
            }
            Happening::Interrupt(byte, index) => {
                tab.input(Input::Interrupted(attempts(byte, index..index + 1)));
            }
            Happening::Wait(ms) => {
                tab.mono = tab.mono.saturating_add(ms);
                tab.wall = tab.wall.saturating_add(ms);
                tab.input(Input::Tick);
            }
            Happening::Sleep(wall) => tab.wall = wall,
            Happening::Pause => tab.input(Input::Pause),
            Happening::Resume => tab.input(Input::Resume),
            Happening::StopRunning => tab.input(Input::StopRunning),
            Happening::RefuseJob => tab.input(Input::RefuseJob(JobId::from_random([9; 16]))),
            Happening::Slots(slots) => tab.input(Input::Slots(slots)),
        }
    }
}

/// Signed once: RSA is too slow to sign thousands of equal leaves.
fn cached(leaf: Leaf) -> SignedLeaf {
    use std::collections::HashMap;
    use std::sync::Mutex;
    static SIGNED: Mutex<Option<HashMap<Vec<u8>, SignedLeaf>>> = Mutex::new(None);
    let mut signed = SIGNED.lock().unwrap();
    signed
        .get_or_insert_default()
        .entry(leaf.encode())
        .or_insert_with(|| sealed(leaf))
        .clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_happens_nothing_panics_and_nothing_runs_twice(
        happenings in proptest::collection::vec(happening(), 0..60),
    ) {
        let mut victim = Victim { tab: Tab::joined(), ran: Vec::new() };
        for happening in happenings {
            victim.suffer(happening);
        }
        let mut ran = victim.ran.clone();
        ran.sort_unstable();
        ran.dedup();
        prop_assert_eq!(ran.len(), victim.ran.len(), "{:?}", victim.ran);
    }
}
