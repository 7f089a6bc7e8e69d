//! A worker that says what a test tells it to, and checks what it is told with `shared`.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use shared::envelope::{AssignLeaf, Envelope, KeyRing, Verified, VerifyingKey};
use shared::ids::{AttemptId, Nonce, SessionId, WorkerId, WorkerSecret};
use shared::time::UnixMillis;
use shared::wire::{
    self, AttemptRange, ByeReason, Credential, DeviceFacts, Disposed, Disposition, Held, Hello,
    ProtocolVersion, ResultBatch, ResultRow, ResultStatus, SUBPROTOCOL, SelfTest, ShardResult,
    SignedLeaf, Stage, ToServer, ToWorker, Welcome,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What does not come within this time does not come.
const LIMIT: Duration = Duration::from_secs(30);
const MAX_FRAME_BYTES: usize = 2 * 1024 * 1024;

/// What a hello says.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) credential: Credential,
    pub(crate) worker: String,
    pub(crate) secret: u8,
    pub(crate) slots: u16,
    pub(crate) credit: u32,
    pub(crate) held: Vec<Held>,
    pub(crate) device: DeviceFacts,
}

impl Offer {
    pub(crate) fn invited(token: &str) -> Self {
        Self {
            credential: Credential::Invite(token.into()),
            worker: "worker-native".into(),
            secret: 1,
            slots: 4,
            credit: 16,
            held: Vec::new(),
            device: DeviceFacts::default(),
        }
    }

    pub(crate) fn with_token(welcome: &Welcome, resume: bool) -> Self {
        Self {
            credential: Credential::Session {
                token: welcome.token.clone(),
                resume,
            },
            worker: welcome.worker.to_string(),
            ..Self::invited("")
        }
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version: ProtocolVersion::V1,
            credential: self.credential.clone(),
            worker: self.worker.parse::<WorkerId>().unwrap(),
            secret: WorkerSecret::from_bytes([self.secret; 16]),
            slots: self.slots,
            credit: self.credit,
            device: self.device.clone(),
            self_test: SelfTest::Native,
            challenge: Nonce::from_bytes([7; 16]),
            held: self.held.clone(),
        }
    }
}

/// An assignment that was proved.
#[derive(Debug, Clone)]
pub(crate) struct Assigned {
    pub(crate) leaf: AssignLeaf,
    pub(crate) ticket: SignedLeaf,
    pub(crate) contents: Vec<String>,
}

impl Assigned {
    pub(crate) fn attempts(&self) -> u32 {
        self.leaf.attempts() as u32
    }

    pub(crate) fn range(&self) -> AttemptRange {
        AttemptRange {
            nonce: self.leaf.nonce,
            first: 0,
            count: self.attempts(),
        }
    }
}

/// A worker's end of one socket.
#[derive(Debug)]
pub(crate) struct Worker {
    socket: Socket,
    keys: KeyRing,
    /// Came while something else was waited for.
    early: VecDeque<ToWorker>,
    /// Set once it was let in.
    pub(crate) welcome: Option<Welcome>,
    /// The time as the server told it, and when.
    told: Option<(UnixMillis, Instant)>,
}

impl Worker {
    /// Opens a socket and says nothing.
    pub(crate) async fn connect(url: &str) -> Self {
        let (socket, keys) = (open(url, &[]).await.unwrap(), keys(url).await);
        Self {
            socket,
            keys,
            early: VecDeque::new(),
            welcome: None,
            told: None,
        }
    }

    /// Joins with an invite.
    pub(crate) async fn join(url: &str, invite: &str) -> Self {
        Self::offer(url, &Offer::invited(invite)).await
    }

    /// Says this hello, and is let in.
    pub(crate) async fn offer(url: &str, offer: &Offer) -> Self {
        let mut worker = Self::connect(url).await;
        worker.say(&ToServer::Hello(Box::new(offer.hello()))).await;
        let ToWorker::Welcome(welcome) = worker.next().await else {
            panic!("welcome comes first");
        };
        worker.welcome = Some(*welcome);
        let ToWorker::Time(signed) = worker.next().await else {
            panic!("the time comes after welcome");
        };
        let time = worker.prove(*signed).time().unwrap();
        assert_eq!(time.challenge, offer.hello().challenge);
        worker.told = Some((time.now, Instant::now()));
        worker
    }

