//! A worker without a browser: drives `shared::session` over a real socket and verifies everything a
//! tab verifies, but runs a Rust function in place of the script.
//!
//! For load and fault tests. It is no sandbox, and no way to run strangers' code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use shared::envelope::{KeyRing, Run, RunKind, ShardRun, VerifyingKey};
use shared::ids::{AttemptId, WorkerSecret};
use shared::limits::MAX_ATTEMPTS_PER_LEAF;
use shared::session::{Action, Input, LinkStatus, Notice, Session, SessionConfig, Status};
use shared::time::{Millis, Reading, UnixMillis};
use shared::wire::{Credential, DeviceFacts, ResultStatus, SUBPROTOCOL, SelfTest, ShardResult};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// What a worker does in place of running the script.
pub type Kernel = Arc<dyn Fn(&Run, &ShardRun) -> ShardResult + Send + Sync>;

/// Who joins where, and what it computes.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "holds a function")]
pub struct WorkerOptions {
    /// `http://host:port` and the base path.
    pub base: String,
    /// Invite token.
    pub invite: String,
    /// The server's signing key: SPKI DER, base64.
    pub signing_key: String,
    /// Worker id.
    pub name: String,
    /// Shards at the same time, as told to the server.
    pub slots: u16,
    /// Computes a shard of a script.
    pub kernel: Kernel,
}

/// What a worker has counted so far; readable while it runs.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    /// Shards computed.
    pub computed: AtomicU64,
    /// Results that the server has disposed of.
    pub disposed: AtomicU64,
    /// Envelopes refused.
    pub refused: AtomicU64,
    /// Times that it was let in.
    pub joins: AtomicU64,
    /// Frames sent, and their bytes.
    pub sent: Traffic,
    /// Frames received, and their bytes.
    pub received: Traffic,
}

/// What went over a socket in one direction.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Binary messages.
    pub frames: AtomicU64,
    /// Bytes in them.
    pub bytes: AtomicU64,
}

impl Traffic {
    fn count(&self, bytes: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A result of a script that returned `value`.
pub fn returned(value: String, duration: Duration) -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        value: Some(value),
        details: None,
    }
}

