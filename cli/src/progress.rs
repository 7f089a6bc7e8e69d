//! A progress bar on stderr, if that is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::output;

/// Progress of one job.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {elapsed} {msg}")
                    .expect("a valid template"),
            );
            bar
        });
        Self { bar }
    }

    /// Shows the shards of a polled job state.
    pub(crate) fn show(&self, state: &Value) {
        let Some(bar) = &self.bar else { return };
        let shards = &state["task"]["shards"];
        match (shards["completed"].as_u64(), shards["total"].as_u64()) {
            (Some(completed), Some(total)) => {
                bar.set_style(
                    ProgressStyle::with_template(
                        "{elapsed} {wide_bar} {human_pos}/{human_len} shards, {per_sec}, {eta} left",
                    )
                    .expect("a valid template"),
                );
                bar.set_length(total);
                bar.set_position(completed);
            }
            (_, _) => {
                bar.set_message(output::one_line(state["status"].as_str().unwrap_or("")));
                bar.tick();
            }
        }
    }

    /// Runs `print` without the bar in the way.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
