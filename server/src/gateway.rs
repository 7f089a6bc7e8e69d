//! The workers' sockets: who may open one, and the task behind each.
//!
//! Lives here: the upgrade. Not here: who may join (`gateway/admission`), what a socket does
//! (`gateway/connection`), and what is run (`dispatch`). A worker's mistake closes its own socket
//! and nothing else.

mod admission;
mod connection;
mod heartbeat;
mod outbox;
mod pace;
mod presence;
mod results;
mod seats;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use shared::envelope::KeyRing;
use shared::wire::{SUBPROTOCOL, WorkerLimits};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::ApiError;
use crate::app::App;
use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::instruments::Instruments;
use crate::intake::Intake;
use crate::invites::Invites;
use crate::limits::RateLimit;
use crate::orders::Orders;
use crate::proxy::{Authority, Caller};
use crate::session_token::SessionTokens;
use crate::signer::Signer;
use crate::store::Store;
use seats::Seats;

pub(crate) use outbox::Outbox;
#[cfg(test)]
pub(crate) use outbox::outbox;
pub(crate) use presence::Presence;

/// Accuracy with which it is known since when a worker is away.
const VISIT_INTERVAL: Duration = Duration::from_secs(3600);
/// Workers that are noted together.
const VISITS: usize = 1024;

/// What every socket needs.
#[derive(Debug)]
pub(crate) struct Gateway {
    settings: GatewaySettings,
    clock: Clock,
    store: Arc<dyn Store>,
    invites: Arc<Invites>,
    orders: Arc<Orders>,
    tokens: Arc<SessionTokens>,
    dispatch: Dispatch,
    signer: Signer,
    instruments: Arc<Instruments>,
    /// Our own keys, to check tickets.
    keys: KeyRing,
    presence: Presence,
    seats: Seats,
    next_connection: AtomicU64,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// Settings of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySettings {
    /// What workers are told.
    pub limits: WorkerLimits,
    /// Foreign origins that may connect, in lower case.
    pub allowed_origins: Vec<String>,
    /// Sockets of one address that have not said a valid hello.
    pub max_greeting_per_address: usize,
    /// Messages of one socket.
    pub message_rate: RateLimit,
    /// Time between pings.
    pub ping_interval: Duration,
    /// Time for the answer, and for a frame to be taken.
    pub ping_timeout: Duration,
}

/// What the gateway works with.
#[derive(Debug)]
pub(crate) struct GatewayParts {
    /// Clocks.
    pub clock: Clock,
    /// Worker identities.
    pub store: Arc<dyn Store>,
    /// Who was invited.
    pub invites: Arc<Invites>,
    /// Who shall not be here.
    pub orders: Arc<Orders>,
    /// Who was here before.
    pub tokens: Arc<SessionTokens>,
    /// Who owns the scheduler.
    pub dispatch: Dispatch,
    /// Who signs times.
    pub signer: Signer,
    /// Instruments.
    pub instruments: Arc<Instruments>,
    /// Keys that tickets may be signed with.
    pub keys: KeyRing,
    /// Who is here.
    pub presence: Presence,
}

impl Gateway {
    /// A gateway without sockets.
    pub(crate) fn new(settings: GatewaySettings, parts: GatewayParts) -> Self {
        let seats = Seats::new(settings.max_greeting_per_address);
        Self {
            settings,
            clock: parts.clock,
            store: parts.store,
            invites: parts.invites,
            orders: parts.orders,
            tokens: parts.tokens,
            dispatch: parts.dispatch,
            signer: parts.signer,
            instruments: parts.instruments,
            keys: parts.keys,
            presence: parts.presence,
            seats,
            next_connection: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Has the store note who is here, now and then, until it is aborted.
    pub(crate) async fn note_visits(self: Arc<Self>) {
        loop {
            tokio::time::sleep(VISIT_INTERVAL).await;
            for workers in self.presence.workers().chunks(VISITS) {
                if let Err(error) = self.store.note_visits(workers.to_vec()).await {
                    tracing::debug!("who is here is not noted: {error}");
                }
            }
        }
    }

    /// Says bye to sockets that have not said hello, and to those that still come.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Resolves when every socket is closed, and none is opened afterwards.
    pub(crate) async fn closed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Numbers sockets, so that a late word about one is not taken for its successor's.
    fn number(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a page of this origin may open a socket here. A native client sends none.
    fn allows_origin(&self, headers: &HeaderMap, own: &Authority) -> bool {
        let mut lines = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = lines.next() else {
            return true;
        };
        let (Ok(origin), None) = (origin.to_str(), lines.next()) else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        let parts = origin.split_once("://");
        parts.is_some_and(|(scheme, authority)| own.is(scheme, authority))
            || self.settings.allowed_origins.contains(&origin)
    }
}

/// `GET <BASE_PATH>/ws/worker`.
pub(crate) async fn open(
    State(app): State<App>,
    caller: Caller,
    intake: Option<Extension<Intake>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let gateway = Arc::clone(&app.gateway);
    if !gateway.allows_origin(&headers, &Authority::of(&headers, caller)) {
        return Err(ApiError::ForeignOrigin);
    }
    let upgrade = upgrade.map_err(|_| ApiError::NotAWorkerSocket)?;
    let most = gateway.settings.limits.max_frame_bytes as usize;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_frame_size(most)
        .max_message_size(most);
    if upgrade.selected_protocol().is_none() {
        return Err(ApiError::NotAWorkerSocket);
    }
    let Extension(intake) = intake.unwrap_or_default();
    let seat = gateway
        .seats
        .enter(caller, intake)
        .ok_or(ApiError::TooManySockets)?;
    Ok(upgrade.on_upgrade(move |socket| {
        let tasks = gateway.tasks.clone();
        tasks.track_future(connection::serve(gateway, socket, seat))
    }))
}
