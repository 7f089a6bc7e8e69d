//! Job code that attacks its sandbox (`cases/`), in the shipped page with its shipped headers.
//!
//! Each attack runs beside a victim, another job in another executor, and is followed by a job that
//! looks whether anything of it is left. Assignments come from a server of the tests, which can say
//! exactly which shards run together.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde_json::{Value, json};
use shared::ids::Nonce;
use shared::plan::{Plan, Sharding};
use shared::wire::{ResultStatus, ShardResult, ToServer};
use tempfile::TempDir;
use tests_e2e::{Browser, BrowserKind, WorkerTab, artifacts};

use crate::canary::Canary;
use crate::cluster;
use crate::hostile_server::{HostileServer, Script, Tab};

const ATTACK_LIMIT_MS: u64 = 900;

/// A shard of its own, while the attack runs: what it sums must not be disturbed.
const VICTIM: &str = "let sum = 0; \
    for (let round = 0; round < 4; round++) { \
        for (let i = 0; i < 1000; i++) sum += i; \
        await new Promise((wake) => setTimeout(wake, 25)); \
    } \
    return sum + args";
const VICTIM_SUM: &str = "1998001";

/// Runs after each attack in an executor of its own.
const CLEAN: &str = "const nat=f=>/native code/.test(Function.prototype.toString.call(f));\
    return [Object.prototype.polluted===undefined,Array.prototype.polluted===undefined,\
    nat(Promise.prototype.then),nat(JSON.stringify),nat(MessagePort.prototype.postMessage),\
    nat(EventTarget.prototype.addEventListener),nat(Array.prototype.push),\
    nat(Function.prototype.call),globalThis.__evil===undefined,__BRAIN__.shardId,args*2].join()";
const CLEAN_ANSWER: &str = "\"true,true,true,true,true,true,true,true,true,77,42\"";

/// Sets traps in the page: secrets that nobody may read, and ears for messages that nobody may send.
const TRAPS: &str = "globalThis.__SECRET_KEY__ = 'TOPSECRET'; localStorage.invite = 'TOPSECRET'; \
    globalThis.__heard = []; \
    addEventListener('message', (event) => __heard.push('message ' + event.data)); \
    globalThis.__channel = new BroadcastChannel('ctl'); \
    __channel.onmessage = (event) => __heard.push('ctl ' + event.data)";

struct Case {
    name: String,
    code: String,
    expect: Regex,
    shards: Vec<u64>,
    limit_ms: u64,
}

