//! Results: which of them count, and what each is answered.

use std::collections::{BTreeMap, BTreeSet};

use shared::ids::{JobId, Nonce, SessionId, WorkerId};
use shared::time::Millis;
use shared::wire::{AttemptRange, Disposition, ResultBatch, ResultRow};

use super::Scheduler;
use crate::job::{Answer, Delivery, Job};
use crate::leaf::{Leaf, SlotState, attempt};
use crate::outbox::Outbox;
use crate::session::Session;

impl Scheduler {
    pub(super) fn on_results(&mut self, id: SessionId, batches: Vec<ResultBatch>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let mut intake = Intake {
            id,
            now: self.now,
            busy_slots: session.busy_slots(),
            session,
            jobs: &mut self.jobs,
            active: &self.queues.active,
            outbox: &mut self.outbox,
            touched_jobs: &mut self.touched_jobs,
            tallies: BTreeMap::new(),
        };
        for batch in batches {
            intake.take_batch(batch);
        }
        intake.note_pace();
        self.touched_sessions.insert(id);
    }
}

/// What came in of one job.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    run_us: u64,
}

/// One message of results on its way in.
struct Intake<'a> {
    id: SessionId,
    now: Millis,
    busy_slots: u32,
    session: &'a mut Session,
    jobs: &'a mut BTreeMap<JobId, Job>,
    active: &'a BTreeSet<WorkerId>,
    outbox: &'a mut Outbox,
    touched_jobs: &'a mut BTreeSet<JobId>,
    tallies: BTreeMap<JobId, Tally>,
}

impl Intake<'_> {
    fn take_batch(&mut self, batch: ResultBatch) {
        let nonce = batch.nonce;
        let Some(mut leaf) = self.session.take_leaf(nonce) else {
            return self.answer_closed(&batch);
        };
        self.note_latency(&mut leaf, &batch);
        let mut rows = batch.rows.into_iter().peekable();
        while let Some(row) = rows.peek() {
            let Some((job, indices)) = leaf.segment(row.index) else {
                let stray = AttemptRange::one(attempt(nonce, row.index));
                self.dispose(stray, Disposition::Refused);
                rows.next();
                continue;
            };
            let of_job = std::iter::from_fn(|| rows.next_if(|row| indices.contains(&row.index)));
            self.take_rows(&mut leaf, nonce, job, of_job);
        }
        self.session.put_leaf(nonce, leaf);
    }

    /// Nothing is left of the leaf, or it was never given to this session.
    fn answer_closed(&mut self, batch: &ResultBatch) {
        let closed = self.session.closed(batch.nonce);
        for row in &batch.rows {
            let range = AttemptRange::one(attempt(batch.nonce, row.index));
            let answer = closed.map_or(Disposition::Refused, |leaf| leaf.answer(row.index));
            self.dispose(range, answer);
        }
    }

    fn take_rows(
        &mut self,
        leaf: &mut Leaf,
        nonce: Nonce,
        job_id: JobId,
        rows: impl Iterator<Item = ResultRow>,
    ) {
        let held_before = leaf.held();
        let mut tally = Tally::default();
        let mut job = self.jobs.get_mut(&job_id);
        for row in rows {
            let Some(slot) = leaf.slot(row.index) else {
                continue;
            };
            let attempt = attempt(nonce, row.index);
            let answer = match (slot.state, &mut job) {
                (SlotState::Received, _) => continue,
                (_, None) => Answer::AtOnce(Disposition::Stale),
                (SlotState::Disposed | SlotState::Over, Some(job)) => {
                    job.answer_again(self.id, attempt, slot)
                }
                (SlotState::Held { .. } | SlotState::Taken | SlotState::Late, Some(job)) => {
                    tally.add(row.result.duration_us);
                    let delivery = Delivery {
                        session: self.id,
                        worker: &self.session.worker,
                        attempt,
                        slot,
                        result: row.result,
                    };
                    job.deliver(delivery, self.active)
                }
            };
            match answer {
                Answer::Pending => leaf.set(row.index, SlotState::Received),
                Answer::AtOnce(disposition) => {
                    leaf.set(row.index, SlotState::answered(disposition));
                    if self.session.is_connected {
                        let range = AttemptRange::one(attempt);
                        self.outbox.dispose(self.id, range, disposition);
                    }
                }
            }
        }
        self.note_taken(job_id, held_before - leaf.held(), tally);
    }

    fn note_taken(&mut self, job: JobId, no_longer_held: u32, tally: Tally) {
        self.touched_jobs.insert(job);
        if let Some(share) = self.session.shares.get_mut(&job) {
            share.held -= no_longer_held;
        }
        let sum = self.tallies.entry(job).or_default();
        sum.rows += tally.rows;
        sum.run_us = sum.run_us.saturating_add(tally.run_us);
    }

    fn dispose(&mut self, range: AttemptRange, disposition: Disposition) {
        if self.session.is_connected {
            self.outbox.dispose(self.id, range, disposition);
        }
    }

    /// The first result of a leaf that an idle worker was sent tells how far away it is.
    fn note_latency(&mut self, leaf: &mut Leaf, batch: &ResultBatch) {
        let Some(row) = batch.rows.first() else {
            return;
        };
        if std::mem::take(&mut leaf.tells_latency) {
            let run_ms = row.result.duration_us / 1000;
            let ms = self.now.since(leaf.sent).saturating_sub(run_ms);
            self.session.latency.note(ms);
        }
    }

    /// Learns how long shards take: by what the worker says, or by what came out in the time since
    /// the last results, whichever is longer, so that whatever the protocol costs counts too.
    fn note_pace(&mut self) {
        let rows: u64 = self.tallies.values().map(|tally| tally.rows).sum();
        if rows == 0 {
            return;
        }
        self.session.note_results();
        let wall_us = self.now.since(self.session.busy_since).saturating_mul(1000);
        let by_wall = wall_us.saturating_mul(self.busy_slots.into()) / rows;
        for (id, tally) in &self.tallies {
            let Some(by_run) = tally.run_us.checked_div(tally.rows) else {
                continue;
            };
            let shard_us = by_run.max(by_wall);
            if let Some(job) = self.jobs.get_mut(id) {
                job.speed.note(shard_us, tally.rows);
            }
            if let Some(share) = self.session.shares.get_mut(id) {
                share.speed.note(shard_us, tally.rows);
            }
        }
        self.session.busy_since = self.now;
    }
}

impl Tally {
    const fn add(&mut self, run_us: u64) {
        self.rows += 1;
        self.run_us = self.run_us.saturating_add(run_us);
    }
}
