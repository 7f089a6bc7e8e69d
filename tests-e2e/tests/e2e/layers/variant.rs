//! The pages with a part of the sandbox taken away: a changed copy of what was built, behind the
//! real server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tempfile::TempDir;
use tests_e2e::{Browser, ServerProcess, artifacts};

use crate::cluster;
use crate::hostile_server::{HostileServer, PolicyChange};

/// A passage that is there once, and what is there instead.
pub(super) type Edit = (&'static str, &'static str);

/// What is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    /// In the frame's script.
    pub(super) broker: &'static [Edit],
    /// In the script that runs before job code.
    pub(super) trampoline: &'static [Edit],
    /// Runs in the page before its own script.
    pub(super) prelude: &'static str,
    /// What becomes of the frame's policy.
    pub(super) policy: PolicyChange,
}

/// As it is shipped.
pub(super) const SHIPPED: Variant = Variant {
    broker: &[],
    trampoline: &[],
    prelude: "",
    policy: |policy| Some(policy.to_owned()),
};

/// Makes every answer to the self-test a good one.
const DEAF_BROKER: &[Edit] = &[("doors: openDoors()", "doors: []")];
const DEAF_TRAMPOLINE: &[Edit] = &[
    (
        "answers += '\\t+' + name + ' ' + answer;",
        "answers += '\\t+' + name + ' blocked';",
    ),
    (
        "const left = harden().map((name) => '\\t-' + name).join('');",
        "const left = ''; harden();",
    ),
    (
        "function load(message) {",
        "function load(message) {\n\
         if (message.code.startsWith('// A job like any other')) message.code = 'return \"1\"';",
    ),
];

/// The self-test itself gives up after 30 s, and then the page says so.
const SELF_TEST_LIMIT: Duration = Duration::from_secs(60);

/// Changed pages, served.
pub(super) struct Served {
    pages: ServerProcess,
    policy: PolicyChange,
    _folders: [TempDir; 2],
}

impl Served {
    /// Serves a variant whose self-test does its work.
    pub(super) fn new(variant: &Variant) -> Result<Self> {
        Self::edited(variant, &[], &[])
    }

    /// Serves a variant whose self-test finds nothing, whatever there is.
    pub(super) fn without_self_test(variant: &Variant) -> Result<Self> {
        Self::edited(variant, DEAF_BROKER, DEAF_TRAMPOLINE)
    }

    fn edited(variant: &Variant, broker: &[Edit], trampoline: &[Edit]) -> Result<Self> {
        let pages = TempDir::new()?;
        copy(&artifacts::root().join("dist"), pages.path())?;
        change(pages.path(), "sandbox", "html", |html| {
            let html = edited(html, variant.broker)?;
            let html = edited(html, broker)?;
            let trampoline = [variant.trampoline, trampoline].concat();
            with_trampoline(&html, |script| edited(script, &trampoline))
        })?;
        change(pages.path(), "worker-page-", "js", |script| {
            // Imports come first wherever they stand.
            Ok([variant.prelude, &script].concat())
        })?;
        let data = TempDir::new()?;
        let setup = cluster::setup(&data)?.env("ASSETS_DIR", pages.path());
        Ok(Self {
            pages: setup.start()?,
            policy: variant.policy,
            _folders: [pages, data],
        })
    }

    /// A server of the tests in front of it.
    pub(super) async fn server(&self) -> Result<HostileServer> {
        HostileServer::start_with(self.pages.base(), self.policy).await
    }

    /// What the self-test found open, as the page shows it; `None` if it offers to start.
    pub(super) async fn found_open(&self, browser: &Browser) -> Result<Option<String>> {
        let server = self.server().await?;
        let page = browser.open_isolated(&server.invite_url()).await?;
        let is_over = "['blocked', 'ready'].includes(document.body.dataset.state)";
        page.wait_until_within(SELF_TEST_LIMIT, is_over).await?;
        let text = page.text("body").await?;
        let list = text.split_once("Not closed: ");
        let list = list.and_then(|(_, rest)| rest.split_once('.'));
        page.close().await?;
        Ok(list.map(|(list, _)| list.to_owned()))
    }
}

fn copy(from: &Path, into: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?;
        std::fs::copy(&path, into.join(name))?;
    }
    Ok(())
}

/// Changes the one file whose name begins and ends so.
fn change(
    folder: &Path,
    start: &str,
    extension: &str,
    how: impl FnOnce(String) -> Result<String>,
) -> Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_it = name.starts_with(start) && path.extension().is_some_and(|it| it == extension);
        paths.extend(is_it.then_some(path));
    }
    ensure!(paths.len() == 1, "{start}*.{extension} is {paths:?}");
    let text = std::fs::read_to_string(&paths[0])?;
    Ok(std::fs::write(&paths[0], how(text)?)?)
}

fn edited(mut text: String, edits: &[Edit]) -> Result<String> {
    for (old, new) in edits {
        let times = text.matches(old).count();
        ensure!(times == 1, "`{old}` is there {times} times");
        text = text.replacen(old, new, 1);
    }
    Ok(text)
}

/// The page with the script inside of its script changed.
fn with_trampoline(html: &str, how: impl FnOnce(String) -> Result<String>) -> Result<String> {
    const START: &str = "javascript;base64,";
    let (before, rest) = html.split_once(START).context("the broker has it")?;
    let (encoded, after) = rest.split_once('\'').context("its text ends")?;
    let script = how(String::from_utf8(BASE64.decode(encoded)?)?)?;
    Ok([before, START, &BASE64.encode(script), "'", after].concat())
}
