//! `cluster invite`: makes an invite for workers.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use shared::qr;

use super::Failure;
use crate::args::Typed;
use crate::{output, settings};

pub(super) fn run(args: &Typed) -> Result<(), Failure> {
    let body = request(args)?;
    let api = settings::server(args)?;
    let invite = api.post("/api/invites/worker", &body)?;
    for (label, field) in [
        ("Invite URL", "inviteUrl"),
        ("Worker Phrase", "phraseCode"),
        ("Phrase Invite URL", "phraseInviteUrl"),
        ("Short Invite URL", "shortInviteUrl"),
        ("Expires At", "expiresAt"),
        ("TTL Seconds", "ttlSec"),
        ("Max Uses", "maxUses"),
    ] {
        let value = &invite[field];
        if let Some(text) = value.as_str() {
            output::out(&format!("{label}: {}", output::one_line(text)));
        } else if !value.is_null() {
            output::out(&format!("{label}: {value}"));
        }
    }
    if args.is_set("qr") {
        output::picture(&terminal_qr(&invite)?);
    }
    if let Some(path) = args.flag("qr-file") {
        output::out(&format!(
            "QR PNG: {}",
            write_png(&invite, Path::new(path))?.display()
        ));
    }
    Ok(())
}

fn request(args: &Typed) -> Result<Value, Failure> {
    let mut body = Map::new();
    if args.flag("ttl-sec").is_some() {
        body.insert(
            "ttlSec".into(),
            settings::required_integer(args, "ttl-sec")?.into(),
        );
    }
    if args.flag("max-uses").is_some() {
        body.insert(
            "maxUses".into(),
            settings::required_integer(args, "max-uses")?.into(),
        );
    }
    if let Some(label) = args.flag("label") {
        body.insert("workerLabel".into(), label.into());
    }
    Ok(Value::Object(body))
}

/// The address that is easiest to scan: the fewer characters, the larger the modules.
fn shortest_url(invite: &Value) -> &str {
    ["shortInviteUrl", "phraseInviteUrl", "inviteUrl"]
        .iter()
        .find_map(|field| invite[field].as_str())
        .unwrap_or_default()
}

fn terminal_qr(invite: &Value) -> Result<String, Failure> {
    qr::terminal(shortest_url(invite))
        .map_err(|error| Failure::message(format!("Cannot make a QR code: {error}")))
}

fn write_png(invite: &Value, path: &Path) -> Result<PathBuf, Failure> {
    let png = invite["inviteQrDataUrl"]
        .as_str()
        .and_then(|url| url.strip_prefix("data:image/png;base64,"))
        .and_then(|text| BASE64.decode(text).ok())
        .ok_or_else(|| Failure::message("The server sent no QR code"))?;
    let written = std::fs::write(path, png).and_then(|()| std::path::absolute(path));
    written.map_err(|error| {
        Failure::message(format!(
            "Cannot write QR code to '{}': {error}",
            path.display()
        ))
    })
}
