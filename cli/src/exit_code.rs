//! Exit codes: 0 for success, 1 for anything else, usage included, as scripts expect.

use std::process::ExitCode;

use crate::commands::Failure;
use crate::output;

/// Prints what went wrong, if anything, and says how the process ends.
pub(crate) fn of(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Help(text)) => {
            output::out(text.trim_end());
            return ExitCode::SUCCESS;
        }
        Err(Failure::Usage(text)) => output::out(text.trim_end()),
        Err(Failure::Message(text)) => output::err(&text),
        Err(Failure::Told) => {}
    }
    ExitCode::FAILURE
}
