//! What was typed.
//!
//! `--name value`; a `--name` that is followed by another flag, or by nothing, holds `true`. Values
//! stay texts here: `settings` says what they mean, in the words that scripts look for.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgMatches, Command};

use crate::commands::Failure;

/// One command with its flags.
#[derive(Debug)]
pub(crate) struct Typed {
    /// Its name.
    pub(crate) command: String,
    flags: ArgMatches,
}

impl Typed {
    /// The value of `--name`.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        self.flags
            .try_get_one::<String>(name)
            .ok()
            .flatten()
            .map(String::as_str)
    }

    /// Whether `--name` is there and not `false`.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.flag(name).is_some_and(|value| value != "false")
    }
}

/// Reads the command line.
///
/// # Errors
/// Usage for no command, a message for one that does not exist, or clap's words about a flag.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Typed, Failure> {
    let mut command = command();
    let usage = command.render_help().to_string();
    let matches = command
        .try_get_matches_from(joined(args))
        .map_err(|error| refusal(&error, &usage))?;
    match matches.subcommand() {
        Some((name, flags)) => Ok(Typed {
            command: name.to_owned(),
            flags: flags.clone(),
        }),
        None => Err(Failure::Usage(usage)),
    }
}

/// Writes `--name value` as `--name=value`, so that a value may begin with a hyphen of its own.
fn joined(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().peekable();
    let mut joined = Vec::new();
    while let Some(mut arg) = args.next() {
        if is_flag(&arg)
            && !arg.as_encoded_bytes().contains(&b'=')
            && let Some(value) = args.next_if(|next| !is_flag(next))
        {
            arg.push("=");
            arg.push(value);
        }
        joined.push(arg);
    }
    joined
}

fn is_flag(arg: &OsStr) -> bool {
    arg.as_encoded_bytes().starts_with(b"--")
}

fn refusal(error: &clap::Error, usage: &str) -> Failure {
    use clap::error::{ContextKind, ErrorKind};
    if error.kind() == ErrorKind::InvalidSubcommand {
        let name = error.get(ContextKind::InvalidSubcommand);
        let name = name.map_or_else(String::new, ToString::to_string);
        return Failure::Message(format!("Unknown command: {name}"));
    }
    // What clap shows on stdout (help, version) stands alone; complaints come with the usage.
    if error.use_stderr() {
        Failure::Usage(format!("{error}\n{usage}"))
    } else {
        Failure::Help(error.to_string())
    }
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .num_args(0..=1)
        .default_missing_value("true")
        .value_name("VALUE")
        .overrides_with(name)
}

fn with_server(command: Command) -> Command {
    command
        .arg(flag(
            "host",
            "Server's address [default: http://127.0.0.1:8080]",
        ))
        .arg(flag(
            "client-token",
            "Client key or mnemonic (required) [env: CLIENT_API_KEY]",
        ))
}

/// All commands and flags.
pub(crate) fn command() -> Command {
    Command::new("cluster")
        .about("Submits jobs to a cluster of browsers")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommand(with_server(
            Command::new("submit")
                .about("Adds two integers, to see that the cluster works")
                .arg(flag("a", "First operand (required)"))
                .arg(flag("b", "Second operand (required)"))
                .arg(flag(
                    "timeout-ms",
                    "How long to wait for the result [default: 30000]",
                )),
        ))
        .subcommand(with_server(run_js()))
        .subcommand(control("pause", "Hands out no more shards of a job"))
        .subcommand(control("resume", "Hands out shards of a paused job again"))
        .subcommand(control("cancel", "Ends a job without a result"))
        .subcommand(with_server(
            Command::new("stop-all").about("Cancels every job that has not ended"),
        ))
        .subcommand(with_server(
            Command::new("invite")
                .about("Makes an invite for workers")
                .arg(flag("ttl-sec", "How long it lets workers in, 60 to 86400"))
                .arg(flag("label", "A name for it, up to 64 characters"))
                .arg(flag(
                    "max-uses",
                    "How many workers it lets in [default: any number]",
                ))
                .arg(flag("qr", "Show a QR code"))
                .arg(flag("qr-file", "Write the QR code to this PNG file")),
        ))
        .subcommand(list("invites", "Lists invites, the newest first"))
        .subcommand(with_server(
            Command::new("revoke-invite")
                .about("Withdraws an invite and disconnects who came by it")
                .arg(named(
                    "jti",
                    "JTI",
                    "Its id, as `cluster invites` lists it (required)",
                )),
        ))
        .subcommand(list("workers", "Lists the workers that are connected"))
        .subcommand(operate("drain", "Disconnects a worker after what it runs"))
        .subcommand(operate(
            "disconnect",
            "Ends the session of a worker, which may join again by an invite",
        ))
        .subcommand(operate(
            "ban",
            "Disconnects a worker and lets its browser in no more",
        ))
        .subcommand(operate("unban", "Lets a banned worker join again"))
        .subcommand(with_server(
            Command::new("doctor")
                .about("Says what is wrong between here and a server, and what to do")
                .arg(flag("invite", "An invite to look at: a link or a token"))
                .arg(flag("env-file", "The server's env file, to compare with"))
                .arg(flag("json", "Print the findings as JSON")),
        ))
        .subcommand(
            Command::new("gen-secrets")
                .about("Prints fresh secrets for a server, five lines for its env file"),
        )
        .subcommand(
            Command::new("token-mnemonic")
                .about("Shows a client key as words")
                .arg(flag("token", "The key"))
                .arg(flag("env-file", "Take CLIENT_API_KEY from this file"))
                .arg(flag("client-token", "The key [env: CLIENT_API_KEY]")),
        )
        .subcommand(
            Command::new("mnemonic-token")
                .about("Shows words as a client key")
                .arg(flag("phrase", "12 to 24 words (required)"))
                .arg(flag("format", "base64url or hex [default: base64url]")),
        )
}

