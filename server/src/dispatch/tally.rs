//! What each worker has done since the server started, also those that have left.
//!
//! Lives here: counting what the scheduler says was stored, and remembering workers. Not here: which
//! results count (`scheduler`), who is connected at the moment (`sessions`). Workers that are
//! connected are always remembered; those that have left as long as there is room, the ones that
//! left last the longest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scheduler::{Contribution, WorkerView};
use shared::api::{
    Capabilities, IsoTime, JsNumber, TaskBrief, WorkCounts, WorkerMetrics, WorkerPresence,
    WorkerTotals, WorkersMetrics,
};
use shared::ids::WorkerId;
use shared::plan::Plan;
use shared::time::{Millis, UnixMillis};
use shared::wire::DeviceFacts;

/// Workers that are remembered, unless more are connected.
const MAX_WORKERS: usize = 4096;
/// How fast an average forgets, in milliseconds.
const RATE_MEMORY_MS: f64 = 60_000.0;
/// No average is taken over less, in milliseconds.
const MIN_RATE_MS: f64 = 1_000.0;

/// The moment of an event, on three clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) mono: Millis,
    pub(super) wall: UnixMillis,
    pub(super) running: UnixMillis,
}

#[derive(Debug)]
pub(super) struct Tally {
    most: usize,
    workers: BTreeMap<WorkerId, Worker>,
    /// Those without a socket, by the time they were heard of last.
    offline: BTreeSet<(Millis, WorkerId)>,
    total: Work,
}

#[derive(Debug)]
struct Worker {
    sockets: u32,
    /// Of one without a socket.
    last_seen: Millis,
    slots: u16,
    device: Arc<DeviceFacts>,
    device_at: UnixMillis,
    reconnects: u64,
    work: Work,
    rate: Rate,
    first_seen: UnixMillis,
    last_job: Option<UnixMillis>,
}

/// Work with its run time as exact as it is known.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    counts: WorkCounts,
    run_us: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self::with_room_for(MAX_WORKERS)
    }
}

impl Tally {
    fn with_room_for(most: usize) -> Self {
        Self {
            most,
            workers: BTreeMap::new(),
            offline: BTreeSet::new(),
            total: Work::default(),
        }
    }

    /// A worker opens a socket.
    pub(super) fn connected(
        &mut self,
        worker: &WorkerId,
        slots: u16,
        device: Arc<DeviceFacts>,
        at: Moment,
    ) {
        let is_known = self.workers.contains_key(worker);
        let row = self
            .workers
            .entry(worker.clone())
            .or_insert_with(|| Worker {
                sockets: 0,
                last_seen: at.mono,
                slots,
                device: Arc::clone(&device),
                device_at: at.wall,
                reconnects: 0,
                work: Work::default(),
                rate: Rate::starting(at.mono),
                first_seen: at.wall,
                last_job: None,
            });
        if row.sockets == 0 {
            self.offline.remove(&(row.last_seen, worker.clone()));
        }
        row.sockets += 1;
        row.reconnects += u64::from(is_known);
        (row.slots, row.device, row.device_at) = (slots, device, at.wall);
        self.forget_oldest();
    }

