//! Time, links and faults; and the invariants that hold after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use scheduler::{Delta, Event, JobEnd};
use shared::ids::{AttemptId, JobId, WorkerSecret};
use shared::session::{Action, Input, LinkStatus, Notice};
use shared::wire::{
    self, Disposition, RefusalReason, ResultDetails, ResultStatus, ShardResult, ToWorker,
};

use crate::keys::Keys;
use crate::random::Random;
use crate::server::{CODE, Conn, Output, Server};
use crate::store::{Store, reducer};
use crate::tab::{Profile, Tab};

/// Faults stop after this time, in milliseconds.
const FAULTS_MS: u64 = 60_000;
/// By then every job must have ended (I5), in milliseconds.
const PATIENCE_MS: u64 = 900_000;
const PROFILES: usize = 3;
const TABS: usize = 4;

/// What happened in a schedule, and a digest of all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) trace: u64,
    pub(crate) events: u64,
    pub(crate) shards: u64,
    pub(crate) restarts: u64,
    pub(crate) breaks: u64,
    pub(crate) reloads: u64,
    pub(crate) sleeps: u64,
    pub(crate) readopted: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
    pub(crate) expired: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.shards += other.shards;
        self.restarts += other.restarts;
        self.breaks += other.breaks;
        self.reloads += other.reloads;
        self.sleeps += other.sleeps;
        self.readopted += other.readopted;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.expired += other.expired;
    }
}

#[derive(Debug, Hash)]
enum Happening {
    ToServer(Conn, Vec<u8>),
    ToTab(usize, Conn, Vec<u8>),
    Opened(usize, u64, Conn),
    ServerSeesClose(Conn),
    TabSeesClose(usize, u64, Option<Conn>),
    RunOver(usize, u64, Vec<AttemptId>),
    Fetched(usize, u64, shared::ids::Digest32),
    TabTick(usize, u64),
    ServerTick,
    /// A commit ends: of the server of this number, stored or not, reported well or not.
    CommitEnds {
        server: u64,
        ticket: u64,
        is_stored: bool,
        is_reported: bool,
    },
    ServerStarts,
    Wakes(usize, u64),
    Fault,
    Submit,
}

pub(crate) struct World {
    now: u64,
    random: Random,
    keys: Keys,
    queue: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    store: Store,
    server: Option<Server>,
    /// Counts the server's starts.
    server_number: u64,
    server_tick: Option<u64>,
    profiles: Vec<Profile>,
    tabs: Vec<Tab>,
    /// Which tab a connection belongs to, and when each direction delivers its last frame.
    links: BTreeMap<Conn, Link>,
    last_conn: Conn,
    commits: BTreeMap<u64, Delta>,
    last_commit: u64,
    commit_clock: u64,
    /// I4: every attempt that was ever started.
    started: BTreeSet<AttemptId>,
    /// What the schedules' results are: which attempt was of which shard.
    assigned: BTreeMap<AttemptId, (JobId, shared::ids::ShardIndex)>,
    outcome: Outcome,
    trace: DefaultHasher,
}

#[derive(Debug)]
struct Link {
    tab: usize,
    up_until: u64,
    down_until: u64,
    is_broken: bool,
}

impl World {
    pub(crate) fn new(seed: u64, keys: Keys) -> Self {
        let mut random = Random::new(seed);
        let profiles: Vec<Profile> = (0..PROFILES)
            .map(|index| Profile {
                worker: format!("worker-{index}"),
                secret: WorkerSecret::from_bytes(random.bytes()),
                token: None,
            })
            .collect();
        let tabs = (0..TABS)
            .map(|index| {
                let profile = index % PROFILES;
                Tab::open(index, profile, &profiles[profile], &keys, &mut random)
            })
            .collect();
        Self {
            now: 0,
            server: Some(Server::start(0, keys.clone(), &mut random)),
            random,
            keys,
            queue: BTreeMap::new(),
            serial: 0,
            store: Store::default(),
            server_number: 0,
            server_tick: None,
            profiles,
            tabs,
            links: BTreeMap::new(),
            last_conn: 0,
            commits: BTreeMap::new(),
            last_commit: 0,
            commit_clock: 0,
            started: BTreeSet::new(),
            assigned: BTreeMap::new(),
            outcome: Outcome::default(),
            trace: DefaultHasher::new(),
        }
    }

