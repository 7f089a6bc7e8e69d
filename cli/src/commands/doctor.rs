//! `cluster doctor`: what is wrong between here and a server, and what to do about it.
//!
//! Lives here: which checks there are, in which order, and which need another's outcome. Not here:
//! the checks themselves (a file each), telling apart what can come back instead of an answer
//! (`asking`), how findings are shown (`finding`). Nothing is changed on the server.

mod asking;
mod clock;
mod files;
mod finding;
mod invite;
mod key;
mod proxies;
mod server;
mod signing;
mod socket;
mod workers;

use super::Failure;
use crate::args::Typed;
use crate::host::Host;
use crate::{output, settings};
use asking::Asking;
use files::Files;
use finding::{Finding, Report};

/// Why a check was left out whose answer needs the key.
const NEEDS_KEY: &str = "needs a key that the server accepts";
const NEEDS_SERVER: &str = "needs a server that answers";
/// The checks after the first, in their order.
const OTHERS: [&str; 10] = [
    "clock",
    "store",
    "key",
    "signing key",
    "invite",
    "websocket",
    "origin",
    "workers",
    "proxy",
    "address",
];

/// Looks at everything and says what was found.
///
/// # Errors
/// Flags or files that cannot be read; [`Failure::Told`] if a check failed.
pub(super) fn run(args: &Typed) -> Result<(), Failure> {
    let host = Host::parse(args.flag("host"))?;
    let files = Files::read(args.flag("env-file"))?;
    let report = Doctor {
        host: &host,
        asking: Asking::new(&host),
        key: settings::client_key(args)?,
        invite: args.flag("invite"),
        files,
    }
    .examine();
    if args.is_set("json") {
        output::json(&report.to_json(&host.to_string()));
    } else {
        output::out(&report.to_lines());
    }
    if report.is_well() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

struct Doctor<'a> {
    host: &'a Host,
    asking: Asking<'a>,
    key: Option<String>,
    invite: Option<&'a str>,
    files: Files,
}

impl Doctor<'_> {
    fn examine(&self) -> Report {
        let mut report = Report::default();
        let (asking, host) = (&self.asking, self.host);
        let met = match server::check(asking, host) {
            Ok((finding, met)) => {
                report.add("server", finding);
                met
            }
            Err(finding) => {
                report.add("server", finding);
                for name in OTHERS {
                    report.add(name, Finding::skipped(NEEDS_SERVER));
                }
                return report;
            }
        };
        report.add("clock", clock::check(&met));
        report.add("store", server::check_store(asking, host));
        let key = key::check(asking, host, self.key.as_deref(), &self.files);
        let (key, accepted) = match key {
            Ok(accepted) => (Finding::ok("the server accepts it"), Some(accepted)),
            Err(finding) => (finding, None),
        };
        report.add("key", key);
        report.add("signing key", signing::check(&met.config, &self.files));
        report.add("invite", invite::check(asking, host, self.invite, &met));
        let [websocket, origin] = socket::check(host, asking.is_proxied());
        report.add("websocket", websocket);
        report.add("origin", origin);
        match accepted {
            Some(key) => self.examine_with(&key, &mut report),
            None => {
                for name in ["workers", "proxy", "address"] {
                    report.add(name, Finding::skipped(NEEDS_KEY));
                }
            }
        }
        report
    }

    fn examine_with(&self, key: &key::Accepted<'_>, report: &mut Report) {
        report.add("workers", workers::check(&self.asking, self.host, key));
        let [proxy, address] = proxies::check(&self.asking, self.host, key);
        report.add("proxy", proxy);
        report.add("address", address);
    }
}
