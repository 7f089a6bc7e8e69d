//! One tab: navigate, evaluate, wait, click, type; and everything that it printed or threw.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::cdp::Cdp;
use crate::chromium::auto_attach;

/// How long a page may take for what is asked of it, unless a caller says otherwise.
pub const LIMIT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(25);

type Params = fn() -> Value;

/// What makes a session tell what it prints and throws.
pub(crate) const WATCH: &[(&str, Params)] = &[
    ("Runtime.enable", || json!({})),
    ("Log.enable", || json!({})),
];

/// A line of a tab's console, of its workers' or frames', or an exception that nobody caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine {
    /// `error`, `warning`, `log`, `info`, `debug`, …; `exception` for uncaught ones.
    pub level: String,
    /// What it says, with the address it came from where there is one.
    pub text: String,
}

impl ConsoleLine {
    /// Whether a well-made page would not have printed it.
    pub fn is_problem(&self) -> bool {
        matches!(
            self.level.as_str(),
            "error" | "warning" | "exception" | "assert"
        )
    }
}

/// All that a tab has printed. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Console {
    lines: Arc<Mutex<Vec<ConsoleLine>>>,
}

impl Console {
    /// The lines so far.
    pub fn lines(&self) -> Vec<ConsoleLine> {
        self.guard().clone()
    }

    pub(crate) fn record(&self, method: &str, params: &Value) {
        let line = match method {
            "Runtime.consoleAPICalled" => printed(params),
            "Runtime.exceptionThrown" => thrown(&params["exceptionDetails"]),
            "Log.entryAdded" => logged(&params["entry"]),
            _ => return,
        };
        self.guard().push(line);
    }

    fn guard(&self) -> std::sync::MutexGuard<'_, Vec<ConsoleLine>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
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

/// An address as it is worth showing: the sandbox's workers have their whole script as address.
fn address(value: &Value) -> String {
    const SHOWN: usize = 80;
    value
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(SHOWN)
        .collect()
}

fn as_text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A tab. Dropping it leaves the tab open; it ends with its browser.
#[derive(Debug)]
pub struct Page {
    cdp: Cdp,
    session: String,
    target: String,
    context: Option<String>,
    console: Console,
}

/// Brings an element into view, finds its middle, and from then on keeps a click that would reach
/// another element from doing anything.
const AIM: &str = r"it => {
    it?.scrollIntoView({block: 'center', behavior: 'instant'});
    const r = it?.getBoundingClientRect();
    if (!r) return {hit: true, x: 0, y: 0};
    const x = r.x + r.width / 2, y = r.y + r.height / 2;
    const top = document.elementFromPoint(x, y);
    const kinds = ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'];
    const guard = event => {
        const reaches = event.composedPath().includes(it);
        if (!reaches) {
            event.preventDefault();
            event.stopImmediatePropagation();
        }
        if (event.type === 'click') globalThis.__aim.landed = reaches;
    };
    globalThis.__aim?.end();
    for (const kind of kinds) addEventListener(kind, guard, true);
    globalThis.__aim = {
        landed: false,
        end() {
            kinds.forEach(kind => removeEventListener(kind, guard, true));
            return this.landed;
        },
    };
    return {x, y, hit: it === top || it.contains(top)};
}";

impl Page {
    pub(crate) fn new(
        cdp: Cdp,
        session: String,
        target: String,
        context: Option<String>,
        console: Console,
    ) -> Self {
        Self {
            cdp,
            session,
            target,
            context,
            console,
        }
    }

    pub(crate) fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    pub(crate) async fn watch(&self) -> Result<()> {
        for (method, params) in WATCH {
            self.call(method, params()).await?;
        }
        self.call("Page.enable", json!({})).await?;
        self.call("Target.setAutoAttach", auto_attach()).await?;
        Ok(())
    }

