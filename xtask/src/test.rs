//! `cargo xtask test`: formatting, lints, pages, and every test, in the order in which a fault is
//! cheapest to find. The test runner comes last, so that its closing lines close the run.

use anyhow::{Context, Result, ensure};
use tests_e2e::BrowserKind;

use crate::{tidy, tools, wasm};

/// What `cargo xtask test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the tests whose names hold this text; formatting and lints are left out then.
    filter: Option<String>,
}

/// Crates that are compiled for browsers as well.
const PAGE_CRATES: [&str; 2] = ["--package=worker-wasm", "--package=client-wasm"];

/// Runs everything; the first fault ends it.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure_wasm_target()?;
    for kind in BrowserKind::ALL {
        tools::ensure_browser(kind)?
            .with_context(|| format!("the browser tests need it: {}", kind.how_to_get()))?;
    }
    ensure!(
        tools::ensure_node()?,
        "the test of a client in JavaScript needs Node 20 or newer: install it"
    );
    ensure!(
        tools::ensure_faketime()?,
        "the tests of the server need libfaketime to set its clock: install `faketime`"
    );
    if args.filter.is_none() {
        tools::step("formatting", formatting)?;
        tools::step("tidy", tidy::run)?;
    }
    tools::step("pages", || wasm::run(&wasm::Args::default()))?;
    if args.filter.is_none() {
        tools::step("lints", lints)?;
    }
    tools::step("programs", programs)?;
    println!("== tests");
    tests(args.filter.as_deref())
}

fn formatting() -> Result<()> {
    tools::run(&mut tools::cargo(["fmt", "--all", "--check"])?)
}

fn lints() -> Result<()> {
    let deny = ["--", "--deny=warnings"];
    let native = ["clippy", "--locked", "--workspace", "--all-targets"];
    tools::run(tools::cargo(native)?.args(deny))?;
    let mut pages = tools::cargo(["clippy", "--locked", "--target", tools::WASM_TARGET])?;
    tools::run(pages.args(PAGE_CRATES).args(deny))
}

/// The tests drive the programs as they find them beside themselves.
fn programs() -> Result<()> {
    tools::run(&mut tools::cargo([
        "build",
        "--locked",
        "--workspace",
        "--bins",
    ])?)
}

fn tests(filter: Option<&str>) -> Result<()> {
    let has_nextest = tools::is_installed("cargo-nextest");
    let runner: &[&str] = if has_nextest {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast"]
    };
    let mut command = tools::cargo(runner)?;
    tools::run(command.args(["--locked", "--workspace"]).args(filter))
}
