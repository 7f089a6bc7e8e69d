//! The server's secrets: given by configuration, or made once and kept in `DATA_DIR/secrets.env`.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shared::env_file;
use shared::secrets::{CLIENT_KEY, INVITE_SECRET, PRIVATE_KEY, PUBLIC_KEY, Secrets};

use crate::config::{Config, MIN_SECRET_BYTES};
use crate::keys::{SigningKey, SigningKeyError};
use crate::random;
use crate::store::sqlite::{OpenError, lock, make_private_folder};

const FILE: &str = "secrets.env";

/// All secrets, and where they come from.
#[derive(Debug, Clone)]
pub struct ServerSecrets {
    /// What they are.
    pub secrets: Secrets,
    /// The file that some of them come from, if any.
    pub kept_in: Option<PathBuf>,
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

impl ServerSecrets {
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
            let secrets = Secrets {
                client_api_key: client.clone(),
                worker_invite_secret: invite.clone(),
                private_key_b64: private.clone(),
                public_key_b64: public.clone(),
            };
            return Ok(Self {
                secrets,
                kept_in: None,
            });
        }
        let (path, kept) = kept_or_made(&config.data_dir)?;
        let (private, public) = match &given.signing_key_pair_b64 {
            Some(pair) => pair.clone(),
            None => checked_key_pair(&kept, &path)?,
        };
        let invite = given.worker_invite_secret.clone();
        let secrets = Secrets {
            client_api_key: given.client_api_key.clone().unwrap_or(kept.client_api_key),
            worker_invite_secret: invite.unwrap_or(kept.worker_invite_secret),
            private_key_b64: private,
            public_key_b64: public,
        };
        Ok(Self {
            secrets,
            kept_in: Some(path),
        })
    }
}

/// Fresh secrets. Some tenths of a second, for the RSA key.
pub fn generate() -> Secrets {
    Secrets::generate(&mut random::fill)
}

/// Both halves, once they were seen to match; the error names the file that they come from.
fn checked_key_pair(kept: &Secrets, path: &Path) -> Result<(String, String), SecretsError> {
    let (private, public) = (&kept.private_key_b64, &kept.public_key_b64);
    SigningKey::from_base64(private, public).map_err(|cause| SecretsError::Key {
        path: path.into(),
        cause,
    })?;
    Ok((private.clone(), public.clone()))
}

fn kept_or_made(data_dir: &Path) -> Result<(PathBuf, Secrets), SecretsError> {
    let path = data_dir.join(FILE);
    let secrets = match kept(&path)? {
        Some(secrets) => secrets,
        None => made(data_dir, &path)?,
    };
    Ok((path, secrets))
}

/// The secrets in the file; `None` where there is none. A link to nothing is a file that cannot be
/// read: whoever made it meant other secrets than fresh ones.
fn kept(path: &Path) -> Result<Option<Secrets>, SecretsError> {
    let failed = |cause| SecretsError::File {
        path: path.into(),
        cause,
    };
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path).map(Some),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        Err(_) if path.is_symlink() => Err(failed(Error::other("it links to nothing"))),
        Err(_) => Ok(None),
    }
}

/// Makes the secrets, unless another server was quicker: nobody else may use the folder meanwhile.
fn made(data_dir: &Path, path: &Path) -> Result<Secrets, SecretsError> {
    let failed = |cause| SecretsError::File {
        path: path.into(),
        cause,
    };
    make_private_folder(data_dir).map_err(failed)?;
    let _lock = lock(data_dir)?;
    if let Some(secrets) = kept(path)? {
        return Ok(secrets);
    }
    let secrets = generate();
    write_private(data_dir, path, &secrets.to_lines()).map_err(failed)?;
    Ok(secrets)
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

fn parse(text: &str, path: &Path) -> Result<Secrets, SecretsError> {
    let pairs = env_file::parse(text).map_err(|malformed| SecretsError::File {
        path: path.into(),
        cause: Error::new(ErrorKind::InvalidData, malformed),
    })?;
    let find = |name: &'static str| {
        pairs
            .iter()
            .find(|(known, value)| *known == name && value.len() >= MIN_SECRET_BYTES)
            .map(|(_, value)| (*value).to_owned())
            .ok_or_else(|| SecretsError::Missing {
                path: path.into(),
                name,
            })
    };
    Ok(Secrets {
        client_api_key: find(CLIENT_KEY)?,
        worker_invite_secret: find(INVITE_SECRET)?,
        private_key_b64: find(PRIVATE_KEY)?,
        public_key_b64: find(PUBLIC_KEY)?,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Given, settings};

    fn complete(data_dir: &Path) -> Secrets {
        ServerSecrets::complete(&config(data_dir, ""))
            .unwrap()
            .secrets
    }

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
        let made = ServerSecrets::complete(&config(&data_dir, "")).unwrap();
        let file = made.kept_in.unwrap();
        assert_eq!((mode(&file), mode(&data_dir)), (0o600, 0o700));
        assert_eq!(complete(&data_dir), made.secrets);
    }

    #[test]
    fn what_is_given_wins_over_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let kept = complete(dir.path());
        let mixed = ServerSecrets::complete(&config(dir.path(), "a key of my own choice"));
        let mixed = mixed.unwrap().secrets;
        assert_eq!(mixed.client_api_key, "a key of my own choice");
        assert_eq!(mixed.worker_invite_secret, kept.worker_invite_secret);
    }

    fn refusal(data_dir: &Path) -> String {
        let error = ServerSecrets::complete(&config(data_dir, "")).unwrap_err();
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
            (
                "export CLIENT_API_KEY='abcdefghijklmnop' # mine\n",
                INVITE_SECRET,
            ),
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
        let good = complete(dir.path());
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
        let mixed = ServerSecrets::complete(&Config::new(&given).unwrap()).unwrap();
        assert_eq!(mixed.secrets.client_api_key, good.client_api_key);
    }

    #[test]
    fn of_two_servers_at_once_one_makes_the_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let start = || {
            let config = config(dir.path(), "");
            std::thread::spawn(move || ServerSecrets::complete(&config))
        };
        let both = [start(), start()].map(|thread| thread.join().unwrap());
        let kept = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let mut makers = 0;
        for secrets in both {
            match secrets {
                Ok(secrets) => {
                    makers += 1;
                    assert_eq!(secrets.secrets.to_lines(), kept);
                }
                Err(SecretsError::Folder(OpenError::InUse(_))) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(makers >= 1);
    }
}
