//! Who is at the other end of a request, and what a proxy in front says of it.
//!
//! Headers that proxies write can be written by anybody. They are believed only of a proxy that the
//! operator trusts, and of `X-Forwarded-For` only what such a proxy added itself. `Forwarded` is
//! never read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use ipnet::IpNet;

/// Stands for a client whose address its proxy does not tell.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Which proxies are believed (`TRUST_PROXY`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyTrust {
    /// None.
    Nobody,
    /// Whoever connects: there is exactly one proxy, and nothing reaches us but through it.
    OneHop,
    /// Those of these networks, however many there are in a row.
    Networks(Vec<IpNet>),
}

impl ProxyTrust {
    /// Reads `0`, `1`, or addresses and networks separated by commas or spaces.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "0" => Some(Self::Nobody),
            "1" => Some(Self::OneHop),
            list => {
                let entries = list.split([',', ' ']).filter(|entry| !entry.is_empty());
                entries
                    .map(network)
                    .collect::<Option<_>>()
                    .map(Self::Networks)
            }
        }
    }

    /// Whether this address is that of a trusted proxy.
    pub(crate) fn believes(&self, address: IpAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::OneHop => true,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(&address)),
        }
    }

    /// The address that the last trusted proxy saw, counted from us.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let most = match self {
            Self::Nobody => 0,
            Self::OneHop => 1,
            Self::Networks(_) => usize::MAX,
        };
        let mut client = peer;
        for hop in forwarded_for(headers).take(most) {
            if !self.believes(client) {
                break;
            }
            client = hop.unwrap_or(UNKNOWN);
        }
        client
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok();
    network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The hops of all `X-Forwarded-For` lines, the last first; `None` for one that is no address.
fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all("x-forwarded-for").into_iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',').map(hop))
}

/// An address as proxies write it, some with a port.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok();
    let address = address.or_else(|| {
        text.parse()
            .ok()
            .map(|with_port: SocketAddr| with_port.ip())
    });
    address.map(|address: IpAddr| address.to_canonical())
}

/// Who sent a request, as far as it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Its address; an IPv4 address is never in IPv6 form.
    pub address: IpAddr,
    /// Who is at the other end of the connection: the caller, or the last proxy.
    pub peer: IpAddr,
    /// The request comes from a proxy whose headers are believed.
    pub is_proxied: bool,
}

/// Headers by which a proxy says that a request is not its own.
const OF_FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
/// Headers by which a proxy says how the client reached it.
const OF_ADDRESSED: [&str; 2] = ["x-forwarded-host", "x-forwarded-proto"];

/// Whether a proxy says that a request is not its own.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    OF_FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// What proxies, or whoever pretends to be one, say in a request: each header's lines in their order.
pub(crate) fn said_by_proxies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let names = OF_FORWARDED.into_iter().chain(OF_ADDRESSED);
    names
        .filter(|name| headers.contains_key(*name))
        .map(|name| {
            let lines = headers.get_all(name).into_iter();
            let lines: Vec<_> = lines
                .map(|line| String::from_utf8_lossy(line.as_bytes()))
                .collect();
            (name.to_owned(), lines.join(", "))
        })
        .collect()
}

impl Caller {
    /// Of a request that came over a connection from `peer`.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trust: &ProxyTrust) -> Self {
        let peer = peer.to_canonical();
        Self {
            address: trust.client(peer, headers),
            peer,
            is_proxied: trust.believes(peer),
        }
    }

    /// The one that was noted for a request.
    pub(crate) fn noted(extensions: &Extensions) -> Self {
        let noted = extensions.get().copied();
        noted.expect("every request is given its caller before it is routed")
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::noted(&parts.extensions))
    }
}

/// The scheme by which the client reached us.
pub(crate) fn scheme(headers: &HeaderMap, caller: Caller) -> &'static str {
    let forwarded = forwarded(headers, "x-forwarded-proto", caller);
    if forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case("https")) {
        "https"
    } else {
        "http"
    }
}

/// Host and port under which the client knows us, in lower case; empty if it did not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority(String);

/// Characters of a host name at most, and of a port behind it.
const MAX_AUTHORITY: usize = 253 + ":65535".len();

impl Authority {
    /// Of a request. Only characters that a host and port can have are taken, so that it can stand
    /// in a URL or a header.
    pub(crate) fn of(headers: &HeaderMap, caller: Caller) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let known = forwarded(headers, "x-forwarded-host", caller).or(host);
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let known = known.filter(|text| text.len() <= MAX_AUTHORITY && text.chars().all(allowed));
        Self(known.unwrap_or_default().to_ascii_lowercase())
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `authority`, in lower case, is this one under `scheme`, whose default port may be
    /// named or not.
    pub(crate) fn is(&self, scheme: &str, authority: &str) -> bool {
        let port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return false,
        };
        let without_port = |text: &str| text.strip_suffix(port).unwrap_or(text).to_owned();
        !self.0.is_empty() && without_port(&self.0) == without_port(authority)
    }
}

