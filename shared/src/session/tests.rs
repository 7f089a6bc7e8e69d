//! A session against a scripted server that signs for real.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one message among all"
)]

mod bounds;
mod hostile;

use std::convert::Infallible;

use super::*;
use crate::envelope::vectors::TestSigners;
use crate::envelope::{AssignLeaf, Leaf, LeafJob, RunJsTask, Task, TimeLeaf, seal, test_signers};
use crate::ids::{SessionId, ShardIndex, WorkerSecret};
use crate::plan::{Plan, RandomMode, Sharding};
use crate::time::UnixMillis;
use crate::wire::{
    DeviceFacts, Disposed, Disposition, Held, Renewed, ResultBatch, ResultStatus, SelfTest, Stage,
};

const SERVER_NOW: u64 = 1_800_000_000_000;
const CODE: &str = "return {hits: 1}";

/// A session, the clocks of its device, and what it has said.
struct Tab {
    session: Session,
    wall: u64,
    mono: u64,
    draws: u8,
    sent: Vec<ToServer>,
    other: Vec<Action>,
}

impl Tab {
    fn new() -> Self {
        Self::joining_with(Credential::Invite("invite".into()))
    }

    fn joining_with(credential: Credential) -> Self {
        let config = SessionConfig {
            worker: "worker-1".parse().unwrap(),
            secret: WorkerSecret::from_bytes([7; 16]),
            credential,
            invite: Some("invite".into()),
            slots: 2,
            device: DeviceFacts::default(),
            self_test: SelfTest::Passed { probes: 9 },
        };
        let keys = with_signers(|signers| KeyRing::new(signers.trusted.clone()));
        let session = Session::new(config, keys);
        let mut tab = Self {
            session,
            wall: 5,
            mono: 1_000,
            draws: 0,
            sent: Vec::new(),
            other: Vec::new(),
        };
        tab.collect();
        tab
    }

    /// Joined, with the time known.
    fn joined() -> Self {
        let mut tab = Self::new();
        tab.join(SessionId::from_bytes([1; 16]), &[]);
        tab
    }

    fn join(&mut self, session: SessionId, unknown: &[Nonce]) {
        self.input(Input::Opened);
        self.welcome(session, unknown);
        self.answer_time();
    }

    fn now(&self) -> Reading {
        Reading {
            wall: UnixMillis(self.wall),
            mono: Millis(self.mono),
        }
    }

    fn server_now(&self) -> UnixMillis {
        UnixMillis(SERVER_NOW + self.mono)
    }

