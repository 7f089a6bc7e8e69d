//! `cluster token-mnemonic`, `cluster mnemonic-token`: the client key as words and back.

use shared::mnemonic;
use shared::secrets::CLIENT_KEY;

use super::Failure;
use crate::args::Typed;
use crate::{output, settings};

pub(super) fn to_mnemonic(args: &Typed) -> Result<(), Failure> {
    let key = match (args.flag("token"), args.flag("env-file")) {
        (Some(token), _) => Some(token.to_owned()),
        (None, Some(path)) => from_env_file(path)?,
        (None, None) => settings::client_key(args)?,
    };
    let key = key.ok_or_else(|| {
        Failure::message(
            "Missing client token. Provide --client-token or set CLIENT_API_KEY env var.",
        )
    })?;
    let words = mnemonic::to_words(&key).map_err(|error| {
        Failure::message(format!("Could not convert token to mnemonic: {error}"))
    })?;
    output::out(&format!("Mnemonic: {words}"));
    Ok(())
}

fn from_env_file(path: &str) -> Result<Option<String>, Failure> {
    let pairs = settings::env_file(path)?.into_iter();
    let mut keys = pairs.filter(|(name, _)| name == CLIENT_KEY);
    Ok(keys
        .next()
        .map(|(_, key)| key)
        .filter(|key| !key.is_empty()))
}

pub(super) fn from_mnemonic(args: &Typed) -> Result<(), Failure> {
    let phrase = args
        .flag("phrase")
        .ok_or_else(|| Failure::message("Missing required flag --phrase"))?;
    let format = args.flag("format").unwrap_or("base64url").to_lowercase();
    let bytes = mnemonic::from_words(phrase).map_err(|error| {
        Failure::message(format!("Could not convert mnemonic to token: {error}"))
    })?;
    let key = match format.as_str() {
        "base64url" => mnemonic::to_base64url(&bytes),
        "hex" => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => return Err(Failure::message("--format must be 'base64url' or 'hex'")),
    };
    output::out(&format!("Token ({format}): {key}"));
    Ok(())
}
