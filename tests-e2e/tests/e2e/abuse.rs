//! Connections that mean no good, against the real program, while a volunteer and a client go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benchmarks::process_stat::resident_bytes;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use tempfile::TempDir;
use tests_e2e::{ApiClient, ServerProcess, ServerSetup, artifacts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::{Cluster, JOB_LIMIT, KEY};

/// No abuser keeps a connection for longer.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// What calls of the API may take meanwhile at the 95th percentile, on a machine that is busy with
/// two browsers and the abuse itself. At rest it is about a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);
/// What the server may grow by from one wave of abuse to the next. If it kept what a wave takes, it
/// would be 25 MiB; the allocator needs some waves until it has all that it wants to keep.
const GROWTH_BYTES: u64 = 12 * 1024 * 1024;

/// Calls the API all the time; how long each call took.
struct Probe {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Vec<Duration>>>,
}

impl Probe {
    fn start(api: ApiClient) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let began = Instant::now();
                ensure!(
                    api.get("/api/auth/check")?.status == 200,
                    "a call was refused"
                );
                took.push(began.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(took)
        });
        Self { stop, thread }
    }

    /// Fails if calls were slow.
    async fn check(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread;
        let took = tokio::task::spawn_blocking(move || thread.join().expect("no panic")).await?;
        let mut took = took?;
        took.sort();
        let p95 = took[took.len() * 95 / 100];
        ensure!(
            p95 < PATIENCE,
            "{p95:?} at the 95th percentile of {}",
            took.len()
        );
        Ok(())
    }
}

