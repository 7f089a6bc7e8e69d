//! One file a command.

mod control;
mod doctor;
mod gen_secrets;
mod invite;
mod key;
mod operate;
mod run_js;
mod submit;
mod wait;

use std::ffi::OsString;

use crate::api::CallError;
use crate::{args, output};

/// How a command ended otherwise than by doing its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for with `--help` or `--version`; not a failure to a shell.
    Help(String),
    /// Usage, for stdout.
    Usage(String),
    /// For stderr: one line, and notes below it.
    Message(String),
    /// Everything has been said already.
    Told,
}

impl Failure {
    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Message(output::one_line(&error.to_string()))
    }
}

/// Does what the command line says.
pub(crate) fn run(command_line: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let args = args::parse(command_line)?;
    match args.command.as_str() {
        "submit" => submit::run(&args),
        "run-js" => run_js::run(&args),
        "pause" | "resume" | "cancel" => control::one(&args, &args.command),
        "stop-all" => control::all(&args),
        "invite" => invite::run(&args),
        "invites" => operate::invites(&args),
        "revoke-invite" => operate::revoke_invite(&args),
        "workers" => operate::workers(&args),
        "drain" | "disconnect" | "ban" | "unban" => operate::worker(&args, &args.command),
        "doctor" => doctor::run(&args),
        "gen-secrets" => {
            gen_secrets::run();
            Ok(())
        }
        "token-mnemonic" => key::to_mnemonic(&args),
        "mnemonic-token" => key::from_mnemonic(&args),
        other => Err(Failure::message(format!("Unknown command: {other}"))),
    }
}
