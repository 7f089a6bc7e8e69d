//! What a volunteer can ask of the page, and what the page then does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests_e2e::page::LIMIT;
use tests_e2e::{ApiClient, WorkerTab};

use crate::cluster::{Cluster, JOB_LIMIT, sharded, single};

/// Takes a tenth of a second by the clock, on however busy a machine.
const TENTH: &str = "const end = performance.now() + 100; while (performance.now() < end); \
    return {hits: 1, samples: __BRAIN__.units}";

/// A battery that tests charge and drain, and a tab that they hide.
const DEVICE: &str = "globalThis.battery = Object.assign(new EventTarget(), {level: 1, charging: true}); \
    navigator.getBattery = async () => battery; \
    globalThis.drain = (level, charging) => { \
        Object.assign(battery, {level, charging}); \
        battery.dispatchEvent(new Event('levelchange')); \
    }; \
    globalThis.seem = (visibilityState) => { \
        Object.defineProperty(document, 'visibilityState', {value: visibilityState, configurable: true}); \
        document.dispatchEvent(new Event('visibilitychange')); \
    }; \
    globalThis.set = (id, value) => { \
        const field = document.getElementById(id); \
        field[field.type === 'checkbox' ? 'checked' : 'value'] = value; \
        field.dispatchEvent(new Event('change', {bubbles: true})); \
    }; \
    globalThis.clock = (hours) => \
        new Date(Date.now() + hours * 3600e3).toTimeString().slice(0, 5);";

/// A volunteer on a device that tests control, not yet started.
async fn open(cluster: &Cluster) -> Result<WorkerTab> {
    let tab = WorkerTab::open(&cluster.browser, &cluster.api().invite_url()?).await?;
    tab.page().run_before_load(DEVICE).await?;
    reload(&tab).await?;
    Ok(tab)
}

async fn join(cluster: &Cluster) -> Result<WorkerTab> {
    let tab = open(cluster).await?;
    tab.start().await?;
    Ok(tab)
}

async fn reload(tab: &WorkerTab) -> Result<()> {
    tab.page().reload().await?;
    tab.wait_for_start().await
}

async fn paused_by(tab: &WorkerTab, cause: &str) -> Result<()> {
    let condition = format!(
        "document.body.dataset.state === 'paused' && document.body.dataset.cause === '{cause}'"
    );
    tab.page().wait_until(&condition).await
}

async fn running(tab: &WorkerTab) -> Result<()> {
    tab.wait_for_state(&["running"], LIMIT).await
}

/// Waits until the element with this id says this number.
async fn says(tab: &WorkerTab, id: &str, number: u64) -> Result<()> {
    let condition = format!("document.getElementById('{id}').textContent === '{number}'");
    tab.page().wait_until(&condition).await
}

/// A job of so many shards of a tenth of a second.
fn tenths(api: &ApiClient, shards: u64) -> Result<String> {
    api.run_js(&sharded(TENTH, shards, 1))
}

