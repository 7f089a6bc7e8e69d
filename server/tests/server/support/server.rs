//! A server inside the test's process.

use server::Server;
use server::config::{Config, Given, settings};
use server::secrets::ServerSecrets;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Client, Worker};

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A server on a free port of the loopback address.
#[derive(Debug)]
pub(crate) struct TestServer {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) folder: TempDir,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With settings by name.
    pub(crate) async fn with(values: &[(&str, &str)]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), values).await
    }

    /// On a data folder that may have been used before.
    pub(crate) async fn on(folder: TempDir, values: &[(&str, &str)]) -> Self {
        let mut given = Given::default();
        let own = [
            ("DATA_DIR", folder.path().to_str().unwrap()),
            ("CLIENT_API_KEY", KEY),
            ("SHUTDOWN_GRACE_SEC", "1"),
        ];
        for (name, text) in own.iter().chain(values) {
            let setting = settings::ALL.iter().find(|setting| setting.name == *name);
            given.add(setting.expect("a known setting"), text);
        }
        let config = Config::new(&given).unwrap();
        let secrets = ServerSecrets::complete(&config).unwrap().secrets;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::start(config, &secrets, listener).await.unwrap();
        let url = server.url();
        let stop = CancellationToken::new();
        Self {
            client: Client::new(&url, KEY),
            url,
            folder,
            running: tokio::spawn(server.run(stop.clone())),
            stop,
        }
    }

    /// A worker that joined with a fresh invite.
    pub(crate) async fn worker(&self) -> Worker {
        Worker::join(&self.url, &self.client.invite().await).await
    }

    /// Stops it as a signal would; the data folder stays.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.folder
    }
}
