//! Worker -> server.

use serde::{Deserialize, Serialize};

use super::{AttemptRange, Held, ProtocolVersion};
use crate::ids::{Nonce, WorkerId, WorkerSecret};
use crate::wire::SignedLeaf;

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToServer {
    /// First frame, and only the first. The server answers `Welcome`, then `Time`; or `Bye`.
    Hello(Box<Hello>),
    /// Asks for the time. The server answers `Time` with this challenge in the leaf.
    Sync {
        /// Random, once for each question.
        challenge: Nonce,
    },
    /// The leaves of attempts that `Welcome` called unknown, contents left out. The server checks
    /// its own signature, worker and session, and takes the attempts back.
    Tickets(Vec<SignedLeaf>),
    /// Results. Each is kept by the worker until the server disposes of it.
    Results(Vec<ResultBatch>),
    /// How many attempts the worker is willing to hold at once, queued and running together. It
    /// stands until the next one; 0 means give nothing.
    Credit {
        /// Attempts held at most.
        limit: u32,
    },
    /// Renews the leases of what is listed. Every 15 s, and when attempts start running that take
    /// long.
    Beat {
        /// All attempts held; running ones only if their executor's frame is alive.
        held: Vec<Held>,
    },
    /// Attempts that will not be run, or a frame that was refused.
    Refused(Vec<Refused>),
    /// The volunteer leaves: everything held goes back, without blame.
    Leave,
}

/// First frame of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol that the worker speaks.
    pub version: ProtocolVersion,
    /// What lets it in.
    pub credential: Credential,
    /// The name of the device.
    pub worker: WorkerId,
    /// Proves that the name is its own.
    pub secret: WorkerSecret,
    /// Shards that it can run at the same time, 1 to [`crate::limits::MAX_SLOTS`].
    pub slots: u16,
    /// First credit, as in [`ToServer::Credit`].
    pub credit: u32,
    /// What is known of the device.
    pub device: DeviceFacts,
    /// What its sandbox proved before it joined.
    pub self_test: SelfTest,
    /// For the `Time` that follows the welcome.
    pub challenge: Nonce,
    /// Everything held from before the connection was lost.
    pub held: Vec<Held>,
}

/// What lets a worker in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// An invite token: a new session.
    Invite(String),
    /// The session token of an earlier welcome.
    Session {
        /// The token.
        token: String,
        /// The same runtime goes on with the same session. Otherwise (page reload) the same worker
        /// begins a new session, and what the old one held goes back at once.
        resume: bool,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Invite(_) => "Invite([redacted])",
            Self::Session { .. } => "Session([redacted])",
        })
    }
}

/// What a browser tells of its device; all of it may be missing or untrue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// Logical processors.
    pub hardware_concurrency: Option<u32>,
    /// GiB, as browsers round it.
    pub device_memory_gb: Option<f64>,
    /// `4g`, `3g`, …
    pub effective_type: Option<String>,
    /// Mbit/s.
    pub downlink_mbps: Option<f64>,
    /// Milliseconds.
    pub rtt_ms: Option<f64>,
    /// The user asked for less data.
    pub save_data: Option<bool>,
    /// The browser's word for the system.
    pub platform: Option<String>,
    /// `visible` or `hidden`.
    pub visibility: Option<String>,
    /// 0 to 1.
    pub battery_level: Option<f64>,
    /// On mains.
    pub charging: Option<bool>,
    /// A phone or tablet.
    pub mobile: bool,
    /// Whether `crypto.subtle` and the like exist there.
    pub secure_context: bool,
}

/// What the sandbox proved on this very device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelfTest {
    /// Every probe was blocked.
    Passed {
        /// Number of probes.
        probes: u16,
    },
    /// A native worker of a benchmark or test, without a sandbox. Runs nothing but its own code.
    Native,
}

/// Results of attempts of one leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultBatch {
    /// The leaf's nonce.
    pub nonce: Nonce,
    /// One row an attempt.
    pub rows: Vec<ResultRow>,
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// Position of the attempt in its leaf.
    pub index: u32,
    /// What came out.
    pub result: ShardResult,
}

/// Bytes of a result beside its texts.
const ROW_BYTES: u64 = 64;
/// Bytes of a line of text beside its own.
const LINE_BYTES: usize = size_of::<String>();

/// What came out of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardResult {
    /// How it ended.
    pub status: ResultStatus,
    /// Run time on the device in microseconds.
    pub duration_us: u64,
    /// The return value as JSON text, verbatim; `None` for undefined and for failures.
    pub value: Option<String>,
    /// Whatever most results do not have.
    pub details: Option<Box<ResultDetails>>,
}

