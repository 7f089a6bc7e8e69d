//! A tab of Firefox, in the terms of WebDriver BiDi.
//!
//! Lives here: how each of a tab's primitives is called there, and how what is printed anywhere
//! inside a tab is filed under it. Not here: waiting, aiming, judging (`page`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::connection::{Connection, Event, lock, text};
use crate::console::{Console, ConsoleLine, address, as_text};

const CONTEXT_CREATED: &str = "browsingContext.contextCreated";
const ENTRY_ADDED: &str = "log.entryAdded";

/// The key of that name among those that WebDriver gives to keys without a character.
const DELETE_KEY: &str = "\u{e017}";

/// What belongs to which tab: the tab's own context and those of the frames in it. Workers print
/// into the context that they belong to.
type Consoles = Arc<Mutex<HashMap<String, Console>>>;

/// A Firefox that listens. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct BidiBrowser {
    connection: Connection,
    consoles: Consoles,
}

impl BidiBrowser {
    /// Connects to a browser's debugging address and begins a session.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let browser = Self {
            connection: Connection::connect(&format!("{url}/session"), sender).await?,
            consoles: Consoles::default(),
        };
        tokio::spawn(browser.clone().sort_events(events));
        browser
            .call("session.new", json!({"capabilities": {}}))
            .await?;
        let events = json!({"events": [CONTEXT_CREATED, ENTRY_ADDED]});
        browser.call("session.subscribe", events).await?;
        Ok(browser)
    }

    /// A profile that shares nothing with others.
    pub(crate) async fn new_profile(&self) -> Result<String> {
        let answer = self.call("browser.createUserContext", json!({})).await?;
        text(&answer, "userContext")
    }

    /// An empty tab in `profile`, or in the browser's own; in a window of its own, so that it is in
    /// view as the only tab of a device is.
    pub(crate) async fn new_tab(&self, profile: Option<&str>) -> Result<(BidiTab, Console)> {
        let mut params = json!({"type": "window"});
        if let Some(profile) = profile {
            params["userContext"] = profile.into();
        }
        let created = self.call("browsingContext.create", params).await?;
        let context = text(&created, "context")?;
        let console = Console::default();
        lock(&self.consoles).insert(context.clone(), console.clone());
        let tab = BidiTab {
            connection: self.connection.clone(),
            context,
        };
        Ok((tab, console))
    }

    /// Asks the browser to end, without waiting for it.
    pub(crate) fn close(&self) {
        self.connection.notify(None, "browser.close", json!({}));
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.connection.call(None, method, params).await
    }

    /// Files what is printed under the tab it came from.
    async fn sort_events(self, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(Event { method, params, .. }) = events.recv().await {
            let console_of = |context: &Value| {
                let consoles = lock(&self.consoles);
                context
                    .as_str()
                    .and_then(|context| consoles.get(context).cloned())
            };
            if method == CONTEXT_CREATED {
                if let Some(console) = console_of(&params["parent"]) {
                    lock(&self.consoles).insert(as_text(&params["context"]), console);
                }
            } else if let Some(console) = console_of(&params["source"]["context"]) {
                console.push(line(&params));
            }
        }
    }
}

/// A tab.
#[derive(Debug)]
pub(crate) struct BidiTab {
    connection: Connection,
    context: String,
}

impl BidiTab {
    async fn call(&self, method: &str, mut params: Value) -> Result<Value> {
        params["context"] = json!(self.context);
        self.connection.call(None, method, params).await
    }

    pub(crate) async fn navigate(&self, url: &str) -> Result<()> {
        let params = json!({"url": url, "wait": "interactive"});
        let navigated = self.call("browsingContext.navigate", params).await;
        navigated.with_context(|| format!("cannot open {url}"))?;
        Ok(())
    }

    pub(crate) async fn reload(&self) -> Result<()> {
        self.call("browsingContext.reload", json!({"wait": "none"}))
            .await?;
        Ok(())
    }

    pub(crate) async fn evaluate(&self, expression: &str) -> Result<Value> {
        let params = json!({
            "expression": expression,
            "target": {"context": self.context},
            "awaitPromise": true,
            "userActivation": true,
        });
        let answer = self
            .connection
            .call(None, "script.evaluate", params)
            .await?;
        if let Some(details) = answer.get("exceptionDetails") {
            return Err(anyhow!("{expression}: {}", as_text(&details["text"])));
        }
        Ok(plain(&answer["result"]))
    }

    pub(crate) async fn click_at(&self, x: f64, y: f64) -> Result<()> {
        let actions = json!([
            {"type": "pointerMove", "x": x.round() as i64, "y": y.round() as i64},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]);
        self.perform(json!({"type": "pointer", "id": "mouse", "actions": actions}))
            .await
    }

    pub(crate) async fn type_text(&self, text: &str) -> Result<()> {
        let keys = text.chars().map(String::from);
        let actions = keys
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let actions: Vec<Value> = actions.collect();
        self.perform(json!({"type": "key", "id": "keyboard", "actions": actions}))
            .await
    }

    pub(crate) async fn press_delete(&self) -> Result<()> {
        self.type_text(DELETE_KEY).await
    }

    async fn perform(&self, source: Value) -> Result<()> {
        self.call("input.performActions", json!({"actions": [source]}))
            .await?;
        Ok(())
    }

    /// A picture of what is in view, as PNG in base64.
    pub(crate) async fn screenshot(&self) -> Result<String> {
        let answer = self
            .call("browsingContext.captureScreenshot", json!({}))
            .await?;
        text(&answer, "data")
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.call("browsingContext.close", json!({})).await?;
        Ok(())
    }
}

fn line(entry: &Value) -> ConsoleLine {
    let level = match entry["level"].as_str() {
        Some("warn") => "warning",
        other => other.unwrap_or_default(),
    };
    let frame = &entry["stackTrace"]["callFrames"][0];
    ConsoleLine {
        level: level.to_owned(),
        text: format!("{} ({})", as_text(&entry["text"]), address(&frame["url"])),
    }
}

/// A value as JSON has it: what BiDi says of it is left out, and what JSON cannot say is null.
fn plain(remote: &Value) -> Value {
    let value = &remote["value"];
    match remote["type"].as_str() {
        Some("string" | "boolean") => value.clone(),
        // `NaN` and its like come as texts.
        Some("number") if value.is_number() => value.clone(),
        Some("array") => items(value).iter().map(plain).collect(),
        Some("object") => Value::Object(items(value).iter().map(member).collect::<Map<_, _>>()),
        _ => Value::Null,
    }
}

fn member(pair: &Value) -> (String, Value) {
    (as_text(&pair[0]), plain(&pair[1]))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_returns_is_read_as_json() {
        let remote = json!({"type": "object", "value": [
            ["list", {"type": "array", "value": [
                {"type": "number", "value": 2.5}, {"type": "number", "value": "NaN"},
                {"type": "undefined"}, {"type": "null"},
            ]}],
            ["text", {"type": "string", "value": "x"}],
            ["flag", {"type": "boolean", "value": true}],
            ["code", {"type": "function"}],
        ]});
        assert_eq!(
            plain(&remote),
            json!({"list": [2.5, null, null, null], "text": "x", "flag": true, "code": null})
        );
    }
}
