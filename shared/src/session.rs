//! The worker's side of the protocol as a state machine: the same for a browser tab and for a
//! native load generator.
//!
//! Lives here: joining, resuming, and who of the parts does what. Not here: proving what is assigned
//! (`session/assignments`), holding it until the server disposes of it (`session/batches`), credit and
//! beats (`session/housekeeping`); nor the socket, timers and executors. Whoever drives it passes what
//! happened to [`Session::handle`], carries out what [`Session::next_action`] says, asks
//! [`Session::take_run`] for work whenever a slot is free, and calls again at
//! [`Session::next_deadline`]. Nothing but `take_run` gives out anything to run.

mod assignments;
mod batches;
mod contents;
mod housekeeping;
mod link;
mod types;

use std::collections::VecDeque;

use batches::Batches;
use contents::ContentCache;
use housekeeping::FLUSH_ROWS;
use link::Link;

#[cfg(test)]
mod tests;

pub use types::{Action, Entropy, Input, LinkStatus, Notice, SessionConfig, Status, StopReason};

use crate::envelope::{
    EnvelopeError, Identity, KeyRing, LeafJob, NonceCache, Run, StartError, TrustedClock,
};
use crate::ids::{AttemptId, Digest32, JobId, Nonce};
use crate::limits::{BEAT_INTERVAL_MS, MAX_TICKETS_PER_FRAME, NONCE_CACHE_CAPACITY};
use crate::time::{Millis, Reading};
use crate::wire::{
    self, Assign, AttemptRange, ByeReason, Credential, Hello, ProtocolVersion, RefusalReason,
    Refused, ShardResult, SignedLeaf, ToServer, ToWorker, Welcome, WireError, WorkerLimits,
};

/// Results wait this long for company while others are still running, in milliseconds.
const FLUSH_MS: u64 = 10;
/// A server that does not answer hello within this time is given up, in milliseconds.
const HELLO_TIMEOUT_MS: u64 = 15_000;
/// Jobs that this device refuses are remembered up to this number, the oldest forgotten first.
const MAX_REFUSED_JOBS: usize = 64;
/// Frames from the server are at most this long, in bytes. Its own limit is for what it takes: the
/// longest that it sends is an assignment with short contents, some 200 KiB.
const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024;

/// A worker's session: see the module.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    keys: KeyRing,
    link: Link,
    limits: Option<WorkerLimits>,
    clock: TrustedClock,
    seen: NonceCache,
    identity: Option<Identity>,
    batches: Batches,
    contents: ContentCache,
    /// Assignments that came while the time was unknown, and whether they were tried before.
    parked: VecDeque<(Assign, bool)>,
    /// What was revoked while assignments were parked: it may be in one of them.
    revoked_early: Vec<AttemptRange>,
    refused_jobs: VecDeque<JobId>,
    is_paused: bool,
    credit_sent: u32,
    next_beat: Millis,
    flush_at: Option<Millis>,
    alive_at: Millis,
    /// Moving average of the time that one shard takes a slot, in microseconds.
    shard_us: Option<f64>,
    disposed: u64,
    refused: u64,
    actions: VecDeque<Action>,
}

impl Session {
    /// A session that connects at once.
    pub fn new(config: SessionConfig, keys: KeyRing) -> Self {
        Self {
            link: Link::new(),
            keys,
            limits: None,
            clock: TrustedClock::default(),
            seen: NonceCache::new(NONCE_CACHE_CAPACITY),
            identity: None,
            batches: Batches::default(),
            contents: ContentCache::default(),
            parked: VecDeque::new(),
            revoked_early: Vec::new(),
            refused_jobs: VecDeque::new(),
            is_paused: false,
            credit_sent: 0,
            next_beat: Millis(0),
            flush_at: None,
            alive_at: Millis(0),
            shard_us: None,
            disposed: 0,
            refused: 0,
            actions: VecDeque::from([Action::Connect]),
            config,
        }
    }