/// First value of a list that trusted proxies have written.
fn forwarded<'h>(headers: &'h HeaderMap, name: &str, caller: Caller) -> Option<&'h str> {
    let value: &HeaderValue = headers.get(name).filter(|_| caller.is_proxied)?;
    value
        .to_str()
        .ok()?
        .split(',')
        .map(str::trim)
        .next()
        .filter(|first| !first.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(trust: &str, peer: &str, forwarded_for: &[&str]) -> String {
        let trust = ProxyTrust::parse(trust).unwrap();
        let lines: Vec<_> = forwarded_for
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        let mut headers = headers(&lines);
        headers.append("forwarded", "for=203.0.113.99".parse().unwrap());
        headers.append("x-real-ip", "203.0.113.98".parse().unwrap());
        Caller::of(address(peer), &headers, &trust)
            .address
            .to_string()
    }

    #[test]
    fn settings_are_nobody_one_hop_or_networks() {
        assert_eq!(ProxyTrust::parse("0"), Some(ProxyTrust::Nobody));
        assert_eq!(ProxyTrust::parse("1"), Some(ProxyTrust::OneHop));
        let networks = ProxyTrust::parse("10.0.0.0/8, fd00::/8 192.0.2.7").unwrap();
        for (text, is_believed) in [
            ("10.200.0.1", true),
            ("fd12::1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(networks.believes(address(text)), is_believed, "{text}");
        }
        for wrong in ["true", "2", "10.0.0.0/33", "10.0.0.1, proxy.example"] {
            assert_eq!(ProxyTrust::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn without_trust_the_peer_is_the_client() {
        for spoofed in ["203.0.113.1", "127.0.0.1", "::1", "nonsense"] {
            assert_eq!(client("0", "192.0.2.1", &[spoofed]), "192.0.2.1");
        }
        assert_eq!(client("0", "::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn of_one_hop_only_what_it_added_itself_is_believed() {
        let of = |lines: &[&str]| client("1", "127.0.0.1", lines);
        assert_eq!(of(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["127.0.0.1, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["127.0.0.1", "10.0.0.1,192.0.2.1"]), "192.0.2.1");
        assert_eq!(of(&["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(of(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(of(&["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(
            of(&["192.0.2.1, unknown"]),
            "0.0.0.0",
            "never the one before"
        );
        assert_eq!(of(&[]), "127.0.0.1");
    }

    #[test]
    fn of_networks_the_first_address_outside_is_the_client() {
        let trust = "10.0.0.0/8,127.0.0.1";
        let of = |peer: &str, lines: &[&str]| client(trust, peer, lines);
        assert_eq!(
            of("127.0.0.1", &["203.0.113.1, 192.0.2.1, 10.0.0.9"]),
            "192.0.2.1"
        );
        assert_eq!(
            of("192.0.2.5", &["203.0.113.1"]),
            "192.0.2.5",
            "not of a stranger"
        );
        assert_eq!(of("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(of("10.0.0.1", &["203.0.113.1, ?, 10.0.0.2"]), "0.0.0.0");
    }

    #[test]
    fn scheme_and_host_are_believed_of_trusted_proxies_only() {
        let headers = headers(&[
            ("host", "inner:8080"),
            ("x-forwarded-host", "Outer.example, other"),
            ("x-forwarded-proto", "https"),
        ]);
        let caller = |trust: &str| {
            let trust = ProxyTrust::parse(trust).unwrap();
            Caller::of(address("192.0.2.1"), &headers, &trust)
        };
        for stranger in [caller("0"), caller("10.0.0.0/8")] {
            assert_eq!(Authority::of(&headers, stranger).as_str(), "inner:8080");
            assert_eq!(scheme(&headers, stranger), "http");
        }
        for proxied in [caller("1"), caller("192.0.2.0/24")] {
            assert_eq!(Authority::of(&headers, proxied).as_str(), "outer.example");
            assert_eq!(scheme(&headers, proxied), "https");
        }
    }

    #[test]
    fn a_host_that_could_break_out_of_a_url_is_not_taken() {
        let headers = headers(&[("host", "evil\"; x='")]);
        let caller = Caller::of(address("192.0.2.1"), &headers, &ProxyTrust::Nobody);
        assert_eq!(Authority::of(&headers, caller).as_str(), "");
        assert!(!Authority::of(&headers, caller).is("http", ""));
    }

    #[test]
    fn a_host_longer_than_any_name_is_none() {
        let headers = headers(&[("host", &"a".repeat(60_000))]);
        let caller = Caller::of(address("192.0.2.1"), &headers, &ProxyTrust::Nobody);
        assert_eq!(Authority::of(&headers, caller).as_str(), "");
    }

    #[test]
    fn the_default_port_may_be_named_or_not() {
        let is = |host: &str, scheme: &str, origin: &str| {
            let headers = headers(&[("host", host)]);
            let caller = Caller::of(address("192.0.2.1"), &headers, &ProxyTrust::Nobody);
            Authority::of(&headers, caller).is(scheme, origin)
        };
        assert!(is("grid.example:443", "https", "grid.example"));
        assert!(is("grid.example", "http", "grid.example:80"));
        assert!(is("grid.example:8080", "http", "grid.example:8080"));
        assert!(!is("grid.example:443", "http", "grid.example"));
        assert!(!is("grid.example:8080", "http", "grid.example"));
        assert!(!is("grid.example", "", "grid.example"));
    }
}
