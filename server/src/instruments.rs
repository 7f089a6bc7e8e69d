//! The one list of all instruments, and how they are read (OpenMetrics text).
//!
//! Lives here: what is counted where it happens, and what is measured when somebody looks. Not here:
//! who may look (`api/prometheus`), and what clients see (`api/metrics`). Labels come from closed
//! sets: no name of a worker or job, no path that anybody can choose.

use std::fmt::Debug;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};
use shared::api::ClusterMetrics;
use shared::wire::{ByeReason, RefusalReason};

/// Media type of what [`Instruments::read`] gives.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Route of a request that no route takes.
const NO_ROUTE: &str = "none";

type Level = Gauge<u64, AtomicU64>;

/// What is counted where it happens.
#[derive(Debug)]
pub(crate) struct Instruments {
    registry: Registry,
    frames_in: Counter,
    frames_out: Counter,
    requests: Family<RequestLabels, Counter>,
    byes: Family<ReasonLabels, Counter>,
    refusals: Family<ReasonLabels, Counter>,
    commits: Histogram,
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From a worker.
    In,
    /// To a worker.
    Out,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FrameLabels {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// What is measured when somebody looks.
#[derive(Debug)]
pub(crate) struct Measured<'m> {
    /// Workers and jobs.
    pub(crate) cluster: &'m ClusterMetrics,
    /// Bytes of changes that are not stored yet.
    pub(crate) uncommitted_bytes: u64,
    /// Memory of the process, where it can be told.
    pub(crate) resident_bytes: Option<u64>,
}

impl Default for Instruments {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("cluster");
        let frames = Family::<FrameLabels, Counter>::default();
        registry.register("frames", "Frames of workers' sockets", frames.clone());
        let frames = |direction| frames.get_or_create(&FrameLabels { direction }).clone();
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let byes = Family::default();
        registry.register(
            "socket_closes",
            "Workers' sockets that were closed",
            byes.clone(),
        );
        let refusals = Family::default();
        let help = "Assignments that workers refused, by attempts";
        registry.register("refusals", help, refusals.clone());
        // From half a millisecond to eight seconds: an SSD at rest, and a disk that cannot follow.
        let commits = Histogram::new(exponential_buckets(0.0005, 2.0, 15));
        let help = "Time from a change to its commit";
        registry.register_with_unit("commit", help, Unit::Seconds, commits.clone());
        Self {
            registry,
            frames_in: frames("in"),
            frames_out: frames("out"),
            requests,
            byes,
            refusals,
            commits,
        }
    }
}

impl Instruments {
    /// A frame came or went.
    pub(crate) fn frame(&self, direction: Direction) {
        match direction {
            Direction::In => self.frames_in.inc(),
            Direction::Out => self.frames_out.inc(),
        };
    }

    /// A request was answered. `route` is its template, if a route took it.
    pub(crate) fn request(&self, route: Option<&str>, status: u16) {
        let route = route.unwrap_or(NO_ROUTE).to_owned();
        let labels = RequestLabels { route, status };
        self.requests.get_or_create(&labels).inc();
    }

    /// A worker's socket was closed by us.
    pub(crate) fn bye(&self, reason: &ByeReason) {
        let reason = name_of(reason);
        self.byes.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A worker refused attempts.
    pub(crate) fn refusal(&self, reason: RefusalReason, attempts: u32) {
        let labels = ReasonLabels {
            reason: name_of(&reason),
        };
        let counter = self.refusals.get_or_create(&labels);
        counter.inc_by(attempts.max(1).into());
    }

    /// A change was stored.
    pub(crate) fn commit(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// Everything, as text.
    pub(crate) fn read(&self, measured: &Measured<'_>) -> String {
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &levels(measured)))
            .and_then(|()| encode_eof(&mut text));
        written.expect("a string takes whatever is written to it");
        text
    }
}

/// The word for a variant, in lower case with underscores, without what it holds.
fn name_of(variant: &impl Debug) -> String {
    let text = format!("{variant:?}");
    let word = text.split(|c: char| !c.is_ascii_alphanumeric()).next();
    let mut name = String::new();
    for (place, letter) in word.unwrap_or_default().char_indices() {
        if letter.is_ascii_uppercase() && place > 0 {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn levels(measured: &Measured<'_>) -> Registry {
    let mut registry = Registry::with_prefix("cluster");
    let Measured {
        cluster,
        uncommitted_bytes,
        resident_bytes,
    } = measured;
    let (workers, runtime) = (&cluster.workers, &cluster.runtime);
    let jobs = &runtime.counters;
    let by_state = [
        ("queued", jobs.queued),
        ("running", jobs.running),
        ("paused", jobs.paused_parents),
        ("done", jobs.done),
        ("failed", jobs.failed - jobs.cancelled_parents),
        ("cancelled", jobs.cancelled_parents),
    ];
    let family = Family::<StateLabels, Level>::default();
    for (state, count) in by_state {
        family.get_or_create(&StateLabels { state }).set(count);
    }
    let help = "Jobs; those that are paused count as queued or running, too";
    registry.register("jobs", help, family);
    let counter = |value| {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        counter
    };
    let totals = &workers.totals;
    registry.register(
        "shards_completed",
        "Shards stored",
        counter(totals.completed_shards),
    );
    registry.register(
        "shards_failed",
        "Attempts at shards that failed",
        counter(totals.failed_shards),
    );
    registry.register(
        "units",
        "Units of the shards stored",
        counter(totals.contributed_units),
    );
    let (slots, busy) = slots(cluster);
    level(
        &mut registry,
        "workers",
        "Workers connected",
        totals.workers_connected as u64,
    );
    level(
        &mut registry,
        "slots",
        "Slots of the workers connected",
        slots,
    );
    level(
        &mut registry,
        "slots_busy",
        "Of these, slots with an attempt",
        busy,
    );
    level(
        &mut registry,
        "queue_depth",
        "Shards that are with nobody",
        runtime.queue_depth,
    );
    let help = "Shards that are with a worker";
    level(
        &mut registry,
        "assignments",
        help,
        runtime.active_assignments,
    );
    let help = "Changes that are not stored yet";
    bytes(&mut registry, "uncommitted", help, *uncommitted_bytes);
    if let Some(resident) = resident_bytes {
        bytes(
            &mut registry,
            "resident_memory",
            "Memory of the process",
            *resident,
        );
    }
    registry
}

fn slots(cluster: &ClusterMetrics) -> (u64, u64) {
    let connected = cluster.workers.workers.iter().filter(|it| it.connected);
    connected.fold((0, 0), |(slots, busy), worker| {
        let own = u64::from(worker.max_slots);
        (slots + own, busy + own - u64::from(worker.available_slots))
    })
}

fn level(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, gauge(value));
}

fn bytes(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register_with_unit(name, help, Unit::Bytes, gauge(value));
}

fn gauge(value: u64) -> impl Metric {
    let gauge = Level::default();
    gauge.set(value);
    gauge
}

/// Resident memory of this process, where the system tells (`VmRSS` in `/proc/self/status`).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_have_names_without_what_they_hold() {
        let secret = ByeReason::Unauthorized("stale_token".into());
        assert_eq!(name_of(&secret), "unauthorized");
        assert_eq!(name_of(&RefusalReason::NotInTree), "not_in_tree");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_some_memory() {
        assert!(resident_bytes().unwrap() > 100_000);
    }
}
