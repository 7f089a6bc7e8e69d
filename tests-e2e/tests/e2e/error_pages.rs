//! Every way in which a volunteer cannot go on has a page that says why, and what helps.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;
use tests_e2e::page::LIMIT;
use tests_e2e::{Page, WorkerTab};

use crate::cluster::{Cluster, setup, sharded, text};

const SECRET: &str = "a secret that signs the invites of this test";

/// What a page says that leads no further.
struct Wall {
    headline: &'static str,
    explanation: &'static str,
    /// Another invitation can be typed in.
    asks_for_invite: bool,
    /// What the button says that loads the page anew.
    again: &'static str,
}

const fn dead_invite(explanation: &'static str) -> Wall {
    Wall {
        headline: "This invitation does not hold",
        explanation,
        asks_for_invite: true,
        again: "",
    }
}

async fn check(page: &Page, state: &str, wall: &Wall) -> Result<()> {
    let is_there = format!("document.body.dataset.state === '{state}'");
    page.wait_until_within(LIMIT, &is_there).await?;
    let text = async |id: &str| page.text(id).await;
    assert_eq!(text("#headline").await?, wall.headline);
    let explanation = text("#explanation").await?;
    ensure!(explanation.contains(wall.explanation), "{explanation}");
    let shown = page
        .evaluate(
            "['#invite', '#again', '#start', '#leave'].map(id => \
             document.querySelector(id).getClientRects().length > 0 \
             && !document.querySelector(id).disabled)",
        )
        .await?;
    let expected = json!([wall.asks_for_invite, !wall.again.is_empty(), false, false]);
    assert_eq!(
        shown, expected,
        "invite, again, start, leave: {explanation}"
    );
    assert_eq!(page.text("#again").await?, wall.again);
    Ok(())
}

fn expired_invite() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "typ": "worker_invite", "jti": "5f0c1e9a-7a52-4c3e-9d8f-0123456789ab",
        "iat": now - 3_600, "exp": now - 60, "label": null,
    });
    let payload = BASE64URL.encode(claims.to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(payload.as_bytes());
    let mac = BASE64URL.encode(mac.finalize().into_bytes());
    Ok(format!("v1.{payload}.{mac}"))
}

async fn cluster() -> Result<Cluster> {
    Cluster::start_with(|setup| setup.env("WORKER_INVITE_SECRET", SECRET)).await
}

fn invite(cluster: &Cluster, body: &Value) -> Result<Value> {
    Ok(cluster.api().post("/api/invites/worker", body)?.body)
}

