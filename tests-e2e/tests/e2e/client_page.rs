//! The client page, used as a person would: sign in, add a device, run jobs, read what came out.

use anyhow::Result;
use benchmarks::kernels::pi_hits;
use serde_json::json;
use tests_e2e::{Page, WorkerTab};

use crate::cluster::{Cluster, JOB_LIMIT, KEY, pi_script};

async fn wait_for_result(page: &Page) -> Result<String> {
    let done = "document.querySelector('#job-panel')?.dataset.status === 'done' \
                && document.querySelector('#result')";
    page.wait_until_within(JOB_LIMIT, done).await?;
    page.text("#result").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_adds_devices_and_runs_jobs() -> Result<()> {
    let cluster = Cluster::start().await?;
    let address = format!("{}/client", cluster.server.base());
    let page = cluster.browser.open_isolated(&address).await?;

    page.fill("#key", "not the key").await?;
    page.click("#sign-in").await?;
    page.wait_until("document.querySelector('#key-error')?.innerText")
        .await?;
    page.fill("#key", KEY).await?;
    page.click("#sign-in").await?;

    page.click("#make-invite").await?;
    page.wait_until("document.querySelector('#invite-link')")
        .await?;
    let link = page
        .evaluate(
            "(it => it.value ?? it.querySelector('input')?.value ?? it.innerText)\
             (document.querySelector('#invite-link'))",
        )
        .await?;
    let link = link.as_str().unwrap();
    let tabs = [
        WorkerTab::join(&cluster.browser, link).await?,
        WorkerTab::join(&cluster.browser, link).await?,
    ];
    page.wait_until("document.querySelectorAll('#workers tbody tr').length === 2")
        .await?;

    page.fill("#code", &pi_script()?).await?;
    page.fill("#total-units", "4000000").await?;
    page.fill("#units-per-shard", "100000").await?;
    assert!(page.text("#plan").await?.contains("40"));
    page.click("#submit").await?;
    let result = wait_for_result(&page).await?;
    let hits = pi_hits(0, 4_000_000).to_string();
    assert!(result.contains(&hits), "{hits}: {result}");

    page.click("#tab-add").await?;
    page.fill("#a", "2").await?;
    page.fill("#b", "40").await?;
    page.click("#submit-add").await?;
    page.wait_until_within(
        JOB_LIMIT,
        "document.querySelector('#result')?.innerText.trim() === '42'",
    )
    .await?;

    let kept = page.evaluate("JSON.stringify(localStorage)").await?;
    assert_eq!(kept, json!("{}"), "the key is kept for this tab only");
    page.click("#sign-out").await?;
    page.wait_until("document.querySelector('#sign-in')")
        .await?;
    for tab in tabs {
        tab.check_console(&[])?;
    }
    // The browser itself prints that the wrong key was answered 401.
    page.check_console(&["401"])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wider_than_a_small_phone() -> Result<()> {
    let cluster = Cluster::start().await?;
    let address = format!("{}/client", cluster.server.base());
    let page = cluster.browser.open_isolated(&address).await?;
    let small = json!({"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": true});
    page.call("Emulation.setDeviceMetricsOverride", small)
        .await?;
    page.fill("#key", KEY).await?;
    page.click("#sign-in").await?;
    page.click("#make-invite").await?;
    page.wait_until("document.querySelector('#invite-link')")
        .await?;
    let width = page
        .evaluate("document.documentElement.scrollWidth")
        .await?;
    assert_eq!(width, 320, "the page scrolls sideways");
    let tab = cluster.join().await?;
    let small = json!({"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": true});
    tab.page()
        .call("Emulation.setDeviceMetricsOverride", small)
        .await?;
    let width = tab
        .page()
        .evaluate("document.documentElement.scrollWidth")
        .await?;
    assert_eq!(width, 320, "the worker page scrolls sideways");
    page.check_console(&[])?;
    cluster.close().await
}
