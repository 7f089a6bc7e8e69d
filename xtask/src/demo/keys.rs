//! The demo's keys: made once by the server's own generator, kept in the data folder.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use shared::env_file;
use shared::secrets::{CLIENT_KEY, CLIENT_KEY_MNEMONIC};

const FILE: &str = "demo.env";

/// What `cluster-server gen-secrets` printed: names and values.
pub(super) struct Keys(Vec<(String, String)>);

impl Keys {
    /// The keys in `data_dir`; made there if there are none.
    ///
    /// # Errors
    /// They cannot be made, read or written, or one is missing.
    pub(super) fn load_or_make(data_dir: &Path, program: &Path) -> Result<Self> {
        let file = data_dir.join(FILE);
        if !file.exists() {
            make(&file, program)?;
        }
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let keys = Self::parse(&text).with_context(|| file.display().to_string())?;
        for name in [CLIENT_KEY, CLIENT_KEY_MNEMONIC] {
            ensure!(
                !keys.get(name).is_empty(),
                "{} holds no {name}; remove the file to get other keys",
                file.display()
            );
        }
        Ok(keys)
    }

    fn parse(text: &str) -> Result<Self> {
        let pairs = env_file::parse(text)?;
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Self(pairs.into_iter().map(owned).collect()))
    }

    /// The client key as programs send it.
    pub(super) fn client_key(&self) -> &str {
        self.get(CLIENT_KEY)
    }

    /// The client key as people type it.
    pub(super) fn mnemonic(&self) -> &str {
        self.get(CLIENT_KEY_MNEMONIC)
    }

    /// All of them, as the server's environment.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_setting = |name: &str| name != CLIENT_KEY_MNEMONIC;
        let pairs = self.0.iter().map(|(name, value)| (&**name, &**value));
        pairs.filter(move |(name, _)| is_setting(name))
    }

    fn get(&self, name: &str) -> &str {
        let pair = self.0.iter().find(|(known, _)| known == name);
        pair.map_or("", |(_, value)| value)
    }
}

fn make(file: &Path, program: &Path) -> Result<()> {
    let made = Command::new(program)
        .arg("gen-secrets")
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(
        made.status.success(),
        "gen-secrets failed: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| file.display().to_string())?;
    file.write_all(&made.stdout)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_equal_signs_and_quotes_are_not_part_of_them() {
        let keys = Keys::parse(
            "CLIENT_API_KEY=a_b-c\nCLIENT_API_KEY_MNEMONIC=\"lamp river\"\nJOB_KEY=MII=\n",
        )
        .unwrap();
        assert_eq!(keys.client_key(), "a_b-c");
        assert_eq!(keys.mnemonic(), "lamp river");
        let variables: Vec<_> = keys.variables().collect();
        assert_eq!(
            variables,
            [("CLIENT_API_KEY", "a_b-c"), ("JOB_KEY", "MII=")]
        );
    }
}
