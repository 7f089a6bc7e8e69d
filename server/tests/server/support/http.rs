//! A client of the API that never takes a refusal for a failure of its own.

use serde_json::Value;

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
