//! `cluster`: submits jobs to a server, waits for results, makes invites.
//!
//! Lives here: nothing but the exit code. What was typed is in `args`, what it means in `settings`,
//! what is done in `commands`, and only `output` prints.

mod api;
mod args;
mod commands;
mod exit_code;
mod host;
mod output;
mod progress;
mod settings;

use std::process::ExitCode;

fn main() -> ExitCode {
    exit_code::of(commands::run(std::env::args_os()))
}
