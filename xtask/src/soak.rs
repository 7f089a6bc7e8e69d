//! `cargo xtask soak`: many more schedules than fit into every test run.

use anyhow::Result;

use crate::tools;

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schedules in which scheduler and session are joined.
    #[arg(long, default_value_t = 10_000)]
    schedules: u64,
}

/// Runs the joined schedules in release.
pub(crate) fn run(args: &Args) -> Result<()> {
    let test = [
        "test",
        "--release",
        "--locked",
        "--package=scheduler",
        "--test=joined",
    ];
    let mut command = tools::cargo(test)?;
    tools::run(
        command
            .args(["--", "--nocapture"])
            .env("JOINED_SCHEDULES", args.schedules.to_string()),
    )
}
