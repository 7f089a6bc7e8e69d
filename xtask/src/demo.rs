//! `cargo xtask demo`: the whole system at work on this machine, for a person to watch.
//!
//! Everything it starts is owned by a handle of this process and ends with it, whether pi was
//! found, something failed, or Ctrl-C was pressed. Its server, keys and data are real; they stay
//! in the data folder for the next time.

mod keys;
mod network;
mod pi;

use std::io::IsTerminal;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shared::qr;
use tests_e2e::{ApiClient, Browser, BrowserKind, ServerProcess, ServerSetup, WorkerTab};
use tokio::signal::unix::{SignalKind, signal};

use crate::{build, tools};
use keys::Keys;

const USUAL_PORT: u16 = 8080;
const TABS: usize = 2;
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// What `cargo xtask demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen on this port; by default on 8080, or another that is free.
    #[arg(long)]
    port: Option<u16>,
    /// Keep keys and jobs here; by default in target/demo-data.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// End when pi is known instead of staying up.
    #[arg(long)]
    once: bool,
}

/// Builds, starts and shows everything.
pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure_wasm_target()?;
    let browser = tools::ensure_browser(BrowserKind::Chromium)?;
    build::run()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let show = show(args, browser.is_some());
        tokio::select! {
            shown = show => shown,
            stopped = stop_signal() => {
                println!();
                stopped
            }
        }
    })
}

/// Comes when the person at the terminal, or the system, wants us to end.
async fn stop_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

async fn show(args: &Args, has_browser: bool) -> Result<()> {
    let data_dir = match &args.data_dir {
        Some(folder) => folder.clone(),
        None => tools::target_dir()?.join("demo-data"),
    };
    std::fs::create_dir_all(&data_dir).with_context(|| data_dir.display().to_string())?;
    let data_dir = data_dir.canonicalize()?;
    let program = tools::target_dir()?.join("release/cluster-server");
    let keys = Keys::load_or_make(&data_dir, &program)?;
    let setup = ServerSetup::new(program, &data_dir, keys.client_key())?;
    // So that phones and other devices around can join.
    let mut setup = setup.port(port(args.port)?).env("HOST", "0.0.0.0");
    for (name, value) in keys.variables() {
        setup = setup.env(name, value);
    }
    let mut server = setup.start()?;
    println!("server: {}", server.base());
    let api = server.api();
    let invite = api.invite()?;
    let url = text(&invite, "inviteUrl")?;
    let browsers = if has_browser {
        open_tabs(&url).await?
    } else {
        println!("No Chromium or Chrome is here: open this link in any browser and press Start.\n");
        show_invite(&invite)?;
        Vec::new()
    };
    pi::compute(&api).await?;
    if !args.once {
        show_access(&api, &keys, &invite)?;
        stay(&mut server).await?;
    }
    for browser in browsers {
        browser.close().await?;
    }
    server.stop()?;
    Ok(())
}

/// A free port: the one that was asked for, or 8080, or any other.
fn port(asked: Option<u16>) -> Result<u16> {
    let is_free = |port| TcpListener::bind(("0.0.0.0", port)).is_ok();
    match asked {
        Some(port) if is_free(port) => Ok(port),
        Some(port) => bail!("port {port} is in use; choose another with --port, or leave it out"),
        None if is_free(USUAL_PORT) => Ok(USUAL_PORT),
        None => tests_e2e::server::free_port(),
    }
}

/// Two volunteers: each a browser with a profile of its own, Start pressed.
async fn open_tabs(invite_url: &str) -> Result<Vec<Browser>> {
    let mut browsers = Vec::new();
    for number in 1..=TABS {
        let browser = Browser::launch(BrowserKind::Chromium).await?;
        WorkerTab::join(&browser, invite_url).await?;
        println!("browser worker {number} of {TABS} joined");
        browsers.push(browser);
    }
    Ok(browsers)
}

fn show_access(api: &ApiClient, keys: &Keys, invite: &serde_json::Value) -> Result<()> {
    println!("\nClient page:  {}/client", api.base());
    println!("Client key:   {}", keys.client_key());
    println!("as words:     {}\n", keys.mnemonic());
    println!("Devices of this network, phones too, join with this invite:");
    show_invite(invite)?;
    println!("\nCtrl-C ends the server and the browsers.");
    Ok(())
}

fn show_invite(invite: &serde_json::Value) -> Result<()> {
    let short = invite["shortInviteUrl"].as_str();
    let link = short.map_or_else(|| text(invite, "inviteUrl"), |link| Ok(link.to_owned()))?;
    let link = network::seen_from_outside(&link, network::outward_address());
    println!("{link}");
    show_qr(&link)
}

fn show_qr(url: &str) -> Result<()> {
    if std::io::stdout().is_terminal() {
        println!("{}", qr::terminal(url)?);
    }
    Ok(())
}

/// Returns only if the server ends by itself.
async fn stay(server: &mut ServerProcess) -> Result<()> {
    while server.is_running()? {
        tokio::time::sleep(WATCH_EVERY).await;
    }
    bail!("the server ended; it said:\n{}", server.log())
}

fn text(answer: &serde_json::Value, name: &str) -> Result<String> {
    let text = answer[name].as_str();
    Ok(text
        .with_context(|| format!("no {name} in {answer}"))?
        .into())
}
