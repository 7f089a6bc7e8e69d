//! `cargo xtask bench`: builds server and harness in release, and measures.

use anyhow::Result;

use crate::{tools, wasm};

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the harness gets, such as `load` or `submit`; `--help` lists it all.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    harness: Vec<String>,
}

impl Args {
    /// To measure real tabs.
    pub(crate) fn browser() -> Self {
        Self {
            harness: vec!["browser".into()],
        }
    }
}

/// Builds and measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::step("pages", || wasm::run(&wasm::Args::default()))?;
    tools::step("programs", || {
        let build = [
            "build",
            "--release",
            "--locked",
            "--package=server",
            "--package=benchmarks",
        ];
        tools::run(&mut tools::cargo(build)?)
    })?;
    let harness = tools::target_dir()?.join("release/bench");
    tools::run(std::process::Command::new(harness).args(&args.harness))?;
    if args.harness.first().is_some_and(|what| what == "store") {
        tools::step("size of the database", measure_completed_shards)?;
    }
    Ok(())
}

/// What completed shards take on the disk: twice 10⁷ in order, and 10⁷ of these scattered, which makes
/// as many ranges as there can be. The order is not for a client to choose, so that a test of the store
/// measures it.
fn measure_completed_shards() -> Result<()> {
    let test = [
        "test",
        "--release",
        "--locked",
        "--package=server",
        "--lib",
        "completed_shards_take",
        "--",
        "--nocapture",
    ];
    tools::run(tools::cargo(test)?.env("STORE_SHARDS", "20000000"))
}
