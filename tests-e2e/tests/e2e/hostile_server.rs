//! A server that speaks the worker protocol itself and lies as it is told, behind the real pages.
//!
//! It passes requests for pages on to the real server, so that the tab under test is the shipped one
//! with its real headers; it answers for the signing key, for code and for the workers' socket
//! itself, and signs with a key of the tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use serde_json::{Value, json};
use sha2::Sha256;
use shared::envelope::vectors::KEYS_JSON;
use shared::envelope::{AssignLeaf, Leaf, LeafJob, RunJsTask, Task, TimeLeaf, VerifyingKey, seal};
use shared::ids::{Digest32, JobId, Nonce, SessionId, ShardIndex};
use shared::plan::{Plan, RandomMode};
use shared::time::UnixMillis;
use shared::wire::{
    self, Assign, AttemptRange, Disposed, Disposition, Hello, ProtocolVersion, ResultBatch,
    SignedLeaf, ToServer, ToWorker, Welcome, WorkerLimits,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const MAX_FRAME: usize = 1 << 20;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What it serves as code, whatever code was asked for.
const OTHER_CODE: &str = "return 'other code'";

/// A key of the tests that can sign.
struct TestKey {
    public: VerifyingKey,
    private: SigningKey<Sha256>,
}

impl TestKey {
    fn named(name: &str) -> Result<Self> {
        let keys: Value = serde_json::from_str(KEYS_JSON)?;
        let text = |part: &str| keys[name][part].as_str().context("keys.json has both keys");
        let private = BASE64.decode(text("pkcs8")?)?;
        Ok(Self {
            public: VerifyingKey::from_spki_b64(text("spki")?)?,
            private: SigningKey::new(rsa::PrivateKey::from_pkcs8_der(&private)?),
        })
    }

    fn seal(&self, leaf: Leaf, kid: Digest32) -> SignedLeaf {
        let sign =
            |message: &[u8]| Ok::<_, std::convert::Infallible>(self.private.sign(message).to_vec());
        let mut sealed = seal(&[leaf], kid, sign).expect("one leaf can be sealed");
        sealed.remove(0)
    }
}

/// What requests need.
struct Shared {
    pages_from: String,
    spki: String,
    agent: ureq::Agent,
    sockets: mpsc::UnboundedSender<WebSocket>,
    sandbox_policy: PolicyChange,
}

/// What becomes of a content security policy; `None` for no policy at all.
pub(crate) type PolicyChange = fn(&str) -> Option<String>;

/// The page of the sandbox's frame.
const SANDBOX_PATH: &str = "/sandbox";

/// The running server. It ends with its runtime.
pub(crate) struct HostileServer {
    base: String,
    key: TestKey,
    other_key: TestKey,
    sockets: mpsc::UnboundedReceiver<WebSocket>,
}

impl HostileServer {
    /// Starts it on a free port; pages come from the real server at `pages_from`.
    pub(crate) async fn start(pages_from: &str) -> Result<Self> {
        Self::start_with(pages_from, |policy| Some(policy.to_owned())).await
    }

    /// As [`HostileServer::start`], with another policy for the sandbox.
    pub(crate) async fn start_with(pages_from: &str, sandbox_policy: PolicyChange) -> Result<Self> {
        let key = TestKey::named("signer")?;
        let (sender, sockets) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            pages_from: pages_from.to_owned(),
            spki: key.public.to_spki_b64(),
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .into(),
            sockets: sender,
            sandbox_policy,
        });
        let app = Router::new()
            .route("/api/public-config", get(public_config))
            .route("/api/content/{hash}", get(async || OTHER_CODE))
            // Whoever asks whether an invitation holds is let in.
            .route("/api/worker/metrics", get(async || "{}"))
            .route("/ws/worker", get(worker_socket))
            .fallback(pass_on)
            .with_state(shared);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            base,
            key,
            other_key: TestKey::named("other")?,
            sockets,
        })
    }

    /// A link that a volunteer would be sent.
    pub(crate) fn invite_url(&self) -> String {
        format!(
            "{}/worker?invite=v1.anything.will-do-for-this-server",
            self.base
        )
    }

    /// Waits for a tab to connect, greets it as the real server would, and tells it the time.
    pub(crate) async fn accept(&mut self) -> Result<Tab<'_>> {
        let socket = tokio::time::timeout(ANSWER_LIMIT, self.sockets.recv()).await?;
        let mut socket = socket.context("the server runs")?;
        let hello = loop {
            if let ToServer::Hello(hello) = receive(&mut socket).await? {
                break *hello;
            }
        };
        let session = SessionId::from_bytes([0x5e; 16]);
        let mut tab = Tab {
            server: self,
            socket,
            hello,
            session,
            nonces: 0,
        };
        tab.welcome().await?;
        Ok(tab)
    }
}

