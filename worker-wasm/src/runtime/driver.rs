//! The runtime: carries events to the session, the pool and the self-test, and carries out what
//! they ask for.
//!
//! Everything that happens arrives as one [`Event`] and is handled to its end before the next. No
//! decision is made here that the parts could make themselves.

use std::cell::RefCell;
use std::rc::Rc;

use shared::envelope::{KeyRing, Run, RunKind, Task, VerifyingKey};
use shared::ids::{AttemptId, Digest32, JobId};
use shared::session::{Action, Input, LinkStatus, Notice, Session, SessionConfig, StopReason};
use shared::time::{Millis, Reading, UnixMillis};
use shared::wire::{
    ByeReason, DeviceFacts, RefusalReason, ResultStatus, SelfTest as SelfTestFact, ShardResult,
};
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, MessagePort};

use super::contents;
use super::governor::{Governor, Held, Order};
use super::heartbeat::{Beat, Heartbeat};
use super::platform::{Platform, Timer};
use super::pool::{Command, ExecutorId, Pool};
use super::report;
use super::sandbox::{Sandbox, SandboxEvent};
use super::self_test::{SelfTest, Step};
use super::socket::{Socket, SocketEvent};
use super::strain::Strain;
use super::traffic::Traffic;
use super::work::Work;
use crate::messages::{
    FromRuntime, JobView, JoinOrder, LinkView, RuntimeStatus, SelfTestOutcome, ToRuntime, crossing,
};
use crate::rules::Situation;
use crate::settings::Settings;
use crate::slots::slots_of;

/// The executor of the self-test; the pool's own count from 1.
const PROBE: ExecutorId = ExecutorId(0);
/// Time between two statuses for the page, in milliseconds.
const STATUS_MS: u64 = 200;
/// Time between two looks at the clock, for the rules and for what counts seconds, in milliseconds.
const SECOND_MS: u64 = 1_000;
const MINUTES_A_DAY: u32 = 24 * 60;
/// Results may take this much until the server has told its own limit.
const FIRST_RESULT_BYTES: u32 = 1 << 20;

/// Takes an event from a callback.
pub(super) type Emit = Rc<dyn Fn(Event)>;

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// The page said something; a port may have come along.
    Page(ToRuntime, Option<MessagePort>),
    Socket(SocketEvent),
    Sandbox(SandboxEvent),
    Fetched {
        hash: Digest32,
        text: Option<String>,
    },
    Timer,
}

/// Starts the runtime in the worker that this runs in.
pub(crate) fn start() {
    let runtime: Rc<RefCell<Option<Runtime>>> = Rc::default();
    let target = Rc::clone(&runtime);
    let emit: Emit = Rc::new(move |event| {
        if let Some(runtime) = target.borrow_mut().as_mut() {
            runtime.handle(event);
        }
    });
    let platform = Platform::new();
    listen_to_page(&platform, &emit);
    let booted = Runtime::new(platform, emit);
    booted.tell(&FromRuntime::Booted);
    *runtime.borrow_mut() = Some(booted);
}

fn listen_to_page(platform: &Platform, emit: &Emit) {
    let emit = Rc::clone(emit);
    let listener = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let port = event.ports().get(0).dyn_into().ok();
        if let Some(message) = crossing::from_value(event.data()) {
            emit(Event::Page(message, port));
        }
    });
    platform
        .scope()
        .set_onmessage(Some(listener.as_ref().unchecked_ref()));
    // It lives as long as the worker.
    listener.forget();
}

struct Runtime {
    platform: Platform,
    timer: Timer,
    emit: Emit,
    sandbox: Sandbox,
    heartbeat: Option<Heartbeat>,
    self_test: SelfTest,
    tested: Option<SelfTestOutcome>,
    pool: Pool,
    device: DeviceFacts,
    governor: Governor,
    strain: Strain,
    traffic: Traffic,
    /// Minute of the day, local time.
    minute: u16,
    next_second: Option<Millis>,
    order: Option<Box<JoinOrder>>,
    joined_at: Millis,
    /// Why the server closed the last connection.
    bye: Option<ByeReason>,
    session: Option<Session>,
    socket: Option<Socket>,
    run_us: u64,
    /// Units of shards that needed no executor.
    added: u64,
    shown: Option<RuntimeStatus>,
    last_status: Millis,
    status_due: Option<Millis>,
}

