//! Bytes to a server as nobody's client would send them, and what comes back.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What does not come within this time does not come.
const LIMIT: Duration = Duration::from_secs(30);

/// What every answer says (`HTTP_API` 15); the sandbox page, which is of an opaque origin anyway, says
/// nothing of agent clusters.
pub(crate) const SECURITY: [(&str, &str); 10] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl RawAnswer {
    /// The first of possibly several answers to one connection.
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self {
            status: status.parse().ok()?,
            headers: headers.collect(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A header that every answer has and this one lacks, or the other way round.
    pub(crate) fn unsafe_header(&self) -> Option<&'static str> {
        let policy = self.header("content-security-policy").unwrap_or_default();
        let is_opaque = policy.starts_with("sandbox ");
        let lacks = |(name, value): &&(&'static str, &str)| {
            let is_exempt = is_opaque && *name == "origin-agent-cluster";
            !is_exempt && self.header(name) != Some(*value)
        };
        if policy.is_empty() {
            return Some("content-security-policy");
        }
        let never = ["server", "x-powered-by", "access-control-allow-origin"];
        let lacking = SECURITY.iter().find(lacks).map(|(name, _)| *name);
        lacking.or_else(|| never.into_iter().find(|name| self.header(name).is_some()))
    }

    /// The `error` text of a refusal.
    pub(crate) fn error(&self) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        Some(body["error"].as_str()?.to_owned())
    }
}

/// Sends bytes over a connection of their own; everything that comes back until its end. A server
/// that does not take all of it may still have answered.
pub(crate) async fn exchange(url: &str, bytes: &[u8]) -> String {
    let authority = url.strip_prefix("http://").unwrap();
    let authority = authority.split('/').next().unwrap();
    let mut socket = TcpStream::connect(authority).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let ended = timeout(LIMIT, socket.read_to_end(&mut answer)).await;
    ended.expect("the server ends the connection").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// As [`exchange`], where exactly one answer is expected.
pub(crate) async fn answer(url: &str, bytes: &[u8]) -> RawAnswer {
    let text = exchange(url, bytes).await;
    RawAnswer::parse(&text).unwrap_or_else(|| panic!("no answer but {text:?}"))
}
