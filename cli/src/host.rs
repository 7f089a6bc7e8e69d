//! The server's address, as `--host` gives it.

use std::fmt;

use ureq::http::Uri;

use crate::commands::Failure;

/// Where a server is looked for unless `--host` says otherwise.
const DEFAULT: &str = "http://127.0.0.1:8080";

/// An http or https address with the base path and without a trailing slash.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    text: String,
    uri: Uri,
}

impl Host {
    /// Reads what was typed, if anything was.
    ///
    /// # Errors
    /// One line that names the address as it was probably meant.
    pub(crate) fn parse(typed: Option<&str>) -> Result<Self, Failure> {
        let typed = typed.unwrap_or(DEFAULT);
        let text = typed.trim_end_matches('/');
        let Some((scheme, rest)) = typed.split_once("://") else {
            return Err(Failure::message(format!(
                "--host {text} has no scheme; write --host {}://{text}",
                likely_scheme(text)
            )));
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return Err(Failure::message(format!(
                "--host {text} is not a web address; write --host http://{rest} or https://{rest}"
            )));
        }
        let uri: Option<Uri> = text.parse().ok();
        let uri = uri.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        let uri = uri.filter(|uri| uri.scheme().is_some() && uri.query().is_none());
        let uri = uri.ok_or_else(|| {
            Failure::message(format!(
                "--host {text} is no address of a server; write it like --host {DEFAULT}"
            ))
        })?;
        let text = text.to_owned();
        Ok(Self { text, uri })
    }

    /// Whether it is plain http.
    pub(crate) fn is_plain(&self) -> bool {
        self.uri.scheme_str() != Some("https")
    }

    /// Host name and port, as typed.
    pub(crate) fn authority(&self) -> &str {
        let authority = self.uri.authority();
        authority.map_or("", |authority| authority.as_str())
    }

    /// The name or address alone, without the brackets of IPv6.
    pub(crate) fn name(&self) -> &str {
        let name = self.uri.host().unwrap_or_default();
        name.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port that is connected to.
    pub(crate) fn port(&self) -> u16 {
        let usual = if self.is_plain() { 80 } else { 443 };
        self.uri.port_u16().unwrap_or(usual)
    }

    /// The base path: empty, or with a leading slash.
    pub(crate) fn base_path(&self) -> &str {
        self.uri.path().trim_end_matches('/')
    }

    /// Scheme, name and port as browsers write an origin: in lower case, without a usual port.
    pub(crate) fn origin(&self) -> String {
        let scheme = if self.is_plain() { "http" } else { "https" };
        let usual = if self.is_plain() { 80 } else { 443 };
        let name = self.uri.host().unwrap_or_default().to_ascii_lowercase();
        match self.port() {
            port if port == usual => format!("{scheme}://{name}"),
            port => format!("{scheme}://{name}:{port}"),
        }
    }

    /// The same over https. A port that was named belongs to plain http, unless it speaks TLS.
    pub(crate) fn secure(&self) -> String {
        self.with_scheme("https", 80)
    }

    /// The same over plain http.
    pub(crate) fn plain(&self) -> String {
        self.with_scheme("http", 443)
    }

    fn with_scheme(&self, scheme: &str, dropped_port: u16) -> String {
        let authority = self.authority();
        let dropped = format!(":{dropped_port}");
        let authority = authority.strip_suffix(&dropped).unwrap_or(authority);
        format!("{scheme}://{authority}{}", self.base_path())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A name with a dot and without a port is a public server, which speaks https; all else is near.
fn likely_scheme(text: &str) -> &'static str {
    let authority = text.split('/').next().unwrap_or_default();
    let is_public = authority.contains('.')
        && !authority.contains(':')
        && authority.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !authority.ends_with(".local");
    if is_public { "https" } else { "http" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(typed: &str) -> String {
        match Host::parse(Some(typed)) {
            Err(Failure::Message(text)) => text,
            other => panic!("{typed}: {other:?}"),
        }
    }

    #[test]
    fn an_address_without_scheme_is_answered_with_the_right_line() {
        for (typed, meant) in [
            ("localhost:8080", "http://localhost:8080"),
            ("10.0.0.7", "http://10.0.0.7"),
            ("pi.local", "http://pi.local"),
            ("grid.example/base", "https://grid.example/base"),
        ] {
            let text = complaint(typed);
            assert!(text.ends_with(&format!("write --host {meant}")), "{text}");
        }
        assert!(complaint("ftp://h").contains("write --host http://h or https://h"));
        for wrong in ["http://", "http://h?x=1", "http://a b"] {
            assert!(complaint(wrong).contains("is no address"), "{wrong}");
        }
    }

    #[test]
    fn parts_are_as_browsers_and_sockets_need_them() {
        let host = Host::parse(Some("https://Grid.example:443/base/")).unwrap();
        assert_eq!(host.to_string(), "https://Grid.example:443/base");
        assert_eq!(host.origin(), "https://grid.example");
        assert_eq!((host.base_path(), host.port()), ("/base", 443));
        assert_eq!(host.plain(), "http://Grid.example/base");
        let host = Host::parse(Some("http://[::1]:8080")).unwrap();
        assert_eq!((host.name(), host.port()), ("::1", 8080));
        assert_eq!(host.origin(), "http://[::1]:8080");
        assert_eq!(host.secure(), "https://[::1]:8080");
        let host = Host::parse(None).unwrap();
        assert_eq!((host.base_path(), host.is_plain()), ("", true));
    }
}
