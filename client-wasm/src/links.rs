//! What of an invite is passed on to people and their devices.
//!
//! Not here: making invites (`api`), showing them (the views).

use shared::api::InviteCreated;

/// The ways to open an invite, as other devices can use them where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteLinks {
    /// The link that is handiest to send.
    pub handy: String,
    /// Words to say aloud, and the address to type them at.
    pub words: Option<(String, String)>,
    /// The fewest characters to type.
    pub short: Option<String>,
    /// The link that works without the server's memory, if it is not the handy one.
    pub full: Option<String>,
    /// The picture of a QR code as a data URL.
    pub qr_data_url: Option<String>,
    /// The links lead nowhere but on the computer that they were made on.
    pub is_for_this_computer_only: bool,
}

impl InviteLinks {
    /// Those of `invite`.
    pub fn of(invite: &InviteCreated) -> Self {
        let (full, short, phrase, qr_data_url) = match &invite.network {
            Some(network) => (
                &network.invite_url,
                &network.short_invite_url,
                &network.phrase_invite_url,
                &network.invite_qr_data_url,
            ),
            None => (
                &invite.invite_url,
                &invite.short_invite_url,
                &invite.phrase_invite_url,
                &invite.invite_qr_data_url,
            ),
        };
        let handy = phrase.as_ref().or(short.as_ref());
        let worker_page = full.split('?').next().unwrap_or(full);
        let words = invite.phrase_code.clone();
        Self {
            handy: handy.unwrap_or(full).clone(),
            words: words.map(|words| (words, worker_page.to_owned())),
            short: short.clone(),
            full: handy.map(|_| full.clone()),
            qr_data_url: qr_data_url.clone(),
            is_for_this_computer_only: is_this_computer(host(full)),
        }
    }
}

/// The host of an absolute URL, with its port.
fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or_default()
}

/// Whether a host means the computer of whoever opens it.
fn is_this_computer(host: &str) -> bool {
    if host.starts_with("[::1]") {
        return true;
    }
    let name = host.split(':').next().unwrap_or_default();
    name == "localhost" || name.ends_with(".localhost") || is_loopback(name)
}

/// Whether it is an IPv4 address of the network 127.
fn is_loopback(name: &str) -> bool {
    let is_address = name
        .bytes()
        .all(|byte| byte == b'.' || byte.is_ascii_digit());
    is_address && name.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use shared::api::{IsoTime, NetworkLinks};
    use shared::time::UnixMillis;

    use super::*;

    fn invite(base: &str) -> InviteCreated {
        InviteCreated {
            invite_token: "v1.a.b".into(),
            invite_url: format!("{base}/worker?invite=v1.a.b"),
            short_code: Some("k7m2xqa".into()),
            short_invite_url: Some(format!("{base}/j/k7m2xqa")),
            phrase_slug: Some("lamp-river".into()),
            phrase_code: Some("lamp river".into()),
            phrase_invite_url: Some(format!("{base}/p/lamp-river")),
            invite_qr_data_url: Some("data:here".into()),
            expires_at: IsoTime(UnixMillis(0)),
            ttl_sec: 60,
            max_uses: None,
            network: None,
        }
    }

    #[test]
    fn links_that_other_devices_can_open_come_before_those_of_this_computer() {
        let mut invite = invite("http://127.0.0.1:8080/grid");
        let base = "http://192.168.1.5:8080/grid";
        invite.network = Some(NetworkLinks {
            invite_url: format!("{base}/worker?invite=v1.a.b"),
            short_invite_url: Some(format!("{base}/j/k7m2xqa")),
            phrase_invite_url: Some(format!("{base}/p/lamp-river")),
            invite_qr_data_url: Some("data:network".into()),
        });
        let links = InviteLinks::of(&invite);
        let shown = format!("{links:?}");
        assert!(!shown.contains("127.0.0.1"), "{shown}");
        assert_eq!(links.handy, format!("{base}/p/lamp-river"));
        assert_eq!(links.qr_data_url.as_deref(), Some("data:network"));
        let words = ("lamp river".to_owned(), format!("{base}/worker"));
        assert_eq!(links.words, Some(words));
        assert!(!links.is_for_this_computer_only);
    }

    #[test]
    fn links_of_loopback_are_said_to_be_for_this_computer_only() {
        for (base, is_only_here) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://grid.localhost:80/x", true),
            ("http://[::1]:8080", true),
            ("http://192.168.1.5:8080", false),
            ("http://[fd00::1]:8080", false),
            ("https://grid.example/127.0.0.1", false),
            ("https://127.example", false),
            ("https://localhost.example", false),
        ] {
            let links = InviteLinks::of(&invite(base));
            assert_eq!(links.is_for_this_computer_only, is_only_here, "{base}");
        }
    }

    #[test]
    fn an_invite_without_code_and_words_has_its_full_link() {
        let mut invite = invite("https://grid.example");
        invite.short_invite_url = None;
        invite.phrase_invite_url = None;
        invite.phrase_code = None;
        let links = InviteLinks::of(&invite);
        assert_eq!(links.handy, "https://grid.example/worker?invite=v1.a.b");
        assert_eq!((links.full, links.short, links.words), (None, None, None));
    }
}
