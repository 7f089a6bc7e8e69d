//! The accept loop: who may connect, and what a connection must do in which time.
//!
//! Lives here: connections of TCP and HTTP. Not here: what is asked over them (`router`), what a
//! worker's socket does after its upgrade (`gateway`), and how much an address may ask (`limits`). A
//! connection that is refused here is closed without a word. At the file limit nobody new is taken
//! until somebody leaves: what is there goes on.

mod file_limit;
mod own_words;
mod timed_io;
mod unreadable;

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Request as HttpRequest, StatusCode};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::address::AddressBlock;
use crate::app;
use crate::config::Hsts;
use crate::intake::Intake;
use crate::limits::{Place, Places};
use crate::proxy::{Caller, ProxyTrust};
use own_words::{Answer, OwnWords, Rephrase, Turn, Turns};
use timed_io::TimedIo;

pub use file_limit::raise_file_limit;

/// Time for the head of a request, also of the next one on a connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a head that is still not complete; it is answered 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Connections of one address that are not a worker's socket, unless it is a proxy's: a classroom
/// with six connections a browser, and room.
const MAX_PER_ADDRESS: usize = 512;
/// Connections that may wait to be taken. Beyond it the system forgets some whose peers believe that
/// they are connected, so it is more than a flood brings in the time in which none is taken; the
/// system may allow less.
const BACKLOG: i32 = 4_096;
/// Pause when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// A peer that is silent for so long is asked whether it is there, and then every
/// [`KEEP_ALIVE_INTERVAL`]; without an answer to [`KEEP_ALIVE_PROBES`] it is gone.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_PROBES: u32 = 3;

/// What connections are held to.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Connections in all, workers' sockets among them.
    pub max_connections: usize,
    /// Connections of one address.
    pub max_per_address: usize,
    /// Time for the head of a request.
    pub head_timeout: Duration,
    /// Whose connections carry those of others.
    pub trust: ProxyTrust,
    /// In front of every path.
    pub base_path: String,
    /// `Strict-Transport-Security`.
    pub hsts: Hsts,
}

impl Rules {
    /// Those of a server: as many connections as the system grants files, but for a reserve.
    pub(crate) fn new(trust: ProxyTrust, base_path: String, hsts: Hsts) -> Self {
        Self {
            max_connections: file_limit::connections(),
            max_per_address: MAX_PER_ADDRESS,
            head_timeout: HEAD_TIMEOUT,
            trust,
            base_path,
            hsts,
        }
    }
}

/// Serves connections until `stop`; then lets the requests that are under way end. Whoever drops
/// this future cuts those that are left.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    rules: Rules,
    stop: CancellationToken,
) {
    if let Err(error) = rustix::net::listen(&listener, BACKLOG) {
        tracing::debug!(%error, "fewer connections may wait");
    }
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let room = Arc::new(Semaphore::new(rules.max_connections));
    let places = Places::new(rules.max_per_address);
    let edge = Arc::new(Edge::new(router, rules, stop.clone(), cut));
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            let permit = Arc::clone(&room).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            let (socket, peer) = accept(&listener).await;
            match edge.admit(peer.ip(), &places) {
                Some(place) => {
                    tasks.spawn(Arc::clone(&edge).attend(socket, peer, place, permit));
                }
                None => tracing::debug!(%peer, "an address has too many connections"),
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        never = accepting => never,
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// The next connection, whatever the system says meanwhile.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut is_told = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !is_told {
                    tracing::warn!(%error, "no connection can be taken for the moment");
                    is_told = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The connection was gone before it was taken.
fn is_of_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// What every connection needs.
struct Edge {
    router: Router,
    rules: Rules,
    stop: CancellationToken,
    cut: CancellationToken,
    rephrase: Arc<Rephrase>,
}

/// A place among the connections of an address; none is needed for one that is not counted.
type Admitted = Option<Place>;

impl Edge {
    fn new(router: Router, rules: Rules, stop: CancellationToken, cut: CancellationToken) -> Self {
        let (hsts, base_path) = (rules.hsts.clone(), rules.base_path.clone());
        Self {
            router,
            rules,
            stop,
            cut,
            rephrase: Arc::new(move |head| unreadable::answer(head, &hsts, &base_path)),
        }
    }

    /// `None` for an address that has too many connections. A proxy has those of all its clients,
    /// and loopback may be one that nobody told us of.
    fn admit(&self, peer: IpAddr, places: &Places) -> Option<Admitted> {
        let peer = peer.to_canonical();
        if peer.is_loopback() || self.rules.trust.believes(peer) {
            return Some(None);
        }
        places.take(AddressBlock::of(peer)).map(Some)
    }

    /// Serves one connection. The permit goes with the socket, also into its upgrade; the place is
    /// given back at the upgrade, because workers are counted by the gateway.
    async fn attend(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        _place: Admitted,
        permit: OwnedSemaphorePermit,
    ) {
        if let Err(error) = prepare(&socket) {
            tracing::debug!(%error, "a socket keeps the system's settings");
        }
        let (turns, intake) = (Turns::default(), Intake::default());
        let answer = |request: HttpRequest<Incoming>| {
            let turn = turns.begin();
            let request = self.noted(request.map(Body::new), peer.ip(), intake.clone());
            let response = self.router.clone().oneshot(request);
            async move { response.await.map(|response| in_turn(response, turn)) }
        };
        let (reader, writer) = socket.into_split();
        let socket = tokio::io::join(intake.clone().reader(reader), writer);
        let socket = TimedIo::new(socket, permit);
        let socket = OwnWords::new(socket, turns.clone(), Arc::clone(&self.rephrase));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.rules.head_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(socket), service_fn(answer))
            .with_upgrades();
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.cut.cancelled() => return,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection => served,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "a connection broke");
        }
    }

    /// The request with who sent it, with the intake of its connection and with the path that routes
    /// know.
    fn noted(&self, mut request: Request, peer: IpAddr, intake: Intake) -> Request {
        let caller = Caller::of(peer, request.headers(), &self.rules.trust);
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(intake);
        app::normalise(request, &self.rules.base_path)
    }
}

/// An answer that ends its turn with its last byte, or never if it changes the protocol.
fn in_turn(response: Response, turn: Turn) -> axum::http::Response<Answer> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response.map(|body| Answer::new(body, turn.handed_over()));
    }
    response.map(|body| Answer::new(body, turn))
}

/// Answers are sent at once, and a peer that is gone is noticed.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEP_ALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEP_ALIVE_PROBES)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_unless_it_is_a_proxys_or_loopback() {
        let trust = ProxyTrust::parse("10.0.0.0/8").expect("a network");
        let edge = Edge::new(
            Router::new(),
            Rules::new(trust, String::new(), Hsts::Auto),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let places = Places::new(2);
        let admit = |peer: &str| edge.admit(peer.parse().unwrap(), &places);
        let held = [admit("192.0.2.1"), admit("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        for many in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"] {
            let all: Vec<_> = (0..5).map(|_| admit(many)).collect();
            assert!(all.iter().all(Option::is_some), "{many}");
        }
        drop(held);
        assert!(admit("192.0.2.1").is_some());
    }
}
