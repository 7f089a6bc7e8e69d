//! A headless Chromium with a profile of its own, started and ended by us.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::cdp::{Cdp, CdpEvent};
use crate::page::{Console, Page};
use crate::process::{OwnedProcess, is_root};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Without a first-run page, background traffic, or anything else that a test would have to expect.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--mute-audio",
    "--password-store=basic",
    "--window-size=1280,900",
    "--remote-debugging-port=0",
];

const NAMES: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
];

const MAC_PATHS: &[&str] = &[
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// The browser to use: `CHROMIUM` if set, otherwise the first Chromium or Chrome that is installed.
pub fn find() -> Option<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        return Some(path.into()).filter(|path: &PathBuf| path.is_file());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let in_path = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    in_path
        .chain(MAC_PATHS.iter().map(PathBuf::from))
        .find(|candidate| candidate.is_file())
}

/// What belongs to which tab: sessions of a tab and of the workers and frames in it.
type Consoles = Arc<Mutex<HashMap<String, Console>>>;

/// A running browser. Dropping it ends every process of it and removes its profile.
#[derive(Debug)]
pub struct Chromium {
    cdp: Cdp,
    consoles: Consoles,
    process: OwnedProcess,
    profile: TempDir,
}

impl Chromium {
    /// Starts the browser that [`find`] finds.
    ///
    /// # Errors
    /// No browser is there, or it does not start.
    pub async fn launch() -> Result<Self> {
        let path = find().context("no Chromium or Chrome found; install one or set CHROMIUM")?;
        Self::launch_at(&path).await
    }

    /// Starts the browser at `path` with a fresh profile.
    ///
    /// # Errors
    /// It cannot be started, or does not open its debugging address within a minute.
    pub async fn launch_at(path: &Path) -> Result<Self> {
        let profile = TempDir::with_prefix("cluster-chromium-")?;
        let mut process = OwnedProcess::spawn(&mut command(path, profile.path())?)
            .with_context(|| format!("cannot start {}", path.display()))?;
        let stderr = process.child_mut().stderr.take();
        let stderr = stderr.expect("stderr is piped in command()");
        let url = tokio::task::spawn_blocking(|| debugging_address(stderr)).await??;
        let (sender, events) = mpsc::unbounded_channel();
        let cdp = Cdp::connect(&url, sender).await?;
        let consoles = Consoles::default();
        tokio::spawn(sort_events(events, cdp.clone(), Arc::clone(&consoles)));
        Ok(Self {
            cdp,
            consoles,
            process,
            profile,
        })
    }

    /// Opens `url` in a tab that shares nothing (cookies, storage, cache) with other tabs, as if on
    /// another device.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn open_isolated(&self, url: &str) -> Result<Page> {
        let context = self
            .cdp
            .call(None, "Target.createBrowserContext", json!({}))
            .await?;
        self.open_in(context["browserContextId"].as_str(), url)
            .await
    }

    /// Opens `url` in a tab of the browser's own profile.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn open(&self, url: &str) -> Result<Page> {
        self.open_in(None, url).await
    }

    /// Opens `url` in a tab of the same profile as `page`.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn open_beside(&self, page: &Page, url: &str) -> Result<Page> {
        self.open_in(page.context(), url).await
    }

    async fn open_in(&self, context: Option<&str>, url: &str) -> Result<Page> {
        let mut params = json!({"url": "about:blank"});
        if let Some(context) = context {
            params["browserContextId"] = context.into();
        }
        let created = self.cdp.call(None, "Target.createTarget", params).await?;
        let target = text(&created, "targetId")?;
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.cdp.call(None, "Target.attachToTarget", attach).await?;
        let session = text(&attached, "sessionId")?;
        let console = Console::default();
        lock(&self.consoles).insert(session.clone(), console.clone());
        let page = Page::new(
            self.cdp.clone(),
            session,
            target,
            context.map(str::to_owned),
            console,
        );
        page.watch().await?;
        page.goto(url).await?;
        Ok(page)
    }

    /// The process id of the browser.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where its profile lies.
    pub fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// Closes the browser in order: tabs unload, then every process of it ends.
    ///
    /// # Errors
    /// Those of ending a process.
    pub async fn close(mut self) -> Result<()> {
        // An answer may not come any more; the process tells.
        self.cdp.notify(None, "Browser.close", json!({}));
        tokio::task::spawn_blocking(move || {
            self.process.wait_for(STOP_GRACE)?;
            self.process.kill()?;
            Ok(())
        })
        .await?
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The profile can be removed for good only when nobody writes to it any more.
        let _ = self.process.kill();
    }
}

fn command(path: &Path, profile: &Path) -> Result<Command> {
    let scratch = profile.join("tmp");
    std::fs::create_dir(&scratch)?;
    let mut command = Command::new(path);
    command
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.display()))
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if is_root() {
        // Chromium refuses to run as root with its own process sandbox.
        command.arg("--no-sandbox");
    }
    command.arg("about:blank");
    Ok(command)
}

/// Reads what the browser prints until it names its debugging address, and goes on reading so that
/// its pipe never fills.
fn debugging_address(stderr: impl std::io::Read + Send + 'static) -> Result<String> {
    let (sender, lines) = std_mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // After the address nobody listens any more.
            let _ = sender.send(line);
        }
    });
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(START_LIMIT) {
            Ok(line) => match line.split_once("DevTools listening on ") {
                Some((_, url)) => return Ok(url.trim().to_owned()),
                None => seen.push(line),
            },
            Err(_) => return Err(anyhow!("the browser did not start:\n{}", seen.join("\n"))),
        }
    }
}

/// Attaches to what appears inside tabs, and files what is printed under the tab it came from.
async fn sort_events(mut events: mpsc::UnboundedReceiver<CdpEvent>, cdp: Cdp, consoles: Consoles) {
    while let Some(event) = events.recv().await {
        let Some(session) = event.session.as_deref() else {
            continue;
        };
        let console = lock(&consoles).get(session).cloned();
        let Some(console) = console else { continue };
        if event.method == "Target.attachedToTarget" {
            if let Some(child) = event.params["sessionId"].as_str() {
                lock(&consoles).insert(child.to_owned(), console);
                let kind = event.params["targetInfo"]["type"].as_str();
                attach_inside(&cdp, child, kind.unwrap_or_default());
            }
        } else {
            console.record(&event.method, &event.params);
        }
    }
}

/// Watches a worker or frame of a tab. Workers inside the sandbox frame are left alone: job code
/// runs there, undisturbed, as it does at home.
fn attach_inside(cdp: &Cdp, session: &str, kind: &str) {
    for (method, params) in crate::page::WATCH {
        cdp.notify(Some(session), method, params());
    }
    if kind == "worker" {
        cdp.notify(Some(session), "Target.setAutoAttach", auto_attach());
    }
    cdp.notify(Some(session), "Runtime.runIfWaitingForDebugger", json!({}));
}

/// What makes the browser tell of workers and frames before their first line runs.
pub(crate) fn auto_attach() -> Value {
    json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true})
}

fn text(answer: &Value, name: &str) -> Result<String> {
    let text = answer[name].as_str();
    Ok(text
        .with_context(|| format!("no {name} in {answer}"))?
        .to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