impl Runtime {
    fn new(platform: Platform, emit: Emit) -> Self {
        let now = platform.now().mono;
        let on_timer = Rc::clone(&emit);
        Self {
            timer: Timer::new(&platform, move || on_timer(Event::Timer)),
            sandbox: Sandbox::new(&emit),
            heartbeat: None,
            self_test: SelfTest::new(now),
            tested: None,
            pool: Pool::new(1),
            device: DeviceFacts::default(),
            governor: Governor::new(),
            strain: Strain::default(),
            traffic: Traffic::default(),
            minute: 0,
            next_second: None,
            order: None,
            joined_at: now,
            bye: None,
            session: None,
            socket: None,
            run_us: 0,
            added: 0,
            shown: None,
            last_status: now,
            status_due: None,
            platform,
            emit,
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.platform.now();
        self.note_change(now, &event);
        match event {
            Event::Page(message, port) => self.page_said(now, message, port),
            Event::Socket(event) => self.socket_said(now, event),
            Event::Sandbox(event) => self.sandbox_said(now, event),
            Event::Fetched { hash, text } => {
                self.traffic.carry(text.as_ref().map_or(0, String::len));
                self.input(now, Input::Fetched { hash, text });
            }
            Event::Timer => self.tick(now),
        }
        self.carry_out(now);
        self.show_status(now);
        self.set_timer(now);
    }

    /// Anything but a mere status that is due may have changed what there is to show. What the
    /// volunteer does is answered at once.
    fn note_change(&mut self, now: Reading, event: &Event) {
        if matches!(event, Event::Page(..)) {
            self.status_due = Some(now.mono);
        }
        let is_status = self.status_due.is_some_and(|due| due <= now.mono);
        if !(matches!(event, Event::Timer) && is_status) {
            let earliest = self.last_status.plus(STATUS_MS);
            self.status_due.get_or_insert(earliest.max(now.mono));
        }
    }

    fn page_said(&mut self, now: Reading, message: ToRuntime, port: Option<MessagePort>) {
        match message {
            ToRuntime::Frame => {
                if let Some(port) = port {
                    self.sandbox.attach(port);
                }
            }
            ToRuntime::Join(order) => self.join(now, order),
            ToRuntime::Device(device) => self.device = device,
            ToRuntime::Leave => self.input(now, Input::Leave),
            ToRuntime::Settings(line) => {
                self.governor.settings = Settings::parse(&line);
                self.pool.set_duty(self.governor.settings.duty);
            }
            ToRuntime::Traffic { day, bytes } => self.traffic.correct(Traffic { day, bytes }),
            ToRuntime::Pause { until } => self.governor.pause(until.map(UnixMillis)),
            ToRuntime::Resume => self.governor.resume(),
            ToRuntime::StopRunning => self.governor.stop(),
            ToRuntime::Finish => self.governor.finish(),
            ToRuntime::ShowJob(job) => self.show_job(job),
            ToRuntime::RefuseJob(job) => {
                self.refuse_job(now, job, "by you");
                self.pool.forget_job(job);
            }
        }
        self.govern(now);
    }

    /// Tells the page what runs, as it was verified.
    fn show_job(&self, job: JobId) {
        let load = self.pool.load_of(job);
        let texts = load.map(|load| (load.code.to_string(), load.args.to_string()));
        self.tell(&FromRuntime::Source { job, texts });
    }

    fn refuse_job(&mut self, now: Reading, job: JobId, why: &str) {
        self.input(now, Input::RefuseJob(job));
        self.tell(&FromRuntime::Refused {
            reason: RefusalReason::JobRefused,
            detail: [why, ": job ", &job.to_string()].concat(),
        });
    }

    /// Has the clock looked at, and everything that depends on it.
    fn look_at_clock(&mut self, now: Reading) {
        if self.next_second.is_none_or(|at| at > now.mono) {
            return;
        }
        self.next_second = Some(now.mono.plus(SECOND_MS));
        self.govern(now);
    }

    /// Does what settings and rules ask for.
    fn govern(&mut self, now: Reading) {
        let minutes = self.platform.local_minutes();
        self.minute = (minutes % MINUTES_A_DAY) as u16;
        self.traffic.turn_to(minutes / MINUTES_A_DAY);
        self.set_slots(now);
        while let Some(order) = self.next_order(now) {
            self.input(
                now,
                match order {
                    Order::Pause => Input::Pause,
                    Order::Resume => Input::Resume,
                    Order::StopRunning => Input::StopRunning,
                    Order::Leave => Input::Leave,
                },
            );
        }
    }

    fn next_order(&mut self, now: Reading) -> Option<Order> {
        let status = self.session.as_ref()?.status(now);
        let held = Held {
            running: status.running,
            undisposed: status.undisposed,
        };
        let situation = self.situation();
        self.governor.next_order(now, &situation, held)
    }

    fn situation(&self) -> Situation {
        let percent = |level: f64| (level * 100.0 + 0.5) as u8;
        Situation {
            is_charging: self.device.charging,
            battery: self.device.battery_level.map(percent),
            is_hidden: self.device.visibility.as_deref() == Some("hidden"),
            minute: self.minute,
            day_bytes: self.traffic.bytes,
        }
    }

    /// Joins once the sandbox has proved itself; an order that comes without that is not followed.
    fn join(&mut self, now: Reading, order: Box<JoinOrder>) {
        let Some(SelfTestOutcome::Passed { probes }) = self.tested else {
            return;
        };
        let Ok(key) = VerifyingKey::from_spki_b64(&order.signing_key) else {
            return;
        };
        self.device = order.device.clone();
        self.joined_at = now.mono;
        self.next_second = Some(now.mono);
        let slots = self.strain.left_of(self.allowed_slots());
        self.pool.set_slots(slots);
        let config = SessionConfig {
            worker: order.worker.clone(),
            secret: order.secret.clone(),
            credential: order.credential.clone(),
            invite: order.invite.clone(),
            slots,
            device: order.device.clone(),
            self_test: SelfTestFact::Passed { probes },
        };
        self.session = Some(Session::new(config, KeyRing::new(key)));
        self.order = Some(order);
    }

    /// Uses as many slots as device, volunteer and server allow, fewer while the device is busy.
    fn set_slots(&mut self, now: Reading) {
        let slots = self.strain.left_of(self.allowed_slots());
        if slots != self.pool.slots() {
            self.pool.set_slots(slots);
            self.input(now, Input::Slots(slots));
        }
    }

    fn allowed_slots(&self) -> u16 {
        let limits = self.session.as_ref().and_then(Session::limits);
        let by_server = limits.map(|limits| limits.max_slots.max(1));
        let wanted = self.governor.settings.threads;
        let by_volunteer = (wanted > 0).then_some(wanted);
        let caps = [by_server, by_volunteer].into_iter().flatten();
        caps.fold(slots_of(&self.device), u16::min)
    }

    fn socket_said(&mut self, now: Reading, event: SocketEvent) {
        match event {
            SocketEvent::Opened => self.input(now, Input::Opened),
            SocketEvent::Frame(frame) => {
                self.traffic.carry(frame.len());
                self.input(now, Input::Frame(frame));
            }
            SocketEvent::Closed => {
                self.socket = None;
                self.input(now, Input::Closed);
            }
        }
    }

    fn sandbox_said(&mut self, now: Reading, event: SandboxEvent) {
        match event {
            SandboxEvent::Opened { doors } => self.frame_opened(now, &doors),
            SandboxEvent::Pong => {
                if let Some(heartbeat) = &mut self.heartbeat {
                    let took_ms = heartbeat.answered(now.mono);
                    self.strain.observe(took_ms, self.allowed_slots());
                }
                self.input(now, Input::SandboxAlive);
            }
            SandboxEvent::Died { id: PROBE, reason } => {
                let step = self.self_test.died(&reason);
                self.follow(now, step);
            }
            SandboxEvent::Died { id, reason } => self.pool.died(now.mono, id, &reason),
            SandboxEvent::Said { id: PROBE, text } => {
                let report = text.and_then(|text| report::parse(&text, usize::MAX).ok());
                let step = self.self_test.reported(report);
                self.follow(now, step);
            }
            SandboxEvent::Said { id, text } => self.executor_said(now, id, text),
        }
    }

    fn frame_opened(&mut self, now: Reading, doors: &[String]) {
        self.heartbeat = Some(Heartbeat::new(now.mono));
        self.input(now, Input::SandboxAlive);
        if self.self_test.is_over() {
            self.pool.frame_opened(now.mono);
        } else {
            let step = self.self_test.frame_opened(doors);
            self.follow(now, step);
        }
    }

    fn executor_said(&mut self, now: Reading, id: ExecutorId, text: Option<String>) {
        let most = self.max_result_bytes() as usize;
        match text.map(|text| report::parse(&text, most.max(4096))) {
            Some(Ok(report)) => self.pool.reported(now.mono, id, report),
            Some(Err(malformed)) => self.pool.died(now.mono, id, &malformed.to_string()),
            None => self.pool.died(now.mono, id, "it sent no text"),
        }
    }

    fn follow(&mut self, now: Reading, step: Step) {
        match step {
            Step::Wait => {}
            Step::Spawn => self.sandbox.spawn(PROBE, true),
            Step::Post { load, rows } => self.sandbox.post(PROBE, Some(&load), &rows),
            Step::Done(outcome) => {
                self.sandbox.kill(PROBE);
                if matches!(outcome, SelfTestOutcome::Passed { .. }) {
                    self.pool.frame_opened(now.mono);
                }
                self.tell(&FromRuntime::SelfTested(outcome.clone()));
                self.tested = Some(outcome);
            }
        }
    }

    fn tick(&mut self, now: Reading) {
        self.timer.fired();
        let step = self.self_test.tick(now.mono);
        self.follow(now, step);
        match self.heartbeat.as_mut().map(|it| it.tick(now.mono)) {
            Some(Beat::Ping) => self.sandbox.ping(),
            Some(Beat::Dead) => {
                self.heartbeat = None;
                self.pool.frame_lost(now.mono);
            }
            Some(Beat::Rest) | None => {}
        }
        self.pool.tick(now.mono);
        self.input(now, Input::Tick);
        self.look_at_clock(now);
    }

    fn input(&mut self, now: Reading, input: Input) {
        let platform = &self.platform;
        if let Some(session) = &mut self.session {
            session.handle(now, input, &mut || platform.random16());
        }
    }

    /// Does what session and pool ask for, and gives free slots work, until nothing is left to do.
    fn carry_out(&mut self, now: Reading) {
        loop {
            while let Some(action) = self.session.as_mut().and_then(Session::next_action) {
                self.act(now, action);
            }
            if let Some(command) = self.pool.next_command() {
                self.obey(now, command);
            } else if !self.start_next(now) {
                return;
            }
        }
    }

    fn act(&mut self, now: Reading, action: Action) {
        match action {
            Action::Connect => self.connect(now),
            Action::Disconnect => {
                if self.socket.take().is_some() {
                    self.input(now, Input::Closed);
                }
            }
            Action::Send(frame) => {
                if let Some(socket) = &self.socket {
                    self.traffic.carry(frame.len());
                    socket.send(&frame);
                }
            }
            Action::Fetch(hash) => self.fetch(hash),
            Action::Stop(attempts) => self.pool.stop(now.mono, &attempts),
            Action::Notice(notice) => self.noticed(notice),
        }
    }

    fn connect(&mut self, now: Reading) {
        let Some(order) = &self.order else {
            return;
        };
        self.socket = Socket::open(&order.socket_url, &self.emit);
        if self.socket.is_none() {
            self.input(now, Input::Closed);
        }
    }

    fn fetch(&self, hash: Digest32) {
        if let (Some(order), Some(session)) = (&self.order, &self.session) {
            let (url, token) = (&order.contents_url, session.token());
            contents::fetch(self.platform.scope(), url, token, hash, &self.emit);
        }
    }

    fn noticed(&mut self, notice: Notice) {
        match notice {
            Notice::Joined | Notice::Renewed => self.joined(),
            Notice::Refused { reason, detail } => {
                self.tell(&FromRuntime::Refused { reason, detail });
            }
            Notice::Dismissed(reason) => self.bye = Some(reason),
            // The status says what follows from these.
            Notice::TimeVoid(_) | Notice::BadFrame(_) => {}
        }
    }

    fn joined(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        let now = self.platform.now();
        self.bye = None;
        let worker = session.status(now).worker;
        let token = session.token().unwrap_or_default().to_owned();
        self.set_slots(now);
        self.tell(&FromRuntime::Joined { worker, token });
    }

    fn obey(&mut self, now: Reading, command: Command) {
        match command {
            Command::Spawn(id) => self.sandbox.spawn(id, false),
            Command::Kill(id) => self.sandbox.kill(id),
            Command::Post {
                executor,
                load,
                rows,
            } => self.sandbox.post(executor, load.as_deref(), &rows),
            Command::RebuildFrame => {
                self.sandbox.detach();
                self.heartbeat = None;
                self.tell(&FromRuntime::NeedFrame);
            }
            Command::Finished(results) => self.finished(now, results),
            Command::Interrupted(attempts) => self.input(now, Input::Interrupted(attempts)),
            Command::RefuseJob(job) => {
                self.refuse_job(now, job, "it broke the sandbox");
            }
        }
    }

    fn finished(&mut self, now: Reading, results: Vec<(AttemptId, ShardResult)>) {
        let spent: u64 = results.iter().map(|(_, result)| result.duration_us).sum();
        self.run_us = self.run_us.saturating_add(spent);
        self.input(now, Input::Finished(results));
    }

    /// Starts attempts of the job whose turn it is, if there is room for it; whether it did.
    fn start_next(&mut self, now: Reading) -> bool {
        let Some(session) = &mut self.session else {
            return false;
        };
        let room = session.next_job().and_then(|job| match job.task {
            Task::Add { .. } => Some(1),
            Task::RunJs(_) => self.pool.room_for(job.job),
        });
        let Some(run) = room.and_then(|room| session.take_run(now, room)) else {
            return false;
        };
        match Work::of(&run, self.max_result_bytes()) {
            Some(work) => self.pool.give(now.mono, work),
            None => {
                self.added += run.shards().len() as u64;
                self.finished(now, sums(&run));
            }
        }
        true
    }

    fn max_result_bytes(&self) -> u32 {
        let limits = self.session.as_ref().and_then(Session::limits);
        limits.map_or(FIRST_RESULT_BYTES, |limits| limits.max_result_bytes)
    }

    /// Tells the page how things stand, at most every [`STATUS_MS`].
    fn show_status(&mut self, now: Reading) {
        if self.status_due.is_none_or(|due| due > now.mono) {
            return;
        }
        self.last_status = now.mono;
        self.status_due = None;
        let Some(status) = self.status(now) else {
            return;
        };
        if self.shown.as_ref() != Some(&status) {
            self.tell(&FromRuntime::Status(status.clone()));
            self.shown = Some(status);
        }
    }

    fn status(&self, now: Reading) -> Option<RuntimeStatus> {
        let session = self.session.as_ref()?;
        let status = session.status(now);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Some(RuntimeStatus {
            link: self.link_view(status.link, now.mono),
            is_time_known: status.is_time_known,
            slots: self.pool.slots(),
            running: count(status.running),
            queued: count(status.queued),
            unconfirmed: count(status.undisposed),
            done: status.disposed,
            run_ms: self.run_us / 1000,
            units: self.pool.units() + self.added,
            uptime_s: (now.mono.since(self.joined_at) / SECOND_MS) as u32,
            pause: self.governor.pause_view(now),
            is_finishing: self.governor.is_finishing(),
            is_slowed: self.strain.is_felt(),
            day: self.traffic.day,
            day_bytes: self.traffic.bytes,
            jobs: self.jobs(now.mono),
        })
    }

    fn jobs(&self, now: Millis) -> Vec<JobView> {
        let jobs = self.pool.current(now).into_iter();
        jobs.map(|(job, shards)| JobView { job, shards }).collect()
    }

    fn link_view(&self, link: LinkStatus, now: Millis) -> LinkView {
        match link {
            LinkStatus::Connecting => LinkView::Connecting,
            LinkStatus::Joined => LinkView::Joined,
            LinkStatus::Waiting { until } => LinkView::Waiting {
                retry_in_ms: u32::try_from(until.since(now)).unwrap_or(u32::MAX),
                reason: self.bye.clone(),
            },
            LinkStatus::Stopped(StopReason::Left) => LinkView::Left,
            LinkStatus::Stopped(StopReason::Dismissed(reason)) => LinkView::Dismissed(reason),
        }
    }

    fn set_timer(&mut self, now: Reading) {
        let due = [
            self.session.as_ref().and_then(Session::next_deadline),
            self.pool.next_deadline(),
            self.self_test.next_deadline(),
            self.heartbeat.map(|it| it.next_deadline()),
            self.status_due,
            self.next_second,
        ];
        self.timer.set(now.mono, due.into_iter().flatten().min());
    }

    fn tell(&self, message: &FromRuntime) {
        self.platform
            .scope()
            .post_message(&crossing::to_value(message))
            .expect_throw("our messages can be cloned");
    }
}

/// Results of a run that only adds.
fn sums(run: &Run) -> Vec<(AttemptId, ShardResult)> {
    let RunKind::Add { a, b } = run.kind() else {
        return Vec::new();
    };
    let result = ShardResult {
        status: ResultStatus::Returned,
        duration_us: 0,
        value: Some((a + b).to_string()),
        details: None,
    };
    let shards = run.shards().iter();
    shards.map(|it| (it.attempt, result.clone())).collect()
}