    /// What to do next; call it until it is `None` after every other call.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Reading, input: Input, entropy: &mut dyn Entropy) {
        match input {
            Input::Opened => self.say_hello(now, entropy),
            Input::Closed => self.disconnected(now, entropy),
            Input::Frame(frame) => self.received(now, &frame, entropy),
            Input::Finished(results) => self.finished(now, results),
            Input::Interrupted(attempts) => {
                self.give_back(&attempts, RefusalReason::Interrupted);
            }
            Input::Fetched { hash, text } => self.fetched(now, hash, text.as_deref()),
            Input::SandboxAlive => self.alive_at = now.mono,
            Input::Slots(slots) => self.config.slots = slots.max(1),
            Input::Pause => self.pause(),
            Input::Resume => self.is_paused = false,
            Input::StopRunning => self.stop_running(),
            Input::RefuseJob(job) => self.refuse_job(job),
            Input::Leave => self.leave(),
            Input::Tick => {}
        }
        self.housekeeping(now, entropy);
    }

    /// Work for a free slot: at most `most` attempts, all of one job. They count as running until
    /// they are reported as finished or interrupted, or an [`Action::Stop`] names them.
    pub fn take_run(&mut self, now: Reading, most: usize) -> Option<Run> {
        let time = self.clock.now(now).filter(|_| !self.is_paused)?;
        loop {
            let nonce = self.batches.next_ready(self.contents.known())?;
            match self.batches.start(nonce, most, time, self.contents.known()) {
                Ok(run) => return Some(run),
                Err(StartError::TooLate(_)) => {
                    let late = self.batches.withdraw_waiting(nonce, |_| true);
                    self.refuse(&wire::to_ranges(late), RefusalReason::ExpiredInQueue);
                }
                Err(StartError::Missing(_) | StartError::Empty) => return None,
            }
        }
    }

    /// The job that [`Session::take_run`] would take attempts of, if it gave out any.
    pub fn next_job(&mut self) -> Option<&LeafJob> {
        self.batches.next_job(self.contents.known())
    }

    /// When [`Input::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Millis> {
        let beat = self.link.is_joined().then_some(self.next_beat);
        [
            self.link.deadline(),
            self.flush_at,
            beat,
            self.contents.next_retry(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The token that opens this session again, and authorises the fetching of contents.
    pub fn token(&self) -> Option<&str> {
        match &self.config.credential {
            Credential::Session { token, .. } => Some(token),
            Credential::Invite(_) => None,
        }
    }

    /// Limits that the server has set; `None` before the first welcome.
    pub const fn limits(&self) -> Option<WorkerLimits> {
        self.limits
    }

    /// What to show.
    pub fn status(&self, now: Reading) -> Status {
        let counts = self.batches.counts();
        Status {
            link: self.link.status(),
            worker: self.config.worker.clone(),
            is_time_known: self.clock.now(now).is_some(),
            is_paused: self.is_paused,
            queued: counts.queued,
            running: counts.running,
            undisposed: counts.finished,
            disposed: self.disposed,
            refused: self.refused,
        }
    }

    fn say_hello(&mut self, now: Reading, entropy: &mut dyn Entropy) {
        let challenge = self.ask_time(now, entropy);
        self.link.opened(now.mono.plus(HELLO_TIMEOUT_MS));
        self.credit_sent = self.credit();
        let hello = Hello {
            version: ProtocolVersion::V1,
            credential: self.config.credential.clone(),
            worker: self.config.worker.clone(),
            secret: self.config.secret.clone(),
            slots: self.config.slots,
            credit: self.credit_sent,
            device: self.config.device.clone(),
            self_test: self.config.self_test.clone(),
            challenge,
            held: self.batches.held(|_| true),
        };
        self.send(&ToServer::Hello(Box::new(hello)));
    }

    fn ask_time(&mut self, now: Reading, entropy: &mut dyn Entropy) -> Nonce {
        let challenge = Nonce::from_bytes(entropy.bytes16());
        self.clock.ask(challenge, now);
        challenge
    }

    fn disconnected(&mut self, now: Reading, entropy: &mut dyn Entropy) {
        self.parked.clear();
        self.revoked_early.clear();
        self.flush_at = None;
        self.link.closed(now.mono, entropy);
    }

    fn received(&mut self, now: Reading, frame: &[u8], entropy: &mut dyn Entropy) {
        if !self.link.is_open() {
            return;
        }
        let message = wire::decode(frame, MAX_FRAME_BYTES);
        match message.and_then(|message| self.in_turn(message)) {
            Ok(ToWorker::Welcome(welcome)) => self.welcomed(now, *welcome),
            Ok(ToWorker::Time(signed)) => self.time_answered(now, *signed, entropy),
            Ok(ToWorker::Assign(assign)) => self.assigned(now, *assign, false, entropy),
            Ok(ToWorker::Disposed(disposed)) => {
                for entry in disposed {
                    self.disposed += self.batches.forget(entry.range).finished as u64;
                }
            }
            Ok(ToWorker::Revoke(ranges)) => self.revoked(&ranges),
            Ok(ToWorker::Renewed(renewed)) => {
                self.keep_token(renewed.token);
                self.notice(Notice::Renewed);
            }
            Ok(ToWorker::Bye {
                reason,
                retry_after_ms,
            }) => {
                self.dismissed(now, reason, retry_after_ms);
            }
            Err(error) => {
                self.notice(Notice::BadFrame(error));
                self.actions.push_back(Action::Disconnect);
            }
        }
    }

    /// The message, if it may come now: one welcome for each hello, and nothing of substance before.
    fn in_turn(&self, message: ToWorker) -> Result<ToWorker, WireError> {
        let is_due = match &message {
            ToWorker::Welcome(_) => !self.link.is_joined(),
            ToWorker::Bye { .. } => true,
            ToWorker::Time(_)
            | ToWorker::Assign(_)
            | ToWorker::Disposed(_)
            | ToWorker::Revoke(_)
            | ToWorker::Renewed(_) => self.link.is_joined(),
        };
        is_due.then_some(message).ok_or(WireError::OutOfTurn)
    }

    fn welcomed(&mut self, now: Reading, welcome: Welcome) {
        let identity = Identity {
            worker: welcome.worker.clone(),
            session: welcome.session,
        };
        if self.identity.as_ref() != Some(&identity) {
            self.abandon_everything();
        }
        self.identity = Some(identity);
        self.config.worker = welcome.worker;
        self.keep_token(welcome.token);
        self.limits = Some(welcome.limits);
        self.config.slots = self.config.slots.min(welcome.limits.max_slots.max(1));
        self.link.joined();
        self.next_beat = now.mono.plus(BEAT_INTERVAL_MS);
        self.notice(Notice::Joined);
        self.send_tickets(&welcome.unknown);
        self.batches.resend_finished();
    }

    /// From here on the session is opened by `token`.
    fn keep_token(&mut self, token: String) {
        self.config.credential = Credential::Session {
            token,
            resume: true,
        };
    }

    fn send_tickets(&mut self, unknown: &[Nonce]) {
        let tickets: Vec<SignedLeaf> = unknown
            .iter()
            .filter_map(|nonce| self.batches.ticket(*nonce))
            .collect();
        for frame in tickets.chunks(MAX_TICKETS_PER_FRAME) {
            self.send(&ToServer::Tickets(frame.to_vec()));
        }
    }

    fn dismissed(&mut self, now: Reading, reason: ByeReason, retry_after_ms: Option<u32>) {
        let has_token = matches!(self.config.credential, Credential::Session { .. });
        match (reason, &self.config.invite) {
            (ByeReason::SessionUnknown, Some(invite)) if has_token => {
                self.config.credential = Credential::Invite(invite.clone());
                self.abandon_everything();
                self.link.retry_at(now.mono);
            }
            (reason, _) => {
                match retry_after_ms {
                    Some(ms) => self.link.retry_at(now.mono.plus(u64::from(ms))),
                    None => {
                        self.abandon_everything();
                        self.link.stop(StopReason::Dismissed(reason.clone()));
                    }
                }
                self.notice(Notice::Dismissed(reason));
            }
        }
        self.actions.push_back(Action::Disconnect);
    }

    fn finished(&mut self, now: Reading, results: Vec<(AttemptId, ShardResult)>) {
        let mut is_long = false;
        for (attempt, result) in results {
            is_long |= result.duration_us >= FLUSH_MS * 1000;
            self.batches.finish(attempt, result);
        }
        if let Some(us) = self.batches.take_pace(now.mono, self.config.slots) {
            self.shard_us = Some(self.shard_us.map_or(us, |old| 0.8 * old + 0.2 * us));
        }
        let counts = self.batches.counts();
        let is_last = counts.queued + counts.running == 0;
        let at = if is_long || is_last || self.batches.unsent() >= FLUSH_ROWS {
            now.mono
        } else {
            now.mono.plus(FLUSH_MS)
        };
        self.flush_at = Some(self.flush_at.map_or(at, |old| old.min(at)));
    }

    fn give_back(&mut self, attempts: &[AttemptId], reason: RefusalReason) {
        let ranges = wire::to_ranges(attempts.iter().copied());
        for range in &ranges {
            self.batches.forget(*range);
        }
        self.refuse(&ranges, reason);
    }

    fn fetched(&mut self, now: Reading, hash: Digest32, text: Option<&str>) {
        let Some(reason) = self.contents.fetched(hash, text, now.mono) else {
            return;
        };
        if reason == RefusalReason::WrongContent {
            self.refused += 1;
            let detail = format!("a content has another hash than {hash}");
            self.notice(Notice::Refused { reason, detail });
        }
        let hopeless = self.batches.withdraw_needing(hash);
        self.refuse(&wire::to_ranges(hopeless), reason);
    }

    /// The server learns first that it is to give nothing, so that it gives nothing of what it gets
    /// back.
    fn pause(&mut self) {
        self.is_paused = true;
        if self.link.is_joined() {
            self.tell_credit();
        }
        let waiting = self.batches.withdraw_all_waiting();
        self.refuse(&wire::to_ranges(waiting), RefusalReason::Stopped);
    }

    fn stop_running(&mut self) {
        let running = self.batches.running();
        self.give_back(&running, RefusalReason::Stopped);
        self.stop(running);
    }

    fn refuse_job(&mut self, job: JobId) {
        if self.refused_jobs.len() == MAX_REFUSED_JOBS {
            self.refused_jobs.pop_front();
        }
        self.refused_jobs.push_back(job);
        let waiting = self.batches.withdraw_job(job);
        self.refuse(&wire::to_ranges(waiting), RefusalReason::JobRefused);
        let running = self.batches.running_of(job);
        self.give_back(&running, RefusalReason::JobRefused);
        self.stop(running);
    }

    fn leave(&mut self) {
        if self.link.is_joined() {
            self.send(&ToServer::Leave);
        }
        self.abandon_everything();
        self.link.stop(StopReason::Left);
        self.actions.push_back(Action::Disconnect);
    }

    /// Forgets all attempts and results: they belong to a session that is over.
    fn abandon_everything(&mut self) {
        let running = self.batches.running();
        self.batches = Batches::default();
        self.parked.clear();
        self.revoked_early.clear();
        self.flush_at = None;
        self.stop(running);
    }

    fn stop(&mut self, attempts: Vec<AttemptId>) {
        if !attempts.is_empty() {
            self.actions.push_back(Action::Stop(attempts));
        }
    }

    fn refuse_envelope(&mut self, error: &EnvelopeError, claimed: Option<AttemptRange>) {
        self.refused += 1;
        self.notice(Notice::Refused {
            reason: error.reason(),
            detail: error.to_string(),
        });
        self.send_joined(&ToServer::Refused(vec![Refused {
            range: claimed,
            reason: error.reason(),
        }]));
    }

    fn refuse(&mut self, ranges: &[AttemptRange], reason: RefusalReason) {
        if ranges.is_empty() {
            return;
        }
        let refusals = ranges
            .iter()
            .map(|range| Refused {
                range: Some(*range),
                reason,
            })
            .collect();
        self.send_joined(&ToServer::Refused(refusals));
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }

    fn send_joined(&mut self, message: &ToServer) {
        if self.link.is_joined() {
            self.send(message);
        }
    }

    fn send(&mut self, message: &ToServer) {
        self.actions.push_back(Action::Send(wire::encode(message)));
    }
}
