//! The server itself: is it there, is my key good, what are its limits.

use core::net::IpAddr;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::IsoTime;
use crate::ids::Digest32;

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// True.
    pub ok: bool,
    /// The server's clock.
    pub now: IsoTime,
}

/// `GET /api/auth/check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthCheck {
    /// True: another key is answered 401.
    pub ok: bool,
}

/// `GET /api/public-config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicConfig {
    /// The public key that signs work: SPKI DER, standard base64.
    pub job_signing_public_key_spki_b64: String,
    /// Its SHA-256 (addition).
    #[serde(with = "super::text")]
    pub job_signing_key_id: Digest32,
    /// Seconds from signing to start at most.
    pub signed_job_ttl_sec: u64,
    /// Limits of scripts.
    pub custom_job_limits: CustomJobLimits,
}

/// `GET /api/connection` (addition): how a request reached the server, for whoever sets up the proxies
/// in front of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Who is at the other end of the server's connection: the client, or the last proxy.
    pub peer: IpAddr,
    /// Who limits are counted for: the client as the server believes it.
    pub client: IpAddr,
    /// Which proxies the server was told to trust.
    pub trust_proxy: ProxiesTrusted,
    /// Whether the peer is one of them.
    pub is_peer_trusted: bool,
    /// The app's root as it stands in invites for this client, without a trailing slash.
    pub url: String,
    /// Headers by which proxies tell whom they serve, as they came in, trusted or not.
    pub forwarded: BTreeMap<String, String>,
}

/// `TRUST_PROXY`, without the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProxiesTrusted {
    /// None.
    Nobody,
    /// One, whoever connects.
    OneHop,
    /// Those of some networks.
    Networks,
}

/// Limits of scripts that the operator has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomJobLimits {
    /// Bytes of code.
    pub max_code_bytes: usize,
    /// Bytes of args.
    pub max_args_bytes: usize,
    /// Bytes of one result.
    pub max_result_bytes: usize,
    /// Reported, but not a limit of requests.
    pub min_timeout_ms: u64,
    /// Reported, but not a limit of requests.
    pub max_timeout_ms: u64,
    /// Time limit where a request has none; 0 for none.
    pub default_timeout_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    #[test]
    fn answers_are_as_documented() {
        let health = Health {
            ok: true,
            now: IsoTime(UnixMillis(1_767_225_600_000)),
        };
        assert_eq!(
            serde_json::to_string(&health).unwrap(),
            r#"{"ok":true,"now":"2026-01-01T00:00:00.000Z"}"#
        );
        let config = PublicConfig {
            job_signing_public_key_spki_b64: "MIIB".into(),
            job_signing_key_id: Digest32::from_bytes([0xab; 32]),
            signed_job_ttl_sec: 120,
            custom_job_limits: CustomJobLimits {
                max_code_bytes: 32_768,
                max_args_bytes: 32_768,
                max_result_bytes: 1_048_576,
                min_timeout_ms: 0,
                max_timeout_ms: 9_007_199_254_740_991,
                default_timeout_ms: 0,
            },
        };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(
            text,
            format!(
                concat!(
                    r#"{{"jobSigningPublicKeySpkiB64":"MIIB","jobSigningKeyId":"{}","#,
                    r#""signedJobTtlSec":120,"#,
                    r#""customJobLimits":{{"maxCodeBytes":32768,"maxArgsBytes":32768,"#,
                    r#""maxResultBytes":1048576,"minTimeoutMs":0,"#,
                    r#""maxTimeoutMs":9007199254740991,"defaultTimeoutMs":0}}}}"#
                ),
                "ab".repeat(32)
            )
        );
        assert_eq!(serde_json::from_str::<PublicConfig>(&text).unwrap(), config);
        let connection = Connection {
            peer: [127, 0, 0, 1].into(),
            client: [203, 0, 113, 9].into(),
            trust_proxy: ProxiesTrusted::OneHop,
            is_peer_trusted: true,
            url: "https://h.example/base".into(),
            forwarded: [("x-forwarded-for".into(), "203.0.113.9".into())].into(),
        };
        let text = serde_json::to_string(&connection).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"peer":"127.0.0.1","client":"203.0.113.9","trustProxy":"oneHop","#,
                r#""isPeerTrusted":true,"url":"https://h.example/base","#,
                r#""forwarded":{"x-forwarded-for":"203.0.113.9"}}"#
            )
        );
        assert_eq!(
            serde_json::from_str::<Connection>(&text).unwrap(),
            connection
        );
    }
}
