//! Where other devices of the network find this machine.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// Which of our addresses the system would use towards the internet; `None` without a network.
/// Nothing is sent: "connecting" a UDP socket only chooses a route.
pub(super) fn outward_address() -> Option<IpAddr> {
    const DOCUMENTATION: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(DOCUMENTATION).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// `url` of a server at `base`, `http://127.0.0.1:…`, as other devices open it.
pub(super) fn seen_from_outside(url: &str, address: Option<IpAddr>) -> String {
    let Some(address) = address else {
        return url.to_owned();
    };
    url.replacen("://127.0.0.1:", &format!("://{address}:"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_the_address_that_others_see() {
        let address = "192.168.1.5".parse().ok();
        let link = "http://127.0.0.1:8080/j/k7m2xqa";
        assert_eq!(
            seen_from_outside(link, address),
            "http://192.168.1.5:8080/j/k7m2xqa"
        );
        assert_eq!(seen_from_outside(link, None), link);
    }
}
