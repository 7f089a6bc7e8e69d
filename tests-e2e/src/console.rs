//! What a tab has printed and thrown, in whatever protocol it was told.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A line of a tab's console, of its workers' or frames', or an exception that nobody caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine {
    /// `error`, `warning`, `log`, `info`, `debug`, …; `exception` for uncaught ones where the
    /// browser tells them apart from other errors.
    pub level: String,
    /// What it says, with the address it came from where there is one.
    pub text: String,
}

impl ConsoleLine {
    /// Whether a well-made page would not have printed it.
    pub fn is_problem(&self) -> bool {
        matches!(
            self.level.as_str(),
            "error" | "warning" | "exception" | "assert"
        )
    }
}

/// All that a tab has printed. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Console {
    lines: Arc<Mutex<Vec<ConsoleLine>>>,
}

impl Console {
    /// The lines so far.
    pub fn lines(&self) -> Vec<ConsoleLine> {
        self.guard().clone()
    }

    pub(crate) fn push(&self, line: ConsoleLine) {
        self.guard().push(line);
    }

    fn guard(&self) -> std::sync::MutexGuard<'_, Vec<ConsoleLine>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address as it is worth showing: the sandbox's workers have their whole script as address.
pub(crate) fn address(value: &Value) -> String {
    const SHOWN: usize = 80;
    value
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(SHOWN)
        .collect()
}

/// The text of a member, or nothing.
pub(crate) fn as_text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
