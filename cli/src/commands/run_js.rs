//! `cluster run-js`: runs a script.

use super::{Failure, wait};
use crate::args::Typed;
use crate::{output, settings};

pub(super) fn run(args: &Typed) -> Result<(), Failure> {
    let body = settings::run_js_body(args)?;
    let wait_ms = settings::wait_ms(args)?;
    let api = settings::server(args)?;
    if let Some(note) = settings::ignored_flags(args) {
        output::err(&note);
    }
    output::out(&format!("Submitting custom JS job to {}", api.host()));
    let created = api.post("/api/jobs/run-js", &body)?;
    wait::for_result(&api, &created, wait_ms)
}