    /// Calls a method of the DevTools protocol in this tab.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.cdp.call(Some(&self.session), method, params).await
    }

    /// Goes to `url` and waits until the page has been loaded.
    ///
    /// # Errors
    /// The address cannot be reached.
    pub async fn goto(&self, url: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({"url": url})).await?;
        if let Some(error) = answer["errorText"].as_str() {
            return Err(anyhow!("cannot open {url}: {error}"));
        }
        self.wait_until("document.readyState === 'complete'").await
    }

    /// Loads the page anew, as a person would.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn reload(&self) -> Result<()> {
        self.evaluate("globalThis.__beforeReload = true").await?;
        self.call("Page.reload", json!({})).await?;
        self.wait_until("document.readyState === 'complete' && !globalThis.__beforeReload")
            .await
    }

    /// The value of a JavaScript expression in the page; promises are awaited.
    ///
    /// # Errors
    /// What it threw, or a page that is gone.
    pub async fn evaluate(&self, expression: &str) -> Result<Value> {
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

    /// Waits until `condition` is true, 30 s at most. A page that is being loaded counts as false.
    ///
    /// # Errors
    /// It did not become true; the text shows the page as it was.
    pub async fn wait_until(&self, condition: &str) -> Result<()> {
        self.wait_until_within(LIMIT, condition).await
    }

    /// As [`Page::wait_until`], with a limit of one's own.
    ///
    /// # Errors
    /// It did not become true; the text shows the page as it was.
    pub async fn wait_until_within(&self, limit: Duration, condition: &str) -> Result<()> {
        let deadline = Instant::now() + limit;
        let expression = format!("Boolean({condition})");
        loop {
            let last = self.evaluate(&expression).await;
            if let Ok(Value::Bool(true)) = last {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.as_it_is(limit, condition, last).await);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn as_it_is(
        &self,
        limit: Duration,
        condition: &str,
        last: Result<Value>,
    ) -> anyhow::Error {
        let page = "`${location.pathname} ${JSON.stringify(document.body?.dataset)} \
                    ${document.body?.innerText.slice(0, 2000)}`";
        let page = self.evaluate(page).await;
        anyhow!(
            "not true after {limit:?}: {condition} (last: {last:?})\npage: {}\nconsole: {:#?}",
            page.map_or_else(|error| error.to_string(), |text| as_text(&text)),
            self.console.lines()
        )
    }

    /// The text that a person sees in the first element that `selector` matches.
    ///
    /// # Errors
    /// There is no such element.
    pub async fn text(&self, selector: &str) -> Result<String> {
        let selector = json!(selector);
        let text = self
            .evaluate(&format!("document.querySelector({selector})?.innerText"))
            .await?;
        let text = text.as_str();
        Ok(text
            .with_context(|| format!("no {selector} in the page"))?
            .to_owned())
    }

    /// Waits until the element is there, enabled and in view, then clicks it with the mouse. A page
    /// that shifts under the pointer does not get the click; it is aimed anew, as a person would.
    ///
    /// # Errors
    /// It does not become clickable, or something else lies over it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let quoted = json!(selector);
        let deadline = Instant::now() + LIMIT;
        loop {
            self.wait_until(&format!(
                "(it => it && !it.disabled && it.getClientRects().length > 0)\
                 (document.querySelector({quoted}))"
            ))
            .await?;
            let place = self
                .evaluate(&format!("({AIM})(document.querySelector({quoted}))"))
                .await?;
            ensure!(
                place["hit"] == json!(true),
                "{selector} is covered by something"
            );
            self.press_and_release(&place).await?;
            // A page that the click has left knows nothing of it.
            let landed = self
                .evaluate("globalThis.__aim ? globalThis.__aim.end() : true")
                .await;
            if landed.map_or(true, |landed| landed == json!(true)) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{selector} moves away from every click"
            );
        }
    }

    async fn press_and_release(&self, place: &Value) -> Result<()> {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let params = json!({
                "type": kind, "x": place["x"], "y": place["y"],
                "button": if kind == "mouseMoved" { "none" } else { "left" }, "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", params).await?;
        }
        Ok(())
    }

    /// Replaces what stands in a text field, as typing would.
    ///
    /// # Errors
    /// There is no such field.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.click(selector).await?;
        self.evaluate(&format!(
            "document.querySelector({}).select()",
            json!(selector)
        ))
        .await?;
        if text.is_empty() {
            let key = json!({"type": "keyDown", "key": "Delete", "windowsVirtualKeyCode": 46});
            self.call("Input.dispatchKeyEvent", key).await?;
        } else {
            self.call("Input.insertText", json!({"text": text})).await?;
        }
        Ok(())
    }

    /// What the tab has printed so far.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Fails if the tab, its workers or its frames printed an error or a warning or threw, but for
    /// lines that hold one of the `expected` texts.
    ///
    /// # Errors
    /// The lines that were not expected.
    pub fn check_console(&self, expected: &[&str]) -> Result<()> {
        let is_expected = |line: &ConsoleLine| expected.iter().any(|text| line.text.contains(text));
        let mut problems = self.console.lines();
        problems.retain(|line| line.is_problem() && !is_expected(line));
        ensure!(problems.is_empty(), "the console shows {problems:#?}");
        Ok(())
    }

    /// A picture of what is in view, as PNG.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let params = json!({"format": "png", "captureBeyondViewport": false});
        let answer = self.call("Page.captureScreenshot", params).await?;
        let data = answer["data"].as_str().context("a picture has data")?;
        Ok(base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            data,
        )?)
    }

    /// Closes the tab, as a person would.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn close(self) -> Result<()> {
        let params = json!({"targetId": self.target});
        self.cdp.call(None, "Target.closeTarget", params).await?;
        Ok(())
    }
}
