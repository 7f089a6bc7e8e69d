//! Is the client key good?

use shared::api::AuthCheck;
use shared::mnemonic::ClientKey;

use super::asking::{Answer, Asking};
use super::files::Files;
use super::finding::Finding;
use crate::host::Host;
use crate::settings;

const PATH: &str = "/api/auth/check";
/// Where the server reads a key besides `Authorization`.
const OTHER_HEADER: &str = "x-client-token";

/// A key that the server has accepted.
#[derive(Debug)]
pub(super) struct Accepted<'k> {
    key: &'k str,
}

impl Accepted<'_> {
    /// The header that shows it.
    pub(super) fn header(&self) -> (&'static str, &str) {
        (OTHER_HEADER, self.key)
    }
}

/// The key, once the server has accepted it as other commands show it.
pub(super) fn check<'k>(
    asking: &Asking<'_>,
    host: &Host,
    key: Option<&'k str>,
    files: &Files,
) -> Result<Accepted<'k>, Finding> {
    let key = key.ok_or_else(|| no_key(files))?;
    if !settings::is_presentable(key) {
        return Err(Finding::fail(
            "the key holds characters that no key has: it must be printable ASCII",
            "copy it anew, without line breaks",
        ));
    }
    let bearer = format!("Bearer {key}");
    let answer = asking.get(PATH, &[("authorization", &bearer)])?;
    if answer.status == 429 {
        return Err(held_off(&answer, host));
    }
    let is_refused = answer.status == 401 && answer.error().is_some();
    if !is_refused {
        return answer.read::<AuthCheck>(host).map(|_| Accepted { key });
    }
    // A second look costs nothing: the same key in another header.
    let other = asking.get(PATH, &[(OTHER_HEADER, key)])?;
    if other.status == 200 {
        return Err(Finding::fail(
            "the key is good, but the Authorization header does not arrive as it was sent",
            "let the proxy pass Authorization on (no auth_basic, and no proxy_set_header for it)",
        ));
    }
    Err(not_accepted(key, files))
}

fn no_key(files: &Files) -> Finding {
    let fix = files.client_key().map_or_else(
        || {
            "export CLIENT_API_KEY=… as the server showed it; on its machine data/secrets.env holds it"
                .into()
        },
        |found| from_file(found.place),
    );
    Finding::fail("there is none", fix)
}

/// A key that nobody throttles may still be one request too many for the whole API.
fn held_off(answer: &Answer, host: &Host) -> Finding {
    if answer.header("ratelimit-remaining") == Some("0") {
        return answer.refusal(host);
    }
    let wait = answer.header("retry-after").unwrap_or("60");
    Finding::fail(
        "this address has shown too many wrong keys (status 429)",
        format!("wait {wait} s, then show the right one"),
    )
}

fn not_accepted(key: &str, files: &Files) -> Finding {
    let seen = "the server does not accept it";
    match files.client_key() {
        Some(found) if !ClientKey::new(found.text).accepts(key) => Finding::fail(
            format!("{seen}, and {} has another", found.place),
            from_file(found.place),
        ),
        Some(_) | None => Finding::fail(
            seen,
            "take CLIENT_API_KEY from the server's own settings or its data/secrets.env",
        ),
    }
}

/// The shell line that takes the key from a file, without showing it.
fn from_file(place: &str) -> String {
    format!("export CLIENT_API_KEY=\"$(sed -n 's/^CLIENT_API_KEY=//p' {place})\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_header_can_carry_is_not_taken_for_a_fault_of_the_server() {
        // Nothing is asked: nothing listens there.
        let host = Host::parse(Some("http://127.0.0.1:1")).unwrap();
        let seen = |key: &str| match check(&Asking::new(&host), &host, Some(key), &Files::default())
        {
            Err(Finding::Fail { seen, .. }) => seen,
            other => panic!("{other:?}"),
        };
        for key in ["schl\u{fc}ssel", "key\nkey"] {
            assert_eq!(
                seen(key),
                "the key holds characters that no key has: it must be printable ASCII"
            );
        }
        assert_eq!(seen("key"), "nothing listens at 127.0.0.1:1");
    }
}