impl Case {
    fn read(path: &Path, canary: &Canary) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let (mut expect, mut shards, mut code) = (None, vec![1], String::new());
        let mut limit_ms = ATTACK_LIMIT_MS;
        for line in text.lines() {
            if let Some(regex) = line.strip_prefix("// expect: ") {
                expect = Some(Regex::new(regex)?);
            } else if line == "// shards: 2" {
                shards = vec![1, 2];
            } else if let Some(limit) = line.strip_prefix("// limit-ms: ") {
                limit_ms = limit.parse()?;
            } else {
                code.push_str(line);
                code.push('\n');
            }
        }
        let port = canary.port().to_string();
        Ok(Self {
            name: path.file_stem().context("a name")?.to_string_lossy().into(),
            code: format!("args = __BRAIN__.shardId; {}", code.replace("CAN", &port)),
            expect: expect.with_context(|| format!("{} expects nothing", path.display()))?,
            shards,
            limit_ms,
        })
    }

    fn read_all(canary: &Canary) -> Result<Vec<Self>> {
        let folder = artifacts::root().join("tests-e2e/cases");
        let mut paths: Vec<_> = std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|end| end == "js"));
        paths.sort();
        paths.iter().map(|path| Self::read(path, canary)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_on_the_sandbox_gets_anywhere() -> Result<()> {
    let data = TempDir::new()?;
    let pages = cluster::setup(&data)?.start()?;
    let mut server = HostileServer::start(pages.base()).await?;
    let browser = Browser::launch(BrowserKind::Chromium).await?;
    let worker = WorkerTab::open(&browser, &server.invite_url()).await?;
    worker.page().evaluate(TRAPS).await?;
    let address = worker.page().evaluate("location.href").await?;
    worker.page().click("#start").await?;
    let mut tab = server.accept().await?;
    let canary = Canary::listen()?;

    let cases = Case::read_all(&canary)?;
    assert!(cases.len() >= 61, "only {} cases were found", cases.len());
    let mut faults = BTreeMap::new();
    for case in &cases {
        if let Err(fault) = attack(&mut tab, case).await {
            faults.insert(&case.name, fault.to_string());
        }
        if let Err(fault) = unmoved(&worker, &address, &canary).await {
            faults.insert(&case.name, fault.to_string());
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    browser.close().await
}

/// Runs a case beside a victim, then the look at what is left.
async fn attack(tab: &mut Tab<'_>, case: &Case) -> Result<()> {
    let victim = tab
        .run(&Script {
            code: VICTIM,
            args: "1",
            plan: Plan::Single,
            shards: &[0],
            timeout_ms: 20_000,
        })
        .await?;
    let attack = tab
        .run(&Script {
            code: &case.code,
            args: "null",
            plan: Plan::Sharded(Sharding::new(3, 1)?),
            shards: &case.shards,
            timeout_ms: case.limit_ms,
        })
        .await?;
    let results = collect(tab, &[(victim, 1), (attack, case.shards.len())]).await?;
    let last = results[&attack].last_key_value().context("a result")?.1;
    let outcome = outcome(last);
    ensure!(case.expect.is_match(&outcome), "came out as {outcome}");
    for leak in ["ESCAPED", "TOPSECRET"] {
        ensure!(!outcome.contains(leak), "came out as {outcome}");
    }
    ensure_value("the victim", &results[&victim], VICTIM_SUM)?;
    let clean = tab
        .run(&Script {
            code: CLEAN,
            args: "21",
            plan: Plan::Sharded(Sharding::new(100, 1)?),
            shards: &[77],
            timeout_ms: 20_000,
        })
        .await?;
    let results = collect(tab, &[(clean, 1)]).await?;
    ensure_value("the next job", &results[&clean], CLEAN_ANSWER)
}

type Rows = BTreeMap<u32, ShardResult>;

/// Waits for all results of the assignments, each with its number of attempts, and for no others.
async fn collect(tab: &mut Tab<'_>, expected: &[(Nonce, usize)]) -> Result<BTreeMap<Nonce, Rows>> {
    let mut results = BTreeMap::<Nonce, Rows>::new();
    let is_complete = |results: &BTreeMap<Nonce, Rows>| {
        expected
            .iter()
            .all(|(nonce, count)| results.get(nonce).map_or(0, Rows::len) == *count)
    };
    while !is_complete(&results) {
        let said = tab.next().await?;
        let ToServer::Results(batches) = said else {
            anyhow::bail!("results were expected: {said:?}");
        };
        for batch in batches {
            ensure!(
                expected.iter().any(|(nonce, _)| *nonce == batch.nonce),
                "a result that nobody waits for: {batch:?}"
            );
            tab.dispose(&batch).await?;
            for row in batch.rows {
                let twice = results
                    .entry(batch.nonce)
                    .or_default()
                    .insert(row.index, row.result);
                ensure!(twice.is_none(), "two results of one attempt: {twice:?}");
            }
        }
    }
    Ok(results)
}

/// `status|value or message`.
fn outcome(result: &ShardResult) -> String {
    let details = result.details.as_ref();
    let error = details.and_then(|details| details.error.as_ref());
    let message = error.map_or("", |error| &error.message);
    match result.status {
        ResultStatus::Returned => format!("ok|{}", result.value.as_deref().unwrap_or("")),
        ResultStatus::TimedOut => "timeout|".to_owned(),
        ResultStatus::Threw | ResultStatus::ExecutorFailed => format!("error|{message}"),
    }
}

fn ensure_value(who: &str, rows: &Rows, expected: &str) -> Result<()> {
    let values: Vec<_> = rows.values().map(|row| row.value.as_deref()).collect();
    ensure!(values == [Some(expected)], "{who}: {rows:?}");
    Ok(())
}

/// The page is where it was, heard nothing, and nothing outside did.
async fn unmoved(worker: &WorkerTab, address: &Value, canary: &Canary) -> Result<()> {
    let page = worker.page();
    let now = page.evaluate("location.href").await?;
    ensure!(now == *address, "the page moved to {now}");
    let heard = page.evaluate("globalThis.__heard").await?;
    ensure!(heard == json!([]), "the page heard {heard}");
    ensure!(canary.heard().is_empty(), "{:?}", canary.heard());
    Ok(())
}