    fn input(&mut self, input: Input) {
        let mut draws = self.draws;
        let mut entropy = || {
            draws += 1;
            [draws; 16]
        };
        self.session.handle(self.now(), input, &mut entropy);
        self.draws = draws;
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Send(frame) => self.sent.push(wire::decode(&frame, usize::MAX).unwrap()),
                other => self.other.push(other),
            }
        }
    }

    fn wait(&mut self, ms: u64) {
        self.mono += ms;
        self.wall += ms;
        self.input(Input::Tick);
    }

    fn frame(&mut self, message: &ToWorker) {
        self.input(Input::Frame(wire::encode(message)));
    }

    fn welcome(&mut self, session: SessionId, unknown: &[Nonce]) {
        self.frame(&ToWorker::Welcome(Box::new(Welcome {
            session,
            worker: "worker-1".parse().unwrap(),
            token: "token".into(),
            unknown: unknown.to_vec(),
            limits: WorkerLimits {
                max_result_bytes: 1 << 20,
                max_frame_bytes: 1 << 21,
                max_slots: 8,
            },
        })));
    }

    fn answer_time(&mut self) {
        let challenge = self.sent.iter().rev().find_map(|message| match message {
            ToServer::Hello(hello) => Some(hello.challenge),
            ToServer::Sync { challenge } => Some(*challenge),
            _ => None,
        });
        let leaf = Leaf::Time(TimeLeaf {
            challenge: challenge.unwrap(),
            now: self.server_now(),
        });
        self.frame(&ToWorker::Time(Box::new(sealed(leaf))));
    }

    fn leaf(&self, nonce: u8, shards: u64) -> AssignLeaf {
        let plan = Plan::Sharded(Sharding::new(10_000, 1).unwrap());
        let task = Task::RunJs(RunJsTask {
            code: Digest32::of(CODE.as_bytes()),
            args: Digest32::of(b"{}"),
            plan,
            timeout_ms: 0,
            seed: 1,
            random: RandomMode::Seeded,
        });
        AssignLeaf {
            version: ProtocolVersion::V1,
            worker: "worker-1".parse().unwrap(),
            session: SessionId::from_bytes([1; 16]),
            nonce: Nonce::from_bytes([nonce; 16]),
            issued_at: self.server_now(),
            expires_at: self.server_now().plus(120_000),
            jobs: vec![LeafJob {
                job: JobId::from_random([9; 16]),
                task,
                shards: (0..shards).map(|shard| (ShardIndex(shard), 1)).collect(),
            }],
        }
    }

    fn assign(&mut self, leaf: AssignLeaf) {
        let contents = vec![CODE.to_owned(), "{}".to_owned()];
        self.assign_signed(sealed(Leaf::Assign(leaf)), contents);
    }

    fn assign_signed(&mut self, signed: SignedLeaf, contents: Vec<String>) {
        self.frame(&ToWorker::Assign(Box::new(Assign { signed, contents })));
    }

    fn run(&mut self, most: usize) -> Vec<AttemptId> {
        let run = self.session.take_run(self.now(), most);
        self.collect();
        run.map_or(Vec::new(), |run| {
            run.shards().iter().map(|shard| shard.attempt).collect()
        })
    }

    fn finish(&mut self, attempts: &[AttemptId]) {
        self.input(Input::Finished(
            attempts
                .iter()
                .map(|attempt| (*attempt, result()))
                .collect(),
        ));
    }

    fn results(&self) -> Vec<&ResultBatch> {
        let results = self.sent.iter().filter_map(|message| match message {
            ToServer::Results(batches) => Some(batches),
            _ => None,
        });
        results.flatten().collect()
    }

    fn refusals(&self) -> Vec<Refused> {
        let refusals = self.sent.iter().filter_map(|message| match message {
            ToServer::Refused(refusals) => Some(refusals.clone()),
            _ => None,
        });
        refusals.flatten().collect()
    }

    fn is_shown(&self, expected: RefusalReason) -> bool {
        self.other.iter().any(|action| {
            matches!(action, Action::Notice(Notice::Refused { reason, .. }) if *reason == expected)
        })
    }

    fn status(&self) -> Status {
        self.session.status(self.now())
    }
}

fn with_signers<T>(f: impl FnOnce(&TestSigners<'_>) -> T) -> T {
    test_signers::with(f)
}

fn sealed(leaf: Leaf) -> SignedLeaf {
    with_signers(|signers| {
        let sign = |message: &[u8]| Ok::<_, Infallible>((signers.sign)(message));
        seal(&[leaf], signers.trusted.kid(), sign)
            .unwrap()
            .remove(0)
    })
}

fn result() -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: 100,
        value: Some(r#"{"hits":1}"#.into()),
        details: None,
    }
}

fn nonce(byte: u8) -> Nonce {
    Nonce::from_bytes([byte; 16])
}

fn attempts(byte: u8, indices: std::ops::Range<u32>) -> Vec<AttemptId> {
    indices
        .map(|index| AttemptId {
            nonce: nonce(byte),
            index,
        })
        .collect()
}

fn range(byte: u8, first: u32, count: u32) -> AttemptRange {
    AttemptRange {
        nonce: nonce(byte),
        first,
        count,
    }
}