/// Says nothing, or one byte of a head a second, until the server closes; how long that took.
async fn held(address: SocketAddr, head: &'static [u8]) -> Result<Duration> {
    let mut socket = TcpStream::connect(address).await?;
    let began = Instant::now();
    let mut bytes = head.iter().cycle();
    let mut answer = [0; 256];
    while began.elapsed() < 2 * GONE_WITHIN {
        match timeout(Duration::from_secs(1), socket.read(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return Ok(began.elapsed()),
            Ok(Ok(_)) => {}
            Err(_) => {
                if let Some(byte) = bytes.next() {
                    // A failure shows at the next read.
                    let _ = socket.write_all(&[*byte]).await;
                }
            }
        }
    }
    Ok(began.elapsed())
}

/// 500 slow heads and 2,000 silent connections at the same time; none is kept for long.
async fn wave_of_slow_connections(address: SocketAddr) -> Result<()> {
    let mut waiting = JoinSet::new();
    for number in 0..2_500 {
        let head: &[u8] = if number % 5 == 0 { b"GET /health" } else { b"" };
        waiting.spawn(held(address, head));
        if number % 100 == 99 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    while let Some(took) = waiting.join_next().await {
        let took = took??;
        ensure!(took < GONE_WITHIN, "a connection was kept for {took:?}");
    }
    Ok(())
}

async fn add(cluster: &Cluster) -> Result<()> {
    let job = cluster.api().add(2, 40)?;
    assert_eq!(cluster.api().result(&job, JOB_LIMIT).await?, json!(42));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_silent_connections_are_ended_and_disturb_nobody() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let address = cluster.server.address()?;
    let mut resident = Vec::new();
    for _ in 0..3 {
        let probe = Probe::start(cluster.api());
        let wave = tokio::spawn(wave_of_slow_connections(address));
        tokio::time::sleep(Duration::from_secs(2)).await;
        add(&cluster).await?;
        wave.await??;
        resident.push(resident_bytes(cluster.server.id())?);
        probe.check().await?;
    }
    let grown = resident[2].saturating_sub(resident[1]);
    assert!(grown < GROWTH_BYTES, "{resident:?}");
    add(&cluster).await?;
    tab.check_console(&[])?;
    cluster.close().await
}

/// Opens a worker socket and says nothing; the status of the answer, and how long the socket was
/// kept.
async fn silent_worker(address: SocketAddr) -> Result<(String, Duration)> {
    let mut socket = TcpStream::connect(address).await?;
    let head = format!(
        "GET /ws/worker HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: cluster.v1\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await?;
    let began = Instant::now();
    let mut answer = [0; 4096];
    let length = socket.read(&mut answer).await?;
    let status = String::from_utf8_lossy(&answer[9..length.clamp(9, 12)]).into_owned();
    if status != "101" {
        return Ok((status, Duration::ZERO));
    }
    while !matches!(
        timeout(2 * GONE_WITHIN, socket.read(&mut answer)).await?,
        Ok(0) | Err(_)
    ) {}
    Ok((status, began.elapsed()))
}

/// Asks whether the key is good, as a proxy would pass it on; the status.
fn passed_on(cluster: &Cluster, invented: &str, key: &str) -> Result<u16> {
    let request = ureq::get(format!("{}/api/auth/check", cluster.server.base()))
        .header("x-forwarded-for", format!("{invented}, 192.0.2.1"))
        .header("forwarded", format!("for={invented}"))
        .header("x-real-ip", invented)
        .header("x-client-token", key);
    let request = request.config().http_status_as_error(false).build();
    Ok(request.call()?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_addresses_get_nobody_past_a_limit() -> Result<()> {
    let cluster = Cluster::start_with(|setup| setup.env("TRUST_PROXY", "1")).await?;
    let tab = cluster.join().await?;
    let invented = |number: u8| match number % 4 {
        0 => "127.0.0.1".to_owned(),
        1 => "::1".to_owned(),
        2 => "unknown".to_owned(),
        _ => format!("203.0.113.{number}"),
    };
    for number in 0..30 {
        let status = passed_on(&cluster, &invented(number), "a wrong key")?;
        assert_eq!(status, 401, "{number}");
    }
    for number in 0..40 {
        let status = passed_on(&cluster, &invented(number), KEY)?;
        assert_eq!(status, 429, "0 of 40 succeed, whatever they try");
    }
    add(&cluster).await?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_handshakes_gets_few_seats_and_disturbs_nobody() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let address = cluster.server.address()?;
    let probe = Probe::start(cluster.api());
    let mut flood = JoinSet::new();
    for _ in 0..1_000 {
        flood.spawn(silent_worker(address));
    }
    add(&cluster).await?;
    let (mut seated, mut refused) = (0, 0);
    while let Some(worker) = flood.join_next().await {
        match worker?? {
            (status, kept) if status == "101" => {
                seated += 1;
                assert!(kept < GONE_WITHIN, "a silent worker was kept for {kept:?}");
            }
            (status, _) => {
                refused += 1;
                assert_eq!(status, "429");
            }
        }
    }
    assert_eq!(seated + refused, 1_000);
    // Twenty at a time; on a busy machine the last come when the first are gone.
    assert!((20..=60).contains(&seated), "{seated} had a seat");
    probe.check().await?;
    let other = cluster.join().await?;
    add(&cluster).await?;
    other.check_console(&[])?;
    tab.check_console(&[])?;
    cluster.close().await
}

/// Asks for the largest file again and again, and never reads.
async fn slow_reader(address: SocketAddr, asset: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut socket = socket.connect(address).await?;
    let head = format!("GET /assets/{asset} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    socket.write_all(head.repeat(100).as_bytes()).await?;
    Ok(socket)
}

fn open_files(server: &ServerProcess) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", server.id()))?.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_given_up() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let address = cluster.server.address()?;
    let dist = std::fs::read_dir(artifacts::root().join("dist"))?;
    let mut names = dist.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let asset = names.find(|name| name.starts_with("worker_bg") && name.ends_with(".wasm"));
    let asset = asset.context("the worker page has a WASM file")?;
    let probe = Probe::start(cluster.api());
    let before = open_files(&cluster.server)?;
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(slow_reader(address, &asset).await?);
    }
    let began = Instant::now();
    while open_files(&cluster.server)? < before + readers.len() {
        ensure!(began.elapsed() < GONE_WITHIN, "they are not all there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    add(&cluster).await?;
    while open_files(&cluster.server)? > before + 5 {
        ensure!(began.elapsed() < 3 * GONE_WITHIN, "they are still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let held = began.elapsed();
    assert!(
        held > Duration::from_secs(15),
        "a pause was taken for a stall: {held:?}"
    );
    probe.check().await?;
    add(&cluster).await?;
    tab.check_console(&[])?;
    cluster.close().await
}

/// Asks once over a connection that stays open; the status.
async fn ask(socket: &mut TcpStream, path: &str) -> Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\nx-client-token: {KEY}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let mut answer = [0; 4096];
    let length = socket.read(&mut answer).await?;
    ensure!(length > 12, "closed without an answer");
    Ok(String::from_utf8_lossy(&answer[9..12]).into_owned())
}

/// Whether the server has taken and answered it, or lets it wait.
async fn is_answered(socket: &mut TcpStream) -> bool {
    matches!(
        timeout(Duration::from_secs(1), ask(socket, "/health")).await,
        Ok(Ok(_))
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_file_limit_newcomers_wait_and_all_else_goes_on() -> Result<()> {
    const FILES: usize = 96;
    let data = TempDir::new()?;
    let program = artifacts::program("cluster-server")?;
    let command = format!("ulimit -n {FILES} && exec {}", program.display());
    let server = ServerSetup::new("/bin/sh".into(), data.path(), KEY)?
        .arg("-c")
        .arg(command)
        .start()?;
    let address = server.address()?;
    let mut sockets = Vec::new();
    for _ in 0..40 {
        sockets.push(TcpStream::connect(address).await?);
    }
    let mut answered = 0;
    for socket in &mut sockets {
        answered += usize::from(is_answered(socket).await);
        if answered == FILES - 64 {
            break;
        }
    }
    assert_eq!(answered, FILES - 64, "all but a reserve");
    let (inside, waiting) = sockets.split_at_mut(answered);
    assert!(!is_answered(&mut waiting[0]).await, "the next one waits");
    let unknown = "/api/jobs/00000000-0000-4000-8000-000000000000";
    assert_eq!(
        ask(&mut inside[0], unknown).await?,
        "404",
        "the store is read"
    );
    inside[1].shutdown().await?;
    // What it asked while it waited is answered by itself.
    let mut answer = [0; 4096];
    let length = timeout(GONE_WITHIN, waiting[0].read(&mut answer)).await??;
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_files_to_spare_makes_newcomers_wait_and_nothing_end() -> Result<()> {
    let data = TempDir::new()?;
    let server = crate::cluster::setup(&data)?.start()?;
    let address = server.address()?;
    let mut inside = TcpStream::connect(address).await?;
    assert_eq!(ask(&mut inside, "/health").await?, "200");
    let pid = Pid::from_raw(i32::try_from(server.id())?).context("a process")?;
    let limited = Rlimit {
        current: Some(1),
        ..getrlimit(Resource::Nofile)
    };
    let usual = prlimit(Some(pid), Resource::Nofile, limited)?;
    let mut newcomer = TcpStream::connect(address).await?;
    assert!(!is_answered(&mut newcomer).await, "there is no file for it");
    assert_eq!(ask(&mut inside, "/health").await?, "200");
    prlimit(Some(pid), Resource::Nofile, usual)?;
    let mut answer = [0; 4096];
    let length = timeout(GONE_WITHIN, newcomer.read(&mut answer)).await??;
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    assert!(server.log().contains("no connection can be taken"));
    Ok(())
}
