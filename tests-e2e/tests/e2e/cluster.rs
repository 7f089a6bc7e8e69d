//! A server of a test's own, with its data, and a browser for the volunteers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests_e2e::{
    ApiClient, Browser, BrowserKind, ServerProcess, ServerSetup, WorkerTab, artifacts,
};

/// The client key of every test server: 32 bytes as base64url.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Longest time that a job of a test may take on a busy machine.
pub(crate) const JOB_LIMIT: Duration = Duration::from_secs(180);

/// What Chromium itself prints of a server that is away.
pub(crate) const AWAY: &[&str] = &[
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "WebSocket connection to",
];

/// A server and a browser, both ended with it.
pub(crate) struct Cluster {
    pub(crate) server: ServerProcess,
    pub(crate) browser: Browser,
    /// Removed after the server has ended.
    data: TempDir,
}

impl Cluster {
    /// A server as it is by default, and a Chromium.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(|setup| setup).await
    }

    /// A server with settings of one's own, and a Chromium.
    pub(crate) async fn start_with(
        change: impl FnOnce(ServerSetup) -> ServerSetup,
    ) -> Result<Self> {
        Self::start_in(BrowserKind::Chromium, change).await
    }

    /// A server with settings of one's own, and a browser of this kind.
    pub(crate) async fn start_in(
        kind: BrowserKind,
        change: impl FnOnce(ServerSetup) -> ServerSetup,
    ) -> Result<Self> {
        let data = TempDir::with_prefix("cluster-test-")?;
        let server = change(setup(&data)?).start()?;
        Ok(Self {
            server,
            browser: Browser::launch(kind).await?,
            data,
        })
    }

    /// Where the server keeps its data.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn api(&self) -> ApiClient {
        self.server.api()
    }

    /// One volunteer who has opened an invite and pressed Start.
    pub(crate) async fn join(&self) -> Result<WorkerTab> {
        let invite = self.api().invite_url()?;
        WorkerTab::join(&self.browser, &invite).await
    }

    /// Two volunteers with the same invite, as two devices.
    pub(crate) async fn join_two(&self) -> Result<[WorkerTab; 2]> {
        let invite = self.api().invite_url()?;
        let tabs = [
            WorkerTab::join(&self.browser, &invite).await?,
            WorkerTab::join(&self.browser, &invite).await?,
        ];
        self.api().joined(2, Duration::from_secs(30)).await?;
        Ok(tabs)
    }

    /// Ends the browser in order.
    pub(crate) async fn close(self) -> Result<()> {
        self.browser.close().await
    }
}

/// A server with fresh data in `data`, not yet started. It logs all that it can, in which no secret
/// may be found.
pub(crate) fn setup(data: &TempDir) -> Result<ServerSetup> {
    let program = artifacts::program("cluster-server")?;
    Ok(ServerSetup::new(program, data.path(), KEY)?.env("LOG_LEVEL", "trace"))
}

/// A single run of `code`.
pub(crate) fn single(code: &str) -> Value {
    json!({"code": code})
}

/// A sharded run of `code`, its hits and samples summed.
pub(crate) fn sharded(code: &str, units: u64, units_per_shard: u64) -> Value {
    json!({
        "code": code,
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": units, "unitsPerShard": units_per_shard},
        "reducer": {"type": "sum", "fields": ["hits", "samples"]},
    })
}

/// `examples/pi-sharded.js`.
pub(crate) fn pi_script() -> Result<String> {
    let path = artifacts::root().join("examples/pi-sharded.js");
    Ok(std::fs::read_to_string(path)?)
}

/// A member of an answer that must be a text.
pub(crate) fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str> {
    let text = answer[name].as_str();
    text.with_context(|| format!("no {name} in {answer}"))
}
