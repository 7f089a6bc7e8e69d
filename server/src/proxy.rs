//! What a proxy in front says of the request, believed only if `TRUST_PROXY` is 1.

use axum::http::{HeaderMap, header};

/// The scheme by which the client reached us.
pub(crate) fn scheme(headers: &HeaderMap, trust_proxy: bool) -> &'static str {
    let forwarded = forwarded(headers, "x-forwarded-proto", trust_proxy);
    if forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case("https")) {
        "https"
    } else {
        "http"
    }
}

/// Host and port under which the client knows us, in lower case; empty if it did not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority(String);

impl Authority {
    /// Of a request. Only characters that a host and port can have are taken, so that it can stand
    /// in a URL or a header.
    pub(crate) fn of(headers: &HeaderMap, trust_proxy: bool) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let known = forwarded(headers, "x-forwarded-host", trust_proxy).or(host);
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let known = known.filter(|text| text.chars().all(allowed));
        Self(known.unwrap_or_default().to_ascii_lowercase())
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `authority`, in lower case, is this one.
    pub(crate) fn is(&self, authority: &str) -> bool {
        !self.0.is_empty() && self.0 == authority
    }
}

/// First value of a list that one proxy has written.
fn forwarded<'h>(headers: &'h HeaderMap, name: &str, trust_proxy: bool) -> Option<&'h str> {
    let value = headers.get(name).filter(|_| trust_proxy)?.to_str().ok()?;
    value
        .split(',')
        .map(str::trim)
        .next()
        .filter(|first| !first.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(header::HeaderName, header::HeaderValue)>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let headers = headers(&[
            ("host", "inner:8080"),
            ("x-forwarded-host", "Outer.example, other"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(Authority::of(&headers, false).as_str(), "inner:8080");
        assert_eq!(Authority::of(&headers, true).as_str(), "outer.example");
        assert_eq!(scheme(&headers, false), "http");
        assert_eq!(scheme(&headers, true), "https");
    }

    #[test]
    fn a_host_that_could_break_out_of_a_url_is_not_taken() {
        let headers = headers(&[("host", "evil\"; x='")]);
        assert_eq!(Authority::of(&headers, false).as_str(), "");
        assert!(!Authority::of(&headers, false).is(""));
    }
}
