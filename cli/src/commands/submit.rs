//! `cluster submit`: adds two integers.

use serde_json::json;

use super::{Failure, wait};
use crate::args::Typed;
use crate::{output, settings};

pub(super) fn run(args: &Typed) -> Result<(), Failure> {
    let (a, b) = (
        settings::required_integer(args, "a")?,
        settings::required_integer(args, "b")?,
    );
    let wait_ms = settings::wait_ms(args)?;
    let api = settings::server(args)?;
    output::out(&format!("Submitting add job to {}: {a} + {b}", api.host()));
    let created = api.post("/api/jobs", &json!({"a": a, "b": b}))?;
    wait::for_result(&api, &created, wait_ms)
}