    /// One of its sockets is gone.
    pub(super) fn disconnected(&mut self, worker: &WorkerId, at: Moment) {
        let Some(row) = self.workers.get_mut(worker) else {
            return;
        };
        row.sockets = row.sockets.saturating_sub(1);
        if row.sockets == 0 {
            row.last_seen = at.mono;
            self.offline.insert((at.mono, worker.clone()));
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        while self.workers.len() > self.most
            && let Some((_, oldest)) = self.offline.pop_first()
        {
            self.workers.remove(&oldest);
        }
    }

    /// Work of a worker was stored.
    pub(super) fn contributed(
        &mut self,
        task: TaskBrief,
        plan: Plan,
        contribution: &Contribution,
        at: Moment,
    ) {
        self.total.add(task, plan, contribution);
        let Some(row) = self.workers.get_mut(&contribution.worker) else {
            return;
        };
        row.work.add(task, plan, contribution);
        row.rate.add(contribution.units, at.mono);
        if contribution.completed > 0 {
            row.last_job = Some(at.wall);
        }
    }

    /// Everybody, the most hard-working first. `last_seen` says when a session was heard of last.
    pub(super) fn report(
        &self,
        views: &[WorkerView],
        last_seen: impl Fn(&WorkerView) -> Option<Millis>,
        at: Moment,
    ) -> WorkersMetrics {
        let views: BTreeMap<&WorkerId, &WorkerView> =
            views.iter().map(|view| (&view.worker, view)).collect();
        let mut workers: Vec<WorkerMetrics> = self
            .workers
            .iter()
            .map(|(id, row)| {
                let view = views.get(id).copied();
                let heard = view.and_then(&last_seen).unwrap_or(row.last_seen);
                row.metrics(id, view, heard, at)
            })
            .collect();
        let merit = |row: &WorkerMetrics| {
            let work = &row.work;
            let merit = (
                work.completed_shards,
                work.contributed_units,
                work.completed_jobs,
            );
            std::cmp::Reverse(merit)
        };
        workers.sort_by_key(merit);
        let connected = workers.iter().filter(|row| row.connected).count();
        WorkersMetrics {
            now: IsoTime(at.wall),
            own: None,
            totals: self.total.totals(workers.len(), connected),
            workers,
        }
    }
}

impl Worker {
    fn metrics(
        &self,
        id: &WorkerId,
        view: Option<&WorkerView>,
        last_seen: Millis,
        at: Moment,
    ) -> WorkerMetrics {
        let connected = self.sockets > 0;
        let slots = view.map_or(self.slots, |view| view.slots);
        let in_flight = view.map_or(0, |view| view.in_flight);
        let free = u32::from(slots).saturating_sub(in_flight);
        let available = if connected {
            u16::try_from(free).unwrap_or(u16::MAX)
        } else {
            0
        };
        let work = self.work.shown();
        WorkerMetrics {
            worker_id: id.clone(),
            connected,
            state: match (connected, available) {
                (false, _) => WorkerPresence::Offline,
                (true, 0) => WorkerPresence::Busy,
                (true, _) => WorkerPresence::Idle,
            },
            last_seen_ms: at.mono.since(last_seen),
            in_flight_count: in_flight,
            max_slots: slots,
            available_slots: available,
            supports_assign_batch: true,
            dispatch_score: JsNumber(if connected { f64::from(slots) } else { 0.0 }),
            resource_score: JsNumber(resource_score(&self.device, slots)),
            throughput_units_per_sec: JsNumber(self.rate.per_sec(at.mono)),
            reconnects: self.reconnects,
            avg_duration_ms: JsNumber(self.work.mean_ms()),
            work,
            capabilities: Capabilities::new(&self.device, IsoTime(self.device_at)),
            first_seen_at: IsoTime(self.first_seen),
            last_job_at: self.last_job.map(IsoTime),
        }
    }
}

/// Processors that a device can lend: no more than it has GiB of memory, where that is known.
fn resource_score(device: &DeviceFacts, slots: u16) -> f64 {
    let processors = device
        .hardware_concurrency
        .map_or(f64::from(slots), f64::from);
    device
        .device_memory_gb
        .map_or(processors, |memory| processors.min(memory))
}

impl Work {
    fn add(&mut self, task: TaskBrief, plan: Plan, contribution: &Contribution) {
        let counts = &mut self.counts;
        let (completed, failed) = (contribution.completed, contribution.failed);
        counts.completed_jobs += completed;
        match task {
            TaskBrief::Add { .. } => counts.completed_add_jobs += completed,
            TaskBrief::RunJs { .. } => counts.completed_run_js_jobs += completed,
        }
        match plan {
            // Whatever a single run says is its result.
            Plan::Single => {}
            Plan::Sharded(_) => {
                counts.completed_shards += completed;
                counts.failed_shards += failed;
                counts.failed_jobs += failed;
            }
        }
        counts.contributed_units = counts.contributed_units.saturating_add(contribution.units);
        self.run_us = self.run_us.saturating_add(contribution.run_us);
    }

