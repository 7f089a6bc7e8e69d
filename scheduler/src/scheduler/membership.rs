//! Workers come, lose their connection, return, and go.

use std::collections::BTreeSet;

use shared::ids::{SessionId, WorkerId};
use shared::limits::{MAX_SLOTS, RESUME_GRACE_MS};
use shared::wire::Held;

use super::Scheduler;
use crate::leaf::attempt;
use crate::session::Session;
use crate::supply::Holder;
use crate::timers::Timer;

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The worker said so.
    Orderly,
    /// It is gone, or it is back and knows nothing: what it ran may be the cause.
    Vanished,
}

impl Scheduler {
    pub(super) fn on_joined(&mut self, id: SessionId, worker: WorkerId, slots: u16, credit: u32) {
        self.discard_session(id, Farewell::Orderly);
        self.open_session(id, worker, slots, credit);
        self.outbox.welcome(id, Vec::new());
    }

    pub(super) fn on_resumed(
        &mut self,
        id: SessionId,
        worker: WorkerId,
        slots: u16,
        credit: u32,
        held: &[Held],
    ) {
        match self.sessions.get_mut(&id) {
            Some(session) if session.worker == worker => {
                session.is_connected = true;
                session.slots = u32::from(slots.clamp(1, MAX_SLOTS));
                session.limit = credit;
                session.busy_since = self.now;
                self.timers.cancel(Timer::Grace(id));
                self.touched_sessions.insert(id);
                self.take_back_unlisted(id, held);
                self.renew(id, held);
            }
            Some(_) | None => {
                self.discard_session(id, Farewell::Orderly);
                self.open_session(id, worker, slots, credit);
            }
        }
        let unknown = self.expect_tickets(id, held);
        self.outbox.welcome(id, unknown);
        self.revoke_unknown(id, held);
    }

    pub(super) fn on_detached(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.is_connected
        {
            session.is_connected = false;
            self.touched_sessions.insert(id);
            self.timers
                .set(Timer::Grace(id), self.now.plus(RESUME_GRACE_MS));
        }
    }

    pub(super) fn on_credit(&mut self, id: SessionId, limit: u32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.limit = limit;
            self.touched_sessions.insert(id);
        }
    }

    /// Hands out nothing more to a worker, and takes back what it has not begun.
    pub(super) fn on_draining(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.is_draining = true;
        self.touched_sessions.insert(id);
        let running = session.running();
        let held = self.held_by(id);
        for holder in held.into_iter().filter(|it| !running.contains(&it.attempt)) {
            self.take_back(holder);
            self.revoke(holder);
        }
    }

    /// Says which sessions that are draining hold nothing any more.
    pub(super) fn tell_drained(&mut self) {
        while let Some(id) = self.draining.pop_first() {
            if self.sessions.get(&id).is_some_and(Session::is_drained) {
                self.outbox.drained(id);
            }
        }
    }

    /// Takes everything back from a session that is over, and says so.
    pub(super) fn end_session(&mut self, id: SessionId, farewell: Farewell) {
        if self.discard_session(id, farewell) {
            self.outbox.end_session(id);
        }
    }

    fn open_session(&mut self, id: SessionId, worker: WorkerId, slots: u16, credit: u32) {
        if let Some(old) = self.workers.insert(worker.clone(), id) {
            self.end_session(old, Farewell::Vanished);
            self.workers.insert(worker.clone(), id);
        }
        let session = Session::new(worker, slots, credit, self.now);
        self.sessions.insert(id, session);
        self.touched_sessions.insert(id);
    }

    /// Forgets a session; whether there was one.
    fn discard_session(&mut self, id: SessionId, farewell: Farewell) -> bool {
        let running = match (farewell, self.sessions.get(&id)) {
            (Farewell::Vanished, Some(session)) => session.running(),
            (Farewell::Orderly, _) | (_, None) => BTreeSet::new(),
        };
        let held: Vec<Holder> = self.held_by(id);
        for holder in held {
            self.take_from_lost(holder, running.contains(&holder.attempt));
        }
        let Some(session) = self.sessions.remove(&id) else {
            return false;
        };
        for job in session.shares.keys() {
            if let Some(job) = self.jobs.get_mut(job) {
                job.members.remove(&id);
            }
        }
        for timer in [Timer::Grace(id), Timer::Lease(id), Timer::Pause(id)] {
            self.timers.cancel(timer);
        }
        self.workers.remove(&session.worker);
        self.queues.remove_session(id, &session);
        self.touched_sessions.remove(&id);
        true
    }

    fn held_by(&self, id: SessionId) -> Vec<Holder> {
        let Some(session) = self.sessions.get(&id) else {
            return Vec::new();
        };
        let mut held = Vec::new();
        for (nonce, leaf) in &session.leaves {
            for (index, slot) in leaf.slots() {
                if slot.is_held() {
                    held.push(Holder {
                        session: id,
                        attempt: attempt(*nonce, index),
                    });
                }
            }
        }
        held
    }
}
