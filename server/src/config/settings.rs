//! The table of settings: name, default, accepted values, help.
//!
//! Arguments, environment, `--help` and `.env.example` all come from here. Not here: what the
//! values mean together (`config`).

use shared::limits::MAX_SAFE_INTEGER;

/// A setting. As an argument it is spelled `--lower-case`, in the environment as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// Value that holds when none is given, as it would be written; empty for none.
    pub default: &'static str,
    /// What is accepted.
    pub kind: Kind,
    /// What it does, in one line.
    pub help: &'static str,
}

/// What values a setting accepts.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// An integer between both, inclusive.
    Int(u64, u64),
    /// Bytes between both, inclusive: digits, or digits with `b`, `kb`, `mb`, `gb`.
    Size(u64, u64),
    /// `1`, `true`, `yes`, `on`, `0`, `false`, `no`, `off`.
    Flag,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Any text, described.
    Text(&'static str),
    /// A text that is never shown, described.
    Secret(&'static str),
}

impl Setting {
    /// The argument's name, without the two dashes.
    pub fn argument(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    /// What is accepted, in words that follow "must be".
    pub fn expected(&self) -> String {
        match self.kind {
            Kind::Int(min, max) => format!("an integer from {min} to {max}"),
            Kind::Size(min, max) => {
                format!("a number of bytes from {min} to {max}, or with the unit b, kb, mb or gb")
            }
            Kind::Flag => "1, true, yes, on, 0, false, no or off".into(),
            Kind::Choice(values) => values.join(" or "),
            Kind::Text(what) | Kind::Secret(what) => what.into(),
        }
    }

    /// Whether its value must not be shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_))
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:literal, $kind:expr;)+) => {
        $($(#[doc = $doc])+
        pub const $name: Setting = Setting {
            name: stringify!($name),
            default: $default,
            kind: $kind,
            help: concat!($($doc),+).trim_ascii(),
        };)+

        /// All of them, in the order in which they are shown.
        pub const ALL: &[Setting] = &[$($name),+];
    };
}

const MIB: u64 = 1024 * 1024;
const DAY_MS: u64 = 24 * 3600 * 1000;

settings! {
    /// `production` makes the four secrets mandatory; otherwise missing ones are made and kept in DATA_DIR.
    NODE_ENV = "development", Kind::Text("a name");
    /// Address to listen on.
    HOST = "0.0.0.0", Kind::Text("an address or a host name");
    /// Port to listen on; 0 takes a free one.
    PORT = "8080", Kind::Int(0, 65_535);
    /// Put in front of every path, such as /cluster.
    BASE_PATH = "", Kind::Text("a path of letters, digits and . _ ~ - between single slashes, other than /health, /healthz, /readyz, /client.html and /worker.html");
    /// Whose X-Forwarded-For, -Proto and -Host are believed: 1 those of the one proxy through which all requests come, a list those of the proxies in these networks.
    TRUST_PROXY = "0", Kind::Text("0, 1, or a list of addresses and networks such as 10.0.0.0/8");
    /// Origins beside our own whose pages may open the worker socket, separated by commas.
    ALLOWED_ORIGINS = "", Kind::Text("a list of origins such as https://pages.example");
    /// Strict-Transport-Security: auto sends it on https, off never, anything else is its value.
    HSTS = "auto", Kind::Text("auto, off, or the value of the header");
    /// Folder of the database and of secrets that were made here.
    DATA_DIR = "./data", Kind::Text("a path");
    /// Serves the pages from this folder instead of those built in.
    ASSETS_DIR = "", Kind::Text("a path");

    /// Key of the clients.
    CLIENT_API_KEY = "", Kind::Secret("a key of at least 16 bytes of printable ASCII");
    /// HMAC secret of invites.
    WORKER_INVITE_SECRET = "", Kind::Secret("a text of at least 16 bytes");
    /// RSA key that signs assignments: PKCS#8 DER in base64.
    JOB_SIGNING_PRIVATE_KEY_B64 = "", Kind::Secret("an RSA key of 2048 to 8192 bits as PKCS#8 DER in base64");
    /// Its public half: SPKI DER in base64.
    JOB_SIGNING_PUBLIC_KEY_B64 = "", Kind::Text("the public half of JOB_SIGNING_PRIVATE_KEY_B64 as SPKI DER in base64");

    /// Lifetime of an invite that does not say its own, in seconds.
    WORKER_INVITE_TTL_SEC = "3600", Kind::Int(60, 86_400);
    /// Only the newest invite lets workers in.
    WORKER_INVITE_REQUIRE_LATEST = "true", Kind::Flag;
    /// Words of an invite's phrase.
    WORKER_INVITE_PHRASE_WORDS = "8", Kind::Int(3, 8);
    /// Characters of an invite's short code.
    SHORT_INVITE_CODE_LENGTH = "7", Kind::Int(4, 16);
    /// Invites whose codes and phrases are kept; the oldest go first.
    SHORT_INVITE_MAX_ACTIVE = "50000", Kind::Int(100, 500_000);
    /// Longest time between signing an assignment and starting it, in seconds.
    SIGNED_JOB_TTL_SEC = "120", Kind::Int(10, 900);

    /// Bytes of a job's code.
    CUSTOM_JOB_MAX_CODE_BYTES = "32768", Kind::Int(1024, MIB);
    /// Bytes of a job's args as JSON.
    CUSTOM_JOB_MAX_ARGS_BYTES = "32768", Kind::Int(1024, MIB);
    /// Bytes of one result.
    CUSTOM_JOB_MAX_RESULT_BYTES = "1048576", Kind::Int(1024, MIB);
    /// Shortest timeout that is recommended, in milliseconds; reported to clients only.
    CUSTOM_JOB_MIN_TIMEOUT_MS = "0", Kind::Int(0, MAX_SAFE_INTEGER);
    /// Longest timeout that is recommended, in milliseconds; reported to clients only.
    CUSTOM_JOB_MAX_TIMEOUT_MS = "9007199254740991", Kind::Int(0, MAX_SAFE_INTEGER);
    /// Timeout of a job that does not say its own, in milliseconds; 0 for none.
    CUSTOM_JOB_DEFAULT_TIMEOUT_MS = "0", Kind::Int(0, MAX_SAFE_INTEGER);
    /// Units that a shard should have at least; advice only.
    SHARD_MIN_UNITS = "1", Kind::Int(1, MAX_SAFE_INTEGER);
    /// Shards that a job should have at most for each worker or slot; advice only.
    SHARD_MAX_PER_WORKER = "200", Kind::Int(1, MAX_SAFE_INTEGER);
    /// Shards that a job should have at most; advice only.
    SHARD_ABSOLUTE_MAX = "9007199254740991", Kind::Int(100, MAX_SAFE_INTEGER);
    /// Bytes of results that a job with the reducer collect may keep.
    JOB_MAX_COLLECT_BYTES = "1gb", Kind::Size(MIB, MIB * MIB);
    /// Bytes of a request body; raised where code and args need more.
    REQUEST_BODY_LIMIT = "128kb", Kind::Size(1, 1024 * MIB);
    /// Time after which an address may call the API anew, in milliseconds.
    API_RATE_LIMIT_WINDOW_MS = "60000", Kind::Int(1000, DAY_MS);
    /// Calls of the API that one address may make in that time; loopback is exempt.
    API_RATE_LIMIT_MAX = "1200", Kind::Int(1, MAX_SAFE_INTEGER);
    /// Bytes of one frame of the worker socket; raised where a result or the protocol needs more.
    WS_MAX_PAYLOAD = "262144", Kind::Int(1, 1024 * MIB);
    /// Sockets of one address that have not yet said a valid hello.
    WS_MAX_CONNECTIONS_PER_IP = "20", Kind::Int(1, MAX_SAFE_INTEGER);
    /// Messages that one socket may send in WS_MESSAGE_WINDOW_MS.
    WS_MAX_MESSAGES_PER_WINDOW = "9007199254740991", Kind::Int(1, MAX_SAFE_INTEGER);
    /// Time over which the messages of a socket are counted, in milliseconds.
    WS_MESSAGE_WINDOW_MS = "10000", Kind::Int(1, DAY_MS);
    /// Time between two pings of a worker, in milliseconds.
    WS_HEARTBEAT_INTERVAL_MS = "25000", Kind::Int(5000, DAY_MS);
    /// Time in which a worker must answer a ping or take a frame, in milliseconds.
    WS_HEARTBEAT_TIMEOUT_MS = "12000", Kind::Int(2000, DAY_MS);
    /// Slots that one worker may offer; more than 256 mean 256.
    WORKER_MAX_CONCURRENT_JOBS = "8", Kind::Int(1, MAX_SAFE_INTEGER);
    /// Days for which a job that has ended is kept with its result; only those count in
    /// which the server runs. 0 keeps it for ever.
    RESULT_RETENTION_DAYS = "0", Kind::Int(0, 3650);
    /// Events of a job that are kept.
    JOB_EVENT_BUFFER_SIZE = "4000", Kind::Int(100, MAX_SAFE_INTEGER);
    /// Bytes of a job's events that are kept.
    JOB_EVENT_BUFFER_MAX_BYTES = "33554432", Kind::Int(MIB, MAX_SAFE_INTEGER);

    /// After a start, time for workers to bring back what they run before it is handed out again, in seconds.
    RECLAIM_SEC = "15", Kind::Int(0, 300);
    /// Time for open requests to end at a stop, in seconds.
    SHUTDOWN_GRACE_SEC = "10", Kind::Int(0, 300);

    /// Where Prometheus reads the instruments, below BASE_PATH.
    METRICS_PATH = "/metrics/prometheus", Kind::Text("a path like that of BASE_PATH, below /metrics or where nothing else is");
    /// Token that Prometheus shows as a bearer; without one only this machine may read.
    METRICS_TOKEN = "", Kind::Secret("empty, or at least 16 bytes of printable ASCII");

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,server=debug.
    LOG_LEVEL = "info", Kind::Text("a level or a filter such as info,server=debug");
    /// How it is logged.
    LOG_FORMAT = "text", Kind::Choice(&["text", "json"]);
}