    const fn shown(&self) -> WorkCounts {
        let mut counts = self.counts;
        counts.total_duration_ms = self.run_us / 1000;
        counts
    }

    fn mean_ms(&self) -> f64 {
        let runs = self.counts.completed_jobs.max(1);
        self.run_us as f64 / 1000.0 / runs as f64
    }

    const fn totals(&self, tracked: usize, connected: usize) -> WorkerTotals {
        let counts = self.shown();
        WorkerTotals {
            workers_tracked: tracked,
            workers_connected: connected,
            completed_jobs: counts.completed_jobs,
            completed_shards: counts.completed_shards,
            failed_jobs: counts.failed_jobs,
            failed_shards: counts.failed_shards,
            contributed_units: counts.contributed_units,
            total_duration_ms: counts.total_duration_ms,
        }
    }
}

/// A rate over about the last minute: an exponential average of what was added, corrected for the
/// time before there was anything to add.
#[derive(Debug)]
struct Rate {
    amount: f64,
    updated: Millis,
    since: Millis,
}

impl Rate {
    const fn starting(now: Millis) -> Self {
        Self {
            amount: 0.0,
            updated: now,
            since: now,
        }
    }

    fn add(&mut self, amount: u64, now: Millis) {
        self.amount = self.left(now) + amount as f64;
        self.updated = now;
    }

    fn per_sec(&self, now: Millis) -> f64 {
        let age_ms = now.since(self.since) as f64;
        let weight_ms = RATE_MEMORY_MS * (1.0 - (-age_ms / RATE_MEMORY_MS).exp());
        1000.0 * self.left(now) / weight_ms.max(MIN_RATE_MS)
    }

    fn left(&self, now: Millis) -> f64 {
        let age_ms = now.since(self.updated) as f64;
        self.amount * (-age_ms / RATE_MEMORY_MS).exp()
    }
}

#[cfg(test)]
mod tests {
    use shared::plan::Sharding;

    use super::*;

    const RUN: TaskBrief = TaskBrief::RunJs { timeout_ms: 0 };

    fn sharded() -> Plan {
        Plan::Sharded(Sharding::new(100, 10).unwrap())
    }

    fn worker(number: u64) -> WorkerId {
        format!("worker-{number}").parse().unwrap()
    }

    fn at(ms: u64) -> Moment {
        Moment {
            mono: Millis(ms),
            wall: UnixMillis(1_767_225_600_000 + ms),
            running: UnixMillis(ms),
        }
    }

    fn connect(tally: &mut Tally, number: u64, ms: u64) {
        tally.connected(&worker(number), 4, Arc::default(), at(ms));
    }

    fn did(number: u64, completed: u64, failed: u64) -> Contribution {
        Contribution {
            worker: worker(number),
            completed,
            failed,
            units: completed * 10,
            run_us: completed * 2_500,
        }
    }

    fn report(tally: &Tally, ms: u64) -> WorkersMetrics {
        tally.report(&[], |_| None, at(ms))
    }

    #[test]
    fn work_is_counted_by_its_kind() {
        let mut tally = Tally::default();
        connect(&mut tally, 1, 0);
        tally.contributed(RUN, sharded(), &did(1, 3, 1), at(5));
        tally.contributed(RUN, Plan::Single, &did(1, 1, 1), at(6));
        tally.contributed(
            TaskBrief::Add { a: 1, b: 2 },
            Plan::Single,
            &did(1, 1, 0),
            at(7),
        );
        let report = report(&tally, 10);
        let row = &report.workers[0];
        let counts = WorkCounts {
            completed_jobs: 5,
            completed_add_jobs: 1,
            completed_run_js_jobs: 4,
            completed_shards: 3,
            failed_jobs: 1,
            failed_shards: 1,
            contributed_units: 50,
            total_duration_ms: 12,
        };
        assert_eq!(row.work, counts, "a single run that throws has not failed");
        assert_eq!(row.avg_duration_ms, JsNumber(2.5));
        assert_eq!(row.last_job_at, Some(IsoTime(at(7).wall)));
        assert_eq!(report.totals.completed_jobs, 5);
    }

