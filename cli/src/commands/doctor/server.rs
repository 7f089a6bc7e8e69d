//! Is there a server, below this very path, and can it work with its store?

use shared::api::{Health, PublicConfig};

use super::asking::{Answer, Asking};
use super::finding::Finding;
use crate::host::Host;

/// A server that has answered.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) health: Health,
    pub(super) config: PublicConfig,
    /// The answer that held `health`.
    pub(super) answer: Answer,
}

/// Whether the server answers. `/health` alone does not tell: it answers outside of BASE_PATH, too.
pub(super) fn check(asking: &Asking<'_>, host: &Host) -> Result<(Finding, Met), Finding> {
    let answer = asking.get("/health", &[])?;
    let health: Health = match answer.read(host) {
        Ok(health) => health,
        Err(_) if is_elsewhere(&answer) => return Err(elsewhere(asking, host)),
        Err(finding) => return Err(finding),
    };
    let config = asking.get("/api/public-config", &[])?;
    if is_elsewhere(&config) {
        return Err(elsewhere(asking, host));
    }
    let config: PublicConfig = config.read(host)?;
    let seen = format!("{host} answers in {} ms", answer.took.as_millis());
    let met = Met {
        health,
        config,
        answer,
    };
    Ok((Finding::ok(seen), met))
}

/// `/readyz`
pub(super) fn check_store(asking: &Asking<'_>, host: &Host) -> Finding {
    let answer = match asking.get("/readyz", &[]) {
        Ok(answer) => answer,
        Err(finding) => return finding,
    };
    if let Some(error) = answer.error().filter(|_| answer.status == 503) {
        return Finding::fail(
            format!("the server takes no work: {error}"),
            "see its log, and the space and permissions of its DATA_DIR",
        );
    }
    match answer.read::<Health>(host) {
        Ok(_) => Finding::ok("ready: work is taken and kept"),
        Err(finding) => finding,
    }
}

/// A server of ours says that there is nothing below this path.
fn is_elsewhere(answer: &Answer) -> bool {
    answer.status == 404 && answer.error().is_some()
}

/// The root of a server with a BASE_PATH leads there.
fn elsewhere(asking: &Asking<'_>, host: &Host) -> Finding {
    let root = host.origin();
    let seen = format!("{root} answers, but not below {}/", host.base_path());
    let led = asking.get_url(&format!("{root}/"), &[]);
    let base = led.ok().and_then(|answer| answer.redirect());
    match base.filter(|base| base.starts_with('/') && !base.ends_with("/client")) {
        Some(base) => Finding::fail(seen, format!("--host {root}{base}")),
        None if host.base_path().is_empty() => Finding::fail(
            seen,
            "set --host to the address with the server's BASE_PATH",
        ),
        None => Finding::fail(
            seen,
            format!(
                "--host {root}, or let the server's BASE_PATH be {}",
                host.base_path()
            ),
        ),
    }
}
