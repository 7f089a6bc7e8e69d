//! Where values come from: arguments, then the environment, then `--env-file`, then `./.env`.
//!
//! Also what is printed from the table: `--help` and `.env.example`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use shared::env_file;

use super::ConfigError;
use super::settings::{ALL, DATA_DIR, Setting};
use super::values::{Fault, Given};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve with these values.
    Serve(Given),
    /// Print fresh secrets.
    GenSecrets,
    /// Print `.env.example`.
    EnvExample,
    /// Copy the database of the data folder to a file.
    Backup {
        /// Values, of which the data folder alone counts.
        given: Given,
        /// Where to.
        file: PathBuf,
        /// A file that is there already is replaced.
        force: bool,
    },
    /// Put a copy in the place of the database of the data folder.
    Restore {
        /// Values, of which the data folder alone counts.
        given: Given,
        /// Where from.
        file: PathBuf,
    },
}

/// Why there are no values.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The arguments are not understood, or ask for help or the version.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// Variables of the environment hold no text.
    #[error(transparent)]
    Environment(ConfigError),
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
const FILE: &str = "file";
const FORCE: &str = "force";
const GEN_SECRETS: &str = "gen-secrets";
const ENV_EXAMPLE: &str = "env-example";
const BACKUP: &str = "backup";
const RESTORE: &str = "restore";

/// Reads the command line and, for serving, everything beside it. `environment` looks a variable
/// up; `default_env_file` is read if it exists.
///
/// # Errors
/// [`SourceError`].
pub fn parse_args(
    args: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
    default_env_file: &Path,
) -> Result<Command, SourceError> {
    let matches = command().try_get_matches_from(args)?;
    let given = |matches: &ArgMatches, typed: &[Setting]| {
        given(matches, typed, &environment, default_env_file)
    };
    match matches.subcommand() {
        Some((GEN_SECRETS, _)) => Ok(Command::GenSecrets),
        Some((ENV_EXAMPLE, _)) => Ok(Command::EnvExample),
        Some((BACKUP, matches)) => Ok(Command::Backup {
            given: given(matches, &[DATA_DIR])?,
            file: file(matches),
            force: matches.get_flag(FORCE),
        }),
        Some((RESTORE, matches)) => Ok(Command::Restore {
            given: given(matches, &[DATA_DIR])?,
            file: file(matches),
        }),
        Some(_) | None => Ok(Command::Serve(given(&matches, ALL)?)),
    }
}

/// The values of all sources; `typed` are the settings that the command takes as arguments.
fn given(
    matches: &ArgMatches,
    typed: &[Setting],
    environment: impl Fn(&str) -> Option<OsString>,
    default_env_file: &Path,
) -> Result<Given, SourceError> {
    let mut given = Given::default();
    for setting in typed {
        if let Some(text) = matches.get_one::<String>(&setting.argument()) {
            given.add(setting, text);
        }
    }
    add_environment(&mut given, typed, environment)?;
    for file in env_files(matches, default_env_file) {
        add_env_file(&mut given, &file)?;
    }
    Ok(given)
}

/// What the environment sets of `read`. A value that counts and is no text must not be passed over.
fn add_environment(
    given: &mut Given,
    read: &[Setting],
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<(), SourceError> {
    let mut faults = Vec::new();
    for setting in read {
        if given.has(setting) {
            continue;
        }
        match environment(setting.name).map(OsString::into_string) {
            Some(Ok(text)) => given.add(setting, &text),
            Some(Err(_)) => faults.push(not_text(setting)),
            None => {}
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SourceError::Environment(ConfigError(faults)))
    }
}

fn not_text(setting: &Setting) -> Fault {
    Fault {
        name: setting.name,
        value: "not UTF-8".into(),
        expected: setting.expected(),
    }
}

fn file(matches: &ArgMatches) -> PathBuf {
    let file = matches.get_one::<PathBuf>(FILE);
    file.cloned().expect("it is required")
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
        match ALL.iter().find(|setting| setting.name == name) {
            Some(setting) => given.add(setting, value),
            None => given.add_unknown(name, path),
        }
    }
    Ok(())
}

fn command() -> clap::Command {
    clap::Command::new("cluster-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves the cluster: API, pages and worker sockets")
        .after_help(
            "Every setting can also be given as an environment variable or in a file. Arguments \
             come first, then the environment, then --env-file, then ./.env.",
        )
        .arg(env_file())
        .args(ALL.iter().map(argument))
        .subcommand_value_name("COMMAND")
        .args_conflicts_with_subcommands(true)
        .subcommand(
            clap::Command::new(GEN_SECRETS)
                .about("Prints fresh secrets as five lines for an env file"),
        )
        .subcommand(
            clap::Command::new(ENV_EXAMPLE).about("Prints a commented env file of all settings"),
        )
        .subcommand(
            of_data_folder(BACKUP, "The file to write")
                .about("Copies the database to a file, also while a server runs; secrets are not in it")
                .arg(
                    Arg::new(FORCE)
                        .long(FORCE)
                        .action(ArgAction::SetTrue)
                        .help("Replaces the file if it is there already"),
                ),
        )
        .subcommand(
            of_data_folder(RESTORE, "A file that backup wrote")
                .about("Puts a backup in the place of the database, which is kept beside it"),
        )
}

/// A command on the database, with a file beside it.
fn of_data_folder(name: &'static str, file: &'static str) -> clap::Command {
    let file = Arg::new(FILE)
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(file);
    clap::Command::new(name)
        .arg(file)
        .arg(env_file())
        .arg(argument(&DATA_DIR))
}

fn env_file() -> Arg {
    Arg::new(ENV_FILE)
        .long(ENV_FILE)
        .value_name("PATH")
        .help("File of NAME=value lines; ./.env is read as well if it is there")
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
