//! Worker invites: `v1.<claims>.<signature>`, HMAC-SHA256 under `WORKER_INVITE_SECRET`.
//!
//! Lives here: making and checking tokens, which one is the newest, and where links lead. Not here:
//! what codes and phrases look like (`links`), answers (`api/invites`), session tokens, which outlive
//! an invite, and what operators order later (`orders`).

pub(crate) mod links;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use shared::ids::Digest32;
use shared::qr;
use shared::time::UnixMillis;

use crate::orders::Orders;
use crate::random;
use crate::store::{
    InviteLink, InviteRecord, InviteToken, ListedInvite, NewInvite, Store, StoreError,
};

const TYPE: &str = "worker_invite";
/// Characters of a token.
const TOKEN_LENGTH: std::ops::RangeInclusive<usize> = 20..=2048;

/// The worker page below the app's root, up to the token.
pub(crate) const WORKER_PAGE: &str = "/worker?invite=";

/// What an invite says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InviteClaims {
    typ: String,
    /// Its id.
    pub jti: String,
    /// When it was made, in Unix seconds.
    #[serde(default)]
    pub iat: u64,
    /// Until when it holds, in Unix seconds; `None` for anything that is no such number.
    #[serde(default, deserialize_with = "lenient")]
    pub exp: Option<u64>,
    /// What its maker called it, 64 characters at most.
    #[serde(default)]
    pub label: Option<String>,
    /// The key that assignments will be signed with, so that a worker notices another one.
    #[serde(default)]
    pub kid: Option<String>,
    /// How many workers it lets in; `None` for any number.
    #[serde(default, rename = "maxUses", skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
}

/// What an invite is made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InviteTerms {
    /// Seconds that it holds.
    pub ttl_sec: u64,
    /// What its maker calls it.
    pub label: Option<String>,
    /// How many workers it lets in; `None` for any number.
    pub max_uses: Option<u32>,
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|value| value.as_u64())
}

/// Why an invite does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InviteRefusal {
    /// Not a token.
    Format,
    /// Not signed with our secret.
    Signature,
    /// Signed, but no invite.
    Payload,
    /// Too old.
    Expired,
    /// Withdrawn by an operator.
    Revoked,
    /// Only the newest counts, and there is none.
    NoActive,
    /// Only the newest counts, and this is another.
    Stale,
    /// It has let in as many workers as it may.
    UsedUp,
}

/// Whether a token is of the kind that invites are, and no session's.
pub(crate) fn is_invite(token: &str) -> bool {
    token.starts_with("v1.")
}

impl InviteRefusal {
    /// The word that clients see.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Format => "invalid_token_format",
            Self::Signature => "invalid_signature",
            Self::Payload => "invalid_payload",
            Self::Expired => "expired_token",
            Self::Revoked => "revoked_token",
            Self::NoActive => "no_active_invite",
            Self::Stale => "stale_token",
            Self::UsedUp => "used_up_token",
        }
    }
}

/// What an operator decides about invites.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InviteRules {
    /// Only the newest lets workers in.
    pub require_latest: bool,
    /// Characters of a short code.
    pub code_length: usize,
    /// Words of a phrase.
    pub phrase_words: usize,
    /// Invites whose links are kept.
    pub max_kept: u64,
}

/// An invite that was just made.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    /// The token.
    pub token: InviteToken,
    /// Its short code, if one was free.
    pub code: Option<String>,
    /// Its phrase, words joined by `-`, if one was free.
    pub phrase: Option<String>,
    /// Until when it holds.
    pub expires_at: UnixMillis,
}

/// Addresses that lead to one invite.
#[derive(Clone)]
pub(crate) struct InviteUrls {
    /// The worker page with the token, of which no character needs to be encoded.
    pub full: String,
    /// With the short code.
    pub short: Option<String>,
    /// With the phrase.
    pub phrase: Option<String>,
}

impl Issued {
    /// Its addresses; `base` is the app's root as the reader knows it.
    pub(crate) fn urls(&self, base: &str) -> InviteUrls {
        let url = |path: &str, text: &str| format!("{base}{path}{text}");
        InviteUrls {
            full: url(WORKER_PAGE, &self.token.0),
            short: self.code.as_deref().map(|code| url("/j/", code)),
            phrase: self.phrase.as_deref().map(|phrase| url("/p/", phrase)),
        }
    }
}

