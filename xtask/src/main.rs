//! `cargo xtask <command>`: everything that is done to this repository beside editing it.
//!
//! Lives here: the list of commands. Each has a file of its own; what several of them need from the
//! machine is in `tools`.

#![expect(clippy::print_stdout, reason = "a tool for people at a terminal")]

mod assets;
mod bench;
mod build;
mod contract;
mod demo;
mod soak;
mod test;
mod tidy;
mod tools;
mod trunk;
mod vectors;
mod wasm;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the pages (WASM, scripts, styles) into dist/.
    Wasm(wasm::Args),
    /// Build the pages, then target/release/cluster-server and target/release/cluster.
    Build,
    /// Show the system at work: a server, two browser workers, and pi.
    Demo(demo::Args),
    /// Formatting, lints and every test. Installs what they need.
    Test(test::Args),
    /// Measure the server against baselines of the same run, in release.
    Bench(bench::Args),
    /// The same for real tabs alone: rates, efficiency, verification, what a volunteer feels.
    BenchBrowser,
    /// Put the table of the HTTP contract to real servers, and its checks to changed answers.
    Contract(contract::Args),
    /// Run many more random schedules than `test` does.
    Soak(soak::Args),
    /// Make the golden vectors of the envelope anew.
    Vectors(vectors::Args),
    /// Check the rules that the compiler cannot: pure rooms, links, names in the documents.
    Tidy,
    /// Check that Trunk.toml, for page development, still builds; Trunk must be installed.
    Trunk,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Wasm(args) => wasm::run(&args),
        Command::Build => build::run(),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchBrowser => bench::run(&bench::Args::browser()),
        Command::Contract(args) => contract::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Vectors(args) => vectors::run(&args),
        Command::Tidy => tidy::run(),
        Command::Trunk => trunk::run(),
    }
}
