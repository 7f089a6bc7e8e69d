//! Putting the parts together, and taking them apart again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use scheduler::SchedulerConfig;
use shared::envelope::KeyRing;
use shared::mnemonic::ClientKey;
use shared::secrets::Secrets;
use shared::wire::WorkerLimits;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppParts, PublicKey};
use crate::config::Config;
use crate::dispatch::{Dispatch, DispatchParts, MAX_LISTED};
use crate::edge;
use crate::gateway::{Gateway, GatewayParts, GatewaySettings, Presence};
use crate::instruments::Instruments;
use crate::invites::{InviteRules, InviteTerms, Invites};
use crate::keys::{SigningKey, SigningKeyError};
use crate::limits::Limits;
use crate::orders::Orders;
use crate::pages::Pages;
use crate::reach;
use crate::router::router;
use crate::session_token::SessionTokens;
use crate::signer::Signer;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Store, StoreError};

/// Time for sockets to hear that we stop, beyond the grace for requests.
const SOCKETS_GRACE: Duration = Duration::from_secs(3);

/// Why the server does not start. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No key to sign with.
    #[error(transparent)]
    SigningKey(#[from] SigningKeyError),
    /// No database.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// What is in the database cannot be read.
    #[error(
        "the database cannot be read: {0}; restore a backup, or set DATA_DIR to another folder"
    )]
    Read(#[from] StoreError),
    /// The listener has no address.
    #[error("cannot listen: {0}")]
    Listener(#[from] std::io::Error),
}

/// A server that is ready: jobs are loaded and connections wait to be taken.
#[derive(Debug)]
pub struct Server {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    rules: edge::Rules,
    dispatch_task: JoinHandle<()>,
    shutdown_grace: Duration,
}

impl Server {
    /// Checks the keys, opens the store and goes on with unfinished jobs.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: Config,
        secrets: &Secrets,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        let key = SigningKey::from_base64(&secrets.private_key_b64, &secrets.public_key_b64)?;
        let key = Arc::new(key);
        let presence = Presence::default();
        let store = SqliteStore::open(&config.data_dir, config.retention, presence.is_here())?;
        let clock = store.clock();
        let store: Arc<dyn Store> = Arc::new(store);
        let unfinished = store.unfinished_jobs().await?;
        let ended = store.ended_jobs(MAX_LISTED).await?;
        let address = listener.local_addr()?;
        tracing::info!(
            jobs = unfinished.len(),
            body.max_bytes = config.max_body_bytes,
            frame.max_bytes = config.max_frame_bytes,
            "starting"
        );
        let scheduler = SchedulerConfig {
            reclaim_ms: config.reclaim_ms,
            ..SchedulerConfig::default()
        };
        let instruments = Arc::new(Instruments::default());
        let signer = Signer::start(Arc::clone(&key));
        let orders = Arc::new(Orders::load(Arc::clone(&store), clock).await?);
        let (dispatch, dispatch_task) = Dispatch::start(
            scheduler,
            DispatchParts {
                signed_ttl_ms: config.signed_job_ttl_ms,
                clock,
                store: Arc::clone(&store),
                signer: signer.clone(),
                orders: Arc::clone(&orders),
                events: config.events,
                retention: config.retention,
                instruments: Arc::clone(&instruments),
            },
            (unfinished, ended),
        );
        let invites = Invites::load(
            Arc::clone(&store),
            Arc::clone(&orders),
            &secrets.worker_invite_secret,
            key.kid(),
            invite_rules(&config),
        );
        let invites = Arc::new(invites.await?);
        let tokens = Arc::new(SessionTokens::new(&secrets.worker_invite_secret));
        let parts = GatewayParts {
            clock,
            store: Arc::clone(&store),
            invites: Arc::clone(&invites),
            orders: Arc::clone(&orders),
            tokens: Arc::clone(&tokens),
            dispatch: dispatch.clone(),
            signer,
            instruments: Arc::clone(&instruments),
            keys: KeyRing::new(key.public().clone()),
            presence,
        };
        let gateway = Gateway::new(gateway_settings(&config), parts);
        let shutdown_grace = config.shutdown_grace;
        let rules = edge::Rules::new(
            config.trust_proxy.clone(),
            config.base_path.clone(),
            config.hsts.clone(),
        );
        let app = App::new(AppParts {
            limits: Limits::new(&config.base_path.to_ascii_lowercase(), config.api_rate),
            hsts: config.hsts,
            trust_proxy: config.trust_proxy,
            max_body_bytes: config.max_body_bytes,
            jobs: config.jobs,
            scheduler,
            signed_job_ttl_sec: config.signed_job_ttl_ms / 1000,
            signing_key: PublicKey {
                spki_b64: key.public().to_spki_b64(),
                kid: key.kid(),
            },
            invite_ttl_sec: config.invite_ttl_sec,
            clock,
            client_key: ClientKey::new(&secrets.client_api_key),
            invites,
            listener: address,
            orders,
            tokens,
            store,
            dispatch,
            streams: Default::default(),
            gateway: Arc::new(gateway),
            instruments,
            metrics_path: config.metrics_path,
            metrics_token: config.metrics_token.map(|token| ClientKey::new(&token.0)),
            pages: config.assets_dir.map_or(Pages::BuiltIn, Pages::Folder),
            base_path: config.base_path,
        });
        Ok(Self {
            app,
            listener,
            address,
            rules,
            dispatch_task,
            shutdown_grace,
        })
    }

    /// Where it listens, with the base path and without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.app.base_path)
    }

    /// As [`Self::url`], for a browser on this machine.
    pub fn local_url(&self) -> String {
        let address = reach::local(self.address);
        format!("http://{address}{}", self.app.base_path)
    }

    /// As [`Self::url`], for other devices of the network; `None` where that is not known.
    pub fn network_url(&self) -> Option<String> {
        let address = reach::in_network(self.address);
        let is_reachable = !address.ip().is_loopback();
        is_reachable.then(|| format!("http://{address}{}", self.app.base_path))
    }

    /// The shortest link of a fresh invite for the devices around, unless one was ever made: another
    /// would take its place.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn first_invite_url(&self) -> anyhow::Result<Option<String>> {
        let app = &self.app;
        if app.invites.were_made() {
            return Ok(None);
        }
        let now = app.clock.wall();
        let terms = InviteTerms {
            ttl_sec: app.invite_ttl_sec,
            ..InviteTerms::default()
        };
        let issued = app.invites.issue(now, terms).await?;
        let address = reach::in_network(self.address);
        let base = format!("http://{address}{}", app.base_path);
        Ok(Some(issued.urls(&base).shortest().to_owned()))
    }

    /// Serves until `stop`, then lets requests end, says bye to the workers, and writes what is
    /// queued.
    ///
    /// # Errors
    /// The listener fails, or a part of the server ended by itself.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            app,
            listener,
            rules,
            mut dispatch_task,
            shutdown_grace,
            ..
        } = self;
        let store = Arc::clone(&app.store);
        let jumps = tokio::spawn(app.clock.tell_jumps());
        let visits = tokio::spawn(Arc::clone(&app.gateway).note_visits());
        let mut served = tokio::spawn(edge::serve(
            listener,
            router(app.clone()),
            rules,
            stop.clone(),
        ));
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            _ = &mut served => anyhow::bail!("the accept loop has ended; see the log"),
            _ = &mut dispatch_task => anyhow::bail!("the dispatching task has ended; see the log"),
        }
        tracing::info!("stopping");
        jumps.abort();
        visits.abort();
        app.gateway.stop();
        app.dispatch.dismiss_all().await;
        let _ = tokio::time::timeout(shutdown_grace, &mut served).await;
        served.abort();
        let _ = tokio::time::timeout(SOCKETS_GRACE, app.gateway.closed()).await;
        drop(app);
        let _ = tokio::time::timeout(SOCKETS_GRACE, dispatch_task).await;
        store.close().await?;
        Ok(())
    }
}

/// Starts a server and runs it to its end.
///
/// # Errors
/// As [`Server::start`] and [`Server::run`].
pub async fn run(
    config: Config,
    secrets: &Secrets,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let server = Server::start(config, secrets, listener).await?;
    server.run(stop).await
}

const fn invite_rules(config: &Config) -> InviteRules {
    InviteRules {
        require_latest: config.invite_require_latest,
        code_length: config.invite_code_length,
        phrase_words: config.invite_phrase_words,
        max_kept: config.invite_max_active,
    }
}

fn gateway_settings(config: &Config) -> GatewaySettings {
    let within_u32 = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    GatewaySettings {
        limits: WorkerLimits {
            max_result_bytes: within_u32(config.jobs.max_result_bytes),
            max_frame_bytes: within_u32(config.max_frame_bytes),
            max_slots: config.max_slots,
        },
        allowed_origins: config.allowed_origins.clone(),
        max_greeting_per_address: config.max_greeting_per_address,
        message_rate: config.message_rate,
        ping_interval: config.ping_interval,
        ping_timeout: config.ping_timeout,
    }
}
