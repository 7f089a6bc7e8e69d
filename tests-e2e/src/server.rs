//! The real server binary as a process: start, kill, start again where it was.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::api::ApiClient;
use crate::process::OwnedProcess;
use crate::secrets::{Guard, SETTINGS, Secrets};

/// How long a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to stop in order.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// Lines of its output that are kept for a report.
const KEPT_LINES: usize = 200;

/// A port of the loopback address that was free a moment ago.
///
/// # Errors
/// No port is free.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// How a server is to be started.
#[derive(Debug, Clone)]
pub struct ServerSetup {
    binary: PathBuf,
    data_dir: PathBuf,
    port: u16,
    key: String,
    variables: Vec<(OsString, OsString)>,
    arguments: Vec<OsString>,
}

impl ServerSetup {
    /// `binary` on a free port of the loopback address, with `data_dir` and the client key `key`.
    ///
    /// # Errors
    /// No port is free.
    pub fn new(binary: PathBuf, data_dir: &Path, key: &str) -> Result<Self> {
        Ok(Self {
            binary,
            data_dir: data_dir.to_owned(),
            port: free_port()?,
            key: key.to_owned(),
            variables: Vec::new(),
            arguments: Vec::new(),
        })
    }

    /// On this port instead.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// With an environment variable more.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// With an argument more.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The secrets that it gives to the server.
    pub fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("CLIENT_API_KEY", &self.key);
        for (name, value) in &self.variables {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
                && SETTINGS.contains(&name)
            {
                secrets.add(name, value);
            }
        }
        secrets
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOST", "127.0.0.1")
            .env("PORT", self.port.to_string())
            .env("DATA_DIR", &self.data_dir)
            .env("CLIENT_API_KEY", &self.key)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(&self.arguments)
            .current_dir(&self.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it and waits until it says where it listens.
    ///
    /// # Errors
    /// It ended, or did not listen within a minute; the text holds what it printed.
    pub fn start(self) -> Result<ServerProcess> {
        let (process, base, log) = start(&self)?;
        Ok(ServerProcess {
            setup: self,
            process,
            base,
            log,
        })
    }

    /// Runs it to its end, which is expected to come by itself: `--help`, a refused setting.
    ///
    /// # Errors
    /// It cannot be started, still runs after a minute, or complains with a secret in its words.
    pub fn run_to_end(&self) -> Result<Ended> {
        let mut process = OwnedProcess::spawn(&mut self.command())?;
        let stdout = drain(process.child_mut().stdout.take());
        let stderr = drain(process.child_mut().stderr.take());
        let status = process.wait_for(START_LIMIT)?;
        let status = status.with_context(|| format!("it still runs after {START_LIMIT:?}"))?;
        let stderr = stderr.join().unwrap_or_default();
        if let Some(secret) = self.secrets().find_in_log(&stderr) {
            bail!("it wrote {secret}: {stderr}");
        }
        Ok(Ended {
            status,
            stdout: stdout.join().unwrap_or_default(),
            stderr,
        })
    }
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// A running server. Dropping it kills it, and fails if anything that it wrote held a secret.
#[derive(Debug)]
pub struct ServerProcess {
    setup: ServerSetup,
    process: OwnedProcess,
    base: String,
    log: Log,
}

impl ServerProcess {
    /// Origin and base path, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Where it listens.
    ///
    /// # Errors
    /// It listens on no address.
    pub fn address(&self) -> Result<SocketAddr> {
        let authority = self.base.strip_prefix("http://");
        let authority = authority.and_then(|rest| rest.split('/').next());
        Ok(authority.context("an http address")?.parse()?)
    }

    /// A client with the server's key.
    pub fn api(&self) -> ApiClient {
        ApiClient::new(&self.base, &self.setup.key)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines of its output, both streams.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// Those of asking the system.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_none())
    }

    /// `kill -9`: no chance to finish anything.
    ///
    /// # Errors
    /// Those of ending a process.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// Stops it in its tracks for a time, as a machine does that is suspended.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self, time: Duration) -> Result<()> {
        Ok(self.process.freeze(time)?)
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// As [`ServerSetup::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.process.kill()?;
        self.log.check();
        let (process, base, log) = start(&self.setup)?;
        self.process = process;
        self.base = base;
        self.log.append(&log);
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and returns how it ended.
    ///
    /// # Errors
    /// Those of ending a process.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        Ok(self.process.stop(STOP_GRACE)?)
    }
}

impl Drop for ServerProcess {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what its server said"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server said:\n{}", self.log());
            return;
        }
        let _ = self.process.kill();
        self.log.check();
    }
}

fn start(setup: &ServerSetup) -> Result<(OwnedProcess, String, Log)> {
    let mut process = OwnedProcess::spawn(&mut setup.command())
        .with_context(|| format!("cannot start {}", setup.binary.display()))?;
    let log = Log::new(Guard::new(setup.secrets(), &setup.data_dir));
    let (sender, addresses) = mpsc::channel();
    let child = process.child_mut();
    log.follow(child.stdout.take(), Some(sender));
    log.follow(child.stderr.take(), None);
    let base = listening_address(&addresses)
        .map_err(|error| anyhow!("{error}; it said:\n{}", log.text()))?;
    Ok((process, base, log))
}

fn listening_address(addresses: &Receiver<String>) -> Result<String> {
    addresses
        .recv_timeout(START_LIMIT)
        .map_err(|_| anyhow!("the server ended or did not listen within {START_LIMIT:?}"))
}

/// The last lines that a process printed, and whether any held a secret.
#[derive(Debug, Clone)]
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    guard: Arc<Mutex<Guard>>,
}

impl Log {
    fn new(guard: Guard) -> Self {
        Self {
            lines: Arc::default(),
            guard: Arc::new(Mutex::new(guard)),
        }
    }

    /// Fails if a line held a secret.
    fn check(&self) {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let leaks = guard.leaks();
        assert!(
            leaks.is_empty(),
            "the server wrote secrets:\n{}",
            leaks.join("\n")
        );
    }

    fn follow(&self, pipe: Option<impl Read + Send + 'static>, addresses: Option<Sender<String>>) {
        let (log, pipe) = (self.clone(), pipe.expect("output is piped in command()"));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let address = line.strip_prefix("Listening on ");
                if let (Some(sender), Some(address)) = (&addresses, address) {
                    // Only the first is waited for. One that listens everywhere is on loopback, too.
                    let address = address.trim().replacen("//0.0.0.0:", "//127.0.0.1:", 1);
                    let _ = sender.send(address.trim_end_matches('/').to_owned());
                }
                log.push(line);
            }
        });
    }

    fn push(&self, line: String) {
        self.guard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .look_at(&line);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn append(&mut self, next: &Self) {
        let earlier = std::mem::replace(self, next.clone());
        let mut earlier =
            std::mem::take(&mut *earlier.lines.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.extend(lines.drain(..));
        *lines = earlier;
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    let mut pipe = pipe.expect("output is piped in command()");
    std::thread::spawn(move || {
        let mut text = String::new();
        // What could not be read is missed by the test that looks for it.
        let _ = pipe.read_to_string(&mut text);
        text
    })
}