impl InviteUrls {
    /// The one with the fewest characters: the fewer, the larger the modules of its QR code.
    pub(crate) fn shortest(&self) -> &str {
        let shortest = self.short.as_ref().or(self.phrase.as_ref());
        shortest.unwrap_or(&self.full)
    }

    /// A picture of the QR code of the one that is easiest to check by eye; `None` where it does
    /// not fit.
    pub(crate) fn qr_data_url(&self) -> Option<String> {
        let pictured = self.phrase.as_ref().or(self.short.as_ref());
        qr::data_url(pictured.unwrap_or(&self.full)).ok()
    }
}

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To this invite.
    Invite(InviteToken),
    /// To one that has expired.
    Expired,
    /// Nowhere that is known.
    Unknown,
}

/// Makes and checks invites.
pub(crate) struct Invites {
    mac: Hmac<Sha256>,
    /// Id of our signing key, as invites name it.
    kid: String,
    rules: InviteRules,
    newest: Mutex<Option<(u64, InviteRecord)>>,
    orders: Arc<Orders>,
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Invites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Invites([redacted])")
    }
}

impl Invites {
    /// Reads which invite is the newest.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub(crate) async fn load(
        store: Arc<dyn Store>,
        orders: Arc<Orders>,
        secret: &str,
        kid: Digest32,
        rules: InviteRules,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            mac: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length"),
            kid: kid.to_string(),
            rules,
            newest: Mutex::new(store.newest_invite().await?),
            orders,
            store,
        })
    }

    /// Makes an invite, which becomes the newest when it is stored.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be stored; it does not hold then.
    pub(crate) async fn issue(
        &self,
        now: UnixMillis,
        terms: InviteTerms,
    ) -> Result<Issued, StoreError> {
        let issued_at_sec = now.0 / 1000;
        let record = InviteRecord {
            jti: uuid::Builder::from_random_bytes(random::bytes())
                .into_uuid()
                .to_string(),
            issued_at_sec,
            expires_at_sec: issued_at_sec + terms.ttl_sec,
            label: terms.label,
            max_uses: terms.max_uses,
        };
        let token = self.token(&InviteClaims {
            typ: TYPE.into(),
            jti: record.jti.clone(),
            iat: issued_at_sec,
            exp: Some(record.expires_at_sec),
            label: record.label.clone(),
            kid: Some(self.kid.clone()),
            max_uses: record.max_uses,
        });
        let token = InviteToken(token);
        let expires_at = UnixMillis(record.expires_at_sec * 1000);
        let recorded = self
            .store
            .record_invite(NewInvite {
                record: record.clone(),
                token: token.clone(),
                codes: links::codes(self.rules.code_length),
                phrases: links::phrases(self.rules.phrase_words),
                max_kept: self.rules.max_kept,
            })
            .await?;
        let mut newest = self.newest();
        if newest
            .as_ref()
            .is_none_or(|(known, _)| *known < recorded.serial)
        {
            *newest = Some((recorded.serial, record));
        }
        Ok(Issued {
            token,
            code: recorded.code,
            phrase: recorded.phrase,
            expires_at,
        })
    }

    /// Whether any invite is known, even one that has expired.
    pub(crate) fn were_made(&self) -> bool {
        self.newest().is_some()
    }

    /// The newest invites, these in front; `most` of them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub(crate) async fn list(&self, most: usize) -> Result<Vec<ListedInvite>, StoreError> {
        self.store.invites(most).await
    }

    /// Where a link leads. An invite that a newer one has replaced is still found: whether it lets
    /// anybody in is decided when a worker shows it.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be looked up.
    pub(crate) async fn follow(
        &self,
        link: InviteLink,
        now: UnixMillis,
    ) -> Result<Destination, StoreError> {
        Ok(match self.store.linked_invite(link).await? {
            None => Destination::Unknown,
            Some(invite) if invite.expires_at_sec < now.0 / 1000 => Destination::Expired,
            Some(invite) => Destination::Invite(invite.token),
        })
    }

    /// The claims of an invite that holds.
    ///
    /// # Errors
    /// [`InviteRefusal`]: the first check that fails.
    pub(crate) fn check(
        &self,
        token: &str,
        now: UnixMillis,
    ) -> Result<InviteClaims, InviteRefusal> {
        let (payload, signature) = parts(token).ok_or(InviteRefusal::Format)?;
        let signature = BASE64URL
            .decode(signature)
            .map_err(|_| InviteRefusal::Signature)?;
        self.mac_of(payload)
            .verify_slice(&signature)
            .map_err(|_| InviteRefusal::Signature)?;
        let claims = BASE64URL
            .decode(payload)
            .ok()
            .and_then(|json| serde_json::from_slice::<InviteClaims>(&json).ok())
            .filter(|claims| claims.typ == TYPE)
            .ok_or(InviteRefusal::Payload)?;
        if claims.exp.is_none_or(|exp| exp < now.0 / 1000) {
            return Err(InviteRefusal::Expired);
        }
        if self.orders.is_revoked(&claims.jti) {
            return Err(InviteRefusal::Revoked);
        }
        if self.rules.require_latest {
            self.check_newest(&claims)?;
        }
        Ok(claims)
    }

    fn check_newest(&self, claims: &InviteClaims) -> Result<(), InviteRefusal> {
        match &*self.newest() {
            None => Err(InviteRefusal::NoActive),
            Some((_, newest)) if newest.jti != claims.jti => Err(InviteRefusal::Stale),
            Some((_, newest)) if newest.issued_at_sec > claims.iat => Err(InviteRefusal::Stale),
            Some(_) => Ok(()),
        }
    }

    fn token(&self, claims: &InviteClaims) -> String {
        let json = serde_json::to_vec(claims).expect("claims have no unserialisable part");
        let payload = BASE64URL.encode(json);
        let signature = self.mac_of(&payload).finalize().into_bytes();
        format!("v1.{payload}.{}", BASE64URL.encode(signature))
    }

    fn mac_of(&self, payload: &str) -> Hmac<Sha256> {
        self.mac.clone().chain_update(payload)
    }

    fn newest(&self) -> MutexGuard<'_, Option<(u64, InviteRecord)>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Payload and signature of something that looks like a token.
