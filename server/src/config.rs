//! Configuration: read once into a typed, checked struct; nothing else touches the environment.
//!
//! Lives here: what settings mean, alone and together. Not here: the table itself
//! (`config/settings`), where texts come from (`config/sources`), and keys (`secrets`), which may
//! have to be made first.

pub mod settings;
mod sources;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use settings as s;
use shared::job::FanOut;
use shared::limits::{MAX_SLOTS, MIN_FRAME_BYTES};
use tracing_subscriber::filter::{LevelFilter, Targets};
use values::Reader;

pub use crate::limits::RateLimit;
pub use crate::proxy::ProxyTrust;
pub use sources::{Command, SourceError, env_example, parse_args};
pub use values::{Fault, Given, Mistyped};

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Secrets must be given (`NODE_ENV=production`, in any letter case).
    pub is_production: bool,
    /// Address or name to listen on (`HOST`).
    pub host: String,
    /// Port to listen on, 0 for a free one (`PORT`).
    pub port: u16,
    /// In front of every path (`BASE_PATH`): empty, or with a leading and without a trailing slash.
    pub base_path: String,
    /// Whose headers are believed (`TRUST_PROXY`).
    pub trust_proxy: ProxyTrust,
    /// Foreign origins that may open worker sockets, in lower case (`ALLOWED_ORIGINS`).
    pub allowed_origins: Vec<String>,
    /// `Strict-Transport-Security` (`HSTS`).
    pub hsts: Hsts,
    /// Database and generated secrets (`DATA_DIR`).
    pub data_dir: PathBuf,
    /// Pages are served from here instead (`ASSETS_DIR`).
    pub assets_dir: Option<PathBuf>,
    /// The secrets that were given.
    pub secrets: GivenSecrets,
    /// Lifetime of an invite, in seconds (`WORKER_INVITE_TTL_SEC`, 60..=86400).
    pub invite_ttl_sec: u64,
    /// Only the newest invite counts (`WORKER_INVITE_REQUIRE_LATEST`).
    pub invite_require_latest: bool,
    /// Words of an invite's phrase (`WORKER_INVITE_PHRASE_WORDS`, 3..=8).
    pub invite_phrase_words: usize,
    /// Characters of an invite's short code (`SHORT_INVITE_CODE_LENGTH`, 4..=16).
    pub invite_code_length: usize,
    /// Invites that are kept (`SHORT_INVITE_MAX_ACTIVE`, 100..=500000).
    pub invite_max_active: u64,
    /// Longest time between signing and start, in milliseconds (`SIGNED_JOB_TTL_SEC`, 10..=900 s).
    pub signed_job_ttl_ms: u64,
    /// Limits of jobs.
    pub jobs: JobSettings,
    /// Bytes of a request body, large enough for any code and args that are allowed.
    pub max_body_bytes: usize,
    /// Bytes of a worker's frame, large enough for any result that is allowed.
    pub max_frame_bytes: usize,
    /// Calls of one address (`API_RATE_LIMIT_*`).
    pub api_rate: RateLimit,
    /// Sockets of one address that have not yet said a valid hello (`WS_MAX_CONNECTIONS_PER_IP`).
    pub max_greeting_per_address: usize,
    /// Messages of one socket (`WS_MAX_MESSAGES_PER_WINDOW`, `WS_MESSAGE_WINDOW_MS`).
    pub message_rate: RateLimit,
    /// Events that are kept of a job.
    pub events: EventSettings,
    /// For how long ended jobs are kept (`RESULT_RETENTION_DAYS`); `None` for ever.
    pub retention: Option<Duration>,
    /// Time between pings (`WS_HEARTBEAT_INTERVAL_MS`).
    pub ping_interval: Duration,
    /// Time for the answer (`WS_HEARTBEAT_TIMEOUT_MS`).
    pub ping_timeout: Duration,
    /// Slots of one worker (`WORKER_MAX_CONCURRENT_JOBS`, 1..=256).
    pub max_slots: u16,
    /// Time for workers to bring back what they run (`RECLAIM_SEC`).
    pub reclaim_ms: u64,
    /// Time for open requests at a stop (`SHUTDOWN_GRACE_SEC`).
    pub shutdown_grace: Duration,
    /// Where the instruments are read, in lower case (`METRICS_PATH`).
    pub metrics_path: String,
    /// Who may read them (`METRICS_TOKEN`); this machine alone if empty.
    pub metrics_token: Option<MetricsToken>,
    /// Logging.
    pub log: LogSettings,
}

