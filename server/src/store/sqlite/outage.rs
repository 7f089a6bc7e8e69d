//! What the log says of a store that cannot be written: once that it is so and why, once that it is
//! over. Every failed attempt between the two is on the level debug.

use std::time::Instant;

use crate::store::StoreError;

/// A store that cannot be written, since when and why; or nothing of the kind.
#[derive(Debug, Default)]
pub(super) struct Outage {
    now: Option<Ongoing>,
}

#[derive(Debug)]
struct Ongoing {
    since: Instant,
    why: StoreError,
    attempts: u64,
}

impl Outage {
    /// A transaction failed.
    pub(super) fn failed(&mut self, why: &StoreError, cause: &rusqlite::Error) {
        match &mut self.now {
            Some(ongoing) if ongoing.why == *why => {
                ongoing.attempts += 1;
                tracing::debug!(error = %cause, "a transaction failed: {why}");
            }
            Some(Ongoing { .. }) | None => {
                tracing::error!(
                    error = %cause,
                    "the store cannot be written: {why}; jobs are refused and results wait at the \
                     workers until it can"
                );
                let before = self.now.take();
                self.now = Some(Ongoing {
                    since: before.as_ref().map_or_else(Instant::now, |it| it.since),
                    why: why.clone(),
                    attempts: before.map_or(0, |it| it.attempts) + 1,
                });
            }
        }
    }

    /// A transaction is stored.
    pub(super) fn over(&mut self) {
        if let Some(Ongoing {
            since,
            why,
            attempts,
        }) = self.now.take()
        {
            let seconds = since.elapsed().as_secs();
            tracing::warn!(
                seconds,
                attempts,
                "the store can be written again, nothing was lost; it could not because {why}"
            );
        }
    }
}