    /// Runs until every job has ended, and checks what came out.
    pub(crate) fn run(mut self) -> Outcome {
        for tab in 0..TABS {
            self.drive_tab(tab, None);
        }
        for _ in 0..self.random.within(1, 4) {
            let at = self.random.within(0, FAULTS_MS / 2);
            self.at(at, Happening::Submit);
        }
        self.at(1, Happening::Fault);
        while self.now < FAULTS_MS || !self.store.unfinished().is_empty() {
            let ((now, _), happening) = self.queue.pop_first().expect("someone always waits");
            assert!(
                now < PATIENCE_MS,
                "I5: jobs {:?} do not end",
                self.store.unfinished()
            );
            self.now = now;
            self.outcome.events += 1;
            (now, &happening).hash(&mut self.trace);
            self.happens(happening);
        }
        self.check_results();
        self.outcome.trace = self.trace.finish();
        self.outcome
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.serial += 1;
        self.queue
            .insert((time.max(self.now), self.serial), happening);
    }

    fn after(&mut self, from: u64, to: u64, happening: Happening) {
        let time = self.now + self.random.within(from, to);
        self.at(time, happening);
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::ToServer(conn, frame) => {
                let is_open = self.links.get(&conn).is_some_and(|link| !link.is_broken);
                if is_open {
                    self.with_server(|server, now, store, random| {
                        server.received(now, store, random, conn, &frame)
                    });
                }
            }
            Happening::ToTab(tab, conn, frame) => self.tab_receives(tab, conn, frame),
            Happening::Opened(tab, load, conn) => {
                if self.tabs[tab].load == load && self.tabs[tab].conn == Some(conn) {
                    self.drive_tab(tab, Some(Input::Opened));
                }
            }
            Happening::ServerSeesClose(conn) => {
                self.with_server(|server, now, store, _| server.closed(now, store, conn));
            }
            Happening::TabSeesClose(tab, load, conn) => {
                if self.tabs[tab].load == load && self.tabs[tab].conn == conn {
                    self.tabs[tab].conn = None;
                    self.drive_tab(tab, Some(Input::Closed));
                }
            }
            Happening::RunOver(tab, load, attempts) => self.run_over(tab, load, &attempts),
            Happening::Fetched(tab, load, hash) => {
                if self.tabs[tab].load == load {
                    let text = (!self.random.once_in(4)).then(|| CODE.to_owned());
                    self.drive_tab(tab, Some(Input::Fetched { hash, text }));
                }
            }
            Happening::TabTick(tab, load) => {
                if self.tabs[tab].load == load && self.tabs[tab].ticks_at == Some(self.now) {
                    self.tabs[tab].ticks_at = None;
                    self.drive_tab(tab, Some(Input::Tick));
                }
            }
            Happening::ServerTick => {
                if self.server_tick == Some(self.now) {
                    self.server_tick = None;
                    self.with_server(|server, now, store, _| server.step(now, store, Event::Tick));
                }
            }
            Happening::CommitEnds {
                server,
                ticket,
                is_stored,
                is_reported,
            } => {
                self.commit_ends(server, ticket, is_stored, is_reported);
            }
            Happening::ServerStarts => self.server_starts(),
            Happening::Wakes(tab, slept) => {
                self.tabs[tab].wake(slept);
                self.drive_tab(tab, Some(Input::Tick));
            }
            Happening::Fault => self.fault(),
            Happening::Submit => self.submit(),
        }
    }

    fn submit(&mut self) {
        if self.server.is_none() {
            return self.after(10, 2_000, Happening::Submit);
        }
        let job = JobId::from_random(self.random.bytes());
        let shards = match self.random.within(0, 4) {
            0 => 0,
            1 => self.random.within(1, 20),
            _ => self.random.within(20, 1_500),
        };
        self.store
            .submit(job, shards, Server::first_high_water(shards));
        let outline = Box::new(self.store.outline(job, false));
        self.with_server(|server, now, store, _| server.step(now, store, Event::JobReady(outline)));
    }

    fn with_server(
        &mut self,
        call: impl FnOnce(&mut Server, u64, &Store, &mut Random) -> Vec<Output>,
    ) {
        let Some(server) = &mut self.server else {
            return;
        };
        let outputs = call(server, self.now, &self.store, &mut self.random);
        self.assigned.append(&mut server.assigned);
        self.outcome.readopted += std::mem::take(&mut server.readopted);
        let tick = server.next_deadline();
        for output in outputs {
            match output {
                Output::Send(conn, message) => self.send_down(conn, &message),
                Output::Close(conn) => self.break_link(conn),
                Output::Persist(delta) => self.persist(*delta),
            }
        }
        if let Some(at) = tick.filter(|&at| self.server_tick.is_none_or(|set| at < set)) {
            let at = at.max(self.now + 1);
            self.server_tick = Some(at);
            self.at(at, Happening::ServerTick);
        }
    }

    fn persist(&mut self, delta: Delta) {
        self.last_commit += 1;
        let ticket = self.last_commit;
        self.commits.insert(ticket, delta);
        let takes = if self.random.once_in(30) { 3_000 } else { 20 };
        let end = self.now + self.random.within(1, takes);
        // One writer: commits end in the order in which they began.
        self.commit_clock = self.commit_clock.max(end);
        let is_failing = self.now < FAULTS_MS && self.random.once_in(25);
        let happening = Happening::CommitEnds {
            server: self.server_number,
            ticket,
            is_stored: !is_failing || self.random.once_in(2),
            is_reported: !is_failing,
        };
        self.at(self.commit_clock, happening);
    }

    fn commit_ends(&mut self, server: u64, ticket: u64, is_stored: bool, is_reported: bool) {
        let delta = self.commits.remove(&ticket).unwrap();
        if server != self.server_number {
            return;
        }
        let (job, seq) = (delta.job, delta.seq);
        let is_next = self.store.can_apply(&delta);
        if is_stored && is_next {
            self.store.apply(&delta);
        }
        let event = if is_reported && is_next {
            Event::Committed { job, seq }
        } else {
            Event::CommitFailed { job, seq }
        };
        self.with_server(|server, now, store, _| server.step(now, store, event));
    }

    fn send_down(&mut self, conn: Conn, message: &ToWorker) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| !link.is_broken) else {
            return;
        };
        let frame = wire::encode(message);
        let arrives = (self.now + self.random.within(1, 60)).max(link.down_until);
        link.down_until = arrives;
        let tab = link.tab;
        self.at(arrives, Happening::ToTab(tab, conn, frame));
    }

    fn tab_receives(&mut self, tab: usize, conn: Conn, frame: Vec<u8>) {
        if self.tabs[tab].conn != Some(conn) {
            return;
        }
        if let Some(wakes) = self.tabs[tab].asleep_until {
            return self.at(wakes, Happening::ToTab(tab, conn, frame));
        }
        if let Ok(ToWorker::Disposed(disposed)) = wire::decode(&frame, usize::MAX) {
            for entry in disposed {
                self.check_disposition(entry);
            }
        }
        self.drive_tab(tab, Some(Input::Frame(frame)));
    }

    /// I2: what a worker may forget as durable is stored.
    fn check_disposition(&mut self, entry: wire::Disposed) {
        match entry.disposition {
            Disposition::Durable => {
                for attempt in entry.range.attempts() {
                    let (job, shard) = self.assigned[&attempt];
                    let row = &self.store.jobs[&job];
                    let is_stored = row.completed.contains(shard.0) || row.end.is_some();
                    assert!(
                        is_stored,
                        "I2: shard {shard} was disposed of before it was stored"
                    );
                }
            }
            Disposition::Duplicate | Disposition::Stale => {
                self.outcome.duplicates += u64::from(entry.range.count);
            }
            Disposition::Refused => self.outcome.refused += u64::from(entry.range.count),
        }
    }

    fn drive_tab(&mut self, index: usize, input: Option<Input>) {
        let tab = &mut self.tabs[index];
        if tab.is_gone {
            return;
        }
        if let Some(wakes) = tab.asleep_until {
            // Whatever happens to a sleeping tab waits in the browser.
            match input {
                Some(Input::Closed) => self.at(
                    wakes,
                    Happening::TabSeesClose(index, self.tabs[index].load, None),
                ),
                Some(Input::Opened) => {
                    let (load, conn) = (tab.load, tab.conn);
                    if let Some(conn) = conn {
                        self.at(wakes, Happening::Opened(index, load, conn));
                    }
                }
                _ => {}
            }
            return;
        }
        let mut actions = match input {
            Some(input) => tab.handle(self.now, input, &mut self.random),
            None => tab.actions(),
        };
        while !actions.is_empty() {
            for action in actions {
                self.perform(index, action);
            }
            let tab = &mut self.tabs[index];
            let runs = tab.start(self.now, &mut self.random);
            for attempts in runs {
                self.begin(index, attempts);
            }
            actions = self.tabs[index].actions();
        }
        let runs = self.tabs[index].start(self.now, &mut self.random);
        for attempts in runs {
            self.begin(index, attempts);
        }
        for action in self.tabs[index].actions() {
            self.perform(index, action);
        }
        self.keep_profile(index);
        self.tabs[index].check_bounds(self.now);
        self.set_tick(index);
    }

    /// I4: nothing verified runs twice.
    fn begin(&mut self, tab: usize, attempts: Vec<AttemptId>) {
        for attempt in &attempts {
            assert!(
                self.started.insert(*attempt),
                "I4: {attempt:?} runs a second time"
            );
        }
        let longest = if self.random.once_in(20) { 20_000 } else { 400 };
        let load = self.tabs[tab].load;
        self.after(1, longest, Happening::RunOver(tab, load, attempts));
    }

    fn run_over(&mut self, tab: usize, load: u64, attempts: &[AttemptId]) {
        if self.tabs[tab].load != load || self.tabs[tab].is_gone {
            return;
        }
        if let Some(wakes) = self.tabs[tab].asleep_until {
            return self.at(wakes, Happening::RunOver(tab, load, attempts.to_vec()));
        }
        let finished = self.tabs[tab].finish(attempts);
        if self.random.once_in(15) {
            return self.drive_tab(tab, Some(Input::Interrupted(finished)));
        }
        let results = finished
            .iter()
            .map(|it| (*it, self.result_of(*it)))
            .collect();
        self.drive_tab(tab, Some(Input::Finished(results)));
    }

    /// What a shard returns depends on job and shard alone; some fail on their first try.
    fn result_of(&self, attempt: AttemptId) -> ShardResult {
        let (job, shard) = self.assigned[&attempt];
        let is_bad = shard.0 % 97 == 13 && attempt.nonce.as_bytes()[0].is_multiple_of(2);
        ShardResult {
            status: if is_bad {
                ResultStatus::Threw
            } else {
                ResultStatus::Returned
            },
            duration_us: 1_000,
            value: Some(format!(r#"{{"hits":{}}}"#, hits(job, shard.0))),
            details: is_bad.then(|| Box::new(ResultDetails::default())),
        }
    }

    fn perform(&mut self, index: usize, action: Action) {
        match action {
            Action::Connect => self.connect(index),
            Action::Disconnect => {
                let load = self.tabs[index].load;
                if let Some(conn) = self.tabs[index].conn {
                    self.break_link(conn);
                } else {
                    self.after(1, 5, Happening::TabSeesClose(index, load, None));
                }
            }
            Action::Send(frame) => self.send_up(index, frame),
            Action::Fetch(hash) => {
                let load = self.tabs[index].load;
                self.after(1, 200, Happening::Fetched(index, load, hash));
            }
            // What came in sleep, or waited for the time to be known, may be too old by then.
            Action::Notice(Notice::Refused {
                reason: RefusalReason::Expired,
                ..
            }) => {
                self.outcome.expired += 1;
            }
            Action::Notice(Notice::Refused { reason, detail }) => {
                panic!("an honest server's envelope was refused: {reason:?} ({detail})");
            }
            Action::Stop(_) | Action::Notice(_) => {}
        }
    }

    fn connect(&mut self, index: usize) {
        let load = self.tabs[index].load;
        if self.server.is_none() {
            return self.after(1, 100, Happening::TabSeesClose(index, load, None));
        }
        self.last_conn += 1;
        let conn = self.last_conn;
        self.tabs[index].conn = Some(conn);
        let link = Link {
            tab: index,
            up_until: 0,
            down_until: 0,
            is_broken: false,
        };
        self.links.insert(conn, link);
        self.after(1, 100, Happening::Opened(index, load, conn));
    }

    fn send_up(&mut self, index: usize, frame: Vec<u8>) {
        let Some(conn) = self.tabs[index].conn else {
            return;
        };
        let Some(link) = self.links.get_mut(&conn).filter(|link| !link.is_broken) else {
            return;
        };
        let arrives = (self.now + self.random.within(1, 60)).max(link.up_until);
        link.up_until = arrives;
        self.at(arrives, Happening::ToServer(conn, frame));
    }

    /// Both ends learn of it when they learn of it; what is under way is lost for the server, and
    /// may still reach the tab.
    fn break_link(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| !link.is_broken) else {
            return;
        };
        link.is_broken = true;
        let tab = link.tab;
        self.outcome.breaks += 1;
        let load = self.tabs[tab].load;
        self.after(1, 3_000, Happening::TabSeesClose(tab, load, Some(conn)));
        self.after(1, 8_000, Happening::ServerSeesClose(conn));
    }

    fn keep_profile(&mut self, index: usize) {
        let tab = &self.tabs[index];
        if let Some(token) = tab.session.token() {
            // The first tab of a profile is the one that the profile's storage belongs to.
            if index < PROFILES {
                let status = tab.session.status(tab.reading(self.now));
                self.profiles[tab.profile].worker = status.worker.to_string();
                self.profiles[tab.profile].token = Some(token.to_owned());
            }
        }
    }

    fn set_tick(&mut self, index: usize) {
        let Some(deadline) = self.tabs[index].deadline() else {
            return;
        };
        let at = deadline.max(self.now + 1);
        let tab = &mut self.tabs[index];
        if tab.ticks_at.is_none_or(|set| at < set || set <= self.now) {
            tab.ticks_at = Some(at);
            let load = tab.load;
            self.at(at, Happening::TabTick(index, load));
        }
    }

    fn fault(&mut self) {
        if self.now >= FAULTS_MS {
            return self.heal();
        }
        let tab = usize::try_from(self.random.within(0, TABS as u64)).unwrap();
        match self.random.within(0, 13) {
            0 | 1 => self.crash(),
            2..=5 => {
                if let Some(conn) = self.tabs[tab].conn {
                    self.break_link(conn);
                }
            }
            6 => self.reload(tab),
            7 => self.sleep(tab),
            8 => self.tabs[tab].set_wall_clock(&mut self.random),
            9 => self.drive_tab(tab, Some(Input::Pause)),
            10 => self.drive_tab(tab, Some(Input::StopRunning)),
            _ => self.drive_tab(tab, Some(Input::Resume)),
        }
        self.after(1, 4_000, Happening::Fault);
    }

    fn heal(&mut self) {
        for tab in 0..TABS {
            self.drive_tab(tab, Some(Input::Resume));
        }
        if self.tabs.iter().any(|tab| tab.asleep_until.is_some()) {
            self.after(1_000, 2_000, Happening::Fault);
        }
    }

    fn crash(&mut self) {
        if self.server.take().is_none() {
            return;
        }
        self.outcome.restarts += 1;
        // Of the commits under way some were stored: a prefix, for there is one writer.
        let survivors = self.random.within(0, self.commits.len() as u64 + 1);
        let pending: Vec<Delta> = self.commits.values().cloned().collect();
        for delta in pending
            .into_iter()
            .take(usize::try_from(survivors).unwrap())
        {
            if self.store.can_apply(&delta) {
                self.store.apply(&delta);
            }
        }
        self.server_number += 1;
        self.server_tick = None;
        let open: Vec<Conn> = self.links.keys().copied().collect();
        for conn in open {
            self.break_link(conn);
        }
        self.after(1, 40_000, Happening::ServerStarts);
    }

    fn server_starts(&mut self) {
        self.server = Some(Server::start(self.now, self.keys.clone(), &mut self.random));
        for job in self.store.unfinished() {
            let outline = Box::new(self.store.outline(job, true));
            self.with_server(|server, now, store, _| {
                server.step(now, store, Event::JobReady(outline))
            });
        }
    }

    fn reload(&mut self, index: usize) {
        if self.tabs[index].asleep_until.is_some() {
            return;
        }
        self.outcome.reloads += 1;
        if let Some(conn) = self.tabs[index].conn {
            self.break_link(conn);
        }
        let kept = self.profiles[self.tabs[index].profile].clone();
        let keys = self.keys.clone();
        self.tabs[index].reload(&kept, &keys);
        self.drive_tab(index, None);
    }

    fn sleep(&mut self, index: usize) {
        if self.tabs[index].asleep_until.is_some() {
            return;
        }
        self.outcome.sleeps += 1;
        let slept = self.random.within(1, 60_000);
        self.tabs[index].asleep_until = Some(self.now + slept);
        self.at(self.now + slept, Happening::Wakes(index, slept));
    }

    /// I3: each job ended with what its shards add up to, whatever the order was.
    fn check_results(&mut self) {
        for (job, row) in &self.store.jobs {
            match row.end.as_ref().expect("only ended jobs are left") {
                JobEnd::Single(_) => {}
                JobEnd::Reduced => {
                    let total = row.plan.total_shards();
                    assert_eq!(row.completed.len(), u128::from(total));
                    let mut expected = reducer().initial();
                    for shard in 0..total {
                        reducer()
                            .fold(&mut expected, &plain_result(*job, shard))
                            .unwrap();
                    }
                    assert_eq!(row.state, expected, "I3: job {job}");
                    self.outcome.shards += total;
                }
                JobEnd::Failed(why) => panic!("job {job} failed: {why}"),
                JobEnd::Cancelled => panic!("nobody cancelled {job}"),
            }
        }
        for tab in &self.tabs {
            let status = tab.session.status(tab.reading(self.now));
            assert!(!matches!(status.link, LinkStatus::Stopped(_)), "{status:?}");
        }
    }
}

fn hits(job: JobId, shard: u64) -> u64 {
    (shard * 7 + u64::from(job.as_bytes()[0])) % 1_000
}

fn plain_result(job: JobId, shard: u64) -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: 1_000,
        value: Some(format!(r#"{{"hits":{}}}"#, hits(job, shard))),
        details: None,
    }
}