#[test]
fn a_batch_goes_from_assignment_to_disposal() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    assert_eq!(tab.run(2), attempts(50, 0..2));
    assert_eq!(tab.run(2), attempts(50, 2..3));
    assert_eq!(tab.run(2), []);
    tab.finish(&attempts(50, 0..2));
    assert!(
        tab.results().is_empty(),
        "waits for company while another runs"
    );
    tab.finish(&attempts(50, 2..3));
    assert_eq!(
        tab.results()
            .iter()
            .map(|batch| batch.rows.len())
            .sum::<usize>(),
        3
    );
    assert_eq!(tab.status().undisposed, 3);
    let disposition = Disposition::Durable;
    tab.frame(&ToWorker::Disposed(vec![Disposed {
        range: range(50, 0, 3),
        disposition,
    }]));
    assert_eq!((tab.status().undisposed, tab.status().disposed), (0, 3));
}

#[test]
fn results_wait_ten_milliseconds_at_most() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    tab.run(2);
    tab.finish(&attempts(50, 0..1));
    assert_eq!(tab.session.next_deadline(), Some(Millis(tab.mono + 10)));
    tab.wait(10);
    assert_eq!(tab.results().len(), 1);
}

#[test]
fn nothing_starts_until_the_time_is_known() {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    tab.welcome(SessionId::from_bytes([1; 16]), &[]);
    let leaf = tab.leaf(50, 1);
    tab.assign(leaf);
    assert_eq!(tab.run(1), []);
    tab.answer_time();
    assert_eq!(tab.run(1), attempts(50, 0..1));
}

#[test]
fn after_sleep_nothing_starts_until_the_server_told_the_time_again() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.wall += 3_600_000;
    assert_eq!(tab.run(1), []);
    tab.input(Input::Tick);
    assert!(matches!(tab.sent.last(), Some(ToServer::Sync { .. })));
    tab.answer_time();
    assert_eq!(tab.run(1), attempts(50, 0..1));
}

#[test]
fn from_the_future_means_to_ask_for_the_time_and_only_then_refusal() {
    let mut tab = Tab::joined();
    let mut leaf = tab.leaf(50, 1);
    leaf.issued_at = tab.server_now().plus(60_000);
    tab.assign(leaf);
    assert!(matches!(tab.sent.last(), Some(ToServer::Sync { .. })));
    assert_eq!(tab.refusals(), []);
    tab.answer_time();
    let reason = RefusalReason::FromTheFuture;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 0, 1)),
            reason
        }]
    );
    assert_eq!(tab.run(1), []);
}

#[test]
fn a_tampered_assignment_is_refused_shown_and_reported() {
    let mut tab = Tab::joined();
    let mut signed = sealed(Leaf::Assign(tab.leaf(50, 4)));
    let last = signed.leaf.len() - 1;
    signed.leaf[last] ^= 2;
    tab.assign_signed(signed, vec![CODE.into(), "{}".into()]);
    assert_eq!(tab.run(9), []);
    assert_eq!(tab.refusals().len(), 1);
    assert_eq!(tab.refusals()[0].reason, RefusalReason::NotInTree);
    assert!(tab.is_shown(RefusalReason::NotInTree));
    assert_eq!(tab.status().refused, 1);
}

#[test]
fn a_replayed_assignment_is_refused_and_the_first_goes_on() {
    let mut tab = Tab::joined();
    let signed = sealed(Leaf::Assign(tab.leaf(50, 1)));
    for _ in 0..2 {
        tab.assign_signed(signed.clone(), vec![CODE.into(), "{}".into()]);
    }
    assert_eq!(tab.refusals().len(), 1);
    assert_eq!(tab.refusals()[0].reason, RefusalReason::Replayed);
    assert_eq!(tab.run(9), attempts(50, 0..1));
    assert_eq!(tab.run(9), []);
}

