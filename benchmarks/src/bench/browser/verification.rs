//! What a tab pays to verify one frame: signature, inclusion, freshness, by the very WASM code that
//! the worker page has, in Chromium.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use shared::envelope::vectors::OFTEN;
use tests_e2e::artifacts::wasm_program;
use tests_e2e::{Browser, BrowserKind};

use super::page::spread;
use crate::report::Table;

const ROUNDS: u32 = 20;

/// Milliseconds of each round of the program; the first, in which it is compiled, is left out.
const MEASURE: &str = "async (program, rounds) => {
    const bytes = Uint8Array.from(atob(program), (letter) => letter.charCodeAt(0));
    const {instance} = await WebAssembly.instantiate(bytes, {});
    const times = [];
    for (let round = 0; round <= rounds; round++) {
        const started = performance.now();
        instance.exports.main(0, 0);
        times.push(performance.now() - started);
    }
    return times.slice(1);
}";

pub(super) async fn run() -> Result<Table> {
    let program = STANDARD.encode(std::fs::read(wasm_program("verify_often")?)?);
    let browser = Browser::launch(BrowserKind::Chromium).await?;
    let page = browser.open("about:blank").await?;
    let call = format!("({MEASURE})({}, {ROUNDS})", json!(program));
    let times = serde_json::from_value(page.evaluate(&call).await?)?;
    browser.close().await?;
    let mut table = Table::new(&["verification in a tab", "median ms", "slowest ms"]);
    table.row(spread("one frame", times, 1.0 / f64::from(OFTEN)));
    Ok(table)
}
