//! Where values come from: arguments, then the environment, then `--env-file`, then `./.env`.
//!
//! Also what is printed from the table: `--help` and `.env.example`.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgMatches};
use shared::env_file;

use super::settings::{ALL, Setting};
use super::values::Given;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve with these values.
    Serve(Given),
    /// Print fresh secrets.
    GenSecrets,
    /// Print `.env.example`.
    EnvExample,
}

/// Why there are no values.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The arguments are not understood, or ask for help or the version.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// A file of settings cannot be read.
    #[error(
        "cannot read {path}: {cause}; check that it exists, may be read and holds NAME=value lines"
    )]
    EnvFile {
        /// Which file.
        path: String,
        /// What went wrong.
        cause: String,
    },
}

const ENV_FILE: &str = "env-file";

/// Reads the command line and, for serving, everything beside it. `environment` looks a variable
/// up; `default_env_file` is read if it exists.
///
/// # Errors
/// [`SourceError`].
pub fn parse_args(
    args: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<String>,
    default_env_file: &Path,
) -> Result<Command, SourceError> {
    let matches = command().try_get_matches_from(args)?;
    match matches.subcommand_name() {
        Some("gen-secrets") => return Ok(Command::GenSecrets),
        Some("env-example") => return Ok(Command::EnvExample),
        Some(_) | None => {}
    }
    let mut given = Given::default();
    for setting in ALL {
        if let Some(text) = matches.get_one::<String>(&setting.argument()) {
            given.add(setting, text);
        }
    }
    for setting in ALL {
        if let Some(text) = environment(setting.name) {
            given.add(setting, &text);
        }
    }
    for file in env_files(&matches, default_env_file) {
        add_env_file(&mut given, &file)?;
    }
    Ok(Command::Serve(given))
}

fn env_files(matches: &ArgMatches, default: &Path) -> Vec<String> {
    let named = matches.get_one::<String>(ENV_FILE).cloned();
    // A link to nothing counts: whoever made it meant what it should lead to.
    let is_there = default.exists() || default.is_symlink();
    let default = is_there.then(|| default.display().to_string());
    named.into_iter().chain(default).collect()
}

fn add_env_file(given: &mut Given, path: &str) -> Result<(), SourceError> {
    let failed = |cause: String| SourceError::EnvFile {
        path: path.into(),
        cause,
    };
    let text = std::fs::read_to_string(path).map_err(|cause| failed(cause.to_string()))?;
    let pairs = env_file::parse(&text).map_err(|malformed| failed(malformed.to_string()))?;
    for (name, value) in pairs {
        if let Some(setting) = ALL.iter().find(|setting| setting.name == name) {
            given.add(setting, value);
        }
    }
    Ok(())
}

fn command() -> clap::Command {
    let env_file = Arg::new(ENV_FILE)
        .long(ENV_FILE)
        .value_name("PATH")
        .help("File of NAME=value lines; ./.env is read as well if it is there");
    clap::Command::new("cluster-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves the cluster: API, pages and worker sockets")
        .after_help(
            "Every setting can also be given as an environment variable or in a file. Arguments \
             come first, then the environment, then --env-file, then ./.env.",
        )
        .arg(env_file)
        .args(ALL.iter().map(argument))
        .subcommand_value_name("COMMAND")
        .args_conflicts_with_subcommands(true)
        .subcommand(
            clap::Command::new("gen-secrets")
                .about("Prints fresh secrets as five lines for an env file"),
        )
        .subcommand(
            clap::Command::new("env-example").about("Prints a commented env file of all settings"),
        )
}

fn argument(setting: &Setting) -> Arg {
    Arg::new(setting.argument())
        .long(setting.argument())
        .value_name("VALUE")
        .help(describe(setting))
}

fn describe(setting: &Setting) -> String {
    let default = match setting.default {
        "" => String::new(),
        default => format!(", default {default}"),
    };
    format!(
        "{}\n[{}: {}{default}]",
        setting.help,
        setting.name,
        setting.expected(),
    )
}

/// The text of `.env.example`.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Settings of cluster-server with their defaults. Made by `cluster-server env-example`.\n\
         # Copy to .env and change what is needed; `cluster-server gen-secrets` makes the secrets.\n",
    );
    for setting in ALL {
        text.push_str(&format!(
            "\n# {}\n# Must be {}.\n#{}={}\n",
            setting.help,
            setting.expected(),
            setting.name,
            setting.default,
        ));
    }
    text
}
