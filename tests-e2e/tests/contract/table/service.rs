//! Section 4: health, key check, public configuration.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::answer::Expect;
use crate::pattern::Known;
use crate::row::{Act, Stage, get, row, seen};

fn config(ttl_sec: u64, limits: Value) -> Value {
    json!({
        "jobSigningPublicKeySpkiB64": "<spki := like [A-Za-z0-9+/]{392}>",
        "+jobSigningKeyId": "<kid := like [0-9a-f]{64}>",
        "signedJobTtlSec": ttl_sec, "customJobLimits": limits,
    })
}

/// Size of the published key, and whether its id is its SHA-256.
fn published_key(known: &Known) -> Value {
    let spki = known["spki"]
        .as_str()
        .and_then(|text| BASE64.decode(text).ok());
    let spki = spki.unwrap_or_default();
    let id: String = Sha256::digest(&spki)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // DER: a sequence of 290 bytes that begins with the algorithm rsaEncryption.
    let is_rsa_2048 = spki.starts_with(&[0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09]);
    json!({"bytes": spki.len(), "isRsa2048": is_rsa_2048, "id": id})
}

/// A server of default limits.
pub(crate) fn stage() -> Stage {
    let limits = json!({
        "maxCodeBytes": 32_768, "maxArgsBytes": 32_768, "maxResultBytes": 1_048_576,
        "minTimeoutMs": 0, "maxTimeoutMs": 9_007_199_254_740_991_u64, "defaultTimeoutMs": 0,
    });
    let rows = vec![
        row(
            "4",
            "health",
            get("/health").anonymous(),
            Expect::json(200, json!({"ok": true, "now": "<time>"})),
        ),
        row(
            "4",
            "a good key",
            get("/api/auth/check"),
            Expect::json(200, json!({"ok": true})),
        ),
        row(
            "4",
            "public configuration",
            get("/api/public-config").anonymous(),
            Expect::json(200, config(120, limits)),
        ),
        seen(
            "4",
            "the key is SPKI DER",
            Act::Decode(published_key),
            Expect::seen(json!({"bytes": 294, "isRsa2048": true, "id": "{kid}"})),
        ),
    ];
    Stage {
        name: "service",
        settings: Vec::new(),
        rows,
    }
}

/// Limits of one's own, of which the published ones must be the ones in force.
pub(crate) fn other_settings() -> Stage {
    let limits = json!({
        "maxCodeBytes": 1024, "maxArgsBytes": 2048, "maxResultBytes": 65_536,
        "minTimeoutMs": 10, "maxTimeoutMs": 60_000, "defaultTimeoutMs": 5000,
    });
    let settings = [
        ("SIGNED_JOB_TTL_SEC", "10"),
        ("CUSTOM_JOB_MAX_CODE_BYTES", "1024"),
        ("CUSTOM_JOB_MAX_ARGS_BYTES", "2048"),
        ("CUSTOM_JOB_MAX_RESULT_BYTES", "65536"),
        ("CUSTOM_JOB_MIN_TIMEOUT_MS", "10"),
        ("CUSTOM_JOB_MAX_TIMEOUT_MS", "60000"),
        ("CUSTOM_JOB_DEFAULT_TIMEOUT_MS", "5000"),
    ];
    Stage {
        name: "service of other limits",
        settings: settings
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
        rows: vec![row(
            "4",
            "limits reflect the configuration",
            get("/api/public-config").anonymous(),
            Expect::json(200, config(10, limits)),
        )],
    }
}