/// A kernel that costs nothing and returns what `examples/pi-sharded.js` returns in size and shape.
pub fn trivial_kernel() -> Kernel {
    Arc::new(|run, shard| {
        let units = run.brain(shard).map_or(0, |brain| brain.units);
        returned(
            format!(r#"{{"hits":785,"samples":{units}}}"#),
            Duration::ZERO,
        )
    })
}

/// The kernel of `examples/pi-sharded.js`.
pub fn pi_kernel() -> Kernel {
    Arc::new(|run, shard| {
        let started = Instant::now();
        let (offset, units) = run
            .brain(shard)
            .map_or((0, 0), |brain| (brain.offset, brain.units));
        let hits = crate::kernels::pi_hits(offset, units);
        returned(
            format!(r#"{{"hits":{hits},"samples":{units}}}"#),
            started.elapsed(),
        )
    })
}

/// Runs a worker until `stop`; then it leaves. Reconnects by itself.
///
/// # Errors
/// Options that are not valid. A server that is not there is no error.
pub async fn run_worker(
    options: WorkerOptions,
    counters: Arc<WorkerCounters>,
    stop: CancellationToken,
) -> Result<()> {
    let mut worker = NativeWorker::new(options, counters)?;
    let mut socket: Option<Socket> = None;
    let mut fetches = JoinSet::new();
    let mut has_left = false;
    loop {
        while let Some(action) = worker.session.next_action() {
            if let Some(input) = worker.perform(action, &mut socket, &mut fetches).await {
                worker.handle(input);
            }
        }
        if has_left {
            return Ok(());
        }
        if worker.compute() {
            tokio::task::yield_now().await;
            continue;
        }
        let wake = worker.until_deadline();
        let input = tokio::select! {
            () = stop.cancelled() => {
                has_left = true;
                Some(Input::Leave)
            }
            message = next_message(&mut socket) => worker.received(message, &mut socket),
            Some(Ok(fetched)) = fetches.join_next() => Some(fetched),
            () = tokio::time::sleep(wake) => Some(Input::Tick),
        };
        if let Some(input) = input {
            worker.handle(input);
        }
    }
}

async fn next_message(socket: &mut Option<Socket>) -> Option<tungstenite::Result<Message>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

struct NativeWorker {
    options: WorkerOptions,
    session: Session,
    counters: Arc<WorkerCounters>,
    started: Instant,
}

impl NativeWorker {
    fn new(options: WorkerOptions, counters: Arc<WorkerCounters>) -> Result<Self> {
        let keys = KeyRing::new(VerifyingKey::from_spki_b64(&options.signing_key)?);
        let config = SessionConfig {
            worker: options.name.parse()?,
            secret: WorkerSecret::from_bytes(random()),
            credential: Credential::Invite(options.invite.clone()),
            invite: Some(options.invite.clone()),
            slots: options.slots,
            device: DeviceFacts {
                secure_context: true,
                ..DeviceFacts::default()
            },
            self_test: SelfTest::Native,
        };
        let session = Session::new(config, keys);
        Ok(Self {
            options,
            session,
            counters,
            started: Instant::now(),
        })
    }

    fn now(&self) -> Reading {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Reading {
            wall: UnixMillis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
            mono: self.mono(),
        }
    }

    fn mono(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.session.handle(now, input, &mut random);
        let Status {
            disposed, refused, ..
        } = self.session.status(now);
        self.counters.disposed.store(disposed, Ordering::Relaxed);
        self.counters.refused.store(refused, Ordering::Relaxed);
    }

    /// Time until the next deadline. A native worker has no frame that could die, so it says that
    /// it is alive whenever it looks at the clock.
    fn until_deadline(&mut self) -> Duration {
        self.handle(Input::SandboxAlive);
        let next = self
            .session
            .next_deadline()
            .unwrap_or(self.mono().plus(60_000));
        Duration::from_millis(next.since(self.mono()))
    }

    /// Computes what there is; whether there was anything.
    fn compute(&mut self) -> bool {
        let now = self.now();
        let Some(run) = self.session.take_run(now, MAX_ATTEMPTS_PER_LEAF) else {
            return false;
        };
        let results: Vec<(AttemptId, ShardResult)> = run
            .shards()
            .iter()
            .map(|shard| (shard.attempt, self.result(&run, shard)))
            .collect();
        self.counters
            .computed
            .fetch_add(results.len() as u64, Ordering::Relaxed);
        self.handle(Input::Finished(results));
        true
    }

    fn result(&self, run: &Run, shard: &ShardRun) -> ShardResult {
        match run.kind() {
            RunKind::Add { a, b } => returned((a + b).to_string(), Duration::ZERO),
            RunKind::RunJs { .. } => (self.options.kernel)(run, shard),
        }
    }

    async fn perform(
        &self,
        action: Action,
        socket: &mut Option<Socket>,
        fetches: &mut JoinSet<Input>,
    ) -> Option<Input> {
        match action {
            Action::Connect => match connect(&self.options.base).await {
                Ok(opened) => {
                    *socket = Some(opened);
                    Some(Input::Opened)
                }
                Err(_) => Some(Input::Closed),
            },
            Action::Disconnect => {
                if let Some(mut open) = socket.take() {
                    // The peer may be gone already; there is nobody left to tell.
                    let _ = open.close(None).await;
                }
                Some(Input::Closed)
            }
            Action::Send(frame) => {
                self.counters.sent.count(frame.len());
                let sent = match socket {
                    Some(open) => open.send(Message::Binary(frame.into())).await.is_ok(),
                    None => false,
                };
                if sent {
                    return None;
                }
                socket.take().map(|_| Input::Closed)
            }
            Action::Fetch(hash) => {
                let url = format!("{}/api/content/{hash}", self.options.base);
                let token = self.session.token().unwrap_or_default().to_owned();
                fetches.spawn_blocking(move || Input::Fetched {
                    hash,
                    text: fetch(&url, &token),
                });
                None
            }
            Action::Notice(Notice::Joined) => {
                self.counters.joins.fetch_add(1, Ordering::Relaxed);
                None
            }
            Action::Stop(_) | Action::Notice(_) => None,
        }
    }

    fn received(
        &self,
        message: Option<tungstenite::Result<Message>>,
        socket: &mut Option<Socket>,
    ) -> Option<Input> {
        match message {
            Some(Ok(Message::Binary(frame))) => {
                self.counters.received.count(frame.len());
                Some(Input::Frame(frame.into()))
            }
            Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Frame(_),
            )) => None,
            Some(Ok(Message::Close(_)) | Err(_)) | None => {
                *socket = None;
                let is_over =
                    matches!(self.session.status(self.now()).link, LinkStatus::Stopped(_));
                (!is_over).then_some(Input::Closed)
            }
        }
    }
}

async fn connect(base: &str) -> Result<Socket> {
    let rest = base
        .strip_prefix("http")
        .context("the base starts with http")?;
    let mut request = format!("ws{rest}/ws/worker").into_client_request()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", SUBPROTOCOL.parse()?);
    let (socket, _) = tokio_tungstenite::connect_async_with_config(request, None, true).await?;
    Ok(socket)
}

fn fetch(url: &str, token: &str) -> Option<String> {
    let mut answer = ureq::get(url)
        .header("authorization", format!("Bearer {token}"))
        .call()
        .ok()?;
    answer.body_mut().read_to_string().ok()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// The signing key that a server publishes.
///
/// # Errors
/// The server is not there, or answers something else.
pub fn signing_key(base: &str) -> Result<String> {
    let mut answer = ureq::get(format!("{base}/api/public-config")).call()?;
    let config: serde_json::Value = answer.body_mut().read_json()?;
    let key = config["jobSigningPublicKeySpkiB64"]
        .as_str()
        .unwrap_or_default();
    ensure!(!key.is_empty(), "public-config has no signing key");
    Ok(key.to_owned())
}
