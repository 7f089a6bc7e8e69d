//! The server's HTTP API, as this program calls it.

use std::time::Duration;

use serde_json::Value;

use crate::host::Host;

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is taken, in bytes: a collected result may be large.
const MAX_ANSWER_BYTES: u64 = 2 << 30;

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The server refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// There is no server, or no way to it. Another try may help.
    #[error("Cannot reach {host}: {cause}. Is the server running? Set --host to its address.")]
    Unreachable {
        /// Where it was looked for.
        host: String,
        /// What the system said.
        cause: String,
    },
}

/// A server and the key to it.
#[derive(Debug)]
pub(crate) struct Api {
    host: Host,
    key: String,
    agent: ureq::Agent,
}

impl Api {
    pub(crate) fn new(host: Host, key: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        Self {
            host,
            key: key.to_owned(),
            agent: config.into(),
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, CallError> {
        let request = self.agent.get(format!("{}{path}", self.host));
        self.answer(request.header("authorization", self.bearer()).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let request = self.agent.post(format!("{}{path}", self.host));
        self.answer(
            request
                .header("authorization", self.bearer())
                .send_json(body),
        )
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, CallError> {
        let request = self.agent.delete(format!("{}{path}", self.host));
        self.answer(request.header("authorization", self.bearer()).call())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, CallError> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_vec();
        let body = body.map_err(|error| self.unreachable(&error))?;
        let json = serde_json::from_slice::<Value>(&body).ok();
        match json {
            Some(json) if status.is_success() => Ok(json),
            Some(json) if json["error"].is_string() => Err(CallError::Refused(
                json["error"].as_str().unwrap_or_default().to_owned(),
            )),
            Some(_) | None => Err(CallError::Refused(format!(
                "{} answered with status {status}, but not as a cluster server does. \
                 Does --host include the base path?",
                self.host
            ))),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> CallError {
        CallError::Unreachable {
            host: self.host.to_string(),
            cause: error.to_string(),
        }
    }
}
