//! The harness itself: what happens anywhere in a tab is seen, and nothing is left behind.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use tests_e2e::{Browser, BrowserKind, Page};

/// A page as an address, so that these tests need no server.
fn html(body: &str) -> String {
    let mut url = String::from("data:text/html,");
    for byte in format!("<!doctype html><title>t</title>{body}").bytes() {
        url.push_str(&format!("%{byte:02x}"));
    }
    url
}

async fn console_of(browser: &Browser, body: &str) -> Result<Page> {
    let page = browser.open(&html(body)).await?;
    page.wait_until("globalThis.done").await?;
    Ok(page)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_or_its_worker_prints_or_throws_is_a_problem() -> Result<()> {
    for kind in BrowserKind::ALL {
        problems_are_seen(kind).await?;
    }
    Ok(())
}

async fn problems_are_seen(kind: BrowserKind) -> Result<()> {
    let browser = Browser::launch(kind).await?;
    let worker = |code: &str| {
        format!(
            "<script>const w = new Worker('data:text/javascript,' + encodeURIComponent(`{code}`));\
             w.onmessage = () => {{ done = true }}</script>"
        )
    };
    for (body, expected) in [
        ("<script>console.error('own', 1); done = true</script>".to_owned(), "own 1"),
        ("<script>setTimeout(() => { throw new Error('thrown') }); setTimeout(() => { done = true }, 9)</script>".to_owned(), "thrown"),
        (worker("console.warn('inner'); postMessage(1)"), "inner"),
        (worker("Promise.reject(new Error('unhandled')); setTimeout(() => postMessage(1), 9)"), "unhandled"),
    ] {
        let page = console_of(&browser, &body).await?;
        // It is printed elsewhere than where it is done, and may be told of a little later.
        page.printed(expected).await?;
        let problem = page.check_console(&[]).expect_err(expected).to_string();
        assert!(problem.contains(expected), "{problem}");
        page.check_console(&[expected])?;
    }
    console_of(
        &browser,
        "<script>console.log('fine'); done = true</script>",
    )
    .await?
    .check_console(&[])?;
    browser.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_reaches_only_what_a_person_could_click() -> Result<()> {
    for kind in BrowserKind::ALL {
        a_click_reaches(kind).await?;
    }
    Ok(())
}

async fn a_click_reaches(kind: BrowserKind) -> Result<()> {
    let browser = Browser::launch(kind).await?;
    let page = browser
        .open(&html(
            "<button id=ok onclick=\"clicked = event.isTrusted\">ok</button>\
             <button id=covered>no</button><div id=cover style='position:fixed;inset:0;top:200px'></div>\
             <style>#covered { position: fixed; top: 300px }</style><input id=field value=old>",
        ))
        .await?;
    page.click("#ok").await?;
    page.wait_until("globalThis.clicked === true").await?;
    let refused = page.click("#covered").await.expect_err("it is covered");
    assert!(refused.to_string().contains("covered"), "{refused}");
    page.fill("#field", "new text").await?;
    assert_eq!(page.evaluate("field.value").await?, "new text");
    browser.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_follows_what_moves_away_and_hits_nothing_else() -> Result<()> {
    for kind in BrowserKind::ALL {
        a_click_follows(kind).await?;
    }
    Ok(())
}

async fn a_click_follows(kind: BrowserKind) -> Result<()> {
    let browser = Browser::launch(kind).await?;
    let page = browser
        .open(&html(
            "<div id=gap></div><button id=other onclick='hitOther = true'>other</button><br>\
             <button id=shy onclick='hitShy = true'>shy</button>\
             <script>addEventListener('mousemove', () => gap.style.height = '21px', {once: true})\
             </script>",
        ))
        .await?;
    page.click("#shy").await?;
    assert_eq!(page.evaluate("globalThis.hitShy").await?, true);
    assert_eq!(
        page.evaluate("globalThis.hitOther ?? null").await?,
        json!(null)
    );
    page.evaluate("other.click()").await?;
    assert_eq!(page.evaluate("globalThis.hitOther").await?, true);
    browser.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_leaves_neither_processes_nor_its_profile() -> Result<()> {
    for kind in BrowserKind::ALL {
        a_browser_leaves_nothing(kind).await?;
    }
    Ok(())
}

async fn a_browser_leaves_nothing(kind: BrowserKind) -> Result<()> {
    for in_order in [true, false] {
        let browser = Browser::launch(kind).await?;
        let (group, profile) = (browser.id(), browser.profile().to_owned());
        assert!(Path::new(&profile).is_dir());
        assert!(!processes_of_group(group).is_empty());
        if in_order {
            browser.close().await?;
        } else {
            drop(browser);
        }
        assert!(!Path::new(&profile).exists(), "the profile is still there");
        while !processes_of_group(group).is_empty() {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Processes, zombies left out, of one process group.
fn processes_of_group(group: u32) -> Vec<String> {
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut stats: Vec<String> = processes.filter_map(stat).collect();
    stats.retain(|stat| {
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let state = fields.next();
        state != Some("Z") && fields.nth(1) == Some(&group.to_string())
    });
    stats
}
