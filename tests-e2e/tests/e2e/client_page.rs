//! The client page, used as a person would: sign in, add a device, run jobs, read what came out.
//!
//! Everything is done with mouse and keyboard and read from what is shown. Jobs are watched by the
//! page's own stream; what a test waits for is what a person would see.

use anyhow::{Context, Result};
use benchmarks::kernels::pi_hits;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests_e2e::{Page, WorkerTab};

use crate::cluster::{Cluster, JOB_LIMIT, KEY, pi_script};

/// The words of [`KEY`].
const WORDS: &str = "abandon amount liar amount expire adjust cage candy arch gather drum bullet \
                     absurd math era live bid rhythm alien crouch range attend journey unaware";

/// What a browser prints when it is answered 401.
const WRONG_KEY: &str = "401";

/// Makes the page's own calls go through `wrap`, a function of the real `fetch` and a request.
fn wrapped_fetch(wrap: &str) -> String {
    format!(
        "{{ const real = window.fetch.bind(window), wrap = {wrap}; \
         window.fetch = request => wrap(real, request); }}"
    )
}

async fn open(cluster: &Cluster) -> Result<Page> {
    let address = format!("{}/client", cluster.server.base());
    cluster.browser.open_isolated(&address).await
}

async fn sign_in(page: &Page, key: &str) -> Result<()> {
    page.fill("#key", key).await?;
    page.click("#sign-in").await
}

async fn open_signed_in(cluster: &Cluster) -> Result<Page> {
    let page = open(cluster).await?;
    sign_in(&page, KEY).await?;
    page.wait_until("document.querySelector('#device-list p, #device-list table')")
        .await?;
    Ok(page)
}

/// What the form of a script asks for.
struct Script<'a> {
    code: &'a str,
    /// Total units, and units per shard.
    units: Option<(u64, u64)>,
    reducer: &'a str,
    field: Option<(&'a str, &'a str)>,
}

impl<'a> Script<'a> {
    fn single(code: &'a str) -> Self {
        Self {
            code,
            units: None,
            reducer: "sum",
            field: None,
        }
    }

    fn sharded(code: &'a str, units: u64, per_shard: u64, reducer: &'a str) -> Self {
        Self {
            units: Some((units, per_shard)),
            reducer,
            ..Self::single(code)
        }
    }

    fn field(self, selector: &'a str, name: &'a str) -> Self {
        Self {
            field: Some((selector, name)),
            ..self
        }
    }

    async fn submit(&self, page: &Page) -> Result<()> {
        page.fill("#code", self.code).await?;
        let text = |number: Option<u64>| number.map_or_else(String::new, |it| it.to_string());
        let (total, per_shard) = self.units.unzip();
        page.fill("#total-units", &text(total)).await?;
        page.fill("#units-per-shard", &text(per_shard)).await?;
        choose(page, "#reducer", self.reducer).await?;
        if let Some((selector, name)) = self.field {
            page.fill(selector, name).await?;
        }
        page.click("#submit").await
    }

    async fn run(&self, page: &Page) -> Result<()> {
        let before = shown_job(page).await?;
        self.submit(page).await?;
        wait_for_end(page, &before).await
    }
}

async fn choose(page: &Page, selector: &str, value: &str) -> Result<()> {
    let (selector, value) = (json!(selector), json!(value));
    page.evaluate(&format!(
        "(it => {{ it.value = {value}; it.dispatchEvent(new Event('change', {{bubbles: true}})) }})\
         (document.querySelector({selector}))"
    ))
    .await?;
    Ok(())
}

/// The id of the job that is shown; empty for none.
async fn shown_job(page: &Page) -> Result<String> {
    page.text("#job-id").await
}

/// Waits until another job than `before` is done and its result is shown.
async fn wait_for_end(page: &Page, before: &str) -> Result<()> {
    let ended = format!(
        "document.querySelector('#job-id').innerText !== {} \
         && document.querySelector('#job-panel').dataset.status === 'done' \
         && !document.querySelector('#download').hidden",
        json!(before)
    );
    page.wait_until_within(JOB_LIMIT, &ended).await
}

/// The texts of all elements that `selector` matches.
async fn texts(page: &Page, selector: &str) -> Result<Vec<String>> {
    let all = format!(
        "[...document.querySelectorAll({})].map(it => it.innerText)",
        json!(selector)
    );
    Ok(serde_json::from_value(page.evaluate(&all).await?)?)
}

