//! A browser's debugging protocol over one WebSocket: calls by number, and events.
//!
//! Serves the DevTools protocol and WebDriver BiDi alike: both number their calls, and differ in how
//! they put a refusal. A client of our own rather than a crate with a whole protocol in types: it
//! hears of the workers inside a tab as well, and compiles in a second. Not here: what tabs, workers
//! and clicks are in either protocol (`cdp`, `bidi`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Longest time that a browser may take to answer a call.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Screenshots and job results come in one message.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Something that happened in the browser.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The DevTools session it happened in; `None` for the browser itself, and in BiDi.
    pub(crate) session: Option<String>,
    /// `Domain.event` or `module.event`.
    pub(crate) method: String,
    /// Its parameters.
    pub(crate) params: Value,
}

type Answer = Result<Value, String>;
type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A connection to a browser. Clones share it; it ends when the browser does.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    next_id: Arc<AtomicU64>,
    outgoing: mpsc::UnboundedSender<Message>,
    pending: Pending,
}

impl Connection {
    /// Connects to a browser's debugging address (`ws://…`). Events go to `events`, in order.
    ///
    /// # Errors
    /// Those of connecting.
    pub(crate) async fn connect(url: &str, events: mpsc::UnboundedSender<Event>) -> Result<Self> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let (socket, _) =
            tokio_tungstenite::connect_async_with_config(url, Some(config), true).await?;
        let (mut sink, mut stream) = socket.split();
        let (outgoing, mut queue) = mpsc::unbounded_channel();
        let pending = Pending::default();
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
        });
        let answers = Arc::clone(&pending);
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Message::Text(text) = message {
                    receive(&text, &answers, &events);
                }
            }
            // Whoever still waits learns from the dropped sender that the browser is gone.
            lock(&answers).clear();
        });
        Ok(Self {
            next_id: Arc::new(AtomicU64::new(1)),
            outgoing,
            pending,
        })
    }

    /// Calls `method` in `session` (`None`: the browser itself) and waits for its answer.
    ///
    /// # Errors
    /// The browser's refusal, its end, or no answer within 30 s.
    pub(crate) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value> {
        let answer = self.send(session, method, params)?;
        let answer = tokio::time::timeout(CALL_LIMIT, answer)
            .await
            .with_context(|| format!("{method} was not answered within {CALL_LIMIT:?}"))?;
        answer
            .map_err(|_| anyhow!("the browser ended during {method}"))?
            .map_err(|error| anyhow!("{method}: {error}"))
    }

    /// Calls `method` without waiting for its answer, from where nothing may wait.
    pub(crate) fn notify(&self, session: Option<&str>, method: &str, params: Value) {
        // A browser that is gone is noticed by the next call that waits.
        let _ = self.send(session, method, params);
    }

    fn send(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<oneshot::Receiver<Answer>> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let (sender, receiver) = oneshot::channel();
        lock(&self.pending).insert(id, sender);
        self.outgoing
            .send(Message::text(message.to_string()))
            .map_err(|_| anyhow!("the browser is gone, {method} cannot be called"))?;
        Ok(receiver)
    }
}

fn receive(text: &str, pending: &Pending, events: &mpsc::UnboundedSender<Event>) {
    let Ok(mut message) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if let Some(id) = message["id"].as_u64() {
        let answer = match message.get("error") {
            Some(error) => Err(refusal(error, &message["message"])),
            None => Ok(message["result"].take()),
        };
        if let Some(waiting) = lock(pending).remove(&id) {
            // Nobody waits for the answers of `notify`.
            let _ = waiting.send(answer);
        }
        return;
    }
    let event = Event {
        session: message["sessionId"].as_str().map(str::to_owned),
        method: message["method"].as_str().unwrap_or_default().to_owned(),
        params: message["params"].take(),
    };
    // The receiver is gone only while the browser is being closed.
    let _ = events.send(event);
}

/// The DevTools protocol has an object with a message, BiDi a code with a message beside it.
fn refusal(error: &Value, beside: &Value) -> String {
    let message = error["message"].as_str().or(beside.as_str());
    match (error.as_str(), message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (_, message) => message.unwrap_or("refused").to_owned(),
    }
}

/// A member of an answer that must be a text.
pub(crate) fn text(answer: &Value, name: &str) -> Result<String> {
    let text = answer[name].as_str();
    Ok(text
        .with_context(|| format!("no {name} in {answer}"))?
        .to_owned())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