    #[test]
    fn the_hard_working_come_first() {
        let mut tally = Tally::default();
        for number in 1..=3 {
            connect(&mut tally, number, 0);
        }
        tally.contributed(RUN, sharded(), &did(2, 2, 0), at(1));
        tally.contributed(RUN, sharded(), &did(3, 5, 0), at(1));
        let ids: Vec<_> = report(&tally, 2)
            .workers
            .into_iter()
            .map(|row| row.worker_id)
            .collect();
        assert_eq!(ids, [worker(3), worker(2), worker(1)]);
    }

    #[test]
    fn who_left_first_is_forgotten_first_and_nobody_who_is_connected() {
        let mut tally = Tally::with_room_for(2);
        for number in 1..=3 {
            connect(&mut tally, number, number);
        }
        assert_eq!(report(&tally, 9).workers.len(), 3);
        tally.disconnected(&worker(2), at(10));
        assert_eq!(report(&tally, 11).workers.len(), 2);
        tally.disconnected(&worker(1), at(12));
        connect(&mut tally, 4, 13);
        let ids: Vec<_> = report(&tally, 14)
            .workers
            .into_iter()
            .map(|row| row.worker_id)
            .collect();
        assert_eq!(ids, [worker(3), worker(4)]);
        assert!(tally.offline.is_empty());
    }

    #[test]
    fn what_a_forgotten_worker_did_stays_in_the_totals() {
        let mut tally = Tally::with_room_for(0);
        connect(&mut tally, 1, 0);
        tally.contributed(RUN, sharded(), &did(1, 2, 0), at(1));
        tally.disconnected(&worker(1), at(2));
        tally.contributed(RUN, sharded(), &did(1, 1, 0), at(3));
        let report = report(&tally, 4);
        assert_eq!(report.workers, []);
        assert_eq!(report.totals.completed_shards, 3);
    }

    #[test]
    fn a_worker_is_offline_once_its_last_socket_is_gone_and_comes_back_as_itself() {
        let mut tally = Tally::default();
        connect(&mut tally, 1, 0);
        connect(&mut tally, 1, 5);
        tally.disconnected(&worker(1), at(6));
        assert!(report(&tally, 7).workers[0].connected);
        tally.disconnected(&worker(1), at(8));
        let gone = &report(&tally, 20).workers[0];
        assert_eq!(gone.state, WorkerPresence::Offline);
        assert_eq!(
            (gone.last_seen_ms, gone.max_slots, gone.available_slots),
            (12, 4, 0)
        );
        connect(&mut tally, 1, 30);
        let back = &report(&tally, 31).workers[0];
        assert_eq!((back.state, back.reconnects), (WorkerPresence::Idle, 2));
        assert_eq!(back.first_seen_at, IsoTime(at(0).wall));
    }

    #[test]
    fn a_rate_is_right_from_the_start_and_fades() {
        let mut rate = Rate::starting(Millis(0));
        for second in 1..=10 {
            rate.add(100, Millis(second * 1000));
        }
        let early = rate.per_sec(Millis(10_000));
        assert!((95.0..115.0).contains(&early), "{early}");
        assert!(rate.per_sec(Millis(600_000)) < 0.01);
        let mut burst = Rate::starting(Millis(0));
        burst.add(100, Millis(0));
        assert_eq!(burst.per_sec(Millis(0)), 100.0, "not infinite");
    }

    #[test]
    fn a_device_lends_no_more_processors_than_its_memory_feeds() {
        let device = |processors, memory| DeviceFacts {
            hardware_concurrency: processors,
            device_memory_gb: memory,
            ..DeviceFacts::default()
        };
        for (processors, memory, score) in [
            (Some(8), Some(4.0), 4.0),
            (Some(4), Some(8.0), 4.0),
            (None, None, 2.0),
        ] {
            assert_eq!(resource_score(&device(processors, memory), 2), score);
        }
    }
}
