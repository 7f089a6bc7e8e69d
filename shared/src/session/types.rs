//! What goes into a session and what comes out.

use crate::envelope::TimeError;
use crate::ids::{AttemptId, Digest32, JobId, WorkerId, WorkerSecret};
use crate::time::Millis;
use crate::wire::{
    ByeReason, Credential, DeviceFacts, RefusalReason, SelfTest, ShardResult, WireError,
};

/// Where a session takes random bytes from. Must be unpredictable outside tests.
pub trait Entropy {
    /// Sixteen random bytes.
    fn bytes16(&mut self) -> [u8; 16];
}

impl<F: FnMut() -> [u8; 16]> Entropy for F {
    fn bytes16(&mut self) -> [u8; 16] {
        self()
    }
}

/// Who joins, and with what.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The name to go by; the server may give another.
    pub worker: WorkerId,
    /// Proves that the name is its own.
    pub secret: WorkerSecret,
    /// What to join with first.
    pub credential: Credential,
    /// What to fall back to when a session token does not hold.
    pub invite: Option<String>,
    /// Shards at the same time, at least 1.
    pub slots: u16,
    /// What is known of the device.
    pub device: DeviceFacts,
    /// What its sandbox proved.
    pub self_test: SelfTest,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The socket of [`Action::Connect`] is open.
    Opened,
    /// It is closed, or could not be opened.
    Closed,
    /// A binary message came.
    Frame(Vec<u8>),
    /// Results of attempts that were running.
    Finished(Vec<(AttemptId, ShardResult)>),
    /// Attempts that were running but lost their executor through no fault of their own.
    Interrupted(Vec<AttemptId>),
    /// The answer to [`Action::Fetch`]; `None` where it could not be had.
    Fetched {
        /// Which content.
        hash: Digest32,
        /// The content.
        text: Option<String>,
    },
    /// The sandbox answered a ping: what is running there counts as running.
    SandboxAlive,
    /// The number of slots has changed. The server learns of it at the next hello.
    Slots(u16),
    /// Start nothing more; what has not started goes back, and so does what comes until it goes on.
    /// What runs may finish.
    Pause,
    /// Go on.
    Resume,
    /// Give back what is running.
    StopRunning,
    /// Run nothing of this job any more, in this session; what runs of it is stopped.
    RefuseJob(JobId),
    /// Give everything back and stay away.
    Leave,
    /// A deadline has come.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Open a socket; answered by `Opened`, or `Closed` where it fails.
    Connect,
    /// Close the socket; answered by `Closed`.
    Disconnect,
    /// Send a binary message.
    Send(Vec<u8>),
    /// Get the content with this hash, with the session token; answered by `Fetched`.
    Fetch(Digest32),
    /// Stop these attempts. Nothing is to be reported of them.
    Stop(Vec<AttemptId>),
    /// Show it.
    Notice(Notice),
}

/// What people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The server let us in.
    Joined,
    /// The server gave another token for this session.
    Renewed,
    /// An envelope was refused, or a content that is not what was signed.
    Refused {
        /// Which check failed.
        reason: RefusalReason,
        /// In words.
        detail: String,
    },
    /// The server's time could not be used.
    TimeVoid(TimeError),
    /// The server said something that is not of this protocol.
    BadFrame(WireError),
    /// The server closed the connection.
    Dismissed(ByeReason),
}

/// Why a session does not connect any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The volunteer left.
    Left,
    /// The server said not to come back.
    Dismissed(ByeReason),
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    /// A socket is being opened, or the server has not answered yet.
    Connecting,
    /// Let in.
    Joined,
    /// Connects again at this time.
    Waiting {
        /// By the monotonic clock.
        until: Millis,
    },
    /// Does not connect any more.
    Stopped(StopReason),
}

/// What to show of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The connection.
    pub link: LinkStatus,
    /// The name that the server knows.
    pub worker: WorkerId,
    /// Whether the server's time is known; nothing starts until then.
    pub is_time_known: bool,
    /// Whether the volunteer paused.
    pub is_paused: bool,
    /// Attempts that wait.
    pub queued: usize,
    /// Attempts that run.
    pub running: usize,
    /// Results that the server has not disposed of.
    pub undisposed: usize,
    /// Results that it has.
    pub disposed: u64,
    /// Envelopes that were refused.
    pub refused: u64,
}
