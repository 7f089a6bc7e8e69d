//! Does the server know whom it serves: is `TRUST_PROXY` right for what stands in front of it?
//!
//! The server tells how two requests of ours came in. The first says nothing about itself, so every
//! forwarded header in it was written by a proxy. The second pretends to be forwarded for an address
//! that nobody has; a server that believes it believes anybody. What cannot be told from here is said
//! to be so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use shared::api::{Connection, ProxiesTrusted};

use super::asking::{Asking, PATIENCE};
use super::finding::Finding;
use super::key::Accepted;
use crate::host::Host;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Of the block for documentation (RFC 5737): the address of nobody.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));
const TELL_CLIENT: &str = "let the proxy tell whom it serves (nginx: proxy_set_header \
     X-Forwarded-For $proxy_add_x_forwarded_for;)";

/// What there is to judge by.
#[derive(Debug)]
struct Seen {
    /// Our own address on the way to the server, as this machine knows it.
    own: Option<IpAddr>,
    /// The server itself speaks plain http alone.
    is_https: bool,
    /// How a plain request came in.
    plain: Connection,
    /// How one came in that pretends to be forwarded for [`NOBODY`].
    spoofed: Connection,
}

/// Findings on `TRUST_PROXY`, and on the address that invites would have.
pub(super) fn check(asking: &Asking<'_>, host: &Host, key: &Accepted<'_>) -> [Finding; 2] {
    match look(asking, host, key) {
        Ok(seen) => [judge(&seen), judge_address(host, &seen.plain.url)],
        Err(finding) => [
            finding,
            Finding::skipped("needs what the server says of this connection"),
        ],
    }
}

fn look(asking: &Asking<'_>, host: &Host, key: &Accepted<'_>) -> Result<Seen, Finding> {
    let path = "/api/connection";
    let plain = asking.get(path, &[key.header()])?;
    if plain.status == 404 && plain.error().is_some() {
        return Err(Finding::warn(
            "the server is too old to tell how a request reached it",
            "install this version on the server, too",
        ));
    }
    let nobody = NOBODY.to_string();
    let spoofed = asking.get(path, &[key.header(), (FORWARDED_FOR, &nobody)])?;
    Ok(Seen {
        own: own_address(host),
        is_https: !host.is_plain(),
        plain: plain.read(host)?,
        spoofed: spoofed.read(host)?,
    })
}

/// The address that this machine has on its way to the host.
fn own_address(host: &Host) -> Option<IpAddr> {
    use std::net::ToSocketAddrs;
    let mut addresses = (host.name(), host.port()).to_socket_addrs().ok()?;
    let connected = |address: SocketAddr| TcpStream::connect_timeout(&address, PATIENCE).ok();
    let own = addresses.find_map(connected)?.local_addr().ok()?;
    Some(own.ip().to_canonical())
}

fn judge(seen: &Seen) -> Finding {
    if seen.spoofed.client == NOBODY {
        return judge_believed(seen);
    }
    let hops = hops(&seen.plain);
    if hops.is_empty() {
        return judge_silent(seen);
    }
    let plain = &seen.plain;
    let [peer, client] = [plain.peer, plain.client];
    match plain.trust_proxy {
        ProxiesTrusted::Nobody => Finding::fail(
            format!(
                "a proxy at {peer} says that it serves {}, but is not believed: all its clients \
                 count as {peer}{}",
                hops[0],
                if peer.is_loopback() {
                    ", which no limit holds for"
                } else {
                    ""
                }
            ),
            set_trust(peer, &hops),
        ),
        ProxiesTrusted::OneHop if hops.len() > 1 => Finding::fail(
            format!(
                "{} proxies stand in a row, but one is believed: all clients count as {client}, \
                 which is the outer one",
                hops.len()
            ),
            set_trust(peer, &hops),
        ),
        ProxiesTrusted::Networks if !plain.is_peer_trusted => Finding::fail(
            format!("the proxy at {peer} is in none of the networks of TRUST_PROXY"),
            format!("add {peer} to TRUST_PROXY"),
        ),
        ProxiesTrusted::OneHop | ProxiesTrusted::Networks if client.is_unspecified() => {
            Finding::fail(
                format!(
                    "the proxy at {peer} says {:?}, which is no address",
                    hops.join(", ")
                ),
                TELL_CLIENT,
            )
        }
        ProxiesTrusted::Networks if address(&hops[0]) != Some(client) => Finding::warn(
            format!(
                "{client} counts as the client, but says that it is itself a proxy, of {}",
                hops[0]
            ),
            format!("if {client} is a proxy of yours, add it to TRUST_PROXY"),
        ),
        ProxiesTrusted::OneHop | ProxiesTrusted::Networks => Finding::ok(format!(
            "{} in front of the server, which counts this machine as {client} and takes no other \
             word for it",
            if hops.len() == 1 {
                "one proxy is".into()
            } else {
                format!("{} proxies are", hops.len())
            }
        )),
    }
}