/// `JOB_EVENT_BUFFER_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSettings {
    /// How many, at least 100.
    pub max_count: usize,
    /// Their bytes, at least 1 MiB.
    pub max_bytes: usize,
}

/// `CUSTOM_JOB_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobSettings {
    /// Bytes of code, 1024..=1 MiB.
    pub max_code_bytes: usize,
    /// Bytes of args, 1024..=1 MiB.
    pub max_args_bytes: usize,
    /// Bytes of a result, at most 1 MiB; never too few for the smallest envelope.
    pub max_result_bytes: usize,
    /// Bytes of results that a `collect` job may keep (`JOB_MAX_COLLECT_BYTES`, 1 MiB..=1 TiB).
    pub max_collect_bytes: u64,
    /// What is advised on the number of shards (`SHARD_*`).
    pub fan_out: FanOut,
    /// Reported to clients, milliseconds.
    pub min_timeout_ms: u64,
    /// Reported to clients, milliseconds.
    pub max_timeout_ms: u64,
    /// Of a job that names none, milliseconds; 0 for no limit.
    pub default_timeout_ms: u64,
}

/// Secrets as far as they were given.
#[derive(Clone, Default)]
pub struct GivenSecrets {
    /// `CLIENT_API_KEY`.
    pub client_api_key: Option<String>,
    /// `WORKER_INVITE_SECRET`.
    pub worker_invite_secret: Option<String>,
    /// `JOB_SIGNING_PRIVATE_KEY_B64` and `JOB_SIGNING_PUBLIC_KEY_B64`.
    pub signing_key_pair_b64: Option<(String, String)>,
}

impl std::fmt::Debug for GivenSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GivenSecrets([redacted])")
    }
}

/// `METRICS_TOKEN`.
#[derive(Clone)]
pub struct MetricsToken(pub String);

impl std::fmt::Debug for MetricsToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsToken([redacted])")
    }
}

/// When `Strict-Transport-Security` is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hsts {
    /// On https.
    Auto,
    /// Never.
    Off,
    /// Always, with this value.
    Value(String),
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// A `tracing` filter.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub is_json: bool,
}

/// Why there is no configuration: every setting that is wrong, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Fault>);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Bytes that frame and result envelope need beside the result's value.
const FRAME_SLACK_BYTES: usize = 64 * 1024;
/// The budget of a run's envelope is nine tenths of a result, and 4,096 bytes at least.
const MIN_RESULT_BYTES: usize = (4096 * 10usize).div_ceil(9);
/// Bytes that a submission needs beside code and args.
const BODY_SLACK_BYTES: usize = 4 * 1024;
/// JSON writes one byte as six at most (`\u0000`).
const JSON_ESCAPE_FACTOR: usize = 6;
/// Shortest secret that is accepted, in bytes of its text.
pub(crate) const MIN_SECRET_BYTES: usize = 16;

/// The data folder alone (`DATA_DIR`), for commands to which nothing else matters.
pub fn data_dir(given: &Given) -> PathBuf {
    Reader::new(given).text(&s::DATA_DIR).into()
}

