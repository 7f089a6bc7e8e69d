//! Devices that lack what others have: pages over plain http on a network at home, browsers that keep
//! nothing, more than one tab.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests_e2e::WorkerTab;
use tests_e2e::page::LIMIT;

use crate::cluster::{Cluster, JOB_LIMIT, sharded};

const SHARDS: u64 = 60;

/// A job that draws random numbers and hashes nothing: it must come out anywhere.
async fn works(cluster: &Cluster) -> Result<()> {
    let code = "const few = crypto.getRandomValues(new Uint8Array(4)).length; \
                return {hits: few, samples: __BRAIN__.units}";
    let job = cluster.api().run_js(&sharded(code, SHARDS, 1))?;
    let result = cluster.api().result(&job, JOB_LIMIT).await?;
    let expected = json!({"hits": 4 * SHARDS, "samples": SHARDS});
    assert_eq!(result["aggregate"], expected, "{result}");
    Ok(())
}

fn ids(workers: &Value) -> Result<Vec<String>> {
    let rows = workers["workers"].as_array().context("workers")?;
    let ids = rows.iter().map(|row| row["workerId"].as_str());
    let ids = ids.map(|id| id.map(str::to_owned)).collect::<Option<_>>();
    ids.context("ids of workers")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_plain_http_verifies_and_works() -> Result<()> {
    let cluster = Cluster::start().await?;
    let invite = cluster.api().invite_url()?;
    let invite = invite.replace("127.0.0.1", "lan.test");
    let tab = WorkerTab::join(&cluster.browser, &invite).await?;
    let secure = "[isSecureContext, typeof crypto.subtle, typeof crypto.randomUUID, \
                   typeof navigator.wakeLock, typeof navigator.getBattery]";
    let secure = tab.page().evaluate(secure).await?;
    let none = "undefined";
    assert_eq!(secure, json!([false, none, none, none, none]));
    works(&cluster).await?;
    // What has no interface here is not offered.
    let offered = "['#battery', '#awake'].map(id => document.querySelector(id)?.checkVisibility())";
    let offered = tab.page().evaluate(offered).await?;
    assert!(
        offered
            .as_array()
            .context("a list")?
            .iter()
            .all(|it| *it != json!(true)),
        "{offered}"
    );
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_keeps_nothing_works_as_long_as_its_tab_is_open() -> Result<()> {
    let mut cluster = Cluster::start_with(|setup| setup.env("RECLAIM_SEC", "1")).await?;
    let page = cluster.browser.open_isolated("about:blank").await?;
    let blocked = "for (const name of ['localStorage', 'sessionStorage']) \
        Object.defineProperty(window, name, {get() { throw new DOMException('no', 'SecurityError') }})";
    page.run_before_load(blocked).await?;
    page.goto(&cluster.api().invite_url()?).await?;
    page.click("#start").await?;
    let workers = cluster.api().joined(1, LIMIT).await?;
    works(&cluster).await?;
    cluster.server.kill()?;
    cluster.server.start_again()?;
    let again = cluster.api().joined(1, LIMIT).await?;
    assert_eq!(ids(&again)?, ids(&workers)?, "the same worker returns");
    works(&cluster).await?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_a_browser_are_two_workers_and_each_keeps_its_name() -> Result<()> {
    let cluster = Cluster::start().await?;
    let invite = cluster.api().invite_url()?;
    let first = WorkerTab::join(&cluster.browser, &invite).await?;
    let name = ids(&cluster.api().joined(1, LIMIT).await?)?;
    let second = WorkerTab::open_beside(&cluster.browser, &first, &invite).await?;
    second.start().await?;
    let mut both = ids(&cluster.api().joined(2, LIMIT).await?)?;
    both.sort();
    assert!(both.contains(&name[0]) && both[0] != both[1], "{both:?}");
    for tab in [&first, &second] {
        tab.page().reload().await?;
        tab.wait_for_start().await?;
        tab.start().await?;
    }
    works(&cluster).await?;
    let mut again = ids(&cluster.api().joined(2, LIMIT).await?)?;
    again.sort();
    assert_eq!(again, both, "a reload keeps the name");
    cluster.close().await
}
