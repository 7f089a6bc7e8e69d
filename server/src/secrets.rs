//! The server's secrets: given by configuration, or made once and kept in `DATA_DIR/secrets.env`.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shared::mnemonic;

use crate::config::{Config, MIN_SECRET_BYTES};
use crate::keys::{self, SigningKey, SigningKeyError};
use crate::random;
use crate::store::sqlite::{OpenError, lock, make_private_folder};

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
    #[error(
        "{path} has no {name} of {MIN_SECRET_BYTES} bytes or more; add it, or remove the file to \
         have all secrets made anew"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
        /// Which secret.
        name: &'static str,
    },
    /// The keys in the file are none, or do not match.
    #[error("in {path}: {cause}, or remove the file to have all secrets made anew")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with them.
        cause: SigningKeyError,
    },
    /// Another server may be about to make them.
    #[error(transparent)]
    Folder(#[from] OpenError),
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
        let (private, public) = match &given.signing_key_pair_b64 {
            Some(pair) => pair.clone(),
            None => kept.checked_key_pair()?,
        };
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

    /// Both halves, once they were seen to match; the error names the file that they come from.
    fn checked_key_pair(&self) -> Result<(String, String), SecretsError> {
        let pair = (self.private_key_b64.clone(), self.public_key_b64.clone());
        match (SigningKey::from_base64(&pair.0, &pair.1), &self.kept_in) {
            (Err(cause), Some(path)) => Err(SecretsError::Key {
                path: path.clone(),
                cause,
            }),
            (Ok(_), _) | (Err(_), None) => Ok(pair),
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
    match kept(&path)? {
        Some(secrets) => Ok(secrets),
        None => made(data_dir, path),
    }
}

/// The secrets in the file; `None` where there is none. A link to nothing is a file that cannot be
/// read: whoever made it meant other secrets than fresh ones.
fn kept(path: &Path) -> Result<Option<Secrets>, SecretsError> {
    let failed = |cause| SecretsError::File {
        path: path.into(),
        cause,
    };
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path.into()).map(Some),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        Err(_) if path.is_symlink() => Err(failed(Error::other("it links to nothing"))),
        Err(_) => Ok(None),
    }
}

/// Makes the secrets, unless another server was quicker: nobody else may use the folder meanwhile.
fn made(data_dir: &Path, path: PathBuf) -> Result<Secrets, SecretsError> {
    let failed = |cause| SecretsError::File {
        path: path.clone(),
        cause,
    };
    make_private_folder(data_dir).map_err(failed)?;
    let _lock = lock(data_dir)?;
    if let Some(secrets) = kept(&path)? {
        return Ok(secrets);
    }
    let secrets = Secrets::generate();
    write_private(data_dir, &path, &secrets.to_lines()).map_err(failed)?;
    Ok(Secrets {
        kept_in: Some(path),
        ..secrets
    })
}

/// Writes a file for its owner alone, all of it or nothing, so that it is there after a power cut.
fn write_private(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

fn parse(text: &str, path: PathBuf) -> Result<Secrets, SecretsError> {
    let find = |name: &'static str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .find(|(known, value)| *known == name && value.len() >= MIN_SECRET_BYTES)
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

    fn refusal(data_dir: &Path) -> String {
        let error = Secrets::complete(&config(data_dir, "")).unwrap_err();
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        assert!(text.contains("secrets.env"), "{text}");
        text
    }

    #[test]
    fn a_file_without_a_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        for (text, missing) in [
            ("", CLIENT_KEY),
            ("CLIENT_API_KEY=abcdefghijklmnop\n", INVITE_SECRET),
            ("CLIENT_API_KEY=short\n", CLIENT_KEY),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = refusal(dir.path());
            assert!(error.contains(&format!("has no {missing}")), "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "left alone");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::create_dir(&file).unwrap();
        assert!(refusal(dir.path()).contains("check its permissions"));
        std::fs::remove_dir(&file).unwrap();

        std::fs::write(&file, [0xff, 0xfe, 0, 1]).unwrap();
        assert!(refusal(dir.path()).contains("check its permissions"));
        std::fs::remove_file(&file).unwrap();

        std::os::unix::fs::symlink(dir.path().join("not-mounted"), &file).unwrap();
        assert!(refusal(dir.path()).contains("check its permissions"));
        assert!(file.is_symlink(), "a link is not replaced by fresh secrets");
    }

    #[test]
    fn a_key_in_the_file_that_is_none_is_refused_with_the_files_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let good = Secrets::complete(&config(dir.path(), "")).unwrap();
        let cut = &good.private_key_b64[..400];
        let lines = good.to_lines().replace(&good.private_key_b64, cut);
        std::fs::write(&file, &lines).unwrap();
        let error = refusal(dir.path());
        assert!(
            error.contains(PRIVATE_KEY) && !error.contains(cut),
            "{error}"
        );

        let mut given = Given::default();
        given.add(&settings::DATA_DIR, dir.path().to_str().unwrap());
        given.add(
            &settings::JOB_SIGNING_PRIVATE_KEY_B64,
            &good.private_key_b64,
        );
        given.add(&settings::JOB_SIGNING_PUBLIC_KEY_B64, &good.public_key_b64);
        let mixed = Secrets::complete(&Config::new(&given).unwrap()).unwrap();
        assert_eq!(mixed.client_api_key, good.client_api_key);
    }

    #[test]
    fn of_two_servers_at_once_one_makes_the_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let start = || {
            let config = config(dir.path(), "");
            std::thread::spawn(move || Secrets::complete(&config))
        };
        let both = [start(), start()].map(|thread| thread.join().unwrap());
        let kept = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let mut makers = 0;
        for secrets in both {
            match secrets {
                Ok(secrets) => {
                    makers += 1;
                    assert_eq!(secrets.to_lines(), kept);
                }
                Err(SecretsError::Folder(OpenError::InUse(_))) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(makers >= 1);
    }
}
