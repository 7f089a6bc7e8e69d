//! The log: one line an event, on standard error, as text or as JSON.
//!
//! What other libraries say below `info` is never logged, whatever `LOG_LEVEL` asks for: the one that
//! reads WebSockets would write whole frames there, and with them invites, session tokens and
//! results.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogSettings;

/// The crates whose events are written so that they hold no secret.
const OURS: [&str; 4] = ["server", "cluster_server", "scheduler", "shared"];

/// Starts logging for the whole process. To be called once, before anything is logged.
pub fn start(log: &LogSettings) {
    let filter: Targets = log.filter.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter).with(ceiling());
    if log.is_json {
        registry.with(lines.json()).init();
    } else {
        registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()))
            .init();
    }
}

/// The most that is logged of each crate.
fn ceiling() -> Targets {
    let ours = OURS.map(|name| (name, LevelFilter::TRACE));
    Targets::new()
        .with_targets(ours)
        .with_default(LevelFilter::INFO)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_say_nothing_below_info() {
        let ceiling = ceiling();
        for ours in ["server::app", "cluster_server", "scheduler", "shared::job"] {
            assert!(ceiling.would_enable(ours, &Level::TRACE), "{ours}");
        }
        for library in ["tungstenite::protocol", "hyper", "axum::rejection", "tower"] {
            assert!(ceiling.would_enable(library, &Level::INFO), "{library}");
            assert!(!ceiling.would_enable(library, &Level::DEBUG), "{library}");
        }
    }
}
