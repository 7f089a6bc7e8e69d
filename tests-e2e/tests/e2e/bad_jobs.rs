//! Jobs that misbehave end as `HTTP_API` 7 says, and a neighbour that runs beside them is unharmed.

use anyhow::Result;
use benchmarks::kernels::pi_hits;
use serde_json::{Value, json};

use crate::cluster::{Cluster, JOB_LIMIT, pi_script, sharded, single};

#[tokio::test(flavor = "multi_thread")]
async fn misbehaving_jobs_end_as_documented_beside_an_unharmed_neighbour() -> Result<()> {
    let cluster = Cluster::start().await?;
    let tab = cluster.join().await?;
    let api = cluster.api();
    let units = 200_000_000;
    let neighbour = api.run_js(&sharded(&pi_script()?, units, 2_000_000))?;
    let run = async |body: Value| {
        let job = api.run_js(&body)?;
        let state = api.ended(&job, JOB_LIMIT).await?;
        assert_eq!(state["status"], "done", "{body}: {state}");
        Ok::<Value, anyhow::Error>(state["result"].clone())
    };

    let thrown = run(single(
        "console.warn('so far'); throw new TypeError('not today')",
    ))
    .await?;
    failed(&thrown, 1, "not today");
    assert!(thrown["error"]["stack"].is_string(), "{thrown}");
    assert_eq!(thrown["logs"], json!(["[warn] so far"]));

    for code in ["for (;;) {}", "return new Promise(() => {})"] {
        let mut body = single(code);
        body["timeoutMs"] = json!(600);
        let looped = run(body).await?;
        failed(&looped, 124, "Execution timeout exceeded");
        assert_eq!(looped["durationMs"], 600, "{looped}");
        assert!(looped.get("stats").is_none(), "{looped}");
    }

    for code in ["return (", "}); globalThis.x = 1; (function () {"] {
        failed(&run(single(code)).await?, 1, "SyntaxError");
    }

    for (code, kind) in [
        ("return 10n", "bigint"),
        ("return () => 1", "function"),
        ("const a = {}; a.a = a; return a", "object"),
        ("return {get x() { throw new Error('boo') }}", "object"),
    ] {
        let result = run(single(code)).await?;
        assert_eq!(result["ok"], true, "{code}: {result}");
        assert_eq!(
            result["returnValue"]["nonSerializable"], true,
            "{code}: {result}"
        );
        assert_eq!(result["returnValue"]["type"], kind, "{code}: {result}");
    }

    let huge = run(single("return 'x'.repeat(8e6)")).await?;
    assert_eq!(huge["returnValue"]["truncated"], true, "{huge}");
    assert_eq!(huge["returnValue"]["type"], "string", "{huge}");

    let flood = run(single(
        "for (let i = 0; i < 100000; i++) console.log('line ' + i); return 'done'",
    ))
    .await?;
    assert_eq!(flood["returnValue"], "done", "{flood}");
    let logs = flood["logs"].as_array().unwrap();
    assert!(logs.len() <= 160, "{} lines", logs.len());
    assert_eq!(logs.last().unwrap(), "[log] line 99999");
    let dropped = flood["stats"]["droppedLogs"].as_u64().unwrap();
    assert_eq!(dropped + logs.len() as u64, 100_000, "{flood}");

    let result = api.result(&neighbour, JOB_LIMIT).await?;
    let hits = pi_hits(0, units);
    assert_eq!(result["aggregate"], json!({"hits": hits, "samples": units}));
    tab.check_console(&[])?;
    cluster.close().await
}

fn failed(envelope: &Value, exit_code: u8, message: &str) {
    assert_eq!(envelope["ok"], false, "{envelope}");
    assert_eq!(envelope["exitCode"], exit_code, "{envelope}");
    assert_eq!(envelope["returnType"], "none", "{envelope}");
    assert_eq!(envelope["returnValue"], Value::Null, "{envelope}");
    let text = envelope["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains(message), "{message}: {envelope}");
}
