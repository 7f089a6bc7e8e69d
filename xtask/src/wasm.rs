//! `cargo xtask wasm`: from Rust, HTML, CSS and the sandbox's scripts to `dist/`.
//!
//! `dist/` holds the pages (`client.html`, `worker.html`, `sandbox.html` and the plain ones) and what they load under
//! content-hashed names (served as `assets/…`), a `.br` beside each. The server embeds it, or serves
//! such a folder with `--assets-dir`. Nothing needs to be installed: the binder is a library of this program. Not
//! here: the names (`assets`), and how the files are served (the server).

mod bind;
mod dist;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::tools;

/// What `cargo xtask wasm` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Compile quickly instead of small; the size of the pages is not checked then.
    #[arg(long)]
    dev: bool,
}

/// Programs that the pages load, by the name that their assets have.
const PROGRAMS: [(&str, &str); 2] = [("worker", "worker_wasm"), ("client", "client_wasm")];

/// Builds `dist/`, unless it is already what would come out.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure_wasm_target()?;
    compile(args.dev)?;
    let programs = program_files(args.dev)?;
    let stamp = dist::Stamp::of(&programs, &tools::root(), args.dev)?;
    let dist = tools::root().join("dist");
    if stamp.holds_for(&dist)? {
        println!("dist/ is up to date");
        return Ok(());
    }
    let mut assets = sources::collect(&tools::root())?;
    for (name, file) in &programs {
        bind::add_program(name, file, &mut assets, &scratch()?)?;
    }
    let pages = sources::pages(&tools::root(), &mut assets)?;
    let sizes = dist::write(&dist, &pages, &mut assets)?;
    dist::check_budgets(&pages, &sizes, args.dev)?;
    stamp.leave(&dist)
}

fn compile(dev: bool) -> Result<()> {
    let profile = if dev { "dev" } else { "wasm" };
    let mut command = tools::cargo([
        "build",
        "--target",
        tools::WASM_TARGET,
        "--profile",
        profile,
        "--package=worker-wasm",
        "--package=client-wasm",
        "--package=wasm-check",
    ])?;
    tools::run(
        command
            .env("CARGO_TARGET_DIR", wasm_target_dir()?)
            .env("CARGO_ENCODED_RUSTFLAGS", remapped_paths()),
    )
}

/// Panic messages name source files; what is served must not tell where they lay on this machine.
fn remapped_paths() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec![remap(&tools::root(), "cluster")];
    flags.extend(home.map(|home| remap(&home.join("registry/src"), "crates")));
    flags.join("\u{1f}")
}

/// A target folder of its own, so that pages and programs can be built at the same time.
fn wasm_target_dir() -> Result<PathBuf> {
    Ok(tools::target_dir()?.join("wasm"))
}

fn scratch() -> Result<PathBuf> {
    Ok(wasm_target_dir()?.join("bound"))
}

fn program_files(dev: bool) -> Result<Vec<(&'static str, PathBuf)>> {
    let profile = if dev { "debug" } else { "wasm" };
    let folder = wasm_target_dir()?.join(tools::WASM_TARGET).join(profile);
    Ok(PROGRAMS
        .map(|(name, file)| (name, folder.join(file).with_extension("wasm")))
        .into())
}