/// What an assignment runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'a> {
    pub(crate) code: &'a str,
    /// JSON text.
    pub(crate) args: &'a str,
    pub(crate) plan: Plan,
    pub(crate) shards: &'a [u64],
    pub(crate) timeout_ms: u64,
}

/// A connected worker tab, as its server sees it.
pub(crate) struct Tab<'s> {
    server: &'s HostileServer,
    socket: WebSocket,
    pub(crate) hello: Hello,
    session: SessionId,
    nonces: u32,
}

impl Tab<'_> {
    async fn welcome(&mut self) -> Result<()> {
        let welcome = Welcome {
            session: self.session,
            worker: self.hello.worker.clone(),
            token: "a session token".into(),
            unknown: Vec::new(),
            limits: WorkerLimits {
                max_result_bytes: 65_536,
                max_frame_bytes: u32::try_from(MAX_FRAME)?,
                max_slots: 2,
            },
        };
        self.send(&ToWorker::Welcome(Box::new(welcome))).await?;
        self.tell_time(self.hello.challenge).await
    }

    async fn tell_time(&mut self, challenge: Nonce) -> Result<()> {
        let now = now();
        let signed = self.sealed(Leaf::Time(TimeLeaf { challenge, now }));
        self.send(&ToWorker::Time(Box::new(signed))).await
    }

    /// An assignment that an honest server would make: one single run of `code` with null as args,
    /// valid for two minutes from this moment.
    pub(crate) fn honest_leaf(&mut self, code: &str) -> AssignLeaf {
        self.leaf_of(&Script {
            code,
            args: "null",
            plan: Plan::Single,
            shards: &[0],
            timeout_ms: 10_000,
        })
    }

    /// As [`Tab::honest_leaf`], of any script.
    pub(crate) fn leaf_of(&mut self, script: &Script<'_>) -> AssignLeaf {
        self.nonces += 1;
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&self.nonces.to_le_bytes());
        let task = RunJsTask {
            code: Digest32::of(script.code.as_bytes()),
            args: Digest32::of(script.args.as_bytes()),
            plan: script.plan,
            timeout_ms: script.timeout_ms,
            seed: 1,
            random: RandomMode::Seeded,
        };
        let shards = script.shards.iter().map(|shard| (ShardIndex(*shard), 1));
        AssignLeaf {
            version: ProtocolVersion::V1,
            worker: self.hello.worker.clone(),
            session: self.session,
            nonce: Nonce::from_bytes(nonce),
            issued_at: now(),
            expires_at: UnixMillis(now().0 + 120_000),
            jobs: vec![LeafJob {
                job: JobId::from_random(nonce),
                task: Task::RunJs(task),
                shards: shards.collect(),
            }],
        }
    }

    /// Signs and sends an assignment of `script`; returns its nonce.
    pub(crate) async fn run(&mut self, script: &Script<'_>) -> Result<Nonce> {
        let leaf = self.leaf_of(script);
        let nonce = leaf.nonce;
        let signed = self.sealed(Leaf::Assign(leaf));
        self.assign(&signed, &[script.code, script.args]).await?;
        Ok(nonce)
    }

    /// Signed with the key that the tab knows.
    pub(crate) fn sealed(&self, leaf: Leaf) -> SignedLeaf {
        let kid = self.server.key.public.kid();
        self.server.key.seal(leaf, kid)
    }

    /// Signed with another key, under the id of the one that the tab knows.
    pub(crate) fn forged(&self, leaf: Leaf) -> SignedLeaf {
        let kid = self.server.key.public.kid();
        self.server.other_key.seal(leaf, kid)
    }

    /// Sends an assignment, and contents with it.
    pub(crate) async fn assign(&mut self, signed: &SignedLeaf, contents: &[&str]) -> Result<()> {
        let assign = Assign {
            signed: signed.clone(),
            contents: contents.iter().map(|text| (*text).to_owned()).collect(),
        };
        self.send(&ToWorker::Assign(Box::new(assign))).await
    }

    /// Tells the tab to forget these results.
    pub(crate) async fn dispose(&mut self, batch: &ResultBatch) -> Result<()> {
        let disposed = batch.rows.iter().map(|row| Disposed {
            range: AttemptRange {
                nonce: batch.nonce,
                first: row.index,
                count: 1,
            },
            disposition: Disposition::Durable,
        });
        self.send(&ToWorker::Disposed(disposed.collect())).await
    }

    async fn send(&mut self, message: &ToWorker) -> Result<()> {
        let frame = Message::Binary(wire::encode(message).into());
        Ok(self.socket.send(frame).await?)
    }

    /// What the tab says next that is about work: questions for the time are answered, beats and
    /// credit passed over.
    pub(crate) async fn next(&mut self) -> Result<ToServer> {
        loop {
            match receive(&mut self.socket).await? {
                ToServer::Sync { challenge } => self.tell_time(challenge).await?,
                ToServer::Beat { .. } | ToServer::Credit { .. } => {}
                message @ (ToServer::Hello(_)
                | ToServer::Tickets(_)
                | ToServer::Results(_)
                | ToServer::Refused(_)
                | ToServer::Leave) => return Ok(message),
            }
        }
    }
}

