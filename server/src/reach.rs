//! Under which addresses the server can be reached, and from where.
//!
//! Not here: what a proxy says of the address that it is reached under (`proxy`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::proxy::{Authority, Caller};

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

/// Where other devices reach a listener whose caller knows it under a name that means every device
/// itself. `None` where the caller's name for it will do, and where nothing better is known.
pub(crate) fn beyond_this_computer(
    listener: SocketAddr,
    known_as: &Authority,
    caller: Caller,
) -> Option<SocketAddr> {
    let is_here = caller.address.is_loopback() && !caller.is_proxied;
    (is_here && is_this_computer(known_as))
        .then(|| in_network(listener))
        .filter(|address| !address.ip().is_loopback())
}

/// Whether a host means the computer of whoever says it. Browsers trust such an origin as they
/// trust HTTPS.
pub(crate) fn is_this_computer(authority: &Authority) -> bool {
    let text = authority.as_str();
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => text,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    address.map_or_else(
        |_| host == "localhost" || host.ends_with(".localhost"),
        |address: IpAddr| address.is_loopback(),
    )
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
    use axum::http::HeaderMap;
    use axum::http::header::HOST;

    use super::*;
    use crate::proxy::ProxyTrust;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Of a request for `host` from `peer`.
    fn asked(host: &str, peer: &str, trust: &ProxyTrust) -> (Authority, Caller) {
        let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        let caller = Caller::of(peer.parse().unwrap(), &headers, trust);
        (Authority::of(&headers, caller), caller)
    }

    fn beyond(listener: &str, host: &str, peer: &str) -> Option<SocketAddr> {
        let (known_as, caller) = asked(host, peer, &ProxyTrust::Nobody);
        beyond_this_computer(address(listener), &known_as, caller)
    }

    #[test]
    fn hosts_that_mean_the_computer_itself_are_known() {
        for (host, is_here) in [
            ("localhost", true),
            ("LocalHost:8080", true),
            ("grid.localhost:80", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("", false),
            ("192.168.1.5:8080", false),
            ("[fd00::1]:8080", false),
            ("localhost.example", false),
            ("127.0.0.1.example:80", false),
        ] {
            let (authority, _) = asked(host, "127.0.0.1", &ProxyTrust::Nobody);
            assert_eq!(is_this_computer(&authority), is_here, "{host}");
        }
    }

    #[test]
    fn who_asks_from_this_computer_learns_where_others_reach_it() {
        let network = in_network(address("0.0.0.0:80"));
        let network = (!network.ip().is_loopback()).then_some(network);
        for host in ["127.0.0.1:80", "localhost"] {
            assert_eq!(beyond("0.0.0.0:80", host, "127.0.0.1"), network);
            assert_eq!(beyond("[::]:80", host, "::1"), network);
        }
        let chosen = address("10.1.2.3:80");
        assert_eq!(
            beyond("10.1.2.3:80", "localhost", "127.0.0.1"),
            Some(chosen)
        );
    }

    #[test]
    fn a_name_that_others_can_use_is_left_alone() {
        assert_eq!(beyond("10.1.2.3:80", "10.1.2.3:80", "127.0.0.1"), None);
        assert_eq!(beyond("10.1.2.3:80", "grid.example", "127.0.0.1"), None);
    }

    #[test]
    fn nothing_is_known_of_a_listener_or_a_forwarder_on_loopback() {
        assert_eq!(beyond("127.0.0.1:80", "localhost", "127.0.0.1"), None);
        // A container's host forwards what it was asked at its own loopback address.
        assert_eq!(beyond("10.1.2.3:80", "localhost:80", "10.1.2.1"), None);
        let (known_as, caller) = asked("localhost", "127.0.0.1", &ProxyTrust::OneHop);
        let listener = address("10.1.2.3:80");
        assert_eq!(beyond_this_computer(listener, &known_as, caller), None);
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