impl Config {
    /// Checks everything that was given and fills in the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn new(given: &Given) -> Result<Self, ConfigError> {
        let mut read = Reader::new(given);
        let is_production = read.text(&s::NODE_ENV).eq_ignore_ascii_case("production");
        let jobs = job_settings(&mut read);
        let body_limit: usize = read.int_as(&s::REQUEST_BODY_LIMIT);
        let payload: usize = read.int_as(&s::WS_MAX_PAYLOAD);
        let config = Self {
            is_production,
            host: read.text(&s::HOST),
            port: read.int_as(&s::PORT),
            base_path: read.parsed(&s::BASE_PATH, base_path).unwrap_or_default(),
            trust_proxy: read
                .parsed(&s::TRUST_PROXY, ProxyTrust::parse)
                .unwrap_or(ProxyTrust::Nobody),
            allowed_origins: read
                .parsed(&s::ALLOWED_ORIGINS, origin_list)
                .unwrap_or_default(),
            hsts: read.parsed(&s::HSTS, hsts).unwrap_or(Hsts::Off),
            data_dir: data_dir(given),
            assets_dir: read.optional(&s::ASSETS_DIR).map(PathBuf::from),
            secrets: given_secrets(&mut read, is_production),
            invite_ttl_sec: read.int(&s::WORKER_INVITE_TTL_SEC),
            invite_require_latest: read.flag(&s::WORKER_INVITE_REQUIRE_LATEST),
            invite_phrase_words: read.int_as(&s::WORKER_INVITE_PHRASE_WORDS),
            invite_code_length: read.int_as(&s::SHORT_INVITE_CODE_LENGTH),
            invite_max_active: read.int(&s::SHORT_INVITE_MAX_ACTIVE),
            signed_job_ttl_ms: read.int(&s::SIGNED_JOB_TTL_SEC) * 1000,
            max_body_bytes: body_limit.max(
                JSON_ESCAPE_FACTOR * (jobs.max_code_bytes + jobs.max_args_bytes) + BODY_SLACK_BYTES,
            ),
            max_frame_bytes: payload
                .max(jobs.max_result_bytes + FRAME_SLACK_BYTES)
                .max(MIN_FRAME_BYTES),
            jobs,
            api_rate: RateLimit {
                max: read.int(&s::API_RATE_LIMIT_MAX),
                window: Duration::from_millis(read.int(&s::API_RATE_LIMIT_WINDOW_MS)),
            },
            max_greeting_per_address: read.int_as(&s::WS_MAX_CONNECTIONS_PER_IP),
            message_rate: RateLimit {
                max: read.int(&s::WS_MAX_MESSAGES_PER_WINDOW),
                window: Duration::from_millis(read.int(&s::WS_MESSAGE_WINDOW_MS)),
            },
            events: EventSettings {
                max_count: read.int_as(&s::JOB_EVENT_BUFFER_SIZE),
                max_bytes: read.int_as(&s::JOB_EVENT_BUFFER_MAX_BYTES),
            },
            retention: retention(read.int(&s::RESULT_RETENTION_DAYS)),
            ping_interval: Duration::from_millis(read.int(&s::WS_HEARTBEAT_INTERVAL_MS)),
            ping_timeout: Duration::from_millis(read.int(&s::WS_HEARTBEAT_TIMEOUT_MS)),
            max_slots: most_slots(read.int(&s::WORKER_MAX_CONCURRENT_JOBS)),
            reclaim_ms: read.int(&s::RECLAIM_SEC) * 1000,
            shutdown_grace: Duration::from_secs(read.int(&s::SHUTDOWN_GRACE_SEC)),
            metrics_path: read
                .parsed(&s::METRICS_PATH, metrics_path)
                .unwrap_or_default(),
            metrics_token: read
                .presented_secret(&s::METRICS_TOKEN, MIN_SECRET_BYTES)
                .map(MetricsToken),
            log: LogSettings {
                filter: read.parsed(&s::LOG_LEVEL, log_filter).unwrap_or_default(),
                is_json: read.choice(&s::LOG_FORMAT) == "json",
            },
        };
        match read.into_faults() {
            faults if faults.is_empty() => Ok(config),
            faults => Err(ConfigError(faults)),
        }
    }
}

fn retention(days: u64) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(days * 24 * 3600))
}

/// What the protocol allows of what the operator would.
fn most_slots(asked: u64) -> u16 {
    u16::try_from(asked).map_or(MAX_SLOTS, |slots| slots.min(MAX_SLOTS))
}

fn job_settings(read: &mut Reader<'_>) -> JobSettings {
    let min_timeout_ms = read.int(&s::CUSTOM_JOB_MIN_TIMEOUT_MS);
    let max_timeout_ms = read.int(&s::CUSTOM_JOB_MAX_TIMEOUT_MS);
    if min_timeout_ms > max_timeout_ms {
        read.fault(
            &s::CUSTOM_JOB_MIN_TIMEOUT_MS,
            format!("at most CUSTOM_JOB_MAX_TIMEOUT_MS, which is {max_timeout_ms}"),
        );
    }
    let default_timeout_ms = match read.int(&s::CUSTOM_JOB_DEFAULT_TIMEOUT_MS) {
        0 => 0,
        ms => ms.max(min_timeout_ms).min(max_timeout_ms),
    };
    JobSettings {
        max_code_bytes: read.int_as(&s::CUSTOM_JOB_MAX_CODE_BYTES),
        max_args_bytes: read.int_as(&s::CUSTOM_JOB_MAX_ARGS_BYTES),
        max_result_bytes: read
            .int_as::<usize>(&s::CUSTOM_JOB_MAX_RESULT_BYTES)
            .max(MIN_RESULT_BYTES),
        max_collect_bytes: read.int(&s::JOB_MAX_COLLECT_BYTES),
        fan_out: FanOut {
            min_units: read.int(&s::SHARD_MIN_UNITS),
            max_per_worker: read.int(&s::SHARD_MAX_PER_WORKER),
            absolute_max: read.int(&s::SHARD_ABSOLUTE_MAX),
        },
        min_timeout_ms,
        max_timeout_ms,
        default_timeout_ms,
    }
}

