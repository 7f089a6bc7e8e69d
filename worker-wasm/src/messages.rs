//! What page and runtime say to one another inside a tab.
//!
//! Values cross as bytes in the codec of the socket, whose code is here anyway; one for JavaScript
//! values would add a fifth to what a volunteer has to load. A port, where one belongs to a message,
//! is transferred beside it.

use serde::{Deserialize, Serialize};
use shared::ids::{JobId, WorkerId, WorkerSecret};
use shared::wire::{ByeReason, Credential, DeviceFacts, RefusalReason};

use crate::rules::PauseCause;

/// Page -> runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToRuntime {
    /// A sandbox frame has loaded; its control port comes along.
    Frame,
    /// The volunteer agreed: join.
    Join(Box<JoinOrder>),
    /// What is known of the device has changed.
    Device(DeviceFacts),
    /// Give everything back and stop.
    Leave,
    /// What the volunteer allows, as [`crate::settings::Settings::line`].
    Settings(String),
    /// What all tabs of this device have carried on a day.
    Traffic {
        /// Number of the day, counted from 1970, local time.
        day: u32,
        /// Bytes.
        bytes: u64,
    },
    /// Start nothing more.
    Pause {
        /// Milliseconds since 1970; `None` for until it is resumed.
        until: Option<u64>,
    },
    /// Go on; whatever pauses it is passed over until it has ended.
    Resume,
    /// In a pause: hand back what runs.
    StopRunning,
    /// Start nothing more, and leave once the server has every result.
    Finish,
    /// Tell what runs of this job.
    ShowJob(JobId),
    /// Run nothing of this job.
    RefuseJob(JobId),
}

/// Whom to join, as whom, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JoinOrder {
    /// The name to go by.
    pub(crate) worker: WorkerId,
    /// Proves that the name is its own.
    pub(crate) secret: WorkerSecret,
    /// What to join with.
    pub(crate) credential: Credential,
    /// What to fall back to.
    pub(crate) invite: Option<String>,
    /// The signing key: SPKI DER in standard base64.
    pub(crate) signing_key: String,
    /// Where the socket is.
    pub(crate) socket_url: String,
    /// Where contents are, by hash; ends with a slash.
    pub(crate) contents_url: String,
    /// What is known of the device.
    pub(crate) device: DeviceFacts,
}

/// Runtime -> page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromRuntime {
    /// It runs and takes messages.
    Booted,
    /// The sandbox was tried out.
    SelfTested(SelfTestOutcome),
    /// The frame is to be replaced by a new one.
    NeedFrame,
    /// The server let us in; to be remembered.
    Joined {
        /// The name that holds.
        worker: WorkerId,
        /// Opens the session again.
        token: String,
    },
    /// An assignment was refused.
    Refused {
        /// Which check failed.
        reason: RefusalReason,
        /// In words.
        detail: String,
    },
    /// How things stand.
    Status(RuntimeStatus),
    /// What runs of a job, as it was verified.
    Source {
        /// The job.
        job: JobId,
        /// Code, and args as JSON; `None` where nothing of it runs any more.
        texts: Option<(String, String)>,
    },
}

/// What the sandbox proved on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SelfTestOutcome {
    /// Everything was blocked.
    Passed {
        /// Number of probes.
        probes: u16,
    },
    /// These things were not, or gave no answer.
    Failed(Vec<String>),
}

/// What the page shows while it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RuntimeStatus {
    pub(crate) link: LinkView,
    /// Whether the server's time is known; nothing starts until then.
    pub(crate) is_time_known: bool,
    /// Shards at the same time.
    pub(crate) slots: u16,
    /// Shards that run.
    pub(crate) running: u32,
    /// Shards that wait.
    pub(crate) queued: u32,
    /// Results that the server has not confirmed.
    pub(crate) unconfirmed: u32,
    /// Results that it has.
    pub(crate) done: u64,
    /// Run time of all results, in milliseconds.
    pub(crate) run_ms: u64,
    /// Units of all shards that returned.
    pub(crate) units: u64,
    /// Since it was told to join, in seconds.
    pub(crate) uptime_s: u32,
    /// Why nothing starts.
    pub(crate) pause: Option<PauseView>,
    /// It leaves as soon as nothing can be lost.
    pub(crate) is_finishing: bool,
    /// Fewer slots are used, for the device is busy with something else.
    pub(crate) is_slowed: bool,
    /// Number of the day, counted from 1970, local time.
    pub(crate) day: u32,
    /// Bytes that were carried on that day.
    pub(crate) day_bytes: u64,
    /// What is at work.
    pub(crate) jobs: Vec<JobView>,
}

/// A pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PauseView {
    pub(crate) cause: PauseCause,
    /// Seconds until it ends by itself, where that is known.
    pub(crate) ends_in_s: Option<u32>,
}

/// A job at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobView {
    pub(crate) job: JobId,
    /// The shards that run at this moment.
    pub(crate) shards: Vec<u64>,
}

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LinkView {
    /// A connection is being made.
    Connecting,
    /// Connected.
    Joined,
    /// It is tried again.
    Waiting {
        /// After this time, in milliseconds.
        retry_in_ms: u32,
        /// Why the server closed the connection; `None` where it was lost.
        reason: Option<ByeReason>,
    },
    /// The volunteer left.
    Left,
    /// The server does not want us back.
    Dismissed(ByeReason),
}

/// Messages as JavaScript values.
#[cfg(target_family = "wasm")]
pub(crate) mod crossing {
    use js_sys::Uint8Array;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use shared::wire;
    use wasm_bindgen::{JsCast, JsValue};

    /// What to post.
    pub(crate) fn to_value<T: Serialize>(message: &T) -> JsValue {
        Uint8Array::from(wire::encode(message).as_slice()).into()
    }

    /// What was posted; `None` where it is no such message.
    pub(crate) fn from_value<T: DeserializeOwned>(value: JsValue) -> Option<T> {
        let bytes = value.dyn_into::<Uint8Array>().ok()?.to_vec();
        wire::decode(&bytes, bytes.len()).ok()
    }
}
