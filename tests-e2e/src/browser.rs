//! A headless browser with a profile of its own, started and ended by us.
//!
//! Lives here: what is the same for every browser. Not here: how each is found and started
//! (`chromium`, `firefox`), and the protocols that they speak (`cdp`, `bidi`).

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use crate::bidi::BidiBrowser;
use crate::cdp::CdpBrowser;
use crate::page::{Page, Tab};
use crate::process::OwnedProcess;
use crate::{chromium, firefox};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The browsers that can be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrowserKind {
    /// Chromium or Chrome, by the DevTools protocol.
    Chromium,
    /// Firefox, by WebDriver BiDi.
    Firefox,
}

impl BrowserKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Chromium, Self::Firefox];

    /// The program to use: what the environment variable names if it is set, otherwise the first
    /// that is installed.
    pub fn find(self) -> Option<PathBuf> {
        let installation = self.installation();
        if let Some(path) = env::var_os(installation.variable) {
            return Some(path.into()).filter(|path: &PathBuf| path.is_file());
        }
        installation.find()
    }

    /// What to say where there is none.
    pub fn how_to_get(self) -> &'static str {
        match self {
            Self::Chromium => "install Chromium or Chrome, or set CHROMIUM to its path",
            Self::Firefox => "install Firefox, or set FIREFOX to its path",
        }
    }

    /// The package of a Debian-like system that has it.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox-esr",
        }
    }

    const fn installation(self) -> &'static Installation {
        match self {
            Self::Chromium => &chromium::INSTALLATION,
            Self::Firefox => &firefox::INSTALLATION,
        }
    }

    fn command(self, program: &Path, profile: &Path) -> Result<Command> {
        let mut command = Command::new(program);
        match self {
            Self::Chromium => chromium::prepare(&mut command, profile),
            Self::Firefox => firefox::prepare(&mut command, profile)?,
        }
        let scratch = profile.join("tmp");
        std::fs::create_dir(&scratch)?;
        command
            .env("TMPDIR", scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Ok(command)
    }
}

/// Where a browser may be, and how to tell that it has started.
#[derive(Debug)]
pub(crate) struct Installation {
    /// The environment variable that names another.
    pub(crate) variable: &'static str,
    /// Names of programs, the usual first.
    pub(crate) names: &'static [&'static str],
    /// Whole paths, for systems that install programs outside of the search path.
    pub(crate) paths: &'static [&'static str],
    /// What it prints before its debugging address.
    pub(crate) announcement: &'static str,
}

impl Installation {
    fn find(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&path).collect();
        let in_path = self
            .names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        in_path
            .chain(self.paths.iter().map(PathBuf::from))
            .find(|candidate| candidate.is_file())
    }
}

#[derive(Debug)]
enum Control {
    Cdp(CdpBrowser),
    Bidi(BidiBrowser),
}

/// A running browser. Dropping it ends every process of it and removes its profile.
#[derive(Debug)]
pub struct Browser {
    control: Control,
    process: OwnedProcess,
    profile: TempDir,
}

impl Browser {
    /// Starts the browser that [`BrowserKind::find`] finds, with a fresh profile.
    ///
    /// # Errors
    /// No such browser is there, it does not start, or it does not open its debugging address within
    /// a minute.
    pub async fn launch(kind: BrowserKind) -> Result<Self> {
        let program = kind
            .find()
            .with_context(|| format!("there is none: {}", kind.how_to_get()))?;
        let profile = TempDir::with_prefix("cluster-browser-")?;
        let mut process = OwnedProcess::spawn(&mut kind.command(&program, profile.path())?)
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stderr = process.child_mut().stderr.take();
        let stderr = stderr.expect("stderr is piped in command()");
        let announcement = kind.installation().announcement;
        let url = tokio::task::spawn_blocking(move || announced(stderr, announcement)).await??;
        let control = match kind {
            BrowserKind::Chromium => Control::Cdp(CdpBrowser::connect(&url).await?),
            BrowserKind::Firefox => Control::Bidi(BidiBrowser::connect(&url).await?),
        };
        Ok(Self {
            control,
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
        let profile = match &self.control {
            Control::Cdp(browser) => browser.new_profile().await?,
            Control::Bidi(browser) => browser.new_profile().await?,
        };
        self.open_in(Some(profile), url).await
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
        self.open_in(page.profile().map(str::to_owned), url).await
    }

    async fn open_in(&self, profile: Option<String>, url: &str) -> Result<Page> {
        let (tab, console) = match &self.control {
            Control::Cdp(browser) => {
                let (tab, console) = browser.new_tab(profile.as_deref()).await?;
                (Tab::Cdp(tab), console)
            }
            Control::Bidi(browser) => {
                let (tab, console) = browser.new_tab(profile.as_deref()).await?;
                (Tab::Bidi(tab), console)
            }
        };
        let page = Page::new(tab, profile, console);
        page.goto(url).await?;
        Ok(page)
    }

    /// The process id of the browser, which is the id of its process group too.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How much of one processor its living processes use, on average over `window`.
    ///
    /// # Errors
    /// The system does not tell.
    pub async fn processor_share(&self, window: Duration) -> Result<f64> {
        let (before, started) = (self.process.processor_time_of_group()?, Instant::now());
        tokio::time::sleep(window).await;
        let used = self.process.processor_time_of_group()?;
        let used = used.saturating_sub(before);
        Ok(used.as_secs_f64() / started.elapsed().as_secs_f64())
    }

    /// Stops all of it for a time, as a device that sleeps.
    ///
    /// # Errors
    /// It has ended.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        Ok(self.process.freeze_group(time)?)
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
        match &self.control {
            Control::Cdp(browser) => browser.close(),
            Control::Bidi(browser) => browser.close(),
        }
        tokio::task::spawn_blocking(move || {
            self.process.wait_for(STOP_GRACE)?;
            self.process.kill()?;
            Ok(())
        })
        .await?
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The profile can be removed for good only when nobody writes to it any more.
        let _ = self.process.kill();
    }
}

/// Reads what the browser prints until it names its debugging address, and goes on reading so that
/// its pipe never fills.
fn announced(stderr: impl Read + Send + 'static, announcement: &str) -> Result<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // After the address nobody listens any more.
            let _ = sender.send(line);
        }
    });
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(START_LIMIT) {
            Ok(line) => match line.split_once(announcement) {
                Some((_, url)) => return Ok(url.trim().to_owned()),
                None => seen.push(line),
            },
            Err(_) => return Err(anyhow!("the browser did not start:\n{}", seen.join("\n"))),
        }
    }
}
