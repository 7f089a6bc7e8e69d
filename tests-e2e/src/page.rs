//! One tab: navigate, evaluate, wait, click, type; and everything that it printed or threw.
//!
//! The same for every browser; what differs is in `cdp` and `bidi`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::bidi::BidiTab;
use crate::cdp::CdpTab;
use crate::console::{Console, ConsoleLine, as_text};

/// How long a page may take for what is asked of it, unless a caller says otherwise.
pub const LIMIT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(25);

/// A tab in the terms of its browser.
#[derive(Debug)]
pub(crate) enum Tab {
    Cdp(CdpTab),
    Bidi(BidiTab),
}

/// A tab. Dropping it leaves the tab open; it ends with its browser.
#[derive(Debug)]
pub struct Page {
    tab: Tab,
    profile: Option<String>,
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
    pub(crate) fn new(tab: Tab, profile: Option<String>, console: Console) -> Self {
        Self {
            tab,
            profile,
            console,
        }
    }

    pub(crate) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Calls a method of the DevTools protocol in this tab.
    ///
    /// # Errors
    /// The browser refuses, is gone, or speaks another protocol.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value> {
        match &self.tab {
            Tab::Cdp(tab) => tab.call(method, params).await,
            Tab::Bidi(_) => bail!("{method} is a method of the DevTools protocol"),
        }
    }

    /// Has `script` run before any other in every page that this tab loads from here on; Chromium only.
    ///
    /// # Errors
    /// As those of [`Page::call`].
    pub async fn run_before_load(&self, script: &str) -> Result<()> {
        let script = json!({"source": script});
        self.call("Page.addScriptToEvaluateOnNewDocument", script)
            .await?;
        Ok(())
    }

    /// Goes to `url` and waits until the page has been loaded.
    ///
    /// # Errors
    /// The address cannot be reached.
    pub async fn goto(&self, url: &str) -> Result<()> {
        match &self.tab {
            Tab::Cdp(tab) => tab.navigate(url).await?,
            Tab::Bidi(tab) => tab.navigate(url).await?,
        }
        self.wait_until("document.readyState === 'complete'").await
    }

    /// Loads the page anew, as a person would.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn reload(&self) -> Result<()> {
        self.evaluate("globalThis.__beforeReload = true").await?;
        match &self.tab {
            Tab::Cdp(tab) => tab.reload().await?,
            Tab::Bidi(tab) => tab.reload().await?,
        }
        self.wait_until("document.readyState === 'complete' && !globalThis.__beforeReload")
            .await
    }

    /// The value of a JavaScript expression in the page; promises are awaited.
    ///
    /// # Errors
    /// What it threw, or a page that is gone.
    pub async fn evaluate(&self, expression: &str) -> Result<Value> {
        match &self.tab {
            Tab::Cdp(tab) => tab.evaluate(expression).await,
            Tab::Bidi(tab) => tab.evaluate(expression).await,
        }
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
            let [x, y] = ["x", "y"].map(|axis| place[axis].as_f64().unwrap_or_default());
            self.click_at(x, y).await?;
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

    /// Clicks with the mouse, whatever is there. From the left and the top of the view, in CSS pixels.
    ///
    /// # Errors
    /// The browser refuses, or is gone.
    pub async fn click_at(&self, x: f64, y: f64) -> Result<()> {
        match &self.tab {
            Tab::Cdp(tab) => tab.click_at(x, y).await,
            Tab::Bidi(tab) => tab.click_at(x, y).await,
        }
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
        match (&self.tab, text.is_empty()) {
            (Tab::Cdp(tab), true) => tab.press_delete().await,
            (Tab::Cdp(tab), false) => tab.type_text(text).await,
            (Tab::Bidi(tab), true) => tab.press_delete().await,
            (Tab::Bidi(tab), false) => tab.type_text(text).await,
        }
    }

    /// What the tab has printed so far.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Waits until a line with this text has been printed, 30 s at most.
    ///
    /// # Errors
    /// None was; the text shows what was.
    pub async fn printed(&self, text: &str) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let is_it = |line: &ConsoleLine| line.text.contains(text);
        while !self.console.lines().iter().any(is_it) {
            let lines = self.console.lines();
            ensure!(Instant::now() < deadline, "no {text} in {lines:#?}");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
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
        let data = match &self.tab {
            Tab::Cdp(tab) => tab.screenshot().await?,
            Tab::Bidi(tab) => tab.screenshot().await?,
        };
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
        match self.tab {
            Tab::Cdp(tab) => tab.close().await,
            Tab::Bidi(tab) => tab.close().await,
        }
    }
}