    /// Says this hello; why it is not let in.
    pub(crate) async fn refused(url: &str, offer: &Offer) -> ByeReason {
        let mut worker = Self::connect(url).await;
        worker.say(&ToServer::Hello(Box::new(offer.hello()))).await;
        worker.bye().await
    }

    pub(crate) fn welcome(&self) -> &Welcome {
        self.welcome.as_ref().expect("the worker was let in")
    }

    /// The server's time, as it told it when the worker was let in.
    pub(crate) fn server_now(&self) -> UnixMillis {
        let (told, heard) = self.told.expect("the worker was let in");
        told.plus(u64::try_from(heard.elapsed().as_millis()).unwrap())
    }

    pub(crate) fn session(&self) -> SessionId {
        self.welcome().session
    }

    pub(crate) async fn say(&mut self, message: &ToServer) {
        self.send(Message::Binary(wire::encode(message).into()))
            .await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Sends the same message so many times, or until the socket does not take it any more.
    pub(crate) async fn flood(&mut self, message: &Message, times: usize) {
        for _ in 0..times {
            if self.socket.feed(message.clone()).await.is_err() {
                return;
            }
        }
        let _ = self.socket.flush().await;
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> ToWorker {
        let message = timeout(LIMIT, self.try_next()).await;
        let early = || format!("{:?}", self.early.iter().rev().take(2).collect::<Vec<_>>());
        message
            .unwrap_or_else(|_| panic!("nothing came in time; before it {}", early()))
            .unwrap_or_else(|| panic!("the socket has ended; before it {}", early()))
    }

    async fn try_next(&mut self) -> Option<ToWorker> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Binary(frame)) => {
                    return Some(wire::decode(&frame, MAX_FRAME_BYTES).unwrap());
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(Message::Text(text)) => panic!("a text frame: {text}"),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            }
        }
    }

    /// The next message that `pick` takes; others are kept for later.
    async fn next_of<T>(&mut self, pick: impl Fn(&ToWorker) -> Option<T>) -> T {
        if let Some(place) = self
            .early
            .iter()
            .position(|message| pick(message).is_some())
        {
            let message = self.early.remove(place).expect("it was just found");
            return pick(&message).expect("it was just picked");
        }
        loop {
            let message = self.next().await;
            match pick(&message) {
                Some(picked) => return picked,
                None => self.early.push_back(message),
            }
        }
    }

    /// Waits for an assignment and proves it.
    pub(crate) async fn assigned(&mut self) -> Assigned {
        let assign = self
            .next_of(|message| match message {
                ToWorker::Assign(assign) => Some((**assign).clone()),
                ToWorker::Welcome(_)
                | ToWorker::Time(_)
                | ToWorker::Disposed(_)
                | ToWorker::Revoke(_)
                | ToWorker::Renewed(_)
                | ToWorker::Bye { .. } => None,
            })
            .await;
        let ticket = assign.signed.clone();
        let leaf = self.prove(assign.signed).ticket().unwrap().clone();
        assert_eq!(leaf.session, self.session());
        assert_eq!(leaf.worker, self.welcome().worker);
        Assigned {
            leaf,
            ticket,
            contents: assign.contents,
        }
    }

    /// Asks for the time, and waits for the token that comes with it.
    pub(crate) async fn renewed(&mut self) -> String {
        let challenge = Nonce::from_bytes([9; 16]);
        self.say(&ToServer::Sync { challenge }).await;
        self.next_of(|message| match message {
            ToWorker::Renewed(renewed) => Some(renewed.token.clone()),
            ToWorker::Welcome(_)
            | ToWorker::Time(_)
            | ToWorker::Assign(_)
            | ToWorker::Disposed(_)
            | ToWorker::Revoke(_)
            | ToWorker::Bye { .. } => None,
        })
        .await
    }

    /// Proves a leaf.
    pub(crate) fn prove(&self, signed: SignedLeaf) -> Envelope<Verified> {
        Envelope::new(signed).verify(&self.keys).unwrap()
    }

    /// Waits for dispositions.
    pub(crate) async fn disposed(&mut self) -> Vec<Disposed> {
        self.next_of(|message| match message {
            ToWorker::Disposed(disposed) => Some(disposed.clone()),
            ToWorker::Welcome(_)
            | ToWorker::Time(_)
            | ToWorker::Assign(_)
            | ToWorker::Revoke(_)
            | ToWorker::Renewed(_)
            | ToWorker::Bye { .. } => None,
        })
        .await
    }

    /// Waits for the last message, and for the end of the socket after it.
    pub(crate) async fn bye(&mut self) -> ByeReason {
        loop {
            if let ToWorker::Bye { reason, .. } = self.next().await {
                assert_eq!(self.try_next().await, None, "nothing comes after bye");
                return reason;
            }
        }
    }

    /// Sends a result for each attempt of an assignment.
    pub(crate) async fn finish(
        &mut self,
        assigned: &Assigned,
        result: impl Fn(AttemptId) -> ShardResult,
    ) {
        let nonce = assigned.leaf.nonce;
        let rows = (0..assigned.attempts())
            .map(|index| ResultRow {
                index,
                result: result(AttemptId { nonce, index }),
            })
            .collect();
        self.say(&ToServer::Results(vec![ResultBatch { nonce, rows }]))
            .await;
    }

    /// Sends for each attempt of an assignment of one job what its shard returns ([`value`]).
    pub(crate) async fn compute(&mut self, assigned: &Assigned) {
        let shards = &assigned.leaf.jobs[0].shards;
        let result = |attempt: AttemptId| returned(&value(shards[attempt.index as usize].0.0));
        self.finish(assigned, result).await;
    }

    /// The same for the first `count` attempts alone.
    pub(crate) async fn compute_first(&mut self, assigned: &Assigned, count: u32) {
        let nonce = assigned.leaf.nonce;
        let shards = assigned.leaf.jobs[0].shards.iter();
        let rows = (0..count).zip(shards).map(|(index, (shard, _))| ResultRow {
            index,
            result: returned(&value(shard.0)),
        });
        let rows = rows.collect();
        self.say(&ToServer::Results(vec![ResultBatch { nonce, rows }]))
            .await;
    }

    /// Waits until `count` results were disposed of, and counts what they were.
    pub(crate) async fn all_disposed(&mut self, count: u32) -> BTreeMap<Disposition, u32> {
        let mut counts = BTreeMap::new();
        while counts.values().sum::<u32>() < count {
            for disposed in self.disposed().await {
                *counts.entry(disposed.disposition).or_default() += disposed.range.count;
            }
        }
        counts
    }

    /// The socket breaks without a word.
    pub(crate) async fn vanish(mut self) -> Welcome {
        let _ = self.socket.close(None).await;
        self.welcome.expect("the worker was let in")
    }
}

