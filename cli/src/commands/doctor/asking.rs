//! Asking the server, and telling apart what can come back instead of its answer.
//!
//! Nothing is followed and nothing is hidden here: a redirect, a page of a proxy and a refused
//! connection are each a finding of their own.

use std::error::Error;
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant, SystemTime};

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::HeaderMap;

use super::finding::Finding;
use crate::host::Host;

/// Longest wait for one answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read; the server's are far smaller, but for lists of workers.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Characters of what others wrote that are shown.
const SHOWN_CHARS: usize = 120;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Asking<'h> {
    host: &'h Host,
    agent: ureq::Agent,
}

/// What came back, whoever wrote it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) json: Option<Value>,
    text: String,
    /// When it was read half of: between the asking and the answer.
    pub(super) midway: SystemTime,
    /// From the asking to the answer.
    pub(super) took: Duration,
}

impl<'h> Asking<'h> {
    pub(super) fn new(host: &'h Host) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            host,
            agent: config.into(),
        }
    }

    /// Whether requests go through a proxy that this machine's environment names.
    pub(super) fn is_proxied(&self) -> bool {
        self.agent.config().proxy().is_some()
    }

    /// The answer to a GET of `path` below `--host`.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Finding> {
        self.get_url(&format!("{}{path}", self.host), headers)
    }

    /// As [`Self::get`], of any address.
    pub(super) fn get_url(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Finding> {
        let mut request = self.agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (began, at) = (Instant::now(), SystemTime::now());
        let failed = |error: &ureq::Error| unreached(self.host, error);
        let mut answer = request.call().map_err(|error| failed(&error))?;
        let took = began.elapsed();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let body = body.read_to_vec().map_err(|error| failed(&error))?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            json: serde_json::from_slice(&body).ok(),
            text: String::from_utf8_lossy(&body).into_owned(),
            midway: at + took / 2,
            took,
        })
    }
}

impl Answer {
    /// What the server says, in the shape that it has.
    ///
    /// # Errors
    /// What came instead.
    pub(super) fn read<T: DeserializeOwned>(&self, host: &Host) -> Result<T, Finding> {
        if self.status != 200 {
            return Err(self.refusal(host));
        }
        let json = self.json.clone();
        json.and_then(|json| serde_json::from_value(json).ok())
            .ok_or_else(|| self.refusal(host))
    }

    /// What came instead of what was asked for.
    pub(super) fn refusal(&self, host: &Host) -> Finding {
        if let Some(to) = self.redirect() {
            return redirected(host, &to);
        }
        if self.status == 429 {
            return self.asked_too_often();
        }
        if let Some(error) = self.error() {
            return Finding::fail(
                format!("the server refuses with status {}: {error}", self.status),
                "see the server's log for the cause",
            );
        }
        if host.is_plain() && self.status == 400 && self.text.to_lowercase().contains("https") {
            return not_plain(host);
        }
        self.not_ours(host)
    }

    /// Where it sends us.
    pub(super) fn redirect(&self) -> Option<String> {
        let to = self.header("location");
        to.filter(|_| (300..400).contains(&self.status))
            .map(str::to_owned)
    }

    /// The text of the server's own refusals.
    pub(super) fn error(&self) -> Option<&str> {
        self.json.as_ref()?["error"].as_str()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn asked_too_often(&self) -> Finding {
        let wait = self.header("retry-after").unwrap_or("60");
        Finding::fail(
            "this address has asked too often (status 429)",
            format!(
                "wait {wait} s and try again; API_RATE_LIMIT_MAX on the server sets how much is allowed"
            ),
        )
    }

    fn not_ours(&self, host: &Host) -> Finding {
        let status = self.status;
        match status {
            502..=504 => Finding::fail(
                format!("a proxy answers, but it does not reach the server (status {status})"),
                "start the server, and let the proxy pass requests on to its HOST and PORT",
            ),
            401 | 403 | 407 => Finding::fail(
                format!("something in front of the server wants a login (status {status})"),
                "let requests to the server through without a login of the proxy; it has its own key",
            ),
            _ => Finding::fail(
                format!(
                    "{} (status {status}) came instead of the server's answer: {}",
                    self.kind(),
                    shown(&self.text)
                ),
                format!(
                    "{host} is another program, or a proxy that does not pass this path on: set \
                     --host to the server with its BASE_PATH, and let the proxy pass on all below it"
                ),
            ),
        }
    }

    fn kind(&self) -> &'static str {
        let is_html = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"));
        if is_html || self.text.trim_start().starts_with('<') {
            "a web page"
        } else if self.json.is_some() {
            "other JSON"
        } else {
            "a text"
        }
    }
}

