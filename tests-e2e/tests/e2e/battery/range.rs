//! A tab to attack, its server, and everything that must stay as it was.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use shared::ids::Nonce;
use shared::plan::{Plan, Sharding};
use shared::wire::{ResultStatus, ShardResult, ToServer};
use tests_e2e::{Browser, WorkerTab};

use super::case::Case;
use crate::canary::Canary;
use crate::hostile_server::{HostileServer, Script, Tab};

/// A shard of its own, while the attack runs: what it sums must not be disturbed. It takes args
/// rounds of 25 ms.
const VICTIM: &str = "let sum = 0; \
    for (let round = 0; round < args; round++) { \
        for (let i = 0; i < 1000; i++) sum += i; \
        await new Promise((wake) => setTimeout(wake, 25)); \
    } \
    return sum";
const SUM_OF_A_ROUND: u64 = 499_500;
const ROUNDS: u64 = 4;

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

const MOST_TRIES: u32 = 7;

/// What came out wrong, by case.
pub(crate) type Faults = BTreeMap<String, String>;

/// One tab with a server and a canary of its own.
pub(crate) struct Range {
    server: HostileServer,
    worker: WorkerTab,
    canary: Canary,
    address: Value,
}

impl Range {
    /// Opens a tab with the pages of `server`, sets the traps, and presses Start.
    pub(crate) async fn open(browser: &Browser, server: HostileServer) -> Result<Self> {
        let worker = WorkerTab::open(browser, &server.invite_url()).await?;
        worker.page().evaluate(TRAPS).await?;
        let address = worker.page().evaluate("location.href").await?;
        worker.page().click("#start").await?;
        Ok(Self {
            server,
            worker,
            canary: Canary::listen()?,
            address,
        })
    }

    /// Runs the cases that `next` gives, one after the other.
    pub(crate) async fn run(&mut self, mut next: impl FnMut() -> Option<Case>) -> Result<Faults> {
        let mut tab = self.server.accept().await?;
        let mut faults = Faults::new();
        let mut heard = 0;
        while let Some(case) = next() {
            let attacked = attack(&mut tab, &case, self.canary.port()).await;
            let unmoved = unmoved(&self.worker, &self.address).await;
            let outside = self.canary.heard().split_off(heard);
            heard += outside.len();
            let silent = silent(&outside);
            if let Err(fault) = attacked.and(unmoved).and(silent) {
                faults.insert(case.name, format!("{fault:#}"));
            }
        }
        Ok(faults)
    }
}

/// Runs a case beside a victim, then the look at what is left. While the victim runs there is one
/// slot for the case; where it ended too early and the case's shards were not together, it is run
/// again beside one that takes longer.
async fn attack(tab: &mut Tab<'_>, case: &Case, canary: u16) -> Result<()> {
    for tried in 0..MOST_TRIES {
        let outcome = beside_a_victim(tab, ROUNDS << tried, case, canary).await?;
        ensure_clean(tab).await?;
        if !Case::is_void(&outcome) {
            return ensure_harmless(case, &outcome);
        }
    }
    bail!("its shards did not run together in {MOST_TRIES} tries")
}

/// Runs a case while another job computes, and returns what came out of its last shard.
async fn beside_a_victim(
    tab: &mut Tab<'_>,
    rounds: u64,
    case: &Case,
    canary: u16,
) -> Result<String> {
    let victim = tab
        .run(&Script {
            code: VICTIM,
            args: &rounds.to_string(),
            plan: Plan::Single,
            shards: &[0],
            timeout_ms: 20_000,
        })
        .await?;
    let attack = tab
        .run(&Script {
            code: &case.code(canary),
            args: "null",
            plan: Plan::Sharded(Sharding::new(3, 1)?),
            shards: &case.shards,
            timeout_ms: case.limit_ms,
        })
        .await?;
    let results = collect(tab, &[(victim, 1), (attack, case.shards.len())]).await?;
    let sum = (rounds * SUM_OF_A_ROUND).to_string();
    ensure_value("the victim", &results[&victim], &sum)?;
    let last = results[&attack].last_key_value().context("a result")?.1;
    Ok(outcome(last))
}

async fn ensure_clean(tab: &mut Tab<'_>) -> Result<()> {
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

fn ensure_harmless(case: &Case, outcome: &str) -> Result<()> {
    ensure!(case.expect.is_match(outcome), "came out as {outcome}");
    for leak in ["ESCAPED", "TOPSECRET"] {
        ensure!(!outcome.contains(leak), "came out as {outcome}");
    }
    Ok(())
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
            bail!("results were expected: {said:?}");
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

/// The page is where it was, and heard nothing.
async fn unmoved(worker: &WorkerTab, address: &Value) -> Result<()> {
    let page = worker.page();
    let now = page.evaluate("location.href").await?;
    ensure!(now == *address, "the page moved to {now}");
    let heard = page.evaluate("globalThis.__heard").await?;
    ensure!(heard == json!([]), "the page heard {heard}");
    Ok(())
}

fn silent(outside: &[String]) -> Result<()> {
    ensure!(outside.is_empty(), "outside was heard {outside:?}");
    Ok(())
}
