//! A listener that job code must not reach: HTTP, WebSocket and UDP on one port.

use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

/// Listens until the test's process ends, and remembers who came.
pub(crate) struct Canary {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    pub(crate) fn listen() -> Result<Self> {
        let (tcp, udp) = (0..20)
            .find_map(|_| both().ok())
            .context("no port is free")?;
        let port = tcp.local_addr()?.port();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let by_tcp = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                by_tcp.lock().unwrap().push(format!("TCP {stream:?}"));
            }
        });
        let by_udp = Arc::clone(&heard);
        std::thread::spawn(move || {
            while let Ok((bytes, from)) = udp.recv_from(&mut [0; 64]) {
                by_udp
                    .lock()
                    .unwrap()
                    .push(format!("{bytes} bytes of UDP from {from}"));
            }
        });
        Ok(Self { port, heard })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn both() -> Result<(TcpListener, UdpSocket)> {
    let tcp = TcpListener::bind(("127.0.0.1", 0))?;
    let udp = UdpSocket::bind(("127.0.0.1", tcp.local_addr()?.port()))?;
    Ok((tcp, udp))
}

#[test]
fn the_canary_hears_tcp_and_udp() -> Result<()> {
    let canary = Canary::listen()?;
    std::net::TcpStream::connect(("127.0.0.1", canary.port()))?;
    while canary.heard().is_empty() {
        std::thread::yield_now();
    }
    UdpSocket::bind(("127.0.0.1", 0))?.send_to(b"x", ("127.0.0.1", canary.port()))?;
    while canary.heard().len() < 2 {
        std::thread::yield_now();
    }
    Ok(())
}
