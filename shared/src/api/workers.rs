//! Connected workers, and what is ordered of them.

use serde::{Deserialize, Serialize};

use super::JsNumber;
use crate::ids::WorkerId;
use crate::wire::DeviceFacts;

/// `GET /api/workers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerList {
    /// Number of workers.
    pub count: usize,
    /// Their slots together.
    pub total_slots: u64,
    /// One row each.
    pub workers: Vec<WorkerRow>,
}

impl From<Vec<WorkerRow>> for WorkerList {
    fn from(workers: Vec<WorkerRow>) -> Self {
        Self {
            count: workers.len(),
            total_slots: workers.iter().map(|row| u64::from(row.max_slots)).sum(),
            workers,
        }
    }
}

/// Whether a worker could take more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerActivity {
    /// A slot is free.
    Idle,
    /// None is.
    Busy,
}

/// A connected worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerRow {
    /// Its id.
    pub worker_id: WorkerId,
    /// Whether a slot is free.
    pub state: WorkerActivity,
    /// Milliseconds since it was heard of.
    pub last_seen_ms: u64,
    /// Attempts that it holds without result.
    pub in_flight_count: u32,
    /// Shards that it runs at the same time.
    pub max_slots: u16,
    /// Slots without an attempt.
    pub available_slots: u16,
    /// True: every worker takes batches.
    pub supports_assign_batch: bool,
    /// Larger means more work.
    pub dispatch_score: JsNumber,
    /// Logical processors, if known.
    pub hardware_concurrency: Option<u32>,
    /// GiB of memory, if known.
    #[serde(rename = "deviceMemoryGB")]
    pub device_memory_gb: Option<JsNumber>,
    /// `4g`, `3g`, …, if known.
    pub effective_type: Option<String>,
}

impl WorkerRow {
    /// The row of a worker with `slots`, which holds `in_flight` attempts without result.
    pub fn new(
        worker_id: WorkerId,
        last_seen_ms: u64,
        slots: u16,
        in_flight: u32,
        dispatch_score: f64,
        device: &DeviceFacts,
    ) -> Self {
        let available = u32::from(slots).saturating_sub(in_flight);
        let available_slots = u16::try_from(available).unwrap_or(u16::MAX);
        Self {
            worker_id,
            state: if available_slots > 0 {
                WorkerActivity::Idle
            } else {
                WorkerActivity::Busy
            },
            last_seen_ms,
            in_flight_count: in_flight,
            max_slots: slots,
            available_slots,
            supports_assign_batch: true,
            dispatch_score: JsNumber(dispatch_score),
            hardware_concurrency: device.hardware_concurrency,
            device_memory_gb: device.device_memory_gb.map(JsNumber),
            effective_type: device.effective_type.clone(),
        }
    }
}

/// What an operator has ordered of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It gets nothing more; its session ends with what it runs.
    Draining,
    /// Its session is over.
    Disconnected,
    /// The same, and neither it nor another of its profile is let in again.
    Banned,
    /// It is not banned, or not any more.
    Allowed,
}

/// `POST /api/workers/:id/drain`, `disconnect`, `ban` and `unban`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerOrdered {
    /// Always true.
    pub ok: bool,
    /// Which worker.
    pub worker_id: WorkerId,
    /// What is in force.
    pub state: WorkerState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_answered_as_documented() {
        let ordered = WorkerOrdered {
            ok: true,
            worker_id: "worker-ab12cd".parse().unwrap(),
            state: WorkerState::Disconnected,
        };
        assert_eq!(
            serde_json::to_string(&ordered).unwrap(),
            r#"{"ok":true,"workerId":"worker-ab12cd","state":"disconnected"}"#
        );
    }

    fn row(in_flight: u32) -> WorkerRow {
        let device = DeviceFacts {
            hardware_concurrency: Some(4),
            device_memory_gb: Some(8.0),
            effective_type: Some("4g".into()),
            ..DeviceFacts::default()
        };
        WorkerRow::new(
            "worker-ab12cd".parse().unwrap(),
            120,
            4,
            in_flight,
            1.8,
            &device,
        )
    }

    #[test]
    fn a_list_is_as_documented() {
        assert_eq!(
            serde_json::to_string(&WorkerList::from(vec![row(0)])).unwrap(),
            concat!(
                r#"{"count":1,"totalSlots":4,"workers":[{"workerId":"worker-ab12cd","#,
                r#""state":"idle","lastSeenMs":120,"inFlightCount":0,"maxSlots":4,"#,
                r#""availableSlots":4,"supportsAssignBatch":true,"dispatchScore":1.8,"#,
                r#""hardwareConcurrency":4,"deviceMemoryGB":8,"effectiveType":"4g"}]}"#
            )
        );
        assert_eq!(
            serde_json::to_string(&WorkerList::from(vec![])).unwrap(),
            r#"{"count":0,"totalSlots":0,"workers":[]}"#
        );
    }

    #[test]
    fn a_worker_is_busy_once_every_slot_has_an_attempt() {
        assert_eq!(
            (row(3).state, row(3).available_slots),
            (WorkerActivity::Idle, 1)
        );
        assert_eq!(
            (row(4).state, row(4).available_slots),
            (WorkerActivity::Busy, 0)
        );
        assert_eq!(row(400).available_slots, 0);
    }

    #[test]
    fn what_is_unknown_is_null() {
        let unknown = WorkerRow::new("w".parse().unwrap(), 0, 1, 0, 1.0, &DeviceFacts::default());
        let text = serde_json::to_string(&unknown).unwrap();
        assert!(text.ends_with(
            r#""hardwareConcurrency":null,"deviceMemoryGB":null,"effectiveType":null}"#
        ));
        assert_eq!(serde_json::from_str::<WorkerRow>(&text).unwrap(), unknown);
    }
}
