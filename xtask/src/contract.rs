//! `cargo xtask contract`: puts the table of the HTTP contract to real servers, and, with `--mutate`,
//! proves that it would notice any field that is dropped or changed.

use anyhow::Result;

use crate::{tools, wasm};

/// What `cargo xtask contract` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also change one field at a time in the recorded answers; a change that nobody notices fails.
    #[arg(long)]
    mutate: bool,
}

/// Builds what the table is put to, and puts it.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::step("pages", || wasm::run(&wasm::Args::default()))?;
    tools::step("programs", || {
        let build = [
            "build",
            "--locked",
            "--package=server",
            "--package=cli",
            "--bins",
        ];
        tools::run(&mut tools::cargo(build)?)
    })?;
    let test = [
        "test",
        "--locked",
        "--package=tests-e2e",
        "--test=contract",
        "--",
        "--nocapture",
    ];
    let mut command = tools::cargo(test)?;
    if args.mutate {
        command.arg("--include-ignored");
    }
    tools::run(&mut command)
}