fn given_secrets(read: &mut Reader<'_>, is_production: bool) -> GivenSecrets {
    let private = read.secret(&s::JOB_SIGNING_PRIVATE_KEY_B64, MIN_SECRET_BYTES);
    let public = read.optional(&s::JOB_SIGNING_PUBLIC_KEY_B64);
    if private.is_some() != public.is_some() {
        let (missing, present) = if public.is_none() {
            (
                &s::JOB_SIGNING_PUBLIC_KEY_B64,
                &s::JOB_SIGNING_PRIVATE_KEY_B64,
            )
        } else {
            (
                &s::JOB_SIGNING_PRIVATE_KEY_B64,
                &s::JOB_SIGNING_PUBLIC_KEY_B64,
            )
        };
        read.fault(missing, format!("set together with {}", present.name));
    }
    if is_production {
        require_all(read);
    }
    GivenSecrets {
        client_api_key: read.presented_secret(&s::CLIENT_API_KEY, MIN_SECRET_BYTES),
        worker_invite_secret: read.secret(&s::WORKER_INVITE_SECRET, MIN_SECRET_BYTES),
        signing_key_pair_b64: private.zip(public),
    }
}

fn require_all(read: &mut Reader<'_>) {
    let advice = "set when NODE_ENV is production (`cluster-server gen-secrets` makes one)";
    let mut require = |settings: &[s::Setting]| {
        if settings
            .iter()
            .all(|setting| read.optional(setting).is_none())
        {
            for setting in settings {
                read.fault(setting, advice.into());
            }
        }
    };
    require(&[s::CLIENT_API_KEY]);
    require(&[s::WORKER_INVITE_SECRET]);
    require(&[
        s::JOB_SIGNING_PRIVATE_KEY_B64,
        s::JOB_SIGNING_PUBLIC_KEY_B64,
    ]);
}

/// Paths that are at the root whatever is in front of all others.
const AT_THE_ROOT: [&str; 5] = [
    "/health",
    "/healthz",
    "/readyz",
    "/client.html",
    "/worker.html",
];

fn base_path(text: &str) -> Option<String> {
    let is_free = |path: &str| {
        !AT_THE_ROOT
            .iter()
            .any(|taken| taken.eq_ignore_ascii_case(path))
    };
    normal_path(text).filter(|path| is_free(path))
}

fn normal_path(text: &str) -> Option<String> {
    let path = text.trim_matches('/');
    if path.is_empty() {
        return text.chars().all(|c| c == '/').then(String::new);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-');
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment.chars().all(allowed) && !matches!(segment, "." | "..")
    };
    path.split('/').all(is_segment).then(|| format!("/{path}"))
}

/// First parts of paths below which there is something else.
const TAKEN: [&str; 13] = [
    "api",
    "assets",
    "client",
    "health",
    "healthz",
    "j",
    "p",
    "parallel-guide",
    "raytrace-viewer",
    "readyz",
    "sandbox",
    "worker",
    "ws",
];

fn metrics_path(text: &str) -> Option<String> {
    let path = normal_path(text)?.to_ascii_lowercase();
    let first = path.split('/').nth(1)?;
    let is_free = !TAKEN.contains(&first) && path != "/metrics";
    (is_free && !path.ends_with(".html")).then_some(path)
}

fn origin_list(text: &str) -> Option<Vec<String>> {
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let origin = part.trim_end_matches('/').to_ascii_lowercase();
            let (scheme, authority) = origin.split_once("://")?;
            let is_origin = matches!(scheme, "http" | "https")
                && !authority.is_empty()
                && !authority.contains(['/', '?', '#', '@']);
            is_origin.then_some(origin)
        })
        .collect()
}

fn hsts(text: &str) -> Option<Hsts> {
    match text {
        "auto" => Some(Hsts::Auto),
        "off" => Some(Hsts::Off),
        value => axum::http::HeaderValue::from_str(value)
            .ok()
            .map(|_| Hsts::Value(value.into())),
    }
}

/// Levels and `target=level`s. A word that is no level would be a target of which everything is
/// logged, and all else nothing: that is a level mistyped.
fn log_filter(text: &str) -> Option<String> {
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let is_meant = |part: &str| part.contains('=') || is_level(part.trim());
    let is_filter = text.split(',').all(is_meant) && text.parse::<Targets>().is_ok();
    is_filter.then(|| text.into())
}

#[cfg(test)]
mod tests;