#[test]
fn what_expires_in_the_queue_is_handed_back() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    assert_eq!(tab.run(1), attempts(50, 0..1));
    tab.wait(120_000);
    assert_eq!(tab.run(1), []);
    let reason = RefusalReason::ExpiredInQueue;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 1, 2)),
            reason
        }]
    );
    tab.finish(&attempts(50, 0..1));
    assert_eq!(tab.results().len(), 1, "expiry bounds the start only");
}

#[test]
fn a_resumed_session_sends_its_results_again_and_tickets_for_what_is_unknown() {
    let mut tab = Tab::joined();
    for byte in [50, 51] {
        let leaf = tab.leaf(byte, 2);
        tab.assign(leaf);
    }
    assert_eq!(tab.run(1), attempts(50, 0..1));
    tab.finish(&attempts(50, 0..1));
    tab.wait(10);
    tab.input(Input::Closed);
    tab.wait(10_000);
    assert_eq!(tab.other.last(), Some(&Action::Connect));
    tab.sent.clear();
    tab.input(Input::Opened);
    let Some(ToServer::Hello(hello)) = tab.sent.first().cloned() else {
        panic!("the first frame is hello");
    };
    assert_eq!(
        hello.credential,
        Credential::Session {
            token: "token".into(),
            resume: true
        }
    );
    let held = |range, stage| Held { range, stage };
    assert_eq!(
        hello.held,
        [
            held(range(50, 0, 1), Stage::Finished),
            held(range(50, 1, 1), Stage::Queued),
            held(range(51, 0, 2), Stage::Queued),
        ]
    );
    tab.welcome(SessionId::from_bytes([1; 16]), &[nonce(50), nonce(77)]);
    let tickets = tab
        .sent
        .iter()
        .position(|message| matches!(message, ToServer::Tickets(_)));
    let results = tab
        .sent
        .iter()
        .position(|message| matches!(message, ToServer::Results(_)));
    assert!(
        tickets.unwrap() < results.unwrap(),
        "the server needs the ticket first"
    );
    let ToServer::Tickets(tickets) = &tab.sent[tickets.unwrap()] else {
        unreachable!()
    };
    assert_eq!(tickets.len(), 1);
    tab.answer_time();
    assert_eq!(tab.run(9), attempts(50, 1..2));
    assert_eq!(tab.run(9), attempts(51, 0..2));
}

#[test]
fn another_session_voids_everything_held() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.run(1);
    tab.input(Input::Closed);
    tab.wait(10_000);
    tab.join(SessionId::from_bytes([2; 16]), &[]);
    assert!(tab.other.contains(&Action::Stop(attempts(50, 0..1))));
    assert_eq!(tab.run(1), []);
    tab.finish(&attempts(50, 0..1));
    tab.wait(100);
    assert!(tab.results().is_empty());
}

#[test]
fn a_token_that_does_not_hold_falls_back_to_the_invite() {
    let credential = Credential::Session {
        token: "old".into(),
        resume: false,
    };
    let mut tab = Tab::joining_with(credential);
    tab.input(Input::Opened);
    let bye = ToWorker::Bye {
        reason: ByeReason::SessionUnknown,
        retry_after_ms: None,
    };
    tab.frame(&bye);
    assert_eq!(tab.other.last(), Some(&Action::Disconnect));
    tab.input(Input::Closed);
    tab.input(Input::Tick);
    assert_eq!(tab.other.last(), Some(&Action::Connect));
    tab.sent.clear();
    tab.input(Input::Opened);
    let Some(ToServer::Hello(hello)) = tab.sent.first() else {
        panic!("hello comes first")
    };
    assert_eq!(hello.credential, Credential::Invite("invite".into()));
    tab.frame(&bye);
    let dismissed = LinkStatus::Stopped(StopReason::Dismissed(ByeReason::SessionUnknown));
    assert_eq!(tab.status().link, dismissed, "the invite was tried too");
}

