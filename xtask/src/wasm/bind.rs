//! From a compiled program to what a browser loads: bound, shrunk, and its loaders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::assets::Assets;
use crate::tools;

/// Older releases of the optimiser make modules that validate and then fail in the browser.
const OLDEST_WASM_OPT: u32 = 120;

/// What our toolchain emits and every supported browser knows; without these the optimiser refuses
/// the module.
const WASM_OPT_FLAGS: &[&str] = &[
    "-Oz",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Adds `<name>.js`, `<name>.wasm` and the scripts that start the program to `assets`.
pub(super) fn add_program(
    name: &str,
    program: &Path,
    assets: &mut Assets,
    scratch: &Path,
) -> Result<()> {
    let folder = scratch.join(name);
    bind(name, program, &folder)?;
    let module = folder.join(format!("{name}_bg.wasm"));
    if let Some(optimiser) = wasm_opt() {
        shrink(&optimiser, &module)?;
    }
    let script = fs::read_to_string(folder.join(format!("{name}.js")))?;
    ensure!(
        !script.lines().any(|line| line.starts_with("import ")),
        "{name} imports something that browsers do not have"
    );
    let module_name = format!("{name}_bg.wasm");
    assets.add(&module_name, fs::read(module)?)?;
    assets.add_generated(format!("{name}.js"), script, &module_name)?;
    for (loader, start) in loaders(name) {
        assets.add_template(*loader, loader_script(name, start))?;
    }
    Ok(())
}

/// Scripts that start a program, each with the function that it calls.
fn loaders(program: &str) -> &'static [(&'static str, &'static str)] {
    match program {
        "worker" => &[
            ("worker-page.js", "start_page"),
            ("worker-runtime.js", "start_runtime"),
        ],
        _ => &[("client-page.js", "start_page")],
    }
}

fn loader_script(program: &str, start: &str) -> String {
    format!(
        "import init, {{ {start} }} from '{{{{sibling:{program}.js}}}}';\nawait init();\n{start}();\n"
    )
}

fn bind(name: &str, program: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Bindgen::new()
        .input_path(program)
        .out_name(name)
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
        .with_context(|| format!("cannot bind {}", program.display()))
}

fn shrink(optimiser: &Path, module: &Path) -> Result<()> {
    let mut command = Command::new(optimiser);
    tools::run(
        command
            .args(WASM_OPT_FLAGS)
            .arg(module)
            .arg("-o")
            .arg(module),
    )
}

/// The optimiser, where one that can be trusted is installed. Without it pages are a tenth larger.
fn wasm_opt() -> Option<PathBuf> {
    let answer = Command::new("wasm-opt").arg("--version").output().ok()?;
    let version = version(&String::from_utf8_lossy(&answer.stdout))?;
    if version < OLDEST_WASM_OPT {
        println!("wasm-opt {version} is not used: its output fails in browsers");
        return None;
    }
    Some("wasm-opt".into())
}

/// `wasm-opt version 120 (…)` -> 120.
fn version(text: &str) -> Option<u32> {
    text.split_whitespace()
        .find_map(|word| word.parse::<u32>().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimisers_version_is_read() {
        assert_eq!(version("wasm-opt version 108"), Some(108));
        assert_eq!(version("wasm-opt version 123 (version_123)"), Some(123));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn each_loader_calls_its_function() {
        let script = loader_script("worker", "start_runtime");
        assert!(script.contains("'{{sibling:worker.js}}'"));
        assert!(script.ends_with("await init();\nstart_runtime();\n"));
    }
}
