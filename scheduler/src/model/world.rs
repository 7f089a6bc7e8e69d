//! A cluster in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use shared::ids::{AttemptId, JobId, Nonce, SessionId};
use shared::limits::BEAT_INTERVAL_MS;
use shared::time::Millis;
use shared::wire::{RefusalReason, Refused, ResultBatch, ResultRow};

use super::checks::Checks;
use super::device::{Device, Inbound, Work};
use super::jobs::Spec;
use super::rng::Rng;
use super::store::Store;
use crate::{Command, Effect, Event, Scheduler, SchedulerConfig};

/// Steps between two looks into the machine.
const LOOK_EVERY: u64 = 16;

/// Time within which everything ends that is not held up by running shards, in milliseconds.
const SLACK_MS: u64 = 600_000;

/// What the death of a device may take from a job at most, in milliseconds.
const DEATH_MS: u64 = 45_000;

/// What a mute device may take from a shard at most, beside its run time, in milliseconds.
const MUTE_MS: u64 = 90_000;

/// How rough life is, in percent of all chances.
#[derive(Debug)]
struct Weather {
    store_mishaps: u64,
    losses: u64,
    lies: u64,
    restarts: u64,
    long_waits: u64,
    whims: u64,
}

#[derive(Debug)]
pub(super) struct World {
    rng: Rng,
    now: Millis,
    config: SchedulerConfig,
    weather: Weather,
    scheduler: Scheduler,
    store: Store,
    devices: Vec<Device>,
    specs: BTreeMap<JobId, Spec>,
    to_submit: Vec<Spec>,
    failed_once: BTreeSet<(JobId, u64)>,
    kills: BTreeMap<(JobId, u64), u32>,
    /// Sessions that an operator has drain; this outlives the server.
    draining: BTreeSet<SessionId>,
    checks: Checks,
    steps: u64,
    /// Prints events and effects.
    is_talking: bool,
    trace: Sha256,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = SchedulerConfig {
            reclaim_ms: rng.pick(&[0, 500, 15_000]),
            reserve_block: rng.pick(&[2, 16, 100, 1 << 18]),
            looks: rng.pick(&[1, 2, 64]),
        };
        let weather = Weather {
            store_mishaps: rng.pick(&[0, 5, 40]),
            losses: rng.pick(&[0, 2, 10]),
            lies: rng.pick(&[0, 3]),
            restarts: rng.pick(&[0, 0, 1, 3]),
            long_waits: rng.pick(&[0, 1, 10]),
            whims: rng.pick(&[0, 2, 10]),
        };
        let jobs = rng.in_range(1, 5);
        let to_submit: Vec<Spec> = (0..jobs).map(|_| Spec::random(&mut rng)).collect();
        let to_submit = to_submit.into_iter();
        let devices = (0..rng.in_range(1, 6)).map(|index| {
            let slots = rng.pick(&[1, 2, 4, 16]);
            let credit = rng.pick(&[1, 8, 100, 4_096, 4_096]);
            Device::new(format!("worker-{index}").parse().unwrap(), slots, credit)
        });
        let mut devices: Vec<Device> = devices.collect();
        let to_submit: Vec<Spec> = if devices.len() > 1 && rng.percent(10) {
            devices[0].is_mute = true;
            to_submit.map(Spec::limited).collect()
        } else {
            to_submit.collect()
        };
        Self {
            devices,
            now: Millis(1),
            scheduler: Scheduler::new([0; 32], config),
            config,
            weather,
            store: Store::default(),
            specs: BTreeMap::new(),
            to_submit,
            failed_once: BTreeSet::new(),
            kills: BTreeMap::new(),
            draining: BTreeSet::new(),
            checks: Checks::default(),
            steps: 0,
            is_talking: std::env::var_os("MODEL_LOG").is_some(),
            trace: Sha256::new(),
            rng,
        }
    }

    /// Anything may happen.
    pub(super) fn live(&mut self) {
        for _ in 0..self.rng.in_range(100, 600) {
            self.let_time_pass();
            match self.rng.below(100) {
                0..5 => self.submit(),
                5..25 => self.store.work(&mut self.rng, self.weather.store_mishaps),
                25..45 => {
                    self.deliver_answer(true);
                }
                45..47 if self.rng.percent(self.weather.restarts * 10) => self.restart(),
                47..49 if self.rng.percent(self.weather.whims * 10) => self.some_owner_acts(),
                49 if self.rng.percent(self.weather.whims * 10) => self.drain_some_device(),
                _ => self.some_device_acts(),
            }
        }
    }

    /// No more losses and mishaps: every job has to end, and nothing may be left of it.
    pub(super) fn settle_down(&mut self) {
        let has_mute = self.devices.iter().any(|device| device.is_mute);
        let mute_ms = if has_mute { MUTE_MS } else { 0 };
        let work_ms: u64 = self
            .to_submit
            .iter()
            .chain(self.specs.values())
            .map(|spec| 3 * spec.shards * (spec.run_ms + mute_ms) + spec.deaths() * DEATH_MS)
            .sum();
        let deadline = self.now.plus(SLACK_MS + work_ms);
        let mut next_beat = self.now;
        self.everyone_returns();
        while !self.is_settled() {
            assert!(self.now < deadline, "I5: {:?}", self.store.unfinished());
            if self.now >= next_beat {
                next_beat = self.now.plus(BEAT_INTERVAL_MS);
                self.everyone_beats();
            }
            if !self.everything_moves() {
                self.the_dead_return();
                let finish = self
                    .devices
                    .iter()
                    .filter_map(|it| it.next_finish(&self.specs));
                let next = finish.chain(self.scheduler.next_deadline()).min();
                let next = next.map_or(next_beat, |at| at.min(next_beat));
                self.now = next.max(self.now.plus(1));
            }
            self.tick_if_due();
        }
        self.checks.check_nothing_is_owed();
        self.scheduler.check_invariants();
        self.scheduler.check_nothing_is_left();
        for view in self.scheduler.workers() {
            assert_eq!(view.in_flight, 0);
        }
        assert!(self.devices.iter().all(Device::holds_nothing));
    }

    pub(super) fn trace(self) -> [u8; 32] {
        self.trace.finalize().into()
    }

    fn step(&mut self, event: Event) {
        self.checks.before(&event);
        if self.is_talking {
            println!("{:>8} {event:?}", self.now.0);
        }
        let effects = self.scheduler.step(self.now, event);
        if self.is_talking {
            effects
                .iter()
                .for_each(|effect| println!("         -> {effect:?}"));
        }
        self.trace.update(format!("{effects:?}"));
        self.checks.after(
            self.now,
            &effects,
            &self.store,
            &self.scheduler,
            &self.config,
        );
        self.steps += 1;
        if self.steps.is_multiple_of(LOOK_EVERY) {
            self.scheduler.check_invariants();
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Welcome { session, unknown } => {
                self.send(session, Inbound::Welcome { unknown });
            }
            Effect::Assign {
                session,
                nonce,
                jobs,
            } => self.send(session, Inbound::Assign { nonce, jobs }),
            Effect::Persist(delta) => self.store.persist(*delta),
            Effect::Dispose { session, disposed } => {
                self.send(session, Inbound::Disposed(disposed));
            }
            Effect::Revoke { session, ranges } => self.send(session, Inbound::Revoke(ranges)),
            Effect::Contributed { .. }
            | Effect::JobSwitched { .. }
            | Effect::JobChanged { .. }
            | Effect::JobEnded { .. }
            | Effect::SessionEnded { .. } => {}
            Effect::Drained { session } => self.dismiss_drained(session),
        }
    }

    fn drain_some_device(&mut self) {
        let index = self.rng.below(self.devices.len() as u64) as usize;
        if let Some(session) = self.devices[index].session {
            self.draining.insert(session);
            self.step(Event::WorkerDraining { session });
        }
    }

    /// The page is told that its session is over, and begins anew.
    fn dismiss_drained(&mut self, session: SessionId) {
        assert!(self.draining.remove(&session), "it was to be drained");
        let mut devices = self.devices.iter_mut();
        if let Some(device) = devices.find(|device| device.session == Some(session)) {
            device.reload();
        }
        self.step(Event::WorkerLeft { session });
    }

    fn send(&mut self, session: SessionId, message: Inbound) {
        let device = self
            .devices
            .iter_mut()
            .find(|device| device.session == Some(session) && device.is_connected);
        device
            .expect("only connected sessions are written to")
            .inbox
            .push_back(message);
    }

    fn let_time_pass(&mut self) {
        let ms = if self.rng.percent(self.weather.long_waits) {
            self.rng.below(40_000)
        } else {
            self.rng.pick(&[0, 0, 1, 5, 50, 400])
        };
        self.now = self.now.plus(ms);
        if self.rng.percent(80) {
            self.tick_if_due();
        }
    }

    fn tick_if_due(&mut self) {
        if self
            .scheduler
            .next_deadline()
            .is_some_and(|at| at <= self.now)
        {
            self.step(Event::Tick);
        }
    }

    fn submit(&mut self) {
        let Some(spec) = self.to_submit.pop() else {
            return;
        };
        let outline = spec.outline(&self.config);
        self.specs.insert(spec.job, spec.clone());
        self.store.insert(spec, &self.config);
        self.step(Event::JobReady(Box::new(outline)));
    }

    fn deliver_answer(&mut self, has_mischief: bool) -> bool {
        match self.store.answer(&mut self.rng, has_mischief) {
            Some(answer) => {
                self.step(answer);
                true
            }
            None => false,
        }
    }

    fn restart(&mut self) {
        self.store.crash(&mut self.rng);
        for device in &mut self.devices {
            device.lose_connection();
        }
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&self.rng.bytes16());
        self.scheduler = Scheduler::new(seed, self.config);
        self.checks.restart(self.now, &self.store);
        for outline in self.store.load() {
            self.step(Event::JobReady(Box::new(outline)));
        }
    }

    fn some_owner_acts(&mut self) {
        let jobs: Vec<JobId> = self.specs.keys().copied().collect();
        if jobs.is_empty() {
            return;
        }
        let job = self.rng.pick(&jobs);
        let command = self.rng.pick(&[
            Command::Pause,
            Command::Pause,
            Command::Pause,
            Command::Resume,
            Command::Resume,
            Command::Cancel,
        ]);
        if command == Command::Cancel {
            self.store.cancel(job);
        }
        self.step(Event::Control { job, command });
    }

    fn some_device_acts(&mut self) {
        let index = self.rng.below(self.devices.len() as u64) as usize;
        let device = &mut self.devices[index];
        let Some(session) = device.session.filter(|_| device.is_connected) else {
            return self.connect(index);
        };
        if self.rng.percent(self.weather.losses) {
            return self.misfortune(index, session);
        }
        if device.is_frozen {
            return;
        }
        match self.rng.below(100) {
            _ if !device.is_joined => {
                if let Some(message) = device.inbox.pop_front() {
                    device.receive(message);
                }
            }
            0..30 => {
                if let Some(message) = device.inbox.pop_front() {
                    device.receive(message);
                }
            }
            30..55 => {
                self.deliver_message(index);
            }
            55..90 => {
                let most = self.rng.pick(&[1, 10, 100, 2_000]);
                self.work(index, most);
            }
            90..94 => {
                let held = device.held();
                device.outbox.push_back(Event::Beat { session, held });
            }
            94..97 if self.rng.percent(self.weather.lies * 10) => self.lie(index, session),
            97..99 if self.rng.percent(self.weather.lies * 10) => self.refuse(index, session),
            _ => {}
        }
    }

    fn connect(&mut self, index: usize) {
        let fresh = SessionId::from_bytes(self.rng.bytes16());
        let wants_new = self.rng.percent(20);
        let device = &mut self.devices[index];
        device.is_frozen = false;
        if wants_new {
            device.reload();
        }
        let session = *device.session.get_or_insert(fresh);
        device.is_connected = true;
        let is_draining = self.draining.contains(&session);
        let credit = if is_draining { 0 } else { device.credit };
        let (worker, slots) = (device.worker.clone(), device.slots);
        let event = if session == fresh {
            Event::WorkerJoined {
                session,
                worker,
                slots,
                credit,
            }
        } else {
            Event::WorkerResumed {
                session,
                worker,
                slots,
                credit,
                held: device.held(),
            }
        };
        self.step(event);
        if is_draining {
            self.step(Event::WorkerDraining { session });
        }
    }

    fn misfortune(&mut self, index: usize, session: SessionId) {
        let device = &mut self.devices[index];
        match self.rng.below(10) {
            0 => {
                device.reload();
                self.step(Event::WorkerLeft { session });
            }
            1 => {
                device.reload();
                self.connect(index);
            }
            2..4 => device.is_frozen = !device.is_frozen,
            4 => {
                let limit = self.rng.pick(&[0, 1, 10, 1_000]);
                device.outbox.push_back(Event::Credit { session, limit });
            }
            _ => {
                device.lose_connection();
                self.step(Event::WorkerDetached { session });
            }
        }
    }

    /// Sends results of attempts that it does not have, or has reported before.
    fn lie(&mut self, index: usize, session: SessionId) {
        let other = self.rng.below(self.devices.len() as u64) as usize;
        let stolen = self.devices[other].finished().first().copied();
        let own = self.devices[index].finished();
        let forged = AttemptId {
            nonce: Nonce::from_bytes(self.rng.bytes16()),
            index: self.rng.below(3) as u32,
        };
        let attempt = match self.rng.below(4) {
            0 => stolen.unwrap_or(forged),
            1 => own.first().map_or(forged, |it| AttemptId {
                index: it.index + 2_000,
                ..*it
            }),
            2 => return self.devices[index].send_results(&own),
            _ => forged,
        };
        let Some(spec) = self.specs.values().next() else {
            return;
        };
        let row = ResultRow {
            index: attempt.index,
            result: spec.result(0, false),
        };
        let batches = vec![ResultBatch {
            nonce: attempt.nonce,
            rows: vec![row],
        }];
        self.devices[index]
            .outbox
            .push_back(Event::Results { session, batches });
    }

    /// Says that it cannot run what it has, or that it does not want a job.
    fn refuse(&mut self, index: usize, session: SessionId) {
        let reason = match self.rng.below(4) {
            0 => return self.devices[index].turn_against_some_job(),
            1 => RefusalReason::BadSignature,
            _ => RefusalReason::ExpiredInQueue,
        };
        let most = self.rng.pick(&[1, 5, 2_000]);
        let device = &mut self.devices[index];
        let refusals = device
            .drop_waiting(most)
            .into_iter()
            .map(|range| Refused {
                range: Some(range),
                reason,
            })
            .collect();
        device
            .outbox
            .push_back(Event::Refused { session, refusals });
    }

    fn deliver_message(&mut self, index: usize) -> bool {
        match self.devices[index].outbox.pop_front() {
            Some(event) => {
                self.step(event);
                true
            }
            None => false,
        }
    }

    fn work(&mut self, index: usize, most: usize) {
        let mut work = Work {
            now: self.now,
            specs: &self.specs,
            failed_once: &mut self.failed_once,
            kills: &mut self.kills,
        };
        if !self.devices[index].work(&mut work, most) {
            self.die(index);
        }
    }

    /// A shard kills the page, and the server learns that only the connection is gone.
    fn die(&mut self, index: usize) {
        let session = self.devices[index].session;
        self.devices[index].reload();
        if let Some(session) = session {
            self.step(Event::WorkerDetached { session });
        }
    }

    fn everyone_returns(&mut self) {
        while !self.to_submit.is_empty() {
            self.submit();
        }
        let jobs: Vec<JobId> = self.specs.keys().copied().collect();
        for job in jobs {
            let mut devices = self.devices.iter();
            let command =
                if devices.any(|device| !device.is_mute && !device.unwanted.contains(&job)) {
                    Command::Resume
                } else {
                    self.store.cancel(job);
                    Command::Cancel
                };
            self.step(Event::Control { job, command });
        }
        for index in 0..self.devices.len() {
            self.devices[index].is_frozen = false;
            self.devices[index].credit = 4_096;
            match self.devices[index].session {
                Some(session) if self.devices[index].is_connected => {
                    let limit = 4_096;
                    let event = Event::Credit { session, limit };
                    self.devices[index].outbox.push_back(event);
                }
                Some(_) | None => self.connect(index),
            }
        }
    }

    fn the_dead_return(&mut self) {
        for index in 0..self.devices.len() {
            if !self.devices[index].is_connected {
                self.connect(index);
            }
        }
    }

    fn everyone_beats(&mut self) {
        for device in &mut self.devices {
            if let Some(session) = device.session.filter(|_| device.is_joined) {
                let held = device.held();
                device.outbox.push_back(Event::Beat { session, held });
            }
        }
    }

    /// Whether anything did.
    fn everything_moves(&mut self) -> bool {
        let mut has_moved = false;
        for index in 0..self.devices.len() {
            while let Some(message) = self.devices[index].inbox.pop_front() {
                self.devices[index].receive(message);
                has_moved = true;
            }
            self.work(index, usize::MAX);
            while self.deliver_message(index) {
                has_moved = true;
            }
        }
        while self.store.is_busy() {
            self.store.work(&mut self.rng, 0);
            self.deliver_answer(false);
            has_moved = true;
        }
        has_moved
    }

    fn is_settled(&self) -> bool {
        let is_quiet = |device: &Device| device.inbox.is_empty() && device.outbox.is_empty();
        let has_ended = |job: &JobId| self.scheduler.job(*job).is_none();
        self.store.unfinished().is_empty()
            && self.specs.keys().all(has_ended)
            && !self.store.is_busy()
            && self.devices.iter().all(is_quiet)
    }
}
