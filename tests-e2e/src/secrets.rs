//! A server's secrets, and whether a text holds one in any form in which it could be written.
//!
//! Not here: which texts are looked at. Tokens and links are known by their form, so that one is
//! found whoever made it.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use regex::RegexSet;
use shared::mnemonic;

/// Settings that are secrets.
pub const SETTINGS: [&str; 5] = [
    "CLIENT_API_KEY",
    "CLIENT_API_KEY_MNEMONIC",
    "WORKER_INVITE_SECRET",
    "JOB_SIGNING_PRIVATE_KEY_B64",
    "METRICS_TOKEN",
];
/// Of a long secret, a part of so many characters tells that it was written.
const PART_CHARS: usize = 40;
/// Invites and session tokens: as they are, in hex digits, and as a list of bytes.
const TOKENS: [&str; 4] = [
    r"v1\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    r"s1\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}",
    r"7[36]312[eE](?:[0-9a-fA-F]{2}){20,}2[eE](?:[0-9a-fA-F]{2}){20,}",
    r"11[58], 49, 46(?:, [0-9]+){40,}",
];
/// What no log may hold beside them: the ends of invite links, and query strings.
const OF_LOGS: [&str; 2] = [r"/[jJpP]/[A-Za-z0-9]", r"\?[A-Za-z_%]+="];

/// Secrets in all their forms.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Whose form it is, and the form.
    forms: Vec<(String, String)>,
    tokens: RegexSet,
    of_logs: RegexSet,
}

impl Default for Secrets {
    fn default() -> Self {
        let set = |patterns: &[&str]| RegexSet::new(patterns).expect("the patterns are right");
        Self {
            forms: Vec::new(),
            tokens: set(&TOKENS),
            of_logs: set(&OF_LOGS),
        }
    }
}

impl Secrets {
    /// Adds the secret `value` under a name.
    pub fn add(&mut self, name: &str, value: &str) {
        let forms = forms(value).into_iter().filter(|form| form.len() >= 8);
        self.forms.extend(forms.map(|form| (name.to_owned(), form)));
    }

    /// Adds the secrets among `NAME=value` lines.
    pub fn add_lines(&mut self, lines: &str) {
        for (name, value) in lines.lines().filter_map(|line| line.split_once('=')) {
            if SETTINGS.contains(&name) {
                self.add(name, value.trim_matches('"'));
            }
        }
    }

    /// What `text` holds of them.
    pub fn find(&self, text: &str) -> Option<String> {
        let named = self.forms.iter().find(|(_, form)| text.contains(form));
        named
            .map(|(name, form)| format!("{name} as {form}"))
            .or_else(|| match self.tokens.is_match(text) {
                true => Some("a token".to_owned()),
                false => None,
            })
    }

    /// What a line of a log holds of them, or of what else has no place there.
    pub fn find_in_log(&self, line: &str) -> Option<String> {
        let is_ours = self.of_logs.is_match(line);
        self.find(line)
            .or_else(|| is_ours.then(|| "an invite link or a query".to_owned()))
    }
}

/// How a secret can be written.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![part(value)];
    forms.extend(forms_of_bytes(value.as_bytes()));
    let bytes = mnemonic::key_bytes(value).or_else(|| STANDARD.decode(value).ok());
    forms.extend(bytes.iter().flat_map(|bytes| forms_of_bytes(bytes)));
    if let Ok(words) = mnemonic::to_words(value) {
        forms.extend([" ", "-", "_", "%20", "+"].map(|space| words.replace(' ', space)));
    }
    forms
}

fn forms_of_bytes(bytes: &[u8]) -> Vec<String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let middle = &bytes[bytes.len() / 3..];
    let middle = &middle[..middle.len().min(16)];
    let list = format!("{middle:?}");
    vec![
        part(&hex.to_uppercase()),
        part(&hex),
        part(&STANDARD.encode(bytes)),
        part(&URL_SAFE_NO_PAD.encode(bytes)),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

/// The middle of a text that is long.
fn part(text: &str) -> String {
    let chars = text.chars();
    let surplus = text.chars().count().saturating_sub(PART_CHARS);
    chars.skip(surplus / 2).take(PART_CHARS).collect()
}

/// Looks at everything that one server writes.
#[derive(Debug)]
pub(crate) struct Guard {
    secrets: Secrets,
    /// Secrets that the server makes by itself, until they are read.
    kept_in: Option<PathBuf>,
    /// Lines from before that.
    early: Vec<String>,
    leaks: Vec<String>,
}

impl Guard {
    pub(crate) fn new(secrets: Secrets, data_dir: &Path) -> Self {
        Self {
            secrets,
            kept_in: Some(data_dir.join("secrets.env")),
            early: Vec::new(),
            leaks: Vec::new(),
        }
    }

    pub(crate) fn look_at(&mut self, line: &str) {
        self.read_kept();
        if self.kept_in.is_some() {
            self.early.push(line.to_owned());
        }
        self.judge(line);
    }

    fn read_kept(&mut self) {
        let kept = self.kept_in.as_ref();
        if let Some(lines) = kept.and_then(|path| std::fs::read_to_string(path).ok()) {
            self.secrets.add_lines(&lines);
            self.kept_in = None;
            for line in std::mem::take(&mut self.early) {
                self.judge(&line);
            }
        }
    }

    fn judge(&mut self, line: &str) {
        if let Some(secret) = self.secrets.find_in_log(line) {
            self.leaks.push(format!("{secret}: {line}"));
        }
    }

    /// Lines that hold what they may not.
    pub(crate) fn leaks(&self) -> &[String] {
        &self.leaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("CLIENT_API_KEY", KEY);
        secrets.add_lines(
            "METRICS_TOKEN=correct horse battery\nJOB_SIGNING_PUBLIC_KEY_B64=MIIBIjAN\n",
        );
        secrets
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let hex: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        let invite = format!("v1.{}.{}", "e".repeat(40), "m".repeat(43));
        let frame: String = invite.bytes().map(|byte| format!("{byte:02x}")).collect();
        let words = mnemonic::to_words(KEY).unwrap();
        for text in [
            KEY,
            "key=000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            &format!("{:?}", (0..32).collect::<Vec<u8>>()),
            "the correct horse battery staple",
            &hex,
            &words,
            &words.replace(' ', "%20"),
            &invite,
            &format!("payload: 0x00{frame}00"),
            &format!("{:?}", invite.as_bytes()),
            &format!("GET /worker?invite={invite}"),
        ] {
            assert!(secrets().find(text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_public_is_not_taken_for_a_secret() {
        for line in [
            "Listening on http://127.0.0.1:8080",
            "DEBUG server::app: answered method=GET path=\"/j/{invite}\" status=302 took_us=10",
            "a worker joins worker.id=worker-ab12cd resumes=false",
            "JOB_SIGNING_PUBLIC_KEY_B64=MIIBIjAN",
        ] {
            assert_eq!(secrets().find_in_log(line), None, "{line}");
        }
        for line in [
            "path=\"/j/k7m2xqa\"",
            "path=\"/x?after=1\"",
            "/p/lamp-river",
        ] {
            assert!(secrets().find_in_log(line).is_some(), "{line}");
        }
    }
}