#[test]
fn a_renewed_token_opens_the_session_from_then_on() {
    let mut tab = Tab::joined();
    let token = "renewed".to_owned();
    tab.frame(&ToWorker::Renewed(Renewed {
        token: token.clone(),
    }));
    assert_eq!(tab.other.last(), Some(&Action::Notice(Notice::Renewed)));
    assert_eq!(tab.session.token(), Some("renewed"));
    tab.input(Input::Closed);
    tab.wait(60_000);
    tab.sent.clear();
    tab.input(Input::Opened);
    let Some(ToServer::Hello(hello)) = tab.sent.first() else {
        panic!("hello comes first")
    };
    let credential = Credential::Session {
        token,
        resume: true,
    };
    assert_eq!(hello.credential, credential);
}

#[test]
fn a_server_that_stops_is_tried_again_when_it_said() {
    let mut tab = Tab::joined();
    tab.frame(&ToWorker::Bye {
        reason: ByeReason::ShuttingDown,
        retry_after_ms: Some(2_000),
    });
    tab.input(Input::Closed);
    assert_eq!(
        tab.status().link,
        LinkStatus::Waiting {
            until: Millis(tab.mono + 2_000)
        }
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    tab.wait(15_000);
    assert_eq!(tab.other.last(), Some(&Action::Disconnect));
}

#[test]
fn long_contents_are_fetched_and_checked() {
    let mut tab = Tab::joined();
    let signed = sealed(Leaf::Assign(tab.leaf(50, 1)));
    tab.assign_signed(signed, vec!["{}".into()]);
    let hash = Digest32::of(CODE.as_bytes());
    assert_eq!(tab.other.last(), Some(&Action::Fetch(hash)));
    assert_eq!(tab.run(1), []);
    tab.input(Input::Fetched { hash, text: None });
    tab.wait(500);
    assert_eq!(
        tab.other
            .iter()
            .filter(|&it| *it == Action::Fetch(hash))
            .count(),
        2
    );
    tab.input(Input::Fetched {
        hash,
        text: Some(CODE.into()),
    });
    assert_eq!(tab.run(1), attempts(50, 0..1));
}

#[test]
fn other_contents_than_signed_are_refused() {
    let mut tab = Tab::joined();
    let signed = sealed(Leaf::Assign(tab.leaf(50, 2)));
    tab.assign_signed(signed, vec!["{}".into(), "return 'evil'".into()]);
    let hash = Digest32::of(CODE.as_bytes());
    tab.input(Input::Fetched {
        hash,
        text: Some("return 'evil'".into()),
    });
    let reason = RefusalReason::WrongContent;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 0, 2)),
            reason
        }]
    );
    assert!(tab.is_shown(reason));
    assert_eq!(tab.status().refused, 1);
    assert_eq!(tab.run(1), []);
}

#[test]
fn contents_that_cannot_be_had_hand_the_work_back() {
    let mut tab = Tab::joined();
    let signed = sealed(Leaf::Assign(tab.leaf(50, 2)));
    tab.assign_signed(signed, vec!["{}".into()]);
    let hash = Digest32::of(CODE.as_bytes());
    for _ in 0..4 {
        assert_eq!(tab.refusals(), []);
        tab.input(Input::Fetched { hash, text: None });
        tab.wait(4_000);
    }
    assert_eq!(tab.refusals()[0].reason, RefusalReason::ContentUnavailable);
}

#[test]
fn pause_hands_the_queue_back_and_takes_no_credit() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    tab.run(1);
    tab.input(Input::Pause);
    let reason = RefusalReason::Stopped;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 1, 2)),
            reason
        }]
    );
    assert!(tab.sent.contains(&ToServer::Credit { limit: 0 }));
    tab.finish(&attempts(50, 0..1));
    assert_eq!(tab.results().len(), 1, "what runs may finish");
    tab.input(Input::Resume);
    assert!(matches!(
        tab.sent.last(),
        Some(ToServer::Credit { limit: 1.. })
    ));
}