/// Waits until the job is done, with every shard counted once.
async fn complete(api: &ApiClient, job: &str, shards: u64) -> Result<()> {
    let result = api.result(job, JOB_LIMIT).await?;
    let expected = json!({"hits": shards, "samples": shards});
    assert_eq!(result["aggregate"], expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_pauses_names_itself_and_can_be_passed_over_until_it_ends() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api = cluster.api();
    let tab = join(&cluster).await?;
    let page = tab.page();
    // Enough data for the smallest cap there is.
    for _ in 0..2 {
        let job = api.run_js(&single("return 'x'.repeat(700000)"))?;
        api.ended(&job, JOB_LIMIT).await?;
    }
    tenths(&api, 100_000)?;
    running(&tab).await?;
    for (cause, begin, end) in [
        ("battery", "drain(.1, false)", "drain(.9, false)"),
        ("unplugged", "set('plugged', true)", "set('plugged', false)"),
        (
            "hidden",
            "set('visible', true); seem('hidden')",
            "seem('visible')",
        ),
        (
            "hours",
            "set('from', clock(2)); set('to', clock(3))",
            "set('from', clock(-2))",
        ),
        ("data", "set('data-cap', 1)", "set('data-cap', '')"),
    ] {
        page.evaluate(begin).await?;
        paused_by(&tab, cause).await.context(cause)?;
        says(&tab, "running-count", 0).await?;
        page.click("#resume").await?;
        running(&tab).await.context(cause)?;
        page.evaluate(end).await?;
        // The second time shows that the exception has ended with its cause.
        let has_ended = "new Promise((wake) => setTimeout(wake, 2500))";
        page.evaluate(has_ended).await?;
        page.evaluate(begin).await?;
        paused_by(&tab, cause).await.context(cause)?;
        page.evaluate(end).await?;
        running(&tab).await.context(cause)?;
    }
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_gives_the_work_to_others_and_survives_a_reload() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api = cluster.api();
    let tab = join(&cluster).await?;
    let job = tenths(&api, 60)?;
    running(&tab).await?;
    tab.page().click("#pause-0").await?;
    paused_by(&tab, "hand").await?;
    says(&tab, "waiting-count", 0).await?;
    says(&tab, "running-count", 0).await?;
    let done = tab.done_count().await?;

    let other = cluster.join().await?;
    complete(&api, &job, 60).await?;
    assert_eq!(tab.done_count().await?, done, "it took part in a pause");
    other.close().await?;

    reload(&tab).await?;
    tab.page().click("#start").await?;
    paused_by(&tab, "hand").await?;
    let next = tenths(&api, 4)?;
    tab.page().click("#resume").await?;
    complete(&api, &next, 4).await?;

    reload(&tab).await?;
    tab.start().await?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_a_pause_can_be_handed_back_at_once() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api = cluster.api();
    let tab = join(&cluster).await?;
    api.run_js(&single("for (;;);"))?;
    says(&tab, "running-count", 1).await?;
    tab.page().click("#pause-60").await?;
    paused_by(&tab, "hand").await?;
    says(&tab, "running-count", 1).await?;
    tab.page().click("#stop").await?;
    says(&tab, "running-count", 0).await?;
    let deadline = Instant::now() + LIMIT;
    while api.workers()?["workers"][0]["inFlightCount"] != json!(0) {
        ensure!(Instant::now() < deadline, "{}", api.workers()?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let countdown = tab.page().text("#countdown").await?;
    assert!(countdown.contains("Goes on in"), "{countdown}");
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_works_for_the_share_of_time_that_it_was_given() -> Result<()> {
    const SHARDS: u64 = 15;
    let cluster = Cluster::start().await?;
    let tab = join(&cluster).await?;
    tab.page().evaluate("set('threads', 1)").await?;
    tenths(&cluster.api(), 100_000)?;
    let mut rates = Vec::new();
    for duty in [100, 50, 25] {
        tab.page().evaluate(&format!("set('duty', {duty})")).await?;
        let reach = async |count: u64| -> Result<Instant> {
            let digits =
                "Number(document.getElementById('done-count').textContent.replace(/\\D/g, ''))";
            tab.page()
                .wait_until(&format!("{digits} >= {count}"))
                .await?;
            Ok(Instant::now())
        };
        let first = tab.done_count().await? + 3;
        let began = reach(first).await?;
        let ended = reach(first + SHARDS).await?;
        rates.push(1.0 / ended.duration_since(began).as_secs_f64());
    }
    let shares = [rates[1] / rates[0], rates[2] / rates[0]];
    assert!((0.3..0.75).contains(&shares[0]), "50 %: {shares:?}");
    assert!((0.12..0.45).contains(&shares[1]), "25 %: {shares:?}");
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finishes_and_leaves_loses_nothing() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api = cluster.api();
    let tab = join(&cluster).await?;
    let job = tenths(&api, 60)?;
    running(&tab).await?;
    tab.page().click("#finish").await?;
    tab.wait_for_state(&["left"], LIMIT).await?;
    let done = tab.done_count().await?;
    let completed = api.job(&job)?["task"]["shards"]["completed"].as_u64();
    assert_eq!(completed, Some(done), "what it had done was taken");
    ensure!(done < 60, "the job was over too early to tell anything");

    cluster.join().await?;
    complete(&api, &job, 60).await?;
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_can_be_read_and_refused_while_another_goes_on() -> Result<()> {
    let cluster = Cluster::start().await?;
    let api = cluster.api();
    let tab = join(&cluster).await?;
    let page = tab.page();
    let endless = "for (;;); // \u{fc} <b>\"'&</b> \u{1f980}\n\t";
    let refused = api.run_js(&json!({"code": endless, "args": {"text": "<i>"}}))?;
    says(&tab, "running-count", 1).await?;
    let button = |name: &str| format!("#jobs button[name={name}][value=\"{refused}\"]");
    page.click(&button("show")).await?;
    page.wait_until("!document.getElementById('source').hidden")
        .await?;
    let code = page
        .evaluate("document.getElementById('source-code').textContent")
        .await?;
    assert_eq!(code, json!(endless));
    let args = page
        .evaluate("JSON.parse(document.getElementById('source-args').textContent)")
        .await?;
    assert_eq!(args, json!({"text": "<i>"}));

    let other = tenths(&api, 30)?;
    page.click(&button("refuse")).await?;
    let is_gone = format!("!document.querySelector('{}')", button("refuse"));
    page.wait_until(&is_gone).await?;
    page.wait_until("document.getElementById('refusals').innerText.includes('refused on this')")
        .await?;
    complete(&api, &other, 30).await?;
    assert_ne!(api.job(&refused)?["status"], "done");
    tab.check_console(&[])?;
    cluster.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_kept_as_they_are_meant() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = open(&cluster).await?;
    let page = tab.page();
    let fields = [
        ("duty", json!("50")),
        ("plugged", json!(true)),
        ("least-battery", json!("35")),
        ("visible", json!(true)),
        ("from", json!("22:15")),
        ("to", json!("06:00")),
        ("data-cap", json!("250")),
    ];
    for (id, value) in &fields {
        page.evaluate(&format!("set('{id}', {value})")).await?;
    }
    page.evaluate("set('threads', 1)").await?;
    page.evaluate("set('least-battery', '999')").await?;
    page.evaluate("set('least-battery', '35')").await?;
    reload(&tab).await?;
    for (id, value) in fields {
        let shown = format!(
            "(field => field.type === 'checkbox' ? field.checked : field.value)\
             (document.getElementById('{id}'))"
        );
        assert_eq!(page.evaluate(&shown).await?, value, "{id}");
    }
    assert_eq!(page.evaluate("threads.value").await?, json!("1"));
    tab.check_console(&[])?;
    cluster.close().await
}