/// Opens a socket with more headers.
pub(crate) async fn open(
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let rest = url.strip_prefix("http").unwrap();
    let mut request = format!("ws{rest}/ws/worker").into_client_request().unwrap();
    let own = [("sec-websocket-protocol", SUBPROTOCOL)];
    for (name, value) in own.iter().chain(headers) {
        if value.is_empty() {
            request.headers_mut().remove(*name);
        } else {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
    }
    tokio_tungstenite::connect_async(request)
        .await
        .map(|(socket, _)| socket)
}

async fn keys(url: &str) -> KeyRing {
    let answer = super::Client::new(url, "").get("/api/public-config").await;
    let spki = answer.json()["jobSigningPublicKeySpkiB64"].clone();
    KeyRing::new(VerifyingKey::from_spki_b64(spki.as_str().unwrap()).unwrap())
}

/// A result that returned this JSON text.
pub(crate) fn returned(value: &str) -> ShardResult {
    ShardResult {
        status: ResultStatus::Returned,
        duration_us: 1500,
        value: Some(value.into()),
        details: None,
    }
}

/// The value that a shard of the tests' jobs returns.
pub(crate) fn value(shard: u64) -> String {
    format!(r#"{{"hits":{shard},"samples":1}}"#)
}

/// That the whole assignment is held.
pub(crate) fn held(assigned: &Assigned, stage: Stage) -> Held {
    Held {
        range: assigned.range(),
        stage,
    }
}