#[test]
fn the_server_hears_of_a_pause_before_it_gets_work_back_that_it_could_give_again() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    tab.sent.clear();
    tab.input(Input::Pause);
    assert!(matches!(
        tab.sent.as_slice(),
        [ToServer::Credit { limit: 0 }, ToServer::Refused(_)]
    ));
}

#[test]
fn work_that_was_under_way_when_a_pause_began_goes_back_at_once() {
    let mut tab = Tab::joined();
    tab.input(Input::Pause);
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    let reason = RefusalReason::Stopped;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 0, 3)),
            reason
        }]
    );
    assert_eq!(tab.status().queued, 0);
    tab.input(Input::Resume);
    assert_eq!(tab.run(9), []);
}

#[test]
fn a_pause_outlives_the_connection() {
    let mut tab = Tab::joined();
    tab.input(Input::Pause);
    tab.input(Input::Closed);
    tab.wait(60_000);
    tab.sent.clear();
    tab.join(SessionId::from_bytes([1; 16]), &[]);
    let said = tab.sent.first();
    let Some(ToServer::Hello(hello)) = said else {
        panic!("hello comes first: {said:?}");
    };
    assert_eq!(hello.credit, 0);
    assert!(tab.status().is_paused);
}

#[test]
fn what_runs_is_handed_back_on_request_and_its_result_is_not_taken() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.run(2);
    tab.input(Input::Pause);
    tab.input(Input::StopRunning);
    let reason = RefusalReason::Stopped;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 0, 2)),
            reason
        }]
    );
    assert_eq!(tab.other.last(), Some(&Action::Stop(attempts(50, 0..2))));
    tab.finish(&attempts(50, 0..2));
    tab.wait(10);
    assert!(tab.results().is_empty());
}

#[test]
fn leaving_gives_everything_back_and_stays_away() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.run(1);
    tab.input(Input::Leave);
    assert_eq!(tab.sent.last(), Some(&ToServer::Leave));
    assert!(tab.other.contains(&Action::Stop(attempts(50, 0..1))));
    tab.input(Input::Closed);
    tab.wait(60_000);
    assert_eq!(tab.other.last(), Some(&Action::Disconnect));
    tab.welcome(SessionId::from_bytes([1; 16]), &[]);
    assert_eq!(tab.status().link, LinkStatus::Stopped(StopReason::Left));
}

#[test]
fn revoked_attempts_stop_and_are_not_reported() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    tab.run(1);
    tab.frame(&ToWorker::Revoke(vec![range(50, 0, 2)]));
    assert_eq!(tab.other.last(), Some(&Action::Stop(attempts(50, 0..1))));
    assert_eq!(tab.run(9), attempts(50, 2..3));
    tab.finish(&attempts(50, 0..1));
    tab.finish(&attempts(50, 2..3));
    tab.wait(10);
    assert_eq!(
        tab.results()
            .iter()
            .map(|batch| batch.rows.len())
            .sum::<usize>(),
        1
    );
    assert_eq!(tab.refusals(), []);
}

#[test]
fn a_refused_job_is_never_run_again() {
    let mut tab = Tab::joined();
    tab.input(Input::RefuseJob(JobId::from_random([9; 16])));
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    let reason = RefusalReason::JobRefused;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 0, 3)),
            reason
        }]
    );
    assert_eq!(tab.run(9), []);
}

#[test]
fn refusing_a_job_stops_what_runs_of_it_and_of_nothing_else() {
    let mut tab = Tab::joined();
    let other = tab.leaf(50, 1);
    let mut refused = tab.leaf(51, 3);
    refused.jobs[0].job = JobId::from_random([8; 16]);
    for leaf in [other, refused] {
        tab.assign(leaf);
    }
    tab.run(1);
    tab.run(1);
    tab.input(Input::RefuseJob(JobId::from_random([8; 16])));
    let reason = RefusalReason::JobRefused;
    assert_eq!(
        tab.refusals(),
        [(1, 2), (0, 1)].map(|(first, count)| Refused {
            range: Some(range(51, first, count)),
            reason
        })
    );
    assert_eq!(tab.other.last(), Some(&Action::Stop(attempts(51, 0..1))));
    assert_eq!(tab.status().running, 1);
    tab.finish(&attempts(50, 0..1));
    assert_eq!(tab.results().len(), 1);
}