impl ShardResult {
    /// The result of a run that gave no value, and why.
    pub fn failed(status: ResultStatus, duration_us: u64, message: String) -> Self {
        Self {
            status,
            duration_us,
            value: None,
            details: Some(Box::new(ResultDetails {
                error: Some(ErrorText {
                    message,
                    stack: None,
                }),
                ..ResultDetails::default()
            })),
        }
    }

    /// The script returned: the envelope says `ok`.
    pub fn has_returned(&self) -> bool {
        self.status == ResultStatus::Returned
    }

    /// What was thrown or went wrong, in words, where the executor could tell.
    pub fn error_message(&self) -> Option<&str> {
        let error = self.details.as_ref()?.error.as_ref()?;
        Some(&error.message)
    }

    /// Bytes that the result takes, in memory or as a row: its texts, and a little for the rest.
    pub fn row_bytes(&self) -> u64 {
        let details = self
            .details
            .as_ref()
            .map_or(0, |details| details.text_bytes());
        let texts = self.value.as_ref().map_or(0, String::len) + details;
        ROW_BYTES + texts as u64
    }

    /// Run time as the run envelope shows it: whole milliseconds, rounded.
    pub const fn duration_ms(&self) -> u64 {
        self.duration_us.saturating_add(500) / 1000
    }
}

/// How a run ended. The exit codes are those of the run envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultStatus {
    /// Returned (exit code 0).
    Returned,
    /// Threw (exit code 1).
    Threw,
    /// Took longer than its time limit (exit code 124).
    TimedOut,
    /// The executor broke, or the result would not fit (exit code 70).
    ExecutorFailed,
}

impl ResultStatus {
    /// The exit code of the run envelope.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Returned => 0,
            Self::Threw => 1,
            Self::TimedOut => 124,
            Self::ExecutorFailed => 70,
        }
    }
}

/// Rare parts of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultDetails {
    /// Set where it does not follow from `value`: `undefined`, `bigint`, `function`, …
    pub return_type: Option<String>,
    /// What was thrown or went wrong.
    pub error: Option<ErrorText>,
    /// Sentences about truncation.
    pub notes: Vec<String>,
    /// Console lines, `[level] text`.
    pub logs: Vec<String>,
    /// Console lines that were dropped.
    pub dropped_logs: u32,
}

impl ResultDetails {
    fn text_bytes(&self) -> usize {
        let error = self.error.iter().flat_map(|error| {
            [Some(&error.message), error.stack.as_ref()]
                .into_iter()
                .flatten()
        });
        let lines = self.notes.iter().chain(&self.logs);
        let texts = lines.chain(&self.return_type).chain(error);
        texts.map(|text| text.len() + LINE_BYTES).sum()
    }
}

/// An error as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorText {
    /// What went wrong.
    pub message: String,
    /// Where, if the engine tells.
    pub stack: Option<String>,
}

/// Attempts that a worker will not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which; `None` where a frame was refused of which not even the nonce could be read. The
    /// server acts on it only if it gave these attempts to this very worker.
    pub range: Option<AttemptRange>,
    /// Why.
    pub reason: RefusalReason,
}

/// Why attempts are not run. The first group are refusals of an envelope, the second hands
/// attempts back without blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RefusalReason {
    /// Not an envelope at all.
    Malformed,
    /// Signed under another algorithm than RS256.
    WrongAlgorithm,
    /// A token of another purpose.
    WrongType,
    /// Signed by a key that the worker does not know.
    UnknownKey,
    /// The signature does not fit.
    BadSignature,
    /// The leaf is not in the signed tree.
    NotInTree,
    /// A protocol version that the worker does not speak.
    WrongVersion,
    /// Meant for another worker.
    ForeignWorker,
    /// Meant for another session.
    ForeignSession,
    /// Seen before.
    Replayed,
    /// Its nonce cannot be remembered.
    NonceCacheFull,
    /// Signed in the future.
    FromTheFuture,
    /// Valid longer than allowed.
    LifetimeTooLong,
    /// Too old on receipt.
    Expired,
    /// Code or args are not those that were signed.
    WrongContent,
    /// Code or args could not be had.
    ContentUnavailable,
    /// Became too old while it was queued.
    ExpiredInQueue,
    /// The volunteer stopped it.
    Stopped,
    /// The time was not known yet.
    TimeUnknown,
    /// Its executor was stopped because of another shard in it.
    Interrupted,
    /// This device refuses the job. It should not be sent there again.
    JobRefused,
}
