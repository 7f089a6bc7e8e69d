//! `cargo xtask soak`: many more schedules and deaths than fit into every test run.

use anyhow::Result;

use crate::{tools, wasm};

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schedules in which scheduler and session are joined; 0 leaves them out, here and below.
    #[arg(long, default_value_t = 10_000)]
    schedules: u64,
    /// Schedules of the scheduler's model alone.
    #[arg(long, default_value_t = 100_000)]
    model_schedules: u64,
    /// Deaths of a real server with real tabs.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Minutes for which real tabs are left alone with all that can happen to them.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

/// Runs schedules in release, and the real thing as the tests do.
pub(crate) fn run(args: &Args) -> Result<()> {
    soak("joined schedules", args.schedules, |schedules| {
        test(&["--test=joined"], "JOINED_SCHEDULES", schedules)
    })?;
    soak("model schedules", args.model_schedules, |schedules| {
        let model = ["--lib", "model::random_schedules_hold"];
        test(&model, "MODEL_SCHEDULES", schedules)
    })?;
    soak("deaths of a server", args.kills, |kills| {
        real_thing("crash::", "CRASH_KILLS", kills)
    })?;
    soak("tabs left alone", args.minutes, |minutes| {
        real_thing("endurance::", "ENDURANCE_SEC", minutes * 60)
    })
}

/// Runs a step unless nothing was asked of it.
fn soak(name: &str, much: u64, step: impl FnOnce(u64) -> Result<()>) -> Result<()> {
    if much == 0 {
        return Ok(());
    }
    tools::step(name, || step(much))
}

fn test(which: &[&str], setting: &str, schedules: u64) -> Result<()> {
    let mut command = tools::cargo(["test", "--release", "--locked", "--package=scheduler"])?;
    command.args(which).args(["--", "--nocapture"]);
    tools::run(command.env(setting, schedules.to_string()))
}

fn real_thing(tests: &str, setting: &str, much: u64) -> Result<()> {
    wasm::run(&wasm::Args::default())?;
    tools::run(&mut tools::cargo([
        "build",
        "--locked",
        "--workspace",
        "--bins",
    ])?)?;
    let mut command = tools::cargo(["test", "--locked", "--package=tests-e2e", "--test=e2e"])?;
    command.args([tests, "--", "--nocapture"]);
    tools::run(command.env(setting, much.to_string()))
}