/// The server took our word for an address that is not ours.
fn judge_believed(seen: &Seen) -> Finding {
    let plain = &seen.plain;
    let is_local = plain.peer.is_loopback() && seen.own.is_none_or(|own| own.is_loopback());
    let hops = hops(plain);
    if plain.trust_proxy == ProxiesTrusted::Networks && (!hops.is_empty() || !is_proxied(seen)) {
        return Finding::warn(
            format!(
                "this machine ({}) is itself in the networks of TRUST_PROXY: what it says of its \
                 address is believed",
                plain.client
            ),
            "let TRUST_PROXY name the proxies alone, or run the doctor from elsewhere",
        );
    }
    if is_proxied(seen) {
        return Finding::fail(
            format!(
                "the proxy at {} passes X-Forwarded-For on as it came, and the server believes it: \
                 anybody can pretend to be anybody",
                plain.peer
            ),
            TELL_CLIENT,
        );
    }
    if is_local {
        return Finding::warn(
            "asked on the server's own machine, past its proxy: whether TRUST_PROXY is right cannot \
             be seen from here",
            "set --host to the address that clients use",
        );
    }
    Finding::fail(
        format!(
            "no proxy stands between here and the server, but TRUST_PROXY=1: it believes whoever \
             connects (it took this machine for {NOBODY})"
        ),
        "set TRUST_PROXY=0, or HOST=127.0.0.1 so that nobody reaches the server but through the proxy",
    )
}

/// Nobody has said whom a plain request is for.
fn judge_silent(seen: &Seen) -> Finding {
    let peer = seen.plain.peer;
    if is_proxied(seen) {
        return Finding::fail(
            format!(
                "a proxy at {peer} does not say whom it serves: all its clients count as {peer}"
            ),
            format!("{TELL_CLIENT}, and set TRUST_PROXY={peer}"),
        );
    }
    let seen_as = match seen.own {
        Some(own) if own == peer => format!("the server sees this machine as {peer}"),
        Some(own) => format!(
            "the server sees {peer}; this machine calls itself {own}, so a router translates"
        ),
        None => format!("the server sees {peer}"),
    };
    match seen.plain.trust_proxy {
        ProxiesTrusted::Nobody | ProxiesTrusted::Networks => Finding::ok(format!(
            "none in between; {seen_as}, and takes no other word for it"
        )),
        ProxiesTrusted::OneHop => Finding::warn(
            format!("TRUST_PROXY=1, but no proxy is seen; {seen_as}"),
            "set TRUST_PROXY=0 unless clients come through a proxy that this request did not",
        ),
    }
}

/// Whether there is a proxy for sure: it speaks TLS, writes headers, drops ours, or connects from the
/// server's own machine while we are on another.
fn is_proxied(seen: &Seen) -> bool {
    let arrived = seen.spoofed.forwarded.get(FORWARDED_FOR);
    let is_near = seen.own.is_some_and(|own| !own.is_loopback()) && seen.plain.peer.is_loopback();
    seen.is_https
        || !seen.plain.forwarded.is_empty()
        || arrived.is_none_or(|line| *line != NOBODY.to_string())
        || is_near
}

/// Whom the proxies serve, the outermost first.
fn hops(plain: &Connection) -> Vec<String> {
    let line = plain
        .forwarded
        .get(FORWARDED_FOR)
        .map_or("", String::as_str);
    line.split(',')
        .map(|hop| hop.trim().to_owned())
        .filter(|hop| !hop.is_empty())
        .collect()
}

/// A hop, which some proxies write with its port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let with_port = || hop.parse().ok().map(|address: SocketAddr| address.ip());
    let address: Option<IpAddr> = bare.parse().ok().or_else(with_port);
    address.map(|address| address.to_canonical())
}

