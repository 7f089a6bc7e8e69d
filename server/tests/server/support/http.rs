//! A client of the API that never takes a refusal for a failure of its own.

use std::io::{BufRead, BufReader};

use serde_json::Value;
use tokio::sync::mpsc;

/// Asks one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    base: String,
    key: Option<String>,
    agent: ureq::Agent,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

/// A stream of events that is open.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) headers: ureq::http::HeaderMap,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Follower {
    /// Name and data of the next event; `None` once the server has closed the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        let mut data = String::new();
        while let Some(line) = self.lines.recv().await {
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.into();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = text.into();
            } else if line.is_empty() && !name.is_empty() {
                return Some((name, serde_json::from_str(&data).unwrap()));
            }
        }
        None
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `error` text of a refusal with this status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["detail"], problem["error"]);
        assert_eq!(self.header("content-type"), Some("application/json"));
        problem["error"].as_str().expect("a text").to_owned()
    }
}

impl Client {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self {
            base: base.into(),
            key: Some(key.into()),
            agent: agent.into(),
        }
    }

    pub(crate) fn without_key(&self) -> Self {
        Self {
            key: None,
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send("POST", path, &headers, body.to_string().into_bytes())
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], Vec::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let agent = self.agent.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let mut answer = agent.run(request).unwrap();
            Answer {
                status: answer.status().as_u16(),
                headers: answer.headers().clone(),
                text: answer.body_mut().read_to_string().unwrap(),
            }
        });
        answer.await.unwrap()
    }

    /// Submits a job that must be accepted; its id.
    pub(crate) async fn submit(&self, path: &str, body: &Value) -> String {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["jobId"].as_str().expect("an id").to_owned()
    }

    /// How a job stands.
    pub(crate) async fn job(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// How a job stands, its result left out.
    pub(crate) async fn job_without_result(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/jobs/{id}?result=none")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Follows a job from its snapshot on.
    pub(crate) async fn stream(&self, id: &str) -> Follower {
        let mut request = self
            .agent
            .get(format!("{}/api/jobs/{id}/stream", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let (sender, lines) = mpsc::unbounded_channel();
        let headers = tokio::task::spawn_blocking(move || {
            let answer = request.call().unwrap();
            let headers = answer.headers().clone();
            let body = BufReader::new(answer.into_body().into_reader());
            std::thread::spawn(move || {
                for line in body.lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            headers
        });
        Follower {
            headers: headers.await.unwrap(),
            lines,
        }
    }

    /// A fresh invite token.
    pub(crate) async fn invite(&self) -> String {
        let answer = self
            .post("/api/invites/worker", &serde_json::json!({}))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["inviteToken"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}
