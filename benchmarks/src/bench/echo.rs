//! The physical baseline: the same bytes over the same kind of socket, and nothing else.
//!
//! Each client sends a frame as large as a result frame and waits for one as large as an
//! assignment: what remains of the server when signing, scheduling and storing cost nothing.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Bytes, Message};

#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// Bytes of an answer.
    #[arg(long)]
    answer_bytes: usize,
}

/// Frames of one direction each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameSizes {
    pub(crate) up: usize,
    pub(crate) down: usize,
}

/// Answers every frame with one of fixed size, until it is killed.
#[expect(clippy::print_stdout, reason = "the parent waits for the address")]
pub(crate) async fn serve(args: &ServerArgs) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answer = Bytes::from(vec![1_u8; args.answer_bytes]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(answer_all(stream, answer.clone()));
    }
}

async fn answer_all(stream: TcpStream, answer: Bytes) -> Result<()> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_binary() {
            socket.send(Message::Binary(answer.clone())).await?;
        }
    }
    Ok(())
}

/// Round trips a second of `clients` at once, for `time`.
pub(crate) async fn round_trips(clients: usize, sizes: FrameSizes, time: Duration) -> Result<f64> {
    let mut server = Command::new(std::env::current_exe()?)
        .args(["echo-server", "--answer-bytes", &sizes.down.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = server.stdout.take().context("stdout is piped")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    let address: SocketAddr = line
        .context("the echo server says where it listens")?
        .parse()?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(client(address, sizes.up, started + time));
    }
    let mut total = 0;
    while let Some(count) = tasks.join_next().await {
        total += count??;
    }
    let rate = total as f64 / started.elapsed().as_secs_f64();
    server.kill().await?;
    Ok(rate)
}

async fn client(address: SocketAddr, bytes: usize, until: Instant) -> Result<u64> {
    let (mut socket, _) =
        tokio_tungstenite::connect_async_with_config(format!("ws://{address}"), None, true).await?;
    let frame = Bytes::from(vec![1_u8; bytes]);
    let mut count = 0;
    while Instant::now() < until {
        socket.send(Message::Binary(frame.clone())).await?;
        socket.next().await.context("the echo server answers")??;
        count += 1;
    }
    Ok(count)
}
