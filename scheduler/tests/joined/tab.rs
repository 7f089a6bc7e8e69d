//! A browser tab: the session machine, its clocks, its slots, and what its profile remembers.

use std::collections::BTreeSet;

use shared::ids::{AttemptId, WorkerSecret};
use shared::limits::{MAX_ATTEMPTS_PER_LEAF, MAX_UNDISPOSED_RESULTS};
use shared::session::{Action, Input, Session, SessionConfig};
use shared::time::{Millis, Reading, UnixMillis};
use shared::wire::{Credential, DeviceFacts, SelfTest};

use crate::keys::Keys;
use crate::random::Random;
use crate::server::Conn;

/// What a profile keeps across reloads; its tabs share it.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) worker: String,
    pub(crate) secret: WorkerSecret,
    pub(crate) token: Option<String>,
}

pub(crate) struct Tab {
    pub(crate) session: Session,
    pub(crate) profile: usize,
    pub(crate) conn: Option<Conn>,
    /// Counts page loads: whatever was meant for an earlier one is dropped.
    pub(crate) load: u64,
    pub(crate) asleep_until: Option<u64>,
    /// A tick is scheduled for this instant.
    pub(crate) ticks_at: Option<u64>,
    pub(crate) running: BTreeSet<AttemptId>,
    pub(crate) is_gone: bool,
    slots: usize,
    busy: usize,
    wall_offset: u64,
    slept: u64,
}

impl Tab {
    pub(crate) fn open(
        index: usize,
        profile: usize,
        kept: &Profile,
        keys: &Keys,
        random: &mut Random,
    ) -> Self {
        let slots = 1 + index % 3;
        Self {
            session: Self::session(kept, slots, keys),
            profile,
            conn: None,
            load: 0,
            asleep_until: None,
            ticks_at: None,
            running: BTreeSet::new(),
            is_gone: false,
            slots,
            busy: 0,
            wall_offset: random.within(0, 4_000_000_000_000),
            slept: 0,
        }
    }

    fn session(kept: &Profile, slots: usize, keys: &Keys) -> Session {
        let credential = match &kept.token {
            Some(token) => Credential::Session {
                token: token.clone(),
                resume: false,
            },
            None => Credential::Invite("invite".into()),
        };
        let config = SessionConfig {
            worker: kept.worker.parse().unwrap(),
            secret: kept.secret.clone(),
            credential,
            invite: Some("invite".into()),
            slots: u16::try_from(slots).unwrap(),
            device: DeviceFacts::default(),
            self_test: SelfTest::Passed { probes: 9 },
        };
        Session::new(config, keys.ring())
    }

    pub(crate) fn reload(&mut self, kept: &Profile, keys: &Keys) {
        self.session = Self::session(kept, self.slots, keys);
        self.load += 1;
        self.conn = None;
        self.ticks_at = None;
        self.running.clear();
        self.busy = 0;
    }

    pub(crate) fn reading(&self, now: u64) -> Reading {
        Reading {
            wall: UnixMillis(self.wall_offset + now),
            mono: Millis(now - self.slept),
        }
    }

    pub(crate) fn wake(&mut self, slept_ms: u64) {
        self.slept += slept_ms;
        self.asleep_until = None;
    }

    pub(crate) fn set_wall_clock(&mut self, random: &mut Random) {
        self.wall_offset = random.within(0, 4_000_000_000_000);
    }

    /// When the session wants to be called, in the world's time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.session.next_deadline().map(|at| at.0 + self.slept)
    }

    pub(crate) fn handle(&mut self, now: u64, input: Input, random: &mut Random) -> Vec<Action> {
        let reading = self.reading(now);
        self.session.handle(reading, input, &mut || random.bytes());
        self.actions()
    }

    pub(crate) fn actions(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(action) = self.session.next_action() {
            if let Action::Stop(stopped) = &action {
                for attempt in stopped {
                    self.running.remove(attempt);
                }
            }
            actions.push(action);
        }
        actions
    }

    /// Starts runs on free slots; gives each run's attempts.
    pub(crate) fn start(&mut self, now: u64, random: &mut Random) -> Vec<Vec<AttemptId>> {
        let mut runs = Vec::new();
        while self.busy < self.slots {
            let most = usize::try_from(random.within(1, 40)).unwrap();
            let Some(run) = self.session.take_run(self.reading(now), most) else {
                break;
            };
            let attempts: Vec<AttemptId> = run.shards().iter().map(|it| it.attempt).collect();
            self.running.extend(&attempts);
            self.busy += 1;
            runs.push(attempts);
        }
        runs
    }

    /// A run is over; what of it was not stopped has a result.
    pub(crate) fn finish(&mut self, attempts: &[AttemptId]) -> Vec<AttemptId> {
        self.busy -= 1;
        attempts
            .iter()
            .filter(|attempt| self.running.remove(attempt))
            .copied()
            .collect()
    }

    /// I7: what a worker holds is bounded.
    pub(crate) fn check_bounds(&self, now: u64) {
        let status = self.session.status(self.reading(now));
        let most = 2 * MAX_ATTEMPTS_PER_LEAF + self.slots;
        assert!(status.queued + status.running <= most, "I7: {status:?}");
        assert!(
            status.undisposed <= MAX_UNDISPOSED_RESULTS + most,
            "I7: {status:?}"
        );
    }
}
