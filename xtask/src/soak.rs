//! `cargo xtask soak`: many more schedules than fit into every test run.

use anyhow::Result;

use crate::tools;

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schedules in which scheduler and session are joined.
    #[arg(long, default_value_t = 10_000)]
    schedules: u64,
    /// Schedules of the scheduler's model alone.
    #[arg(long, default_value_t = 100_000)]
    model_schedules: u64,
}

/// Runs them in release.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::step("joined schedules", || {
        test(&["--test=joined"], "JOINED_SCHEDULES", args.schedules)
    })?;
    tools::step("model schedules", || {
        let model = ["--lib", "model::random_schedules_hold"];
        test(&model, "MODEL_SCHEDULES", args.model_schedules)
    })
}

fn test(which: &[&str], setting: &str, schedules: u64) -> Result<()> {
    let mut command = tools::cargo(["test", "--release", "--locked", "--package=scheduler"])?;
    command.args(which).args(["--", "--nocapture"]);
    tools::run(command.env(setting, schedules.to_string()))
}
