//! Job code that attacks its sandbox (`cases/`), in the shipped page with its shipped headers.
//!
//! Each attack runs beside a victim, another job in another executor, and is followed by a job that
//! looks whether anything of it is left. Assignments come from a server of the tests, which can say
//! exactly which shards run together.

mod case;
mod range;

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::Result;
use futures_util::future::try_join_all;
use tempfile::TempDir;
use tests_e2e::{Browser, BrowserKind};

pub(crate) use case::Case;
pub(crate) use range::{Faults, Range};

use crate::cluster;
use crate::hostile_server::HostileServer;

/// Tabs that take cases from the same pile. Most cases wait more than they compute.
const TABS: usize = 3;

/// Fewer would mean that some are not found.
const LEAST_CASES: usize = 120;

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_on_the_sandbox_gets_anywhere_in_chromium() -> Result<()> {
    battery(BrowserKind::Chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_on_the_sandbox_gets_anywhere_in_firefox() -> Result<()> {
    battery(BrowserKind::Firefox).await
}

async fn battery(kind: BrowserKind) -> Result<()> {
    let data = TempDir::new()?;
    let pages = cluster::setup(&data)?.start()?;
    let browser = Browser::launch(kind).await?;
    let cases = Case::all(kind)?;
    assert!(
        cases.len() >= LEAST_CASES,
        "only {} cases were found",
        cases.len()
    );
    let pile = Mutex::new(VecDeque::from(cases));
    let tabs = (0..TABS).map(async |_| {
        let server = HostileServer::start(pages.base()).await?;
        let mut range = Range::open(&browser, server).await?;
        range.run(|| pile.lock().unwrap().pop_front()).await
    });
    let faults: Faults = try_join_all(tabs).await?.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{faults:#?}");
    browser.close().await
}
