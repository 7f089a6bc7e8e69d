//! Worker sockets that break the rules of WebSockets themselves, against the real program, while a
//! volunteer works on.
//!
//! Not here: messages that are none of a worker's, which the server's own tests send, and who is
//! silent (`abuse`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use shared::ids::{Nonce, WorkerSecret};
use shared::wire::{
    self, Credential, DeviceFacts, Hello, ProtocolVersion, SUBPROTOCOL, SelfTest, ToServer,
};
use tests_e2e::ApiClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cluster::{Cluster, JOB_LIMIT};

/// No socket that breaks a rule, or stops in the middle of a frame, is kept for longer.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// Close codes: a rule was broken, come again later.
const POLICY: u16 = 1008;
const AGAIN: u16 = 1013;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const FINAL: u8 = 0x80;

/// A worker's end of a socket, in bytes.
struct RawSocket {
    stream: TcpStream,
    answer: String,
}

impl RawSocket {
    async fn open(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!(
            "GET /ws/worker HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\
             sec-websocket-protocol: {SUBPROTOCOL}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        let answer = String::from_utf8(answer)?.to_ascii_lowercase();
        ensure!(answer.starts_with("http/1.1 101 "), "{answer}");
        Ok(Self { stream, answer })
    }

    /// A socket whose worker is let in.
    async fn joined(address: SocketAddr, api: &ApiClient) -> Result<Self> {
        let mut socket = Self::open(address).await?;
        let invite = api.invite()?;
        let token = invite["inviteToken"].as_str().context("a token")?;
        let hello = ToServer::Hello(Box::new(hello(token)));
        let bytes = masked(FINAL | BINARY, &wire::encode(&hello));
        socket.stream.write_all(&bytes).await?;
        let mut welcome = [0; 2];
        let came = timeout(GONE_WITHIN, socket.stream.read_exact(&mut welcome));
        came.await??;
        assert_eq!(welcome[0], FINAL | BINARY);
        Ok(socket)
    }

    /// Sends bytes; the code that the server closes with, and after how long it is gone.
    async fn close_code(mut self, bytes: &[u8]) -> Result<(Option<u16>, Duration)> {
        let began = Instant::now();
        // A server that closes does not take all of it.
        let _ = self.stream.write_all(bytes).await;
        let mut said = Vec::new();
        let ended = timeout(2 * GONE_WITHIN, self.stream.read_to_end(&mut said)).await;
        ended.context("the socket is still there")?.ok();
        Ok((close_code(&said), began.elapsed()))
    }
}

fn hello(token: &str) -> Hello {
    Hello {
        version: ProtocolVersion::V1,
        credential: Credential::Invite(token.into()),
        worker: "worker-raw000".parse().unwrap(),
        secret: WorkerSecret::from_bytes([3; 16]),
        slots: 1,
        credit: 0,
        device: DeviceFacts::default(),
        self_test: SelfTest::Native,
        challenge: Nonce::from_bytes([7; 16]),
        held: Vec::new(),
    }
}

/// The code of the last frame, if that is a close frame with one.
fn close_code(said: &[u8]) -> Option<u16> {
    match said.last_chunk()? {
        [first, 2, high, low] if *first == FINAL | CLOSE => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

/// A frame as a client must send it. A mask of zeroes leaves the payload as it is.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match length {
        0..=125 => frame.push(0x80 | length as u8),
        126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The beginning of a frame that announces so many bytes.
fn announced(length: u64) -> Vec<u8> {
    let length = length.to_be_bytes();
    [&[FINAL | BINARY, 0x80 | 127], length.as_slice(), &[0; 4]].concat()
}

/// One of each kind.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let empty = |first: u8| masked(first, b"");
    let piece = vec![0; 200_000];
    vec![
        ("not masked", vec![FINAL | BINARY, 1, 0]),
        (
            "compressed",
            masked(FINAL | 0x40 | BINARY, &[0x4b, 0x04, 0x00]),
        ),
        ("second reserved bit", empty(FINAL | 0x20 | BINARY)),
        ("third reserved bit", empty(FINAL | 0x10 | BINARY)),
        ("unknown kind", empty(FINAL | 3)),
        ("unknown control", empty(FINAL | 11)),
        ("goes on with nothing", empty(FINAL)),
        (
            "begins in the middle",
            [masked(BINARY, b"x"), empty(FINAL | BINARY)].concat(),
        ),
        ("a ping in pieces", empty(PING)),
        ("a ping too long", masked(FINAL | PING, &[0; 126])),
        ("text", masked(FINAL | TEXT, b"{\"type\":\"register\"}")),
        ("text that is none", masked(FINAL | TEXT, b"\xff\xfe")),
        ("half of 2^63 bytes", announced(1 << 62)),
        ("more than 2^63 bytes", announced(u64::MAX)),
        ("a little too long", announced(1_114_113)),
        (
            "too long in pieces",
            [masked(BINARY, &piece), masked(0, &piece).repeat(6)].concat(),
        ),
        ("noise", (0..=255).cycle().skip(7).take(4096).collect()),
        (
            "a request",
            b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n".to_vec(),
        ),
        ("nothing in a frame", empty(FINAL | BINARY)),
    ]
}

async fn add(cluster: &Cluster) -> Result<()> {
    let job = cluster.api().add(2, 40)?;
    assert_eq!(cluster.api().result(&job, JOB_LIMIT).await?, json!(42));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_no_kind_ends_its_own_socket_and_a_tab_works_on() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let address = cluster.server.address()?;
    // In the middle of a frame, and of the close of a socket.
    let silent = [
        b"\x82".to_vec(),
        announced(100),
        masked(FINAL | CLOSE, &[3]),
    ];
    let waiting: Vec<_> = silent
        .into_iter()
        .map(|bytes| {
            tokio::spawn(async move { RawSocket::open(address).await?.close_code(&bytes).await })
        })
        .collect();
    for (what, bytes) in broken() {
        let socket = RawSocket::open(address).await?;
        assert!(
            !socket.answer.contains("sec-websocket-extensions"),
            "{}",
            socket.answer
        );
        let (code, _) = socket.close_code(&bytes).await?;
        assert_eq!(code, Some(POLICY), "{what}");
        let joined = RawSocket::joined(address, &cluster.api()).await?;
        let (code, _) = joined.close_code(&bytes).await?;
        assert_eq!(code, Some(POLICY), "{what}, after hello");
    }
    add(&cluster).await?;
    for socket in waiting {
        let (_, kept) = socket.await??;
        assert!(kept < GONE_WITHIN, "half a frame was waited for: {kept:?}");
    }
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_ends_its_own_socket_and_a_tab_works_on() -> Result<()> {
    let most = ("WS_MAX_MESSAGES_PER_WINDOW", "5000");
    let cluster = Cluster::start_with(|setup| setup.env(most.0, most.1)).await?;
    let tab = cluster.join().await?;
    let address = cluster.server.address()?;
    let credit = wire::encode(&ToServer::Credit { limit: 0 });
    let flood = masked(FINAL | BINARY, &credit).repeat(20_000);
    let pings = masked(FINAL | PING, b"").repeat(1_000);
    let joined = RawSocket::joined(address, &cluster.api()).await?;
    let flooding = tokio::spawn(async move { joined.close_code(&flood).await });
    add(&cluster).await?;
    assert_eq!(flooding.await??.0, Some(AGAIN));
    let stranger = RawSocket::open(address).await?;
    assert_eq!(stranger.close_code(&pings).await?.0, Some(AGAIN));
    add(&cluster).await?;
    tab.check_console(&[])?;
    cluster.close().await
}
