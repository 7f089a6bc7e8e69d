//! A volunteer's tab: opened by an invite, started by a click, watched from the outside.
//!
//! What it relies on in the page: the button `#start`, `data-state` on the page's body, the list
//! `#refusals`.

use std::time::Duration;

use anyhow::Result;

use crate::browser::Browser;
use crate::page::{LIMIT, Page};

/// What Chromium and Firefox print when the sandbox's policy blocks one of its self-test's probes:
/// that it does, or the address that is not reached.
const BLOCKED_PROBES: [&str; 3] = [
    "Content Security Policy",
    "Content-Security-Policy",
    "//probe.invalid/",
];

/// A worker page in a tab of its own profile.
#[derive(Debug)]
pub struct WorkerTab {
    page: Page,
}

impl WorkerTab {
    /// Opens an invite as a new device and waits until the page offers to start.
    ///
    /// # Errors
    /// The page does not offer it.
    pub async fn open(browser: &Browser, invite_url: &str) -> Result<Self> {
        Self::new(browser.open_isolated(invite_url).await?).await
    }

    /// Opens an invite in a second tab of the device that `other` is on.
    ///
    /// # Errors
    /// The page does not offer to start.
    pub async fn open_beside(browser: &Browser, other: &Self, invite_url: &str) -> Result<Self> {
        Self::new(browser.open_beside(&other.page, invite_url).await?).await
    }

    async fn new(page: Page) -> Result<Self> {
        let tab = Self { page };
        tab.wait_for_start().await?;
        Ok(tab)
    }

    /// Opens an invite as a new device, presses Start, and waits until it has joined.
    ///
    /// # Errors
    /// It does not join.
    pub async fn join(browser: &Browser, invite_url: &str) -> Result<Self> {
        let tab = Self::open(browser, invite_url).await?;
        tab.start().await?;
        Ok(tab)
    }

    /// Waits until the page has tested its sandbox and offers to start.
    ///
    /// # Errors
    /// It does not.
    pub async fn wait_for_start(&self) -> Result<()> {
        self.page
            .wait_until(
                "document.querySelector('#start') && !document.querySelector('#start').disabled",
            )
            .await
    }

    /// Presses Start and waits until the server has let it in.
    ///
    /// # Errors
    /// It does not get in.
    pub async fn start(&self) -> Result<()> {
        self.page.click("#start").await?;
        self.wait_for_state(&["idle", "running"], LIMIT).await
    }

    /// Waits until the page says one of `states`.
    ///
    /// # Errors
    /// It did not within `limit`.
    pub async fn wait_for_state(&self, states: &[&str], limit: Duration) -> Result<()> {
        let states = serde_json::json!(states);
        let condition =
            format!("{states}.includes(document.querySelector('[data-state]')?.dataset.state)");
        self.page.wait_until_within(limit, &condition).await
    }

    /// What the page says it does.
    ///
    /// # Errors
    /// The page is gone.
    pub async fn state(&self) -> Result<Option<String>> {
        let state = "document.querySelector('[data-state]')?.dataset.state";
        Ok(self.page.evaluate(state).await?.as_str().map(str::to_owned))
    }

    /// The refused assignments as the volunteer reads them.
    ///
    /// # Errors
    /// The page has no such list.
    pub async fn refusals(&self) -> Result<String> {
        self.page.text("#refusals").await
    }

    /// How many shards the page says that it has done.
    ///
    /// # Errors
    /// The page shows no such number.
    pub async fn done_count(&self) -> Result<u64> {
        let text = self.page.text("#done-count").await?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        Ok(digits.parse()?)
    }

    /// As [`Page::check_console`]; the browser's own word that it has blocked a probe of the sandbox
    /// is expected.
    ///
    /// # Errors
    /// The lines that were not expected.
    pub fn check_console(&self, expected: &[&str]) -> Result<()> {
        let mut expected = expected.to_vec();
        expected.extend(BLOCKED_PROBES);
        self.page.check_console(&expected)
    }

    /// Closes the tab.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn close(self) -> Result<()> {
        self.page.close().await
    }

    /// The tab itself.
    pub fn page(&self) -> &Page {
        &self.page
    }
}
