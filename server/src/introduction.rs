//! What a person at a terminal is shown when the server has started: where to go, with which key,
//! and, the first time, an invite for the devices around.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use shared::qr;
use shared::secrets::Secrets;

/// What the introduction tells.
#[derive(Debug, Clone)]
pub struct Introduction<'a> {
    /// The server as this machine reaches it, with the base path.
    pub local_url: String,
    /// The secrets in force.
    pub secrets: &'a Secrets,
    /// The file that keeps some of them.
    pub kept_in: Option<&'a Path>,
    /// An invite link for other devices, if one was made.
    pub invite_url: Option<String>,
}

impl Introduction<'_> {
    /// Lines for a terminal. They hold secrets.
    pub fn to_lines(&self) -> String {
        let mut lines = vec![
            format!("Client page: {}/client", self.local_url),
            format!("Client key:  {}", self.secrets.client_api_key),
        ];
        if let Some(words) = self.secrets.client_key_mnemonic() {
            lines.push(format!("Mnemonic:    {words}"));
        }
        if let Some(path) = self.kept_in {
            lines.push(format!("Secrets:     {}", path.display()));
        }
        match &self.invite_url {
            Some(url) => {
                lines.push(format!("Invite:      {url}"));
                lines.extend(qr::terminal(url));
            }
            None => lines.push("Invite:      press \"Add devices\" on the client page".into()),
        }
        lines.join("\n") + "\n"
    }
}

/// The address under which a browser on this machine reaches a listener.
pub(crate) fn local(listener: SocketAddr) -> SocketAddr {
    specified(listener, || IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The address under which other devices of the network probably reach a listener: that of the
/// interface towards the internet, where it listens on all of them.
pub(crate) fn in_network(listener: SocketAddr) -> SocketAddr {
    specified(listener, || {
        outward_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    })
}

fn specified(mut listener: SocketAddr, address: impl FnOnce() -> IpAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(address());
    }
    listener
}

/// Which of our addresses the system would use towards the internet. Nothing is sent: "connecting"
/// a UDP socket only chooses a route.
fn outward_address() -> Option<IpAddr> {
    const DOCUMENTATION: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(DOCUMENTATION).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_person_needs_is_told() {
        let secrets = Secrets {
            client_api_key: "000102030405060708090a0b0c0d0e0f".into(),
            worker_invite_secret: "kept to itself".into(),
            private_key_b64: "kept to itself".into(),
            public_key_b64: String::new(),
        };
        let mut introduction = Introduction {
            local_url: "http://127.0.0.1:8080/grid".into(),
            secrets: &secrets,
            kept_in: Some(Path::new("data/secrets.env")),
            invite_url: None,
        };
        assert_eq!(
            introduction.to_lines(),
            "Client page: http://127.0.0.1:8080/grid/client\n\
             Client key:  000102030405060708090a0b0c0d0e0f\n\
             Mnemonic:    abandon amount liar amount expire adjust cage candy arch gather drum buyer\n\
             Secrets:     data/secrets.env\n\
             Invite:      press \"Add devices\" on the client page\n"
        );
        let link = "http://192.168.1.5:8080/grid/j/k7m2xqa";
        introduction.invite_url = Some(link.into());
        let lines = introduction.to_lines();
        let expected = format!("Invite:      {link}\n{}\n", qr::terminal(link).unwrap());
        assert!(lines.ends_with(&expected), "{lines}");
        assert!(!lines.contains("kept to itself"));
    }

    #[test]
    fn an_address_that_was_chosen_is_kept_and_any_other_is_made_one_that_can_be_reached() {
        let chosen: SocketAddr = "10.1.2.3:80".parse().unwrap();
        assert_eq!((local(chosen), in_network(chosen)), (chosen, chosen));
        for any in ["0.0.0.0:80", "[::]:80"] {
            let any: SocketAddr = any.parse().unwrap();
            assert_eq!(local(any), "127.0.0.1:80".parse().unwrap());
            let reachable = in_network(any);
            assert!(!reachable.ip().is_unspecified());
            assert_eq!(reachable.port(), 80);
        }
    }
}
