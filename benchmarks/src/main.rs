//! `bench`: measures the server against physical baselines of the same run.

#[path = "bench/browser.rs"]
mod browser;
#[path = "bench/echo.rs"]
mod echo;
#[path = "bench/job.rs"]
mod job;
#[path = "bench/load.rs"]
mod load;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/store.rs"]
mod store;
#[path = "bench/submit.rs"]
mod submit;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "bench",
    about = "Measures the server against baselines of the same run"
)]
struct Args {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Signed, verified, durable shard round trips by native workers.
    Load(load::Args),
    /// Two real Chromium tabs: rates, efficiency, verification, and what a volunteer feels.
    Browser(browser::Args),
    /// What durability costs, and how long a server takes to start that has much to remember.
    Store(store::Args),
    /// Time and memory of submitting jobs of 10^6 and 10^9 shards.
    Submit,
    /// The baseline of `load`, as a process of its own.
    #[command(hide = true)]
    EchoServer(echo::ServerArgs),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Args::parse().benchmark {
        Benchmark::Load(args) => load::run(&args).await,
        Benchmark::Browser(args) => browser::run(&args).await,
        Benchmark::Store(args) => store::run(&args).await,
        Benchmark::Submit => submit::run(),
        Benchmark::EchoServer(args) => echo::serve(&args).await,
    }
}
