//! `cluster invites`, `revoke-invite`, `workers`, `drain`, `disconnect`, `ban` and `unban`: who may
//! work here.

use serde_json::{Value, json};
use shared::ids::WorkerId;

use super::Failure;
use crate::args::Typed;
use crate::{output, settings};

/// Lists what the server remembers of its invites, the newest first.
pub(super) fn invites(args: &Typed) -> Result<(), Failure> {
    list(args, "/api/invites", "invites", invite_line)
}

/// Lists the connected workers.
pub(super) fn workers(args: &Typed) -> Result<(), Failure> {
    list(args, "/api/workers", "workers", worker_line)
}

fn list(
    args: &Typed,
    path: &str,
    name: &str,
    line: impl Fn(&Value) -> String,
) -> Result<(), Failure> {
    let answer = settings::server(args)?.get(path)?;
    if args.is_set("json") {
        output::json(&answer);
        return Ok(());
    }
    let rows = answer[name].as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        output::out(&format!("No {name}."));
    }
    rows.iter()
        .for_each(|row| output::out(&output::one_line(&line(row))));
    Ok(())
}

fn invite_line(row: &Value) -> String {
    let uses = match row["maxUses"].as_u64() {
        None => format!("{} used", row["uses"]),
        Some(most) => format!("{}/{most} used", row["uses"]),
    };
    let state = match (row["revoked"].as_bool(), row["latest"].as_bool()) {
        (Some(true), _) => "revoked",
        (_, Some(true)) => "latest",
        _ => "older",
    };
    let expires = format!("until {}", text(&row["expiresAt"]));
    let columns = [
        text(&row["jti"]),
        state,
        &uses,
        &expires,
        text(&row["label"]),
    ];
    columns.join("  ").trim_end().to_owned()
}

fn worker_line(row: &Value) -> String {
    format!(
        "{}  {}  {} slots  {} held",
        text(&row["workerId"]),
        text(&row["state"]),
        row["maxSlots"],
        row["inFlightCount"]
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Withdraws an invite, and disconnects who came by it.
pub(super) fn revoke_invite(args: &Typed) -> Result<(), Failure> {
    let jti = args.flag("jti").ok_or_else(|| {
        Failure::message("Missing JTI, the id of an invite; `cluster invites` lists them")
    })?;
    let is_of_ids = |it: char| it.is_ascii_alphanumeric() || it == '-';
    if jti.is_empty() || !jti.chars().all(is_of_ids) {
        return Err(Failure::message(format!(
            "'{jti}' is not the id of an invite"
        )));
    }
    let answer = settings::server(args)?.delete(&format!("/api/invites/{jti}"))?;
    output::out(&format!("Invite {jti}: revoked"));
    output::out(&format!("Disconnected workers: {}", answer["disconnected"]));
    Ok(())
}

/// Orders something of a worker. `order` is the command's name, as the API knows it too.
pub(super) fn worker(args: &Typed, order: &str) -> Result<(), Failure> {
    let worker = args.flag("worker").ok_or_else(|| {
        Failure::message("Missing WORKER, the name of a worker; `cluster workers` lists them")
    })?;
    let worker: WorkerId = worker
        .parse()
        .map_err(|_| Failure::message(format!("'{worker}' is not the name of a worker")))?;
    let path = format!("/api/workers/{worker}/{order}");
    let answer = settings::server(args)?.post(&path, &json!({}))?;
    let state = output::one_line(text(&answer["state"]));
    output::out(&format!("Worker {worker}: {state}"));
    Ok(())
}
