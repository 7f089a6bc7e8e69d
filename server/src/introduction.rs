//! What a person at a terminal is shown when the server has started: where to go, with which key,
//! and, the first time, an invite for the devices around.

use std::path::Path;

use shared::qr;
use shared::secrets::Secrets;

/// What the introduction tells.
#[derive(Debug, Clone)]
pub struct Introduction<'a> {
    /// The server as this machine reaches it, with the base path.
    pub local_url: String,
    /// The server as other devices of the network reach it, if that is known.
    pub network_url: Option<String>,
    /// The secrets in force.
    pub secrets: &'a Secrets,
    /// The file that keeps some of them.
    pub kept_in: Option<&'a Path>,
    /// An invite link for other devices, if one was made.
    pub invite_url: Option<String>,
}

impl Introduction<'_> {
    /// Lines for a terminal. They hold secrets.
    pub fn to_lines(&self) -> String {
        let mut lines = vec![format!("Client page: {}/client", self.local_url)];
        let elsewhere = self.network_url.iter();
        lines.extend(elsewhere.map(|url| format!("             {url}/client, from other devices")));
        lines.push(format!("Client key:  {}", self.secrets.client_api_key));
        if let Some(words) = self.secrets.client_key_mnemonic() {
            lines.push(format!("Mnemonic:    {words}"));
        }
        if let Some(path) = self.kept_in {
            lines.push(format!("Secrets:     {}", path.display()));
        }
        match &self.invite_url {
            Some(url) => {
                lines.push(format!("Invite:      {url}"));
                lines.extend(qr::terminal(url));
            }
            None => lines.push("Invite:      press \"Add devices\" on the client page".into()),
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_person_needs_is_told() {
        let secrets = Secrets {
            client_api_key: "000102030405060708090a0b0c0d0e0f".into(),
            worker_invite_secret: "kept to itself".into(),
            private_key_b64: "kept to itself".into(),
            public_key_b64: String::new(),
        };
        let mut introduction = Introduction {
            local_url: "http://127.0.0.1:8080/grid".into(),
            network_url: None,
            secrets: &secrets,
            kept_in: Some(Path::new("data/secrets.env")),
            invite_url: None,
        };
        assert_eq!(
            introduction.to_lines(),
            "Client page: http://127.0.0.1:8080/grid/client\n\
             Client key:  000102030405060708090a0b0c0d0e0f\n\
             Mnemonic:    abandon amount liar amount expire adjust cage candy arch gather drum buyer\n\
             Secrets:     data/secrets.env\n\
             Invite:      press \"Add devices\" on the client page\n"
        );
        introduction.network_url = Some("http://192.168.1.5:8080/grid".into());
        let second_line = introduction.to_lines().lines().nth(1).map(str::to_owned);
        assert_eq!(
            second_line.unwrap(),
            "             http://192.168.1.5:8080/grid/client, from other devices"
        );
        let link = "http://192.168.1.5:8080/grid/j/k7m2xqa";
        introduction.invite_url = Some(link.into());
        let lines = introduction.to_lines();
        let expected = format!("Invite:      {link}\n{}\n", qr::terminal(link).unwrap());
        assert!(lines.ends_with(&expected), "{lines}");
        assert!(!lines.contains("kept to itself"));
    }
}
