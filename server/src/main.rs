//! The server as a program: settings in, exit code out.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use server::config::{Command, Config, Mistyped, SourceError, data_dir, env_example, parse_args};
use server::copies;
use server::secrets::{self, ServerSecrets};
use server::{Introduction, Server, logging};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `SIGXFSZ` of Linux and the BSDs.
const FILE_SIZE_SIGNAL: i32 = 25;

fn main() -> ExitCode {
    match parse_args(
        std::env::args_os(),
        |name| std::env::var_os(name),
        Path::new(".env"),
    ) {
        Err(SourceError::Arguments(error)) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
        Err(error @ (SourceError::Environment(_) | SourceError::EnvFile { .. })) => {
            fail(&error.to_string())
        }
        Ok(command) => match run(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{error:#}")),
        },
    }
}

/// One line a fault, so that each can be read alone.
fn fail(text: &str) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(stderr, "cluster-server: {line}");
    }
    ExitCode::FAILURE
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::GenSecrets => print(&secrets::generate().to_lines()),
        Command::EnvExample => print(&env_example()),
        Command::Backup { given, file, force } => {
            print(&copies::backup(&data_dir(&given), &file, force)?.to_string())
        }
        Command::Restore { given, file } => {
            print(&copies::restore(&data_dir(&given), &file)?.to_string())
        }
        Command::Serve(given) => serve(Config::new(&given)?, given.mistyped()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

#[tokio::main]
async fn serve(config: Config, mistyped: &[Mistyped]) -> anyhow::Result<()> {
    logging::start(&config.log);
    for Mistyped { path, name, meant } in mistyped {
        tracing::warn!("{path} sets {name}, which is no setting; {meant} is probably meant");
    }
    server::raise_file_limit();
    // A limit on the size of files is a write that fails, not our end.
    let _file_size = signal(SignalKind::from_raw(FILE_SIZE_SIGNAL))?;
    let secrets = ServerSecrets::complete(&config)?;
    let listener = listen(&config).await?;
    let server = Server::start(config, &secrets.secrets, listener).await?;
    if std::io::stdout().is_terminal() {
        introduce(&server, &secrets).await?;
    } else if let Some(path) = &secrets.kept_in {
        tracing::info!(path = %path.display(), "secrets are kept in a file");
    }
    print(&format!("Listening on {}\n", server.url()))?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_at_signal(stop.clone())?);
    server.run(stop).await
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let (host, port) = (config.host.as_str(), config.port);
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("cannot listen on {host}:{port}; set PORT to a free port and HOST to an address of this machine")
    })
}

/// The first signal stops in order, a second one at once.
fn stop_at_signal(
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        stop.cancel();
        next().await;
        // What was answered is stored; workers keep the rest.
        tracing::warn!("ending at once, without waiting for requests");
        std::process::exit(0);
    })
}

async fn introduce(server: &Server, secrets: &ServerSecrets) -> anyhow::Result<()> {
    let introduction = Introduction {
        local_url: server.local_url(),
        network_url: server.network_url(),
        secrets: &secrets.secrets,
        kept_in: secrets.kept_in.as_deref(),
        invite_url: server.first_invite_url().await?,
    };
    print(&introduction.to_lines())
}
