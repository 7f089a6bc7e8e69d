//! The machine: where things lie, how to run a tool, and what to install when it is missing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tests_e2e::BrowserKind;

/// The target that pages are compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The root of the repository: of the one that cargo runs this in, which need not be where it was built.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR");
    let manifest = manifest.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).parent();
    root.expect("a crate lies in the root").into()
}

/// The folder that cargo builds into: the one that this program was built into.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let folder = me.ancestors().nth(2);
    Ok(folder
        .context("a built program lies in target/<profile>/")?
        .into())
}

/// A cargo command in the root of the repository, into the same target folder as this program.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target_dir()?);
    Ok(command)
}

/// Runs a command to its end, its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(status.success(), "`{shown}` failed ({status})");
    Ok(())
}

/// Runs one step of several and says how long it took.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    work().with_context(|| format!("step failed: {name}"))?;
    println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a program is there and answers `--version`.
pub(crate) fn is_installed(program: &str) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Adds the wasm32 target to the Rust toolchain if it is missing.
pub(crate) fn ensure_wasm_target() -> Result<()> {
    let mut rustc = Command::new("rustc");
    let asked = rustc
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()
        .context("cannot run rustc; install Rust with rustup")?;
    let sysroot = PathBuf::from(String::from_utf8(asked.stdout)?.trim());
    if sysroot.join("lib/rustlib").join(WASM_TARGET).is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    run(rustup
        .args(["target", "add", WASM_TARGET])
        .current_dir(root()))
    .with_context(|| {
        format!("the Rust target {WASM_TARGET} is missing and rustup could not add it")
    })
}

/// A browser: one that is installed, or one that apt can install because we are root. `None` where
/// neither is possible.
pub(crate) fn ensure_browser(kind: BrowserKind) -> Result<Option<PathBuf>> {
    if let Some(browser) = kind.find() {
        return Ok(Some(browser));
    }
    if !install(kind.package())? {
        return Ok(None);
    }
    Ok(kind.find())
}

/// Sees to it that `node` can be run: it is there, or apt can install it because we are root.
/// Whether it is there.
pub(crate) fn ensure_node() -> Result<bool> {
    Ok(is_installed("node") || (install("nodejs")? && is_installed("node")))
}

/// Sees to it that `libfaketime` is there, with which the tests of the server set its clock; or apt can
/// install it because we are root. Whether it is there.
pub(crate) fn ensure_faketime() -> Result<bool> {
    Ok(is_installed("faketime") || (install("faketime")? && is_installed("faketime")))
}

/// Installs a package of a Debian-like system; false where we are not root or there is no apt.
fn install(package: &str) -> Result<bool> {
    if !(is_root() && is_installed("apt-get")) {
        return Ok(false);
    }
    println!("{package} is not there: installing it");
    run(apt().arg("update"))?;
    run(apt().args(["install", "-y", "--no-install-recommends", package]))?;
    Ok(true)
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    tests_e2e::process::is_root()
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
