//! How many files the system grants this process, and how many of them are for connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files for everything that is no connection: the database and its readers, pages, logs.
const RESERVE: u64 = 64;
/// Connections at most, however many files there are.
const MAX_CONNECTIONS: u64 = 100_000;

/// Asks the system for as many files as it may grant, up to what is of use.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MAX_CONNECTIONS + RESERVE;
    let granted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < granted) {
        let raised = Rlimit {
            current: Some(granted),
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the file limit stays as it is");
        }
    }
}

/// Connections that may be open at the same time, at least 1.
pub(super) fn connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = files.saturating_sub(RESERVE).clamp(1, MAX_CONNECTIONS);
    usize::try_from(connections).expect("it is at most 100,000")
}
