//! A tab of Chromium, in the terms of the DevTools protocol.
//!
//! Lives here: how each of a tab's primitives is called there, and how what is printed anywhere
//! inside a tab is filed under it. Not here: waiting, aiming, judging (`page`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::connection::{Connection, Event, lock, text};
use crate::console::{Console, ConsoleLine, address, as_text};

/// Parameters of a call, made anew for each.
type Params = fn() -> Value;

/// What makes a session tell what it prints and throws.
const WATCH: &[(&str, Params)] = &[
    ("Runtime.enable", || json!({})),
    ("Log.enable", || json!({})),
];

/// What belongs to which tab: sessions of a tab and of the workers and frames in it.
type Consoles = Arc<Mutex<HashMap<String, Console>>>;

/// A Chromium that listens. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct CdpBrowser {
    connection: Connection,
    consoles: Consoles,
}

impl CdpBrowser {
    /// Connects to a browser's debugging address.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let browser = Self {
            connection: Connection::connect(url, sender).await?,
            consoles: Consoles::default(),
        };
        tokio::spawn(browser.clone().sort_events(events));
        Ok(browser)
    }

    /// A profile that shares nothing with others.
    pub(crate) async fn new_profile(&self) -> Result<String> {
        let answer = self.call("Target.createBrowserContext", json!({})).await?;
        text(&answer, "browserContextId")
    }

    /// An empty tab in `profile`, or in the browser's own.
    pub(crate) async fn new_tab(&self, profile: Option<&str>) -> Result<(CdpTab, Console)> {
        let mut params = json!({"url": "about:blank"});
        if let Some(profile) = profile {
            params["browserContextId"] = profile.into();
        }
        let target = text(&self.call("Target.createTarget", params).await?, "targetId")?;
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.call("Target.attachToTarget", attach).await?;
        let session = text(&attached, "sessionId")?;
        let console = Console::default();
        lock(&self.consoles).insert(session.clone(), console.clone());
        let tab = CdpTab {
            connection: self.connection.clone(),
            session,
            target,
        };
        tab.watch().await?;
        Ok((tab, console))
    }

    /// Asks the browser to end, without waiting for it.
    pub(crate) fn close(&self) {
        self.connection.notify(None, "Browser.close", json!({}));
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.connection.call(None, method, params).await
    }

    /// Attaches to what appears inside tabs, and files what is printed under the tab it came from.
    async fn sort_events(self, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            let Some(session) = event.session.as_deref() else {
                continue;
            };
            let console = lock(&self.consoles).get(session).cloned();
            let Some(console) = console else { continue };
            if event.method == "Target.attachedToTarget" {
                if let Some(child) = event.params["sessionId"].as_str() {
                    lock(&self.consoles).insert(child.to_owned(), console);
                    let kind = event.params["targetInfo"]["type"].as_str();
                    self.attach_inside(child, kind.unwrap_or_default());
                }
            } else if let Some(line) = line(&event) {
                console.push(line);
            }
        }
    }

    /// Watches a worker or frame of a tab. Workers inside the sandbox frame are left alone: job code
    /// runs there, undisturbed, as it does at home.
    fn attach_inside(&self, session: &str, kind: &str) {
        let notify = |method: &str, params| self.connection.notify(Some(session), method, params);
        for (method, params) in WATCH {
            notify(method, params());
        }
        if kind == "worker" {
            notify("Target.setAutoAttach", auto_attach());
        }
        notify("Runtime.runIfWaitingForDebugger", json!({}));
    }
}

/// A tab.
#[derive(Debug)]
pub(crate) struct CdpTab {
    connection: Connection,
    session: String,
    target: String,
}

impl CdpTab {
    async fn watch(&self) -> Result<()> {
        for (method, params) in WATCH {
            self.call(method, params()).await?;
        }
        self.call("Page.enable", json!({})).await?;
        self.call("Target.setAutoAttach", auto_attach()).await?;
        Ok(())
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.connection
            .call(Some(&self.session), method, params)
            .await
    }

    pub(crate) async fn navigate(&self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({"url": url})).await?;
        match answer["errorText"].as_str() {
            Some(error) => Err(anyhow!("cannot open {url}: {error}")),
            None => Ok(()),
        }
    }

    pub(crate) async fn reload(&self) -> Result<()> {
        self.call("Page.reload", json!({})).await?;
        Ok(())
    }

    pub(crate) async fn evaluate(&self, expression: &str) -> Result<Value> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        if let Some(details) = answer.get("exceptionDetails") {
            return Err(anyhow!("{expression}: {}", thrown(details).text));
        }
        Ok(answer["result"]["value"].take())
    }

    pub(crate) async fn click_at(&self, x: f64, y: f64) -> Result<()> {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let params = json!({
                "type": kind, "x": x, "y": y,
                "button": if kind == "mouseMoved" { "none" } else { "left" }, "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", params).await?;
        }
        Ok(())
    }

    pub(crate) async fn type_text(&self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).await?;
        Ok(())
    }

    pub(crate) async fn press_delete(&self) -> Result<()> {
        let key = json!({"type": "keyDown", "key": "Delete", "windowsVirtualKeyCode": 46});
        self.call("Input.dispatchKeyEvent", key).await?;
        Ok(())
    }

    /// A picture of what is in view, as PNG in base64.
    pub(crate) async fn screenshot(&self) -> Result<String> {
        let params = json!({"format": "png", "captureBeyondViewport": false});
        text(&self.call("Page.captureScreenshot", params).await?, "data")
    }

    pub(crate) async fn close(self) -> Result<()> {
        let params = json!({"targetId": self.target});
        self.connection
            .call(None, "Target.closeTarget", params)
            .await?;
        Ok(())
    }
}

/// What makes the browser tell of workers and frames before their first line runs.
fn auto_attach() -> Value {
    json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true})
}

fn line(event: &Event) -> Option<ConsoleLine> {
    match event.method.as_str() {
        "Runtime.consoleAPICalled" => Some(printed(&event.params)),
        "Runtime.exceptionThrown" => Some(thrown(&event.params["exceptionDetails"])),
        "Log.entryAdded" => Some(logged(&event.params["entry"])),
        _ => None,
    }
}

fn printed(params: &Value) -> ConsoleLine {
    let shown = |argument: &Value| match (argument["value"].as_str(), &argument["description"]) {
        (Some(text), _) => text.to_owned(),
        (None, Value::String(text)) => text.clone(),
        (None, _) => argument["value"].to_string(),
    };
    let arguments = params["args"].as_array().map_or(&[][..], Vec::as_slice);
    ConsoleLine {
        level: as_text(&params["type"]),
        text: arguments.iter().map(shown).collect::<Vec<_>>().join(" "),
    }
}

fn thrown(details: &Value) -> ConsoleLine {
    let description = as_text(&details["exception"]["description"]);
    ConsoleLine {
        level: "exception".to_owned(),
        text: format!(
            "{} {description} ({})",
            as_text(&details["text"]),
            address(&details["url"])
        ),
    }
}

fn logged(entry: &Value) -> ConsoleLine {
    ConsoleLine {
        level: as_text(&entry["level"]),
        text: format!("{} ({})", as_text(&entry["text"]), address(&entry["url"])),
    }
}