fn jti(token: &str) -> Result<String> {
    let payload = token.split('.').nth(1).context("a payload")?;
    let claims = serde_json::from_slice(&BASE64URL.decode(payload)?)?;
    Ok(text(&claims, "jti")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_does_not_hold_says_why_before_anything_is_asked() -> Result<()> {
    let cluster = cluster().await?;
    let base = cluster.server.base().to_owned();
    let page_of = |token: &str| format!("{base}/worker?invite={token}");

    let single_use = invite(&cluster, &json!({"maxUses": 1}))?;
    let single_use = text(&single_use, "inviteUrl")?;
    let member = WorkerTab::join(&cluster.browser, single_use).await?;
    // Only a hello can tell members of an invite from others.
    let other = WorkerTab::open(&cluster.browser, single_use).await?;
    other.page().click("#start").await?;
    let used_up = dead_invite("has been used up");
    check(other.page(), "dismissed", &used_up).await?;
    other.close().await?;
    member.close().await?;

    let withdrawn = invite(&cluster, &json!({}))?;
    let token = text(&withdrawn, "inviteToken")?;
    let deleted = cluster
        .api()
        .delete(&format!("/api/invites/{}", jti(token)?))?;
    ensure!(deleted.status == 200, "{deleted:?}");
    let forged = format!("{}x", &token[..token.len() - 1]);
    let replaced = invite(&cluster, &json!({}))?;
    let newest = invite(&cluster, &json!({}))?;
    for (url, why) in [
        (page_of(token), "was withdrawn"),
        (page_of(&expired_invite()?), "has expired"),
        (page_of(&forged), "is not valid"),
        (
            text(&replaced, "inviteUrl")?.to_owned(),
            "replaced by a newer one",
        ),
    ] {
        let page = cluster.browser.open_isolated(&url).await?;
        check(&page, "blocked", &dead_invite(why)).await?;
        let address = page.evaluate("location.search + document.referrer").await?;
        assert_eq!(address, "", "the invitation stays in no address");
        // The browser itself notes that it was answered 401.
        page.check_console(&["401"])?;
        page.close().await?;
    }

    let page = cluster
        .browser
        .open_isolated(&format!("{base}/worker"))
        .await?;
    let nothing = Wall {
        headline: "An invitation is needed",
        ..dead_invite("needs an invitation")
    };
    check(&page, "blocked", &nothing).await?;
    WorkerTab::open(&cluster.browser, text(&newest, "inviteUrl")?).await?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_away_is_told_by_whom_and_what_helps() -> Result<()> {
    let cluster = cluster().await?;
    let order = async |what: &str| -> Result<()> {
        let workers = cluster.api().joined(1, LIMIT).await?;
        let id = text(&workers["workers"][0], "workerId")?;
        let path = format!("/api/workers/{id}/{what}");
        let answer = cluster.api().post(&path, &json!({}))?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    };
    let tab = cluster.join().await?;
    order("disconnect").await?;
    let disconnected = Wall {
        headline: "Disconnected",
        ..dead_invite("has disconnected this device")
    };
    check(tab.page(), "dismissed", &disconnected).await?;
    tab.check_console(&[])?;
    tab.close().await?;

    let tab = cluster.join().await?;
    order("ban").await?;
    let banned = Wall {
        headline: "Disconnected",
        explanation: "has excluded this device",
        asks_for_invite: false,
        again: "Try again",
    };
    check(tab.page(), "dismissed", &banned).await?;
    tab.page().click("#again").await?;
    tab.wait_for_start().await?;
    tab.page().click("#start").await?;
    check(tab.page(), "dismissed", &banned).await?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_signs_with_another_key_is_not_believed() -> Result<()> {
    let mut cluster = cluster().await?;
    let invite = cluster.api().invite_url()?;
    let tab = WorkerTab::join(&cluster.browser, &invite).await?;
    let invited = WorkerTab::open(&cluster.browser, &invite).await?;
    cluster.server.kill()?;
    change_signing_key(&cluster)?;
    cluster.server.start_again()?;
    cluster
        .api()
        .run_js(&sharded("return {hits: 1, samples: 1}", 10, 1))?;
    let changed = Wall {
        headline: "Do not continue here",
        explanation: "signs with another key",
        asks_for_invite: false,
        again: "Try again",
    };
    check(tab.page(), "blocked", &changed).await?;
    assert!(tab.done_count().await? == 0, "nothing of it was run");
    // Whoever loads the page anew learns that the invitation names another key.
    let other = Wall {
        again: "",
        ..changed
    };
    invited.page().reload().await?;
    check(invited.page(), "blocked", &other).await?;
    tab.page().click("#again").await?;
    check(tab.page(), "blocked", &other).await?;
    cluster.close().await
}

/// Gives the server the secrets of another, all but the one of its invites.
fn change_signing_key(cluster: &Cluster) -> Result<()> {
    let other = TempDir::new()?;
    drop(setup(&other)?.start()?);
    let secrets = std::fs::read(other.path().join("secrets.env"))?;
    Ok(std::fs::write(cluster.data().join("secrets.env"), secrets)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_too_old_is_told_what_it_lacks() -> Result<()> {
    let cluster = cluster().await?;
    let invite = cluster.api().invite_url()?;
    for (missing, lacks) in [
        (
            "delete HTMLScriptElement.prototype.noModule",
            "scripts in modules",
        ),
        (
            "delete globalThis.WebAssembly",
            "a WebAssembly that is recent enough",
        ),
        (
            "WebAssembly.validate = () => false",
            "a WebAssembly that is recent enough",
        ),
        ("delete globalThis.Worker", "module workers"),
    ] {
        let page = cluster.browser.open_isolated("about:blank").await?;
        page.run_before_load(missing).await?;
        page.goto(&invite).await?;
        let old = Wall {
            headline: "This browser is too old",
            explanation: lacks,
            asks_for_invite: false,
            again: "",
        };
        check(&page, "blocked", &old).await?;
        page.close().await?;
    }
    cluster.close().await
}
