//! What the flags mean. Error texts here are ones that scripts look for.

use std::ffi::OsString;

use serde_json::{Map, Value, json};
use shared::{env_file, secrets};

use crate::api::Api;
use crate::args::Typed;
use crate::commands::Failure;
use crate::host::Host;
use crate::output;

const DEFAULT_WAIT_MS: u64 = 30_000;

/// The server to talk to.
pub(crate) fn server(args: &Typed) -> Result<Api, Failure> {
    let key = client_key(args)?.ok_or_else(|| {
        Failure::message(
            "Missing client token. Provide --client-token or set CLIENT_API_KEY env var.",
        )
    })?;
    if !is_presentable(&key) {
        return Err(Failure::message(
            "The client token holds characters that no key has: it must be printable ASCII",
        ));
    }
    Ok(Api::new(Host::parse(args.flag("host"))?, &key))
}

/// The pairs of an env file, as the server reads it.
pub(crate) fn env_file(path: &str) -> Result<Vec<(String, String)>, Failure> {
    let unreadable =
        |cause: String| Failure::message(format!("Failed to read env file '{path}': {cause}"));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let pairs = env_file::parse(&text).map_err(|error| unreadable(error.to_string()))?;
    for (name, _) in &pairs {
        if let Some(meant) = mistyped_secret(name) {
            output::err(&format!(
                "Note: {path} sets {name}, which nothing reads; {meant} is probably meant"
            ));
        }
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Ok(pairs.into_iter().map(owned).collect())
}

/// The secret whose name this nearly is.
fn mistyped_secret(name: &str) -> Option<&'static str> {
    let known = [
        secrets::CLIENT_KEY,
        secrets::CLIENT_KEY_MNEMONIC,
        secrets::INVITE_SECRET,
        secrets::PRIVATE_KEY,
        secrets::PUBLIC_KEY,
    ];
    if known.contains(&name) {
        return None;
    }
    env_file::probably_meant(name, known)
}

/// `--client-token`, else the environment.
///
/// # Errors
/// What the environment holds is no text.
pub(crate) fn client_key(args: &Typed) -> Result<Option<String>, Failure> {
    let key = match args.flag("client-token") {
        Some(key) => Some(key.to_owned()),
        None => variable(secrets::CLIENT_KEY)?,
    };
    Ok(key.filter(|key| !key.is_empty()))
}

/// Whether a header can carry the key, as every server asks of its own.
pub(crate) fn is_presentable(key: &str) -> bool {
    key.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A variable of the environment, if it is set.
///
/// # Errors
/// It is set to what is no text.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    let text = std::env::var_os(name).map(OsString::into_string);
    text.transpose().map_err(|_| {
        Failure::message(format!(
            "{name} in the environment is not UTF-8; set it anew"
        ))
    })
}

/// An integer that must be there.
pub(crate) fn required_integer(args: &Typed, name: &str) -> Result<i64, Failure> {
    let text = args
        .flag(name)
        .ok_or_else(|| Failure::message(format!("Missing required flag --{name}")))?;
    integer(name, text)
}

fn integer(name: &str, text: &str) -> Result<i64, Failure> {
    text.parse()
        .map_err(|_| Failure::message(format!("--{name} must be an integer")))
}

fn positive(args: &Typed, name: &str) -> Result<i64, Failure> {
    let number = required_integer(args, name)?;
    if number > 0 {
        Ok(number)
    } else {
        Err(Failure::message(format!(
            "--{name} must be a positive integer"
        )))
    }
}

/// How long to wait for a result, in milliseconds.
pub(crate) fn wait_ms(args: &Typed) -> Result<u64, Failure> {
    let Some(text) = args.flag("timeout-ms") else {
        return Ok(DEFAULT_WAIT_MS);
    };
    u64::try_from(integer("timeout-ms", text)?)
        .map_err(|_| Failure::message("--timeout-ms must not be negative"))
}

/// Flags of run-js that mean something to a sharded job alone.
const OF_SHARDS: [&str; 7] = [
    "total-units",
    "units-per-shard",
    "reducer",
    "sum-fields",
    "no-downgrade",
    "on-shard-error",
    "no-speculation",
];

