//! Does a worker's socket get through, and would a page's?
//!
//! A real handshake on the real path, with a ping that must come back: proxies have been seen that
//! answer 101 and pass nothing on. Nothing is said that would make a worker of us.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use shared::wire::SUBPROTOCOL;
use tungstenite::client::IntoClientRequest;
use tungstenite::error::ProtocolError;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{LOCATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tungstenite::{HandshakeError, Message, WebSocket};

use super::asking::{PATIENCE, tls_error, tls_failed};
use super::finding::Finding;
use crate::host::Host;

const PATH: &str = "/ws/worker";
const PING: &[u8] = b"doctor";
/// Frames that may come before the answer to a ping.
const MAX_FRAMES: usize = 8;
/// What lets sockets through nginx.
const PASS_UPGRADE: &str = "let the proxy pass the upgrade on; nginx: proxy_http_version 1.1; \
     proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// What a socket runs over.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Why there is no socket.
#[derive(Debug)]
enum Closed {
    /// Another status than 101.
    Status {
        status: u16,
        is_json: bool,
        location: Option<String>,
    },
    /// 101, but without the subprotocol.
    NoSubprotocol,
    /// Anything else.
    Broken(Finding),
}

/// Findings on the socket itself, and on one that a page of the server opens.
pub(super) fn check(host: &Host, is_proxied: bool) -> [Finding; 2] {
    if is_proxied {
        let why =
            "this machine's environment names a proxy (HTTP_PROXY), past which no socket is tried";
        return [Finding::skipped(why), Finding::skipped(why)];
    }
    let opened = open(host, None).map(|mut socket| echo(&mut socket));
    match opened {
        Ok(Ok(())) => [
            Finding::ok(format!("{PATH} opens, and a ping comes back")),
            check_origin(host),
        ],
        Ok(Err(finding)) => [finding, Finding::skipped("needs a socket that works")],
        Err(closed) => [
            not_opened(host, closed),
            Finding::skipped("needs a socket that opens"),
        ],
    }
}

/// As a browser opens it from a page of this server.
fn check_origin(host: &Host) -> Finding {
    let origin = host.origin();
    match open(host, Some(&origin)) {
        Ok(_) => Finding::ok(format!("pages of {origin} may open it")),
        Err(Closed::Status {
            status: 403,
            is_json: true,
            ..
        }) => Finding::fail(
            format!("the server takes pages of {origin} for those of a stranger"),
            format!(
                "let the proxy pass on the name that browsers use (nginx: proxy_set_header Host \
                 $http_host;), or set ALLOWED_ORIGINS={origin}"
            ),
        ),
        Err(closed) => not_opened(host, closed),
    }
}

fn open(host: &Host, origin: Option<&str>) -> Result<WebSocket<Box<dyn Stream>>, Closed> {
    let stream = connect(host).map_err(Closed::Broken)?;
    open_over(stream, host, origin)
}

fn open_over(
    stream: Box<dyn Stream>,
    host: &Host,
    origin: Option<&str>,
) -> Result<WebSocket<Box<dyn Stream>>, Closed> {
    let scheme = if host.is_plain() { "ws" } else { "wss" };
    let url = format!("{scheme}://{}{}{PATH}", host.authority(), host.base_path());
    let broken = |cause: &dyn std::fmt::Display| Closed::Broken(interrupted(host, cause));
    let mut request = url.into_client_request().map_err(|error| broken(&error))?;
    let headers = request.headers_mut();
    headers.insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    if let Some(origin) = origin {
        let origin = HeaderValue::from_str(origin).map_err(|error| broken(&error))?;
        headers.insert(ORIGIN, origin);
    }
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Interrupted(_)) => Err(broken(&"no answer in time")),
        Err(HandshakeError::Failure(error)) => Err(closed(host, error)),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an enum of another crate, which grows"
)]
fn closed(host: &Host, error: tungstenite::Error) -> Closed {
    match error {
        tungstenite::Error::Http(answer) => {
            let text = |name| {
                answer
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            };
            Closed::Status {
                status: answer.status().as_u16(),
                is_json: text(tungstenite::http::header::CONTENT_TYPE)
                    .is_some_and(|kind| kind.contains("json")),
                location: text(LOCATION).map(str::to_owned),
            }
        }
        tungstenite::Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Closed::NoSubprotocol
        }
        other => Closed::Broken(interrupted(host, &other)),
    }
}

fn connect(host: &Host) -> Result<Box<dyn Stream>, Finding> {
    let tcp = connect_tcp(host).map_err(|error| interrupted(host, &error))?;
    if host.is_plain() {
        return Ok(Box::new(tcp));
    }
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    Ok(Box::new(connect_tls(host, tcp, roots)?))
}