async fn value_of(page: &Page, selector: &str) -> Result<String> {
    let value = format!("document.querySelector({}).value", json!(selector));
    let value = page.evaluate(&value).await?;
    Ok(value.as_str().context("a field has a text")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_adds_devices_and_runs_jobs() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open(&cluster).await?;
    sign_in(&page, "not the key").await?;
    page.wait_until("document.querySelector('#key-error')?.innerText")
        .await?;
    sign_in(&page, KEY).await?;

    page.click("#make-invite").await?;
    page.wait_until("document.querySelector('#invite-link')")
        .await?;
    let link = value_of(&page, "#invite-link").await?;
    let tabs = [
        WorkerTab::join(&cluster.browser, &link).await?,
        WorkerTab::join(&cluster.browser, &link).await?,
    ];
    page.wait_until("document.querySelectorAll('#workers tbody tr').length === 2")
        .await?;
    assert!(page.text("#summary").await?.starts_with("2 devices"));

    let code = pi_script()?;
    let pi = Script::sharded(&code, 4_000_000, 100_000, "sum");
    pi.submit(&page).await?;
    assert!(page.text("#plan").await?.contains("40 shards"));
    wait_for_end(&page, "").await?;
    let hits = pi_hits(0, 4_000_000).to_string();
    let result = page.text("#result").await?;
    assert!(result.contains(&hits), "{hits}: {result}");

    let before = shown_job(&page).await?;
    page.click("#tab-add").await?;
    page.fill("#a", "2").await?;
    page.fill("#b", "40").await?;
    page.click("#submit-add").await?;
    wait_for_end(&page, &before).await?;
    assert_eq!(page.text("#result").await?.trim(), "42");

    let kept = page.evaluate("JSON.stringify(localStorage)").await?;
    assert_eq!(kept, json!("{}"), "the key is kept for this tab only");
    page.click("#sign-out").await?;
    page.wait_until("document.querySelector('#sign-in')")
        .await?;
    let kept = page.evaluate("JSON.stringify(sessionStorage)").await?;
    assert_eq!(kept, json!("{}"), "who signs out leaves nothing behind");
    for tab in tabs {
        tab.check_console(&[])?;
    }
    page.check_console(&[WRONG_KEY])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_the_key_sign_in() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open(&cluster).await?;
    sign_in(&page, &WORDS.to_uppercase()).await?;
    page.wait_until("document.querySelector('#no-workers')")
        .await?;
    page.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_shows_its_value_its_console_and_how_it_failed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let page = open_signed_in(&cluster).await?;

    page.fill("#args", "{\"z\": 1.5, \"a\": }").await?;
    Script::single("return args").submit(&page).await?;
    let error = page.text("#form-error").await?;
    assert!(error.contains("line 1, column 17"), "{error}");
    let focused = page.evaluate("document.activeElement.id").await?;
    assert_eq!(focused, json!("args"));
    assert_eq!(shown_job(&page).await?, "", "nothing was submitted");

    page.fill("#args", "{\"z\": 1.5, \"a\": [true]}").await?;
    let code = "console.log('half way', {x: 1}); console.warn('almost'); return args";
    Script::single(code).run(&page).await?;
    assert_eq!(
        page.text("#result").await?.trim(),
        "{\n  \"z\": 1.5,\n  \"a\": [\n    true\n  ]\n}"
    );
    assert_eq!(
        page.text("#job-panel .console").await?.trim(),
        "[log] half way {\"x\":1}\n[warn] almost"
    );
    assert_eq!(page.text("#form-error").await?, "");

    let code = "console.log('so far'); throw new Error('no luck')";
    Script::single(code).run(&page).await?;
    assert_eq!(page.text("#job-status").await?, "The script failed.");
    assert_eq!(page.text("#job-panel .run-error").await?, "Error: no luck");
    assert_eq!(
        page.text("#job-panel .console").await?.trim(),
        "[log] so far"
    );
    assert!(page.text("#job-panel").await?.contains("exit code 1"));
    page.check_console(&[])?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sharded_job_shows_what_there_is_before_its_end() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tabs = cluster.join_two().await?;
    let page = open_signed_in(&cluster).await?;
    page.evaluate(
        "globalThis.shifts = []; new PerformanceObserver(list => shifts.push(...list.getEntries()\
         .filter(it => !it.hadRecentInput).map(it => it.value))).observe({type: 'layout-shift'})",
    )
    .await?;
    let code = "await new Promise(done => setTimeout(done, 150)); return {n: __BRAIN__.units}";
    let job = Script::sharded(code, 240, 2, "sum").field("#sum-fields", "*");
    job.submit(&page).await?;
    let is_seen = "document.querySelector('#job-panel').dataset.status === 'running' \
                   && document.querySelector('#job-time').innerText.startsWith('a') \
                   && Number(document.querySelector('#partial dd')?.innerText) > 0 \
                   && document.querySelector('#job-progress').value > 0 \
                   && document.title.includes('%')";
    page.wait_until_within(JOB_LIMIT, is_seen).await?;
    let partial: u64 = page.text("#partial dd").await?.parse()?;
    assert!(partial < 240, "{partial} of 240 is not partial");
    wait_for_end(&page, "").await?;
    assert_eq!(texts(&page, "#result dt, #result dd").await?, ["n", "240"]);
    assert_eq!(texts(&page, "#partial").await?, [""; 0]);
    assert_eq!(page.text("#job-shards").await?, "120 of 120");
    assert_eq!(page.evaluate("document.title").await?, json!("Cluster"));
    let asked = "performance.getEntriesByType('resource').map(it => it.name)\
                 .filter(it => it.includes('/api/jobs/')).map(it => it.split('/').pop())";
    let asked: Vec<String> = serde_json::from_value(page.evaluate(asked).await?)?;
    let states = asked.iter().filter(|name| name.contains("result=none"));
    assert_eq!(states.count(), 0, "it asked beside the stream: {asked:?}");
    let shift = page
        .evaluate("shifts.reduce((a, b) => a + b, 0)")
        .await?
        .as_f64()
        .unwrap();
    assert!(shift < 0.01, "the page jumps by {shift}");
    page.check_console(&[])?;
    for tab in tabs {
        tab.check_console(&[])?;
    }
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_held_stopped_and_found_again_with_what_it_had_added_up() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let page = open_signed_in(&cluster).await?;
    let code = "await new Promise(done => setTimeout(done, 50)); return {n: 1}";
    let job = Script::sharded(code, 100_000, 1, "sum").field("#sum-fields", "n");
    job.submit(&page).await?;
    page.wait_until("Number(document.querySelector('#partial dd')?.innerText) > 0")
        .await?;
    let stopped = shown_job(&page).await?;
    page.click("#pause").await?;
    page.wait_until("document.querySelector('#job-status').innerText.startsWith('Paused')")
        .await?;
    page.click("#resume").await?;
    page.wait_until("document.querySelector('#job-status').innerText === 'Running.'")
        .await?;
    page.click("#stop").await?;
    assert_eq!(page.text("#stop").await?, "Stop for good?");
    page.click("#stop").await?;
    page.wait_until("document.querySelector('#job-panel').dataset.status === 'failed'")
        .await?;
    let added_up: u64 = page.text("#partial dd").await?.parse()?;
    assert!(added_up > 0);
    assert_eq!(
        texts(&page, "#job-actions button:not([hidden])").await?,
        ["Download as JSON"]
    );

    page.click("#tab-add").await?;
    page.click("#submit-add").await?;
    wait_for_end(&page, &stopped).await?;
    page.click("#tab-script").await?;
    page.fill("#code", "return 'half written").await?;
    page.reload().await?;
    page.wait_until("document.querySelector('#earlier button')")
        .await?;
    assert_eq!(value_of(&page, "#code").await?, "return 'half written");
    let earlier = page.text("#earlier li").await?;
    assert!(
        earlier.contains(&stopped[..8]) && earlier.contains("stopped"),
        "{earlier}"
    );
    page.click("#earlier button").await?;
    page.wait_until("document.querySelector('#partial dd')")
        .await?;
    assert_eq!(shown_job(&page).await?, stopped);
    assert_eq!(page.text("#partial dd").await?, added_up.to_string());
    page.check_console(&[])?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_that_is_meant_to_sends_a_script() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open_signed_in(&cluster).await?;
    let key = async |name: &str, ctrl: bool| {
        page.evaluate(&format!(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', \
             {{key: '{name}', ctrlKey: {ctrl}, bubbles: true, cancelable: true}}))"
        ))
        .await
    };
    page.evaluate("document.querySelector('#total-units').focus()")
        .await?;
    assert_eq!(key("Enter", false).await?, json!(false), "it is taken away");
    assert_eq!(shown_job(&page).await?, "");
    key("Enter", true).await?;
    page.wait_until("document.querySelector('#job-id').innerText")
        .await?;

    page.fill("#total-units", "none").await?;
    page.click("#submit").await?;
    let is_marked = "document.querySelector('#total-units').ariaInvalid === 'true'";
    page.wait_until(is_marked).await?;
    page.fill("#total-units", "1").await?;
    page.wait_until(&format!("!({is_marked})")).await?;
    page.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn collected_results_are_listed_and_the_file_has_all() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let page = open_signed_in(&cluster).await?;
    let files = TempDir::new()?;
    let folder = json!({"behavior": "allow", "downloadPath": files.path()});
    page.call("Page.setDownloadBehavior", folder).await?;

    let code = "console.log('at', __BRAIN__.shardId); return {square: __BRAIN__.shardId ** 2}";
    Script::sharded(code, 25, 1, "collect").run(&page).await?;
    let rows = texts(&page, "#result summary .mono").await?;
    let expected: Vec<_> = (0..25)
        .map(|n| json!({"square": n * n}).to_string())
        .collect();
    assert_eq!(rows, expected);
    page.click("#result details:nth-of-type(25) summary")
        .await?;
    page.wait_until("document.querySelector('#result details[open] .console')")
        .await?;
    assert_eq!(page.text("#result .console").await?.trim(), "[log] at 24");

    page.click("#download").await?;
    let file = files
        .path()
        .join(format!("job-{}.json", shown_job(&page).await?));
    let saved = saved_json(&file).await?;
    let aggregate = saved["result"]["aggregate"].as_array().unwrap();
    assert_eq!(aggregate.len(), 25);

    let code = "return {score: Math.abs(__BRAIN__.shardId - 7) + 0.5}";
    let least = Script::sharded(code, 25, 1, "min").field("#extreme-field", "score");
    least.run(&page).await?;
    assert_eq!(
        texts(&page, "#result dt, #result dd").await?,
        ["least score", "0.5"]
    );
    page.check_console(&[])?;
    tab.check_console(&[])?;
    cluster.close().await
}

/// What a browser saves at `path`, once it is there.
async fn saved_json(path: &std::path::Path) -> Result<Value> {
    let deadline = std::time::Instant::now() + JOB_LIMIT;
    loop {
        // A file that is still being written is no JSON.
        let saved = std::fs::read(path).ok();
        if let Some(saved) = saved.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(saved);
        }
        anyhow::ensure!(
            std::time::Instant::now() < deadline,
            "no {}",
            path.display()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_a_device_says_so_and_outlives_a_reload() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open_signed_in(&cluster).await?;
    let code = "return {n: 1}";
    let job = Script::sharded(code, 10, 1, "sum").field("#sum-fields", "n");
    job.submit(&page).await?;
    let waits = "document.querySelector('#job-status')?.innerText.includes('none is connected')";
    page.wait_until(waits).await?;
    let id = shown_job(&page).await?;
    page.reload().await?;
    page.wait_until(waits).await?;
    assert_eq!(shown_job(&page).await?, id);
    let tab = cluster.join().await?;
    wait_for_end(&page, "").await?;
    assert_eq!(texts(&page, "#result dd").await?, ["10"]);
    page.check_console(&[])?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_shows_its_picture_words_and_time() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open_signed_in(&cluster).await?;
    page.fill("#invite-label", "Room 5").await?;
    choose(&page, "#invite-ttl", "900").await?;
    page.click("#make-invite").await?;
    page.wait_until("document.querySelector('#invite-qr')?.naturalWidth === 320")
        .await?;
    assert_eq!(page.text("#invite-title").await?, "Invite for Room 5");
    let left = page.text("#invite-left").await?;
    assert!(left.contains("15:00") || left.contains("14:5"), "{left}");
    let words = value_of(&page, "#invite-words").await?;
    assert_eq!(words.split(' ').count(), 8, "{words}");
    let link = value_of(&page, "#invite-link").await?;
    assert!(link.ends_with(&words.replace(' ', "-")), "{link}: {words}");
    assert!(value_of(&page, "#invite-short").await?.contains("/j/"));
    assert!(
        value_of(&page, "#invite-full")
            .await?
            .contains("?invite=v1.")
    );
    let file = page
        .evaluate(
            "(it => [it.download, it.href.slice(0, 22)])(document.querySelector('#download-qr'))",
        )
        .await?;
    assert_eq!(file, json!(["invite.png", "data:image/png;base64,"]));
    page.wait_until(&format!(
        "document.querySelector('#invite-left').innerText !== {}",
        json!(left)
    ))
    .await?;
    assert_eq!(
        texts(&page, "#only-here").await?.len(),
        1,
        "the server listens on loopback alone"
    );
    page.click("#fold-invite").await?;
    page.wait_until("document.querySelector('#invite-ways').hidden")
        .await?;
    page.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_copied_where_there_is_no_clipboard() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open_signed_in(&cluster).await?;
    page.evaluate("void Object.defineProperty(window, 'isSecureContext', {value: false})")
        .await?;
    page.click("#make-invite").await?;
    page.wait_until("document.querySelector('#invite-link')")
        .await?;
    page.evaluate(
        "void document.addEventListener('copy', () => globalThis.copied = \
         document.activeElement.value.slice(document.activeElement.selectionStart, \
         document.activeElement.selectionEnd))",
    )
    .await?;
    page.click("#copy-invite-link").await?;
    page.wait_until("document.querySelector('#copy-invite-link').innerText.startsWith('Copied')")
        .await?;
    let copied = page.evaluate("globalThis.copied").await?;
    assert_eq!(copied, json!(value_of(&page, "#invite-link").await?));

    page.evaluate("void (document.execCommand = () => false)")
        .await?;
    page.click("#copy-invite-words").await?;
    page.wait_until("document.querySelector('#copy-invite-words').innerText.includes('Ctrl+C')")
        .await?;
    let focused = page.evaluate("document.activeElement.id").await?;
    assert_eq!(
        focused,
        json!("invite-words"),
        "where the keys have to be pressed"
    );
    page.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_followed_through_broken_streams_and_without_any() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let page = open_signed_in(&cluster).await?;
    let breaks_twice = "async (real, request) => {
        if (!request.url.endsWith('/stream')) return real(request);
        globalThis.streams = (globalThis.streams ?? 0) + 1;
        if (globalThis.streams === 1) throw new TypeError('Failed to fetch');
        const answer = await real(request);
        if (globalThis.streams > 2) return answer;
        const reader = answer.body.getReader();
        const first = await reader.read();
        return new Response(new ReadableStream({
            start: it => it.enqueue(first.value),
            pull: it => it.error(new TypeError('network error')),
        }));
    }";
    page.evaluate(&wrapped_fetch(breaks_twice)).await?;
    let code = "await new Promise(done => setTimeout(done, 300)); return {n: 1}";
    let job = || Script::sharded(code, 60, 1, "sum").field("#sum-fields", "n");
    job().run(&page).await?;
    assert_eq!(texts(&page, "#result dd").await?, ["60"]);
    let streams = page.evaluate("globalThis.streams").await?;
    assert_eq!(streams, json!(3), "a broken stream is opened anew");

    let has_none = "async (real, request) => request.url.endsWith('/stream') \
                    ? new Response('{\"error\":\"Not found.\"}', {status: 404}) : real(request)";
    page.evaluate(&wrapped_fetch(has_none)).await?;
    job().run(&page).await?;
    assert_eq!(texts(&page, "#result dd").await?, ["60"]);
    page.check_console(&[])?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wider_than_a_small_phone() -> Result<()> {
    let cluster = Cluster::start().await?;
    let page = open(&cluster).await?;
    let small = json!({"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": true});
    page.call("Emulation.setDeviceMetricsOverride", small.clone())
        .await?;
    sign_in(&page, KEY).await?;
    page.click("#make-invite").await?;
    page.wait_until("document.querySelector('#invite-link')")
        .await?;
    let tab = cluster.join().await?;
    page.wait_until("document.querySelector('#workers')")
        .await?;
    let code = "return {text: 'x'.repeat(500)}";
    Script::single(code).run(&page).await?;
    let width = page
        .evaluate("document.documentElement.scrollWidth")
        .await?;
    assert_eq!(width, 320, "the page scrolls sideways");
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
