//! What the build left: programs beside the running one, the pages, programs for wasm32.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The root of the repository: of the one that cargo runs this in, which need not be where it was built.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR");
    let manifest = manifest.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).parent();
    root.expect("a crate lies in the root").into()
}

/// The folder `target/<profile>` that the running test or tool was built into.
fn profile_dir() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let mut folders = me.ancestors().skip(1);
    let is_deps = |folder: &&Path| folder.ends_with("deps");
    let folder = folders.find(|folder| !is_deps(folder));
    Ok(folder
        .context("a built program lies in target/<profile>/")?
        .into())
}

/// A program of this workspace from the same build.
///
/// # Errors
/// It has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    existing(profile_dir()?.join(name), "cargo build --workspace --bins")
}

/// A program for wasm32, as `cargo xtask wasm` builds it.
///
/// # Errors
/// It has not been built.
pub fn wasm_program(name: &str) -> Result<PathBuf> {
    let target = profile_dir()?;
    let target = target.parent().context("target/<profile>/ has a parent")?;
    let folder = target.join("wasm/wasm32-unknown-unknown/wasm");
    existing(folder.join(name).with_extension("wasm"), "cargo xtask wasm")
}

fn existing(path: PathBuf, command: &str) -> Result<PathBuf> {
    ensure!(
        path.is_file(),
        "{} is not there; run `{command}`",
        path.display()
    );
    Ok(path)
}
