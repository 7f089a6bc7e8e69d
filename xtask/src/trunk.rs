//! `cargo xtask trunk`: whether the configuration for page development (`Trunk.toml`) still builds.
//!
//! No part of `cargo xtask test`: Trunk takes a quarter of an hour to install.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::tools;

/// Builds the client page with Trunk, which must be installed.
pub(crate) fn run() -> Result<()> {
    tools::ensure_wasm_target()?;
    ensure!(
        tools::is_installed("trunk"),
        "Trunk is not installed; `cargo install --locked trunk --version 0.21.14`"
    );
    tools::run(
        Command::new("trunk")
            .arg("build")
            .current_dir(tools::root()),
    )
}
