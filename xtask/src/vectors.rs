//! `cargo xtask vectors`: the golden vectors of the envelope, made anew.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::tools;

const FILE: &str = "shared/testdata/envelope.json";

/// What `cargo xtask vectors` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Compare with the file instead of writing it.
    #[arg(long)]
    check: bool,
}

/// Writes the vectors, or compares them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let example = [
        "run",
        "--quiet",
        "--locked",
        "--package=shared",
        "--features=vectors",
    ];
    let mut command = tools::cargo(example)?;
    let made = command
        .args(["--example", "vectors"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(made.status.success(), "the vectors cannot be made");
    let path = tools::root().join(FILE);
    if args.check {
        let kept = std::fs::read(&path).with_context(|| FILE)?;
        ensure!(
            kept == made.stdout,
            "{FILE} differs from what the code makes"
        );
        return Ok(());
    }
    std::fs::write(&path, made.stdout).with_context(|| FILE)
}
