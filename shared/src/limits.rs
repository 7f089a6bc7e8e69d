//! Every protocol size, count and duration as a named constant: unit, reason.
//!
//! What an operator can set is not here but in the server's configuration.

/// Largest integer that JSON numbers of a browser carry exactly: 2^53 - 1.
pub const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// Largest magnitude of an `add` operand.
pub const MAX_ADD_OPERAND: i64 = 1_000_000_000;

/// Attempts in one assignment frame at most, so that a frame stays near 8 KiB.
pub const MAX_ATTEMPTS_PER_LEAF: usize = 1024;

/// Different jobs in one assignment at most.
pub const MAX_JOBS_PER_LEAF: usize = 16;

/// Bytes of an encoded leaf at most: 1,024 pairs of two ten-byte varints, 16 job headers, slack.
pub const MAX_LEAF_BYTES: usize = 32 * 1024;

/// Leaves under one signature at most; bounds the path to 12 hashes.
pub const MAX_LEAVES_PER_TREE: usize = 4096;

/// Bytes of a root signature (JWS text) at most: RSA 8192 leaves 1,366 characters of signature.
pub const MAX_JWS_BYTES: usize = 4096;

/// Smallest RSA modulus that is accepted, in bits.
pub const MIN_RSA_BITS: usize = 2048;

/// Largest RSA modulus that is accepted, in bits: verification must stay cheap on a phone.
pub const MAX_RSA_BITS: usize = 8192;

/// Longest time between signing and start, in milliseconds (largest `SIGNED_JOB_TTL_SEC`).
pub const MAX_SIGNED_TTL_MS: u64 = 900_000;

/// How far a signature may lie in the future, in milliseconds: what clocks are granted.
pub const MAX_FUTURE_SKEW_MS: u64 = 30_000;

/// Nonces that a worker remembers; full means refuse. At two frames a second and the longest
/// lifetime 1,800 are live; the rest is for bursts.
pub const NONCE_CACHE_CAPACITY: usize = 65_536;

/// A time answer that took longer than this is void, in milliseconds.
pub const MAX_TIME_ROUND_TRIP_MS: u64 = 10_000;

/// A worker asks for the time anew this often, in milliseconds.
pub const TIME_RESYNC_MS: u64 = 600_000;

/// Wall and monotonic clock may drift apart this far before the time is asked for anew.
pub const MAX_CLOCK_DRIFT_MS: u64 = 5_000;

/// Contents (code, args) up to this size ride in the assignment, in bytes.
pub const INLINE_CONTENT_BYTES: usize = 4096;

/// Results that a worker holds before it takes no more credit, until they are disposed of.
pub const MAX_UNDISPOSED_RESULTS: usize = 4096;

/// Bytes of results that a worker holds before it takes no more credit.
pub const MAX_UNDISPOSED_BYTES: usize = 8 * 1024 * 1024;

/// How often a worker renews its leases, in milliseconds.
pub const BEAT_INTERVAL_MS: u64 = 15_000;

/// How long a lease lasts without a beat, in milliseconds.
pub const LEASE_MS: u64 = 90_000;

/// How long a worker that lost its socket keeps its attempts, in milliseconds.
pub const RESUME_GRACE_MS: u64 = 30_000;

/// Lifetime of a session token, in seconds.
pub const SESSION_TOKEN_TTL_SEC: u64 = 24 * 3600;

/// How long an assignment should keep a worker busy, in milliseconds.
pub const BATCH_TARGET_MS: u64 = 300;

/// Shards longer than this are never queued behind a running one, in milliseconds.
pub const MAX_QUEUED_SHARD_MS: u64 = 30_000;

/// Attempts that a shard gets before its job fails, or its last `ok: false` result is folded.
pub const MAX_SHARD_ATTEMPTS: usize = 3;

/// Slots that one worker may have at most, whatever it says.
pub const MAX_SLOTS: u16 = 256;

/// Refusals or ranges in one message at most.
pub const MAX_RANGES_PER_MESSAGE: usize = 8192;

/// Attempts that one message may list, or bring results of: twice what a worker holds at most, so
/// that walking a message is cheap whatever its ranges say.
pub const MAX_ATTEMPTS_PER_MESSAGE: usize = 16_384;

/// No receiver takes less than this in one frame, in bytes: room for all that a worker can say but
/// for results, such as [`MAX_TICKETS_PER_FRAME`] of the longest tickets.
pub const MIN_FRAME_BYTES: usize = 640 * 1024;

/// Tickets in one frame at most.
pub const MAX_TICKETS_PER_FRAME: usize = 16;

/// Uncommitted deltas beyond which no credit is granted, in bytes.
pub const MAX_UNCOMMITTED_BYTES: usize = 64 * 1024 * 1024;

/// Age of the oldest uncommitted delta beyond which no credit is granted, in milliseconds.
pub const MAX_UNCOMMITTED_MS: u64 = 2_000;

/// Keys of a reducer's state at most; more end the job with `reducer_error`.
pub const MAX_REDUCER_KEYS: usize = 4096;

/// Bytes of a reducer's encoded state at most; more end the job with `reducer_error`.
pub const MAX_REDUCER_STATE_BYTES: usize = 256 * 1024;

/// Nesting of a result's JSON at most.
pub const MAX_RESULT_DEPTH: usize = 128;

/// Console lines that a result keeps (the last ones).
pub const MAX_LOG_LINES: usize = 160;

/// Characters of one console line.
pub const MAX_LOG_LINE_CHARS: usize = 280;

/// Characters of `output.text`.
pub const MAX_OUTPUT_CHARS: usize = 28 * 1024;

/// Characters of an error's message that are kept.
pub const MAX_ERROR_CHARS: usize = 4096;

/// First reconnect delay and its ceiling, in milliseconds; each is drawn with full jitter.
pub const RECONNECT_MS: (u64, u64) = (500, 10_000);
