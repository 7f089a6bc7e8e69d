//! What the page reads of an invitation. It cannot check it, only the server can.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The claims of an invitation as JSON; `None` where it has none that can be read.
pub(super) fn claims(invite: &str) -> Option<String> {
    let payload = invite.split('.').nth(1)?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_the_middle_part() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"kid":"ab"}"#);
        let invite = ["v1.", &payload, ".signature"].concat();
        assert_eq!(claims(&invite).as_deref(), Some(r#"{"kid":"ab"}"#));
    }

    #[test]
    fn what_is_no_invitation_has_none() {
        for text in ["", "v1", "v1.%.x", "v1._w.x"] {
            assert_eq!(claims(text), None, "{text}");
        }
    }
}