/// The beginning of what others wrote, on one line and without control characters.
fn shown(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = words.chars().filter(|c| !c.is_control());
    let mut shown: String = plain.take(SHOWN_CHARS).collect();
    if shown.is_empty() {
        shown.push_str("(empty)");
    }
    shown
}

fn redirected(host: &Host, to: &str) -> Finding {
    let secure = host.secure();
    if host.is_plain() && to.to_lowercase().starts_with(&secure.to_lowercase()) {
        return Finding::fail(
            "plain http is redirected to https",
            format!("--host {secure}"),
        );
    }
    Finding::fail(
        format!("the request is redirected to {}", shown(to)),
        "set --host to where the server itself answers; if that is a login page, let requests to \
         the server through without it",
    )
}

fn not_plain(host: &Host) -> Finding {
    Finding::fail(
        "https is spoken there, not plain http",
        format!("--host {}", host.secure()),
    )
}

/// Why nothing answered.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an enum of another crate, which grows"
)]
fn unreached(host: &Host, error: &ureq::Error) -> Finding {
    if let Some(cause) = tls_error(error) {
        return tls_failed(host, cause);
    }
    let place = host.authority();
    match error {
        ureq::Error::HostNotFound => unknown_name(host),
        ureq::Error::Timeout(_) => Finding::fail(
            format!("{place} does not answer within {} s", PATIENCE.as_secs()),
            "open the port in the firewall, and see whether the server's machine is up",
        ),
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => Finding::fail(
            format!("nothing listens at {place}"),
            "start the server there, or set --host to its address and port",
        ),
        ureq::Error::Io(error) if is_hung_up(error.kind()) => hung_up(host),
        ureq::Error::Protocol(_) if host.is_plain() => not_plain(host),
        ureq::Error::Io(_) if (host.name(), host.port()).to_socket_addrs().is_err() => {
            unknown_name(host)
        }
        other => Finding::fail(
            format!("{place} cannot be asked: {other}"),
            "check --host, and the network in between",
        ),
    }
}

fn unknown_name(host: &Host) -> Finding {
    Finding::fail(
        format!("no address is known for the name {}", host.name()),
        "check the spelling of --host, or the name's DNS entry",
    )
}

const fn is_hung_up(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

fn hung_up(host: &Host) -> Finding {
    let seen = format!("{} hangs up without an answer", host.authority());
    let fix = if host.is_plain() {
        format!(
            "see whether it speaks https (--host {}), and whether the proxy there reaches the server",
            host.secure()
        )
    } else {
        "see the log of the proxy that ends TLS there".into()
    };
    Finding::fail(seen, fix)
}

/// The TLS error inside, wherever it was wrapped.
pub(super) fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(ureq::Error::Rustls(error)) = error.downcast_ref() {
        return Some(error);
    }
    let wrapped = match error.downcast_ref() {
        Some(ureq::Error::Io(error)) => Some(error),
        Some(_) | None => error.downcast_ref::<std::io::Error>(),
    };
    wrapped?.get_ref()?.downcast_ref()
}

/// Why there is no TLS with the host.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an enum of another crate, which grows"
)]
pub(super) fn tls_failed(host: &Host, error: &rustls::Error) -> Finding {
    match error {
        rustls::Error::InvalidMessage(_) => Finding::fail(
            "plain http is spoken there, not https",
            format!("--host {}", host.plain()),
        ),
        rustls::Error::InvalidCertificate(cause) => bad_certificate(host, cause),
        other => Finding::fail(
            format!("no TLS with {}: {other}", host.authority()),
            "see the log of the proxy that ends TLS there",
        ),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an enum of another crate, which grows"
)]
fn bad_certificate(host: &Host, cause: &rustls::CertificateError) -> Finding {
    use rustls::CertificateError as Bad;
    let name = host.name();
    match cause {
        Bad::Expired | Bad::ExpiredContext { .. } => Finding::fail(
            "its certificate has expired",
            "renew it, and let the proxy load it; or set this machine's clock",
        ),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => Finding::fail(
            "its certificate is not valid yet",
            "set the clock of this machine, or of the one that made the certificate",
        ),
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Finding::fail(
            format!("its certificate is for other names than {name}"),
            format!("set --host to a name in the certificate, or get one for {name}"),
        ),
        Bad::UnknownIssuer => Finding::fail(
            "its certificate is not signed by an authority that is known here",
            "let the proxy send the whole chain (fullchain.pem) of a public authority such as \
             Let's Encrypt; browsers refuse it, too",
        ),
        other => Finding::fail(
            format!("its certificate is not accepted: {other}"),
            "get one from a public authority such as Let's Encrypt",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_shown_short_and_on_one_line() {
        assert_eq!(shown("<p>\n\u{1b}[31m red </p>\r\n"), "<p> [31m red </p>");
        assert_eq!(shown(" \n"), "(empty)");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN_CHARS);
    }
}