fn control(name: &'static str, about: &'static str) -> Command {
    let job = flag(
        "job-id",
        "The job, as printed when it was submitted (required)",
    );
    with_server(Command::new(name).about(about).arg(job))
}

fn list(name: &'static str, about: &'static str) -> Command {
    let json = flag("json", "Print the server's answer as JSON");
    with_server(Command::new(name).about(about).arg(json))
}

fn operate(name: &'static str, about: &'static str) -> Command {
    let help = "Its name, as `cluster workers` lists it (required)";
    with_server(
        Command::new(name)
            .about(about)
            .arg(named("worker", "WORKER", help)),
    )
}

/// Something that is named without a flag.
fn named(id: &'static str, shown: &'static str, help: &'static str) -> Arg {
    Arg::new(id).value_name(shown).help(help)
}

fn run_js() -> Command {
    Command::new("run-js")
        .alias("submit-js")
        .about("Runs a script, as a whole or cut into shards")
        .arg(flag("file", "The script (this or --code is required)"))
        .arg(flag(
            "code",
            "The script itself (this or --file is required)",
        ))
        .arg(flag("args-json", "What the script gets as args, in JSON").alias("args"))
        .arg(flag(
            "execution-model",
            "single or sharded [default: single]",
        ))
        .arg(flag(
            "total-units",
            "Units of work in all shards (required with sharded)",
        ))
        .arg(flag(
            "units-per-shard",
            "Units of work in one shard (required with sharded)",
        ))
        .arg(flag("reducer", "sum, collect, min or max [default: sum]"))
        .arg(flag(
            "sum-fields",
            "Fields that sum adds up [default: hits,samples]; min and max read the field value",
        ))
        .arg(flag("run-timeout-ms", "Time limit of one run; 0 for none"))
        .arg(flag(
            "no-downgrade",
            "Wait for enough slots rather than run a sharded job as a whole",
        ))
        .arg(flag(
            "priority",
            "Weight beside other jobs, 1 to 100 [default: 1]",
        ))
        .arg(flag(
            "on-shard-error",
            "What a shard does that failed everywhere: fold, fail or skip [default: fold]",
        ))
        .arg(flag(
            "no-speculation",
            "Give no shard to a second worker because the first takes too long",
        ))
        .arg(flag(
            "timeout-ms",
            "How long to wait for the result [default: 30000]",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(args: &[&str]) -> Typed {
        parse(args.iter().map(Into::into)).unwrap()
    }

    #[test]
    fn a_flag_without_value_is_true() {
        let args = typed(&["cluster", "invite", "--qr", "--ttl-sec", "60"]);
        assert!(args.is_set("qr"));
        assert_eq!(args.flag("ttl-sec"), Some("60"));
        assert_eq!(args.flag("label"), None);
        assert!(!typed(&["cluster", "invite", "--qr", "false"]).is_set("qr"));
    }

    #[test]
    fn values_may_begin_with_a_hyphen() {
        for value in ["-5", "-x", "-"] {
            let args = typed(&["cluster", "submit", "--a", value, "--b", "2"]);
            assert_eq!((args.flag("a"), args.flag("b")), (Some(value), Some("2")));
        }
    }

    #[test]
    fn values_may_hold_an_equals_sign() {
        let code = "let a = 1; return a == 1";
        let args = typed(&["cluster", "run-js", "--code", code, "--reducer=min"]);
        assert_eq!(
            (args.flag("code"), args.flag("reducer")),
            (Some(code), Some("min"))
        );
    }

    #[test]
    fn old_names_are_kept() {
        let args = typed(&["cluster", "submit-js", "--args", "{}", "--code", "return 1"]);
        assert_eq!(
            (args.command.as_str(), args.flag("args-json")),
            ("run-js", Some("{}"))
        );
    }

    #[test]
    fn commands_are_well_formed() {
        command().debug_assert();
    }
}