async fn receive(socket: &mut WebSocket) -> Result<ToServer> {
    loop {
        let message = tokio::time::timeout(ANSWER_LIMIT, socket.recv())
            .await
            .context("the tab says nothing")?;
        match message.context("the tab hung up")?? {
            Message::Binary(frame) => return Ok(wire::decode(&frame, MAX_FRAME)?),
            Message::Ping(_) | Message::Pong(_) => {}
            other @ (Message::Text(_) | Message::Close(_)) => {
                anyhow::bail!("the tab sent {other:?}")
            }
        }
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.expect("the clock is past 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("milliseconds fit u64"))
}

async fn public_config(State(shared): State<Arc<Shared>>) -> Response {
    let url = format!("{}/api/public-config", shared.pages_from);
    match fetch(&shared, url, HeaderMap::new()).await {
        Ok((_, body)) => match serde_json::from_slice::<Value>(&body) {
            Ok(mut config) => {
                config["jobSigningPublicKeySpkiB64"] = json!(shared.spki);
                axum::Json(config).into_response()
            }
            Err(error) => failed(&error.into()),
        },
        Err(error) => failed(&error),
    }
}

async fn worker_socket(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols([wire::SUBPROTOCOL])
        .on_upgrade(async move |socket| {
            // The test has ended if nobody takes it.
            let _ = shared.sockets.send(socket);
        })
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query();
    let path = path.map_or("/", axum::http::uri::PathAndQuery::as_str);
    let url = format!("{}{path}", shared.pages_from);
    let host = request.headers().get("host").cloned();
    let headers = host.map(|host| (axum::http::header::HOST, host));
    match fetch(&shared, url, headers.into_iter().collect()).await {
        Ok((head, body)) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = head.status;
            *response.headers_mut() = head.headers;
            response.headers_mut().remove("content-length");
            response.headers_mut().remove("transfer-encoding");
            if path == SANDBOX_PATH {
                change_policy(response.headers_mut(), shared.sandbox_policy);
            }
            response
        }
        Err(error) => failed(&error),
    }
}

fn change_policy(headers: &mut HeaderMap, change: PolicyChange) {
    let policy = headers.remove(CONTENT_SECURITY_POLICY);
    let policy = policy.expect("the sandbox has a policy");
    let policy = change(policy.to_str().expect("it is plain text"));
    if let Some(policy) = policy {
        let policy = policy.parse().expect("it is a header still");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
}

async fn fetch(
    shared: &Shared,
    url: String,
    headers: HeaderMap,
) -> Result<(axum::http::response::Parts, Vec<u8>)> {
    let agent = shared.agent.clone();
    tokio::task::spawn_blocking(move || {
        let mut request = agent.get(&url).header("accept-encoding", "identity");
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        let (head, mut body) = request.call()?.into_parts();
        ensure!(head.status.as_u16() < 500, "{url}: {}", head.status);
        Ok((head, body.read_to_vec()?))
    })
    .await?
}

fn failed(error: &anyhow::Error) -> Response {
    (axum::http::StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response()
}
