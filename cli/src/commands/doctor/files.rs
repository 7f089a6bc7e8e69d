//! What lies here of a server's settings: the environment, env files, the secrets that it made.
//!
//! They are read in the server's own order. They need not belong to the server that is asked: only a
//! file that was named must.

use std::path::{Path, PathBuf};

use shared::env_file;
use shared::secrets::{CLIENT_KEY, PUBLIC_KEY};

use crate::commands::Failure;
use crate::settings;

/// Read by the server if it is there.
const DEFAULT_ENV_FILE: &str = ".env";
const DATA_DIR: &str = "DATA_DIR";
const DEFAULT_DATA_DIR: &str = "./data";
/// The secrets that the server made, in its data folder.
const SECRETS_FILE: &str = "secrets.env";

/// Values and where each was found, the one that counts first.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<Source>);

#[derive(Debug)]
struct Source {
    place: String,
    /// Whether this file was named on the command line.
    is_named: bool,
    pairs: Vec<(String, String)>,
}

/// A value of a server's settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'f> {
    pub(super) text: &'f str,
    /// Where it stands.
    pub(super) place: &'f str,
    /// Whether that is said to be the server that is asked.
    pub(super) is_named: bool,
}

impl Files {
    /// Reads all of them. Only a file that was named has to be there.
    ///
    /// # Errors
    /// The file that was named cannot be read, or a variable is no text.
    pub(super) fn read(named: Option<&str>) -> Result<Self, Failure> {
        let mut files = Self::default();
        if let Some(path) = named {
            files.add(path.into(), true, settings::env_file(path)?);
        }
        files.add("the environment".into(), false, environment()?);
        files.add_found(Path::new(DEFAULT_ENV_FILE));
        let data_dir = files.value(DATA_DIR).map(|value| value.text.to_owned());
        let data_dir = PathBuf::from(data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()));
        files.add_found(&data_dir.join(SECRETS_FILE));
        Ok(files)
    }

    /// The key that signs assignments.
    pub(super) fn public_key(&self) -> Option<Value<'_>> {
        self.value(PUBLIC_KEY)
    }

    /// The file that holds a client key, of those that are no environment.
    pub(super) fn client_key(&self) -> Option<Value<'_>> {
        self.value(CLIENT_KEY)
    }

    fn value(&self, name: &str) -> Option<Value<'_>> {
        self.0.iter().find_map(|source| {
            let pair = source.pairs.iter().find(|(known, _)| known == name);
            pair.filter(|(_, text)| !text.is_empty())
                .map(|(_, text)| Value {
                    text,
                    place: &source.place,
                    is_named: source.is_named,
                })
        })
    }

    /// A file that is not there, or not for us to read, says nothing.
    fn add_found(&mut self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let pairs = env_file::parse(&text).unwrap_or_default();
        let pairs = pairs.into_iter().map(owned).collect();
        self.add(path.display().to_string(), false, pairs);
    }

    fn add(&mut self, place: String, is_named: bool, pairs: Vec<(String, String)>) {
        self.0.push(Source {
            place,
            is_named,
            pairs,
        });
    }
}

/// The client key of the environment is the one that is tried, not one to compare with.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for name in [PUBLIC_KEY, DATA_DIR] {
        let text = settings::variable(name)?;
        pairs.extend(text.map(|text| (name.to_owned(), text)));
    }
    Ok(pairs)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_comes_first_and_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.env");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join(SECRETS_FILE), "CLIENT_API_KEY=kept\n").unwrap();
        let text = format!(
            "DATA_DIR={}\nJOB_SIGNING_PUBLIC_KEY_B64=MIIB\n",
            data.display()
        );
        std::fs::write(&file, text).unwrap();
        let files = Files::read(file.to_str()).unwrap();
        let public = files.public_key().unwrap();
        assert_eq!((public.text, public.is_named), ("MIIB", true));
        let client = files.client_key().unwrap();
        assert_eq!((client.text, client.is_named), ("kept", false));
        assert_eq!(client.place, data.join(SECRETS_FILE).to_str().unwrap());
        assert!(Files::read(Some("/no/such/file")).is_err());
    }
}