/// The value under which all these proxies are believed, and no more than these.
fn set_trust(peer: IpAddr, hops: &[String]) -> String {
    let others = hops.iter().skip(1).filter_map(|hop| address(hop));
    let proxies: Vec<String> = std::iter::once(peer)
        .chain(others)
        .map(|address| address.to_string())
        .collect();
    let line = format!("set TRUST_PROXY={}", proxies.join(","));
    if proxies.len() > 1 {
        return line;
    }
    format!("{line}, or to 1 if nobody reaches the server but through that proxy")
}

/// Whether invites will have the address by which we came.
fn judge_address(host: &Host, url: &str) -> Finding {
    let ours = format!("{}{}", host.origin(), host.base_path());
    if url.eq_ignore_ascii_case(&ours) || is_same(url, host) {
        return Finding::ok(format!("invites begin with {url}"));
    }
    Finding::fail(
        format!("invites begin with {url}, which is not how clients reach it, {ours}"),
        "let the proxy tell (nginx: proxy_set_header Host $http_host; proxy_set_header \
         X-Forwarded-Proto $scheme;), and let TRUST_PROXY believe it",
    )
}

/// The same but for letter case and a usual port that is spelled out.
fn is_same(url: &str, host: &Host) -> bool {
    let other = Host::parse(Some(url));
    other.is_ok_and(|other| {
        other.origin() == host.origin() && other.base_path().eq_ignore_ascii_case(host.base_path())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.2";

    /// What a server behind the described proxies would tell.
    struct Case {
        own: &'static str,
        peer: &'static str,
        is_https: bool,
        trust: ProxiesTrusted,
        is_peer_trusted: bool,
        /// X-Forwarded-For of the plain request and of the other.
        lines: [&'static str; 2],
        /// Whom the server takes us for in each.
        clients: [&'static str; 2],
    }

    impl Case {
        fn judge(&self) -> Finding {
            let connection = |place: usize| Connection {
                peer: self.peer.parse().unwrap(),
                client: self.clients[place].parse().unwrap(),
                trust_proxy: self.trust,
                is_peer_trusted: self.is_peer_trusted,
                url: "http://h".into(),
                forwarded: Some(self.lines[place])
                    .filter(|line| !line.is_empty())
                    .map(|line| (FORWARDED_FOR.into(), line.into()))
                    .into_iter()
                    .collect(),
            };
            judge(&Seen {
                own: self.own.parse().ok(),
                is_https: self.is_https,
                plain: connection(0),
                spoofed: connection(1),
            })
        }
    }

    fn base() -> Case {
        Case {
            own: "198.51.100.4",
            peer: PEER,
            is_https: false,
            trust: ProxiesTrusted::Nobody,
            is_peer_trusted: false,
            lines: ["198.51.100.4", "203.0.113.77, 198.51.100.4"],
            clients: [PEER, PEER],
        }
    }

    fn direct() -> Case {
        Case {
            peer: "198.51.100.4",
            lines: ["", "203.0.113.77"],
            clients: ["198.51.100.4", "198.51.100.4"],
            ..base()
        }
    }

    #[track_caller]
    fn assert_found(case: &Case, verdict: &str, words: &str) {
        let finding = case.judge();
        let (name, seen, fix) = match &finding {
            Finding::Ok(seen) => ("ok", seen.as_str(), ""),
            Finding::Warn { seen, fix } => ("warn", seen.as_str(), fix.as_str()),
            Finding::Fail { seen, fix } => ("fail", seen.as_str(), fix.as_str()),
            Finding::Skipped(why) => ("skip", why.as_str(), ""),
        };
        assert_eq!(name, verdict, "{finding:?}");
        assert!(
            format!("{seen} {fix}").contains(words),
            "{words}: {finding:?}"
        );
    }

    #[test]
    fn without_a_proxy_nobody_should_be_believed() {
        assert_found(
            &direct(),
            "ok",
            "none in between; the server sees this machine",
        );
        let translated = Case {
            own: "192.168.1.5",
            ..direct()
        };
        assert_found(&translated, "ok", "a router translates");
        let believed = ["198.51.100.4", "203.0.113.77"];
        let anybody = Case {
            trust: ProxiesTrusted::OneHop,
            is_peer_trusted: true,
            clients: believed,
            ..direct()
        };
        assert_found(&anybody, "fail", "set TRUST_PROXY=0");
        let in_network = Case {
            trust: ProxiesTrusted::Networks,
            ..anybody
        };
        assert_found(&in_network, "warn", "name the proxies alone");
        let on_the_machine = Case {
            own: "127.0.0.1",
            peer: "127.0.0.1",
            trust: ProxiesTrusted::OneHop,
            is_peer_trusted: true,
            clients: ["127.0.0.1", "203.0.113.77"],
            ..direct()
        };
        assert_found(&on_the_machine, "warn", "cannot be seen from here");
    }

    #[test]
    fn a_proxy_that_is_not_believed_is_told_with_the_value_to_set() {
        assert_found(&base(), "fail", "set TRUST_PROXY=10.0.0.2, or to 1");
        let local = Case {
            peer: "127.0.0.1",
            clients: ["127.0.0.1"; 2],
            ..base()
        };
        assert_found(&local, "fail", "which no limit holds for");
        let elsewhere = Case {
            trust: ProxiesTrusted::Networks,
            ..base()
        };
        assert_found(&elsewhere, "fail", "add 10.0.0.2 to TRUST_PROXY");
    }

    #[test]
    fn a_proxy_that_is_believed_is_fine_if_it_tells_the_truth() {
        let one = Case {
            trust: ProxiesTrusted::OneHop,
            is_peer_trusted: true,
            clients: ["198.51.100.4"; 2],
            ..base()
        };
        assert_found(&one, "ok", "one proxy is in front");
        let with_port = Case {
            trust: ProxiesTrusted::Networks,
            lines: ["198.51.100.4:5000", "203.0.113.77, 198.51.100.4:5000"],
            ..one
        };
        assert_found(&with_port, "ok", "one proxy is in front");
        let parrot = Case {
            trust: ProxiesTrusted::OneHop,
            is_https: true,
            lines: ["", "203.0.113.77"],
            clients: [PEER, "203.0.113.77"],
            ..with_port
        };
        assert_found(&parrot, "fail", "passes X-Forwarded-For on as it came");
        let nameless = Case {
            lines: ["unknown", "203.0.113.77, unknown"],
            clients: ["0.0.0.0"; 2],
            ..parrot
        };
        assert_found(&nameless, "fail", "which is no address");
    }

    #[test]
    fn of_proxies_in_a_row_all_must_be_named() {
        let row = [
            "198.51.100.4, 192.0.2.9",
            "203.0.113.77, 198.51.100.4, 192.0.2.9",
        ];
        let one_of_two = Case {
            trust: ProxiesTrusted::OneHop,
            is_peer_trusted: true,
            lines: row,
            clients: ["192.0.2.9"; 2],
            ..base()
        };
        assert_found(&one_of_two, "fail", "set TRUST_PROXY=10.0.0.2,192.0.2.9");
        let half = Case {
            trust: ProxiesTrusted::Networks,
            ..one_of_two
        };
        assert_found(&half, "warn", "if 192.0.2.9 is a proxy of yours");
        let both = Case {
            clients: ["198.51.100.4"; 2],
            ..half
        };
        assert_found(&both, "ok", "2 proxies are in front");
    }

    #[test]
    fn a_proxy_that_says_nothing_is_found_by_what_it_cannot_hide() {
        let silent = Case {
            peer: PEER,
            clients: [PEER; 2],
            ..direct()
        };
        let over_tls = Case {
            is_https: true,
            ..silent
        };
        assert_found(&over_tls, "fail", "does not say whom it serves");
        let strips = Case {
            lines: ["", ""],
            is_https: false,
            ..over_tls
        };
        assert_found(&strips, "fail", "does not say whom it serves");
        let on_the_machine = Case {
            peer: "127.0.0.1",
            clients: ["127.0.0.1"; 2],
            lines: ["", "203.0.113.77"],
            ..strips
        };
        assert_found(&on_the_machine, "fail", "does not say whom it serves");
    }

    #[test]
    fn the_address_of_invites_is_compared_as_browsers_do() {
        let judged = |host: &str, url: &str| {
            let host = Host::parse(Some(host)).unwrap();
            matches!(judge_address(&host, url), Finding::Ok(_))
        };
        assert!(judged(
            "https://Grid.example:443/Base",
            "https://grid.example/base"
        ));
        assert!(judged("http://h:8080", "http://h:8080"));
        assert!(!judged("https://grid.example", "http://grid.example"));
        assert!(!judged("https://grid.example", "https://127.0.0.1:8080"));
    }
}
