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
    /// How many workers it lets in, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
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

/// `GET /api/invites`: the newest in front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteList {
    /// One row each.
    pub invites: Vec<InviteRow>,
}

/// An invite that the server remembers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InviteRow {
    /// Its id, which lets nobody in.
    pub jti: String,
    /// What its maker called it.
    pub label: Option<String>,
    /// When it was made.
    pub issued_at: IsoTime,
    /// Until when it holds.
    pub expires_at: IsoTime,
    /// How many workers it lets in; `None` for any number.
    pub max_uses: Option<u32>,
    /// Workers that it has let in.
    pub uses: u64,
    /// It lets nobody in any more, nor those who came by it.
    pub revoked: bool,
    /// No other was made after it.
    pub latest: bool,
    /// A short code that leads to it, if there is one.
    pub short_code: Option<String>,
    /// The phrase with hyphens, if there is one.
    pub phrase_slug: Option<String>,
}

impl std::fmt::Debug for InviteRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteRow")
            .field("jti", &self.jti)
            .field("uses", &self.uses)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

/// `DELETE /api/invites/:jti`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRevoked {
    /// Always true.
    pub ok: bool,
    /// Which invite.
    pub jti: String,
    /// Workers that came by it and were connected.
    pub disconnected: u64,
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
            max_uses: None,
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
    fn a_limit_of_an_invite_is_said_only_where_there_is_one() {
        let mut limited = invite();
        limited.max_uses = Some(2);
        let json = serde_json::to_string(&limited).unwrap();
        assert!(json.ends_with(r#""ttlSec":3600,"maxUses":2}"#), "{json}");
    }

    fn row() -> InviteRow {
        InviteRow {
            jti: "5f0c".into(),
            label: None,
            issued_at: IsoTime(UnixMillis(1_767_225_600_000)),
            expires_at: IsoTime(UnixMillis(1_767_229_200_000)),
            max_uses: Some(2),
            uses: 1,
            revoked: false,
            latest: true,
            short_code: Some("k7m2xqa".into()),
            phrase_slug: None,
        }
    }

    #[test]
    fn a_listed_invite_has_no_token() {
        assert_eq!(
            serde_json::to_string(&row()).unwrap(),
            concat!(
                r#"{"jti":"5f0c","label":null,"issuedAt":"2026-01-01T00:00:00.000Z","#,
                r#""expiresAt":"2026-01-01T01:00:00.000Z","maxUses":2,"uses":1,"#,
                r#""revoked":false,"latest":true,"shortCode":"k7m2xqa","phraseSlug":null}"#
            )
        );
    }

    #[test]
    fn an_invite_is_not_shown_in_logs() {
        let shown = format!("{:?} {:?}", invite(), row());
        assert!(
            !shown.contains("secret") && !shown.contains("k7m2xqa"),
            "{shown}"
        );
    }
}
