//! `cargo xtask build`: the two programs that are delivered.

use anyhow::Result;

use crate::{tools, wasm};

/// Builds the pages, then the server with the pages inside, and the command line client.
pub(crate) fn run() -> Result<()> {
    tools::step("pages", || wasm::run(&wasm::Args::default()))?;
    tools::step("programs", || {
        tools::run(&mut tools::cargo([
            "build",
            "--release",
            "--locked",
            "--package=server",
            "--package=cli",
        ])?)
    })?;
    let folder = tools::target_dir()?.join("release");
    for name in ["cluster-server", "cluster"] {
        let path = folder.join(name);
        let bytes = std::fs::metadata(&path)?.len();
        println!("{} ({:.1} MB)", path.display(), bytes as f64 / 1e6);
    }
    Ok(())
}