fn connect_tcp(host: &Host) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::other("the name has no address");
    for address in (host.name(), host.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(tcp) => {
                tcp.set_read_timeout(Some(PATIENCE))?;
                tcp.set_write_timeout(Some(PATIENCE))?;
                return Ok(tcp);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn connect_tls(
    host: &Host,
    mut tcp: TcpStream,
    roots: RootCertStore,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Finding> {
    let failed = |error: &(dyn std::error::Error + 'static)| match tls_error(error) {
        Some(error) => tls_failed(host, error),
        None => interrupted(host, &error),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.name().to_owned()).map_err(|error| failed(&error))?;
    let session = ClientConnection::new(Arc::new(config), name);
    let mut session = session.map_err(|error| failed(&error))?;
    session
        .complete_io(&mut tcp)
        .map_err(|error| failed(&error))?;
    Ok(StreamOwned::new(session, tcp))
}

/// A ping there and back.
fn echo(socket: &mut WebSocket<Box<dyn Stream>>) -> Result<(), Finding> {
    let lost = |cause: &dyn std::fmt::Display| {
        Finding::fail(
            format!("it opens, but what is sent does not come back: {cause}"),
            "let the proxy pass frames on in both directions, unbuffered",
        )
    };
    let ping = Message::Ping(PING.into());
    socket.send(ping).map_err(|error| lost(&error))?;
    for _ in 0..MAX_FRAMES {
        match socket.read().map_err(|error| lost(&error))? {
            Message::Pong(bytes) if bytes == PING => {
                // Both sides know what is meant, however it ends.
                let _ = socket.close(None);
                let _ = socket.flush();
                return Ok(());
            }
            Message::Close(_) => return Err(lost(&"it was closed")),
            Message::Pong(_)
            | Message::Ping(_)
            | Message::Text(_)
            | Message::Binary(_)
            | Message::Frame(_) => {}
        }
    }
    Err(lost(&"other frames came instead"))
}

fn not_opened(host: &Host, closed: Closed) -> Finding {
    match closed {
        Closed::Broken(finding) => finding,
        Closed::NoSubprotocol => Finding::fail(
            format!("it opens, but without the subprotocol {SUBPROTOCOL}"),
            "let the proxy pass Sec-WebSocket-Protocol on in both directions",
        ),
        Closed::Status {
            status,
            is_json,
            location,
        } => refused(host, status, is_json, location),
    }
}

fn refused(host: &Host, status: u16, is_json: bool, location: Option<String>) -> Finding {
    if let Some(to) = location {
        return Finding::fail(
            format!("the handshake is redirected to {to}, which browsers do not follow"),
            "let the proxy pass it on, and set --host to where that leads",
        );
    }
    let (seen, fix) = match (status, is_json) {
        (400, true) => (
            "the handshake arrives as a plain request: Upgrade, Connection or \
             Sec-WebSocket-Protocol is lost on the way"
                .into(),
            PASS_UPGRADE.into(),
        ),
        (404, true) => (
            format!("the server has nothing at {}{PATH}", host.base_path()),
            "let the proxy pass the path on as it is".into(),
        ),
        (429 | 503, true) => (
            format!("the server has no seat for it (status {status})"),
            "wait until other sockets have said hello; WS_MAX_CONNECTIONS_PER_IP sets how many may \
             wait, and behind a proxy TRUST_PROXY whom they count for"
                .into(),
        ),
        (426, _) => (
            "the handshake arrives without Upgrade (status 426)".into(),
            PASS_UPGRADE.into(),
        ),
        (status, true) => (
            format!("the server refuses the handshake with status {status}"),
            "see the server's log for the cause".into(),
        ),
        (status, false) => (
            format!("something else than the server answers the handshake, with status {status}"),
            format!("let the proxy pass {}{PATH} on; {PASS_UPGRADE}", host.base_path()),
        ),
    };
    Finding::Fail { seen, fix }
}

fn interrupted(host: &Host, cause: &dyn std::fmt::Display) -> Finding {
    Finding::fail(
        format!("no socket with {}: {cause}", host.authority()),
        format!("see the log of the proxy; {PASS_UPGRADE}"),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection};
    use tungstenite::handshake::server::{Request, Response};

    use super::*;

    /// Answers one socket over TLS until its peer closes it. Its host, its certificate, its thread.
    fn serve() -> (Host, CertificateDer<'static>, JoinHandle<String>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let listener = TcpListener::bind(("localhost", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            let session = ServerConnection::new(Arc::new(config)).unwrap();
            let mut asked = String::new();
            #[expect(
                clippy::result_large_err,
                reason = "the type that the library asks for"
            )]
            let note = |request: &Request, mut response: Response| {
                let protocol = &request.headers()[SEC_WEBSOCKET_PROTOCOL];
                asked = format!("{} {}", request.uri(), protocol.to_str().unwrap());
                response
                    .headers_mut()
                    .insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
                Ok(response)
            };
            let mut socket = tungstenite::accept_hdr(StreamOwned::new(session, tcp), note).unwrap();
            while socket.read().is_ok() {}
            asked
        });
        let host = Host::parse(Some(&format!("https://localhost:{port}/base"))).unwrap();
        (host, certificate, thread)
    }

    #[test]
    fn a_socket_over_tls_is_opened_below_the_base_path_and_echoes() {
        let (host, certificate, thread) = serve();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let tcp = connect_tcp(&host).unwrap();
        let stream: Box<dyn Stream> = Box::new(connect_tls(&host, tcp, roots).unwrap());
        let mut socket = open_over(stream, &host, None).unwrap();
        assert_eq!(echo(&mut socket), Ok(()));
        drop(socket);
        assert_eq!(thread.join().unwrap(), "/base/ws/worker cluster.v1");
    }
}
