//! The server's secrets: given by configuration, or made once and kept in `DATA_DIR/secrets.env`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shared::mnemonic;

use crate::config::Config;
use crate::keys;
use crate::random;
use crate::store::sqlite::make_private_folder;

const FILE: &str = "secrets.env";
const CLIENT_KEY: &str = "CLIENT_API_KEY";
const CLIENT_KEY_MNEMONIC: &str = "CLIENT_API_KEY_MNEMONIC";
const INVITE_SECRET: &str = "WORKER_INVITE_SECRET";
const PRIVATE_KEY: &str = "JOB_SIGNING_PRIVATE_KEY_B64";
const PUBLIC_KEY: &str = "JOB_SIGNING_PUBLIC_KEY_B64";

/// All secrets.
#[derive(Clone)]
pub struct Secrets {
    /// Key of the clients.
    pub client_api_key: String,
    /// HMAC secret of invites.
    pub worker_invite_secret: String,
    /// RSA key: PKCS#8 DER, base64.
    pub private_key_b64: String,
    /// Its public half: SPKI DER, base64.
    pub public_key_b64: String,
    /// The file that some of them come from, if any.
    pub kept_in: Option<PathBuf>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets([redacted])")
    }
}

/// Why there are no secrets. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read or written.
    #[error(
        "cannot use {path}: {cause}; check its permissions, or set the secrets by configuration"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        cause: std::io::Error,
    },
    /// The file lacks a secret.
    #[error("{path} has no {name}; add it, or remove the file to have all secrets made anew")]
    Missing {
        /// Which file.
        path: PathBuf,
        /// Which secret.
        name: &'static str,
    },
}

impl Secrets {
    /// Takes what was given; what was not comes from the data folder, where it is made first if
    /// there is none.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn complete(config: &Config) -> Result<Self, SecretsError> {
        let given = &config.secrets;
        if let (Some(client), Some(invite), Some((private, public))) = (
            &given.client_api_key,
            &given.worker_invite_secret,
            &given.signing_key_pair_b64,
        ) {
            return Ok(Self {
                client_api_key: client.clone(),
                worker_invite_secret: invite.clone(),
                private_key_b64: private.clone(),
                public_key_b64: public.clone(),
                kept_in: None,
            });
        }
        let kept = kept_or_made(&config.data_dir)?;
        let (private, public) = given
            .signing_key_pair_b64
            .clone()
            .unwrap_or((kept.private_key_b64, kept.public_key_b64));
        Ok(Self {
            client_api_key: given.client_api_key.clone().unwrap_or(kept.client_api_key),
            worker_invite_secret: given
                .worker_invite_secret
                .clone()
                .unwrap_or(kept.worker_invite_secret),
            private_key_b64: private,
            public_key_b64: public,
            kept_in: kept.kept_in,
        })
    }

    /// Fresh ones. Some 100 ms, for the RSA key.
    pub fn generate() -> Self {
        let (private_key_b64, public_key_b64) = keys::generate_pair();
        Self {
            client_api_key: mnemonic::to_base64url(&random::bytes::<32>()),
            worker_invite_secret: mnemonic::to_base64url(&random::bytes::<48>()),
            private_key_b64,
            public_key_b64,
            kept_in: None,
        }
    }

    /// The five lines of an env file.
    pub fn to_lines(&self) -> String {
        let mnemonic = self.client_key_mnemonic().unwrap_or_default();
        [
            (CLIENT_KEY, &self.client_api_key),
            (CLIENT_KEY_MNEMONIC, &mnemonic),
            (INVITE_SECRET, &self.worker_invite_secret),
            (PRIVATE_KEY, &self.private_key_b64),
            (PUBLIC_KEY, &self.public_key_b64),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect()
    }

    /// The client key in words, if it has that form.
    pub fn client_key_mnemonic(&self) -> Option<String> {
        mnemonic::to_words(&self.client_api_key).ok()
    }
}

fn kept_or_made(data_dir: &Path) -> Result<Secrets, SecretsError> {
    let path = data_dir.join(FILE);
    let failed = |cause| SecretsError::File {
        path: path.clone(),
        cause,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secrets = Secrets::generate();
            make_private_folder(data_dir).map_err(failed)?;
            write_private(&path, &secrets.to_lines()).map_err(failed)?;
            Ok(Secrets {
                kept_in: Some(path),
                ..secrets
            })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file for its owner alone, all of it or nothing.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

fn parse(text: &str, path: PathBuf) -> Result<Secrets, SecretsError> {
    let find = |name: &'static str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .find(|(known, value)| *known == name && !value.is_empty())
            .map(|(_, value)| value.to_owned())
            .ok_or_else(|| SecretsError::Missing {
                path: path.clone(),
                name,
            })
    };
    Ok(Secrets {
        client_api_key: find(CLIENT_KEY)?,
        worker_invite_secret: find(INVITE_SECRET)?,
        private_key_b64: find(PRIVATE_KEY)?,
        public_key_b64: find(PUBLIC_KEY)?,
        kept_in: Some(path),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Given, settings};

    fn config(data_dir: &Path, client_key: &str) -> Config {
        let mut given = Given::default();
        given.add(&settings::DATA_DIR, data_dir.to_str().unwrap());
        given.add(&settings::CLIENT_API_KEY, client_key);
        Config::new(&given).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn secrets_are_made_once_and_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("deep/data");
        let made = Secrets::complete(&config(&data_dir, "")).unwrap();
        let file = made.kept_in.clone().unwrap();
        assert_eq!((mode(&file), mode(&data_dir)), (0o600, 0o700));
        let again = Secrets::complete(&config(&data_dir, "")).unwrap();
        assert_eq!(again.to_lines(), made.to_lines());
        let names: Vec<_> = made
            .to_lines()
            .lines()
            .map(|line| line.split('=').next().unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                CLIENT_KEY,
                CLIENT_KEY_MNEMONIC,
                INVITE_SECRET,
                PRIVATE_KEY,
                PUBLIC_KEY
            ]
        );
    }

    #[test]
    fn what_is_given_wins_over_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Secrets::complete(&config(dir.path(), "")).unwrap();
        let mixed = Secrets::complete(&config(dir.path(), "a key of my own choice")).unwrap();
        assert_eq!(mixed.client_api_key, "a key of my own choice");
        assert_eq!(mixed.worker_invite_secret, kept.worker_invite_secret);
    }

    #[test]
    fn a_file_without_a_secret_or_that_cannot_be_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::write(&file, "CLIENT_API_KEY=abcdefghijklmnop\n").unwrap();
        let error = Secrets::complete(&config(dir.path(), ""))
            .unwrap_err()
            .to_string();
        assert!(error.contains("has no WORKER_INVITE_SECRET"), "{error}");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let error = Secrets::complete(&config(dir.path(), ""))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("check its permissions") && !error.contains('\n'),
            "{error}"
        );
    }
}
