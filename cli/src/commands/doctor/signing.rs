//! Is the key that signs assignments the one that it says it is, and the one that is set up here?

use std::fmt::Display;

use shared::api::PublicConfig;
use shared::envelope::VerifyingKey;

use super::files::Files;
use super::finding::Finding;

/// Characters of a key's id that are shown.
const SHOWN: usize = 12;

pub(super) fn check(config: &PublicConfig, files: &Files) -> Finding {
    let Ok(key) = VerifyingKey::from_spki_b64(&config.job_signing_public_key_spki_b64) else {
        return Finding::fail(
            "the server publishes no key that workers can read",
            "see whether a proxy changes /api/public-config; `cluster gen-secrets` makes a key pair",
        );
    };
    let kid = key.kid();
    if kid != config.job_signing_key_id {
        return Finding::fail(
            format!(
                "the id {} is not that of the published key, {}",
                short(&config.job_signing_key_id),
                short(&kid)
            ),
            "see whether a proxy caches or changes /api/public-config; workers will refuse the work",
        );
    }
    let kid = short(&kid);
    let Some(local) = files.public_key() else {
        return Finding::ok(format!("its id {kid} fits"));
    };
    let place = local.place;
    if VerifyingKey::from_spki_b64(local.text).is_ok_and(|local| local.kid() == key.kid()) {
        return Finding::ok(format!("its id {kid} fits, and {place} has the same key"));
    }
    let seen = format!("the server signs with {kid}, which is not the key in {place}");
    if local.is_named {
        Finding::fail(
            seen,
            "start the server again with that file, and make a new invite: the old one names the \
             old key",
        )
    } else {
        Finding::warn(
            seen,
            "if that file is this server's, start it again; else run the doctor in another folder",
        )
    }
}

/// The beginning of an id, as the worker page shows it.
pub(super) fn short(kid: &impl Display) -> String {
    kid.to_string().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use shared::api::CustomJobLimits;
    use shared::ids::Digest32;
    use shared::secrets::Secrets;

    use super::*;

    fn config(key: &str, kid: Digest32) -> PublicConfig {
        PublicConfig {
            job_signing_public_key_spki_b64: key.into(),
            job_signing_key_id: kid,
            signed_job_ttl_sec: 120,
            custom_job_limits: CustomJobLimits {
                max_code_bytes: 1,
                max_args_bytes: 1,
                max_result_bytes: 1,
                min_timeout_ms: 0,
                max_timeout_ms: 1,
                default_timeout_ms: 0,
            },
        }
    }

    #[test]
    fn a_key_that_is_none_or_has_another_id_is_told() {
        let fill = &mut |bytes: &mut [u8]| getrandom::fill(bytes).unwrap();
        let key = Secrets::generate(fill).public_key_b64;
        let kid = VerifyingKey::from_spki_b64(&key).unwrap().kid();
        let files = Files::default();
        assert!(matches!(check(&config(&key, kid), &files), Finding::Ok(_)));
        let other = Digest32::from_bytes([7; 32]);
        let Finding::Fail { seen, .. } = check(&config(&key, other), &files) else {
            panic!("another id");
        };
        assert!(seen.contains("is not that of the published key"), "{seen}");
        let Finding::Fail { seen, .. } = check(&config("AAAA", kid), &files) else {
            panic!("no key");
        };
        assert!(seen.contains("no key that workers can read"), "{seen}");
    }
}