/// What was typed without effect, if anything: flags of shards for a job that has none.
pub(crate) fn ignored_flags(args: &Typed) -> Option<String> {
    let is_sharded = args
        .flag("execution-model")
        .is_some_and(|model| model.eq_ignore_ascii_case("sharded"));
    let given = OF_SHARDS.iter().filter(|name| args.flag(name).is_some());
    let given: Vec<String> = given.map(|name| format!("--{name}")).collect();
    (!is_sharded && !given.is_empty()).then(|| {
        format!(
            "Note: without --execution-model sharded the script runs as a whole; {} has no effect",
            given.join(", ")
        )
    })
}

/// The body of `POST /api/jobs/run-js`.
pub(crate) fn run_js_body(args: &Typed) -> Result<Value, Failure> {
    let mut body = Map::new();
    body.insert("code".into(), code(args)?.into());
    if let Some(text) = args.flag("args-json") {
        let value: Value = serde_json::from_str(text)
            .map_err(|_| Failure::message("--args-json must be valid JSON"))?;
        body.insert("args".into(), value);
    }
    if let Some(text) = args.flag("run-timeout-ms") {
        body.insert("timeoutMs".into(), integer("run-timeout-ms", text)?.into());
    }
    if args.flag("priority").is_some() {
        body.insert("priority".into(), positive(args, "priority")?.into());
    }
    let model = args
        .flag("execution-model")
        .unwrap_or("single")
        .to_lowercase();
    match model.as_str() {
        "single" => {}
        "sharded" => {
            let shards = json!({
                "totalUnits": positive(args, "total-units")?,
                "unitsPerShard": positive(args, "units-per-shard")?,
            });
            body.insert("shardConfig".into(), shards);
            body.insert("reducer".into(), reducer(args)?);
            if args.is_set("no-downgrade") {
                body.insert("allowDowngrade".into(), false.into());
            }
            if let Some(choice) = args.flag("on-shard-error") {
                body.insert("onShardError".into(), on_shard_error(choice)?.into());
            }
            if args.is_set("no-speculation") {
                body.insert("speculation".into(), false.into());
            }
        }
        _ => {
            return Err(Failure::message(
                "--execution-model must be 'single' or 'sharded'",
            ));
        }
    }
    body.insert("executionModel".into(), model.into());
    Ok(Value::Object(body))
}

fn code(args: &Typed) -> Result<String, Failure> {
    match (args.flag("file"), args.flag("code")) {
        (Some(path), None) => std::fs::read_to_string(path).map_err(|error| {
            Failure::message(format!("Failed to read script file '{path}': {error}"))
        }),
        (None, Some(code)) => Ok(code.to_owned()),
        (Some(_), Some(_)) | (None, None) => Err(Failure::message(
            "Provide exactly one of --file or --code for run-js.",
        )),
    }
}

fn reducer(args: &Typed) -> Result<Value, Failure> {
    let name = args.flag("reducer").unwrap_or("sum").to_lowercase();
    match name.as_str() {
        "sum" => Ok(json!({"type": "sum", "fields": sum_fields(args)?})),
        "collect" => Ok(json!({"type": "collect"})),
        "min" | "max" => Ok(json!({"type": name, "field": "value"})),
        _ => Err(Failure::message(
            "--reducer must be one of: sum, collect, min, max",
        )),
    }
}

/// In the words of the API, whatever the letter case.
fn on_shard_error(choice: &str) -> Result<String, Failure> {
    let choice = choice.to_lowercase();
    if ["fold", "fail", "skip"].contains(&choice.as_str()) {
        Ok(choice)
    } else {
        Err(Failure::message(
            "--on-shard-error must be one of: fold, fail, skip",
        ))
    }
}

fn sum_fields(args: &Typed) -> Result<Vec<&str>, Failure> {
    let text = args.flag("sum-fields").unwrap_or("hits,samples");
    let fields: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|field| !field.is_empty())
        .collect();
    if fields.is_empty() {
        return Err(Failure::message(
            "--sum-fields must contain at least one field name",
        ));
    }
    Ok(fields)
}
