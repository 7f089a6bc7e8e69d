//! Invites as they reach people: a picture, a short link, words. All of them lead to the worker page,
//! also after a restart, and none of them is logged.

use std::io::Cursor;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tests_e2e::WorkerTab;

use crate::cluster::{Cluster, text};

/// What a camera would read of the picture.
fn scanned(data_url: &str) -> Result<String> {
    let png = data_url.strip_prefix("data:image/png;base64,");
    let png = BASE64.decode(png.context("not a picture")?)?;
    let mut decoder = png::Decoder::new(Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().context("a size")?];
    let info = reader.next_frame(&mut pixels)?;
    assert_eq!(info.width, 320);
    let (width, height) = (info.width as usize, info.height as usize);
    let mut picture =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let (_, text) = picture.detect_grids()[0].decode()?;
    Ok(text)
}

/// Status and target of a redirect.
fn redirect(url: &str) -> Result<(u16, String)> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0);
    let answer = ureq::Agent::from(config.build()).get(url).call()?;
    let target = answer.headers().get("location");
    let target = target.map_or(Ok(""), |target| target.to_str())?;
    Ok((answer.status().as_u16(), target.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_to_the_worker_page_before_and_after_a_kill() -> Result<()> {
    let mut cluster = Cluster::start_with(|setup| setup.env("LOG_LEVEL", "trace")).await?;
    let base = cluster.server.base().to_owned();
    let invite = cluster.api().invite()?;
    let (code, phrase) = (text(&invite, "shortCode")?, text(&invite, "phraseSlug")?);
    let links = [format!("{base}/j/{code}"), format!("{base}/p/{phrase}")];
    assert_eq!(text(&invite, "shortInviteUrl")?, links[0]);
    assert_eq!(text(&invite, "phraseInviteUrl")?, links[1]);
    assert_eq!(scanned(text(&invite, "inviteQrDataUrl")?)?, links[1]);

    let token = text(&invite, "inviteToken")?;
    let target = (302, format!("/worker?invite={token}"));
    for link in &links {
        assert_eq!(redirect(link)?, target);
    }
    cluster.server.kill()?;
    cluster.server.start_again()?;
    for link in &links {
        assert_eq!(redirect(link)?, target);
        assert_eq!(
            redirect(&link.to_uppercase().replacen("HTTP", "http", 1))?,
            target
        );
    }
    let spoken = format!(
        "{base}/p/{}",
        text(&invite, "phraseCode")?.replace(' ', "%20")
    );
    let tab = WorkerTab::join(&cluster.browser, &spoken).await?;
    assert_eq!(redirect(&format!("{base}/j/{code}x"))?.0, 404);

    let log = cluster.server.log();
    assert!(
        log.contains("/j/{invite}"),
        "links are logged by their form: {log}"
    );
    for secret in [token, code, phrase] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_was_replaced_is_told_at_once_and_the_words_of_the_new_one_lead_on()
-> Result<()> {
    let cluster = Cluster::start().await?;
    let stale = cluster.api().invite()?;
    let invite = cluster.api().invite()?;
    let page = cluster
        .browser
        .open_isolated(text(&stale, "inviteUrl")?)
        .await?;
    page.wait_until("!document.querySelector('#invite').hidden")
        .await?;
    assert!(page.text("#explanation").await?.contains("newer one"));
    let can_start = page
        .evaluate("!document.querySelector('#start').disabled")
        .await?;
    assert_eq!(can_start, false);
    // The browser itself notes that it was answered 401.
    page.check_console(&["401"])?;

    page.fill("#invite-words", text(&invite, "phraseCode")?)
        .await?;
    page.click("#invite button").await?;
    page.wait_until_within(
        std::time::Duration::from_secs(30),
        "document.querySelector('#start') && !document.querySelector('#start').disabled",
    )
    .await?;
    page.click("#start").await?;
    page.wait_until("document.body.dataset.state === 'idle'")
        .await?;
    page.click("#leave").await?;
    page.wait_until("document.querySelector('#again').innerText === 'Join again'")
        .await?;
    let is_hidden = page
        .evaluate("document.querySelector('#work').hidden")
        .await?;
    assert_eq!(is_hidden, true, "nothing done is no score");
    page.click("#again").await?;
    page.wait_until("document.body?.dataset.state === 'ready'")
        .await?;
    cluster.close().await
}
