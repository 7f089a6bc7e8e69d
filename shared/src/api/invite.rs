//! Worker invites.

use serde::{Deserialize, Serialize};

use super::IsoTime;

/// `POST /api/invites/worker`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InviteCreated {
    /// The token itself.
    pub invite_token: String,
    /// The worker page with the token, percent-encoded.
    pub invite_url: String,
    /// A short code that leads to it, if there is one.
    pub short_code: Option<String>,
    /// The link with the short code.
    pub short_invite_url: Option<String>,
    /// The phrase with hyphens.
    pub phrase_slug: Option<String>,
    /// The phrase with spaces.
    pub phrase_code: Option<String>,
    /// The link with the phrase.
    pub phrase_invite_url: Option<String>,
    /// A picture of the QR code as a data URL.
    pub invite_qr_data_url: Option<String>,
    /// Until when it holds.
    pub expires_at: IsoTime,
    /// Seconds that it holds.
    pub ttl_sec: u64,
    /// The links as other devices of the network can open them, where whoever asked knows the
    /// server under a name that means every device itself (`localhost`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkLinks>,
}

/// Links to an invite, as other devices of the network reach the server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkLinks {
    /// The worker page with the token, percent-encoded.
    pub invite_url: String,
    /// The link with the short code.
    pub short_invite_url: Option<String>,
    /// The link with the phrase.
    pub phrase_invite_url: Option<String>,
    /// A picture of the QR code as a data URL.
    pub invite_qr_data_url: Option<String>,
}

impl std::fmt::Debug for NetworkLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkLinks").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for InviteCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteCreated")
            .field("expires_at", &self.expires_at)
            .field("ttl_sec", &self.ttl_sec)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    fn invite() -> InviteCreated {
        InviteCreated {
            invite_token: "v1.secret.secret".into(),
            invite_url: "https://host/base/worker?invite=v1.secret.secret".into(),
            short_code: Some("k7m2xqa".into()),
            short_invite_url: Some("https://host/base/j/k7m2xqa".into()),
            phrase_slug: None,
            phrase_code: None,
            phrase_invite_url: None,
            invite_qr_data_url: None,
            expires_at: IsoTime(UnixMillis(1_767_229_200_000)),
            ttl_sec: 3600,
            network: None,
        }
    }

    #[test]
    fn an_invite_is_as_documented() {
        assert_eq!(
            serde_json::to_string(&invite()).unwrap(),
            concat!(
                r#"{"inviteToken":"v1.secret.secret","#,
                r#""inviteUrl":"https://host/base/worker?invite=v1.secret.secret","#,
                r#""shortCode":"k7m2xqa","shortInviteUrl":"https://host/base/j/k7m2xqa","#,
                r#""phraseSlug":null,"phraseCode":null,"phraseInviteUrl":null,"#,
                r#""inviteQrDataUrl":null,"expiresAt":"2026-01-01T01:00:00.000Z","ttlSec":3600}"#
            )
        );
    }

    #[test]
    fn links_for_the_network_are_an_addition() {
        let links = NetworkLinks {
            invite_url: "http://192.168.1.5/worker?invite=v1.secret.secret".into(),
            short_invite_url: None,
            phrase_invite_url: None,
            invite_qr_data_url: None,
        };
        assert_eq!(format!("{links:?}"), "NetworkLinks { .. }");
        let mut invite = invite();
        invite.network = Some(links);
        assert_eq!(
            serde_json::to_value(&invite).unwrap()["network"],
            serde_json::json!({
                "inviteUrl": "http://192.168.1.5/worker?invite=v1.secret.secret",
                "shortInviteUrl": null, "phraseInviteUrl": null, "inviteQrDataUrl": null,
            })
        );
    }

    #[test]
    fn an_invite_is_not_shown_in_logs() {
        let shown = format!("{:?}", invite());
        assert!(
            !shown.contains("secret") && !shown.contains("k7m2xqa"),
            "{shown}"
        );
    }
}
