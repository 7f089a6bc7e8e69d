//! Code that never ends is not only given up: the processor is free again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use shared::plan::{Plan, Sharding};
use shared::wire::{ResultStatus, ToServer};
use tempfile::TempDir;
use tests_e2e::{Browser, BrowserKind, WorkerTab};

use crate::cluster;
use crate::hostile_server::{HostileServer, Script, Tab};

/// Ways to keep a processor busy, each at another place of the engine.
const SPINNERS: [(&str, &str); 4] = [
    ("a loop", "for (;;) {}"),
    (
        "a loop of WebAssembly",
        "const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,\
         10,9,1,7,0,3,64,12,0,11,11]); (await WebAssembly.instantiate(bytes)).instance.exports.f()",
    ),
    (
        "an expression that backtracks",
        "return /^(a+)+$/.test('a'.repeat(60) + 'b')",
    ),
    (
        "more keys than can be made, each as slow as may be",
        "const {subtle} = crypto; \
         const base = await subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits']); \
         const derived = {name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(8), iterations: 1e6}; \
         const found = {name: 'RSA-OAEP', hash: 'SHA-256', modulusLength: 4096, \
                        publicExponent: new Uint8Array([1, 0, 1])}; \
         for (let i = 0; i < 100; i++) { \
             subtle.deriveBits(derived, base, 256); \
             subtle.generateKey(found, true, ['encrypt', 'decrypt']); \
         } \
         await new Promise(() => {})",
    ),
];

const RUN_LIMIT_MS: u64 = 700;
/// Time for the browser to end what it was told to end. Chromium lets a terminated loop go on for 2 s,
/// and a key that is being made is made to its end.
const CALM_LIMIT: Duration = Duration::from_secs(40);
const WINDOW: Duration = Duration::from_millis(1500);
/// What the page's own timers may use of one processor.
const CALM_SHARE: f64 = 0.2;

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_given_up_leaves_the_processor_free_in_chromium() -> Result<()> {
    leaves_the_processor_free(BrowserKind::Chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_given_up_leaves_the_processor_free_in_firefox() -> Result<()> {
    leaves_the_processor_free(BrowserKind::Firefox).await
}

async fn leaves_the_processor_free(kind: BrowserKind) -> Result<()> {
    let data = TempDir::new()?;
    let pages = cluster::setup(&data)?.start()?;
    let mut server = HostileServer::start(pages.base()).await?;
    let browser = Browser::launch(kind).await?;
    let worker = WorkerTab::open(&browser, &server.invite_url()).await?;
    worker.page().click("#start").await?;
    let mut tab = server.accept().await?;
    let mut busy = Vec::new();
    for (name, code) in SPINNERS {
        give_up_on(&mut tab, code).await?;
        if let Err(error) = becomes_calm(&browser).await {
            busy.push(format!("{name}: {error}"));
        }
    }
    assert!(busy.is_empty(), "{busy:#?}");
    browser.close().await
}

/// Lets the code run in both slots until its time is over.
async fn give_up_on(tab: &mut Tab<'_>, code: &str) -> Result<()> {
    for shard in [0, 1] {
        let script = Script {
            code,
            args: "null",
            plan: Plan::Sharded(Sharding::new(2, 1)?),
            shards: &[shard],
            timeout_ms: RUN_LIMIT_MS,
        };
        tab.run(&script).await?;
    }
    let mut given_up = 0;
    while given_up < 2 {
        let ToServer::Results(batches) = tab.next().await? else {
            continue;
        };
        for batch in batches {
            tab.dispose(&batch).await?;
            for row in batch.rows {
                assert_eq!(row.result.status, ResultStatus::TimedOut, "{code}");
                given_up += 1;
            }
        }
    }
    Ok(())
}

async fn becomes_calm(browser: &Browser) -> Result<()> {
    let deadline = Instant::now() + CALM_LIMIT;
    loop {
        let share = browser.processor_share(WINDOW).await?;
        if share < CALM_SHARE {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "still uses {share:.2} processors after {CALM_LIMIT:?}"
        );
    }
}
