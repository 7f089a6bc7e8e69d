//! A native worker that verifies what it is given and knows the scripts of the table.
//!
//! In place of running a script it looks up what the script does: the contract is about what the
//! server makes of results, and the browser tests are about how they come to be. Results of
//! [`script::HELD`] and of the later shards of [`script::HALF`] are kept until they are released.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use shared::envelope::{AssignLeaf, Envelope, KeyRing, LeafJob, Task, VerifyingKey};
use shared::ids::{Digest32, Nonce, ShardIndex, WorkerSecret};
use shared::plan::Plan;
use shared::wire::{
    self, ByeReason, Credential, DeviceFacts, ErrorText, Hello, ProtocolVersion, ResultBatch,
    ResultDetails, ResultRow, ResultStatus, SUBPROTOCOL, SelfTest, ShardResult, ToServer, ToWorker,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::script;

type Contents = BTreeMap<Digest32, String>;
type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const JOIN_LIMIT: Duration = Duration::from_secs(30);
const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;

/// What a worker says of its device.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) slots: u16,
    pub(crate) facts: DeviceFacts,
}

impl Device {
    /// A device that tells nothing but its slots.
    pub(crate) fn of_slots(slots: u16) -> Self {
        Self {
            slots,
            facts: DeviceFacts::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Release,
    Leave,
}

/// A worker that has joined; it works until it is told to leave.
#[derive(Debug)]
pub(crate) struct Worker {
    orders: mpsc::Sender<Order>,
    running: JoinHandle<Result<()>>,
}

impl Worker {
    /// Joins; why it is not let in, otherwise.
    pub(crate) async fn join(
        base: &str,
        signing_key: &str,
        invite: &str,
        name: &str,
        device: &Device,
    ) -> Result<Result<Self, ByeReason>> {
        let mut link = Link {
            socket: open(base).await?,
            keys: KeyRing::new(VerifyingKey::from_spki_b64(signing_key)?),
            contents: Contents::new(),
            held: Vec::new(),
        };
        let hello = hello(invite, name, device)?;
        link.say(&ToServer::Hello(Box::new(hello))).await?;
        let first = tokio::time::timeout(JOIN_LIMIT, link.next()).await;
        match first.context("no welcome in time")?? {
            ToWorker::Welcome(_) => {}
            ToWorker::Bye { reason, .. } => return Ok(Err(reason)),
            other @ (ToWorker::Time(_)
            | ToWorker::Assign(_)
            | ToWorker::Disposed(_)
            | ToWorker::Revoke(_)
            | ToWorker::Renewed(_)) => bail!("{other:?} instead of a welcome"),
        }
        let (orders, received) = mpsc::channel(4);
        Ok(Ok(Self {
            orders,
            running: tokio::spawn(link.work(received)),
        }))
    }

    /// Sends what it has held back.
    pub(crate) async fn release(&self) -> Result<()> {
        Ok(self.orders.send(Order::Release).await?)
    }

    /// Leaves, and waits until the server has closed the socket.
    pub(crate) async fn leave(self) -> Result<()> {
        self.orders.send(Order::Leave).await?;
        self.running.await?
    }
}

async fn open(base: &str) -> Result<Socket> {
    let rest = base
        .strip_prefix("http")
        .context("a base starts with http")?;
    let mut request = format!("ws{rest}/WS/Worker/").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse()?);
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

fn hello(invite: &str, name: &str, device: &Device) -> Result<Hello> {
    let secret = Digest32::of(name.as_bytes()).as_bytes()[..16].try_into()?;
    Ok(Hello {
        version: ProtocolVersion::V1,
        credential: Credential::Invite(invite.into()),
        worker: name.parse()?,
        secret: WorkerSecret::from_bytes(secret),
        slots: device.slots,
        credit: 64,
        device: device.facts.clone(),
        self_test: SelfTest::Native,
        challenge: Nonce::from_bytes([7; 16]),
        held: Vec::new(),
    })
}

/// A worker's end of its socket.
struct Link {
    socket: Socket,
    keys: KeyRing,
    /// Code and args; each comes once.
    contents: Contents,
    held: Vec<ResultBatch>,
}

impl Link {
    async fn work(mut self, mut orders: mpsc::Receiver<Order>) -> Result<()> {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Release) => {
                        let held = std::mem::take(&mut self.held);
                        self.say(&ToServer::Results(held)).await?;
                    }
                    Some(Order::Leave) | None => {
                        self.say(&ToServer::Leave).await?;
                        while let Some(Ok(_)) = self.socket.next().await {}
                        return Ok(());
                    }
                },
                message = self.next() => {
                    if let ToWorker::Assign(assign) = message? {
                        self.assigned(*assign).await?;
                    }
                }
            }
        }
    }

    async fn say(&mut self, message: &ToServer) -> Result<()> {
        let frame = wire::encode(message);
        Ok(self.socket.send(Message::Binary(frame.into())).await?)
    }

    async fn next(&mut self) -> Result<ToWorker> {
        loop {
            match self
                .socket
                .next()
                .await
                .context("the socket was closed")??
            {
                Message::Binary(frame) => return Ok(wire::decode(&frame, MAX_FRAME_BYTES)?),
                Message::Close(_) => bail!("the server closed the socket"),
                Message::Text(text) => bail!("a text frame: {text}"),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    async fn assigned(&mut self, assign: wire::Assign) -> Result<()> {
        let envelope = Envelope::new(assign.signed).verify(&self.keys)?;
        let leaf = envelope.ticket()?.clone();
        for text in assign.contents {
            self.contents.insert(Digest32::of(text.as_bytes()), text);
        }
        let (ready, held) = results(&leaf, &self.contents);
        if !held.is_empty() {
            self.held.push(ResultBatch {
                nonce: leaf.nonce,
                rows: held,
            });
        }
        if ready.is_empty() {
            return Ok(());
        }
        let batch = ResultBatch {
            nonce: leaf.nonce,
            rows: ready,
        };
        self.say(&ToServer::Results(vec![batch])).await
    }
}

/// The results of a leaf: those to be sent at once, and those to be held back.
fn results(leaf: &AssignLeaf, contents: &Contents) -> (Vec<ResultRow>, Vec<ResultRow>) {
    let (mut ready, mut held) = (Vec::new(), Vec::new());
    let mut index = 0;
    for job in &leaf.jobs {
        for (shard, _) in &job.shards {
            let (result, is_held) = outcome(job, *shard, contents);
            let rows = if is_held { &mut held } else { &mut ready };
            rows.push(ResultRow { index, result });
            index += 1;
        }
    }
    (ready, held)
}

fn outcome(job: &LeafJob, shard: ShardIndex, contents: &Contents) -> (ShardResult, bool) {
    let task = match &job.task {
        Task::Add { a, b } => return (returned((a + b).to_string()), false),
        Task::RunJs(task) => task,
    };
    let text_of = |hash| contents.get(&hash).map_or("", String::as_str);
    let units = match task.plan {
        Plan::Single => 0,
        Plan::Sharded(plan) => plan.units_of(shard).map_or(0, |units| units.units),
    };
    let code = text_of(task.code);
    let is_held = code == script::HELD || (code == script::HALF && shard.0 >= 2);
    (ran(code, text_of(task.args), shard.0, units), is_held)
}

/// What a script of the table comes to.
fn ran(code: &str, args: &str, shard: u64, units: u64) -> ShardResult {
    match code {
        script::ECHO => returned(args.into()),
        script::NOTHING => ShardResult {
            value: None,
            ..returned(String::new())
        },
        script::LOGS => ShardResult {
            details: Some(Box::new(ResultDetails {
                logs: vec!["[log] half way".into(), "[warn] {\"n\":1}".into()],
                ..ResultDetails::default()
            })),
            ..returned(r#"{"hits":785,"samples":1000}"#.into())
        },
        script::THROWS => failed(ResultStatus::Threw, "boom", Some("at job:1")),
        script::ENDLESS => failed(ResultStatus::TimedOut, "Execution timeout exceeded", None),
        script::BREAKS => failed(ResultStatus::ExecutorFailed, "the executor is gone", None),
        script::TEXTS => returned(r#"{"hits":"5"}"#.into()),
        script::VALUES => returned(format!(r#"{{"value":{}}}"#, 7 - i128::from(shard))),
        _ => returned(format!(r#"{{"hits":{shard},"samples":{units}}}"#)),
    }
}

fn returned(value: String) -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: 12_000,
        value: Some(value),
        details: None,
    }
}

fn failed(status: ResultStatus, message: &str, stack: Option<&str>) -> ShardResult {
    ShardResult {
        status,
        duration_us: 12_000,
        value: None,
        details: Some(Box::new(ResultDetails {
            error: Some(ErrorText {
                message: message.into(),
                stack: stack.map(str::to_owned),
            }),
            ..ResultDetails::default()
        })),
    }
}