#[test]
fn attempts_whose_executor_was_stopped_go_back_without_a_result() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    tab.run(3);
    tab.input(Input::Interrupted(attempts(50, 1..3)));
    let reason = RefusalReason::Interrupted;
    assert_eq!(
        tab.refusals(),
        [Refused {
            range: Some(range(50, 1, 2)),
            reason
        }]
    );
    assert_eq!(tab.status().running, 1);
}

#[test]
fn beats_list_running_attempts_only_while_the_sandbox_lives() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 2);
    tab.assign(leaf);
    tab.run(1);
    tab.wait(5_000);
    tab.input(Input::SandboxAlive);
    let beat = |tab: &Tab| -> Vec<AttemptRange> {
        match tab.sent.last() {
            Some(ToServer::Beat { held }) => held.iter().map(|it| it.range).collect(),
            other => panic!("a beat is due, got {other:?}"),
        }
    };
    tab.wait(10_000);
    assert_eq!(beat(&tab), [range(50, 0, 1), range(50, 1, 1)]);
    tab.wait(15_000);
    assert_eq!(beat(&tab), [range(50, 1, 1)]);
}

#[test]
fn a_heap_of_undisposed_results_takes_no_credit() {
    let mut tab = Tab::joined();
    for byte in 50..54 {
        let leaf = tab.leaf(byte, 1024);
        tab.assign(leaf);
        let running = tab.run(1024);
        tab.finish(&running);
    }
    assert_eq!(tab.status().undisposed, 4096);
    assert_eq!(tab.sent.last(), Some(&ToServer::Credit { limit: 0 }));
    let disposition = Disposition::Durable;
    tab.frame(&ToWorker::Disposed(vec![Disposed {
        range: range(50, 0, 1024),
        disposition,
    }]));
    assert!(matches!(
        tab.sent.last(),
        Some(ToServer::Credit { limit: 1.. })
    ));
}

#[test]
fn credit_never_exceeds_what_starts_within_half_of_the_lifetime() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 10);
    tab.assign(leaf);
    let running = tab.run(2);
    tab.wait(10_000);
    tab.finish(&running);
    // Two slots, 10 s a shard, 60 s: six each.
    assert_eq!(tab.sent.last(), Some(&ToServer::Credit { limit: 12 }));
}

#[test]
fn large_results_go_in_several_frames() {
    let mut tab = Tab::joined();
    let leaf = tab.leaf(50, 3);
    tab.assign(leaf);
    let running = tab.run(3);
    let large = ShardResult {
        value: Some(format!("\"{}\"", "x".repeat(900_000))),
        ..result()
    };
    tab.input(Input::Finished(
        running.iter().map(|it| (*it, large.clone())).collect(),
    ));
    let frames = tab
        .sent
        .iter()
        .filter(|message| matches!(message, ToServer::Results(_)));
    assert_eq!(frames.count(), 2);
}

#[test]
fn a_frame_of_another_protocol_closes_the_socket() {
    let mut tab = Tab::joined();
    tab.input(Input::Frame(vec![250, 1, 2]));
    assert_eq!(tab.other.last(), Some(&Action::Disconnect));
    tab.input(Input::Closed);
    assert!(matches!(tab.status().link, LinkStatus::Waiting { .. }));
}

#[test]
fn a_time_that_came_too_late_is_asked_for_again() {
    let mut tab = Tab::new();
    tab.input(Input::Opened);
    tab.welcome(SessionId::from_bytes([1; 16]), &[]);
    tab.wait(10_001);
    assert!(matches!(tab.sent.last(), Some(ToServer::Sync { .. })));
    tab.answer_time();
    assert!(tab.status().is_time_known);
}
