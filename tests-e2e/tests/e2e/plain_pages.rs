//! The pages beside those of client and volunteer: metrics, the viewer of pictures, the guide.

use std::fs;

use anyhow::Result;
use serde_json::json;
use tests_e2e::{Page, artifacts};

use crate::cluster::{Cluster, KEY, sharded};

/// What a browser prints when it is answered 401.
const WRONG_KEY: &str = "401";

async fn open(cluster: &Cluster, path: &str) -> Result<Page> {
    let address = format!("{}/{path}", cluster.server.base());
    cluster.browser.open_isolated(&address).await
}

async fn sign_in(page: &Page, key: &str) -> Result<()> {
    page.fill("#key", key).await?;
    page.click("#sign-in button").await
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_shown_to_who_has_the_key_and_follow_the_cluster() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open(&cluster, "metrics").await?;
    sign_in(&page, "wrong").await?;
    page.wait_until("document.querySelector('#key-error').textContent")
        .await?;
    assert_eq!(page.text("#key-error").await?, "This key is not accepted.");
    sign_in(&page, KEY).await?;
    page.wait_until("document.querySelector('#totals dd')")
        .await?;
    assert!(page.text("#totals").await?.contains("0 of 0"));

    let tab = cluster.join().await?;
    let job = cluster
        .api()
        .run_js(&sharded("return {hits: 1, samples: 1}", 30, 10))?;
    page.wait_until(&format!(
        "document.querySelector('#jobs').innerText.includes('{job}\\tdone\\tsharded\\t3 of 3')"
    ))
    .await?;
    page.wait_until("document.querySelector('#workers').innerText.includes('\\t3\\t0\\t30\\t')")
        .await?;
    assert!(page.text("#totals").await?.contains("1 of 1"));
    tab.check_console(&[])?;

    page.reload().await?;
    page.wait_until("document.querySelector('#workers tr')")
        .await?;
    page.check_console(&[WRONG_KEY])?;
    cluster.close().await
}

/// Whether the pixel at the place is painted.
fn painted(x: u32, y: u32) -> String {
    format!(
        "document.querySelector('#picture').getContext('2d').getImageData({x}, {y}, 1, 1).data[3] === 255"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_comes_in_tile_by_tile_and_is_whole_when_looked_at_later() -> Result<()> {
    let cluster = Cluster::start().await?;
    let render = fs::read_to_string(artifacts::root().join("examples/raytrace-sharded.js"))?;
    let wait =
        "if (__BRAIN__.shardId === 7) for (const end = Date.now() + 4000; Date.now() < end;);";
    let job = cluster.api().run_js(&json!({
        "code": format!("{wait}\n{render}"), "args": {"width": 40, "height": 32, "samples": 1},
        "executionModel": "sharded", "allowDowngrade": false,
        "shardConfig": {"totalUnits": 32, "unitsPerShard": 4}, "reducer": {"type": "collect"},
    }))?;
    let page = open(&cluster, &format!("raytrace-viewer#{job}")).await?;
    sign_in(&page, KEY).await?;
    let _tab = cluster.join().await?;
    page.wait_until("/^running: .* 7 painted/.test(document.querySelector('#standing').innerText)")
        .await?;
    assert_eq!(page.evaluate(&painted(39, 27)).await?, json!(true));
    assert_eq!(page.evaluate(&painted(39, 31)).await?, json!(false));
    let whole =
        "document.querySelector('#standing').innerText === 'done: 8 of 8 shards, 8 painted'";
    page.wait_until(whole).await?;
    assert_eq!(page.evaluate(&painted(39, 31)).await?, json!(true));

    page.reload().await?;
    page.wait_until(whole).await?;
    let size = "(it => [it.width, it.height])(document.querySelector('#picture'))";
    assert_eq!(page.evaluate(size).await?, json!([40, 32]));
    page.fill("#job", "00000000-0000-4000-8000-000000000000")
        .await?;
    page.click("#watch button").await?;
    page.wait_until("document.querySelector('#watch-error').textContent === 'Job not found.'")
        .await?;
    page.check_console(&["404"])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_is_read_without_a_key_or_a_script() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open(&cluster, "parallel-guide.html").await?;
    assert_eq!(page.text("h1").await?, "Cutting a job into shards");
    assert_eq!(page.evaluate("document.scripts.length").await?, json!(0));
    page.click("main a[href=raytrace-viewer]").await?;
    page.wait_until("location.pathname === '/raytrace-viewer'")
        .await?;
    page.check_console(&[])?;
    cluster.close().await
}