fn parts(token: &str) -> Option<(&str, &str)> {
    if !TOKEN_LENGTH.contains(&token.len()) {
        return None;
    }
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("v1"), Some(payload), Some(signature), None) => Some((payload, signature)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::sqlite::SqliteStore;

    const NOW: UnixMillis = UnixMillis(1_767_225_600_500);
    const SECRET: &str = "a secret for these tests";

    struct Fixture {
        dir: tempfile::TempDir,
        invites: Invites,
    }

    async fn load(dir: &tempfile::TempDir, require_latest: bool) -> Invites {
        let store = Arc::new(SqliteStore::open(dir.path(), None, crate::store::nobody()).unwrap());
        let orders = Orders::load(Arc::<SqliteStore>::clone(&store), Clock::start()).await;
        let orders = Arc::new(orders.unwrap());
        let kid = Digest32::of(b"key");
        let rules = InviteRules {
            require_latest,
            code_length: 7,
            phrase_words: 8,
            max_kept: 100,
        };
        Invites::load(store, orders, SECRET, kid, rules)
            .await
            .unwrap()
    }

    async fn fixture(require_latest: bool) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let invites = load(&dir, require_latest).await;
        Fixture { dir, invites }
    }

    fn terms(ttl_sec: u64, label: Option<&str>) -> InviteTerms {
        InviteTerms {
            ttl_sec,
            label: label.map(Into::into),
            max_uses: None,
        }
    }

    async fn issue(invites: &Invites) -> String {
        invites
            .issue(NOW, terms(3600, Some("class")))
            .await
            .unwrap()
            .token
            .0
    }

    fn signed(invites: &Invites, claims: &serde_json::Value) -> String {
        let payload = BASE64URL.encode(claims.to_string());
        let signature = BASE64URL.encode(invites.mac_of(&payload).finalize().into_bytes());
        format!("v1.{payload}.{signature}")
    }

    #[tokio::test]
    async fn an_invite_holds_until_its_time_is_over() {
        let Fixture { dir: _dir, invites } = fixture(true).await;
        let token = issue(&invites).await;
        let claims = invites.check(&token, NOW).unwrap();
        assert_eq!(claims.label.as_deref(), Some("class"));
        assert_eq!(claims.kid, Some(Digest32::of(b"key").to_string()));
        assert!(invites.check(&token, NOW.plus(3_600_000)).is_ok());
        assert_eq!(
            invites.check(&token, NOW.plus(3_601_000)),
            Err(InviteRefusal::Expired)
        );
    }

    #[tokio::test]
    async fn only_the_newest_invite_holds_if_that_is_required() {
        let Fixture { dir: _dir, invites } = fixture(true).await;
        let first = issue(&invites).await;
        let second = issue(&invites).await;
        assert_eq!(invites.check(&first, NOW), Err(InviteRefusal::Stale));
        assert!(invites.check(&second, NOW).is_ok());

        let Fixture { dir: _dir, invites } = fixture(false).await;
        let first = issue(&invites).await;
        issue(&invites).await;
        assert!(invites.check(&first, NOW).is_ok());
    }

    #[tokio::test]
    async fn the_newest_invite_is_known_after_a_restart() {
        let Fixture { dir, invites } = fixture(true).await;
        let claims = serde_json::json!({"typ": TYPE, "jti": "foreign", "iat": 1, "exp": NOW.0});
        assert_eq!(
            invites.check(&signed(&invites, &claims), NOW),
            Err(InviteRefusal::NoActive)
        );
        let stale = issue(&invites).await;
        let newest = issue(&invites).await;
        drop(invites);
        let invites = load(&dir, true).await;
        assert_eq!(invites.check(&stale, NOW), Err(InviteRefusal::Stale));
        assert!(invites.check(&newest, NOW).is_ok());
    }

    #[tokio::test]
    async fn links_lead_to_their_invite_until_it_expires() {
        let Fixture { dir, invites } = fixture(true).await;
        let issued = invites.issue(NOW, terms(60, None)).await.unwrap();
        let links = [
            links::typed_code(&issued.code.unwrap()).unwrap(),
            links::typed_phrase(&issued.phrase.unwrap()).unwrap(),
        ];
        drop(invites);
        let invites = load(&dir, true).await;
        for link in links {
            let invite = Destination::Invite(issued.token.clone());
            let follow = async |now| invites.follow(link.clone(), now).await.unwrap();
            assert_eq!(follow(NOW).await, invite);
            assert_eq!(follow(NOW.plus(60_000)).await, invite);
            assert_eq!(follow(NOW.plus(61_000)).await, Destination::Expired);
        }
        let unknown = InviteLink::Code("zzzzzzz".into());
        assert_eq!(
            invites.follow(unknown, NOW).await.unwrap(),
            Destination::Unknown
        );
    }

    #[tokio::test]
    async fn bad_tokens_are_refused_with_their_reason() {
        let Fixture { dir: _dir, invites } = fixture(true).await;
        let good = issue(&invites).await;
        let (payload, signature) = parts(&good).unwrap();
        let other = serde_json::json!({"typ": "session", "jti": "x", "exp": NOW.0});
        let no_exp = serde_json::json!({"typ": TYPE, "jti": "x", "exp": "soon"});
        for (token, refusal) in [
            (String::new(), InviteRefusal::Format),
            ("v1.short.x".into(), InviteRefusal::Format),
            ("x".repeat(2049), InviteRefusal::Format),
            (format!("v2.{payload}.{signature}"), InviteRefusal::Format),
            (format!("v1.{payload}.{signature}.x"), InviteRefusal::Format),
            (
                format!("v1.{payload}x.{signature}"),
                InviteRefusal::Signature,
            ),
            (format!("v1.{payload}.not base64"), InviteRefusal::Signature),
            (signed(&invites, &other), InviteRefusal::Payload),
            (
                signed(&invites, &serde_json::json!(7)),
                InviteRefusal::Payload,
            ),
            (signed(&invites, &no_exp), InviteRefusal::Expired),
        ] {
            assert_eq!(invites.check(&token, NOW), Err(refusal), "{token}");
        }
    }
}
